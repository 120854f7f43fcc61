"""The model behind HTTP: over real sockets on the loopback, most with a model that inverts pictures."""

import base64
import collections
import concurrent.futures
import contextlib
import gc
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from benchmarks import fuzz_requests
from gan_hd import graph, listening
from gan_hd.serving import negotiation, server, web
from gan_hd.serving.batcher import Batcher
from gan_hd.serving.limits import Limits, Picture, Refused, check_picture
from gan_hd.serving.model import ServedModel
from gan_hd.translator import ModelError

ROOT = Path(__file__).parent.parent
PREDICT = "/v1/models/gan_hd:predict"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A SavedModel with the exported signatures whose generator inverts."""
    path = tmp_path_factory.mktemp("model")
    spec = tf.TensorSpec([None], tf.string, name="image_bytes")

    def files(encode):
        def run(image_bytes):
            return {"image_bytes": graph.for_each_image(image_bytes, lambda pixels: 255 - pixels, encode)}

        return tf.function(run, input_signature=[spec], autograph=False)

    def tile(pixels):
        return {"pixels": -pixels}

    tiles = tf.TensorSpec([None, None, None, 3], tf.float32, name="pixels")
    tf.saved_model.save(
        tf.Module(),
        str(path),
        signatures={
            "serving_default": files(tf.io.encode_png),
            "jpeg": files(lambda pixels: tf.io.encode_jpeg(pixels, quality=100, chroma_downsampling=False)),
            "tile": tf.function(tile, input_signature=[tiles]),
        },
    )
    (path / "metadata.json").write_text(json.dumps({"radius_px": 1, "stride_px": 1, "tile_px": 8}))
    return path


@pytest.fixture(scope="module")
def model(folder):
    return ServedModel(folder)


@contextlib.contextmanager
def _serving(model, **limits):
    """Serves in a thread of this process; gives the port."""
    limits = Limits(**limits)
    socket_ = listening.bind("127.0.0.1", 0)
    running = server.create_server(
        web.create_app(model, name="gan_hd", limits=limits), request_sec=limits.request_sec
    )
    thread = threading.Thread(target=running.run, kwargs={"sockets": [socket_]})
    thread.start()
    try:
        while not running.started:
            time.sleep(0.005)
        yield socket_.getsockname()[1]
    finally:
        running.should_exit = True
        thread.join()
        socket_.close()


@pytest.fixture(scope="module")
def port(model):
    with _serving(model, body_bytes=fuzz_requests.BODY_LIMIT, picture_px=10**6) as port:
        yield port


def _ask(port, method, path, body=None, headers=None):
    """Status, headers and body of one request on its own connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def _predict(port, value, path=PREDICT):
    body = value if isinstance(value, bytes) else json.dumps(value)
    status, headers, reply = _ask(port, "POST", path, body, {"Content-Type": "application/json"})
    assert headers["Content-Type"] == "application/json"
    return status, json.loads(reply)


def _error(status, reply, *words, expected=400):
    assert status == expected and list(reply) == ["error"] and "\n" not in reply["error"], reply
    for word in words:
        assert word in reply["error"], reply


