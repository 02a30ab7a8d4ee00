"""The recurrent layers' table of cases, and what the specification expects.

The multipliers are rebuilt here from `reference.bits`, by role and shape, and
not by the code under test.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import keras
import numpy as np
import tensorflow as tf
from allpairspy import AllPairs
from variants import FULL, TAKES, methods

import dropkit as dk
from dropkit import reference

# All different, and no number of gates.
BATCH, TIME, FEATURES, UNITS = 3, 5, 2, 6
SEED = 5
GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
KINDS = tuple(GATES)

PADDINGS = {
    "full": None,
    "right": [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]],
    "left": [[0, 0, 0, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    "gaps": [[0, 1, 0, 1, 0], [1, 0, 0, 1, 1], [0, 0, 0, 0, 0]],
}


def padding(name):
    rows = PADDINGS[name]
    return None if rows is None else np.array(rows, bool)


METHODS = [method for name in TAKES for method in methods(name, "LSTM")]
# One of each, for the tests that are about something else.
ONE_EACH = [
    ("LSTM", 0.4),
    ("LSTM", dk.Gal(0.4)),
    ("LSTM", dk.Moon(0.4)),
    ("LSTM", dk.Zoneout(0.3, 0.6)),
    ("GRU", dk.Gal(0.4, gates="untied", over="step")),
    ("GRU", dk.Semeniuta(0.4)),
    ("SimpleRNN", dk.WeightDrop(0.4)),
    ("SimpleRNN", dk.Zoneout(0.4)),
]


def is_defined(kind, method):
    try:
        if isinstance(method, dk.methods.Method):
            method.check(kind)
    except ValueError:
        return False
    return True


def layer_class(kind, module=dk):
    return getattr(module, kind)


def data(batch=BATCH, time=TIME, seed=0, features=FEATURES):
    x = np.random.default_rng(seed).normal(size=(batch, time, features))
    return x.astype("float32")


def initial_states(kind, batch=BATCH, seed=1, units=UNITS):
    generator = np.random.default_rng(seed)
    states = 2 if kind == "LSTM" else 1
    return [
        generator.normal(size=(batch, units)).astype("float32")
        for _ in range(states)
    ]


def fill(layer, seed=2):
    """Gives a built layer weights without any symmetry."""
    generator = np.random.default_rng(seed)
    layer.set_weights(
        [generator.normal(size=w.shape) * 0.5 for w in layer.get_weights()]
    )
    return layer


def make(kind, method=0.0, module=dk, features=FEATURES, **kwargs):
    """A built layer with filled weights and the seed of these tests."""
    kwargs = {"units": UNITS, "seed": SEED, **kwargs}
    layer = layer_class(kind, module)(recurrent_dropout=method, **kwargs)
    layer.build((None, None, features))
    return fill(layer)


# What the specification expects.


@dataclasses.dataclass
class Draws:
    """The multipliers of one call, as arrays for `reference`.

    Attributes:
        arguments: Keyword arguments of the reference function.
        kernel: What the recurrent kernel is multiplied by.
    """

    arguments: dict
    kernel: np.ndarray | float = 1.0


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer: all that decides its multipliers."""

    kind: str
    method: object
    dropout: float = 0.0
    training: bool = True
    backwards: bool = False
    count: int = 0
    seed: int = SEED
    batch: int = BATCH
    time: int = TIME
    features: int = FEATURES
    units: int = UNITS

    def bernoulli(self, shape, rate, site, scale="inverted"):
        bits = reference.bits(shape, self.seed, self.count, self._role(site))
        return reference.bernoulli(bits, rate, scale)

    def noise(self, shape, method, site):
        if getattr(method, "noise", "bernoulli") == "gaussian":
            pairs = (2, -(-int(np.prod(shape)) // 2))
            words = reference.bits(
                pairs, self.seed, self.count, self._role(site)
            )
            return reference.gaussian(shape, words, method.rate)
        scale = "raw" if isinstance(method, dk.Moon) else "inverted"
        return self.bernoulli(shape, method.rate, site, scale)

    def _role(self, site):
        return ("backward/" if self.backwards else "forward/") + site

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def draws(self):
        gates = GATES[self.kind]
        method, state = self.method, (self.time, self.batch, self.units)
        if isinstance(method, float):
            method = dk.Gal(method, gates="untied")
        untied = getattr(method, "gates", "tied") == "untied" and gates > 1
        rows = 1 if getattr(method, "per", "sample") == "batch" else self.batch
        shape = [self.time] * (getattr(method, "over", None) == "step")
        draws = Draws({})
        if isinstance(method, dk.Zoneout):
            config = method.get_config()
            cell = 0.5 if config["cell"] is None else config["cell"]
            keeps = {"h": ("keep_state", config["hidden"])}
            if self.kind == "LSTM":
                keeps["c"] = ("keep_cell", cell)
            for name, (site, rate) in keeps.items():
                kept = np.full(state, rate)
                if self.training:
                    kept = 1 - self.bernoulli(state, rate, site, "raw")
                draws.arguments[f"keep_{name}"] = kept
        elif isinstance(method, dk.Moon) and not self.training:
            if method.inference == "paper":
                draws.arguments["m_c"] = np.full(state, 1 - method.rate)
        elif not self.training:
            pass
        elif isinstance(method, dk.WeightDrop):
            shape = (self.units, gates * self.units)
            draws.kernel = self.bernoulli(shape, method.rate, "kernel")
        elif isinstance(method, dk.Gal):
            shape += [gates] * untied + [rows, self.units]
            m = self.noise(shape, method, "state")
            m = m if untied else np.expand_dims(m, -3)
            draws.arguments["m_h"] = m
        else:
            name, site = {
                dk.Semeniuta: ("m_g", "candidate"),
                dk.Moon: ("m_c", "cell"),
            }[type(method)]
            draws.arguments[name] = self.noise(
                [*shape, rows, self.units], method, site
            )
        if self.training and self.dropout:
            shape = [gates] * untied + [self.batch, self.features]
            m = self.bernoulli(shape, self.dropout, "input")
            draws.arguments["m_x"] = m if untied else m[None]
        return draws


def default_bias(kind, reset_after=True, units=UNITS):
    """The bias of a layer without one."""
    size = GATES[kind] * units
    return np.zeros((2, size) if kind == "GRU" and reset_after else size)


def expected(
    call,
    weights,
    x,
    states=None,
    mask=None,
    reset_after=True,
    zero_output=False,
):
    """Returns outputs ``(B, T, U)`` and states, by the specification.

    Padding is said once more here: a masked step keeps the states, and its
    output is the last one shown, or zero.
    """
    x = np.asarray(x, "float64").swapaxes(0, 1)
    steps = len(x)
    draws = call.draws()
    arguments = dict(draws.arguments)
    if mask is None:
        mask = np.ones((call.batch, steps), bool)
    shown = mask.T[..., None]
    if call.backwards:
        x, shown = x[::-1], shown[::-1]
    x = np.where(shown, x, 0)
    for name in ("keep_h", "keep_c")[: 2 if call.kind == "LSTM" else 1]:
        arguments[name] = np.where(shown, arguments.get(name, 0.0), 1.0)
    kernel, recurrent, *bias = weights
    bias = bias[0] if bias else default_bias(call.kind, reset_after, call.units)
    if states is None:
        states = [np.zeros((call.batch, call.units))] * (
            2 if call.kind == "LSTM" else 1
        )
    arrays = (x, kernel, recurrent * draws.kernel, bias, *states)
    if call.kind == "LSTM":
        h, c = reference.lstm(*arrays, **arguments)
        last = [h[-1], c[-1]]
    elif call.kind == "GRU":
        h = reference.gru(*arrays, reset_after=reset_after, **arguments)
        last = [h[-1]]
    else:
        h = reference.simple_rnn(*arrays, **arguments)
        last = [h[-1]]
    outputs, previous = [], np.zeros_like(h[0])
    for state, real in zip(h, shown, strict=True):
        output = np.where(real, state, 0 if zero_output else previous)
        outputs.append(output)
        previous = output
    return np.stack(outputs, 1), last


def assert_close(actual, wanted, tolerance=1e-5):
    wanted = np.asarray(wanted)
    actual = np.asarray(keras.ops.convert_to_numpy(actual))
    assert actual.shape == wanted.shape
    scale = max(np.abs(wanted).max(), 1e-3)
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * scale)


STEP = 1e-5


def assert_specified(layer, call, x, mask=None, states=()):
    """Outputs, states and all gradients of a call are those of the loops.

    The layer returns its state. Gradients are compared along one random
    direction for each tensor, with central differences of the loops.
    """
    weights = layer.get_weights()
    names = ["x", *(w.name for w in layer.weights), "h", "c"]

    def specified(x, *rest):
        sequence, last = expected(
            call,
            rest[: len(weights)],
            x,
            rest[len(weights) :] or None,
            mask,
            getattr(layer, "reset_after", True),
            layer.zero_output_for_mask,
        )
        return sequence if layer.return_sequences else sequence[:, -1], *last

    inputs = [tf.constant(a) for a in (x, *states)]
    if mask is not None:
        # What stands in padded steps must not matter.
        inputs[0] = tf.where(mask[..., None], inputs[0], np.nan)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        results = layer(
            inputs[0],
            initial_state=inputs[1:] or None,
            mask=mask,
            training=call.training,
        )
        heads = [np.random.default_rng(3).normal(size=t.shape) for t in results]
        loss = sum(
            tf.reduce_sum(t * head)
            for t, head in zip(results, heads, strict=True)
        )
    arrays = [a.astype("float64") for a in (x, *weights, *states)]
    for result, wanted in zip(results, specified(*arrays), strict=True):
        assert_close(result, wanted)

    gradients = tape.gradient(
        loss,
        [inputs[0], *layer.trainable_variables, *inputs[1:]],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )

    def value(*arrays):
        return sum(
            np.sum(a * head)
            for a, head in zip(specified(*arrays), heads, strict=True)
        )

    generator = np.random.default_rng(4)
    for n, gradient in enumerate(gradients):
        direction = generator.normal(size=arrays[n].shape)
        ends = []
        for sign in (1, -1):
            moved = list(arrays)
            moved[n] = arrays[n] + sign * STEP * direction
            ends.append(value(*moved))
        slope = (ends[0] - ends[1]) / (2 * STEP)
        products = gradient.numpy() * direction
        assert np.isfinite(products).all(), names[n]
        # In float32, 1 - tanh**2 loses digits where tanh saturates: an
        # absolute bound for small gradients.
        scale = max(np.abs(products).sum(), 1.0)
        assert abs(products.sum() - slope) < 1e-5 * scale, names[n]


# The table.

MAIN = {
    "padding": list(PADDINGS),
    "backwards": [False, True],
    "states": [False, True],
    "sequences": [True, False],
}
OTHERS = {
    "dropout": [0.0, 0.3],
    "training": [True, False],
    "plain": [True, False],
    "bias": [True, False],
    "zero_output": [False, True],
    "reset_after": [True, False],
}


def table():
    """A pairwise cover; with DROPKIT_TEST_ALL, all of the main options.

    In the full table the other options take turns.
    """
    cases = []
    for kind in KINDS:
        methods = [m for m in METHODS if is_defined(kind, m)]
        main = {"method": methods, **MAIN}
        others = dict(OTHERS)
        if kind != "GRU":
            others["reset_after"] = [True]
        if FULL:
            turns = itertools.cycle(itertools.product(*others.values()))
            rows = [
                (*row, *next(turns))
                for row in itertools.product(*main.values())
            ]
        else:
            rows = AllPairs([*main.values(), *others.values()])
        names = [*main, *others]
        cases += [
            {"kind": kind, **dict(zip(names, row, strict=True))} for row in rows
        ]
    return cases


def case_id(case):
    return "-".join(
        str(value) if isinstance(value, (str, float)) else f"{name}={value}"
        for name, value in case.items()
        if value not in (False, True) or value != (name in ("plain", "bias"))
    )
