"""What the recurrent layers draw: when, for whom, and the same in any plan."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from recurrent_cases import (
    FEATURES,
    KINDS,
    ONE_EACH,
    SEED,
    UNITS,
    Call,
    assert_close,
    data,
    expected,
    initial_states,
    make,
)
from variants import FULL

import dropkit as dk
from dropkit import recurrent
from dropkit.plan import Plan

each = pytest.mark.parametrize("kind, method", ONE_EACH, ids=str)


def outputs_and_gradients(layer, x, mask=None, states=None):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, mask=mask, initial_state=states, training=True)
        loss = tf.reduce_sum(y * y)
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


@each
def test_each_training_call_draws_anew(kind, method):
    layer = make(kind, method, dropout=0.4)
    calls = [layer(data(), training=True).numpy() for _ in range(3)]
    assert len(np.unique(calls, axis=0)) == 3
    np.testing.assert_array_equal(layer.stream.state.numpy(), [SEED, 3])


@pytest.mark.parametrize("kind", KINDS)
def test_predict_and_evaluate_draw_nothing(kind):
    model = keras.Sequential(
        [keras.Input((None, FEATURES)), make(kind, 0.4, dropout=0.4)]
    )
    model.compile("sgd", "mse")
    variables = [v.numpy() for v in model.variables]
    model.predict(data(), verbose=0)
    model.evaluate(data(), np.zeros((3, UNITS)), verbose=0)
    for before, after in zip(variables, model.variables, strict=True):
        np.testing.assert_array_equal(before, after.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_layers_without_a_seed_differ_and_follow_set_random_seed(kind):
    def outputs():
        keras.utils.set_random_seed(7)
        layers = [make(kind, 0.4, seed=None) for _ in range(3)]
        return [layer(data(), training=True).numpy() for layer in layers]

    first, again = outputs(), outputs()
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first, axis=0)) == 3


def in_graph(function):
    return tf.function(function)


def in_xla(function):
    return tf.function(function, jit_compile=True)


@pytest.mark.parametrize(
    "kind, method",
    ONE_EACH if FULL else [ONE_EACH[n] for n in (0, 3, 4, 6)],
    ids=str,
)
def test_no_plan_changes_a_mask(kind, method, monkeypatch):
    """Eager, graph and XLA; whole and in halves: the same, as specified."""
    batch = 4
    x = tf.constant(data(batch))
    mask = np.ones((batch, x.shape[1]), bool)
    mask[1, 2:] = mask[2, 0] = False
    states = [tf.constant(s) for s in initial_states(kind, batch)]
    call = Call(kind, method, 0.3, batch=batch)
    whole = Plan(1, False, "whole")
    results = []
    for wrap, plan in (
        (lambda function: function, whole),
        (in_graph, whole),
        (in_xla, whole),
        (in_graph, Plan(2, False, "halves")),
        (in_graph, Plan(2, True, "compiled halves")),
    ):
        monkeypatch.setattr(recurrent, "choose", lambda *_, plan=plan: plan)
        layer = make(kind, method, dropout=0.3, return_sequences=True)
        run = wrap(
            lambda x, layer=layer: outputs_and_gradients(layer, x, mask, states)
        )
        results.append(run(x))
        assert plan.why in layer.engine
        np.testing.assert_array_equal(layer.stream.state.numpy(), [SEED, 1])
    wanted, _ = expected(
        call, layer.get_weights(), x, [s.numpy() for s in states], mask
    )
    assert_close(results[0][0], wanted)
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            assert_close(a, b)


@pytest.mark.parametrize("method", [dk.Gal(0.4), dk.Zoneout(0.4)], ids=str)
def test_replicas_draw_for_themselves(method, two_replicas):
    with two_replicas.scope():
        layer = make("LSTM", method, dropout=0.3)

    @tf.function
    def step():
        return two_replicas.run(lambda: layer(data(), training=True))

    first, second = two_replicas.experimental_local_results(step())
    assert not np.allclose(first, second)
    alone = make("LSTM", method, dropout=0.3)
    assert_close(first, alone(data(), training=True))


def rates_of(rate):
    return {
        "input": {"dropout": rate},
        "float": {"recurrent_dropout": rate},
        "Gal": {"recurrent_dropout": dk.Gal(rate)},
        "Moon": {"recurrent_dropout": dk.Moon(rate, inference="paper")},
        "Zoneout": {"recurrent_dropout": dk.Zoneout(rate, rate)},
        "WeightDrop": {"recurrent_dropout": dk.WeightDrop(rate)},
    }


@pytest.mark.parametrize("name", rates_of(0.5))
@pytest.mark.parametrize("training", [True, False])
def test_a_variable_rate_changes_without_retracing(name, training):
    rate = keras.Variable(0.2, trainable=False)
    layer = dk.LSTM(UNITS, seed=SEED, **rates_of(rate)[name])
    x = tf.constant(data())
    weights = make("LSTM").get_weights()
    layer.build(x.shape)
    layer.set_weights(weights)
    traces = []

    @tf.function
    def call(x):
        traces.append(1)
        return layer(x, training=training)

    for count, value in enumerate((0.2, 0.6, 0.0)):
        rate.assign(value)
        y = call(x)
        fixed = dk.LSTM(UNITS, seed=SEED, **rates_of(value)[name])
        fixed.build(x.shape)
        fixed.set_weights(weights)
        fixed.stream.state.assign([SEED, count])
        assert_close(y, fixed(x, training=training))
    assert len(traces) == 1
    assert layer.trainable_variables == layer.trainable_weights
    assert len(layer.get_weights()) == 3


def test_long_sequences_of_ragged_lengths_compile_a_few_times_only(monkeypatch):
    """After a few shapes the plain loop takes over; old shapes stay."""
    monkeypatch.setattr("dropkit.plan.SMALLEST_COMPILED", 1)
    monkeypatch.setattr("dropkit.plan.MAX_COMPILED", 2)
    layer = make("SimpleRNN", dk.Gal(0.4))
    call = tf.function(lambda x: layer(x, training=True))
    words = []
    for time in (2, 3, 4):
        call(data(time=time))
        words.append(layer.engine)
    assert ["XLA" in w for w in words] == [True, True, False]
    assert "too many shapes" in words[2]
    tf.function(lambda x: layer(x, training=True))(data(time=3))
    assert "XLA" in layer.engine
