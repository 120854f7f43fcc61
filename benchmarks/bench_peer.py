r"""gan-hd beside CycleGAN, which is written with stock PyTorch layers at its published sizes, in one run.

    python benchmarks/bench_peer.py --torch_python=TORCH_ENV/bin/python [--crops_px=128,256] [--batches=1,8]
        [--windows_px=512,1024] [--precisions=float32,mixed_bfloat16]

Both take the same crops and windows, in turns; while one works, the other waits. A row for every combination:

    what              precision  batch  gan-hd  CycleGAN  ratio
    train 128 px        float32      1    14.9      0.29   51.4
    translate 512 px    float32      1     2.1      0.21     10
    {"benchmark": "peer", "rows": [...

train      crops/s of a whole training step, both networks of gan-hd at the preset's batch size, both generators and
           both discriminators of CycleGAN at `batch`; a crop is one photograph's
translate  MP/s of one window through the exported model, and through CycleGAN's generator
ratio      ours over theirs, a median over the rounds

--torch_python needs PyTorch and numpy, nothing of this project: the extra `bench`, or an environment of its own, in
which neither's libraries can disturb the other's. Without PyTorch nothing is measured, and the last line says why.
Exit status: 0 done or skipped, 1 the PyTorch side failed, 2 bad command line.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from benchmarks import rates, settings, timing
from gan_hd import config as config_lib
from gan_hd.cli import entry

_PRESET = flags.DEFINE_enum("preset", "default", list(config_lib.PRESETS), "Whose networks and settings.")
_SET = flags.DEFINE_multi_string("set", [], "Any other setting, as for train.py; repeatable.")
_TORCH = flags.DEFINE_string("torch_python", sys.executable, "Interpreter that has PyTorch.")
_CROPS = flags.DEFINE_list("crops_px", ["128"], "Sides of crops; 256 is published. Tiles are half as large.")
_BATCHES = flags.DEFINE_list("batches", ["1", "8"], "CycleGAN's batch sizes; 1 is published.")
_WINDOWS = flags.DEFINE_list("windows_px", ["512", "1024"], "Sides of windows to translate.")
_PRECISIONS = flags.DEFINE_list("precisions", ["float32", "mixed_bfloat16"], "Arithmetic, one or several.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; each times every row's two sides once.", lower_bound=1)

_WORKER = Path(__file__).resolve().parent / "peer_torch.py"
_PEER_PRECISIONS = ("float32", "mixed_bfloat16")


class PeerError(RuntimeError):
    """The PyTorch side gave no answer; the message is one line."""


class NoTorchError(PeerError):
    """There is no PyTorch."""


class Peer:
    """The PyTorch side, a process that answers a line with a line; see peer_torch.py."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        self.about = self._answer()
        if "error" in self.about:
            raise NoTorchError(self.about["error"])

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            PeerError: the process ended, or said what is no JSON.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise PeerError(f"the PyTorch side ended ({error})") from error
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            said = (
                f"it said {line.strip()[:200]!r}" if line else f"it ended with status {self._process.wait()}"
            )
            raise PeerError(f"--torch_python={_TORCH.value}: {said}") from error


def main(argv: list[str]) -> int:
    del argv
    try:
        batches = [settings.sides(text, count=1)[0] for text in _BATCHES.value]
        windows = [settings.sides(text, count=1)[0] for text in _WINDOWS.value]
        configs = {
            side: settings.configuration(_PRESET.value, [*_SET.value, f"combo.tile_px={side // 2}"])
            for side in (settings.sides(text, count=1)[0] for text in _CROPS.value)
        }
    except ValueError as error:
        return entry.fail(error)
    unknown = set(_PRECISIONS.value) - set(_PEER_PRECISIONS)
    if unknown:
        return entry.fail(
            f"--precisions must be of {', '.join(_PEER_PRECISIONS)}. Received: {sorted(unknown)}"
        )
    settings_shown = {"preset": _PRESET.value, "set": _SET.value}
    try:
        with _peer() as peer, tempfile.TemporaryDirectory() as folder:
            entry.import_tensorflow()
            logging.getLogger("pyvips").setLevel(logging.WARNING)
            rows = _measure(peer, configs, batches, windows, Path(folder))
    except NoTorchError as error:
        print(
            f"skipped: {error}; name an interpreter that has it with --torch_python, or install gan-hd[bench]"
        )
        timing.print_json("peer", settings_shown | {"skipped": str(error)})
        return entry.OK
    except PeerError as error:
        return entry.fail(error, entry.SOME_FAILED)
    timing.print_table(
        ["what", "precision", "batch", "gan-hd", "CycleGAN", "ratio"],
        [
            [
                f"{row['kind']} {row['side_px']} px",
                row["precision"],
                row["batch"],
                row["ours_per_sec"],
                row["peer_per_sec"],
                row["ratio"],
            ]
            for row in rows
        ],
    )
    timing.print_json("peer", settings_shown | {"peer": peer.about, "rows": rows})
    return entry.OK


