"""The rows of the benchmark: what is timed, and what it must compute.

A row's step does one forward and backward pass and returns the outputs and
all gradients. Its reference computes the same another way, from the same
multipliers: stock Keras where it can, else automatic differentiation.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import dropkit as dk
from dropkit import recurrent
from dropkit.methods import Sizes
from dropkit.noise import Bernoulli
from dropkit.plan import Plan
from dropkit.stream import Stream

try:
    import torch
except ImportError:
    torch = None

RATE = 0.25
KERAS_RATES = {"dropout": RATE, "recurrent_dropout": RATE}
Step = Callable[[], list[np.ndarray]]


class Problem:
    """Inputs, weights and the gradient of the outputs, of one shape.

    Args:
        shape: Batch, time, features and units.
        kind: ``"LSTM"``, ``"GRU"`` or ``"SimpleRNN"``.
    """

    def __init__(self, shape: tuple[int, int, int, int], kind: str = "LSTM"):
        self.shape, self.kind = shape, kind
        batch, time, features, units = shape
        generator = np.random.default_rng(0)
        self.x = tf.constant(
            generator.normal(size=(batch, time, features)), tf.float32
        )
        self.dy = tf.constant(
            generator.normal(size=(batch, time, units)) / (batch * time),
            tf.float32,
        )
        limit = units**-0.5
        blank = self.layer(keras.layers, weights=False)
        self.weights = [
            generator.uniform(-limit, limit, weight.shape).astype("float32")
            for weight in blank.weights
        ]

    def layer(self, family, weights: bool = True, **kwargs):
        """A built layer of this kind with the problem's weights."""
        layer = getattr(family, self.kind)(
            self.shape[-1], return_sequences=True, **kwargs
        )
        layer.build(self.x.shape)
        if weights:
            layer.set_weights(self.weights)
        return layer


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Args:
        label: What the table calls it.
        step: Makes the step of a problem.
        reference: Makes the step that it is compared with; None for a limit
            that computes something else.
    """

    label: str
    step: Callable[[Problem], Step]
    reference: Callable[[Problem], Step] | None


def with_gradients(layer, problem, jit=False, training=True) -> Step:
    """A step of a Keras layer, compiled as one function."""
    variables = [v.value for v in layer.trainable_variables]

    @tf.function(jit_compile=jit)
    def step(x, dy):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * dy)
        return y, *tape.gradient(loss, [x, *variables])

    def run():
        return step(problem.x, problem.dy)

    run.layer = layer
    return run


def wait(result) -> None:
    """Returns when the step is done: fetches its last, smallest gradient."""
    last = result[-1]
    np.asarray(last.detach() if hasattr(last, "detach") else last)


def stock(jit=False, **kwargs):
    return lambda p: with_gradients(p.layer(keras.layers, **kwargs), p, jit)


def ours(method, **kwargs):
    """A dropkit layer as a user gets it."""

    def make(problem):
        layer = problem.layer(
            dk, dropout=RATE, recurrent_dropout=method, seed=1, **kwargs
        )
        return with_gradients(layer, problem)

    return make


def planned(method, parts, compiled, **kwargs):
    """The same with a plan of our choice; it is taken in the first call."""
    plan = Plan(parts, compiled, "chosen by the benchmark")

    def make(problem):
        step = ours(method, **kwargs)(problem)

        def run():
            with mock.patch.object(recurrent, "choose", lambda *_: plan):
                return step()

        run.layer = step.layer
        return run

    return make


@contextlib.contextmanager
def recorded():
    """Records the multipliers that are drawn inside, by site."""
    drawn = {}
    multiplier = Bernoulli.multiplier

    def record(self, key, shape, dtype, role):
        value = multiplier(self, key, shape, dtype, role)
        drawn[role.split("/")[-1]] = value
        return value

    with mock.patch.object(Bernoulli, "multiplier", record):
        yield drawn


def kerass_own(method):
    """Stock Keras with the multipliers that our layer draws."""

    def make(problem):
        twin = problem.layer(dk, dropout=RATE, recurrent_dropout=method, seed=1)
        with recorded() as masks:
            twin(problem.x, training=True)
        layer = problem.layer(keras.layers, **KERAS_RATES)
        cell = layer.cell

        def per_gate(mask):
            gates = getattr(cell, "dropout_mask_count", None)
            if gates is None:
                return mask
            untied = len(mask.shape) == 3
            return [mask[gate] if untied else mask for gate in range(gates)]

        cell.get_dropout_mask = lambda _: per_gate(masks["input"])
        cell.get_recurrent_dropout_mask = lambda _: per_gate(masks["state"])
        return with_gradients(layer, problem)

    return make


def differentiated(method):
    """Our equations by automatic differentiation, with the same draws."""

    def activation(x):
        return tf.tanh(x)

    # An unknown function has no hand-written gradient.
    return planned(method, 1, False, activation=activation)


def block_lstm(problem: Problem) -> Step:
    """TensorFlow's fused CPU kernel, with the gradient that is right.

    TF 2.21 registers a wrong one for ``BlockLSTMV2``.
    """
    batch, time, _, units = problem.shape
    zeros, peephole = tf.zeros([batch, units]), tf.zeros([units])
    shared = {"use_peephole": False, "seq_len_max": time, "cs_prev": zeros}
    shared |= {"h_prev": zeros, "wci": peephole, "wcf": peephole}
    shared |= {"wco": peephole}

    @tf.custom_gradient
    def run(x, w, b):
        out = tf.raw_ops.BlockLSTMV2(x=x, w=w, b=b, cell_clip=0.0, **shared)

        def gradient(dh):
            saved = {
                name: getattr(out, name)
                for name in ("i", "cs", "f", "o", "ci", "co", "h")
            }
            grads = tf.raw_ops.BlockLSTMGradV2(
                x=x,
                w=w,
                b=b,
                h_grad=dh,
                cs_grad=tf.zeros_like(out.cs),
                **saved,
                **shared,
            )
            return grads.x_grad, grads.w_grad, grads.b_grad

        return out.h, gradient

    kernel, recurrent_kernel, bias = map(tf.Variable, problem.weights)

    @tf.function
    def step(x, dy):
        watched = [x, kernel, recurrent_kernel, bias]
        with tf.GradientTape() as tape:
            tape.watch(x)
            weights = tf.concat([kernel, recurrent_kernel], 0)
            h = run(tf.transpose(x, [1, 0, 2]), weights, bias + 0)
            y = tf.transpose(h, [1, 0, 2])
            loss = tf.reduce_sum(y * dy)
        return y, *tape.gradient(loss, watched)

    return lambda: step(problem.x, problem.dy)


def torch_lstm(problem: Problem) -> Step:
    """``torch.nn.LSTM`` without dropout."""
    device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"
    features, units = problem.shape[2:]
    kernel, recurrent_kernel, bias = problem.weights
    layer = torch.nn.LSTM(features, units, batch_first=True)
    values = [kernel.T, recurrent_kernel.T, bias, 0 * bias]
    with torch.no_grad():
        for parameter, value in zip(layer.parameters(), values, strict=True):
            parameter.copy_(torch.tensor(value))
    layer = layer.to(device)
    x = torch.tensor(problem.x.numpy(), device=device, requires_grad=True)
    dy = torch.tensor(problem.dy.numpy(), device=device)

    def step():
        y, _ = layer(x)
        watched = [x, *list(layer.parameters())[:3]]
        grads = list(torch.autograd.grad((y * dy).sum(), watched))
        grads[1:3] = [g.T for g in grads[1:3]]
        return [g.cpu() for g in (y, *grads)]

    return step


def products(problem: Problem) -> Step:
    """The matrix products of a step alone, each after the one before.

    A soft limit: each step reuses one state and one gradient.
    """
    batch, time, features, units = problem.shape
    draw = np.random.default_rng(0).normal
    kernel, recurrent_kernel = map(tf.constant, problem.weights[:2])
    gates = kernel.shape[1]
    sizes = [
        (time * batch, features),
        (batch, units),
        (batch, gates),
        (time * batch, gates),
        (time * batch, units),
    ]
    tensors = [tf.constant(draw(size=size), tf.float32) for size in sizes]

    @tf.function
    def step(x, h, dz, dZ, H):
        def chain(count, previous, product):
            for _ in range(count):
                with tf.control_dependencies([previous]):
                    previous = product()
            return previous

        projected = tf.matmul(x, kernel)
        last = chain(time, projected, lambda: tf.matmul(h, recurrent_kernel))
        last = chain(
            time,
            last,
            lambda: tf.matmul(dz, recurrent_kernel, transpose_b=True),
        )
        final = [
            lambda: tf.matmul(H, dZ, transpose_a=True),
            lambda: tf.matmul(x, dZ, transpose_a=True),
            lambda: tf.matmul(dZ, kernel, transpose_b=True),
        ]
        sums = [projected[0, 0], last[0, 0]]
        for product in final:
            last = chain(1, last, product)
            sums.append(last[0, 0])
        return [tf.add_n(sums)]

    return lambda: step(*tensors)


def forward(method):
    """The forward pass in training alone."""

    def make(problem):
        layer = problem.layer(
            dk, dropout=RATE, recurrent_dropout=method, seed=1
        )

        @tf.function
        def step(x):
            return [layer(x, training=True)]

        return lambda: step(problem.x)

    return make


def draws(method):
    """The masks of a step alone."""

    def make(problem):
        batch, time, features, units = problem.shape
        stream = Stream(1)
        sizes = Sizes(time, batch, units, 4, "float32", "forward")

        @tf.function
        def step():
            key = stream.next_key()
            masks = method.sites(key, sizes).tensors()
            shape = [4] * (method.gates == "untied") + [batch, features]
            given = Bernoulli(RATE).multiplier(key, shape, "float32", "input")
            return [given, *masks]

        return step

    return make


def gal_rows(name, method) -> dict[str, Row]:
    """A method as a user gets it, and with every plan."""
    reference = kerass_own(method)
    rows = {name: Row(f"dropkit {name}", ours(method), reference)}
    for compiled, form in ((False, "loop"), (True, "XLA")):
        for parts in (1, 2):
            rows[f"{name}_{form}_{parts}"] = Row(
                f"dropkit {name}, {form}, {parts} part{'s'[: parts - 1]}",
                planned(method, parts, compiled),
                reference,
            )
    return rows


def method_row(label, method, reference=differentiated) -> Row:
    return Row(f"dropkit {label}", ours(method), reference(method))


TIED = dk.Gal(RATE)
UNTIED = dk.Gal(RATE, gates="untied")
PARTS = {
    f"{name}_{part}": Row(f"{name}, {label}", make(method), None)
    for name, method in (("tied", TIED), ("untied", UNTIED))
    for part, label, make in (
        ("step", "the whole step", ours),
        ("forward", "forward alone", forward),
        ("draws", "masks alone", draws),
    )
} | {"products": Row("matrix products alone", products, None)}
METHODS = {
    "per_batch": method_row(
        'tied, `per="batch"`', dk.Gal(RATE, per="batch"), kerass_own
    ),
    "per_step": method_row('tied, `over="step"`', dk.Gal(RATE, over="step")),
    "weight_drop": method_row("WeightDrop", dk.WeightDrop(RATE)),
    "semeniuta": method_row("Semeniuta", dk.Semeniuta(RATE)),
    "moon": method_row("Moon", dk.Moon(RATE)),
    "zoneout": method_row("Zoneout", dk.Zoneout(RATE, RATE)),
}
KERAS = {
    "keras": Row("Keras, both dropouts", stock(**KERAS_RATES), None),
    "keras_jit": Row(
        "the same, `jit_compile`", stock(jit=True, **KERAS_RATES), None
    ),
}
PLAIN = {
    "plain": Row("Keras without dropout", stock(), None),
    "plain_jit": Row("the same, `jit_compile`", stock(jit=True), stock()),
}
TRAINING = {
    **KERAS,
    **PLAIN,
    "block": Row("BlockLSTMV2 without dropout", block_lstm, stock()),
    "torch": Row("`torch.nn.LSTM` without dropout", torch_lstm, stock()),
    "products": Row("matrix products alone", products, None),
    **gal_rows("tied", TIED),
    **gal_rows("untied", UNTIED),
    **METHODS,
}
if torch is None:
    del TRAINING["torch"]


def other_cells(kind: str) -> dict[str, Row]:
    """The rows of GRU and SimpleRNN."""
    defined = {"per_batch", "per_step", "weight_drop", "zoneout"}
    rows = {
        **KERAS,
        **PLAIN,
        "tied": method_row("tied", TIED, kerass_own),
        "untied": method_row("untied", UNTIED, kerass_own),
        **{name: METHODS[name] for name in METHODS if name in defined},
        "zoneout": method_row("Zoneout", dk.Zoneout(RATE)),
    }
    if kind == "GRU":
        rows["semeniuta"] = METHODS["semeniuta"]
    return rows


def inference(layer, problem) -> Step:
    """Outputs alone."""

    @tf.function
    def step(x):
        return [layer(x, training=False)]

    return lambda: step(problem.x)


def inference_row(label, family, **kwargs) -> Row:
    make = lambda p: inference(p.layer(family, **kwargs), p)  # noqa: E731
    return Row(label, make, lambda p: inference(p.layer(keras.layers), p))


INFERENCE = {
    "plain": inference_row("Keras without dropout", keras.layers),
    "keras": inference_row("Keras, both dropouts", keras.layers, **KERAS_RATES),
    "tied": inference_row(
        "dropkit tied", dk, dropout=RATE, recurrent_dropout=TIED
    ),
    "untied": inference_row(
        "dropkit untied", dk, dropout=RATE, recurrent_dropout=UNTIED
    ),
}
