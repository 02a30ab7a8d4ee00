"""The methods: their arguments, their files, and what they multiply."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import dropkit as dk
from dropkit.methods import Method, Sizes
from dropkit.sites import Sites
from dropkit.stream import Key

METHODS = [
    dk.Gal(0.25),
    dk.Gal(0.5, "untied", "step", "batch", "gaussian"),
    dk.Semeniuta(0.25),
    dk.Semeniuta(0.5, over="sequence", per="batch", noise="gaussian"),
    dk.Moon(0.25),
    dk.Moon(0.5, over="step", inference="paper"),
    dk.Zoneout(),
    dk.Zoneout(0.25, 0.5),
    dk.WeightDrop(0.25),
]
CLASSES = [dk.Gal, dk.Semeniuta, dk.Moon, dk.Zoneout, dk.WeightDrop]
KEY = Key(tf.constant([7, 0]))
SIZES = Sizes(5, 3, 6, 4, "float32", "forward")

each = pytest.mark.parametrize("method", METHODS, ids=str)


@each
def test_config_round_trips_through_json(method):
    config = keras.saving.serialize_keras_object(method)
    twin = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert twin == method and hash(twin) == hash(method)
    assert repr(twin) == repr(method)
    assert eval(repr(method), vars(dk)) == method


def test_only_equal_arguments_are_equal():
    for n, method in enumerate(METHODS):
        assert [method == other for other in METHODS].count(True) == 1, n
    assert dk.WeightDrop(0.25) != 0.25
    assert dk.Gal(0.0).is_identity and not dk.Gal(0.1).is_identity


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_rates_outside_the_range_are_refused(cls, rate):
    with pytest.raises(ValueError, match=rf"\[0, 1\).*Received: \w+={rate}$"):
        cls(rate)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("rate", ["0.5", None, True])
def test_rates_of_another_type_are_refused(cls, rate):
    with pytest.raises(TypeError, match="Received: "):
        cls(rate)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_rate_for_each_feature_is_refused(cls):
    with pytest.raises(ValueError, match="Expected a scalar.*Received: "):
        cls([0.1, 0.2])


def test_the_cells_rate_is_checked_by_its_name():
    with pytest.raises(ValueError, match="Received: cell=1.0$"):
        dk.Zoneout(0.1, cell=1.0)


@pytest.mark.parametrize(
    "cls, argument",
    [
        (dk.Gal, {"gates": "both"}),
        (dk.Gal, {"over": "time"}),
        (dk.Gal, {"per": "row"}),
        (dk.Gal, {"noise": "normal"}),
        (dk.Semeniuta, {"over": None}),
        (dk.Moon, {"inference": "keras"}),
    ],
)
def test_unknown_choices_are_refused(cls, argument):
    ((name, value),) = argument.items()
    with pytest.raises(
        ValueError, match=f"`{name}`. Expected one of .*{name}={value!r}$"
    ):
        cls(0.5, **argument)


DEFINED = {
    "Gal": ("LSTM", "GRU", "SimpleRNN"),
    "Semeniuta": ("LSTM", "GRU"),
    "Moon": ("LSTM",),
    "Zoneout": ("LSTM", "GRU", "SimpleRNN"),
    "WeightDrop": ("LSTM", "GRU", "SimpleRNN"),
}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
def test_methods_know_their_layers(cls, layer):
    if layer in DEFINED[cls.__name__]:
        cls(0.5).check(layer)
        return
    with pytest.raises(ValueError, match=f"not defined for a {layer}.*Gal"):
        cls(0.5).check(layer)


def test_zoneout_of_a_cell_that_is_not_there_is_refused():
    dk.Zoneout(0.5, 0.5).check("LSTM")
    for layer in ("GRU", "SimpleRNN"):
        with pytest.raises(ValueError, match=f"{layer} has no cell.*hidden"):
            dk.Zoneout(0.5, 0.5).check(layer)


@pytest.mark.parametrize(
    "method, site, shape",
    [
        (dk.Gal(0.5), "state", (3, 6)),
        (dk.Gal(0.5, gates="untied"), "state", (4, 3, 6)),
        (dk.Gal(0.5, over="step"), "state", (5, 3, 6)),
        (dk.Gal(0.5, "untied", "step", "batch"), "state", (5, 4, 1, 6)),
        (dk.Semeniuta(0.5), "candidate", (5, 3, 6)),
        (dk.Semeniuta(0.5, "sequence", "batch"), "candidate", (1, 6)),
        (dk.Moon(0.5), "cell", (3, 6)),
        (dk.Moon(0.5, over="step"), "cell", (5, 3, 6)),
        (dk.Zoneout(0.5), "keep_state", (5, 3, 6)),
        (dk.Zoneout(0.5), "keep_cell", (5, 3, 6)),
    ],
    ids=str,
)
def test_site_and_sharing(method, site, shape):
    multiplier = getattr(method.sites(KEY, SIZES), site)
    assert multiplier.value.shape == shape
    others = set(vars(Sites())) - {site}
    if not isinstance(method, dk.Zoneout):
        assert all(
            getattr(method.sites(KEY, SIZES), name) is None for name in others
        )
    assert multiplier.steps == (shape[0] == 5)
    assert multiplier.gates == (4 in shape)


@pytest.mark.parametrize(
    "method, values",
    [
        (dk.Gal(0.75), {0.0, 4.0}),
        (dk.Semeniuta(0.75), {0.0, 4.0}),
        (dk.Moon(0.75), {0.0, 1.0}),
        (dk.Zoneout(0.75, 0.75), {0.0, 1.0}),
    ],
    ids=str,
)
def test_scale(method, values):
    for tensor in method.sites(KEY, SIZES).tensors():
        assert set(np.unique(tensor)) == values


def test_weight_drop_is_inverted_and_leaves_the_states_alone():
    method, kernel = dk.WeightDrop(0.75), tf.ones((6, 24))
    assert method.sites(KEY, SIZES) == Sites()
    dropped = method.kernel(KEY, SIZES, kernel)
    assert set(np.unique(dropped)) == {0.0, 4.0}
    assert dk.Gal(0.5).kernel(KEY, SIZES, kernel) is kernel


def test_zoneout_keeps_half_of_the_cell_by_default():
    sites = dk.Zoneout(0.125).inference_sites(SIZES)
    assert float(sites.keep_state.value) == 0.125
    assert float(sites.keep_cell.value) == 0.5
    gru = Sizes(5, 3, 6, 3, "float32", "forward")
    assert dk.Zoneout(0.125).inference_sites(gru).keep_cell is None


@each
def test_rules_of_inference(method):
    sites = method.inference_sites(SIZES)
    if isinstance(method, dk.Zoneout):
        assert not method.identity_in_inference
    elif method == dk.Moon(0.5, over="step", inference="paper"):
        assert not method.identity_in_inference
        assert float(sites.cell.value) == 0.5
    else:
        assert method.identity_in_inference


def test_directions_and_sites_draw_differently():
    backward = Sizes(5, 3, 6, 4, "float32", "backward")
    method = dk.Zoneout(0.5, 0.5)
    draws = [
        *method.sites(KEY, SIZES).tensors(),
        *method.sites(KEY, backward).tensors(),
    ]
    assert len(np.unique(np.stack(draws), axis=0)) == 4


def test_a_method_states_what_it_multiplies():
    with pytest.raises(NotImplementedError):
        Method().sites(KEY, SIZES)
    with pytest.raises(NotImplementedError):
        Method().get_config()
    assert Method().inference_sites(SIZES) == Sites()
