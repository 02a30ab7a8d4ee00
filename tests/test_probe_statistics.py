"""Verdicts hold at their stated rates, and say when they can't be given."""

import keras
import numpy as np
import pytest
from variants import FULL

import dropkit as dk
from dropkit.probe.activation import Activation, Unreadable
from dropkit.probe.field import Field, sharing
from dropkit.probe.names import RULES, name_of
from dropkit.probe.verdict import binomial_interval, noise

SEEDS = 200 if FULL else 3


# Intervals


def binomial_tail(hits, draws, p):
    """P(X >= hits), by summing."""
    terms, term = 0.0, (1 - p) ** draws
    for k in range(draws + 1):
        terms += term if k >= hits else 0
        term *= (draws - k) / (k + 1) * p / (1 - p)
    return terms


@pytest.mark.parametrize("hits, draws", [(0, 7), (3, 7), (7, 7), (40, 90)])
def test_the_interval_is_clopper_and_pearsons(hits, draws):
    low, high = binomial_interval(hits, draws)
    if hits:
        assert abs(binomial_tail(hits, draws, low) - 0.025) < 1e-9
    else:
        assert low == 0
    if hits < draws:
        below = 1 - binomial_tail(hits + 1, draws, high)
        assert abs(below - 0.025) < 1e-9
    else:
        assert high == 1


# Sharing


def mask(*shape, rate=0.5, seed=0):
    kept = np.random.default_rng(seed).random(shape) >= rate
    return kept / (1 - rate)


def test_few_draws_leave_sharing_undetermined():
    few = Field(("call", "time", "feature"), mask(1, 1, 8).repeat(3, axis=1))
    many = Field(("call", "time", "feature"), mask(1, 1, 80).repeat(3, axis=1))
    assert sharing(few).axes["time"].startswith("undetermined")
    assert sharing(many).axes["time"] == "shared"


def test_rare_drops_leave_sharing_undetermined():
    values = mask(1, 1, 80, rate=0.01).repeat(3, axis=1)
    found = sharing(Field(("call", "time", "feature"), values))
    assert found.axes["time"].startswith("undetermined")


def test_what_was_not_read_is_no_evidence():
    values = mask(1, 1, 80).repeat(3, axis=1)
    values[:, 1:] = np.nan
    found = sharing(Field(("call", "time", "feature"), values))
    assert found.axes["time"].startswith("undetermined")
    assert np.isfinite(found.draws.values).all()


def test_one_different_entry_is_enough():
    values = mask(1, 1, 80).repeat(3, axis=1)
    values[0, 1, 7] = 2 - values[0, 1, 7]
    found = sharing(Field(("call", "time", "feature"), values))
    assert found.axes["time"] == "own"


# Noise


@pytest.mark.parametrize(
    "values, kind, scale",
    [
        (mask(2, 400, rate=0.2), "bernoulli", "inverted"),
        (mask(2, 400) / 2, "bernoulli", "raw"),
        (mask(2, 400) * 2, "bernoulli", None),
        (np.full((2, 9), 0.5), "constant", None),
        (np.ones((2, 9)), "none", None),
        (np.zeros((2, 9)), "bernoulli", None),
        (1 + np.random.default_rng(0).normal(size=(2, 400)), "gaussian", None),
        (np.random.default_rng(0).normal(size=(2, 400)), "unknown", None),
        (np.random.default_rng(0).uniform(0, 2, (2, 400)), "unknown", None),
        (np.full((2, 9), np.nan), "unknown", None),
    ],
)
def test_kinds_of_noise(values, kind, scale):
    found = noise(Field(("call", "entry"), values))
    assert (found.kind, found.scale) == (kind, scale)


def test_the_counted_rate_holds_its_interval_at_the_stated_rate():
    """19 of 20, within 5 standard errors of 2000 runs."""
    runs, inside = 2000, 0
    draws = np.random.default_rng(0).binomial(100, 0.3, runs)
    intervals = {n: binomial_interval(n, 100) for n in set(draws.tolist())}
    for n in draws.tolist():
        low, high = intervals[n]
        inside += low <= 0.3 <= high
    error = np.sqrt(0.95 * 0.05 / runs)
    # An exact interval covers at least as often as it says.
    assert inside / runs >= 0.95 - 5 * error


# Seeds


def categories(report):
    return (
        report.method,
        report.fresh,
        report.inference,
        [(f.site, f.noise_name, f.sharing, f.inference)
         for f in report.findings],
    )  # fmt: skip


