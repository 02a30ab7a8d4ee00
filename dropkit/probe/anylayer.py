"""Level 1: any layer or callable, from its outputs and its Jacobians.

The slope of an output by an input, with noise over without, says what they
were multiplied by. If it depends on the input alone, the inputs are
multiplied; on the output alone, the outputs; on both, the weights.
"""

from __future__ import annotations

import inspect

import keras
import numpy as np
import tensorflow as tf

from dropkit.probe.field import CHANCE, Field
from dropkit.probe.subject import Subject

# Small: every output costs one gradient.
SHAPES = {
    2: (24, 12),
    3: (16, 6, 8),
    4: (16, 4, 3, 6),
    5: (16, 3, 2, 3, 6),
}
MOST_OUTPUTS = 2048
NAMES = {
    2: ("batch", "features"),
    3: ("batch", "time", "features"),
    4: ("batch", "height", "width", "features"),
    5: ("batch", "depth", "height", "width", "features"),
}
_SPACE = ("depth", "height", "width")
# Many words, and sentences long enough to repeat some.
WORDS, SENTENCES = 40, (16, 20, 2)
TOLERANCE = {"float16": 0.01, "bfloat16": 0.05}


def axis_names(rank: int, channels_first: bool = False) -> tuple[str, ...]:
    """Returns the names of a tensor's axes."""
    names = NAMES.get(rank, tuple(f"axis {k}" for k in range(rank)))
    if channels_first and rank > 3:
        return (names[0], names[-1], *names[1:-1])
    return names


def takes_training(function) -> bool | None:
    """Whether a call has a ``training`` argument; None if it can't be told."""
    if isinstance(function, keras.layers.Layer):
        return True
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters
    )


def _built_shape(layer):
    """The shape that a layer was built for; None if there is no single one."""
    if not getattr(layer, "built", False):
        return None
    shape = (layer.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, (list, tuple)) or len(shape) not in SHAPES:
        return None
    if not all(size is None or isinstance(size, int) for size in shape):
        return None
    return shape


def default_inputs(layer) -> list[tuple[np.ndarray, ...]]:
    """Returns inputs that might fit a layer, the likeliest first."""
    generator = np.random.default_rng(0)
    spec = getattr(layer, "input_spec", None)
    spec = spec[0] if isinstance(spec, (list, tuple)) and spec else spec
    ranks = [3, 2, 4, 5]
    if getattr(spec, "ndim", None):
        ranks = [spec.ndim]
    elif isinstance(layer, (keras.layers.Dense,)):
        ranks = [2, 3]
    built = _built_shape(layer)
    if built is not None:
        ranks = [len(built)]
    shapes = [list(SHAPES[rank]) for rank in ranks if rank in SHAPES]
    if built is not None and layer.weights:
        # Its weights fix the sizes.
        for k, size in enumerate(built):
            shapes[0][k] = size or shapes[0][k]
    for shape in shapes:
        for axis, size in (getattr(spec, "axes", None) or {}).items():
            if size:
                shape[axis] = size
    found = []
    for shape in shapes:
        x = generator.uniform(0.5, 1.5, shape).astype("float32")
        found.append((x,))
    ids = generator.integers(0, WORDS, SENTENCES[:2])
    words = generator.uniform(0.5, 1.5, SENTENCES).astype("float32")
    if isinstance(layer, keras.layers.Embedding):
        return [(ids % layer.input_dim,)]
    return [*found, (words, ids), (ids,)]


def _first(outputs):
    if isinstance(outputs, (list, tuple)):
        outputs = outputs[0]
    return tf.convert_to_tensor(outputs)


def as_array(outputs) -> np.ndarray:
    """The (first) output of a call as an array."""
    return np.asarray(tf.cast(_first(outputs), tf.float64))


def identity_slopes(x: np.ndarray) -> np.ndarray:
    """The slopes of a function that returns its input."""
    size = int(np.prod(x.shape[1:]))
    return np.broadcast_to(np.eye(size), (len(x), size, size))


class Slopes:
    """Outputs of one call, and their slopes by the first input.

    Args:
        subject: What is called.
        inputs: Arrays; the first is the one to differentiate by.
        training: See :class:`Subject`.
    """

    def __init__(self, subject: Subject, inputs, training):
        first, *rest = [tf.convert_to_tensor(x) for x in inputs]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(first)
            y = subject(first, *rest, training=training)
            y = _first(y)
        self.dtype = y.dtype.name
        self.outputs = as_array(y)
        self.slopes = None
        size = int(np.prod(y.shape[1:]))
        if first.dtype.is_floating and size <= MOST_OUTPUTS:
            self.slopes = self._slopes(tape, y, first, size)

    def _slopes(self, tape, y, x, size):
        """``(batch, outputs, inputs)``; None if nothing flows."""
        rows = []
        for k in range(size):
            one = np.zeros((1, size))
            one[0, k] = 1
            direction = np.broadcast_to(one, (y.shape[0], size))
            gradient = tape.gradient(
                y,
                x,
                output_gradients=tf.constant(
                    direction.reshape(y.shape), y.dtype
                ),
            )
            if gradient is None and not self.outputs.any():
                # Everything is dropped: a constant, whose slope is 0.
                gradient = tf.zeros_like(x)
            if gradient is None:
                return None
            rows.append(np.asarray(tf.cast(gradient, tf.float64)))
        batch = x.shape[0]
        return np.stack([r.reshape(batch, -1) for r in rows], axis=1)

    def scales_only(self, x: np.ndarray) -> bool:
        """Whether the outputs are the inputs times one constant."""
        if self.slopes is None or self.outputs.shape != x.shape:
            return False
        factor = float(self.slopes[0, 0, 0])
        return factor != 0 and np.allclose(
            self.slopes, factor * identity_slopes(x), atol=1e-6
        )