def _noise(height=30, width=41, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _encode(pixels, kind="PNG"):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def _decode(data):
    image = PIL.Image.open(io.BytesIO(data))
    return np.asarray(image.convert("RGB")), image.format


def _b64(data):
    return {"b64": base64.b64encode(data).decode()}


def _metric(port, name):
    """The value of a line of /metrics."""
    for line in _ask(port, "GET", "/metrics")[2].decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return 0.0


# === TensorFlow Serving's protocol ===


@pytest.mark.parametrize(
    ("key", "wrap"),
    [
        ("instances", lambda files: files),
        ("instances", lambda files: [{"image_bytes": file} for file in files]),
        ("inputs", lambda files: {"image_bytes": files}),
        ("inputs", lambda files: files),
    ],
)
@pytest.mark.parametrize("path", [PREDICT, "/v1/models/gan_hd/versions/1:predict"])
def test_rows_and_columns_are_answered_in_kind(port, key, wrap, path):
    pictures = [_noise(seed=1), _noise(12, 7, seed=2)]
    status, reply = _predict(port, {key: wrap([_b64(_encode(p)) for p in pictures])}, path)
    assert status == 200
    ((answer, values),) = reply.items()
    assert answer == {"instances": "predictions", "inputs": "outputs"}[key]
    assert [list(value) for value in values] == [["b64"], ["b64"]]
    for picture, value in zip(pictures, values, strict=True):
        pixels, kind = _decode(base64.b64decode(value["b64"]))
        assert kind == "PNG"
        np.testing.assert_array_equal(pixels, 255 - picture)


def test_a_signature_is_chosen_by_name(port):
    instances = [_b64(_encode(_noise()))]
    for name, expected in (("jpeg", "JPEG"), ("serving_default", "PNG"), ("", "PNG")):
        status, reply = _predict(port, {"signature_name": name, "instances": instances})
        assert status == 200 and _decode(base64.b64decode(reply["predictions"][0]["b64"]))[1] == expected
    # It exists, but takes pixels.
    _error(
        *_predict(port, {"signature_name": "tile", "instances": instances}), '"tile"', "serving_default, jpeg"
    )


@pytest.mark.parametrize("path", ["/v1/models/gan_hd", "/v1/models/gan_hd/versions/1"])
def test_status_and_metadata_are_tensorflow_servings(port, path):
    status, _, reply = _ask(port, "GET", path)
    ok = {"error_code": "OK", "error_message": ""}
    assert status == 200
    assert json.loads(reply) == {
        "model_version_status": [{"version": "1", "state": "AVAILABLE", "status": ok}]
    }
    status, _, reply = _ask(port, "GET", f"{path}/metadata")
    reply = json.loads(reply)
    assert status == 200 and reply["model_spec"] == {"name": "gan_hd", "signature_name": "", "version": "1"}
    signatures = reply["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "jpeg", "tile"} <= signatures.keys()
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict" and default["defaults"] == {}
    assert default["inputs"] == {
        "image_bytes": {
            "dtype": "DT_STRING",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
            "name": "serving_default_image_bytes:0",
        }
    }
    assert signatures["tile"]["inputs"]["pixels"]["dtype"] == "DT_FLOAT"
    assert [d["size"] for d in signatures["tile"]["inputs"]["pixels"]["tensor_shape"]["dim"]] == [
        "-1"
    ] * 3 + ["3"]


@pytest.mark.parametrize(
    "path", ["/v1/models/other", "/v1/models/gan_hd/versions/2", "/v1/models/other/metadata", "/v1", "/"]
)
def test_other_models_versions_and_paths_are_not_found(port, path):
    status, _, reply = _ask(port, "GET", path)
    _error(status, json.loads(reply), expected=404)
    if "other" in path or "/2" in path:
        assert "'gan_hd', version 1, is served" in json.loads(reply)["error"]


def test_wrong_methods_name_the_right_ones(port):
    for method, path, allowed in (
        ("GET", "/translate", "POST"),
        ("POST", "/healthz", "GET"),
        ("GET", PREDICT, None),
    ):
        status, headers, reply = _ask(port, method, path)
        _error(status, json.loads(reply), expected=405 if allowed else 404)
        assert allowed is None or allowed in headers["Allow"]


GOOD = _b64(_encode(_noise()))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"{", ["JSON parse error"]),
        (b"\xff", ["JSON parse error"]),
        (b"[" * 90, ["JSON parse error"]),
        (b'{"instances": ' * 200, ["JSON parse error"]),
        (b"[" * 100_000, ["more JSON than"]),
        ([GOOD], ["JSON object", "a list"]),
        ({}, ["either instances"]),
        ({"instances": [GOOD], "inputs": [GOOD]}, ["either instances"]),
        ({"instances": [GOOD], "x": 1}, ['"x"']),
        ({"instances": []}, ["instances", "an empty list"]),
        ({"instances": GOOD}, ["instances", "an object"]),
        ({"instances": [GOOD, "abc"]}, ["instances[1]", "a string"]),
        ({"instances": [GOOD, {"b64": 3}]}, ["instances[1]"]),
        ({"instances": [GOOD, {"b64": "a*b="}]}, ["instances[1]", "base64"]),
        ({"instances": [{"pixels": GOOD}]}, ["instances[0]", "image_bytes", "pixels"]),
        ({"instances": [{"image_bytes": None}]}, ["instances[0].image_bytes", "null"]),
        ({"inputs": {"image_bytes": GOOD}}, ["inputs.image_bytes", "an object"]),
        ({"inputs": {"image_bytes": [GOOD, GOOD, 7]}}, ["inputs.image_bytes[2]", "a number"]),
        ({"instances": [GOOD], "signature_name": 5}, ["signature_name 5"]),
        ({"instances": [GOOD, _b64(b"")]}, ["instances[1]", "empty"]),
        ({"instances": [GOOD, _b64(b"no picture")]}, ["instances[1]", "not a picture"]),
        ({"instances": [GOOD] * 33}, ["instances", "33 pictures", "32"]),
    ],
)
def test_bad_requests_are_named(port, value, words):
    _error(*_predict(port, value), *words)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_picture_is_named_and_fails_nobody_else(port, kind):
    whole = _encode(_noise(200, 200), kind)
    for cut in (9, len(whole) // 2, len(whole) * 9 // 10):
        _error(
            *_predict(port, {"inputs": {"image_bytes": [GOOD, _b64(whole[:cut])]}}), "inputs.image_bytes[1]"
        )
    # In one batch with a good one of another client.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        bad = pool.submit(_predict, port, {"instances": [_b64(whole[: len(whole) // 2])]})
        assert _predict(port, {"instances": [GOOD]})[0] == 200
        _error(*bad.result(), "instances[0]", "whole")


# === POST /translate ===


@pytest.mark.parametrize(
    ("sent", "content_type", "accept", "given"),
    [
        ("PNG", "image/png", None, "PNG"),
        ("JPEG", "image/jpeg", None, "JPEG"),
        ("JPEG", None, "*/*", "JPEG"),
        ("PNG", "application/octet-stream", "image/*", "PNG"),
        ("PNG", "image/png", "image/jpeg", "JPEG"),
        ("JPEG", "image/jpeg; x=y", "text/html, image/png;q=0.3, image/jpeg;q=0.2", "PNG"),
    ],
)
def test_a_picture_in_a_picture_out(port, sent, content_type, accept, given):
    headers = {"Content-Type": content_type, "Accept": accept}
    headers = {key: value for key, value in headers.items() if value}
    flat = np.full((20, 33, 3), (200, 90, 40), np.uint8)
    status, reply_headers, reply = _ask(port, "POST", "/translate", _encode(flat, sent), headers)
    assert status == 200 and reply_headers["Content-Type"] == f"image/{given.lower()}"
    pixels, kind = _decode(reply)
    assert kind == given and pixels.shape == flat.shape
    np.testing.assert_allclose(pixels, 255 - flat.astype(float), atol=3)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Accept": "text/html"}, 406),
        ({"Accept": "image/webp, image/png;q=0, image/jpeg;q=0"}, 406),
    ],
)
def test_other_bodies_and_answers_are_refused(port, headers, expected):
    status, _, reply = _ask(port, "POST", "/translate", _encode(_noise()), headers)
    _error(status, json.loads(reply), expected=expected)


