"""convert(): the same model with the other recurrent layers."""

import keras
import numpy as np
import pytest

import dropkit as dk

KINDS = ("LSTM", "GRU", "SimpleRNN")
X = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
OPTIONS = {"dropout": 0.25, "recurrent_dropout": 0.5, "seed": 7}


def sequential(family, kind):
    layer = getattr(family, kind)
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            layer(4, return_sequences=True, name="first", **OPTIONS),
            keras.layers.Dropout(0.5),
            layer(4, go_backwards=True, name="second", **OPTIONS),
            keras.layers.Dense(2),
        ],
        name="stack",
    )


def encoder_decoder(family, kind):
    layer = getattr(family, kind)
    inputs = keras.Input((5, 3), name="words")
    outputs, *states = layer(4, return_state=True, **OPTIONS)(inputs)
    decoder = layer(4, return_sequences=True, **OPTIONS)
    decoded = decoder(inputs, initial_state=states)
    again = decoder(inputs)  # one layer in two places
    return keras.Model(inputs, {"a": outputs, "b": decoded + again})


def nested(family, kind):
    layer = getattr(family, kind)
    inner = keras.Sequential(
        [keras.Input((5, 3)), layer(4, return_sequences=True, **OPTIONS)]
    )
    inputs = keras.Input((5, 3), name="words")
    middle = keras.Model(inputs, inner(inputs) * 2)
    return keras.Sequential([keras.Input((5, 3)), middle, layer(3, **OPTIONS)])


def bidirectional(family, kind):
    layer = getattr(family, kind)
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            keras.layers.Bidirectional(
                layer(4, return_sequences=True, **OPTIONS), name="both"
            ),
            keras.layers.Bidirectional(
                layer(3, **OPTIONS),
                backward_layer=layer(
                    3, go_backwards=True, use_bias=False, **OPTIONS
                ),
            ),
        ]
    )


def time_distributed(family, kind):
    layer = getattr(family, kind)
    inner = keras.Sequential([keras.Input((5, 1)), layer(4, **OPTIONS)])
    return keras.Sequential(
        [
            keras.Input((5, 3)),
            keras.layers.Reshape((3, 5, 1)),
            keras.layers.TimeDistributed(inner),
            keras.layers.TimeDistributed(keras.layers.Reshape((4, 1))),
            keras.layers.TimeDistributed(layer(2, **OPTIONS)),
        ]
    )


def recurrent_layers(model):
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.RNN)
    ]


def assert_same_predictions(a, b):
    # Keras takes its slower implementation for its own dropout.
    keras.tree.map_structure(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
        a(X),
        b(X),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "build",
    [sequential, encoder_decoder, nested, bidirectional, time_distributed],
)
def test_there_and_back_is_the_same_model(build, kind):
    stock = build(keras.layers, kind)
    ours = dk.convert(stock, to="dropkit")
    back = dk.convert(ours, to="keras")
    for model, layer in ((ours, getattr(dk, kind)), (back, type(None))):
        found = recurrent_layers(model)
        assert len(found) == len(recurrent_layers(stock)) > 0
        assert all(isinstance(f, layer) for f in found) == (model is ours)
        assert [f.name for f in found] == [
            f.name for f in recurrent_layers(stock)
        ]
        assert_same_predictions(stock, model)
    assert back.get_config() == stock.get_config()
    assert back.name == ours.name == stock.name


def test_the_result_has_its_own_weights_and_trains():
    stock = sequential(keras.layers, "LSTM")
    before = stock.get_weights()
    ours = dk.convert(stock, to="dropkit")
    ours.compile("sgd", "mse")
    ours.fit(X, np.ones((4, 2)), verbose=0)
    for a, b, c in zip(
        before, stock.get_weights(), ours.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(b, c)


def one_layer(kind, method, **kwargs):
    layer = getattr(dk, kind)(4, recurrent_dropout=method, **kwargs)
    return keras.Sequential([keras.Input((5, 3)), layer])


@pytest.mark.parametrize(
    "method",
    [
        dk.Gal(0.5),
        dk.Gal(0.5, gates="untied", over="step"),
        dk.Gal(0.5, gates="untied", per="batch"),
        dk.Gal(0.5, gates="untied", noise="gaussian"),
        dk.Semeniuta(0.5),
        dk.Moon(0.5),
        dk.WeightDrop(0.5),
    ],
    ids=repr,
)
def test_what_keras_cannot_express_is_named(method):
    model = one_layer("LSTM", method, name="memory", dropout=0.25)
    with pytest.raises(ValueError, match="'memory'.*strict=False") as error:
        dk.convert(model, to="keras")
    assert repr(method) in str(error.value)
    stock = dk.convert(model, to="keras", strict=False)
    assert type(stock.layers[0]) is keras.layers.LSTM
    assert stock.layers[0].dropout == stock.layers[0].recurrent_dropout == 0
    assert_same_predictions(model, stock)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "method", [dk.Zoneout(), dk.Moon(0.5, inference="paper")], ids=repr
)
def test_a_method_that_changes_inference_is_always_refused(method, strict):
    model = one_layer("LSTM", method, name="memory")
    with pytest.raises(ValueError, match="'memory'.*inference"):
        dk.convert(model, to="keras", strict=strict)


