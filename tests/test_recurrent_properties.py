"""Recurrent layers at any size, rate and choice of options."""

import functools

import hypothesis
import keras
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from recurrent_cases import (
    FEATURES,
    KINDS,
    SEED,
    UNITS,
    Call,
    assert_close,
    assert_specified,
    data,
    expected,
    initial_states,
    make,
)
from variants import FULL, RECURRENT, TAKES

import dropkit as dk

# The same examples on each machine: a failure is a failure of the code.
few = hypothesis.settings(
    derandomize=True, max_examples=200 if FULL else 25, database=None
)

# A multiplier of 1 / (1 - rate) beyond 5 makes float32 the test's subject.
RATES = st.sampled_from([1e-3, 0.1, 0.25, 0.5, 0.7, 0.8])


@st.composite
def recurrent_methods(draw, kind):
    """A rate or a method of a layer, with any of its options."""
    name, rate = draw(st.sampled_from(RECURRENT[kind])), draw(RATES)
    if name == "float":
        return rate
    if name == "Zoneout":
        cells = st.none() if kind != "LSTM" else st.none() | RATES
        return dk.Zoneout(rate, draw(cells))
    options = {
        option: draw(st.sampled_from(values))
        for option, values in TAKES[name].items()
    }
    return getattr(dk, name)(rate, **options)


@st.composite
def masks(draw, batch, time):
    """A padding mask with any holes, or none."""
    if draw(st.booleans()):
        return None
    row = st.lists(st.booleans(), min_size=time, max_size=time)
    rows = st.lists(row, min_size=batch, max_size=batch)
    return np.array(draw(rows), bool)


@st.composite
def calls(draw):
    """All that describes one call of a layer, of any size."""
    kind = draw(st.sampled_from(KINDS))
    return Call(
        kind,
        draw(recurrent_methods(kind)),
        dropout=draw(st.sampled_from([0.0, 0.3])),
        training=draw(st.sampled_from([True, True, False])),
        backwards=draw(st.booleans()),
        count=draw(st.sampled_from([0, 1, 2**31, 2**32 - 1])),
        seed=draw(st.sampled_from([0, 5, 2**31, 2**32 - 1])),
        batch=draw(st.integers(1, 5)),
        time=draw(st.integers(1, 6)),
        features=draw(st.integers(1, 4)),
        units=draw(st.integers(1, 5)),
    )


def layer_for(call, **kwargs):
    layer = make(
        call.kind,
        call.method,
        dropout=call.dropout,
        seed=call.seed,
        **sizes(call),
        **kwargs,
    )
    layer.stream.state.assign([call.seed, call.count])
    return layer


def sizes(call):
    return {
        "features": call.features,
        "units": call.units,
        "go_backwards": call.backwards,
    }


@few
@hypothesis.given(calls(), st.booleans(), st.booleans(), st.data())
def test_any_call_is_the_specified_one(call, sequences, given_states, more):
    layer = layer_for(call, return_sequences=sequences, return_state=True)
    mask = more.draw(masks(call.batch, call.time))
    states = []
    if given_states:
        states = initial_states(call.kind, call.batch, units=call.units)
    x = data(call.batch, call.time, features=call.features)
    assert_specified(layer, call, x, mask, states)


@few
@hypothesis.given(calls(), st.booleans(), st.booleans(), st.data())
def test_inference_is_keras_bit_for_bit(call, sequences, given_states, more):
    """For all methods but those with a rule of inference."""
    method = call.method
    hypothesis.assume(isinstance(method, float) or method.identity_in_inference)
    mask = more.draw(masks(call.batch, call.time))
    arguments = {"mask": mask, "training": False}
    if given_states:
        arguments["initial_state"] = [
            tf.constant(s)
            for s in initial_states(call.kind, call.batch, units=call.units)
        ]
    x = data(call.batch, call.time, features=call.features)
    kwargs = {"return_sequences": sequences, "return_state": True}
    ours = layer_for(call, **kwargs)
    theirs = make(call.kind, module=keras.layers, **sizes(call), **kwargs)
    for a, b in zip(ours(x, **arguments), theirs(x, **arguments), strict=True):
        np.testing.assert_array_equal(a, b)


@few
@hypothesis.given(calls(), st.data())
def test_samples_do_not_meet(call, more):
    """Whatever one sample holds: the others keep their masks and values."""
    changed = more.draw(st.integers(0, call.batch - 1))
    x = data(call.batch, call.time, features=call.features)
    other = x.copy()
    other[changed] = np.nan
    before, after = (
        layer_for(call, return_sequences=True)(a, training=True).numpy()
        for a in (x, other)
    )
    rows = np.arange(call.batch) != changed
    np.testing.assert_array_equal(after[rows], before[rows])
    assert np.isnan(after[changed]).all()


@functools.cache
def traced(kind, name):
    """A layer, and its call with no size known, traced once."""
    method = 0.4 if name == "float" else getattr(dk, name)(0.4)
    layer = make(kind, method, dropout=0.3, return_sequences=True)
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, FEATURES)),
            tf.TensorSpec((None, None), tf.bool),
        ]
    )
    def call(x, mask):
        traces.append(1)
        return layer(x, mask=mask, training=True)

    return layer, method, call, traces


@few
@hypothesis.given(
    st.sampled_from(
        [
            ("LSTM", "float"),
            ("LSTM", "Moon"),
            ("GRU", "Semeniuta"),
            ("SimpleRNN", "Zoneout"),
        ]
    ),
    st.integers(1, 9),
    st.integers(1, 9),
    st.data(),
)
def test_one_trace_serves_all_batches_and_lengths(which, batch, time, more):
    layer, method, call, traces = traced(*which)
    mask = more.draw(masks(batch, time))
    if mask is None:
        mask = np.ones((batch, time), bool)
    layer.stream.state.assign([SEED, 0])
    x = data(batch, time)
    wanted, _ = expected(
        Call(which[0], method, 0.3, batch=batch, time=time),
        layer.get_weights(),
        x,
        mask=mask,
    )
    assert wanted.shape == (batch, time, UNITS)
    assert_close(call(x, mask), wanted)
    assert len(traces) == 1


@few
@hypothesis.given(
    st.sampled_from(KINDS).flatmap(
        lambda kind: st.tuples(
            st.just(kind), recurrent_methods(kind), recurrent_methods(kind)
        )
    )
)
def test_configs_round_trip_and_tell_methods_apart(drawn):
    kind, method, other = drawn
    layer, second = (make(kind, m, dropout=0.3) for m in (method, other))
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    assert twin.recurrent_dropout == layer.recurrent_dropout
    same = layer.recurrent_dropout == second.recurrent_dropout
    assert same == (
        layer.get_config() == {**second.get_config(), "name": layer.name}
    )
