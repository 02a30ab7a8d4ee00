"""The recurrent layers in Keras's place: same meaning, same scripts."""

import collections
import importlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from recurrent_cases import (
    BATCH,
    FEATURES,
    GATES,
    KINDS,
    ONE_EACH,
    PADDINGS,
    SEED,
    TIME,
    UNITS,
    Call,
    assert_close,
    data,
    expected,
    fill,
    initial_states,
    make,
    padding,
)

import dropkit as dk

each = pytest.mark.parametrize("kind, method", ONE_EACH, ids=str)
kinds = pytest.mark.parametrize("kind", KINDS)


def outputs_and_gradients(layer, x, training=True, **kwargs):
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training, **kwargs)
        loss = tf.reduce_sum(y * y)
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


def assert_equal(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


# The same meaning.


@kinds
@pytest.mark.parametrize("rows", ["full", "right"])
@pytest.mark.parametrize("rate", [0.0, 0, dk.Gal(0.5)], ids=str)
def test_without_noise_it_is_keras_bit_for_bit(kind, rows, rate):
    ours = make(kind, rate, return_sequences=True)
    keras_layer = make(kind, module=keras.layers, return_sequences=True)
    training = rate == 0
    for call in (training, False):
        assert_equal(
            outputs_and_gradients(ours, data(), call, mask=padding(rows)),
            outputs_and_gradients(
                keras_layer, data(), call, mask=padding(rows)
            ),
        )


@each
def test_a_tiny_rate_is_nearly_keras(kind, method):
    if isinstance(method, float):
        method = 1e-9
    else:
        config = {
            name: 1e-9 if isinstance(value, float) else value
            for name, value in method.get_config().items()
        }
        method = type(method).from_config(config)
    ours = outputs_and_gradients(
        make(kind, method, dropout=1e-9), data(), mask=padding("gaps")
    )
    theirs = outputs_and_gradients(
        make(kind, module=keras.layers), data(), mask=padding("gaps")
    )
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b)


def give_masks(layer, draws, kind):
    """Puts the specified multipliers into Keras's own cell."""
    gates = GATES[kind]

    def masks(name, size):
        value = np.broadcast_to(draws.arguments[name], (gates, BATCH, size))
        tensors = [tf.constant(m, tf.float32) for m in value]
        return lambda step_input: tensors if gates > 1 else tensors[0]

    layer.cell.get_dropout_mask = masks("m_x", FEATURES)
    layer.cell.get_recurrent_dropout_mask = masks("m_h", UNITS)


@kinds
@pytest.mark.parametrize("rows", PADDINGS)
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"go_backwards": True},
        {"activation": "relu", "use_bias": False},
        {"recurrent_activation": "hard_sigmoid", "reset_after": False},
    ],
    ids=str,
)
def test_a_float_means_what_keras_means(kind, rows, kwargs):
    """Keras's own loop with our masks gives our outputs and gradients."""
    if kind != "GRU":
        kwargs = {k: v for k, v in kwargs.items() if k != "reset_after"}
    if kind == "SimpleRNN":
        kwargs = {k: v for k, v in kwargs.items() if "recurrent" not in k}
    rates = {"dropout": 0.3, "return_sequences": True}
    call = Call(kind, 0.4, 0.3, backwards="go_backwards" in kwargs)
    theirs = make(kind, 0.4, keras.layers, **rates, **kwargs)
    give_masks(theirs, call.draws(), kind)
    ours = make(kind, 0.4, **rates, **kwargs)
    states = [tf.constant(s) for s in initial_states(kind)]
    arguments = {"mask": padding(rows), "initial_state": states}
    for a, b in zip(
        outputs_and_gradients(ours, data(), **arguments),
        outputs_and_gradients(theirs, data(), **arguments),
        strict=True,
    ):
        assert_close(a, b)


@each
def test_inference_draws_nothing_and_is_keras(kind, method):
    layer = make(kind, method, dropout=0.5)
    variables = [v.numpy() for v in layer.variables]
    y = layer(data(), training=False)
    layer(data())
    for before, after in zip(variables, layer.variables, strict=True):
        np.testing.assert_array_equal(before, after.numpy())
    if not isinstance(method, dk.Zoneout):
        np.testing.assert_array_equal(
            y, make(kind, module=keras.layers)(data(), training=False)
        )