@contextlib.contextmanager
def _peer() -> Iterator[Peer]:
    """The PyTorch side, started; it ends with its stdin."""
    try:
        process = subprocess.Popen(
            [_TORCH.value, str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_WAIT_POLICY": "passive"},  # its idle threads must not take our turn
        )
    except OSError as error:
        raise PeerError(f"--torch_python={_TORCH.value}: {error.strerror}") from error
    try:
        yield Peer(process)
    finally:
        process.kill()
        process.wait()


def _measure(
    peer: Peer,
    configs: dict[int, config_lib.Config],
    batches: list[int],
    windows: list[int],
    folder: Path,
) -> list[dict]:
    """All rows; each side's networks stay in memory."""
    layouts: dict[str, str] = {}
    cases: dict[str, timing.Case] = {}
    rows: list[dict] = []

    def theirs(request: dict[str, Any]) -> str:
        """Adds the request as a case; its name."""
        name = json.dumps(request)

        def run() -> None:
            layouts[name] = peer.ask(request)["layout"]

        cases[name] = timing.Case(run)
        return name

    def ours(name: str, run: Callable[[], object]) -> str:
        cases[name] = timing.Case(run)
        return name

    for precision in _PRECISIONS.value:
        for side, config in configs.items():
            path = folder / f"crops_{side}.npy"
            name = ours(
                f"train {side} {precision}", _our_step(config, precision, path, max(batches, default=1))
            )
            for batch in batches:
                request = {"kind": "train", "crops": str(path), "batch": batch, "precision": precision}
                rows.append(
                    {"kind": "train", "side_px": side, "precision": precision, "batch": batch}
                    | {"ours": name, "ours_amount": config.train.batch_size}
                    | {"peer": theirs(request), "peer_amount": batch}
                )
        for side in windows:
            path = folder / f"window_{side}.npy"
            name = ours(f"translate {side} {precision}", _our_translation(configs, precision, path, side))
            request = {"kind": "translate", "crops": str(path), "batch": 1, "precision": precision}
            rows.append(
                {"kind": "translate", "side_px": side, "precision": precision, "batch": 1}
                | {"ours": name, "ours_amount": side * side / 1e6}
                | {"peer": theirs(request), "peer_amount": side * side / 1e6}
            )
    seconds = timing.rounds_of(cases, rounds=_ROUNDS.value)
    return [rates.joined(row, seconds) | {"peer_layout": layouts[row["peer"]]} for row in rows]


def _our_step(config: config_lib.Config, precision: str, path: Path, count: int) -> Callable[[], None]:
    """Our training step on drawn crops; `count` crops of either domain are left in `path` for the other side."""
    import numpy as np

    from benchmarks import drawn, networks
    from gan_hd import pipeline, pixels

    folder = path.parent / "photographs"
    _, batch = drawn.training_data(folder, config)
    content, style = drawn.domains(folder, config)
    np.save(
        path,
        [
            pixels.to_float(pipeline.random_sample(domain, index, crop_px=config.crop_px, seed=seed)[0])
            for seed, domain in enumerate((content, style), start=2 * config.train.seed)  # as in the batch
            for index in range(count)
        ],
    )
    step = networks.step(networks.build(config, precision=precision))
    return lambda: step(batch)


def _our_translation(
    configs: dict[int, config_lib.Config], precision: str, path: Path, side: int
) -> Callable[[], object]:
    """Our exported model on a drawn window, which is left in `path` for the other side."""
    import numpy as np

    from benchmarks.landscape import draw_picture
    from gan_hd import pictures, pixels
    from gan_hd.export import export_generator
    from gan_hd.models.generator import Generator
    from gan_hd.translator import Translator

    config = next(iter(configs.values()), config_lib.PRESETS[_PRESET.value])
    model = path.parent / "saved_model"
    if not model.exists():
        export_generator(Generator(config.generator), model, config=config, step=0)
    picture = path.parent / "windows" / f"{side}.png"
    picture.parent.mkdir(exist_ok=True)
    if not picture.exists():
        draw_picture(picture, side, side)
    window = pixels.to_float(pictures.read_rgb(picture))[None]
    np.save(path, window)
    translator = Translator(model, precision=precision)
    return lambda: translator.predict(window)


if __name__ == "__main__":
    entry.run(main)
