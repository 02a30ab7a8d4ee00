"""The table of variants that the contract runs through every mode.

A new layer is one more function here that returns its variants.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable

import keras
import numpy as np

import dropkit as dk
from dropkit import reference

FULL = bool(os.environ.get("DROPKIT_TEST_ALL"))
BATCH, TIME, FEATURES = SHAPE = (3, 4, 5)
IDS = np.array([[1, 2, 1, 3], [2, 2, 2, 1], [4, 1, 3, 2]])
MASK = np.array([[1, 1, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]], bool)

MODES = ("eager", "graph", "xla")
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True)
class Variant:
    """One layer with one choice of options, and what it must do.

    Attributes:
        name: The test's id.
        make: Makes the layer; takes Keras's keyword arguments and ``seed``.
        groups: For each entry of ``SHAPE``, the number of the draw it gets;
            None for a recurrent layer.
        rate: Rate of each entry, of shape ``SHAPE``.
        gaussian: Whether the noise is Gaussian.
        ids: Whether the layer is called with word ids as well.
        padded: Whether the layer is called with a padding mask.
    """

    name: str
    make: Callable[..., keras.layers.Layer]
    groups: np.ndarray | None = None
    rate: np.ndarray | None = None
    gaussian: bool = False
    ids: bool = False
    padded: bool = False

    @property
    def variance(self):
        return self.rate / (1 - self.rate)

    def apply(self, layer, x, training=True):
        arguments = (x, IDS) if self.ids else (x,)
        options = {"mask": MASK} if self.padded else {}
        return layer(*arguments, training=training, **options)


def pairwise(rows: list[tuple]) -> list[tuple]:
    """Some of the rows, with every pair of values that any row has.

    Greedy: the row with the most pairs that are still missing comes next.
    Rows that make no sense are left out beforehand; a filter inside a
    generator of pairs may lose pairs that do.
    """
    pairs = [set(itertools.combinations(enumerate(row), 2)) for row in rows]
    bits = {pair: 1 << n for n, pair in enumerate(set().union(*pairs))}
    covers = [sum(bits[pair] for pair in row) for row in pairs]
    missing = sum(bits.values())
    chosen = []
    while missing:
        gains = [(cover & missing).bit_count() for cover in covers]
        best = gains.index(max(gains))
        chosen.append(rows[best])
        missing &= ~covers[best]
    return chosen


RATES = {
    "half": lambda: 0.5,
    "third": lambda: 0.3,
    "vector": lambda: [0.3, 0.5, 0.4, 0.6, 0.5],
    "variable": lambda: keras.Variable(0.5, trainable=False),
}
SHARED = {
    "none": None,
    "batch": "batch",
    "time": "time",
    "features": "features",
    "batch+time": ("batch", "time"),
    "time+features": ("time", "features"),
    "batch+features": (0, -1),
}


def _dropout(noise, shared, rate):
    axes = SHARED[shared]
    noise_shape = [None, None, None]
    for axis, shares in enumerate(
        (shared.count("batch"), shared.count("time"), shared.count("features"))
    ):
        if shares:
            noise_shape[axis] = 1
    values = RATES[rate]()
    if rate == "variable":
        values = 0.5
    return Variant(
        f"Dropout-{noise}-{shared}-{rate}",
        lambda **kwargs: dk.Dropout(
            RATES[rate](), shared_axes=axes, noise=noise, **kwargs
        ),
        reference.share(SHAPE, noise_shape),
        np.broadcast_to(values, SHAPE),
        gaussian=noise == "gaussian",
    )


def dropout_variants(full: bool) -> list[Variant]:
    rows = [
        (noise, shared, rate)
        for noise, shared, rate in itertools.product(
            ("bernoulli", "gaussian"), SHARED, RATES
        )
        # Rates of a vector need a draw for each feature.
        if not ("features" in shared and rate == "vector")
    ]
    return [_dropout(*row) for row in (rows if full else pairwise(rows))]


def embedding_variants() -> list[Variant]:
    variants = []
    for per in ("sample", "batch"):
        rows = IDS if per == "sample" else IDS.reshape(1, -1)
        numbers = reference.type_numbers(rows)
        numbers = numbers + np.arange(len(rows))[:, None] * 100
        groups = np.repeat(numbers.reshape(IDS.shape)[..., None], FEATURES, -1)
        variants.append(
            Variant(
                f"EmbeddingDropout-{per}",
                lambda per=per, **kwargs: dk.EmbeddingDropout(
                    0.5, per=per, **kwargs
                ),
                groups,
                np.full(SHAPE, 0.5),
                ids=True,
            )
        )
    return variants


def token_variants() -> list[Variant]:
    return [
        Variant(
            "TokenDropout",
            lambda **kwargs: dk.TokenDropout(0.5, **kwargs),
            reference.share(SHAPE, (None, None, 1)),
            np.full(SHAPE, 0.5),
        )
    ]


# What each recurrent method takes besides its rate; the first is the default.
OVER = ("sequence", "step")
PER = ("sample", "batch")
NOISE = ("bernoulli", "gaussian")
TAKES = {
    "float": {},
    "Gal": {
        "gates": ("tied", "untied"),
        "over": OVER,
        "per": PER,
        "noise": NOISE,
    },
    "Semeniuta": {"over": OVER, "per": PER, "noise": NOISE},
    "Moon": {"over": OVER, "inference": ("identity", "paper")},
    "Zoneout": {"cell": (None, 0.6)},
    "WeightDrop": {},
}
RECURRENT = {
    "LSTM": tuple(TAKES),
    "GRU": ("float", "Gal", "Semeniuta", "Zoneout", "WeightDrop"),
    "SimpleRNN": ("float", "Gal", "Zoneout", "WeightDrop"),
}
RATE = 0.4


def methods(name: str, layer: str) -> list:
    """A method with each choice of its options, for a layer."""
    if name == "float":
        return [RATE]
    takes = TAKES[name]
    if name == "Zoneout" and layer != "LSTM":
        takes = {}
    return [
        getattr(dk, name)(RATE, **dict(zip(takes, values, strict=True)))
        for values in itertools.product(*takes.values())
    ]


def _recurrent(kind, method, activation="tanh", backwards=False, padded=False):
    """A recurrent layer; its recurrent kernel, of norm 1, amplifies nothing."""
    initializers = keras.initializers

    def make(**kwargs):
        return getattr(dk, kind)(
            FEATURES,
            dropout=0.3,
            recurrent_dropout=method,
            activation=activation,
            go_backwards=backwards,
            return_sequences=True,
            kernel_initializer=initializers.GlorotUniform(seed=1),
            recurrent_initializer=initializers.Orthogonal(seed=2),
            bias_initializer=initializers.RandomNormal(stddev=0.1, seed=3),
            **kwargs,
        )

    options = ("backwards" * backwards, "padded" * padded)
    return Variant(
        "-".join(filter(None, (kind, str(method), activation, *options))),
        make,
        rate=np.array(RATE),
        gaussian=getattr(method, "noise", "") == "gaussian",
        padded=padded,
    )


def _recurrent_methods():
    """Every layer with every method and every choice of its options."""
    return [
        (kind, name, method)
        for kind, names in RECURRENT.items()
        for name in names
        for method in methods(name, kind)
    ]


def recurrent_variants() -> list[Variant]:
    return [
        _recurrent(kind, method) for kind, _, method in _recurrent_methods()
    ]


def recurrent_cases() -> list[tuple[Variant, str, str]]:
    """A pairwise cover of layers, methods, options, modes and precisions.

    With DROPKIT_TEST_ALL their full product; the kinds of loop take turns.
    """
    options = sorted({name for takes in TAKES.values() for name in takes})
    loops = list(itertools.product(("tanh", "softsign"), (False, True)))
    turns = itertools.cycle(loops)
    variants = {}
    for kind, name, method in _recurrent_methods():
        config = {} if name == "float" else method.get_config()
        chosen = (f"{kind}-{name}", *map(config.get, options))
        for others in itertools.product((False, True), MODES, POLICIES):
            for loop in [next(turns)] if FULL else loops:
                variant = (kind, method, *loop, others[0])
                variants[(*chosen, *loop, *others)] = variant
    rows = list(variants)
    return [
        (_recurrent(*variants[row]), *row[-2:])
        for row in (rows if FULL else pairwise(rows))
    ]


def all_variants(full: bool) -> list[Variant]:
    return [
        *dropout_variants(full),
        *embedding_variants(),
        *token_variants(),
    ]


def cases() -> list[tuple[Variant, str, str]]:
    """Every variant eagerly in float32; a pairwise cover in other modes."""
    everywhere = {v.name: v for v in all_variants(full=True)}
    elsewhere = everywhere if FULL else [v.name for v in all_variants(False)]
    return [
        (variant, mode, policy)
        for name, variant in everywhere.items()
        for mode in MODES
        for policy in POLICIES
        if name in elsewhere or (mode, policy) == ("eager", "float32")
    ]


# One variant a layer, for the slow tests of saving and resuming.
ONE_EACH = [
    _dropout("bernoulli", "time", "third"),
    _dropout("gaussian", "none", "third"),
    *embedding_variants()[:1],
    *token_variants(),
    _recurrent("LSTM", dk.Gal(0.3)),
    _recurrent("GRU", dk.Semeniuta(0.3)),
    _recurrent("SimpleRNN", dk.Zoneout(0.3)),
]
