"""Rates are exact, moments are declared, and bad rates are refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from dropkit import reference
from dropkit.noise import Bernoulli, Gaussian, check_rate
from dropkit.stream import Key, Stream


def key(seed=1, count=0):
    return Key(tf.constant([seed, count], tf.int64))


@given(st.floats(0, 1), st.sampled_from(["inverted", "raw"]))
def test_bernoulli_is_the_specified_one(rate, scale):
    multiplier = Bernoulli(rate, scale).multiplier(key(), (4, 5), "float64")
    expected = reference.bernoulli(reference.bits((4, 5), 1), rate, scale)
    np.testing.assert_allclose(multiplier, expected, rtol=1e-15)


@given(st.floats(0, 0.999), st.integers(1, 9))
def test_gaussian_is_the_specified_one(rate, size):
    multiplier = Gaussian(rate).multiplier(key(), (size,))
    words = reference.bits((2, (size + 1) // 2), 1)
    expected = reference.gaussian((size,), words, rate)
    # The angle 2 pi v is rounded to float32: half a unit at 2 pi is 2.4e-7.
    bound = 7 * 4 * 2.0**-23 * (1 + np.sqrt(rate / (1 - rate)))
    np.testing.assert_allclose(multiplier, expected, atol=bound)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.5, 0.99, 0.999])
def test_the_rate_is_the_same_in_every_precision(rate, dtype):
    n = 1_000_000
    dropped = Bernoulli(rate).multiplier(key(), (n,), dtype) == 0
    count = int(tf.reduce_sum(tf.cast(dropped, tf.int32)))
    assert abs(count / n - rate) < 5 * np.sqrt(rate * (1 - rate) / n)
    # The same bits decide in every precision.
    bits = key().bits((n,), "multiplier").numpy()
    assert count == (bits < round(rate * 2**32)).sum()


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize(
    "make",
    [Bernoulli, Gaussian, lambda rate: Bernoulli(rate, scale="raw")],
    ids=["inverted", "gaussian", "raw"],
)
def test_declared_moments_are_those_of_the_draws(make, rate):
    n = 1_000_000
    noise = make(rate)
    draws = noise.multiplier(key(), (n,), "float64").numpy()
    sd = np.sqrt(noise.variance)
    assert abs(draws.mean() - noise.mean) <= 5 * sd / np.sqrt(n) + 1e-12
    # Standard error of a variance: from the draws' own fourth moment.
    squares = (draws - noise.mean) ** 2
    error = 5 * squares.std() / np.sqrt(n)
    assert abs(squares.mean() - noise.variance) <= error + 1e-12


def test_bernoulli_and_gaussian_have_equal_mean_and_variance():
    rates = [0.1, 0.5, 0.8]
    np.testing.assert_allclose(Bernoulli(rates).mean, Gaussian(rates).mean)
    np.testing.assert_allclose(
        Bernoulli(rates).variance, Gaussian(rates).variance
    )


@pytest.mark.parametrize("scale", ["inverted", "raw"])
def test_rate_one_gives_zeros_and_rate_zero_gives_ones(scale):
    zeros = Bernoulli(1, scale).multiplier(key(), (1000,))
    ones = Bernoulli(0, scale).multiplier(key(), (1000,))
    assert not np.any(zeros.numpy())
    np.testing.assert_array_equal(ones, np.ones(1000))
    assert Bernoulli(1, scale).mean == 0
    assert Bernoulli(0, scale).is_identity
    assert not Bernoulli(1, scale).is_identity


def test_a_vector_gives_each_feature_its_rate():
    rates = np.array([0.0, 0.1, 0.5, 1.0])
    n = 20_000
    draws = Bernoulli(rates).multiplier(key(), (n, 4)).numpy()
    error = 5 * np.sqrt(rates * (1 - rates) / n)
    assert np.all(np.abs((draws == 0).mean(axis=0) - rates) <= error)
    np.testing.assert_allclose(draws.max(axis=0), [1, 1 / 0.9, 2, 0], rtol=1e-6)


@pytest.mark.parametrize("make", [Bernoulli, Gaussian])
def test_a_variable_rate_is_read_anew_without_retracing(make):
    rate = keras.Variable(0.0, trainable=False)
    noise, stream, traces = make(rate), Stream(1), []

    @tf.function
    def draw():
        traces.append(1)
        return noise.multiplier(stream.next_key(), (10_000,))

    assert float(tf.math.reduce_std(draw())) == 0
    rate.assign(0.5)
    # Var of a variance of 1 from 10 000 draws: below 2 / n, so sd 0.015.
    assert abs(float(tf.math.reduce_std(draw())) - 1) < 5 * 0.015
    assert len(traces) == 1
    assert noise.config_rate == 0.5
    assert not noise.is_identity


def test_dropped_nan_and_infinity_become_zero():
    x = tf.constant([np.nan, np.inf, -np.inf, 1.0] * 100)
    y = Bernoulli(0.5).apply(x, key(), (400,)).numpy()
    kept = Bernoulli(0.5).multiplier(key(), (400,)).numpy() > 0
    np.testing.assert_array_equal(y[~kept], 0)
    np.testing.assert_array_equal(y[kept], x.numpy()[kept] * 2)


@pytest.mark.parametrize("rate", [-0.1, 1.3, np.nan, np.inf, [0.5, 1.1]])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(ValueError, match="Received: rate="):
        check_rate(rate)


def test_the_error_ends_with_what_was_received():
    with pytest.raises(ValueError, match=r"Received: rate=1\.3$"):
        check_rate(1.3)


@pytest.mark.parametrize("rate", ["0.5", None, True, [True], 1j, object()])
def test_rates_that_are_no_numbers_are_refused(rate):
    with pytest.raises(TypeError, match="Received: rate="):
        check_rate(rate)


@pytest.mark.parametrize("rate", [[], [[0.5]]])
def test_rates_of_wrong_rank_are_refused(rate):
    with pytest.raises(ValueError, match="Received: rate="):
        check_rate(rate)


def test_a_variable_out_of_range_or_not_scalar_is_refused():
    for value in (1.5, [0.5, 0.5]):
        with pytest.raises(ValueError, match="Received: rate="):
            check_rate(keras.Variable(value, trainable=False))


def test_gaussian_refuses_rate_one():
    with pytest.raises(ValueError, match=r"\[0, 1\)\. Received: rate=1$"):
        Gaussian(1)


def test_an_unknown_scale_is_refused():
    with pytest.raises(ValueError, match="Received: scale='classic'"):
        Bernoulli(0.5, scale="classic")


def test_numpy_numbers_are_rates():
    assert check_rate(np.float32(0.5)) == 0.5
    assert check_rate(np.array([0, 1])) == (0.0, 1.0)
    assert check_rate(0) == 0.0
