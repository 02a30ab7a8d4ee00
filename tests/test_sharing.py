"""Named axes and noise shapes say the same thing, and bad ones are refused."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dropkit.sharing import (
    check_axes,
    check_noise_shape,
    draw_shape,
    fit_noise_shape,
    to_noise_shape,
    to_shared_axes,
)


@pytest.mark.parametrize(
    "axes, rank, expected",
    [
        (None, 3, (None, None, None)),
        ("batch", 3, (1, None, None)),
        ("time", 3, (None, 1, None)),
        ("features", 3, (None, None, 1)),
        (("batch", "time"), 3, (1, 1, None)),
        (1, 3, (None, 1, None)),
        (-1, 2, (None, 1)),
        ("features", 4, (None, None, None, 1)),
        ((1, 2), 4, (None, 1, 1, None)),
        (np.int64(2), 4, (None, None, 1, None)),
    ],
)
def test_axes_become_a_noise_shape(axes, rank, expected):
    assert to_noise_shape(axes, rank) == expected


@given(st.sets(st.sampled_from(["batch", "time", "features"])))
def test_names_survive_the_round_trip(names):
    assert set(to_shared_axes(to_noise_shape(tuple(names), 3))) == names


@given(
    st.integers(1, 5).flatmap(
        lambda rank: st.tuples(st.just(rank), st.sets(st.integers(0, rank - 1)))
    )
)
def test_numbers_survive_the_round_trip(case):
    rank, numbers = case
    noise_shape = to_noise_shape(tuple(numbers), rank)
    shared = to_shared_axes(noise_shape)
    assert to_noise_shape(shared, rank) == noise_shape
    assert sum(entry == 1 for entry in noise_shape) == len(numbers)


@pytest.mark.parametrize("axes", ["steps", ("time", "time"), (1, 1)])
def test_unknown_and_repeated_axes_are_refused(axes):
    with pytest.raises(ValueError, match="Received: shared_axes="):
        check_axes(axes)


@pytest.mark.parametrize("axes", [(None, 1, None), 1.5, True, (2.0,)])
def test_axes_that_are_none_are_refused(axes):
    with pytest.raises(TypeError, match="noise_shape.*Received: shared_axes="):
        check_axes(axes)


@pytest.mark.parametrize(
    "axes, rank",
    [
        ("time", 2),
        ("time", 4),
        (3, 3),
        (-4, 3),
        ("features", 1),
        (("time", 1), 3),
        (("features", -1), 3),
        ((0, -3), 3),
    ],
)
def test_axes_that_do_not_fit_the_rank_are_refused(axes, rank):
    with pytest.raises(ValueError, match="rank.*Received: shared_axes="):
        to_noise_shape(axes, rank)


@pytest.mark.parametrize(
    "noise_shape", [0, "abc", (0, 1), (-1,), (1.0, 1), (True,), 4]
)
def test_noise_shapes_of_other_things_are_refused(noise_shape):
    with pytest.raises(ValueError, match="Received: noise_shape="):
        check_noise_shape(noise_shape)


def test_numpy_integers_and_lists_are_accepted():
    assert check_noise_shape([np.int64(2), None, 1]) == (2, None, 1)
    assert check_noise_shape(np.array([2, 1])) == (2, 1)


@pytest.mark.parametrize(
    "noise_shape", [(), (4,), (5, 4), (2, 6, 5, 4), (6, 1, 3), (5, 1, 4)]
)
def test_noise_shapes_that_do_not_fit_are_refused(noise_shape):
    with pytest.raises(ValueError, match="Received: noise_shape="):
        fit_noise_shape(noise_shape, (6, 5, 4))


def test_a_noise_shape_never_enlarges_the_input():
    with pytest.raises(ValueError, match="Received: noise_shape="):
        fit_noise_shape((6, 7, 4), (6, 1, 4))


def test_unknown_sizes_stay_unknown():
    assert fit_noise_shape((None, 1, 4), (None, None, 4)) == (None, 1, 4)


def test_a_fixed_batch_fails_on_a_smaller_last_batch():
    """The documented `(batch_size, 1, features)` fails, and says why."""

    @tf.function(input_signature=[tf.TensorSpec((None, 5, 4))])
    def shape(x):
        return draw_shape((6, 1, None), x)

    np.testing.assert_array_equal(shape(tf.ones((6, 5, 4))), [6, 1, 4])
    with pytest.raises(tf.errors.InvalidArgumentError, match="does not fit"):
        shape(tf.ones((2, 5, 4)))


def test_none_fits_a_smaller_last_batch():
    @tf.function(input_signature=[tf.TensorSpec((None, None, 4))])
    def shape(x):
        return draw_shape((None, 1, None), x)

    np.testing.assert_array_equal(shape(tf.ones((2, 5, 4))), [2, 1, 4])
