"""The hand-written gradients against automatic differentiation.

The plain loops below state the equations once more, without tensors arrays,
layouts or saved values; TensorFlow differentiates them.
"""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from dropkit import engine, generic
from dropkit.loops import Projection
from dropkit.sites import Multiplier, Sites

T, B, F, U = 5, 3, 2, 4
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
CELLS = {"lstm": engine.LSTM, "gru": engine.GRU, "rnn": engine.SIMPLE_RNN}
GENERATOR = np.random.default_rng(0)


def normal(*shape):
    return tf.constant(GENERATOR.normal(size=shape) * 0.5, tf.float32)


def mask(*shape):
    return tf.constant(GENERATOR.random(shape) > 0.4, tf.float32) / 0.6


def multiplier(kind, gates):
    """A state multiplier of a kind: tied or untied, per step or sequence."""
    steps, untied = "step" in kind, "untied" in kind
    batch = 1 if "batch" in kind else B
    shape = [T] * steps + [gates] * untied + [batch, U]
    return Multiplier(mask(*shape), steps, untied)


def input_multiplier(untied, gates):
    return Multiplier(mask(*[gates] * untied, B, F), gates=untied)


def plain(cell, x, kernel, recurrent_kernel, bias, recurrent_bias, h, c, sites):
    gates = GATES[cell]
    columns = [slice(g * U, (g + 1) * U) for g in range(gates)]
    m_x = [1.0] * gates
    if sites.input is not None:
        m = sites.input
        m_x = tf.unstack(m.value) if m.gates else [m.value] * gates
    projected = [
        (x * m) @ kernel[:, column] + bias[column]
        for m, column in zip(m_x, columns, strict=True)
    ]
    states = []
    for t in range(T):
        at = {
            name: None if m is None else (m.value[t] if m.steps else m.value)
            for name, m in vars(sites).items()
        }
        untied = sites.state is not None and sites.state.gates
        m_h = 1.0 if at["state"] is None else at["state"]
        outer = [gate[t] for gate in projected]
        inner = [
            (h * (m_h[g] if untied else m_h)) @ recurrent_kernel[:, column]
            for g, column in enumerate(columns)
        ]
        m_g = 1.0 if at["candidate"] is None else at["candidate"]
        k_h = 0.0 if at["keep_state"] is None else at["keep_state"]
        if cell == "lstm":
            i, f, o = (tf.sigmoid(outer[g] + inner[g]) for g in range(3))
            g = tf.tanh(outer[3] + inner[3])
            new = f * c + i * g * m_g
            new = new * (1.0 if at["cell"] is None else at["cell"])
            k_c = 0.0 if at["keep_cell"] is None else at["keep_cell"]
            h = k_h * h + (1 - k_h) * o * tf.tanh(new)
            c = k_c * c + (1 - k_c) * new
        elif cell == "gru":
            b = tf.split(recurrent_bias, 3)
            z, r = (tf.sigmoid(outer[g] + inner[g] + b[g]) for g in range(2))
            g = tf.tanh(outer[2] + r * (inner[2] + b[2]))
            h = k_h * h + (1 - k_h) * (z * h + (1 - z) * g * m_g)
        else:
            h = k_h * h + (1 - k_h) * tf.tanh(outer[0] + inner[0])
        states.append(h)
    return tf.stack(states), c


def inputs(cell, kernel, recurrent_kernel, bias, recurrent_bias, h, c):
    """The weights and the states that a cell has."""
    weights = [kernel, recurrent_kernel, bias]
    if cell == "gru":
        weights.append(recurrent_bias)
    return weights, [h, c] if cell == "lstm" else [h]


def fast(cell, x, *tensors_and_sites, compiled=False):
    *tensors, sites = tensors_and_sites
    run = engine.function(CELLS[cell], sites, compiled)
    outputs, states = run(x, *inputs(cell, *tensors), sites.tensors())
    return outputs, states[1] if cell == "lstm" else tensors[-1]


def by_autodiff(
    cell, x, kernel, recurrent_kernel, bias, recurrent_bias, h, c, sites
):
    sigmoid, tanh = tf.sigmoid, tf.tanh
    apart = sites.state is not None and sites.state.gates
    projection = Projection(kernel, sites.input, GATES[cell], apart)
    projected = projection.forward(x)
    biases = tf.split(bias, len(projected))
    projected = [z + b for z, b in zip(projected, biases, strict=True)]
    arguments = projected, recurrent_kernel
    if cell == "lstm":
        return generic.lstm(*arguments, h, c, sites, tanh, sigmoid)
    if cell == "gru":
        return generic.gru(
            *arguments, recurrent_bias, h, sites, tanh, sigmoid, True
        ), c
    return generic.simple_rnn(*arguments, h, sites, tanh), c