def test_a_layer_inside_bidirectional_is_named():
    inner = dk.GRU(4, recurrent_dropout=dk.Gal(0.5), name="memory")
    model = keras.Sequential(
        [keras.Input((5, 3)), keras.layers.Bidirectional(inner)]
    )
    with pytest.raises(ValueError, match="'forward_memory'.*Gal"):
        dk.convert(model)


def test_one_gate_is_tied_and_untied():
    stock = dk.convert(one_layer("SimpleRNN", dk.Gal(0.5)), to="keras")
    assert stock.layers[0].recurrent_dropout == 0.5


def test_a_variable_rate_becomes_its_value():
    rate = keras.Variable(0.5, trainable=False)
    stock = dk.convert(one_layer("LSTM", rate), to="keras")
    assert stock.layers[0].recurrent_dropout == 0.5


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_keras_leaves_out_of_its_config_is_kept(kind, wrapped):
    layer = getattr(keras.layers, kind)(4, use_cudnn=False, implementation=1)
    if wrapped:
        layer = keras.layers.Bidirectional(layer)
        # Keras itself loses it here.
        for direction in (layer.forward_layer, layer.backward_layer):
            direction.use_cudnn = False
            direction.cell.implementation = 1
    stock = keras.Sequential([keras.Input((5, 3)), layer])
    ours = dk.convert(stock, to="dropkit")
    for model in (ours, dk.convert(ours, to="keras")):
        found = recurrent_layers(model)
        assert len(found) == 1 + wrapped
        for layer in found:
            assert layer.use_cudnn is False
            assert layer.cell.implementation == 1


def test_kerass_own_choice_of_implementation_is_not_carried_over():
    stock = sequential(keras.layers, "LSTM")
    assert stock.layers[0].cell.implementation == 1
    ours = dk.convert(stock, to="dropkit")
    assert ours.layers[0].cell.implementation == 2
    back = dk.convert(ours, to="keras")
    assert back.layers[0].cell.implementation == 1


def test_trainable_flags_and_dtype_policies_are_kept():
    inner = keras.Sequential(
        [
            keras.Input((5, 3)),
            keras.layers.LSTM(4, dtype="mixed_bfloat16", trainable=False),
            keras.layers.Dense(2),
        ]
    )
    stock = keras.Sequential([keras.Input((5, 3)), inner, keras.layers.ReLU()])
    stock.trainable = False
    inner.layers[1].trainable = True
    ours = dk.convert(stock, to="dropkit")
    lstm, dense = ours.layers[0].layers
    assert lstm.dtype_policy.name == "mixed_bfloat16"
    assert (ours.trainable, lstm.trainable, dense.trainable) == (
        False,
        False,
        True,
    )
    assert [w.trainable for w in ours.weights] == [
        w.trainable for w in stock.weights
    ]


def test_stateful_layers_keep_their_state():
    options = {"stateful": True, "return_sequences": True}
    stock = keras.Sequential(
        [
            keras.Input(batch_shape=(4, 5, 3)),
            keras.layers.LSTM(4, **options),
            keras.layers.Bidirectional(keras.layers.GRU(4, **options)),
        ]
    )
    stock(X)
    ours = dk.convert(stock, to="dropkit")
    assert_same_predictions(stock, ours)


def test_the_result_is_not_compiled_and_the_model_still_is():
    stock = sequential(keras.layers, "LSTM")
    stock.compile("adam", loss=lambda y, p: keras.ops.mean(p))
    ours = dk.convert(stock, to="dropkit")
    assert stock.compiled and not ours.compiled


def test_other_layers_stay_as_they_are():
    class Mine(keras.layers.LSTM):
        pass

    stock = keras.Sequential(
        [
            keras.Input((5, 3)),
            dk.Dropout(0.5, "time", seed=3),
            keras.layers.Lambda(lambda x: x + 1),
            Mine(4, return_sequences=True),
            keras.layers.RNN(keras.layers.LSTMCell(4)),
        ]
    )
    ours = dk.convert(stock, to="dropkit")
    assert [type(a) for a in ours.layers] == [type(a) for a in stock.layers]
    assert ours.layers[0].seed == 3
    assert_same_predictions(stock, ours)


class Secretive(keras.layers.Layer):
    """Makes its recurrent layer itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.memory = keras.layers.LSTM(4, name="memory")

    def call(self, x):
        return self.memory(x)


class Subclassed(keras.Model):
    def call(self, x):
        return x


def test_what_cannot_be_reached_is_an_error():
    model = keras.Sequential([keras.Input((5, 3)), Secretive()])
    with pytest.raises(ValueError, match="memory.*another layer makes them"):
        dk.convert(model, to="dropkit")
    with pytest.raises(ValueError, match="Subclassed"):
        dk.convert(Subclassed())
    with pytest.raises(TypeError, match="Expected a Keras model"):
        dk.convert(keras.layers.LSTM(4))
    with pytest.raises(ValueError, match="to='torch'"):
        dk.convert(model, to="torch")


def test_a_rate_that_dropkit_refuses_names_the_layer():
    layer = keras.layers.LSTM(4, recurrent_dropout=1.0, name="memory")
    model = keras.Sequential([keras.Input((5, 3)), layer])
    with pytest.raises(ValueError, match="'memory'.*recurrent_dropout"):
        dk.convert(model, to="dropkit")
