"""The specification agrees with published answers and with NumPy."""

import statistics

import numpy as np
import pytest

from dropkit import reference


@pytest.mark.parametrize(
    "counter, key, answer",
    [
        # The known answers of the authors' Random123 library.
        (
            [0xFFFFFFFF] * 4,
            [0xFFFFFFFF] * 2,
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        ),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, answer):
    assert reference.philox(counter, key) == answer


def test_bits_differ_by_seed_count_role_and_replica():
    base = {"seed": 1, "count": 0, "role": "a", "replica": 0}
    others = [{"seed": 2}, {"count": 1}, {"role": "b"}, {"replica": 1}]
    first = reference.bits((8,), **base)
    for other in others:
        assert not (reference.bits((8,), **base | other) == first).any()


def test_a_longer_draw_begins_with_the_shorter():
    long, short = reference.bits((11,), 3), reference.bits((5,), 3)
    np.testing.assert_array_equal(long[:5], short)


def test_bernoulli_drops_below_the_threshold():
    words = np.array([0, 2**30 - 1, 2**30, 2**32 - 1], "uint32")
    np.testing.assert_array_equal(
        reference.bernoulli(words, 0.25), [0, 0, 4 / 3, 4 / 3]
    )
    np.testing.assert_array_equal(
        reference.bernoulli(words, 0.25, scale="raw"), [0, 0, 1, 1]
    )
    np.testing.assert_array_equal(reference.bernoulli(words, 1.0), [0] * 4)
    np.testing.assert_array_equal(reference.bernoulli(words, 0.0), [1] * 4)


def test_gaussian_is_normal():
    n = 4000
    words = reference.bits((2, n // 2), seed=1)
    z = np.sort(reference.gaussian((n,), words, 0.5) - 1)
    normal = statistics.NormalDist()
    below = np.array([normal.cdf(value) for value in z])
    # Kolmogorov's statistic passes 2 / sqrt(n) with probability 7e-4.
    steps = np.arange(n + 1) / n
    distance = max((steps[1:] - below).max(), (below - steps[:-1]).max())
    assert distance < 2 / np.sqrt(n)


def test_share_matches_numpy_broadcasting():
    shape, noise_shape = (2, 3, 4), (1, None, 4)
    draws = np.arange(12).reshape(1, 3, 4)
    np.testing.assert_array_equal(
        reference.share(shape, noise_shape), np.broadcast_to(draws, shape)
    )


def test_type_numbers_match_numpy_unique():
    ids = np.random.default_rng(0).integers(0, 6, (5, 9))
    for row, numbers in zip(ids, reference.type_numbers(ids), strict=True):
        expected = np.unique(row, return_inverse=True)[1]
        np.testing.assert_array_equal(numbers, expected)