MAKERS = {
    "Keras LSTM": lambda seed: keras.layers.LSTM(
        3, dropout=0.2, recurrent_dropout=0.3, seed=seed
    ),
    "rare": lambda seed: dk.SimpleRNN(
        3, recurrent_dropout=dk.Gal(0.05), seed=seed
    ),
    "per batch": lambda seed: dk.LSTM(
        3, recurrent_dropout=dk.Gal(0.25, per="batch"), seed=seed
    ),
    "zoneout": lambda seed: dk.LSTM(
        3, recurrent_dropout=dk.Zoneout(0.05, 0.5), seed=seed
    ),
    # Many units get no input, others more than their gate resolves.
    "high": lambda seed: keras.layers.LSTM(
        3,
        dropout=0.9,
        recurrent_dropout=0.6,
        recurrent_activation="hard_sigmoid",
        seed=seed,
    ),
    "semeniuta": lambda seed: dk.GRU(
        3, recurrent_dropout=dk.Semeniuta(0.3, noise="gaussian"), seed=seed
    ),
    "dropout": lambda seed: dk.Dropout(0.2, "time", seed=seed),
}

METHODS = {
    "Keras LSTM": "Gal (untied) with input dropout (untied)",
    "rare": "Gal",
    "per batch": "Gal (tied), one draw for the batch",
    "zoneout": "Zoneout",
    "high": "Gal (untied) with input dropout (untied)",
    "semeniuta": "Semeniuta per step, Gaussian",
    "dropout": "SpatialDropout1D (locked dropout)",
}


@pytest.mark.parametrize("name", MAKERS)
def test_categories_do_not_depend_on_the_seed(name):
    reports = [dk.probe(MAKERS[name](seed)) for seed in range(SEEDS)]
    first = categories(reports[0])
    assert first[0] == METHODS[name]
    assert [categories(r) for r in reports] == [first] * SEEDS
    counted = [
        f.noise.counted for r in reports for f in r.findings if f.noise.counted
    ]
    rates = {
        "Keras LSTM": [0.2, 0.3],
        "rare": [0.05],
        "per batch": [0.25],
        "high": [0.9, 0.6],
        "zoneout": [0.5, 0.05],
        "dropout": [0.2],
    }.get(name, [])
    for k, rate in enumerate(rates):
        inside = [
            low <= rate <= high for _, low, high in counted[k :: len(rates)]
        ]
        missed = len(inside) - sum(inside)
        # So many misses come by chance less than once in a million.
        assert binomial_tail(missed, len(inside), 0.05) > 1e-6


def test_a_multiplier_near_0_hides_what_it_multiplies():
    """With this seed one is so small that a closed gate shows beside it."""
    report = dk.probe(MAKERS["semeniuta"](27))
    assert report.method == "Semeniuta per step, Gaussian"
    assert [f.site for f in report.findings] == ["candidate"]


def test_a_value_that_repeats_by_chance_is_not_kept():
    """With this seed one of 7488 candidates equals the state before it."""
    report = dk.probe(MAKERS["semeniuta"](46))
    assert report.method == "Semeniuta per step, Gaussian"


def in_place(layer):
    layer(np.zeros((1, 2, 4), "float32"))
    return dk.probe(layer, in_place=True)


def test_a_unit_without_input_keeps_nothing():
    """With this seed one sample's output gates lose all four features."""
    layer = dk.LSTM(20, dropout=0.3, recurrent_dropout=0.4, seed=17)
    report = in_place(layer)
    assert report.method == "Gal (untied) with input dropout (untied)"


def test_few_draws_that_are_all_0_are_not_rate_1():
    """With this seed the first two calls drop all 48 inputs."""
    layer = dk.LSTM(
        20, dropout=0.9, recurrent_dropout=dk.Zoneout(0.3, 0.2), seed=4
    )
    assert in_place(layer).findings[0].noise.rate == pytest.approx(0.9)


# Names


def test_no_two_rules_mean_the_same():
    seen = [
        (site, rule.shared, noise, rule.recurrent, rule.inference[0])
        for rule in RULES
        for site in rule.sites
        for noise in rule.noises
    ]
    assert len(seen) == len(set(seen))


def test_nothing_found_is_no_dropout():
    assert name_of([], recurrent=True).name == "no dropout"


# Activations


@pytest.mark.parametrize(
    "name", ["tanh", "sigmoid", "relu", "hard_sigmoid", "linear"]
)
def test_activations_are_inverted(name):
    activation = Activation(keras.activations.get(name))
    inputs = activation.offset + np.linspace(-0.4, 2, 50)
    found = activation.inverse(activation.at(inputs))
    np.testing.assert_allclose(found, inputs, atol=1e-6)


@pytest.mark.parametrize("name", ["gelu", "softplus"])
def test_activations_that_cannot_be_held_are_refused(name):
    with pytest.raises(Unreadable):
        Activation(keras.activations.get(name))
