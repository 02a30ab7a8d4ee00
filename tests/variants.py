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
from allpairspy import AllPairs

import dropkit as dk
from dropkit import reference

FULL = bool(os.environ.get("DROPKIT_TEST_ALL"))
BATCH, TIME, FEATURES = SHAPE = (3, 4, 5)
IDS = np.array([[1, 2, 1, 3], [2, 2, 2, 1], [4, 1, 3, 2]])

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
    """

    name: str
    make: Callable[..., keras.layers.Layer]
    groups: np.ndarray | None = None
    rate: np.ndarray | None = None
    gaussian: bool = False
    ids: bool = False

    @property
    def variance(self):
        return self.rate / (1 - self.rate)

    def apply(self, layer, x, training=True):
        arguments = (x, IDS) if self.ids else (x,)
        return layer(*arguments, training=training)


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


def _possible(row):
    """Rates of a vector need a draw for each feature."""
    return len(row) < 3 or not ("features" in row[1] and row[2] == "vector")


def dropout_variants(full: bool) -> list[Variant]:
    options = [["bernoulli", "gaussian"], list(SHARED), list(RATES)]
    rows = (
        filter(_possible, itertools.product(*options))
        if full
        else AllPairs(options, filter_func=_possible)
    )
    return [_dropout(*row) for row in rows]


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


def recurrent_variants() -> list[Variant]:
    """Layers that do more than multiply: for saving and resuming only."""
    layers = {
        dk.LSTM: dk.Gal(0.3),
        dk.GRU: dk.Semeniuta(0.3),
        dk.SimpleRNN: dk.Zoneout(0.3),
    }
    return [
        Variant(
            layer.__name__,
            lambda layer=layer, method=method, **kwargs: layer(
                FEATURES,
                dropout=0.3,
                recurrent_dropout=method,
                return_sequences=True,
                kernel_initializer=keras.initializers.GlorotUniform(seed=1),
                recurrent_initializer=keras.initializers.Orthogonal(seed=2),
                **kwargs,
            ),
        )
        for layer, method in layers.items()
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
    *recurrent_variants(),
]
