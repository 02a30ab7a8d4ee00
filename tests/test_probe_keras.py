"""Keras's own layers: the verdicts of the claims ledger, read from outside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import dropkit as dk

layers = keras.layers


def shared(report, site="input"):
    axes = report.site(site).sharing
    return {a for a, v in axes.items() if v == "shared"}


# Layers without time steps inside


@pytest.mark.parametrize(
    "layer, method, axes",
    [
        (layers.Dropout(0.5), "standard dropout", set()),
        (layers.SpatialDropout1D(0.3), "SpatialDropout1D", {"time"}),
        (layers.SpatialDropout2D(0.3), "SpatialDropout2D", {"height", "width"}),
        (
            layers.SpatialDropout2D(0.3, data_format="channels_first"),
            "SpatialDropout2D",
            {"height", "width"},
        ),
        (
            layers.SpatialDropout3D(0.3),
            "SpatialDropout3D",
            {"depth", "height", "width"},
        ),
        # Claim B19: a wrapper does not make it one mask for all steps.
        (
            layers.TimeDistributed(layers.Dropout(0.5)),
            "standard dropout",
            set(),
        ),
        (dk.TokenDropout(0.4), "token dropout", {"features"}),
        (
            layers.Dropout(0.5, noise_shape=(1, None, 1)),
            "dropout of time steps, one mask for the batch",
            {"batch", "features"},
        ),
        (
            layers.Dropout(0.5, noise_shape=(None, 1, 1)),
            "DropPath",
            {"time", "features"},
        ),
        (
            dk.Dropout(0.5, ("batch", "time")),
            "dropout of features, one mask for the batch",
            {"batch", "time"},
        ),
        (dk.Dropout(0.5, "batch"), "one mask for the batch", {"batch"}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_elementwise_layers(layer, method, axes):
    report = dk.probe(layer)
    noise = report.site("input").noise
    rate = layer.get_config().get("rate", 0.5)
    assert method in report.method
    assert shared(report) == axes
    assert (noise.kind, noise.scale) == ("bernoulli", "inverted")
    assert abs(noise.rate - rate) < 1e-3
    assert report.fresh == "yes" and report.inference == "identity"
    # Claim B3: these layers do not consume their seed in inference.
    assert report.seed_in_inference == "untouched"


@pytest.mark.parametrize(
    "layer", [layers.GaussianDropout(0.3), dk.Dropout(0.3, noise="gaussian")]
)
def test_gaussian_dropout(layer):
    report = dk.probe(layer)
    noise = report.site("input").noise
    assert report.method == "Gaussian dropout"
    variance = 0.3 / 0.7
    assert abs(noise.mean - 1) < 5 * np.sqrt(variance / noise.draws)
    error = variance * np.sqrt(2 / noise.draws)
    assert abs(noise.variance - variance) < 5 * error


def test_alpha_dropout_is_no_multiplier():
    report = dk.probe(layers.AlphaDropout(0.3))
    assert report.method == "AlphaDropout"
    assert "becomes a constant" in report.site("input").noise.evidence


def test_gaussian_noise_is_added():
    report = dk.probe(layers.GaussianNoise(0.3))
    noise = report.site("input").noise
    assert report.method == "Gaussian noise (additive)"
    # Five standard errors of a standard deviation.
    error = 0.3 / np.sqrt(2 * noise.draws)
    assert abs(np.sqrt(noise.variance) - 0.3) < 5 * error


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_embedding_dropout_drops_word_types(per):
    report = dk.probe(dk.EmbeddingDropout(0.4, per=per))
    assert report.method == f"embedding dropout, per {per}"
    assert abs(report.site("word types").noise.rate - 0.4) < 1e-3


def test_independent_words_are_no_word_types():
    model = keras.Sequential([layers.Embedding(40, 2), dk.TokenDropout(0.4)])
    ids = np.random.default_rng(0).integers(0, 40, (16, 20))
    assert dk.probe(model, ids).method == "token dropout"


def test_rates_by_feature():
    rates = [0.0, 0.5, 0.2, 0.0, 0.3, 0.1, 0.0, 0.4]
    report = dk.probe(dk.Dropout(rates))
    found = report.site("input").noise.rate
    np.testing.assert_allclose(found, rates, atol=1e-3)


def curved():
    return [layers.Conv1D(4, 3, activation="relu"), layers.Dropout(0.4)]


@pytest.mark.parametrize(
    "make, site",
    [
        (lambda: [layers.Dropout(0.4), layers.Dense(6)], "input"),
        (lambda: [layers.Dense(6), layers.Dropout(0.4)], "output"),
        (lambda: [layers.Dropout(0.4), layers.Conv1D(4, 3)], "input"),
        (curved, "output"),
    ],
    ids=["dense-in", "dense-out", "conv-in", "conv-out"],
)
def test_the_slopes_tell_inputs_from_outputs(make, site):
    # With one of ten seeds a single filter of the convolution is alive.
    keras.utils.set_random_seed(1)
    report = dk.probe(keras.Sequential(make()))
    assert [f.site for f in report.findings] == [site]
    assert report.method == "standard dropout"
    assert abs(report.site(site).noise.rate - 0.4) < 1e-3


def dying(seed):
    keras.utils.set_random_seed(seed)
    return dk.probe(keras.Sequential(curved()))


@pytest.mark.parametrize("seed", [0, 31])
def test_few_living_outputs_are_not_mistaken_for_inputs(seed):
    """With these weights most inputs reach one output that is not 0."""
    assert [f.site for f in dying(seed).findings] == ["output"]


def test_one_living_filter_leaves_features_undetermined():
    report = dying(8)
    assert report.method.startswith("undetermined: output over features")


def test_dead_outputs_leave_all_undetermined():
    """With these weights all outputs are 0, whatever is dropped."""
    report = dying(54)
    assert report.method == "undetermined: no output depends on the inputs"


@pytest.mark.parametrize("layer", [layers.Dense(4), layers.Dropout(0.0)])
def test_layers_without_noise(layer):
    report = dk.probe(layer)
    assert report.method == "no dropout" and not report.findings
    assert report.fresh == "undetermined: no noise"


def test_rate_1_drops_everything():
    method = "rate 1: everything is dropped at input"
    assert dk.probe(dk.Dropout(1.0)).method == method
    stock = dk.probe(layers.Dropout(1.0))
    # Old versions of Keras raise.
    assert stock.method == method or "rate=1.0" in stock.error


def test_functions_are_probed_too():
    report = dk.probe(lambda x: tf.nn.dropout(x, 0.25))
    assert report.method == "standard dropout"
    assert report.inference.startswith("undetermined: it has no `training`")
    report = dk.probe(
        lambda x, training: tf.nn.dropout(x, 0.25) if training else x
    )
    assert report.method == "standard dropout"
    assert report.inference == "identity"


# Recurrent layers


@pytest.mark.parametrize(
    "name, gates", [("LSTM", 4), ("GRU", 3), ("SimpleRNN", 1)]
)
def test_recurrent_dropout_is_gal_untied(name, gates):
    """Claims 20, 22, 23: h only, fixed in time, own for each gate."""
    layer = getattr(layers, name)(4, recurrent_dropout=0.4)
    report = dk.probe(layer)
    state = report.site("state")
    assert report.method == ("Gal (untied)" if gates > 1 else "Gal")
    assert [f.site for f in report.findings] == ["state"]
    assert state.sharing["time"] == "shared"
    assert state.sharing["batch"] == "own"
    assert state.sharing.get("gates", "own") == "own"
    assert abs(state.noise.rate - 0.4) < 1e-3
    assert report.specification["recurrent_dropout"]["class_name"] == "Gal"
    # Claim B3: inference consumes random numbers.
    assert report.seed_in_inference == "advanced"


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
@pytest.mark.parametrize(
    "arguments, gates",
    [
        ({}, "shared"),
        ({"recurrent_dropout": 0.2}, "own"),
        ({"implementation": 1, "use_cudnn": False}, "own"),
    ],
    ids=["default", "with recurrent_dropout", "implementation 1"],
)
def test_input_dropout_is_tied_by_default(name, arguments, gates):
    """Claim 21."""
    report = dk.probe(getattr(layers, name)(4, dropout=0.3, **arguments))
    given = report.site("input").sharing
    assert given["gates"] == gates and given["time"] == "shared"
    assert given["batch"] == "own"


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_implementation_1_raises_in_training(name):
    """Bug B1, where the installed Keras has it; never a silent answer."""
    report = dk.probe(getattr(layers, name)(4, dropout=0.3, implementation=1))
    if report.error is None:
        assert report.method.startswith("locked dropout of the input")
    else:
        assert report.method == "undetermined: the layer raises in training"
        assert report.specification == {}


def test_rate_1_is_ignored_by_lstm_and_obeyed_by_simple_rnn():
    """Bug B2; old versions of Keras raise."""
    ones = {"dropout": 1.0, "recurrent_dropout": 1.0}
    ignored = dk.probe(layers.LSTM(4, **ones))
    obeyed = dk.probe(layers.SimpleRNN(4, **ones))
    assert ignored.method == "no dropout" or "rate=1.0" in ignored.error
    rate_1 = obeyed.method.startswith("rate 1: everything is dropped")
    assert rate_1 or "rate=1.0" in obeyed.error


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_both_ways(reset_after):
    layer = layers.GRU(
        4, dropout=0.2, recurrent_dropout=0.4, reset_after=reset_after
    )
    report = dk.probe(layer)
    assert report.method == "Gal (untied) with input dropout (untied)"
    assert abs(report.site("state").noise.rate - 0.4) < 1e-3


def test_bidirectional_with_one_seed_shares_its_masks():
    """Bug B7."""
    make = layers.LSTM
    one = dk.probe(layers.Bidirectional(make(4, dropout=0.4, seed=1)))
    two = dk.probe(layers.Bidirectional(make(4, dropout=0.4)))
    assert one.site("input").sharing["directions"] == "shared"
    assert two.site("input").sharing["directions"] == "own"
    assert one.method == two.method == "locked dropout of the input (tied)"
    ours = dk.probe(layers.Bidirectional(dk.LSTM(4, dropout=0.4, seed=1)))
    assert ours.site("input").sharing["directions"] == "own"


def test_rnn_of_a_cell():
    cell = layers.GRUCell(4, recurrent_dropout=0.3)
    report = dk.probe(layers.RNN(cell))
    assert report.method == "Gal (untied)" and report.kind == "GRU"


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_conv_lstm(data_format):
    layer = layers.ConvLSTM2D(
        4, 3, dropout=0.3, recurrent_dropout=0.4, data_format=data_format
    )
    report = dk.probe(layer)
    assert report.kind == "ConvLSTM"
    for site, rate in (("input", 0.3), ("state", 0.4)):
        found = report.site(site)
        assert abs(found.noise.rate - rate) < 1e-3
        assert found.sharing["gates"] == found.sharing["height"] == "own"
        assert found.sharing["time"] == "shared"


def test_modes_are_compared():
    """Claim 22 and bug B14: fixed in time everywhere, other draws in XLA."""
    report = dk.probe(
        layers.SimpleRNN(4, recurrent_dropout=0.4),
        modes=("eager", "graph", "xla"),
    )
    assert report.modes["graph"].startswith("same findings, same draws")
    assert report.modes["xla"].startswith("same findings")
    ours = dk.probe(dk.Dropout(0.4, "time"), modes=("graph", "xla"))
    for mode in ("graph", "xla"):
        assert ours.modes[mode].startswith("same findings, same draws")