def operations(layer):
    """Counts the operations of a layer's graph in inference."""
    call = tf.function(lambda x: layer(x, training=False))
    graph = call.get_concrete_function(tf.ones((2, 3, 4))).graph.as_graph_def()
    bodies = [graph.node, *(f.node_def for f in graph.library.function)]
    return collections.Counter(node.op for nodes in bodies for node in nodes)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_inference_builds_the_graph_of_a_layer_without_dropout(kind):
    stock = getattr(keras.layers, kind)
    ours = getattr(dk, kind)(5, dropout=0.25, recurrent_dropout=0.25)
    assert operations(ours) == operations(stock(5))
    assert operations(ours) != operations(stock(5, recurrent_dropout=0.25))


@pytest.mark.parametrize(
    "kind, method", [(kind, 0.0) for kind in KINDS] + ONE_EACH, ids=str
)
@pytest.mark.parametrize("training", [True, False])
def test_nan_in_padded_steps_reaches_nothing(kind, method, training):
    mask = padding("gaps")
    x = np.where(mask[..., None], data(), np.nan).astype("float32")
    layer = make(kind, method, dropout=0.3, return_sequences=True)
    for tensor in outputs_and_gradients(layer, x, training, mask=mask):
        assert np.isfinite(tensor).all()


@pytest.mark.parametrize("method", [0.0, dk.Gal(0.4)], ids=str)
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_a_mask_may_be_of_numbers(method, dtype):
    mask = padding("left")
    layer = make("LSTM", method)
    y = layer(data(), mask=tf.cast(mask, dtype), training=True)
    layer.stream.state.assign([SEED, 0])
    assert_close(layer(data(), mask=mask, training=True), y)


# The same scripts.


@each
def test_states_carry_over_while_masks_are_redrawn(kind, method):
    layer = getattr(dk, kind)(
        UNITS,
        recurrent_dropout=method,
        seed=SEED,
        stateful=True,
        return_sequences=True,
    )
    layer.build((BATCH, TIME, FEATURES))
    fill(layer)
    states = None
    for count in range(3):
        x = data(seed=count)
        wanted, states = expected(
            Call(kind, method, count=count), layer.get_weights(), x, states
        )
        assert_close(layer(x, training=True), wanted)
    layer.reset_state()
    wanted, _ = expected(
        Call(kind, method, count=3), layer.get_weights(), data()
    )
    assert_close(layer(data(), training=True), wanted)


MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) / 2,
    "mul": lambda a, b: a * b,
}


@each
def test_bidirectional_draws_for_each_direction(kind, method):
    layer = keras.layers.Bidirectional(
        getattr(dk, kind)(
            UNITS,
            dropout=0.3,
            recurrent_dropout=method,
            seed=SEED,
            return_sequences=True,
        )
    )
    layer.build((None, None, FEATURES))
    for half in (layer.forward_layer, layer.backward_layer):
        fill(half)
    halves = []
    for backwards in (False, True):
        call = Call(kind, method, 0.3, backwards=backwards)
        weights = layer.forward_layer.get_weights()
        halves.append(expected(call, weights, data())[0])
    halves[1] = halves[1][:, ::-1]
    for mode, merge in MERGES.items():
        layer.merge_mode = mode
        for half in (layer.forward_layer, layer.backward_layer):
            half.stream.state.assign([SEED, 0])
        assert_close(layer(data(), training=True), merge(*halves))
    layer.merge_mode = None
    assert len(layer(data(), training=True)) == 2
    assert layer.forward_layer._method == layer.backward_layer._method


def test_time_distributed_draws_for_each_item():
    layer = keras.layers.TimeDistributed(make("LSTM", dk.Gal(0.4)))
    x = np.stack([data(), data()], 1)
    y = layer(x, training=True)
    for count in range(2):
        call = Call("LSTM", dk.Gal(0.4), count=count)
        wanted, _ = expected(call, layer.get_weights(), data())
        assert_close(y[:, count], wanted[:, -1])


@each
def test_unroll_changes_nothing(kind, method):
    plain, unrolled = (make(kind, method, unroll=u) for u in (False, True))
    for training in (True, False):
        assert_close(
            unrolled(data(), training=training),
            plain(data(), training=training),
        )


def test_regularizers_and_constraints():
    layer = make(
        "LSTM",
        dk.Gal(0.5),
        kernel_regularizer="l2",
        recurrent_regularizer="l1",
        bias_regularizer="l2",
        activity_regularizer="l2",
        kernel_constraint="non_neg",
        recurrent_constraint="unit_norm",
        bias_constraint="non_neg",
    )
    layer(data(), training=True)
    assert len(layer.losses) == 4
    optimizer = keras.optimizers.SGD(0.1)
    _, _, *gradients = outputs_and_gradients(layer, data())
    optimizer.apply(gradients, layer.trainable_variables)
    kernel, recurrent, bias = layer.get_weights()
    assert kernel.min() >= 0 and bias.min() >= 0
    np.testing.assert_allclose(np.linalg.norm(recurrent, axis=0), 1, rtol=1e-5)


