"""The recurrent layers in whole trainings: fit, wrappers, nested tapes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from recurrent_cases import (
    FEATURES,
    KINDS,
    ONE_EACH,
    SEED,
    TIME,
    UNITS,
    Call,
    assert_close,
    data,
    expected,
    make,
    padding,
)

import dropkit as dk
from dropkit import recurrent
from dropkit.plan import Plan

each = pytest.mark.parametrize("kind, method", ONE_EACH, ids=str)
kinds = pytest.mark.parametrize("kind", KINDS)


class Batches(keras.utils.PyDataset):
    """Two batches; the last one is smaller, and shorter."""

    SIZES = ((4, 6), (3, 5))

    def __len__(self):
        return len(self.SIZES)

    def __getitem__(self, index):
        batch, time = self.SIZES[index]
        return data(batch, time, seed=index), np.ones((batch, 1), "float32")


def regression(layer):
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            layer,
            keras.layers.Dense(1, kernel_initializer="ones"),
        ]
    )


def trained(layer, epochs=2, callbacks=(), **compiling):
    model = regression(layer)
    model.compile(keras.optimizers.SGD(0.1), "mse", **compiling)
    model.fit(
        Batches(),
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    return [w.copy() for w in model.get_weights()]


@pytest.mark.parametrize(
    "kind, method",
    [
        ("LSTM", dk.Gal(0.4, gates="untied")),
        ("GRU", dk.Semeniuta(0.4)),
        ("SimpleRNN", dk.Zoneout(0.4)),
    ],
    ids=str,
)
def test_every_way_to_fit_trains_the_same_model(kind, method):
    """Eagerly, in a graph and under XLA: the masks and weights are one."""
    results = []
    for compiling in (
        {"run_eagerly": True},
        {"jit_compile": False},
        {"jit_compile": True},
    ):
        # Without cuDNN the whole step may compile.
        kwargs = {} if kind == "SimpleRNN" else {"use_cudnn": False}
        layer = make(kind, method, dropout=0.3, **kwargs)
        assert layer.supports_jit
        results.append(trained(layer, **compiling))
        np.testing.assert_array_equal(layer.stream.state.numpy(), [SEED, 4])
    other = trained(make(kind, method, dropout=0.3, seed=SEED + 1))
    for eager, *compiled, unlike in zip(*results, other, strict=True):
        for weights in compiled:
            assert_close(weights, eager)
        assert not np.allclose(unlike, eager, rtol=1e-3)


class Raise(keras.callbacks.Callback):
    """Sets a rate at the start of each epoch."""

    def __init__(self, rate, values):
        super().__init__()
        self.rate, self.values = rate, values

    def on_epoch_begin(self, epoch, logs=None):
        self.rate.assign(self.values[epoch])


@kinds
def test_a_rate_changes_during_fit_without_retracing(kind):
    traces = []

    class Counted(getattr(dk, kind)):
        def inner_loop(self, *args, **kwargs):
            traces.append(1)
            return super().inner_loop(*args, **kwargs)

    def run(epochs, rate):
        layer = Counted(
            UNITS,
            recurrent_dropout=dk.Gal(rate),
            seed=SEED,
            kernel_initializer="ones",
            recurrent_initializer="ones",
        )
        model = regression(layer)
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        weights = []
        keep = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: weights.append(layer.get_weights())
        )
        traces.clear()
        model.fit(
            data(4),
            np.ones((4, 1)),
            epochs=epochs,
            verbose=0,
            callbacks=[Raise(rate, [0.0, 0.5, 0.5]), keep],
        )
        return weights, len(traces)

    rates = [keras.Variable(0.9, trainable=False) for _ in range(2)]
    (quiet, noisy, _), count = run(3, rates[0])
    assert count == run(1, rates[1])[1]
    plain = getattr(dk, kind)(
        UNITS, kernel_initializer="ones", recurrent_initializer="ones"
    )
    model = regression(plain)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    for weights, same in ((quiet, True), (noisy, False)):
        model.fit(data(4), np.ones((4, 1)), verbose=0)
        for ours, theirs in zip(weights, plain.get_weights(), strict=True):
            close = np.abs(ours - theirs).max() < 1e-5 * np.abs(theirs).max()
            assert close == same


# Gradients of gradients.


def second_order(layer):
    def run(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = layer(x, mask=padding("right"), training=True)
                loss = tf.reduce_sum(y * y)
            sources = [x, *layer.trainable_variables]
            first = inner.gradient(loss, sources)
            penalty = sum(tf.reduce_sum(g * g) for g in first)
        return outer.gradient(penalty, sources)

    return run


def in_xla(function):
    return tf.function(function, jit_compile=True)


@pytest.mark.parametrize(
    "kind, method, wrap",
    [
        *((kind, method, lambda f: f) for kind, method in ONE_EACH),
        ("SimpleRNN", dk.Zoneout(0.4), tf.function),
        ("SimpleRNN", dk.Zoneout(0.4), in_xla),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_second_order_gradients_are_those_of_automatic_ones(kind, method, wrap):
    kwargs = {"dropout": 0.3, "return_sequences": True}
    x = tf.constant(data())
    # The same activation under another name: no hand-written gradient.
    automatic = make(kind, method, activation=keras.ops.tanh, **kwargs)
    wanted = second_order(automatic)(x)
    gradients = wrap(second_order(make(kind, method, **kwargs)))(x)
    for gradient, other in zip(gradients, wanted, strict=True):
        assert_close(gradient, other)


def test_second_order_gradients_of_a_compiled_part_are_refused(monkeypatch):
    """The layers' docstrings say so, and what to do."""
    layer = make("SimpleRNN", dk.Gal(0.4))
    plan = Plan(1, True, "compiled")
    monkeypatch.setattr(recurrent, "choose", lambda *_: plan)
    with pytest.raises(tf.errors.UnimplementedError, match="TensorList"):
        tf.function(second_order(layer))(tf.constant(data()))


