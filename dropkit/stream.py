"""Random bits: the only module of dropkit that draws random numbers.

A :class:`Stream` is a layer's random state: a seed and a counter of calls.
Each call takes one :class:`Key` from it, and a key gives raw 32-bit Philox
integers. Integers are bit-equal in eager mode, in graphs and under XLA, where
TensorFlow's own float draws differ.
"""

from __future__ import annotations

import operator
import zlib
from collections.abc import Sequence

import keras
import tensorflow as tf

SEED_LIMIT = 2**32


def check_seed(seed: int | None) -> int | None:
    """Returns ``seed`` as an int in ``[0, 2**32)``, or None.

    Args:
        seed: Int, NumPy integer or None.
    Returns:
        The same number as a Python int, or None.
    Raises:
        TypeError: if ``seed`` is no integer.
        ValueError: if ``seed`` is outside ``[0, 2**32)``.
    Example:
        >>> check_seed(7)
        7
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(
            "Invalid value received for argument `seed`. Expected an integer "
            f"or None. Received: seed={seed!r}"
        )
    number = operator.index(seed)
    if not 0 <= number < SEED_LIMIT:
        raise ValueError(
            "Invalid value received for argument `seed`. Expected an integer "
            f"in [0, 2**32). Received: seed={seed}"
        )
    return number


class Key:
    """The key of one call: gives the bits of every role in that call.

    Args:
        state: Integer tensor of shape ``(2,)``: seed and counter.
        replica: Integer scalar, the replica's number (0 without a strategy).
    Example:
        >>> key = Key(tf.constant([7, 0]))
        >>> key.bits((2, 3), role="input").dtype
        tf.uint32
    """

    def __init__(self, state: tf.Tensor, replica: int | tf.Tensor = 0):
        words = tf.cast(state, tf.int64)
        self._call = words[0] * SEED_LIMIT + words[1]
        self._replica = tf.cast(replica, tf.int64)

    def bits(self, shape: Sequence[int] | tf.Tensor, role: str) -> tf.Tensor:
        """Returns raw bits: a ``uint32`` tensor, uniform over all values.

        Args:
            shape: Shape of the result.
            role: What the bits are for. Different roles give independent
                bits in the same call; the same role gives the same bits.
        Returns:
            ``uint32`` tensor of shape ``shape``.
        Reference:
            Philox4x32-10 of Salmon et al. (2011), as in
            ``tf.random.stateless_uniform``.
        """
        role_word = zlib.crc32(role.encode())
        # The first 64 bits name the call, the second what is drawn in it. A
        # role of 2**31 or more must wrap to a negative int64 on purpose.
        high = (role_word - (role_word >> 31 << 32)) * SEED_LIMIT
        seed = tf.stack([self._call, high + self._replica])
        return tf.random.stateless_uniform(
            shape,
            seed=seed,
            minval=None,
            maxval=None,
            dtype=tf.uint32,
            alg="philox",
        )


class Stream(keras.layers.Layer):
    """The random state of a layer, kept out of the layer's weights.

    It is a child layer without weights, so ``get_weights()`` of the owner
    does not change and weight files of stock Keras load both ways. Seed and
    counter are saved all the same: in ``.keras`` and ``.weights.h5`` files
    under the stream's own entry, in ``tf.train.Checkpoint`` as a tracked
    variable. A resumed training continues with the masks that an
    uninterrupted one would have drawn.

    Args:
        seed: Int in ``[0, 2**32)``. Default: a number from Python's
            ``random``, so that ``keras.utils.set_random_seed`` fixes it.
            Streams with the same integer seed give the same bits.
    Example:
        >>> stream = Stream(seed=7)
        >>> first = stream.next_key().bits((4,), role="input")
        >>> again = stream.next_key().bits((4,), role="input")
        >>> bool(tf.reduce_all(first == again))
        False
    """

    def __init__(self, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self._generator = keras.random.SeedGenerator(check_seed(seed))
        # Keras does not checkpoint seed generators; a tf.Module is tracked.
        self._checkpointed = tf.Module()
        self._checkpointed.state = self._generator.state
        self.built = True

    @property
    def state(self) -> keras.Variable:
        """The variable ``[seed, counter]``, of dtype ``uint32``."""
        return self._generator.state

    def next_key(self) -> Key:
        """Returns the key of this call and advances the counter by one.

        Inside a ``tf.distribute`` strategy each replica gets its own key.
        """
        context = tf.distribute.get_replica_context()
        replica = 0 if context is None else context.replica_id_in_sync_group
        return Key(self._generator.next(), replica)

    def save_own_variables(self, store):
        store["state"] = self.state.numpy()

    def load_own_variables(self, store):
        # A file written by stock Keras has no state: keep the present one.
        if "state" in store.keys():
            self.state.assign(store["state"])
