"""The training step as a pure function: (state, batch) -> (state, loss terms), no variable touched.

For compilers and other machines: under ``tf.function(jit_compile=True)`` it is one XLA program, and
:func:`to_stablehlo` writes it as StableHLO, which other frameworks run. It is the same algorithm as
SiameseGAN.train_step, for one device, in float32 or bfloat16.

In: a SiameseGAN, for its networks and settings. Out: functions of tensors.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan_hd.files import whole_file
from gan_hd.gan import Batch, SiameseGAN, learning_rate
from gan_hd.optimizer import adam
from gan_hd.thumbnail import Whole

#: By name, see :func:`initial_state`.
State = dict[str, list[tf.Tensor]]


def initial_state(gan: SiameseGAN) -> State:
    """All that a step reads and changes.

    ``variables``: of both networks, the averages and the step count, in the order of :func:`variable_names`;
    ``g_momentum``, ``g_velocity``, ``d_momentum``, ``d_velocity``: Adam's, in the order of the networks' trainable
    variables.
    """
    state = {"variables": [tf.identity(variable.value) for variable in _variables(gan)]}
    for name, optimizer in (("g", gan.g_optimizer), ("d", gan.d_optimizer)):
        for slot, slots in (("momentum", optimizer._momentums), ("velocity", optimizer._velocities)):
            state[f"{name}_{slot}"] = [tf.identity(variable.value) for variable in slots]
    return state


def variable_names(gan: SiameseGAN) -> list[str]:
    """Names of the state's ``variables``, in order."""
    owners = (
        ("generator", gan.generator),
        ("ema_generator", gan.ema_generator),
        ("discriminator", gan.discriminator),
    )
    names = [f"{owner}/{variable.path}" for owner, network in owners for variable in network.variables]
    return [*names, "norm_means", "step"]


def train_step(gan: SiameseGAN, state: State, batch: Batch) -> tuple[State, dict[str, tf.Tensor]]:
    """One update of both networks.

    Args:
        gan: whose algorithm; its own variables are neither read nor changed.
        state: from :func:`initial_state` or the step before.
        batch: as for SiameseGAN.train_step.

    Returns:
        the next state, and the loss terms of this batch by name, float32 scalars.

    Raises:
        ValueError: in float16, whose loss scale lives in the optimisers.
    """
    if gan.dtype_policy.compute_dtype == "float16":
        raise ValueError("the functional step is for float32 and bfloat16, not for float16")
    variables = _variables(gan)
    given = dict(zip(map(id, variables), state["variables"], strict=True))
    mapping = [(variable, given[id(variable)]) for variable in variables]
    with keras.StatelessScope(state_mapping=mapping):
        found = gan.gradients(batch)
        step = gan.step.value + 1
        following: State = {}
        train = gan.config.train
        for name, network, gradients, peak in (
            ("d", gan.discriminator, found.d, train.discriminator_lr),
            ("g", gan.generator, found.g, train.generator_lr),
        ):
            rate = learning_rate(train, peak)(step - 1)
            momentum, velocity = [], []
            for variable, gradient, m, v in zip(
                network.trainable_variables,
                gradients,
                state[f"{name}_momentum"],
                state[f"{name}_velocity"],
                strict=True,
            ):
                value, m, v = adam(
                    variable.value,
                    m,
                    v,
                    gradient,
                    step=step,
                    learning_rate=rate,
                    beta_1=train.beta_1,
                    beta_2=train.beta_2,
                    epsilon=gan.g_optimizer.epsilon,
                )
                variable.assign(value)
                momentum.append(m)
                velocity.append(v)
            following |= {f"{name}_momentum": momentum, f"{name}_velocity": velocity}
        gan.update_averages(found.z_b, found.z_ab)
        following["variables"] = [tf.convert_to_tensor(variable.value) for variable in variables]
    return {name: following[name] for name in state}, found.terms


def traced(gan: SiameseGAN) -> tf.types.experimental.ConcreteFunction:
    """The step for XLA, traced for the configuration's shapes: takes (state, batch).

    Raises:
        ValueError: for settings without static shapes (combo.random_phase), and float16.
    """
    if gan.config.combo.random_phase:
        raise ValueError("XLA needs static shapes: add --set=combo.random_phase=false")
    return _compiled(gan).get_concrete_function(initial_state(gan), _empty_batch(gan))


def to_stablehlo(gan: SiameseGAN, output: str | os.PathLike) -> Path:
    """Writes OUTPUT.mlir, the step as a StableHLO program, OUTPUT.npz, its first state, and OUTPUT.json.

    The program takes the state's arrays and then the batch's, one argument each, and gives the next state's and the
    loss terms; OUTPUT.json names and describes all of them in order.

    Returns:
        the program's path.

    Raises:
        ValueError: as for :func:`traced`.
    """
    outputs = traced(gan).structured_outputs
    state, batch = initial_state(gan), _empty_batch(gan)
    text = str(_compiled(gan).experimental_get_compiler_ir(state, batch)(stage="stablehlo"))
    about = {
        "config": dataclasses.asdict(gan.config),
        "precision": gan.dtype_policy.name,
        "variables": variable_names(gan),
        "inputs": [*_described(state, "state"), *_described(batch, "batch")],
        "outputs": [*_described(outputs[0], "state"), *_described(outputs[1], "terms")],
    }
    output = Path(output)
    program, arrays, description = (
        output.with_name(f"{output.name}{ending}") for ending in (".mlir", ".npz", ".json")
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(program) as part:
        part.write_text(text)
    with whole_file(arrays) as part, part.open("wb") as file:
        flat = tf.nest.flatten(state)
        np.savez(file, **{f"{place:04d}": value.numpy() for place, value in enumerate(flat)})
    with whole_file(description) as part:
        part.write_text(json.dumps(about, indent=2) + "\n")
    return program


def _compiled(gan: SiameseGAN) -> Any:
    return tf.function(lambda state, batch: train_step(gan, state, batch), jit_compile=True, autograph=False)


def _empty_batch(gan: SiameseGAN) -> Batch:
    n, side = gan.config.train.batch_size, gan.config.generator.thumbnail_px
    domain = tf.zeros([n, *gan.config.crop_px, 3]), Whole(tf.zeros([n, side, side, 3]), tf.zeros([n]))
    return domain, domain


def _variables(gan: SiameseGAN) -> list[keras.Variable]:
    networks = (gan.generator, gan.ema_generator, gan.discriminator)
    return [*(variable for network in networks for variable in network.variables), gan.norm_means, gan.step]


def _described(structure: Any, owner: str) -> list[dict[str, Any]]:
    """Name, shape and type of every array, in the order of a program's arguments."""
    return [
        {"name": "/".join(map(str, (owner, *path))), "shape": list(value.shape), "dtype": value.dtype.name}
        for path, value in keras.tree.flatten_with_path(structure)
    ]