# Wrappers.


@each
def test_directions_draw_differently_from_one_seed(kind, method):
    """Reversed twice, only the masks can tell the directions apart."""

    def last(backwards, training):
        x = data()[:, ::-1] if backwards else data()
        layer = make(kind, method, go_backwards=backwards)
        return layer(x.copy(), training=training)

    assert_close(last(False, False), last(True, False))
    assert not np.allclose(last(False, True), last(True, True), atol=1e-3)


def over_items(layer, x, items, training=False):
    """TimeDistributed in a graph that knows neither batch nor, maybe, items."""
    shape = (items, TIME, FEATURES)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, keras.layers.TimeDistributed(layer)(inputs))
    call = tf.function(
        lambda x: model(x, training=training),
        input_signature=[tf.TensorSpec((None, *shape))],
    )
    return call(x).numpy()


@kinds
@pytest.mark.parametrize("items", [3, None])
def test_time_distributed_is_keras(kind, items):
    """Known items run one by one; unknown ones in a vectorized map."""
    x = np.stack([data(seed=n) for n in range(3)], 1)
    theirs = make(kind, module=keras.layers)
    wanted = over_items(theirs, x, items)
    for n in range(3):
        assert_close(wanted[:, n], theirs(x[:, n]))
    layer = make(kind, dk.Gal(0.4), dropout=0.3)
    assert_close(over_items(layer, x, items), wanted)
    noisy = over_items(layer, x, items, training=True)
    assert noisy.shape == wanted.shape and np.isfinite(noisy).all()
    assert not np.allclose(noisy, wanted, atol=1e-3)


def test_unknown_items_share_a_draw_as_in_keras():
    """A map over items calls the layer once; known items call it for each."""
    x = np.stack([data()] * 3, 1)
    method = dk.Gal(0.4)
    weights = make("SimpleRNN").get_weights()
    wanted = [
        expected(Call("SimpleRNN", method, count=n), weights, data())[0][:, -1]
        for n in range(3)
    ]
    known, unknown = (
        over_items(make("SimpleRNN", method), x, items, training=True)
        for items in (3, None)
    )
    stock = make("SimpleRNN", 0.4, keras.layers)
    stock = over_items(stock, x, None, training=True)
    for n in range(3):
        assert_close(known[:, n], wanted[n])
        assert_close(unknown[:, n], wanted[0])
        np.testing.assert_array_equal(stock[:, n], stock[:, 0])


@pytest.mark.skipif(
    not keras.__version__.startswith("3.15."),
    reason="seen in Keras 3.15.1, not in 3.10 and 3.13",
)
def test_keras_counts_unknown_items_by_the_batch():
    """Keras's own failure, without a layer of ours: 3 samples of 2 items."""
    layer = make("SimpleRNN", module=keras.layers)
    x = np.stack([data()] * 2, 1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="slice index 2"):
        over_items(layer, x, None)
        pytest.fail("mended: test unknown items with any batch")


@kinds
def test_a_saved_stack_trains_on_the_same_way(kind, tmp_path):
    layer = getattr(dk, kind)
    noisy = {"recurrent_dropout": dk.Gal(0.4), "dropout": 0.3}
    model = keras.Sequential(
        [
            keras.Input((None, TIME, FEATURES)),
            keras.layers.TimeDistributed(layer(UNITS, **noisy)),
            keras.layers.Bidirectional(
                layer(UNITS, return_sequences=True, **noisy), merge_mode="sum"
            ),
            layer(UNITS, **noisy),
        ]
    )
    x = np.stack([data(seed=n) for n in range(4)], 1)
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded(x, training=True), model(x, training=True)
    )


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_how_keras_would_compute_changes_nothing(kind):
    results = []
    for kwargs in (
        {},
        {"implementation": 1},
        {"implementation": 2},
        {"use_cudnn": False},
    ):
        layer = make(kind, dk.Gal(0.4), dropout=0.3, **kwargs)
        results.append([layer(data(), training=t) for t in (True, False)])
    for trained, inferred in results[1:]:
        np.testing.assert_array_equal(trained, results[0][0])
        assert_close(inferred, results[0][1])


@kinds
def test_gates_belong_to_the_method(kind):
    with pytest.raises(ValueError, match="Unrecognized.*gates"):
        getattr(dk, kind)(2, recurrent_dropout=dk.Gal(0.5), gates="untied")
