r"""The training step as another framework runs it: a program of `export_step`, compiled and timed by JAX.

    python -m gan_hd.cli.export_step --preset=default --set=combo.random_phase=false --output=step
    JAX_PYTHON benchmarks/step_in_jax.py --program=step [--steps=100] [--batches=batches.npz]

    step  d_loss  g_loss  norm_b  norm_ab
    1       1.72   0.194   0.764    0.722
    ...
    {"benchmark": "step_in_jax", "device": "cpu", "compile_sec": 28.0, "step_sec": 2.17563, ...

Of the first three steps it shows the loss terms, to be compared with those of gan_hd.gan on the same batches; the rest
are timed together. Batches are noise, or those of an .npz, which take turns: arrays batch/0/0 … as STEP.json names
them, with one axis more in front. JAX_PYTHON needs jax, numpy and absl-py, and no TensorFlow; JAX compiles
for the device that it finds. XLA_FLAGS reach the compiler.
Exit status: 0 done, 2 bad command line.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from benchmarks import timing
from gan_hd.cli import entry

_PROGRAM = flags.DEFINE_string("program", None, "The three files of export_step, without their endings.")
_STEPS = flags.DEFINE_integer("steps", 100, "How many to take in all.", lower_bound=4)
_BATCHES = flags.DEFINE_string("batches", None, "An .npz with batches instead of noise.")

_SHOWN_STEPS, _SHOWN_TERMS = 3, ("d_loss", "g_loss", "norm_b", "norm_ab")


def main(argv: list[str]) -> int:
    del argv
    if not _PROGRAM.value or not Path(f"{_PROGRAM.value}.mlir").is_file():
        return entry.fail(
            f"--program={_PROGRAM.value}: there is no such .mlir; gan_hd.cli.export_step writes it"
        )
    try:
        import jax
    except ImportError:
        return entry.fail(
            "JAX is not installed for this interpreter: pip install jax, or jax[cuda13] for a GPU"
        )
    jax.config.update("jax_enable_x64", True)  # the step count is an int64
    about = json.loads(Path(f"{_PROGRAM.value}.json").read_text())
    of_state = [argument for argument in about["inputs"] if argument["name"].startswith("state/")]
    of_batch = about["inputs"][len(of_state) :]
    terms = [result["name"].removeprefix("terms/") for result in about["outputs"][len(of_state) :]]
    with np.load(f"{_PROGRAM.value}.npz") as first:
        state = [jax.device_put(first[name]) for name in sorted(first.files)]
    batches = _batches(of_batch)

    # === Compile ===
    start = time.perf_counter()
    step = _compiled(Path(f"{_PROGRAM.value}.mlir").read_text(), about, donated=len(of_state))
    compile_sec = time.perf_counter() - start

    # === Run ===
    rows = []
    for number in range(_STEPS.value):
        if number == _SHOWN_STEPS:
            jax.block_until_ready(state)
            start = time.perf_counter()
        results = step(*state, *batches[number % len(batches)])
        state, last = results[: len(of_state)], results[len(of_state) :]
        if number < _SHOWN_STEPS:
            values = dict(zip(terms, map(float, last), strict=True))
            rows.append([number + 1, *(values[name] for name in _SHOWN_TERMS)])
    jax.block_until_ready(state)
    seconds = (time.perf_counter() - start) / (_STEPS.value - _SHOWN_STEPS)
    timing.print_table(["step", *_SHOWN_TERMS], rows)
    timing.print_json(
        "step_in_jax",
        {
            "program": Path(_PROGRAM.value).name,
            "precision": about["precision"],
            "jax": jax.__version__,
            "device": jax.devices()[0].device_kind,
            "compile_sec": round(compile_sec, 1),
            "step_sec": round(seconds, 5),
            "terms": [dict(zip(("step", *_SHOWN_TERMS), row, strict=True)) for row in rows],
            "last_terms": dict(zip(terms, map(float, last), strict=True)),
        },
    )
    return entry.OK


def _batches(described: list[dict[str, Any]]) -> list[list[np.ndarray]]:
    """Batches of arrays in the order of the program's arguments."""
    if _BATCHES.value:
        with np.load(_BATCHES.value) as given:
            arrays = [given[argument["name"]] for argument in described]
        return [[array[k] for array in arrays] for k in range(len(arrays[0]))]
    rng = np.random.default_rng(0)

    # Pixels in [-1, 1]; long sides, px, are the arrays without further axes.
    def drawn(argument: dict[str, Any]) -> np.ndarray:
        shape = argument["shape"]
        return (rng.uniform(-1, 1, shape) if len(shape) > 1 else np.full(shape, 1024.0)).astype(
            argument["dtype"]
        )

    return [[drawn(argument) for argument in described] for _ in range(2)]


def _compiled(text: str, about: dict[str, Any], *, donated: int) -> Any:
    """The program for JAX's device; the state's buffers are used again for the next state."""
    import jax
    import jax.export
    from jax.interpreters import mlir
    from jaxlib.mlir.dialects import stablehlo

    with mlir.make_ir_context():
        module = stablehlo.serialize_portable_artifact(
            mlir.ir.Module.parse(text), stablehlo.get_current_version()
        )
    ins, outs = (
        [jax.ShapeDtypeStruct(array["shape"], array["dtype"]) for array in about[side]]
        for side in ("inputs", "outputs")
    )
    # What JAX exports of a function that takes and gives the same, with our program in the place of its own.
    stand_in = jax.jit(lambda *_: [jax.numpy.zeros(out.shape, out.dtype) for out in outs], keep_unused=True)
    exported = dataclasses.replace(jax.export.export(stand_in)(*ins), mlir_module_serialized=module)
    return jax.jit(exported.call, donate_argnums=tuple(range(donated))).lower(*ins).compile()


if __name__ == "__main__":
    entry.run(main)
