import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from gan_hd import convert, export
from gan_hd.models.generator import Generator
from gan_hd.thumbnail import Whole


@pytest.fixture
def generator(smoke):
    generator = Generator(smoke.generator)
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.15) for w in generator.get_weights()])
    return generator


def _tiles(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def _told():
    """Of the whole picture."""
    return {"thumbnail": _tiles(1, 16, 16, 3), "side_px": np.array([64], np.float32)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tf2onnx uses what numpy and TensorFlow deprecate
def test_onnx_computes_the_same_at_every_size(generator, smoke, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    metadata = export.describe(generator, config=smoke, step=3)
    path = convert.to_onnx(generator, tmp_path / "model.onnx", metadata=metadata)
    session = runtime.InferenceSession(path)
    assert [tensor.name for tensor in session.get_inputs()] == ["pixels", "thumbnail", "side_px"]
    assert [tensor.name for tensor in session.get_outputs()] == ["translated"]
    for shape in ((1, 16, 24, 3), (3, 64, 8, 3)):
        (out,) = session.run(None, {"pixels": _tiles(*shape), **_told()})
        context = tf.repeat(generator.encode(Whole(*_told().values())), shape[0], axis=0)
        np.testing.assert_allclose(out, generator(_tiles(*shape), context=context), atol=1e-4)
        assert np.abs(out - _tiles(*shape)).max() > 0.1
    inside = json.loads(session.get_modelmeta().custom_metadata_map["metadata.json"])
    assert inside == json.loads((tmp_path / "model.onnx.json").read_text())
    assert inside["halo_px"] == metadata["halo_px"] and inside["step"] == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tf.lite.Interpreter announces its successor
@pytest.mark.parametrize("identity_start", [True, False])
def test_litert_computes_the_same_at_every_size(generator, smoke, tmp_path, identity_start):
    shape = dataclasses.replace(smoke.generator, identity_start=identity_start)
    weights = generator.get_weights()
    generator = Generator(shape)
    generator.set_weights(weights)
    metadata = export.describe(generator, config=smoke, step=3)
    path = convert.to_litert(generator, tmp_path / "model.tflite", metadata=metadata)
    interpreter = tf.lite.Interpreter(str(path))
    for shape in ((1, 16, 24, 3), (1, 64, 8, 3)):
        inputs = {
            d["name"].removeprefix("serving_default_").split(":")[0]: d["index"]
            for d in interpreter.get_input_details()
        }
        interpreter.resize_tensor_input(inputs["pixels"], shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(inputs["pixels"], _tiles(*shape))
        for name, value in _told().items():
            interpreter.set_tensor(inputs[name], value)
        interpreter.invoke()
        out = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        context = generator.encode(Whole(*_told().values()))
        np.testing.assert_allclose(out, generator(_tiles(*shape), context=context), atol=1e-4)
        assert np.abs(out - _tiles(*shape)).max() > 0.1
    assert json.loads((tmp_path / "model.tflite.json").read_text())["stride_px"] == generator.stride_px


def test_without_tf2onnx_the_install_line_is_named(generator, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tf2onnx", None)
    with pytest.raises(ValueError, match=r"pip install 'gan-hd\[onnx\]'"):
        convert.to_onnx(generator, tmp_path / "model.onnx", metadata={})
    assert not list(tmp_path.iterdir())
