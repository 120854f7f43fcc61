r"""What serving costs: pictures per second over HTTP against the same calls of the model in a process of its own.

    python benchmarks/bench_serve.py --model=RUN_DIR [--seconds=60] [--clients=8]
    python benchmarks/bench_serve.py --model=RUN_DIR --fuzz=10000

Starts `python -m gan_hd.cli.serve` on a free port of 127.0.0.1. Rounds alternate between both sides, so that what
else the machine does weighs on both; the other side is idle meanwhile:

    round   in-process MP/s       HTTP MP/s   ratio    server MiB
        1              0.93            0.91   x0.98           812
    {"benchmark": "serve", "model": "runs/vangogh", "ratio": 0.98, ...

in-process  the signature `jpeg`, the faster of one picture per call and --batch per call
HTTP        --clients clients that post the same JPEG to /translate, each its next one after the last's answer: `ab`
            (Apache's tool) where it is installed, otherwise threads of this process
server MiB  resident memory of the server at the end of the round

With --fuzz it sends so many wrong requests instead; each must be answered with a status of 400 to 499.
Exit status: 0 done, 1 wrong answers or none, 2 bad command line.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import http.client
import io
import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this repository's gan_hd, installed or not

from benchmarks import fuzz_requests
from gan_hd.cli import entry

_MODEL = flags.DEFINE_string("model", None, "Run folder or SavedModel, as for gan_hd.cli.serve.")
_SECONDS = flags.DEFINE_float("seconds", 60, "Of HTTP load, all rounds together.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 4, "Rounds, of both sides each.", lower_bound=1)
_CLIENTS = flags.DEFINE_integer("clients", 8, "Clients at once.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 8, "Most pictures in one call of the model.", lower_bound=1)
_SIZE = flags.DEFINE_float("size_mp", 1, "Megapixels of the picture.", lower_bound=0.001, upper_bound=25)
_CLIENT = flags.DEFINE_enum("client", "auto", ["auto", "ab", "python"], "What sends the requests.")
_FUZZ = flags.DEFINE_integer("fuzz", 0, "Send so many wrong requests instead of the load.", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the wrong requests.")

_TIMEOUT_SEC = 600
_OK, _BUSY = 200, 503


def main(argv: list[str]) -> int:
    del argv
    if not _MODEL.value:
        return entry.fail("--model is missing: name a run folder or a SavedModel")
    if _CLIENT.value == "ab" and not shutil.which("ab"):
        return entry.fail("--client=ab: there is no ab; it is in the package apache2-utils")
    # Ends as by Ctrl-C, so that nothing it started is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _fuzz() if _FUZZ.value else _load()
    except OSError as error:
        return entry.fail(error, entry.SOME_FAILED)


def _load() -> int:
    picture = _picture(_SIZE.value)
    use_ab = _CLIENT.value == "ab" or (_CLIENT.value == "auto" and bool(shutil.which("ab")))
    seconds = _SECONDS.value / _ROUNDS.value
    rows: list[dict] = []
    statuses: collections.Counter = collections.Counter()
    with (
        _server(f"--batch={_BATCH.value}") as (process, port),
        concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        rss_start = _rss_mib(process.pid)
        alone = pool.submit(_in_process, _MODEL.value, picture, 1, 2).result()
        rate = _over_http(port, picture, 2 * _CLIENTS.value, use_ab=False)[0]
        rss_warm = _rss_mib(process.pid)
        print(
            f"{'round':>5}{'in-process MP/s':>18}{'HTTP MP/s':>16}{'ratio':>8}{'server MiB':>14}", flush=True
        )
        for number in range(1, _ROUNDS.value + 1):
            rates = {
                count: pool.submit(_in_process, _MODEL.value, picture, count, seconds / 2).result()
                for count in sorted({1, _BATCH.value})
            }
            alone = max(rates.values())
            # A number of requests, not a time: ab would not count those under way at its end.
            count = max(_CLIENTS.value, round(rate * seconds))
            rate, found = _over_http(port, picture, count, use_ab=use_ab)
            statuses += found
            rows.append(
                {
                    "in_process_mp_per_sec": {
                        str(key): round(value * _SIZE.value, 4) for key, value in rates.items()
                    },
                    "http_mp_per_sec": round(rate * _SIZE.value, 4),
                    "requests": count,
                    "ratio": round(rate / alone, 4),
                    "rss_mib": _rss_mib(process.pid),
                }
            )
            print(
                f"{number:>5}{alone * _SIZE.value:>18.2f}{rate * _SIZE.value:>16.2f}{'x':>3}"
                f"{rate / alone:.2f}{rows[-1]['rss_mib']:>15}",
                flush=True,
            )
        stopped = _stop(process)
    wrong = sum(count for status, count in statuses.items() if status not in (_OK, _BUSY))
    result = {
        "benchmark": "serve",
        "model": _MODEL.value,
        "ratio": round(statistics.median(row["ratio"] for row in rows), 4),
        "size_mp": _SIZE.value,
        "clients": _CLIENTS.value,
        "batch": _BATCH.value,
        "client": "ab" if use_ab else "python",
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "rss_mib": {"start": rss_start, "warm": rss_warm, "end": rows[-1]["rss_mib"]},
        "exit_status": stopped,
        "rows": rows,
    }
    print(json.dumps(result | _machine()))
    return entry.SOME_FAILED if wrong or stopped else entry.OK


def _fuzz() -> int:
    table: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    megabytes = fuzz_requests.BODY_LIMIT / 1e6
    with _server(f"--max_mb={megabytes}", "--max_mp=1") as (process, port):
        start, rss_start = time.monotonic(), _rss_mib(process.pid)
        requests = fuzz_requests.requests(_FUZZ.value, name="gan_hd", seed=_SEED.value)

        def send(request: tuple[str, bytes]) -> tuple[str, int | None]:
            return request[0], fuzz_requests.send("127.0.0.1", port, request[1], timeout_sec=_TIMEOUT_SEC)

        with concurrent.futures.ThreadPoolExecutor(_CLIENTS.value) as pool:
            while True:  # in pieces: a pool would take all requests into memory at once
                piece = [request for _, request in zip(range(500), requests, strict=False)]
                if not piece:
                    break
                for kind, status in pool.map(send, piece):
                    table[kind][status] += 1
        seconds = time.monotonic() - start
        good = _post(port, _picture(0.01))
        rss_end, stopped = _rss_mib(process.pid), _stop(process)
    print(f"{'kind':18}{'requests':>10}  answers")
    for kind, found in table.items():
        answers = ", ".join(f"{count}x {status}" for status, count in found.most_common())
        print(f"{kind:18}{sum(found.values()):>10}  {answers}")
    total = sum(table.values(), collections.Counter())
    wrong = sum(count for status, count in total.items() if status is None or not 400 <= status < 500)
    result = {
        "benchmark": "serve_fuzz",
        "requests": sum(total.values()),
        "wrong_answers": wrong,
        "good_picture_afterwards": good,
        "seconds": round(seconds, 1),
        "rss_mib": {"start": rss_start, "end": rss_end},
        "exit_status": stopped,
        "kinds": {
            kind: {str(status): count for status, count in found.items()} for kind, found in table.items()
        },
    }
    print(json.dumps(result | _machine()))
    return entry.SOME_FAILED if wrong or good != _OK or stopped else entry.OK


# === The server ===


@contextlib.contextmanager
def _server(*extra: str) -> Iterator[tuple[subprocess.Popen, int]]:
    """The server as a process of its own, and its port."""
    command = [sys.executable, "-m", "gan_hd.cli.serve", f"--model={_MODEL.value}", "--port=0", *extra]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=Path(__file__).resolve().parents[1]
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("serving "):
                process.wait()
                log.seek(0)
                raise OSError(f"the server did not start: {log.read().decode(errors='replace')[-500:]}")
            yield process, int(line.rsplit(":", 1)[1])
        finally:
            process.kill()
            process.communicate()


def _stop(process: subprocess.Popen) -> int:
    process.terminate()
    return process.wait(_TIMEOUT_SEC)


def _rss_mib(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return round(int(found[1]) / 1024) if found else 0


# === Both sides ===

_SIGNATURES: dict = {}


def _in_process(model: str, picture: bytes, count: int, seconds: float) -> float:
    """Pictures per second of the signature `jpeg`, called with `count` pictures; runs in a process of its own."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    entry.import_tensorflow()
    import tensorflow as tf

    from gan_hd.translator import find_model

    if not _SIGNATURES:
        _SIGNATURES["model"] = loaded = tf.saved_model.load(str(find_model(model)))
        _SIGNATURES["jpeg"] = loaded.signatures["jpeg"]
        _SIGNATURES["jpeg"](image_bytes=tf.constant([picture]))
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        _SIGNATURES["jpeg"](image_bytes=tf.constant([picture] * count))["image_bytes"].numpy()
        done += count
    return done / (time.perf_counter() - start)


