"""Requests that a server of pictures must refuse, as raw bytes, and the client that sends them.

Every request is made from a seed and is wrong by construction: the only right answer is a status of 400 to 499.
Standard library, numpy and Pillow only; used by bench_serve.py and by the tests.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import random
import socket
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import PIL.Image

#: What the server under test must be told: requests larger than this are among the wrong ones.
BODY_LIMIT = 2**20
_JSON, _JPEG, _PNG = "application/json", "image/jpeg", "image/png"


def requests(count: int, *, name: str, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Wrong requests: (kind, raw bytes), all kinds in turn.

    Args:
        count: how many.
        name: of the model served.
        seed: of everything.
    """
    rng = random.Random(seed)
    for number in range(count):
        make = _KINDS[number % len(_KINDS)]
        yield make.__name__.removeprefix("_"), make(rng, f"/v1/models/{name}")


def send(host: str, port: int, raw: bytes, *, timeout_sec: float = 30) -> int | None:
    """Sends raw bytes on a connection of their own; the status of the answer, None for none."""
    with socket.create_connection((host, port), timeout=timeout_sec) as connection:
        try:
            connection.sendall(raw)
        except OSError:
            pass  # the server has answered and closed before all was sent: the answer counts
        answer = b""
        try:
            while b"\r\n" not in answer and (piece := connection.recv(65536)):
                answer += piece
        except OSError:
            pass
    words = answer.split(b" ", 2)
    return (
        int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/1.") and words[1].isdigit() else None
    )


