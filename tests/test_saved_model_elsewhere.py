"""The exported model in programs that have never heard of this project: what an engineer who serves it has.

Each test starts a new process outside the repository, with Python's isolated mode where Python is used at all.
"""

import ctypes
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from gan_hd.export import export_generator
from gan_hd.models.generator import Generator
from gan_hd.translator import Translator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from gan_hd.config import PRESETS

    generator = Generator(PRESETS["smoke"].generator)
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.15) for w in generator.get_weights()])
    folder = tmp_path_factory.mktemp("elsewhere") / "model"
    return export_generator(generator, folder, config=PRESETS["smoke"], step=1, serving_tile_px=256)


def _picture(h, w):
    return np.random.default_rng(h + w).integers(0, 256, (h, w, 3), dtype=np.uint8)


def _run(program, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(program), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _check(data: bytes, model: Path, picture: np.ndarray) -> None:
    out = tf.io.decode_png(data).numpy().astype(int)
    assert np.abs(out - Translator(model).translate(picture)).max() <= 1
    assert np.abs(out - picture).max() > 20


# TensorFlow's C library and nothing else: the way of every runtime that is not Python.
C_PROGRAM = r"""
import ctypes, sys

library, model, source, target = sys.argv[1:]
tf = ctypes.CDLL(library)
P, N, S = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p


def function(name, result, *arguments):
    f = getattr(tf, name)
    f.restype, f.argtypes = result, arguments
    return f


class Buffer(ctypes.Structure):
    _fields_ = [("data", P), ("length", N), ("free", P)]


class Output(ctypes.Structure):
    _fields_ = [("operation", P), ("index", ctypes.c_int)]


new_status, code = function("TF_NewStatus", P), function("TF_GetCode", ctypes.c_int, P)
message = function("TF_Message", S, P)
new_graph, new_options = function("TF_NewGraph", P), function("TF_NewSessionOptions", P)
new_buffer = function("TF_NewBuffer", ctypes.POINTER(Buffer))
load = function("TF_LoadSessionFromSavedModel", P, P, P, S, ctypes.POINTER(S), ctypes.c_int, P, P, P)
find = function("TF_GraphOperationByName", P, P, S)
allocate = function("TF_AllocateTensor", P, ctypes.c_int, ctypes.POINTER(ctypes.c_int64), ctypes.c_int, N)
tensor_data = function("TF_TensorData", P, P)
string_init, string_copy = function("TF_StringInit", None, P), function("TF_StringCopy", None, P, S, N)
string_data, string_size = function("TF_StringGetDataPointer", P, P), function("TF_StringGetSize", N, P)
run = function(
    "TF_SessionRun", None, P, P, ctypes.POINTER(Output), ctypes.POINTER(P), ctypes.c_int,
    ctypes.POINTER(Output), ctypes.POINTER(P), ctypes.c_int, P, ctypes.c_int, P, P,
)  # fmt: skip
STRING, STRING_BYTES = 7, 24


def fields(data):
    # Protocol-buffer wire format: (field number, value) pairs.
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = varint() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
            yield key >> 3, data[at : at + size]
            at += size


def table(data, number):
    entries = (dict(fields(value)) for key, value in fields(data) if key == number)
    return {entry[1].decode(): entry[2] for entry in entries}


def output(name):
    operation, _, index = name.decode().partition(":")
    found = find(graph, operation.encode())
    assert found, operation
    return Output(found, int(index or 0))


def translate(files):
    tensor = allocate(STRING, (ctypes.c_int64 * 1)(len(files)), 1, STRING_BYTES * len(files))
    for number, data in enumerate(files):
        string = tensor_data(tensor) + STRING_BYTES * number
        string_init(string)
        string_copy(string, data, len(data))
    results = (P * 1)()
    run(session, None, ctypes.byref(feed), (P * 1)(tensor), 1, ctypes.byref(fetch), results, 1, None, 0, None, status)
    if code(status):
        return code(status), message(status).decode()
    strings = [tensor_data(results[0]) + STRING_BYTES * number for number in range(len(files))]
    return 0, [ctypes.string_at(string_data(s), string_size(s)) for s in strings]


status, graph, meta = new_status(), new_graph(), new_buffer()
session = load(new_options(), None, model.encode(), (S * 1)(b"serve"), 1, graph, meta, status)
assert code(status) == 0, message(status)
SIGNATURES, INPUTS, OUTPUTS, NAME = 5, 1, 2, 1
signature = table(ctypes.string_at(meta.contents.data, meta.contents.length), SIGNATURES)["serving_default"]
feed = output(dict(fields(table(signature, INPUTS)["image_bytes"]))[NAME])
fetch = output(dict(fields(table(signature, OUTPUTS)["image_bytes"]))[NAME])

INVALID_ARGUMENT = 3
picture = open(source, "rb").read()
failed, text = translate([picture, b"no picture"])
assert failed == INVALID_ARGUMENT and "image_bytes[1] cannot be decoded" in text, text
failed, pictures = translate([picture, picture])
assert failed == 0, pictures
assert pictures[0] == pictures[1]
open(target, "wb").write(pictures[0])
assert not {"tensorflow", "keras", "numpy", "gan_hd"} & set(sys.modules)
"""


def _c_library() -> Path | None:
    """The library in TensorFlow's package that exports the C interface."""
    for path in sorted(Path(tf.__file__).parent.rglob("*tensorflow*.so*")):
        try:
            if hasattr(ctypes.CDLL(str(path)), "TF_LoadSessionFromSavedModel"):
                return path
        except OSError:
            continue
    return None


def test_the_c_library_translates_bytes(model, tmp_path):
    library = _c_library()
    if library is None:
        pytest.skip("this TensorFlow package has no library that exports TF_LoadSessionFromSavedModel")
    picture = _picture(61, 43)
    (tmp_path / "in.png").write_bytes(tf.io.encode_png(picture).numpy())
    _run(C_PROGRAM, library, model, tmp_path / "in.png", tmp_path / "out.png", cwd=tmp_path)
    _check((tmp_path / "out.png").read_bytes(), model, picture)


def test_python_without_this_project_translates_bytes(model, tmp_path):
    picture = _picture(61, 43)
    (tmp_path / "in.png").write_bytes(tf.io.encode_png(picture).numpy())
    program = """
        import json, sys
        sys.modules["gan_hd"] = None  # an import would raise
        import tensorflow as tf
        loaded = tf.saved_model.load(sys.argv[1])
        bytes_in = tf.constant([open("in.png", "rb").read()])
        open("out.png", "wb").write(
            loaded.signatures["serving_default"](image_bytes=bytes_in)["image_bytes"][0].numpy()
        )
        assert json.loads(open(loaded.metadata.asset_path.numpy()).read())["step"] == 1
        names = [name.partition(".")[0] for name, module in sys.modules.items() if module]
        assert "gan_hd" not in names and "pyvips" not in names
        print("|".join(sorted(loaded.signatures)))
    """
    names = _run(program, model, cwd=tmp_path).strip().split("|")
    _check((tmp_path / "out.png").read_bytes(), model, picture)
    tiles = ["tile", "tile_mixed_bfloat16", "tile_mixed_float16"]
    assert names == ["context", "jpeg", "serving_default", *tiles, "translate", "translate_mixed_bfloat16"]


def test_the_command_line_tool_translates_bytes(model, tmp_path):
    picture = _picture(20, 33)
    np.save(tmp_path / "in.npy", np.array([tf.io.encode_png(picture).numpy()]))
    tool = [sys.executable, "-I", "-m", "tensorflow.python.tools.saved_model_cli"]
    options = ["--dir", str(model), "--tag_set", "serve", "--signature_def", "serving_default"]
    shown = subprocess.run(
        [*tool, "show", *options], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert shown.stdout.count("dtype: DT_STRING") == 2
    done = subprocess.run(
        [*tool, "run", *options, "--inputs", "image_bytes=in.npy", "--outdir", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    _check(np.load(tmp_path / "image_bytes.npy", allow_pickle=True)[0], model, picture)


def test_memory_stays_within_three_pictures(model, tmp_path):
    """Input, output and one more copy; the constant is what a small picture needs."""
    program = """
        import re, sys
        import tensorflow as tf

        def peak_bytes():
            return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

        translate = tf.saved_model.load(sys.argv[1]).signatures["translate"]
        translate(pixels=tf.zeros([600, 600, 3], tf.uint8))
        before = peak_bytes()
        picture = tf.fill([4000, 6000, 3], tf.constant(7, tf.uint8))
        out = translate(pixels=picture)["pixels"]
        assert out.shape == picture.shape
        print(peak_bytes() - before)
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which this system lacks")
    grown, picture = int(_run(program, model, cwd=tmp_path)), 4000 * 6000 * 3
    assert 2 * picture < grown < 3 * picture + 64 * 2**20