def tolerance_of(dtype: str) -> float:
    """The precision of multipliers read in a dtype."""
    return TOLERANCE.get(dtype, 1e-4)


def _ratio(a, b):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(b) > 1e-6, a / b, np.nan)


def _extreme(values, axis):
    low = np.where(np.isfinite(values), values, np.inf).min(axis=axis)
    high = np.where(np.isfinite(values), values, -np.inf).max(axis=axis)
    return np.where(low > high, np.nan, low), np.where(low > high, np.nan, high)


def fields(
    calls: list[Slopes],
    plain: Slopes,
    inputs,
    channels_first: bool = False,
) -> tuple[dict[str, Field], str | None]:
    """Returns the multipliers of the one site that acts.

    Args:
        calls: Some calls with noise.
        plain: A call without.
        inputs: The inputs of all of them.
        channels_first: Whether axis 1 holds the channels.
    Returns:
        ``{site: field}`` and, if nothing can be said, why.
    """
    x, y = np.asarray(inputs[0]), plain.outputs
    tolerance = tolerance_of(plain.dtype)
    names = axis_names(y.ndim, channels_first)
    outputs = np.stack([c.outputs for c in calls])
    if plain.slopes is None or any(c.slopes is None for c in calls):
        values = _ratio(outputs, y)
        field = Field(("call", *names), values, tolerance)
        why = "no slope by the inputs: only the outputs were read"
        return {"output": field}, why
    slopes = np.stack([c.slopes for c in calls])
    ratio = _ratio(slopes, plain.slopes[None])
    within = Field(("call",), ratio, tolerance)
    if within.is_identity:
        values = outputs - y
        scale = max(1.0, float(np.abs(y).max()))
        if np.abs(values).max() <= tolerance * scale:
            dead = not np.isfinite(ratio).any()
            return {}, "no output depends on the inputs" if dead else None
        return {"additive": Field(("call", *names), values, tolerance)}, None
    by_input = _extreme(ratio, axis=2)
    by_output = _extreme(ratio, axis=3)
    in_names = axis_names(x.ndim, channels_first)
    same = {
        "input": _agree(within, by_input),
        "output": _agree(within, by_output),
    }
    # An input with one living output agrees with whatever is there.
    shown = {
        "input": _compares(ratio, axis=2),
        "output": _compares(ratio, axis=3),
    }
    only_output = same["output"] and shown["output"] and not shown["input"]
    if same["input"] and not only_output:
        values = by_input[0].reshape(len(calls), *x.shape)
        field = Field(("call", *in_names), values, tolerance)
        if same["output"] and x.shape == y.shape:
            replaced = (np.abs(values) <= tolerance) & (
                np.abs(outputs) > tolerance
            )
            if replaced.any():
                return {"alpha": field}, None
        return {"input": field}, None
    if same["output"]:
        values = by_output[0].reshape(outputs.shape)
        return {"output": Field(("call", *names), values, tolerance)}, None
    if _is_product(ratio):
        why = "inputs and outputs are both multiplied, or the layer is curved"
        return {}, why
    read = ratio[np.isfinite(ratio)]
    kept = read[np.abs(read) > tolerance]
    if kept.size and not within.equal(kept.min(), kept.max()):
        return {}, (
            "the slopes vary with inputs and outputs and take many values: "
            "the layer is curved or has noise inside"
        )
    axes = ("call", "batch", "outputs", "inputs")
    return {"weights": Field(axes, ratio, tolerance)}, None


def _compares(ratio, axis) -> bool:
    """Whether some entries along an axis can be compared at all."""
    return bool((np.isfinite(ratio).sum(axis) > 1).any())


def _agree(field, extremes):
    low, high = extremes
    valid = np.isfinite(low)
    return bool(field.equal(low[valid], high[valid]).all())


def _is_product(ratio):
    """Whether the slopes are (by output) times (by input)."""
    values = np.nan_to_num(ratio, nan=0.0)
    singular = np.linalg.svd(values, compute_uv=False)
    if singular.shape[-1] < 2:
        return False
    small = singular[..., 1] <= 1e-4 * np.maximum(singular[..., 0], 1e-9)
    return bool(small.all())


def word_types(field: Field, ids: np.ndarray) -> str | None:
    """Returns how word types share draws.

    Args:
        field: Multipliers with axes call, batch, time, features.
        ids: The words' ids.
    Returns:
        ``"batch"``, ``"sample"`` or None if equal words differ.
    """
    if field.axes != ("call", "batch", "time", "features"):
        return None
    values = field.values[..., 0]
    rows = np.arange(len(ids))[:, None]
    for per, groups in (
        ("batch", np.broadcast_to(ids, ids.shape)),
        ("sample", ids + rows * (ids.max() + 1)),
    ):
        pairs = agreeing = 0
        for group in np.unique(groups):
            of_word = values[:, groups == group]
            pairs += of_word.shape[1] - 1
            same = field.equal(of_word, of_word[:, :1])
            agreeing += int(same.all(axis=0)[1:].sum())
        zeros = np.mean(np.abs(values) <= field.tolerance)
        chance = (zeros**2 + (1 - zeros) ** 2) ** (pairs * len(values))
        if pairs and agreeing == pairs and chance <= CHANCE:
            return per
    return None