def http(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as it goes over the wire; underscores in names of headers become hyphens."""
    fields = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Connection": "close"}
    fields |= {key.replace("_", "-"): value for key, value in headers.items()}
    head = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


# === Pictures ===


@functools.cache
def picture(kind: str, side: int = 48) -> bytes:
    """A small picture of noise, "PNG" or "JPEG"."""
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(noise).save(file, kind)
    return file.getvalue()


@functools.cache
def png_bomb(side: int = 50_000) -> bytes:
    """A valid PNG of side×side white pixels in some hundred kilobytes."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * -(-side // 8)  # no filter, one bit per pixel
    data = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def jpeg_bomb(width: int = 65_500, height: int = 65_500) -> bytes:
    """A small JPEG whose header says that it is huge."""
    file = bytearray(picture("JPEG"))
    at = file.index(b"\xff\xc0")
    file[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(file)


def scan_bomb(scans: int = 5_000) -> bytes:
    """A progressive JPEG with the last scan repeated: each is a pass over the whole picture."""
    file = io.BytesIO()
    PIL.Image.new("L", (64, 64), 90).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _broken_picture(rng: random.Random) -> bytes:
    kind = rng.choice(["PNG", "JPEG"])
    whole = picture(kind, rng.choice([16, 48, 200]))
    return rng.choice(
        [
            whole[: rng.randrange(len(whole) * 9 // 10)],  # truncated, down to nothing
            whole[rng.randrange(1, 9) :],  # without its signature
            rng.randbytes(rng.randrange(2000)),
            whole[:8] + rng.randbytes(100),
            whole[:60] + b"\0" * 500,
            b"GIF89a" + rng.randbytes(50),
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        ]
    )


# === Kinds of wrong requests ===


def _b64(data: bytes) -> dict:
    return {"b64": base64.b64encode(data).decode()}


def _predict(path: str, value: object) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return http("POST", f"{path}:predict", body, Content_Type=_JSON)


def _bad_json(rng: random.Random, path: str) -> bytes:
    good = json.dumps({"instances": [_b64(picture("PNG"))]}).encode()
    return _predict(
        path,
        rng.choice(
            [
                good[: rng.randrange(len(good))],
                rng.randbytes(rng.randrange(500)),
                b"[" * rng.randrange(1, 100_000),
                b'{"instances":' * rng.randrange(1, 5000),
                b"[[],[]," * 50_000,
                b'{"instances": ' + b"9" * 5000 + b"}",
                b"\xff\xfe{\0}\0",
                b"NaN",
                good + b"x",
            ]
        ),
    )


def _bad_base64(rng: random.Random, path: str) -> bytes:
    text = base64.b64encode(picture("PNG")).decode()
    at = rng.randrange(len(text) - 4)
    bad = rng.choice(
        [
            text[: at + 1] + "*" + text[at:],
            text[:at] + "=" + text[at + 1 :],
            text[: 4 * at // 4 | 1],
            "\u00e9",
        ]
    )
    return _predict(path, {"instances": [_b64(picture("JPEG")), {"b64": bad}]})


def _wrong_types(rng: random.Random, path: str) -> bytes:
    wrong = rng.choice(
        [None, True, 0, -1.5, "", "abc", [], {}, [[]], {"b64": 1}, {"b64": None}, {"b64": [""]}]
    )
    good = _b64(picture("PNG"))
    return _predict(
        path,
        rng.choice(
            [
                wrong,
                {"instances": wrong},
                {"instances": [good, wrong]},
                {"instances": [{"image_bytes": wrong}]},
                {"instances": [{"pixels": good}]},
                {"instances": [{"image_bytes": good, "more": wrong}]},
                {"inputs": wrong},
                {"inputs": {"image_bytes": wrong}},
                {"inputs": {"image_bytes": [wrong]}},
                {"inputs": {"pixels": [good]}},
                {"inputs": [good], "instances": [good]},
                {"instances": [good], "signature_name": wrong or "tile"},
                {"instances": [good], rng.choice("abc"): wrong},
                {"instances": [good] * 5000},
            ]
        ),
    )


def _damaged_in_json(rng: random.Random, path: str) -> bytes:
    return _predict(path, {"instances": [{"image_bytes": _b64(_broken_picture(rng))}]})


def _damaged_body(rng: random.Random, path: str) -> bytes:
    return http("POST", "/translate", _broken_picture(rng), Content_Type=rng.choice([_JPEG, _PNG, "image/x"]))


def _bomb(rng: random.Random, path: str) -> bytes:
    bomb = rng.choice([png_bomb, jpeg_bomb, scan_bomb])()
    if rng.random() < 0.5:
        return _predict(path, {"inputs": {"image_bytes": [_b64(bomb)]}})
    return http("POST", "/translate", bomb, Content_Type=_PNG)


def _wrong_headers(rng: random.Random, path: str) -> bytes:
    body = picture("JPEG")
    huge = {f"X-{number}": "y" * 8000 for number in range(rng.randrange(9, 14))}
    headers = rng.choice(
        [
            {"X-Huge": "x" * rng.randrange(70_000, 120_000)},
            huge,
            {"Content-Length": "-1"},
            {"Content-Length": "9" * rng.choice([3, 12, 30]) + "x"},
            {"Content-Length": "9" * rng.choice([12, 18, 30]), "Expect": "100-continue"},
            {
                "Content-Type": rng.choice(
                    ["text/plain", "multipart/form-data; boundary=x", "application/json", "x"]
                )
            },
            {
                "Content-Type": _JPEG,
                "Accept": rng.choice(["text/html", "image/webp", "image/png;q=0", ";;", "q"]),
            },
            {"Content-Type": _JPEG, "Content-Encoding": rng.choice(["gzip", "br", "x"])},
            {"Transfer-Encoding": "gzip"},
            {"Bad Name": "x"},
            {"X": "a\rb"},
        ]
    )
    return http("POST", "/translate", body, **headers)


def _wrong_place(rng: random.Random, path: str) -> bytes:
    method = rng.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "POST"])
    target = rng.choice(
        [
            "/", "/v1", "/v1/models", f"{path}x", f"{path}:classify", f"{path}/versions/2", f"{path}/versions/x",
            f"{path}/versions/1/labels", f"{path}x/metadata", f"{path}/versions/7:predict", f"{path}:predict:predict",
            "/translate/", "/../../etc/passwd", "/%00", "/%ff%fe", "/" + "a" * rng.randrange(1, 9000), "/healthz/x",
            "*",
        ]
    )  # fmt: skip
    return http(method, target, picture("PNG") if method == "POST" else b"")


def _wrong_method(rng: random.Random, path: str) -> bytes:
    method, target = rng.choice(
        [
            ("POST", "/healthz"),
            ("POST", "/metrics"),
            ("POST", path),
            ("PUT", "/translate"),
            ("GET", "/translate"),
        ]
        + [
            ("GET", f"{path}:predict"),
            ("DELETE", path),
            ("POST", f"{path}/metadata"),
            ("CONNECT", "/translate"),
        ]
    )
    return http(method, target)


def _no_http(rng: random.Random, path: str) -> bytes:
    return rng.choice(
        [
            rng.randbytes(rng.randrange(1, 400)) + b"\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(64) + b"\r\n\r\n",  # TLS
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n\r\n",  # without Host
            b"GET /healthz\r\n\r\n",
            b"POST /translate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n\r\n",
        ]
    )


def _too_large(rng: random.Random, path: str) -> bytes:
    size = BODY_LIMIT + rng.randrange(1, 1000)
    target = rng.choice(["/translate", f"{path}:predict"])
    if rng.random() < 0.5:
        return http("POST", target, b"\xff\xd8\xff" + b"x" * size, Content_Type=_JPEG)
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {_JPEG}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    return head.encode() + chunk * (size // 0x8000 + 1) + b"0\r\n\r\n"


_KINDS: list[Callable[[random.Random, str], bytes]] = [
    _bad_json,
    _bad_base64,
    _wrong_types,
    _damaged_in_json,
    _damaged_body,
    _bomb,
    _wrong_headers,
    _wrong_place,
    _wrong_method,
    _no_http,
    _too_large,
]
