"""Adam as one operation per weight, and its learning rate.

Keras writes the update out in a dozen small operations for each of the two networks' weights, which cost more to
schedule than to compute. TensorFlow has the same formula as one kernel, for CPUs, GPUs and XLA.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """keras.optimizers.Adam with the same arguments, slots and formula.

    θ ← θ − α·m/(√v + ε), α = η·√(1 − β₂ᵗ)/(1 − β₁ᵗ), m and v the running means of the gradient and its square.

    Reference: Kingma & Ba, "Adam", ICLR 2015, the form at the end of section 2. AMSGrad is not offered.
    """

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        dtype = variable.dtype
        place = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=tf.cast(self.beta_1, dtype) ** step,
            beta2_power=tf.cast(self.beta_2, dtype) ** step,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


class LearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """η·min(1, (step + 1) / warmup_steps) until step `constant_steps`, then halved with every `half_life_steps`.

    η·2^(-(step - constant_steps) / half_life_steps), smoothly; half life 0: η for ever. The end of a training need not
    be known, as for a decay to zero: it can always go on.
    """

    def __init__(
        self, peak: float, *, warmup_steps: int = 0, constant_steps: int = 0, half_life_steps: int = 0
    ) -> None:
        self.peak, self.warmup_steps = peak, warmup_steps
        self.constant_steps, self.half_life_steps = constant_steps, half_life_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rate = self.peak * tf.minimum((step + 1.0) / max(1, self.warmup_steps), 1.0)
        if not self.half_life_steps:
            return rate
        return rate * 0.5 ** (tf.maximum(step - self.constant_steps, 0.0) / self.half_life_steps)

    def get_config(self) -> dict:
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "constant_steps": self.constant_steps,
            "half_life_steps": self.half_life_steps,
        }


def adam(
    value: tf.Tensor,
    momentum: tf.Tensor,
    velocity: tf.Tensor,
    gradient: tf.Tensor,
    *,
    step: tf.Tensor,
    learning_rate: tf.Tensor,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """:class:`Adam` as a pure function: the next value, momentum and velocity. `step` counts from 1."""
    step = tf.cast(step, value.dtype)
    rate = learning_rate * tf.sqrt(1.0 - beta_2**step) / (1.0 - beta_1**step)
    momentum += (1.0 - beta_1) * (gradient - momentum)
    velocity += (1.0 - beta_2) * (tf.square(gradient) - velocity)
    return value - rate * momentum / (tf.sqrt(velocity) + epsilon), momentum, velocity