def test_the_more_specific_wish_wins():
    assert negotiation.choose_output("*/*;q=1, image/png;q=0.1", preferred="PNG") == "JPEG"
    assert negotiation.choose_output("image/png;q=nan, image/jpeg;q=0.1", preferred="PNG") == "JPEG"
    assert negotiation.choose_output(None, preferred="GIF") == "PNG"


def test_a_model_without_the_signature_says_so():
    with _serving(_Gated(served=["serving_default"], open=True)) as port:
        status, _, reply = _ask(port, "POST", "/translate", _encode(_noise()), {"Accept": "image/jpeg"})
        _error(status, json.loads(reply), "jpeg", expected=406)


# === Limits ===


@pytest.mark.parametrize("bomb", [fuzz_requests.png_bomb, fuzz_requests.jpeg_bomb])
def test_bombs_are_refused_by_their_header(port, bomb, monkeypatch):
    data = bomb()
    assert len(data) < 600_000
    # No pixel is decoded on the way.
    monkeypatch.setattr(PIL.Image.Image, "load", lambda self: pytest.fail("decodes"))
    before = _metric(port, "gan_hd_batch_pictures_count")
    _error(
        *_predict(port, {"instances": [GOOD, _b64(data)]}),
        "instances[1]",
        "at most 1 megapixels",
        expected=413,
    )
    status, _, reply = _ask(port, "POST", "/translate", data)
    _error(status, json.loads(reply), "at most 1 megapixels", expected=413)
    assert _metric(port, "gan_hd_batch_pictures_count") == before  # the model never saw it


