"""What every method multiplies, and who shares a draw: asked of each.

Nothing here repeats what a class knows. Rates, sharing, noise and the rule at
inference are read from one draw with a fixed key, sources from docstrings.
"""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import tensorflow as tf

from dropkit.layers import Dropout, EmbeddingDropout, TokenDropout
from dropkit.methods import (
    NOISES,
    Gal,
    Moon,
    Semeniuta,
    Sizes,
    WeightDrop,
    Zoneout,
)
from dropkit.stream import Key

RATE = 0.25
GATES = "ifco"
SIZES = Sizes(4, 2, 6, len(GATES), "float32", "forward")
AXES = ("gates", "samples", "steps", "features")
# With this seed each sample and each gate drops some and keeps some.
SEED = 51
# Two words occur twice in each sample.
IDS = [[7, 4, 7, 4], [5, 9, 9, 5]]


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One point of the table.

    Args:
        call: What to write, with `dk.` for dropkit.
        keras: Layers of Keras that mean the same, or an empty string.
        site: `"input"`, `"word types"`, `"kernel"`, or a field of
            `dropkit.sites.Sites`.
        multipliers: A draw, `(gates, samples, steps, features)`; of the
            kernel, one block a gate, `(gates, 1, rows, columns)`.
        sharing: Dict from an axis to `"own"`, `"shared"`, `"by word"`, or
            `"–"` where the site has no such axis.
        noise: The multiplier's values, in words.
        inference: What inference does, in words.
        source: Authors and year, or an empty string.
    """

    call: str
    keras: str
    site: str
    multipliers: np.ndarray
    sharing: dict[str, str]
    noise: str
    inference: str
    source: str


def entries() -> list[Entry]:
    """Returns every layer and method, by site.

    Returns:
        One `Entry` for each line of the table.
    Example:
        >>> first = entries()[0]
        >>> first.call, first.site, first.sharing["steps"], first.noise
        ('dk.Dropout(0.25)', 'input', 'own', '0 or 1.33')
    """
    r = RATE
    spatial = f"SpatialDropout1D({r}) = LSTM(dropout={r})"
    return [
        *_layer(f"Dropout({r})", Dropout, r),
        *_layer(spatial, Dropout, r, "time", source=-1),
        *_layer(f"Dropout({r}, noise_shape=(None, None, 1))", TokenDropout, r),
        *_layer(f"GaussianDropout({r})", Dropout, r, noise="gaussian"),
        *_layer("", EmbeddingDropout, r),
        *_method("", Gal, r),
        *_method(f"LSTM(recurrent_dropout={r})", Gal, r, gates="untied"),
        *_method("", Gal, r, over="step"),
        *_method("", Gal, r, per="batch"),
        *_method("", Gal, r, noise="gaussian"),
        *_method("", WeightDrop, r),
        *_method("", Semeniuta, r),
        *_method("", Moon, r),
        *_method("", Zoneout),
    ]


def _call(kind, args, kwargs):
    given = [json.dumps(value) for value in args]
    given += [f"{name}={json.dumps(value)}" for name, value in kwargs.items()]
    return f"dk.{kind.__name__}({', '.join(given)})"


def _source(kind, number=0):
    """The first authors of a docstring's Reference, or those of a number."""
    text = kind.__doc__.partition("Reference:")[2]
    found = re.findall(r"[A-Z]\w+(?:, \w+)*(?: and \w+| et al\.) \(\d+\)", text)
    return found[number] if found else ""


def _layer(keras, kind, *args, source=0, **kwargs):
    layer = kind(*args, **kwargs, seed=SEED)
    x = tf.ones((SIZES.batch, SIZES.time, SIZES.units))
    ids = [tf.constant(IDS)] if kind is EmbeddingDropout else []
    drawn = layer(x, *ids, training=True).numpy()[None]
    same = bool(tf.reduce_all(layer(x, *ids, training=False) == x))
    sharing = {**_sharing(drawn), "gates": "–"}
    if ids:
        sharing["steps"] = "by word"
    yield Entry(
        call=_call(kind, args, kwargs),
        keras=keras,
        site="word types" if ids else "input",
        multipliers=drawn,
        sharing=sharing,
        noise=_noise(drawn, layer),
        inference="identity" if same else "active",
        source=_source(kind, source),
    )


def _method(keras, kind, *args, **kwargs):
    method = kind(*args, **kwargs)
    key = Key(tf.constant([SEED, 0]))
    rest = {
        "call": _call(kind, args, kwargs),
        "keras": keras,
        "source": _source(kind),
    }
    gates, units = SIZES.gates, SIZES.units
    ones = tf.ones((units, gates * units))
    kernel = method.kernel(key, SIZES, ones)
    if kernel is not ones:
        blocks = kernel.numpy().reshape(units, gates, 1, units)
        blocks = blocks.transpose(1, 2, 0, 3)
        shared = "shared" if method.fits_kernel else "own"
        sharing = {**_sharing(blocks), "steps": shared, "samples": shared}
        rule = "identity" if method.identity_in_inference else "active"
        noise = _noise(blocks, method)
        yield Entry(
            site="kernel",
            multipliers=blocks,
            sharing=sharing,
            noise=noise,
            inference=rule,
            **rest,
        )
    drawn, means = method.sites(key, SIZES), method.inference_sites(SIZES)
    for field in dataclasses.fields(drawn):
        multiplier = getattr(drawn, field.name)
        if multiplier is None:
            continue
        value = multiplier.over_time().numpy()
        value = value if multiplier.gates else value[:, None]
        value = value.transpose(1, 2, 0, 3)
        shape = (len(value), SIZES.batch, SIZES.time, units)
        value = np.broadcast_to(value, shape)
        sharing = _sharing(value)
        if field.name != "state":
            sharing["gates"] = "–"
        yield Entry(
            site=field.name,
            multipliers=value,
            sharing=sharing,
            noise=_noise(value, method),
            inference="identity"
            if method.identity_in_inference
            else _mean(getattr(means, field.name).value.numpy()),
            **rest,
        )


def _sharing(drawn):
    return {
        name: "shared" if np.ptp(drawn, axis=axis).max() == 0 else "own"
        for axis, name in enumerate(AXES)
    }


def _mean(kept):
    """The rule that replaces a keeping multiplier by its mean."""
    return f"{kept:.2g} of the old, {1 - kept:.2g} of the new"


def _noise(drawn, owner):
    values = np.unique(drawn)
    if len(values) > 2:
        noise = NOISES[owner.noise](owner.rate)
        return f"normal, mean {noise.mean:g}, variance {noise.variance:.2g}"
    return " or ".join(f"{value:.3g}" for value in values)
