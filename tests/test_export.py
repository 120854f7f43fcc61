import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from gan_hd.export import SIGNATURES, export_generator
from gan_hd.models.generator import Generator


@pytest.fixture
def exported(tmp_path, smoke):
    generator = Generator(smoke.generator)
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.2) for w in generator.get_weights()])
    return generator, export_generator(generator, tmp_path / "model", config=smoke, step=7)


def test_each_precision_computes_in_its_own_arithmetic(exported):
    generator, folder = exported
    x = np.random.default_rng(1).uniform(-1, 1, (2, 16, 24, 3)).astype(np.float32)
    loaded, errors = tf.saved_model.load(str(folder)), {}
    for precision, name in SIGNATURES.items():
        y = loaded.signatures[name](pixels=tf.constant(x))["pixels"]
        assert y.dtype == tf.float32 and y.shape == x.shape
        errors[precision] = np.abs(y - generator(x)).mean()
    assert errors["float32"] < 1e-6 < errors["mixed_float16"] < errors["mixed_bfloat16"] < 0.1


def test_metadata_says_what_tiling_needs(exported, smoke):
    generator, folder = exported
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["radius_px"] == generator.radius_px and metadata["stride_px"] == generator.stride_px
    assert metadata["tile_px"] == smoke.combo.tile_px and metadata["step"] == 7
    assert set(metadata["versions"]) == {"gan_hd", "tensorflow", "keras"}


@pytest.mark.slow
def test_a_program_without_this_project_or_keras_loads_it(exported, tmp_path):
    _, folder = exported
    program = textwrap.dedent(f"""
        import sys
        import tensorflow as tf
        model = tf.saved_model.load({str(folder)!r})
        y = model.signatures["tile"](pixels=tf.zeros([1, 16, 16, 3]))["pixels"]
        assert y.shape == (1, 16, 16, 3)
        assert not any(name.split(".")[0] == "gan_hd" for name in sys.modules)
    """)
    subprocess.run([sys.executable, "-I", "-c", program], check=True, cwd=tmp_path)


def test_an_older_export_is_replaced_whole(exported, smoke):
    generator, folder = exported
    (folder / "stale.txt").write_text("")
    export_generator(generator, folder, config=smoke, step=8)
    assert not (folder / "stale.txt").exists()
    assert json.loads((folder / "metadata.json").read_text())["step"] == 8
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
