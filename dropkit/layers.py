"""Layers: dropout on activations, on word types and on positions."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from dropkit.noise import Bernoulli, Gaussian
from dropkit.sharing import (
    Axes,
    check_axes,
    check_noise_shape,
    draw_shape,
    fit_noise_shape,
    to_noise_shape,
)
from dropkit.stream import Stream, check_seed

NOISES = {"bernoulli": Bernoulli, "gaussian": Gaussian}


def check_floating(layer: keras.layers.Layer, dtype) -> None:
    """Raises a TypeError unless ``dtype`` is floating."""
    name = keras.backend.standardize_dtype(dtype)
    if "float" not in name:
        raise TypeError(
            f"{type(layer).__name__} multiplies its inputs by random numbers "
            "and needs a floating dtype (token ids go through an Embedding "
            f"layer first). Received: inputs of dtype {name}"
        )


class NoiseLayer(keras.layers.Layer):
    """A layer with a noise and a stream; the identity in inference.

    Args:
        noise: The distribution of the multipliers.
        seed: See :class:`~dropkit.stream.Stream`.
    """

    def __init__(self, noise: Bernoulli | Gaussian, seed: int | None, **kwargs):
        super().__init__(**kwargs)
        self._noise = noise
        self.seed = check_seed(seed)
        self._stream = Stream(self.seed)
        self.supports_masking = True

    @property
    def rate(self):
        """The rate as given: a float, a tuple of floats, or a variable."""
        return self._noise.rate

    @property
    def stream(self) -> Stream:
        """The random state of this layer."""
        return self._stream

    def compute_output_shape(self, input_shape, *args):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self._noise.config_rate,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="dropkit")
class Dropout(NoiseLayer):
    r"""Multiplies its inputs by noise in training; the identity in inference.

    .. math:: y = m \odot x, \qquad \mathrm{E}[m] = 1

    One layer for what Keras spreads over five: choose the noise, and the axes
    that share one draw.

    ====================================  ================================
    Keras                                 dropkit
    ====================================  ================================
    ``Dropout(r)``                        ``Dropout(r)``
    ``SpatialDropout1D(r)``               ``Dropout(r, "time")``
    ``SpatialDropout2D(r)``               ``Dropout(r, (1, 2))``
    ``SpatialDropout3D(r)``               ``Dropout(r, (1, 2, 3))``
    ``GaussianDropout(r)``                ``Dropout(r, noise="gaussian")``
    ====================================  ================================

    Args:
        rate: Float in ``[0, 1]``, the probability of dropping an entry (in
            ``[0, 1)`` for Gaussian noise, whose variance is
            ``rate / (1 - rate)``). A vector gives each entry of the last axis
            its own rate. A scalar ``keras.Variable`` may change during
            training without retracing; its present value is what is saved.
        shared_axes: Axes along which all entries share one draw:
            ``"batch"``, ``"time"`` (inputs of rank 3), ``"features"`` (the
            last axis), an axis number, or a tuple of these. Default: every
            entry has its own draw.
        noise: ``"bernoulli"`` for multipliers 0 and ``1 / (1 - rate)``, or
            ``"gaussian"`` for a normal distribution with the same mean and
            variance.
        noise_shape: The same choice in Keras's spelling: one entry for each
            axis, 1 to share, None for the input's size. Give this or
            ``shared_axes``.
        seed: Int in ``[0, 2**32)`` for reproducible draws. Default: taken
            from Python's ``random``; ``keras.utils.set_random_seed`` fixes it.
        **kwargs: ``name``, ``dtype``, ``trainable``, as for any Keras layer.

    Call arguments:
        inputs: Floating tensor of any rank.
        training: Whether to apply the noise. Default: as Keras decides
            (``fit`` trains, ``predict`` does not).

    Input shape:
        Any; with a ``noise_shape``, of its rank.

    Output shape:
        Same as the input.

    Raises:
        TypeError: if a rate or seed is no number, or the inputs are integers.
        ValueError: if a rate is outside its range, a vector of rates does not
            match the last axis, an axis is unknown or given twice, or
            ``noise_shape`` does not fit the input.

    Example:
        >>> x = tf.ones((2, 3, 4))
        >>> layer = Dropout(0.5, "time", seed=1)
        >>> y = layer(x, training=True).numpy()
        >>> bool((y == y[:, :1]).all())
        True
        >>> bool((layer(x).numpy() == x.numpy()).all())
        True
        >>> only_column_3 = Dropout([0, 0, 0, 0.2])

    Reference:
        Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html
        (with inverted scaling instead of scaling weights at test time);
        section 10 there for the Gaussian noise. Tompson et al. (2015),
        https://arxiv.org/abs/1411.4280, for sharing over space.
    """

    def __init__(
        self,
        rate: float | Sequence[float] | keras.Variable,
        shared_axes: Axes | None = None,
        noise: str = "bernoulli",
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        if noise not in NOISES:
            raise ValueError(
                "Invalid value received for argument `noise`. Expected one of "
                f"{tuple(NOISES)}. Received: noise={noise!r}"
            )
        super().__init__(NOISES[noise](rate), seed, **kwargs)
        self.noise = noise
        axes = check_axes(shared_axes)
        self.shared_axes = axes or None
        self.noise_shape = check_noise_shape(noise_shape)
        if axes and noise_shape is not None:
            raise ValueError(
                "Give the shared axes once: as `shared_axes` or as "
                f"`noise_shape`. Received: shared_axes={shared_axes!r}, "
                f"noise_shape={noise_shape!r}"
            )

    def build(self, input_shape):
        self._checked_noise_shape(input_shape)
        super().build(input_shape)

    def call(self, inputs, training=False):
        check_floating(self, inputs.dtype)
        noise_shape = self._checked_noise_shape(inputs.shape)
        if not training or self._noise.is_identity:
            return inputs
        shape = draw_shape(noise_shape, inputs)
        return self._noise.apply(inputs, self._stream.next_key(), shape)

    def _checked_noise_shape(self, input_shape):
        """The full ``noise_shape`` for inputs of this shape, or an error."""
        noise_shape = self.noise_shape
        if noise_shape is None:
            noise_shape = to_noise_shape(self.shared_axes, len(input_shape))
        fitted = fit_noise_shape(noise_shape, input_shape)
        if isinstance(self.rate, tuple):
            size = input_shape[-1] if len(input_shape) else None
            if len(self.rate) != size:
                raise ValueError(
                    "Invalid value received for argument `rate`. Expected one "
                    "rate for each entry of the last axis of the input of "
                    f"shape {tuple(input_shape)}. Received: "
                    f"{len(self.rate)} rates"
                )
            if fitted[-1] == 1 and size > 1:
                raise ValueError(
                    "Rates that differ between features need a draw for each "
                    "feature: do not share the last axis. Received: "
                    f"rate={self.rate}, noise_shape={noise_shape}"
                )
        return noise_shape

    def get_config(self):
        return {
            **super().get_config(),
            "shared_axes": self.shared_axes,
            "noise": self.noise,
            "noise_shape": self.noise_shape,
        }


@keras.saving.register_keras_serializable(package="dropkit")
class TokenDropout(Dropout):
    """Drops whole positions: all features of a step share one draw.

    Put it after the Embedding layer. Two equal words in a sentence are
    dropped independently; see :class:`EmbeddingDropout` for word types.

    Args:
        rate: Float in ``[0, 1]``, the probability of dropping a position.
        seed: See :class:`Dropout`.
        **kwargs: ``name``, ``dtype``, ``trainable``.

    Call arguments:
        inputs: Floating tensor ``(batch, time, features)``.
        training: Whether to drop.

    Input shape:
        ``(batch, time, features)``.

    Output shape:
        Same as the input.

    Raises:
        TypeError: if the rate or seed is no number, or the inputs are integers.
        ValueError: if the rate is outside ``[0, 1]`` or the rank is not 3.

    Example:
        >>> y = TokenDropout(0.5, seed=1)(tf.ones((2, 3, 4)), training=True)
        >>> sorted(set(y.numpy().sum(axis=-1).ravel().tolist()))
        [0.0, 8.0]

    Reference:
        "Word dropout" as in flair's ``WordDropout``, which does not rescale;
        kept positions are multiplied by ``1 / (1 - rate)`` here.
    """

    def __init__(
        self,
        rate: float | keras.Variable,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(rate, noise_shape=(None, None, 1), seed=seed, **kwargs)

    def get_config(self):
        config = super().get_config()
        for fixed in ("shared_axes", "noise", "noise_shape"):
            del config[fixed]
        return config


@keras.saving.register_keras_serializable(package="dropkit")
class EmbeddingDropout(NoiseLayer):
    """Drops word types: all occurrences of a word share one draw.

    Dropping a row of the embedding matrix and dropping every occurrence of
    that word are the same thing, so the layer needs only the embedded words
    and their ids, not the matrix or the size of the vocabulary.

    Args:
        rate: Float in ``[0, 1]``, the probability of dropping a word type.
        per: ``"sample"``: each sequence drops its own types (Gal);
            ``"batch"``: one set of types for the whole batch (AWD-LSTM).
        seed: See :class:`Dropout`.
        **kwargs: ``name``, ``dtype``, ``trainable``.

    Call arguments:
        inputs: Floating tensor ``(batch, time, features)``, the embedded words.
        ids: Integer tensor ``(batch, time)``, the words' ids.
        training: Whether to drop.

    Input shape:
        ``(batch, time, features)`` and ``(batch, time)``.

    Output shape:
        ``(batch, time, features)``.

    Raises:
        TypeError: if the rate or seed is no number, the inputs are integers or
            the ids are not.
        ValueError: if the rate is outside ``[0, 1]``, ``per`` is unknown, or
            the shapes do not match.

    Example:
        >>> ids = tf.constant([[5, 9, 5, 2]])
        >>> words = keras.layers.Embedding(10, 3)(ids)
        >>> y = EmbeddingDropout(0.5, seed=3)(words, ids, training=True)
        >>> bool(tf.reduce_all(y[0, 0] == y[0, 2]))
        True

    Reference:
        Gal and Ghahramani (2016), https://arxiv.org/abs/1512.05287 (per
        sample); Merity et al. (2018), https://arxiv.org/abs/1708.02182, and
        its code (per batch). Both scale by ``1 / (1 - rate)``, as here.
    """

    def __init__(
        self,
        rate: float | keras.Variable,
        per: str = "sample",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(Bernoulli(rate), seed, **kwargs)
        if isinstance(self.rate, tuple):
            raise ValueError(
                "Invalid value received for argument `rate`. Expected a "
                f"scalar. Received: rate={rate!r}"
            )
        if per not in ("sample", "batch"):
            raise ValueError(
                "Invalid value received for argument `per`. Expected 'sample' "
                f"or 'batch'. Received: per={per!r}"
            )
        self.per = per

    def call(self, inputs, ids, training=False):
        check_floating(self, inputs.dtype)
        self._check_ids(inputs, ids)
        if not training or self._noise.is_identity:
            return inputs
        key = self._stream.next_key()
        rows = ids if self.per == "sample" else tf.reshape(ids, (1, -1))
        # Each row has at most as many types as positions: draw that many, and
        # give every position the draw of its type.
        draws = self._noise.multiplier(
            key, tf.shape(rows), inputs.dtype, role="types"
        )
        multiplier = tf.gather(draws, _type_numbers(rows), batch_dims=1)
        return inputs * tf.reshape(multiplier, tf.shape(ids))[..., None]

    def _check_ids(self, inputs, ids):
        dtype = keras.backend.standardize_dtype(ids.dtype)
        if "int" not in dtype:
            raise TypeError(
                "EmbeddingDropout needs the integer ids of the words as its "
                f"second argument. Received: ids of dtype {dtype}"
            )
        expected = tuple(inputs.shape[:-1])
        if len(inputs.shape) != 3 or not tf.TensorShape(
            expected
        ).is_compatible_with(ids.shape):
            raise ValueError(
                "EmbeddingDropout expects inputs of shape (batch, time, "
                "features) and ids of shape (batch, time). Received: inputs "
                f"of shape {tuple(inputs.shape)}, ids of shape "
                f"{tuple(ids.shape)}"
            )

    def get_config(self):
        return {**super().get_config(), "per": self.per}


def _type_numbers(ids: tf.Tensor) -> tf.Tensor:
    """Numbers the distinct ids of each row 0, 1, ... in ascending order."""
    order = tf.argsort(ids, axis=-1)
    ordered = tf.gather(ids, order, batch_dims=1)
    is_new = tf.cast(ordered[:, 1:] != ordered[:, :-1], tf.int32)
    numbers = tf.pad(tf.cumsum(is_new, axis=-1), [[0, 0], [1, 0]])
    return tf.gather(numbers, tf.argsort(order, axis=-1), batch_dims=1)