def test_the_pixel_limit_is_exact():
    assert check_picture(_encode(_noise(10, 10)), max_px=100).pixels == 100
    with pytest.raises(Refused, match="10x10 px"):
        check_picture(_encode(_noise(10, 10)), max_px=99)


def test_scans_and_damaged_headers_are_refused():
    with pytest.raises(Refused, match="scans"):
        check_picture(fuzz_requests.scan_bomb(), max_px=10**6)
    file = io.BytesIO()
    PIL.Image.fromarray(_noise(90, 90)).save(file, "JPEG", progressive=True)
    assert check_picture(file.getvalue(), max_px=10**6).format == "JPEG"
    for cut in range(1, 60):
        with contextlib.suppress(Refused):
            check_picture(_encode(_noise())[:cut], max_px=10**6)


@pytest.mark.parametrize("path", ["/translate", PREDICT])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_while_it_comes(port, path, chunked):
    """Far more is announced than is ever sent: only who refuses on the way can answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 900000000"
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n".encode())
        if chunked:
            connection.sendall((b"10000\r\n" + b"x" * 0x10000 + b"\r\n") * 17)
        assert b" 413 " in connection.recv(100)


def test_a_client_that_sends_everything_first_still_reads_its_refusal(port):
    body = b"x" * (20 * fuzz_requests.BODY_LIMIT)
    status, _, reply = _ask(port, "POST", "/translate", body, {"Connection": "close"})
    _error(status, json.loads(reply), "larger than", expected=413)


def test_a_body_that_dribbles_ends_in_time(model):
    with _serving(model, request_sec=0.5) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc")
            assert b" 408 " in connection.recv(100)
        assert _metric(port, "gan_hd_queue_depth") == 0


def test_limits_are_checked():
    for name in ("body_bytes", "picture_px", "queue", "batch", "request_sec"):
        with pytest.raises(ValueError, match=name if name != "request_sec" else "times"):
            Limits(**{name: 0})


# === Queue, batches ===


class _Gated:
    """Gives files back once its gate is open; counts the calls."""

    def __init__(self, *, served=("serving_default", "jpeg"), open=False):
        self.signatures, self.served, self.calls = {}, list(served), []
        self.gate, self.began = threading.Event(), threading.Event()
        if open:
            self.gate.set()

    def run(self, signature, files):
        self.calls.append((signature, len(files)))
        self.began.set()
        assert self.gate.wait(60)
        return list(files)


def _until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_queue_is_503_with_retry_after_and_the_loop_stays_free():
    gated, data = _Gated(), _encode(_noise())
    with _serving(gated, queue=3, batch=1) as port, concurrent.futures.ThreadPoolExecutor() as pool:
        accepted = [pool.submit(_ask, port, "POST", "/translate", data) for _ in range(3)]
        _until(lambda: _metric(port, "gan_hd_queue_depth") == 3)
        for body, path in ((data, "/translate"), (json.dumps({"instances": [GOOD]}), PREDICT)):
            status, headers, reply = _ask(port, "POST", path, body)
            _error(status, json.loads(reply), "3 pictures are waiting", expected=503)
            assert 1 <= int(headers["Retry-After"]) <= 60
        assert _ask(port, "GET", "/healthz")[0] == 200  # the model works, the event loop is free
        gated.gate.set()
        assert [future.result()[0] for future in accepted] == [200] * 3
        assert _metric(port, "gan_hd_queue_depth") == 0
        assert _ask(port, "POST", "/translate", data)[0] == 200


def test_pictures_of_one_request_take_as_many_places():
    gated = _Gated()
    with _serving(gated, queue=4) as port, concurrent.futures.ThreadPoolExecutor() as pool:
        accepted = pool.submit(_predict, port, {"instances": [GOOD] * 3})
        _until(lambda: _metric(port, "gan_hd_queue_depth") == 3)
        status, reply = _predict(port, {"instances": [GOOD] * 2})
        _error(status, reply, "waiting", expected=503)
        gated.gate.set()
        assert accepted.result()[0] == 200


def test_waiting_requests_share_a_call(monkeypatch):
    gated, data = _Gated(), _encode(_noise())
    submit, submitted = Batcher.submit, []

    def counted(batcher, *picture):
        future = submit(batcher, *picture)
        submitted.append(future)
        return future

    monkeypatch.setattr(Batcher, "submit", counted)
    with _serving(gated, batch=4) as port, concurrent.futures.ThreadPoolExecutor(10) as pool:
        first = pool.submit(_ask, port, "POST", "/translate", data)
        assert gated.began.wait(20)
        rest = [pool.submit(_ask, port, "POST", "/translate", data) for _ in range(6)]
        # A place in the queue is taken before the picture is read: all seven must have come through.
        _until(lambda: len(submitted) == 7)
        assert _metric(port, "gan_hd_queue_depth") == 7
        gated.gate.set()
        assert all(future.result()[0] == 200 for future in [first, *rest])
    assert [count for _, count in gated.calls] == [1, 4, 2]


def test_who_leaves_gives_up_the_place():
    gated = _Gated()
    with _serving(gated, queue=2, batch=1) as port:
        head = f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(_encode(_noise()))}\r\n\r\n".encode()
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                connection.sendall(head + _encode(_noise()))
            _until(lambda: _metric(port, "gan_hd_queue_depth") == 2)
            # The first is at work, and no longer merely waiting, before both leave.
            assert gated.began.wait(30)
        _until(lambda: _metric(port, "gan_hd_queue_depth") == 0)
        gated.gate.set()
        assert _ask(port, "POST", "/translate", _encode(_noise()))[0] == 200
    assert len(gated.calls) == 2  # the one that ran, and ours: the other was never computed


def test_what_takes_too_long_is_504():
    gated = _Gated()
    with _serving(gated, request_sec=0.3) as port:
        status, _, reply = _ask(port, "POST", "/translate", _encode(_noise()))
        _error(status, json.loads(reply), "0.3 s", expected=504)
        gated.gate.set()
        assert _ask(port, "POST", "/translate", _encode(_noise()))[0] == 200


def _batcher(run, **changes):
    return Batcher(run, **({"batch": 4, "batch_px": 1000, "wait_sec": 0.05} | changes))


def test_batches_hold_one_signature_and_bounded_pixels():
    calls, gate = [], threading.Event()

    def run(signature, files):
        calls.append((signature, [file.decode() for file in files]))
        assert gate.wait(20)
        return list(files)

    batcher = _batcher(run)
    block = batcher.submit("a", Picture(b"0", 1, "PNG"))
    _until(lambda: calls)
    waiting = [
        batcher.submit(signature, Picture(name.encode(), pixels, "PNG"))
        for signature, name, pixels in [
            ("a", "1", 600),
            ("b", "2", 9),
            ("a", "3", 600),
            ("a", "4", 300),
            ("a", "5", 5000),
        ]
    ]
    gate.set()
    assert [future.result(20) for future in [block, *waiting]] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert calls[1:] == [("a", ["1", "4"]), ("b", ["2"]), ("a", ["3"]), ("a", ["5"])]
    batcher.close()


def test_what_is_given_up_is_not_kept_until_its_turn():
    began, gate = threading.Event(), threading.Event()

    def run(signature, files):
        began.set()
        assert gate.wait(20)
        return list(files)

    batcher = _batcher(run, wait_sec=0)
    first = batcher.submit("a", Picture(b"1", 1, "PNG"))
    assert began.wait(20)
    picture = Picture(b"2", 1, "PNG")
    alive = weakref.ref(picture)
    assert batcher.submit("a", picture).cancel()
    del picture
    gc.collect()
    assert alive() is None
    gate.set()
    assert first.result(20) == b"1"
    batcher.close()


def test_a_failing_picture_fails_alone():
    def run(signature, files):
        if b"bad" in files:
            raise KeyError("bad")
        return list(files)

    batcher = _batcher(run)
    futures = [batcher.submit("a", Picture(data, 1, "PNG")) for data in (b"1", b"bad", b"3")]
    assert (futures[0].result(20), futures[2].result(20)) == (b"1", b"3")
    with pytest.raises(KeyError):
        futures[1].result(20)
    batcher.close()
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit("a", Picture(b"", 1, "PNG"))


def test_a_queue_that_empties_while_others_are_awaited_goes_on():
    batcher = _batcher(lambda signature, files: list(files), wait_sec=0.2)
    assert batcher.submit("a", Picture(b"1", 1, "PNG")).cancel()
    time.sleep(0.3)
    assert batcher.submit("a", Picture(b"2", 1, "PNG")).result(20) == b"2"
    batcher.close()


def test_a_crash_is_500_and_the_next_request_is_served(caplog):
    class Crashing(_Gated):
        def run(self, signature, files):
            if self.calls:
                return super().run(signature, files)
            self.calls.append("crash")
            raise MemoryError("boom")

    with _serving(Crashing(open=True)) as port:
        status, _, reply = _ask(port, "POST", "/translate", _encode(_noise()))
        _error(status, json.loads(reply), "internal error", expected=500)
        assert b"boom" not in reply
        assert _ask(port, "POST", "/translate", _encode(_noise()))[0] == 200
        assert _metric(port, 'gan_hd_requests_total{endpoint="translate",status="500"}') == 1
    assert "boom" in caplog.text


# === Metrics ===


def test_metrics_move(port):
    names = [
        'gan_hd_requests_total{endpoint="translate",status="200"}',
        'gan_hd_requests_total{endpoint="translate",status="400"}',
        'gan_hd_request_seconds_count{endpoint="translate"}',
        'gan_hd_request_seconds_bucket{endpoint="translate",le="+Inf"}',
        "gan_hd_pixels_total",
        "gan_hd_batch_pictures_sum",
    ]
    before = [_metric(port, name) for name in names]
    _ask(port, "POST", "/translate", _encode(_noise(20, 30)))
    _ask(port, "POST", "/translate", b"no picture")
    after = [_metric(port, name) for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 2, 2, 600, 1]
    status, headers, text = _ask(port, "GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=")
    for series in (b"gan_hd_queue_depth", b"process_resident_memory_bytes", b"gan_hd_model_seconds_total"):
        assert b"# TYPE " + series.removesuffix(b"_total") in text or b"# TYPE " + series in text


def test_clients_cannot_add_series(port):
    def endpoints():
        return {
            line.split(b'"')[1]
            for line in _ask(port, "GET", "/metrics")[2].splitlines()
            if b'endpoint="' in line
        }

    for number in range(5):
        _ask(port, "GET", f"/made/up/{number}")
    before = endpoints()
    for number in range(5):
        _ask(port, "GET", f"/made/up/too/{number}")
    assert endpoints() == before


# === The command ===


def _command(*flags):
    return [sys.executable, "-m", "gan_hd.cli.serve", *flags]


@contextlib.contextmanager
def _process(tmp_path, *flags):
    """The server as a process of its own in private folders: (process, port)."""
    for name in ("cwd", "tmp"):
        (tmp_path / name).mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path / "tmp"),
        "HOME": str(tmp_path / "cwd"),
    }
    process = subprocess.Popen(
        _command("--port=0", *flags),
        cwd=tmp_path / "cwd",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("serving "), process.communicate()[1]
        yield process, int(line.rsplit(":", 1)[1])
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_command_listens_here_only_writes_nothing_and_stops_gracefully(folder, tmp_path):
    with _process(tmp_path, f"--model={folder}") as (process, port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port)).close()

        def seen():
            found = sorted(path.name for top in ("cwd", "tmp") for path in (tmp_path / top).rglob("*"))
            opened = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
            return found, sorted(name for name in opened if str(tmp_path) in name or "deleted" in name)

        before, picture = seen(), _encode(_noise(900, 900))
        head = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(picture)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as slow:
            slow.sendall(head + picture[:-1000])  # two megabytes: more than any spool keeps in memory
            _until(lambda: _metric(port, "gan_hd_queue_depth") == 1)
            assert _ask(port, "POST", "/translate", picture)[0] == 200
            assert seen() == before
            process.send_signal(signal.SIGTERM)

            def refused():
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                except OSError:
                    return True
                return False

            _until(refused)
            slow.sendall(picture[-1000:])
            reply = http.client.HTTPResponse(slow)
            reply.begin()
            np.testing.assert_array_equal(_decode(reply.read())[0], 255 - _noise(900, 900))
            assert reply.status == 200
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "stopped\n", "")
        assert [path.name for top in ("cwd", "tmp") for path in (tmp_path / top).rglob("*")] == before[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port=70000"], ["--port"]),
        (["--model=nowhere", "--port=0"], ["--model=nowhere", "expected a run folder"]),
        (["--queue=0"], ["--queue"]),
        (["--host=256.1.1.1"], ["--host=256.1.1.1"]),
        (["--bogus"], ["bogus", "--help"]),
    ],
)
def test_bad_command_lines_are_one_line(flags, words):
    process = subprocess.run(_command(*flags), capture_output=True, text=True, cwd=ROOT)
    assert process.returncode == 2 and process.stdout == "" and len(process.stderr.splitlines()) == 1
    assert all(word in process.stderr for word in words), process.stderr


def test_a_port_in_use_is_one_line():
    with listening.bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        process = subprocess.run(_command(f"--port={port}"), capture_output=True, text=True, cwd=ROOT)
    assert process.returncode == 2 and len(process.stderr.splitlines()) == 1
    assert f"--port={port}" in process.stderr and "in use" in process.stderr


def test_help_lists_flags_and_paths():
    process = subprocess.run(_command("--help"), capture_output=True, text=True, cwd=ROOT)
    for word in ("--model", "--port", "--host", "--max_mp", "--queue", "/translate", "127.0.0.1"):
        assert word in process.stdout, word


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client"])
def test_a_missing_package_is_one_line_with_the_remedy(package):
    script = f"import runpy, sys; sys.modules[{package!r}] = None; sys.argv = ['serve', '--port=0']\n"
    script += "runpy.run_module('gan_hd.cli.serve', run_name='__main__')"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert process.returncode == 2 and len(process.stderr.splitlines()) == 1
    assert package in process.stderr and "pip install 'gan-hd[serve]'" in process.stderr


def test_models_that_cannot_be_served_are_named(folder, tmp_path):
    (tmp_path / "metadata.json").write_text("{}")
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ModelError, match="damaged .saved_model.pb cannot be parsed"):
        ServedModel(tmp_path)
    old = tf.Module()
    spec = tf.TensorSpec([None, 3], tf.float32)
    tile = tf.function(lambda pixels: {"pixels": pixels}, input_signature=[spec])
    tf.saved_model.save(old, str(tmp_path), signatures={"tile": tile})
    with pytest.raises(ModelError, match="no signature serving_default that takes image_bytes"):
        ServedModel(tmp_path)


def test_an_export_is_served(tmp_path, smoke):
    from gan_hd.export import export_generator
    from gan_hd.models.generator import Generator
    from gan_hd.translator import Translator

    generator, rng = Generator(smoke.generator), np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.15) for w in generator.get_weights()])
    export_generator(generator, tmp_path / "model", config=smoke, step=1)
    served, picture = ServedModel(tmp_path / "model"), _noise(70, 50)
    served.warm_up()
    with _serving(served) as port:
        expected = Translator(tmp_path / "model").translate(picture).astype(int)
        status, _, reply = _ask(port, "POST", "/translate", _encode(picture))
        assert status == 200 and np.abs(_decode(reply)[0] - expected).max() <= 1
        assert np.abs(expected - picture).max() > 20
        whole = _encode(_noise(200, 200))
        _error(
            *_predict(port, {"instances": [GOOD, _b64(whole[: len(whole) // 2])]}), "instances[1]", "whole"
        )


# === Fuzz ===


def test_every_wrong_request_is_4xx_and_the_server_lives(model, port):
    kinds = collections.defaultdict(collections.Counter)
    requests = list(fuzz_requests.requests(550, name="gan_hd", seed=1))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = pool.map(lambda request: fuzz_requests.send("127.0.0.1", port, request[1]), requests)
        for (kind, raw), status in zip(requests, statuses, strict=True):
            kinds[kind][status] += 1
            assert status is not None and 400 <= status < 500, (kind, status, raw[:300])
    assert len(kinds) == 11
    assert set(kinds["bomb"]) <= {400, 413} and set(kinds["too_large"]) == {413}
    assert _ask(port, "POST", "/translate", _encode(_noise()))[0] == 200
    assert _metric(port, "gan_hd_queue_depth") == 0
    assert _metric(port, 'gan_hd_requests_total{endpoint="translate",status="500"}') == 0


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--seconds=2", "--rounds=1", "--client=python"], ["--fuzz=22"]])
def test_the_benchmark_ends_with_what_it_measured(folder, flags):
    command = [
        sys.executable,
        ROOT / "benchmarks" / "bench_serve.py",
        f"--model={folder}",
        "--clients=2",
        *flags,
    ]
    process = subprocess.run([*command, "--size_mp=0.01"], capture_output=True, text=True, timeout=300)
    assert process.returncode == 0 and process.stderr == "", process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert result["exit_status"] == 0 and result["rss_mib"]["start"] > 50
    if "--fuzz=22" in flags:
        assert result["requests"] == 22 and result["wrong_answers"] == 0 and len(result["kinds"]) == 11
    else:
        assert list(result["statuses"]) == ["200"] and result["client"] == "python"
        (row,) = result["rows"]
        assert row["requests"] == result["statuses"]["200"] > 0
        fastest = max(row["in_process_mp_per_sec"].values())
        assert result["ratio"] == pytest.approx(row["http_mp_per_sec"] / fastest, rel=0.05)


# === TensorFlow Serving's warm-up ===


@pytest.fixture
def prepared(folder, tmp_path):
    subprocess.run(
        [
            sys.executable,
            ROOT / "serving" / "prepare.py",
            f"--model={folder}",
            f"--output={tmp_path / 'models'}",
        ],
        check=True,
        capture_output=True,
    )
    return tmp_path / "models" / "gan_hd" / "1"


def _messages():
    """TensorFlow Serving's messages, from their .proto files' names and numbers."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
    from tensorflow.core.framework import tensor_pb2

    pool = descriptor_pool.DescriptorPool()
    for module in (wrappers_pb2, tensor_pb2):
        _add(pool, module.DESCRIPTOR)
    file = descriptor_pb2.FileDescriptorProto(
        name="serving.proto",
        package="s",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name, tensor_pb2.DESCRIPTOR.name],
    )
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, field, kind in fields:
            made.field.add(
                name=field,
                number=number,
                label=kinds.LABEL_OPTIONAL,
                type=kinds.TYPE_STRING if kind is str else kinds.TYPE_MESSAGE,
                type_name=None if kind is str else kind,
            )
        return made

    message(
        "ModelSpec",
        (1, "name", str),
        (2, "version", ".google.protobuf.Int64Value"),
        (3, "signature_name", str),
    )
    request = message(
        "PredictRequest", (1, "model_spec", ".s.ModelSpec"), (2, "inputs", ".s.PredictRequest.InputsEntry")
    )
    request.field[1].label = kinds.LABEL_REPEATED
    entry = request.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_STRING)
    entry.field.add(
        name="value",
        number=2,
        label=kinds.LABEL_OPTIONAL,
        type=kinds.TYPE_MESSAGE,
        type_name=".tensorflow.TensorProto",
    )
    message("PredictLog", (1, "request", ".s.PredictRequest"))
    message("PredictionLog", (6, "predict_log", ".s.PredictLog"))
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("s.PredictionLog"))


def _add(pool, descriptor):
    for dependency in descriptor.dependencies:
        _add(pool, dependency)
    pool.AddSerializedFile(descriptor.serialized_pb)


@pytest.mark.slow
def test_warm_up_requests_parse_back_and_run(prepared, model):
    assert (prepared / "saved_model.pb").is_file() and (prepared / "metadata.json").is_file()
    records = prepared / "assets.extra" / "tf_serving_warmup_requests"
    parsed = [_messages().FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(records))]
    assert 2 <= len(parsed) <= 1000  # TensorFlow Serving takes 1000 at most
    for log in parsed:
        request = log.predict_log.request
        assert log.SerializeToString() and request.model_spec.name == "gan_hd"
        assert request.model_spec.version.value == 1
        assert list(request.inputs) == ["image_bytes"]
        files = tf.make_ndarray(request.inputs["image_bytes"])
        assert files.dtype == object and files.ndim == 1
        assert len(model.run(request.model_spec.signature_name, list(files))) == len(files)
    assert {log.predict_log.request.model_spec.signature_name for log in parsed} == {
        "serving_default",
        "jpeg",
    }
