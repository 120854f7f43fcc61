"""Floating-point operations of a traced function, counted from its convolutions and matrix products.

A multiplication and an addition are two operations. What else a network computes (activations, padding, losses) is
left out: it is what a peak of convolutions cannot hide, and counts as lost time in a share of that peak.

In: a concrete function whose shapes are all known. Out: operations, by type of TensorFlow operation.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def count(function: tf.types.experimental.ConcreteFunction) -> dict[str, int]:
    """Operations of one call, of those that are executed.

    Args:
        function: traced with static shapes; networks are called in it directly, not in loops or branches.

    Returns:
        operations by type, such as {"Conv2D": 1000, "MatMul": 10}.

    Raises:
        ValueError: an operation's shape is unknown, or it stands in a nested function, where it may run any number
            of times.
    """
    total: collections.Counter[str] = collections.Counter()
    for operation in _executed(function.graph):
        counter = _COUNTERS.get(operation.type)
        if counter is not None:
            total[operation.type] += counter(operation)
    for nested in function.graph.as_graph_def().library.function:
        hidden = sorted({node.op for node in nested.node_def} & set(_COUNTERS))
        if hidden:
            raise ValueError(
                f"operations are counted at the top level only. Received: {hidden} in {nested.signature.name}"
            )
    return dict(total)


def _executed(graph: Any) -> set[tf.Operation]:
    """What the outputs and side effects depend on. A tape traces more, such as gradients nobody asked for."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    found: set[tf.Operation] = set()
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return found


def _size(operation: tf.Operation, tensor: tf.Tensor) -> int:
    if not tensor.shape.is_fully_defined():
        raise ValueError(f"shapes must be known. Received: {tensor.shape} in {operation.name}")
    return math.prod(tensor.shape)


def _convolution(outputs: tf.Tensor, kernel: tf.Tensor, operation: tf.Operation) -> int:
    """Each output value is a sum over the kernel's height, width and input channels."""
    return 2 * _size(operation, outputs) * (_size(operation, kernel) // kernel.shape[-1])


def _matmul(operation: tf.Operation) -> int:
    left = operation.inputs[0]
    _size(operation, left)
    transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return 2 * _size(operation, operation.outputs[0]) * left.shape[-2 if transposed else -1]


_COUNTERS: dict[str, Callable[[tf.Operation], int]] = {
    "Conv2D": lambda op: _convolution(op.outputs[0], op.inputs[1], op),
    "Conv2DBackpropInput": lambda op: _convolution(op.inputs[2], op.inputs[1], op),
    "Conv2DBackpropFilter": lambda op: _convolution(op.inputs[2], op.outputs[0], op),
    "MatMul": _matmul,
    "BatchMatMulV2": _matmul,
}
