import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan_hd.optimizer import Adam, LearningRate


def _weights():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((3, 4), (5,), ())]


def _apply(optimizer, variables, gradients):
    optimizer.apply(gradients, variables)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_updates_are_those_of_keras(jit_compile):
    settings = {"learning_rate": 0.01, "beta_1": 0.5, "beta_2": 0.99}
    ours, theirs = Adam(**settings), keras.optimizers.Adam(**settings)
    weights = [_weights(), _weights()]
    for optimizer, variables in zip((ours, theirs), weights, strict=True):
        optimizer.build(variables)
        apply = tf.function(
            functools.partial(_apply, optimizer, variables), jit_compile=jit_compile, autograph=False
        )
        rng = np.random.default_rng(1)
        for _ in range(5):
            apply([tf.constant(rng.normal(size=v.shape), tf.float32) for v in variables])
    for mine, other in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-7)
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-7)
    assert int(ours.iterations) == 5


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.02), (4, 0.1), (9, 0.2), (100, 0.2), (110, 0.1), (115, 0.2 * 0.5**1.5), (140, 0.0125)],
)
def test_the_rate_rises_and_halves_after_its_constant_steps(step, expected):
    rate = LearningRate(0.2, warmup_steps=10, constant_steps=100, half_life_steps=10)
    assert float(rate(tf.constant(step, tf.int64))) == pytest.approx(expected, rel=1e-5)
    assert float(LearningRate(0.2, constant_steps=100)(tf.constant(step))) == pytest.approx(0.2)
    assert float(LearningRate.from_config(rate.get_config())(step)) == pytest.approx(expected, rel=1e-5)
