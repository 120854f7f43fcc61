import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from gan_hd import functional
from gan_hd.config import apply_overrides
from gan_hd.gan import SiameseGAN
from gan_hd.thumbnail import Whole


@pytest.fixture
def still(smoke):
    """Static shapes, spectral norm's vectors and LeCam's means, and nothing random: XLA draws other numbers."""
    return apply_overrides(
        smoke,
        [
            "combo.random_phase=false",
            "discriminator.spectral_norm=true",
            "losses.lecam_weight=0.1",
            "train.context_dropout=0",
            "train.lr_warmup_steps=2",
            "train.lr_constant_steps=1",
            "train.lr_half_life_steps=1",
        ],
    )


def _gan(config, dtype="float32"):
    gan = SiameseGAN(config, dtype=dtype)
    gan.compile()
    return gan


def _batch(config, seed):
    rng = np.random.default_rng(seed)
    n, side = config.train.batch_size, config.generator.thumbnail_px

    def draw(*shape):
        return tf.constant(rng.uniform(-1, 1, (n, *shape, 3)), tf.float32)

    sides_px = tf.constant(np.geomspace(32, 96, n), tf.float32)
    return tuple((draw(*config.crop_px), Whole(draw(side, side), sides_px)) for _ in range(2))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_are_those_of_the_model(still, jit_compile):
    gan = _gan(still)
    state = functional.initial_state(gan)
    before = gan.generator.get_weights()
    pure = tf.function(lambda s, b: functional.train_step(gan, s, b), jit_compile=jit_compile)
    logs = []
    for seed in range(3):
        state, terms = pure(state, _batch(still, seed))
        logs.append(terms)
    for x, y in zip(before, gan.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)  # the model itself has not moved

    step = tf.function(gan.train_step)
    for seed in range(3):
        gan.reset_metrics()
        expected = step(_batch(still, seed))
        for name, value in expected.items():
            np.testing.assert_allclose(logs[seed][name], value, rtol=2e-3, atol=2e-4, err_msg=name)
    after = functional.initial_state(gan)
    assert int(state["variables"][-1]) == 3 == int(gan.step)
    names = functional.variable_names(gan)
    moved = 0
    start = functional.initial_state(_gan(still))["variables"]
    for name, x, y, z in zip(names, state["variables"], after["variables"], start, strict=True):
        # Adam moves every weight by about its learning rate, whatever the gradient: rounding may turn some round.
        assert np.abs(x - y).mean() < 2e-5, name
        moved += np.abs(y - z).max() > 2e-4
    assert moved > 0.5 * len(names)
    for slot in ("g_momentum", "d_velocity"):
        for x, y in zip(state[slot], after[slot], strict=True):
            np.testing.assert_allclose(x, y, rtol=0.02, atol=1e-4)


def test_stablehlo_takes_and_gives_what_its_description_says(still, tmp_path):
    gan = _gan(still, "mixed_bfloat16")
    path = functional.to_stablehlo(gan, tmp_path / "step")
    about = json.loads((tmp_path / "step.json").read_text())
    text = path.read_text()
    head = next(line for line in text.splitlines() if "func.func" in line and "@main" in line)
    arguments, results = head.split("->")
    assert arguments.count("%arg") == len(about["inputs"])
    assert results.count("tensor<") == len(about["outputs"])
    assert "stablehlo.convolution" in text and "bf16" in text
    state = np.load(tmp_path / "step.npz")
    described = [entry["shape"] for entry in about["inputs"] if entry["name"].startswith("state")]
    assert [list(state[name].shape) for name in sorted(state.files)] == described
    types = re.findall(r"%arg\d+: tensor<([^>]*)>", arguments)
    kinds = {"float32": "f32", "int64": "i64"}
    assert types == ["x".join([*map(str, e["shape"]), kinds[e["dtype"]]]) for e in about["inputs"]]
    assert len(about["variables"]) == len(functional.initial_state(gan)["variables"])


def test_what_cannot_be_a_pure_function_is_refused(still):
    moved = apply_overrides(still, ["combo.random_phase=true"])
    with pytest.raises(ValueError, match="combo.random_phase=false"):
        functional.to_stablehlo(_gan(moved), "nowhere")
    gan = _gan(still, "mixed_float16")
    with pytest.raises(ValueError, match="not for float16"):
        functional.train_step(gan, {}, _batch(still, 0))


def test_the_command_overwrites_nothing_and_names_what_is_missing(tmp_path):
    def run(*words):
        command = [sys.executable, "-m", "gan_hd.cli.export_step", "--preset=smoke", *words]
        return subprocess.run(command, capture_output=True, text=True)

    done = run(f"--output={tmp_path}/step.v1")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"step.v1.mlir", "step.v1.npz", "step.v1.json"}
    for words, told in (
        ([], "--output is missing"),
        ([f"--output={tmp_path}/step.v1"], "--overwrite replaces it"),
        ([f"--output={tmp_path}/other", "--set=combo.tile_px=3"], "combo.tile_px"),
        ([f"--output={tmp_path}/other", "--set=combo.random_phase=true"], "combo.random_phase=false"),
    ):
        refused = run(*words)
        assert refused.returncode == 2 and told in refused.stderr and refused.stderr.count("\n") == 1
