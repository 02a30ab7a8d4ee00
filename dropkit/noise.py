"""Noise: the multipliers, and how a rate turns bits into them.

A multiplier is the number that dropout multiplies an entry by. Every class
here states its mean and variance; inference uses the identity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from dropkit.stream import Key

Rate = float | tuple[float, ...] | keras.Variable | tf.Variable


def check_rate(
    rate: float | Sequence[float] | keras.Variable,
    one_allowed: bool = True,
    name: str = "rate",
) -> Rate:
    """Returns a valid rate, or raises in Keras's wording.

    Args:
        rate: Float in ``[0, 1]``, the probability of dropping an entry; or
            a vector of such floats, one for each feature; or a scalar
            ``keras.Variable``, which may change without retracing.
        one_allowed: Whether 1 itself is allowed.
        name: The argument's name, for the error.
    Returns:
        A float, a tuple of floats, or the variable.
    Raises:
        TypeError: if ``rate`` is no number.
        ValueError: if a rate is outside the range or NaN, or ``rate`` has
            more than one axis or no entry.
    Example:
        >>> check_rate([0, 0.5])
        (0.0, 0.5)
    """
    interval = "[0, 1]" if one_allowed else "[0, 1)"
    is_variable = isinstance(rate, (keras.Variable, tf.Variable))
    # Inside a tf.function a variable has no value to look at.
    shown = keras.ops.convert_to_numpy(rate) if is_variable else rate
    try:
        values = np.asarray(shown)
        if values.dtype == bool or values.dtype.kind not in "iuf":
            raise TypeError
        values = values.astype("float64")
    except (TypeError, ValueError):
        raise TypeError(
            f"Invalid value received for argument `{name}`. Expected a "
            f"float in {interval}, or one for each feature. "
            f"Received: {name}={rate!r}"
        ) from None
    if values.ndim > (0 if is_variable else 1) or values.size == 0:
        raise ValueError(
            f"Invalid value received for argument `{name}`. Expected a "
            "scalar or a vector with one rate for each feature. "
            f"Received: {name}={rate!r}"
        )
    inside = (values >= 0) & (values <= 1 if one_allowed else values < 1)
    if not inside.all():  # NaN compares false, so it lands here too.
        raise ValueError(
            f"Invalid value received for argument `{name}`. Expected a "
            f"float in {interval}. Received: {name}={shown}"
        )
    if is_variable:
        return rate
    return tuple(values.tolist()) if values.ndim else float(values)


def _plain(values) -> float | np.ndarray:
    """A Python float for a scalar rate, an array for a vector."""
    return values if np.ndim(values) else float(values)


class Noise:
    """A distribution of multipliers at a rate; see the subclasses.

    Args:
        rate: See :func:`check_rate`.
    """

    one_allowed = True

    def __init__(self, rate: float | Sequence[float] | keras.Variable):
        self.rate = check_rate(rate, self.one_allowed)

    @property
    def is_constant(self) -> bool:
        """Whether the rate is a Python number or tuple."""
        return isinstance(self.rate, (float, tuple))

    @property
    def is_identity(self) -> bool:
        """Whether every multiplier is 1, so that nothing need be drawn."""
        return self.is_constant and not np.any(self.rate)

    @property
    def config_rate(self) -> float | list[float]:
        """The rate for ``get_config``; a variable gives its present value."""
        if isinstance(self.rate, tuple):
            return list(self.rate)
        return float(keras.ops.convert_to_numpy(self.rate))

    @property
    def rate_tensor(self) -> tf.Tensor:
        """The rate as a ``float64`` tensor, read anew at each call."""
        if self.is_constant:
            return tf.constant(self.rate, tf.float64)
        return tf.cast(tf.convert_to_tensor(self.rate), tf.float64)

    def multiplier(
        self, key: Key, shape, dtype: str = "float32", role: str = "multiplier"
    ) -> tf.Tensor:
        """Returns multipliers.

        Args:
            key: The key of this call.
            shape: Shape of the independent draws.
            dtype: Floating dtype of the result.
            role: What the multipliers are for; see :meth:`Key.bits`.
        Returns:
            Tensor of that shape and dtype.
        """
        raise NotImplementedError

    def apply(
        self, inputs: tf.Tensor, key: Key, shape, role: str = "multiplier"
    ) -> tf.Tensor:
        """Returns ``inputs`` times fresh multipliers.

        Args:
            inputs: Floating tensor.
            key: The key of this call.
            shape: Shape of the independent draws; broadcasts to ``inputs``.
            role: What the multipliers are for; see :meth:`Key.bits`.
        Returns:
            Tensor like ``inputs``.
        """
        return inputs * self.multiplier(key, shape, inputs.dtype, role)


class Bernoulli(Noise):
    r"""Multipliers that are 0 with probability ``rate``.

    .. math::

        m \in \{0, 1/(1-r)\} \text{ (inverted)}, \qquad
        m \in \{0, 1\} \text{ (raw)}

    An entry is dropped if its 32 random bits, read as an integer, lie below
    ``round(rate * 2**32)``. The comparison is exact, so the rate is the same
    in ``float32``, ``float16`` and ``bfloat16``. At rate 1 every multiplier
    is 0.

    Args:
        rate: Float in ``[0, 1]``, a vector of them, or a scalar variable.
        scale: ``"inverted"`` multiplies kept entries by ``1 / (1 - rate)``,
            so that the mean is 1; ``"raw"`` by 1, so that the mean is
            ``1 - rate``.
    Raises:
        TypeError: if the rate is no number.
        ValueError: if the rate is outside ``[0, 1]`` or ``scale`` is unknown.
    Example:
        >>> noise = Bernoulli(0.5)
        >>> noise.mean, noise.variance
        (1.0, 1.0)
        >>> key = Key(tf.constant([7, 0]))
        >>> sorted(set(noise.multiplier(key, (100,)).numpy().tolist()))
        [0.0, 2.0]

    Reference:
        Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html.
        The paper's masks are raw and its weights are multiplied by the
        probability of keeping at test time; inverted scaling is what every
        library does instead.
    """

    def __init__(
        self,
        rate: float | Sequence[float] | keras.Variable,
        scale: str = "inverted",
    ):
        super().__init__(rate)
        if scale not in ("inverted", "raw"):
            raise ValueError(
                "Invalid value received for argument `scale`. Expected "
                f"'inverted' or 'raw'. Received: scale={scale!r}"
            )
        self.scale = scale

    @property
    def mean(self) -> float | np.ndarray:
        """Mean of the multiplier (0 for an inverted rate of 1)."""
        rate = np.asarray(self.config_rate)
        inverted = np.where(rate < 1, 1.0, 0.0)
        return _plain(inverted if self.scale == "inverted" else 1 - rate)

    @property
    def variance(self) -> float | np.ndarray:
        """Variance of the multiplier."""
        rate = np.asarray(self.config_rate)
        raw = rate * (1 - rate)
        keep = np.where(rate < 1, 1 - rate, 1.0)
        return _plain(raw / keep**2 if self.scale == "inverted" else raw)

    def multiplier(self, key, shape, dtype="float32", role="multiplier"):
        keep, kept_value = self._draw(key, shape, dtype, role)
        return tf.where(keep, kept_value, tf.zeros((), dtype))

    def apply(self, inputs, key, shape, role="multiplier"):
        # A selection, not a product: a dropped NaN or infinity becomes 0.
        keep, kept_value = self._draw(key, shape, inputs.dtype, role)
        return tf.where(keep, inputs * kept_value, tf.zeros((), inputs.dtype))

    def _draw(self, key, shape, dtype, role):
        """Returns which entries are kept and what they are multiplied by."""
        rate = self.rate_tensor
        # 2**32 itself is no uint32: at rate 1 the kept value is 0 instead.
        threshold = tf.minimum(tf.round(rate * 2.0**32), 2.0**32 - 1)
        keep = key.bits(shape, role) >= tf.cast(threshold, tf.uint32)
        kept_value = tf.cast(rate < 1, tf.float64)
        if self.scale == "inverted":
            kept_value = tf.math.divide_no_nan(kept_value, 1 - rate)
        return keep, tf.cast(kept_value, dtype)


class Gaussian(Noise):
    r"""Multipliers from a normal distribution around 1.

    .. math:: m \sim \mathcal{N}\left(1, \frac{r}{1-r}\right)

    Mean and variance are those of inverted Bernoulli noise at the same rate.
    The normal numbers are a Box-Muller transform of the bits, computed in
    ``float32``: eager mode, graphs and XLA agree to 4 units in the last place
    of ``1 + 7 * stddev``, not bit for bit.

    Args:
        rate: Float in ``[0, 1)``, a vector of them, or a scalar variable. At 1
            the variance would be infinite.
    Raises:
        TypeError: if the rate is no number.
        ValueError: if the rate is outside ``[0, 1)``.
    Example:
        >>> noise = Gaussian(0.2)
        >>> noise.mean, noise.variance
        (1.0, 0.25)

    Reference:
        Srivastava et al. (2014), section 10,
        https://jmlr.org/papers/v15/srivastava14a.html.
    """

    one_allowed = False

    @property
    def mean(self) -> float | np.ndarray:
        """Mean of the multiplier: 1."""
        return _plain(np.ones_like(np.asarray(self.config_rate)))

    @property
    def variance(self) -> float | np.ndarray:
        """Variance of the multiplier: ``rate / (1 - rate)``."""
        rate = np.asarray(self.config_rate)
        return _plain(rate / (1 - rate))

    def multiplier(self, key, shape, dtype="float32", role="multiplier"):
        rate = self.rate_tensor
        stddev = tf.cast(tf.sqrt(rate / (1 - rate)), tf.float32)
        return tf.cast(1 + stddev * _normal(key, shape, role), dtype)


def _normal(key: Key, shape, role: str) -> tf.Tensor:
    """Standard normal numbers: each pair of words gives a pair of numbers."""
    size = tf.reduce_prod(tf.convert_to_tensor(shape, tf.int32))
    words = tf.cast(key.bits([2, (size + 1) // 2], role), tf.float32) * 2.0**-32
    # 2**-33 keeps the logarithm finite; the largest radius is 6.8.
    radius = tf.sqrt(-2 * tf.math.log(words[0] + 2.0**-33))
    angle = 2 * math.pi * words[1]
    pairs = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=0)
    return tf.reshape(pairs[:size], shape)