@kinds
def test_initial_states_may_be_keras_tensors(kind):
    count = len(initial_states(kind))
    x = keras.Input((None, FEATURES))
    states = [keras.Input((UNITS,)) for _ in range(count)]
    layer = make(kind, dk.Gal(0.4), return_state=True)
    model = keras.Model([x, *states], layer(x, initial_state=states))
    given = initial_states(kind)
    outputs, *last = model([data(), *given], training=True)
    wanted, wanted_last = expected(
        Call(kind, dk.Gal(0.4)), layer.get_weights(), data(), given
    )
    assert_close(outputs, wanted[:, -1])
    for a, b in zip(last, wanted_last, strict=True):
        assert_close(a, b)


@each
def test_batch_and_time_may_be_unknown(kind, method):
    layer = make(kind, method, dropout=0.3, return_sequences=True)
    traces = []

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, FEATURES)),
            tf.TensorSpec((None, None), tf.bool),
        ]
    )
    def step(x, mask):
        traces.append(1)
        return outputs_and_gradients(layer, x, mask=mask)

    for count, (batch, time) in enumerate([(3, 5), (1, 2), (7, 1)]):
        x, mask = data(batch, time), np.ones((batch, time), bool)
        mask[0, -1] = False
        y, *gradients = step(x, mask)
        call = Call(kind, method, 0.3, count=count, batch=batch, time=time)
        wanted, _ = expected(call, layer.get_weights(), x, mask=mask)
        assert_close(y, wanted)
        assert all(np.isfinite(g).all() for g in gradients)
    assert len(traces) == 1


def text_model(*more):
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(9, 3, mask_zero=True),
            *more,
            dk.LSTM(4, dropout=0.2, recurrent_dropout=0.3),
            keras.layers.Dense(1, dtype="float32"),
        ]
    )


def stack():
    return text_model(
        keras.layers.Bidirectional(
            dk.GRU(4, recurrent_dropout=dk.Gal(0.3), return_sequences=True)
        ),
        dk.SimpleRNN(
            4, recurrent_dropout=dk.Zoneout(0.2), return_sequences=True
        ),
    )


def text(samples=11):
    generator = np.random.default_rng(0)
    words = generator.integers(1, 9, (samples, 6))
    words[::2, 4:] = 0
    return words, generator.normal(size=(samples, 1)).astype("float32")


