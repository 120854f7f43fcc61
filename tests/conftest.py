"""Shared fixtures. TensorFlow's start-up notes stay quiet; two logical CPUs let strategies be tested."""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from gan_hd.config import PRESETS, Config

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# A run in the background is started with Ctrl-C ignored, which the processes it starts inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def smoke() -> Config:
    """The smallest configuration: seconds per training."""
    return PRESETS["smoke"]


@pytest.fixture(scope="session")
def random_model(tmp_path_factory):
    """A smoke-sized generator with random weights, and the SavedModel it was exported to; only to be read."""
    from gan_hd.export import export_generator
    from gan_hd.models.generator import Generator

    generator = Generator(PRESETS["smoke"].generator)
    rng = np.random.default_rng(0)
    generator.set_weights([rng.normal(size=w.shape, scale=0.15) for w in generator.get_weights()])
    folder = tmp_path_factory.mktemp("run") / "saved_model"
    export_generator(generator, folder, config=PRESETS["smoke"], step=1)
    return generator, folder


@pytest.fixture
def noise_folder(tmp_path):
    """Makes a folder of `count` smooth coloured-noise pictures; the seed decides their look."""

    def make(name: str, *, count: int = 3, seed: int = 0, size=(120, 90)) -> str:
        folder = tmp_path / name
        folder.mkdir()
        rng = np.random.default_rng(seed)
        for number in range(count):
            coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
            picture = PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC)
            picture.save(folder / f"{number}.png")
        return str(folder)

    return make