def _over_http(port: int, picture: bytes, count: int, *, use_ab: bool) -> tuple[float, collections.Counter]:
    """Requests per second, and how many had which status; -1 for those without one."""
    return _ab(port, picture, count) if use_ab else _threads(port, picture, count)


def _threads(port: int, picture: bytes, count: int) -> tuple[float, collections.Counter]:
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(_CLIENTS.value) as pool:
        statuses = collections.Counter(pool.map(lambda _: _post(port, picture), range(count)))
    return statuses[_OK] / (time.perf_counter() - start), statuses


def _post(port: int, picture: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SEC)
    try:
        connection.request("POST", "/translate", picture, {"Content-Type": "image/jpeg"})
        reply = connection.getresponse()
        reply.read()
        return reply.status
    except (OSError, http.client.HTTPException):
        return -1
    finally:
        connection.close()


def _ab(port: int, picture: bytes, count: int) -> tuple[float, collections.Counter]:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(picture)
        file.flush()
        options = ["-q", "-l", "-k", "-n", str(count), "-c", str(_CLIENTS.value), "-s", str(_TIMEOUT_SEC)]
        command = ["ab", *options, "-p", file.name, "-T", "image/jpeg", f"http://127.0.0.1:{port}/translate"]
        text = subprocess.run(command, capture_output=True, text=True).stdout

    def number(name: str) -> float:
        found = re.search(rf"{name}:\s+([\d.]+)", text)
        return float(found[1]) if found else 0.0

    done, failed, refused = (
        int(number(f"{name}")) for name in ("Complete requests", "Failed requests", "Non-2xx responses")
    )
    good = done - failed - refused
    statuses = collections.Counter({_OK: good, -1: count - good})  # ab does not say which status
    return good / max(number("Time taken for tests"), 1e-9), +statuses


def _picture(megapixels: float) -> bytes:
    """A JPEG with shapes of all sizes."""
    side, rng = round((megapixels * 1e6) ** 0.5), np.random.default_rng(0)
    total = np.zeros((side, side, 3))
    for cells in (4, 16, 64, 256):
        noise = PIL.Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(noise.resize((side, side), PIL.Image.Resampling.BICUBIC)) / 4
    file = io.BytesIO()
    PIL.Image.fromarray(total.astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def _machine() -> dict:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpus": cpus, "platform": platform.platform(), "python": platform.python_version()}


if __name__ == "__main__":
    entry.run(main)