@pytest.mark.parametrize(
    "make_model, policy, compiling",
    [
        (stack, "mixed_float16", {"jit_compile": False}),
        (stack, "float32", {"run_eagerly": True}),
        (text_model, "mixed_bfloat16", {"jit_compile": True}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_models_train(make_model, policy, compiling):
    """Padding, both directions, three layers, and a smaller last batch."""
    keras.utils.set_random_seed(1)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = make_model()
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(keras.optimizers.Adam(0.02), "mse", **compiling)
    history = model.fit(*text(), batch_size=8, epochs=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert min(history["loss"][1:]) < history["loss"][0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@each
def test_half_precision_is_near_the_specification(kind, method, policy):
    layer = make(kind, method, dtype=policy, return_sequences=True)
    y = layer(data(), mask=padding("right"), training=True)
    assert y.dtype == layer.compute_dtype
    wanted, _ = expected(
        Call(kind, method), layer.get_weights(), data(), mask=padding("right")
    )
    # The state is rounded once or more at each step.
    unit = {"mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}[policy]
    assert_close(tf.cast(y, "float32"), wanted, 12 * TIME * unit)


# The same weights and files.


@kinds
def test_weights_are_exactly_those_of_keras(kind):
    ours = make(kind, dk.Gal(0.5), dropout=0.5)
    theirs = make(kind, module=keras.layers)
    assert [w.path.split("/")[1:] for w in ours.weights] == [
        w.path.split("/")[1:] for w in theirs.weights
    ]
    assert_equal(ours.get_weights(), theirs.get_weights())
    assert ours.count_params() == theirs.count_params()


def classifier(module, kind, **kwargs):
    layer = getattr(module, kind)
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            layer(UNITS, return_sequences=True, **kwargs),
            keras.layers.Bidirectional(layer(UNITS, **kwargs)),
            keras.layers.Dense(1),
        ]
    )


@kinds
def test_weight_files_load_both_ways(kind, tmp_path):
    path = tmp_path / "model.weights.h5"
    noisy = {"dropout": 0.2, "recurrent_dropout": dk.Gal(0.5)}
    ours, theirs = classifier(dk, kind, **noisy), classifier(keras.layers, kind)
    for source, target in ((ours, theirs), (theirs, ours)):
        source.set_weights(
            [np.random.normal(size=w.shape) for w in source.get_weights()]
        )
        source.save_weights(path)
        target.load_weights(path)
        assert_equal(target.get_weights(), source.get_weights())
        assert_equal(
            [ours.predict(data(), verbose=0)],
            [theirs.predict(data(), verbose=0)],
        )


@each
def test_a_saved_model_keeps_everything(kind, method, tmp_path):
    kwargs = {"implementation": 1, "use_cudnn": False}
    if kind == "SimpleRNN":
        kwargs = {}
    layer = make(kind, method, dropout=0.25, **kwargs)
    inputs = keras.Input((None, FEATURES))
    model = keras.Model(inputs, layer(inputs))
    layer(data(), training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    twin = loaded.layers[-1]
    assert type(twin) is type(layer)
    assert twin.get_config() == layer.get_config()
    assert twin.recurrent_dropout == layer.recurrent_dropout
    assert twin.dropout == 0.25
    for name, value in kwargs.items():
        owner = twin.cell if name == "implementation" else twin
        assert getattr(owner, name) == value
    np.testing.assert_array_equal(
        twin.stream.state.numpy(), layer.stream.state.numpy()
    )
    np.testing.assert_array_equal(
        twin(data(), training=True), layer(data(), training=True)
    )


@each
def test_the_config_is_plain_json(kind, method):
    layer = make(kind, method, dropout=0.25, name="noisy")
    config = json.loads(json.dumps(layer.get_config()))
    assert config["seed"] == SEED and config["dropout"] == 0.25
    if isinstance(method, float):
        assert config["recurrent_dropout"] == method
    twin = type(layer).from_config(config)
    assert twin.get_config() == layer.get_config()
    assert twin.recurrent_dropout == layer.recurrent_dropout
    clone = keras.models.clone_model(keras.Sequential([layer]))
    assert clone.layers[0].recurrent_dropout == layer.recurrent_dropout


def test_a_model_exports(tmp_path):
    model = stack()
    words, _ = text()
    wanted = model.predict(words, verbose=0)
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(
        loaded.serve(words), wanted, rtol=1e-5, atol=1e-6
    )


# The same fused kernels, on a faked GPU: only the dispatch is real.


@pytest.fixture
def fused_calls(monkeypatch):
    # The package of the same name holds a function `rnn`.
    rnn = importlib.import_module("keras.src.backend.tensorflow.rnn")
    calls = []

    def record(name, states):
        def fused(inputs, *args):
            calls.append(name)
            batch, time, _ = inputs.shape
            last = tf.zeros((batch, UNITS))
            return last, tf.zeros((batch, time, UNITS)), [last] * states

        return fused

    monkeypatch.setattr(rnn, "_is_gpu_available", lambda: True)
    monkeypatch.setattr(rnn, "_cudnn_lstm", record("LSTM", 2))
    monkeypatch.setattr(rnn, "_cudnn_gru", record("GRU", 1))
    return calls


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_inference_takes_the_fused_kernel(kind, fused_calls):
    layer = make(kind, dk.Gal(0.5), dropout=0.5)
    layer(data(), training=False)
    assert fused_calls == [kind]
    layer(data(), training=True)
    assert fused_calls == [kind]
    make(kind, dropout=0.5)(data(), training=True)
    make(kind)(data(), training=True)
    assert fused_calls == [kind] * 3


def test_a_method_whose_inference_is_no_identity_is_never_fused(fused_calls):
    for method in (dk.Zoneout(0.1), dk.Moon(0.1, inference="paper")):
        layer = make("LSTM", method)
        layer(data(), training=True)
        layer(data(), training=False)
    assert fused_calls == []


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_fused_bidirectional_is_not_taken_in_training(kind, monkeypatch):
    """Keras looks at the cells' rates, which it must not see as 0."""
    bidirectional = keras.layers.Bidirectional(make(kind, dk.Gal(0.5)))
    bidirectional.build((None, None, FEATURES))
    attempt = getattr(bidirectional, f"_can_attempt_fused_{kind.lower()}", None)
    if attempt is None:
        pytest.skip("this Keras has no fused Bidirectional")
    assert not attempt(None)
    plain = keras.layers.Bidirectional(make(kind))
    plain.build((None, None, FEATURES))
    assert getattr(plain, f"_can_attempt_fused_{kind.lower()}")(None)


def test_xla_is_left_to_the_layer_only_where_cudnn_is_possible(fused_calls):
    assert not make("LSTM", dk.Gal(0.5)).supports_jit
    assert make("LSTM", dk.Gal(0.5), use_cudnn=False).supports_jit
