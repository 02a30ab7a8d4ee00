"""What was asked for is what the probe reads back, for every method."""

import keras
import numpy as np
import pytest
from recurrent_cases import KINDS, METHODS, is_defined
from variants import FULL

import dropkit as dk
from dropkit.recurrent import as_method

INPUT_RATE = 0.3


def layer(kind, method, dropout, seed=11, **kwargs):
    return getattr(dk, kind)(
        3, dropout=dropout, recurrent_dropout=method, seed=seed, **kwargs
    )


def every(k, kind, method):
    """Without and with input dropout; in the short run one of them."""
    if FULL:
        return [(kind, method, 0.0), (kind, method, INPUT_RATE)]
    return [(kind, method, INPUT_RATE * (k % 2))]


CASES = [
    case
    for kind in KINDS
    for k, method in enumerate(METHODS)
    if is_defined(kind, method)
    for case in every(k, kind, method)
]


def close(found, asked):
    """Five standard errors: a false alarm in two million."""
    noise = found.noise
    if noise.scale == "inverted":
        return abs(noise.rate - asked) < 1e-3
    if noise.kind == "gaussian":
        variance = asked / (1 - asked)
        error = variance * np.sqrt(2 / noise.draws)
        return abs(noise.variance - variance) < 5 * error
    error = np.sqrt(asked * (1 - asked) / noise.draws)
    return abs(noise.rate - asked) < 5 * error


def expected(kind, method):
    method = as_method(method)
    config = method.get_config()
    if kind == "SimpleRNN" and "gates" in config:
        # One gate is both.
        config["gates"] = "tied"
    if kind == "LSTM" and isinstance(method, dk.Zoneout):
        config["cell"] = config["cell"] or 0.5
    return type(method).__name__, config


def rates(report, config):
    """Pairs of what was found and the rate that was asked for."""
    if "hidden" in config:
        found = [(report.site("keep_state"), config["hidden"])]
        if config["cell"]:
            found.append((report.site("keep_cell"), config["cell"]))
        return found
    (main,) = [f for f in report.findings if f.site != "input"]
    return [(main, config["rate"])]


def check_read_back(kind, method, dropout, **kwargs):
    if kind == "GRU":
        kwargs["reset_after"] = dropout == 0
    report = dk.probe(layer(kind, method, dropout, **kwargs))
    specification = report.specification
    name, config = expected(kind, method)
    found = specification["recurrent_dropout"]
    assert found["class_name"] == name
    for finding, asked in rates(report, config):
        assert close(finding, asked), finding.noise.evidence
    numbers = ("rate", "hidden", "cell")
    assert {k: v for k, v in found["config"].items() if k not in numbers} == {
        k: v for k, v in config.items() if k not in numbers
    }
    assert abs(specification["dropout"] - dropout) < 1e-3
    if dropout and kind != "SimpleRNN":
        untied = config.get("gates") == "untied"
        gates = report.site("input").sharing["gates"]
        assert gates == ("own" if untied else "shared")
    assert report.fresh == "yes"
    assert report.seed_in_inference == "untouched"
    changes = not as_method(method).identity_in_inference
    assert report.inference == ("mean" if changes else "identity")
    assert not report.undetermined and report.error is None


@pytest.mark.parametrize("kind, method, dropout", CASES, ids=repr)
def test_the_specification_is_read_back(kind, method, dropout):
    check_read_back(kind, method, dropout)


@pytest.mark.parametrize(
    "kind, method",
    [
        ("LSTM", dk.Semeniuta(0.9, noise="gaussian")),
        ("GRU", dk.Gal(0.8, noise="gaussian")),
    ],
    ids=repr,
)
def test_large_gaussian_multipliers_are_read_back(kind, method):
    """With this seed some saturate a unit, or nearly vanish."""
    check_read_back(kind, method, INPUT_RATE, seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_back_makes_the_same_layer(kind):
    asked = dk.Gal(0.25)
    found = dk.probe(layer(kind, asked, 0.1)).specification
    given = found["recurrent_dropout"]
    config = {**given["config"], "rate": round(given["config"]["rate"], 3)}
    assert getattr(dk, given["class_name"])(**config) == asked


@pytest.mark.parametrize("kind", KINDS)
def test_no_dropout_is_none(kind):
    report = dk.probe(layer(kind, 0.0, 0.0))
    assert report.method == "no dropout" and not report.findings
    assert report.specification == {"dropout": 0.0, "recurrent_dropout": 0.0}


@pytest.mark.parametrize("rate", [0.02, 0.9])
def test_rates_near_the_ends_are_read_from_the_scale(rate):
    report = dk.probe(layer("LSTM", dk.Gal(rate), 0.0))
    assert abs(report.site("state").noise.rate - rate) < 1e-3
    assert report.method == "Gal (tied)"


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "method",
    [
        dk.Gal(0.5, noise="gaussian"),
        dk.Semeniuta(0.4, noise="gaussian"),
        dk.Zoneout(0.4, 0.4),
    ],
)
def test_half_precision_gives_the_same_findings(dtype, method):
    full = dk.probe(layer("LSTM", method, 0.8))
    half = dk.probe(layer("LSTM", method, 0.8, dtype=dtype))
    assert half.method == full.method
    assert half.findings == full.findings
    assert half.modes["eager"] == "read, in float32"


def test_half_precision_is_too_coarse_in_place():
    coarse = layer("LSTM", dk.Gal(0.5), 0.0, dtype="mixed_bfloat16")
    coarse(np.zeros((1, 2, 3)))
    report = dk.probe(coarse, in_place=True)
    assert "computes in bfloat16" in report.method
    assert report.method.startswith("undetermined") and report.findings


@pytest.mark.parametrize(
    "activations",
    [("relu", "hard_sigmoid"), ("linear", "sigmoid"), ("tanh", "hard_sigmoid")],
    ids="-".join,
)
def test_other_activations_are_read_too(activations):
    activation, gates = activations
    report = dk.probe(
        keras.layers.LSTM(
            3,
            activation=activation,
            recurrent_activation=gates,
            dropout=0.3,
            recurrent_dropout=0.4,
        )
    )
    assert report.method == "Gal (untied) with input dropout (untied)"
