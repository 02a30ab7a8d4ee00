"""A stream gives the specified bits and keeps its state out of the weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dropkit import reference
from dropkit.stream import Key, Stream, check_seed


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 - 1])
@pytest.mark.parametrize("role", ["multiplier", "types"])
def test_bits_are_the_specified_ones(seed, role):
    stream = Stream(seed)
    for count in range(3):
        drawn = stream.next_key().bits((3, 7), role)
        expected = reference.bits((3, 7), seed, count, role)
        np.testing.assert_array_equal(drawn, expected)


def test_replicas_get_the_specified_bits(two_replicas):
    with two_replicas.scope():
        stream = Stream(5)

    @tf.function
    def draw():
        return two_replicas.run(lambda: stream.next_key().bits((6,), "role"))

    for count in range(2):
        drawn = two_replicas.experimental_local_results(draw())
        for replica, bits in enumerate(drawn):
            np.testing.assert_array_equal(
                bits, reference.bits((6,), 5, count, "role", replica)
            )


def test_roles_and_keys_give_independent_bits():
    stream = Stream(1)
    key, later = stream.next_key(), stream.next_key()
    draws = [key.bits((50,), "a"), key.bits((50,), "b"), later.bits((50,), "a")]
    for i, left in enumerate(draws):
        for right in draws[:i]:
            assert not np.any(left.numpy() == right.numpy())


def test_bits_fill_the_whole_range():
    bits = Key(tf.constant([3, 0])).bits((100_000,), "role").numpy()
    # Each bit is 1 half of the time, within 5 standard errors.
    for place in range(32):
        ones = (bits >> place & 1).mean()
        assert abs(ones - 0.5) < 5 * 0.5 / np.sqrt(bits.size)


def test_a_layer_with_a_stream_gains_no_weights():
    layer = keras.layers.Dense(2)
    layer.stream = Stream(1)
    layer.build((None, 3))
    assert [w.name for w in layer.weights] == ["kernel", "bias"]
    assert any(v is layer.stream.state for v in layer.variables)


def test_default_seeds_differ_and_follow_set_random_seed():
    keras.utils.set_random_seed(3)
    first = [int(Stream().state.numpy()[0]) for _ in range(3)]
    keras.utils.set_random_seed(3)
    again = [int(Stream().state.numpy()[0]) for _ in range(3)]
    assert first == again
    assert len(set(first)) == 3


def test_a_file_without_state_keeps_the_state():
    stream = Stream(4)
    stream.next_key()
    stream.load_own_variables({})
    np.testing.assert_array_equal(stream.state.numpy(), [4, 1])


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=f"Received: seed={seed}$"):
        check_seed(seed)


@pytest.mark.parametrize("seed", [1.0, "1", True, [1]])
def test_a_seed_that_is_no_integer_is_refused(seed):
    with pytest.raises(TypeError, match="Received: seed="):
        check_seed(seed)


def test_numpy_integers_are_seeds():
    assert check_seed(np.int64(3)) == 3
    assert check_seed(None) is None