STATES = [None] + [
    f"{tie}-{over}-{per}"
    for tie, over, per in itertools.product(
        ("tied", "untied"), ("sequence", "step"), ("sample", "batch")
    )
]
OTHERS = {
    "plain": {},
    "candidate": {"candidate": ("sequence",)},
    "candidate-step": {"candidate": ("step",)},
    "cell": {"cell": ("sequence",)},
    "cell-step": {"cell": ("step",)},
    "keep-state": {"keep_state": ("step",)},
    "keep-both": {"keep_state": ("step",), "keep_cell": ("step",)},
    "all": {
        "candidate": ("step",),
        "cell": ("sequence",),
        "keep_state": ("step",),
        "keep_cell": ("step",),
    },
}
EXISTS = {
    "lstm": {"candidate", "cell", "keep_state", "keep_cell"},
    "gru": {"candidate", "keep_state"},
    "rnn": {"keep_state"},
}
INPUTS = [None, "tied", "untied"]
CASES = [
    (cell, state, name)
    for cell in EXISTS
    for state in STATES
    for name, others in OTHERS.items()
    if set(others) <= EXISTS[cell]
    and not (cell == "rnn" and state and "untied" in state)
]


def make(cell, state, name, input=None):
    gates = GATES[cell]
    sites = {
        site: multiplier(kind[0], gates) for site, kind in OTHERS[name].items()
    }
    for site in ("keep_state", "keep_cell"):
        if site in sites:
            value = tf.cast(sites[site].value > 0, tf.float32)
            sites[site] = Multiplier(value, steps=True)
    if state:
        sites["state"] = multiplier(state, gates)
    if input:
        sites["input"] = input_multiplier(input == "untied", gates)
    tensors = [
        normal(T, B, F),
        normal(F, gates * U),
        normal(U, gates * U),
        normal(gates * U),
        normal(gates * U),
        normal(B, U),
        normal(B, U),
    ]
    return tensors, Sites(**sites)


def outputs_and_gradients(loop, cell, tensors, sites):
    w_h, w_c = normal(T, B, U) * 0 + 1.3, normal(B, U) * 0 - 0.7
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        states, c = loop(cell, *tensors, sites)
        loss = tf.reduce_sum(states * states * w_h) + tf.reduce_sum(c * w_c)
    gradients = tape.gradient(
        loss, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return [states, c, *gradients]


def assert_close(left, right):
    for a, b in zip(left, right, strict=True):
        scale = max(float(tf.reduce_max(tf.abs(b))), 1e-3)
        np.testing.assert_allclose(a, b, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "cell, state, name, input",
    [
        (*case, input)
        for case, input in zip(CASES, itertools.cycle(INPUTS), strict=False)
        if not (case[0] == "rnn" and input == "untied")
    ],
)
@pytest.mark.parametrize("loop", [fast, by_autodiff], ids=["fast", "generic"])
def test_outputs_and_all_gradients(loop, cell, state, name, input):
    tensors, sites = make(cell, state, name, input)
    assert_close(
        outputs_and_gradients(loop, cell, tensors, sites),
        outputs_and_gradients(plain, cell, tensors, sites),
    )


@pytest.mark.parametrize("compiled", ["nothing", "loops", "all"])
@pytest.mark.parametrize(
    "cell, state, name",
    [
        ("lstm", "untied-step-sample", "all"),
        ("lstm", "tied-sequence-sample", "keep-both"),
        ("gru", "untied-sequence-sample", "candidate-step"),
        ("gru", "tied-step-batch", "keep-state"),
        ("rnn", "tied-sequence-sample", "keep-state"),
    ],
)
def test_graph_and_xla_agree(compiled, cell, state, name):
    input = "untied" if state.startswith("untied") else "tied"
    tensors, sites = make(cell, state, name, input)
    loop = functools.partial(fast, compiled=compiled == "loops")
    run = tf.function(
        lambda *t: outputs_and_gradients(loop, cell, list(t), sites),
        jit_compile=compiled == "all",
    )
    assert_close(
        run(*tensors), outputs_and_gradients(plain, cell, tensors, sites)
    )


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_second_order_gradients(cell):
    tensors, sites = make(cell, "tied-sequence-sample", "keep-state")

    def second(loop):
        with tf.GradientTape() as outer:
            outer.watch(tensors)
            first = outputs_and_gradients(loop, cell, tensors, sites)[2:]
            loss = sum(tf.reduce_sum(g * g) for g in first)
        return outer.gradient(
            loss, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    assert_close(second(fast), second(plain))


def test_unknown_number_of_steps():
    tensors, sites = make("lstm", "tied-step-sample", "candidate")
    signature = [
        tf.TensorSpec([None] * len(t.shape[:-1]) + [t.shape[-1]])
        if n == 0
        else tf.TensorSpec(t.shape)
        for n, t in enumerate(tensors)
    ]
    run = tf.function(
        lambda *t: outputs_and_gradients(fast, "lstm", list(t), sites),
        input_signature=signature,
    )
    assert_close(
        run(*tensors), outputs_and_gradients(plain, "lstm", tensors, sites)
    )
