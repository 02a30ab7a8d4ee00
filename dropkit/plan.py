"""The plan of a loop: in how many parts, and compiled by XLA or not.

The samples of a batch are independent, so a batch can run as several loops
beside each other; on a CPU with two cores that pays where the matrices are
too small to use both. ``benchmarks/README.md`` times each plan at five shapes
on such a machine; the limits between those shapes are estimates. Nothing was
measured on a GPU.

Private name of TensorFlow that this module relies on, tested at both ends of
the supported versions: ``control_flow_util.GraphOrParentsInXlaContext``.
"""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

# Compiled versions of one layer before the plain loop takes over: each new
# length or batch size is compiled anew.
MAX_COMPILED = 8
# Below this many state entries in all steps, compiling costs more than a
# whole training gains.
SMALLEST_COMPILED = 200_000
# Fewer samples than this are not split: an estimate.
SMALLEST_SPLIT = 16
# From this width on, the matrix products fill all cores by themselves.
WIDE = 512


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a loop runs.

    Args:
        parts: Number of loops beside each other.
        compiled: Whether the layer compiles each with XLA.
        why: The reason, in words.
    """

    parts: int
    compiled: bool
    why: str


def in_xla() -> bool:
    """Whether a function around this one is compiled by XLA.

    A function that is compiled inside a compiled one takes seconds at each
    call (seen in TensorFlow 2.21), so the plan must know.
    """
    graph = tf.compat.v1.get_default_graph()
    return control_flow_util.GraphOrParentsInXlaContext(graph)


FOLDED = Plan(
    1, False, "Keras's own: all samples share a multiplier, now in the kernel"
)


def choose(
    time: int | None,
    batch: int | None,
    units: int,
    compiled_before: int,
    hand_written: bool = True,
) -> Plan:
    """Returns the plan for a loop of these sizes.

    Args:
        time: Number of steps; None if unknown while tracing.
        batch: Number of samples; None if unknown while tracing.
        units: Width of the state.
        compiled_before: Number of other shapes that this layer has compiled.
        hand_written: Whether the loop has a hand-written gradient.
    Returns:
        A :class:`Plan`.
    Example:
        >>> choose(100, 32, 650, 0).why
        'plain loop: not inside a tf.function'
    """
    if not hand_written:
        # What automatic differentiation saves cannot leave an XLA loop.
        return Plan(1, False, "plain loop: its gradient is automatic")
    if tf.executing_eagerly():
        return Plan(1, False, "plain loop: not inside a tf.function")
    if in_xla():
        why = "XLA, the whole batch: compiled with the whole step"
        return Plan(1, False, why)
    if time is None:
        return Plan(1, False, "plain loop: the number of steps is not fixed")
    if time * (batch or 32) * units < SMALLEST_COMPILED:
        return Plan(1, False, "plain loop: too small to be worth compiling")
    if compiled_before >= MAX_COMPILED:
        return Plan(1, False, "plain loop: too many shapes were compiled")
    if tf.config.list_logical_devices("GPU"):
        return Plan(1, True, "XLA, the whole batch: not measured on a GPU")
    if units >= WIDE:
        why = "XLA, the whole batch: its products fill all cores"
        return Plan(1, True, why)
    if (os.cpu_count() or 1) > 1 and (batch or 32) >= SMALLEST_SPLIT:
        return Plan(2, True, "XLA, two halves of the batch beside each other")
    return Plan(1, True, "XLA, the whole batch")
