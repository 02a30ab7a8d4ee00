"""Every layer, in every mode and precision, keeps the same promises."""

import contextlib
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from variants import (
    FULL,
    ONE_EACH,
    POLICIES,
    SHAPE,
    TIME,
    cases,
    recurrent_cases,
    recurrent_variants,
)

from dropkit.noise import Bernoulli, Gaussian

CALLS = 64
# Half a unit in the last place, relative, of each compute dtype.
ROUNDING = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


class Run:
    """A layer in one mode, and the multipliers of its first calls."""

    def __init__(self, variant, mode, policy):
        self.variant = variant
        self.layer = variant.make(seed=5, dtype=policy)
        self.traces = 0
        self.call = self._in_mode(mode, self._step)
        self.rounding = ROUNDING[self.layer.compute_dtype]
        ones = tf.ones(SHAPE)
        self.multipliers = np.stack(
            [self.numpy(self.call(ones)[0]) for _ in range(CALLS)]
        )

    def _step(self, x):
        self.traces += 1
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = self.variant.apply(self.layer, x)
        return y, tape.gradient(y, x)

    @staticmethod
    def _in_mode(mode, function):
        if mode == "eager":
            return function
        return tf.function(function, jit_compile=mode == "xla")

    @staticmethod
    def numpy(tensor):
        return tf.cast(tensor, tf.float64).numpy()

    def box_muller(self):
        """How far two compilations may differ: see `dropkit.noise.Gaussian`."""
        if not self.variant.gaussian:
            return 0.0
        return 4 * 2.0**-23 * (1 + 7 * np.sqrt(self.variant.variance.max()))

    def draws(self):
        """Multipliers by draw: one column for each group."""
        flat = self.multipliers.reshape(CALLS, -1)
        _, first = np.unique(self.variant.groups, return_index=True)
        return flat[:, first], self.variant.rate.reshape(-1)[first]


def case_id(case):
    variant, mode, policy = case
    return f"{variant.name}-{mode}-{policy}"


@pytest.fixture(scope="module", params=cases(), ids=case_id)
def run(request):
    return Run(*request.param)


def test_inference_is_the_identity_and_draws_nothing(run):
    x = tf.random.stateless_normal(SHAPE, [1, 2])
    state = run.layer.stream.state.numpy()
    y = run.variant.apply(run.layer, x, training=False)
    assert y.dtype == run.layer.compute_dtype
    np.testing.assert_array_equal(
        run.numpy(y), run.numpy(tf.cast(x, run.layer.compute_dtype))
    )
    np.testing.assert_array_equal(run.layer.stream.state.numpy(), state)


def test_entries_share_a_draw_exactly_as_declared(run):
    if run.variant.gaussian:
        # Equal draws at different rates differ: compare the normal numbers.
        values = (run.multipliers - 1) / np.sqrt(run.variant.variance)
        values = np.round(values, 2)
    else:
        values = run.multipliers > 0
    flat = values.reshape(CALLS, -1).T
    groups = run.variant.groups.reshape(-1)
    # Two groups agree in all 64 calls with probability below 1e-14.
    by_values = np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1)
    same_values = by_values[:, None] == by_values[None, :]
    same_group = groups[:, None] == groups[None, :]
    np.testing.assert_array_equal(same_values, same_group)


def test_mean_variance_and_rate_are_the_declared_ones(run):
    draws, rate = run.draws()
    n = draws.size
    variance = rate / (1 - rate)
    mean_error = 5 * np.sqrt(variance.mean() / n)
    mean_error += run.rounding * np.abs(draws).max()
    assert abs(draws.mean() - 1) < mean_error
    if run.variant.gaussian:
        # Var of a squared standard normal is 2.
        scaled = (draws - 1) ** 2 / variance
        slack = 4 * run.rounding * np.abs(draws).max() / np.sqrt(variance.min())
        assert abs(scaled.mean() - 1) < 5 * np.sqrt(2 / n) + slack
    else:
        dropped = draws == 0
        spread = np.sqrt((rate * (1 - rate)).mean() / n)
        assert abs(dropped.mean() - rate.mean()) < 5 * spread
        kept = np.broadcast_to(1 / (1 - rate), draws.shape)[~dropped]
        np.testing.assert_allclose(draws[~dropped], kept, rtol=2 * run.rounding)


def test_each_call_draws_anew_and_traces_once(run):
    assert len(np.unique(run.multipliers.reshape(CALLS, -1), axis=0)) > 1
    eager = not isinstance(run.call, tf.types.experimental.PolymorphicFunction)
    assert run.traces == (CALLS if eager else 1)


def test_the_gradient_is_the_multiplier_of_the_same_call(run):
    x = tf.random.stateless_normal(SHAPE, [3, 4])
    run.layer.stream.state.assign([5, 0])
    y, gradient = run.call(x)
    x = run.numpy(tf.cast(x, run.layer.compute_dtype))
    multiplier = run.multipliers[0]
    atol = run.box_muller()
    np.testing.assert_allclose(
        run.numpy(gradient), multiplier, rtol=2 * run.rounding, atol=atol
    )
    np.testing.assert_allclose(
        run.numpy(y),
        multiplier * x,
        rtol=4 * run.rounding,
        atol=atol * np.abs(x).max(),
    )


def test_the_same_seed_gives_the_same_multipliers_in_every_mode(run):
    twin = run.variant.make(seed=5, dtype=run.layer.dtype_policy)
    eager = np.stack(
        [run.numpy(run.variant.apply(twin, tf.ones(SHAPE))) for _ in range(4)]
    )
    if run.variant.gaussian:
        np.testing.assert_allclose(
            run.multipliers[:4],
            eager,
            rtol=2 * run.rounding,
            atol=run.box_muller(),
        )
    else:
        np.testing.assert_array_equal(run.multipliers[:4], eager)


def test_other_seeds_give_other_multipliers(run):
    seen = {run.multipliers[:8].tobytes()}
    for seed in (6, None, None):
        layer = run.variant.make(seed=seed, dtype=run.layer.dtype_policy)
        calls = [run.variant.apply(layer, tf.ones(SHAPE)) for _ in range(8)]
        seen.add(np.stack([run.numpy(y) for y in calls]).tobytes())
    assert len(seen) == 4


def test_config_and_weights_round_trip(run, tmp_path):
    layer = run.layer
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    assert twin.dtype_policy == layer.dtype_policy
    assert layer.weights == [] and layer.get_weights() == []


# Recurrent layers do more than multiply: their draws are listened to.


@contextlib.contextmanager
def recorded_draws():
    """A list that fills with the multipliers that are drawn inside."""
    draws = []

    def recording(function, multiplier):
        def record(self, *args, **kwargs):
            result = function(self, *args, **kwargs)
            draws.append(multiplier(result))
            return result

        return record

    def kept(result):
        keep, value = result
        return tf.where(keep, value, tf.zeros_like(value))

    with (
        mock.patch.object(Bernoulli, "_draw", recording(Bernoulli._draw, kept)),
        mock.patch.object(
            Gaussian,
            "multiplier",
            recording(Gaussian.multiplier, lambda result: result),
        ),
    ):
        yield draws


class RecurrentRun(Run):
    """A recurrent layer in one mode: draws, outputs and all gradients."""

    X = np.random.default_rng(0).normal(size=SHAPE).astype("float32")

    def __init__(self, variant, mode, policy):
        self.variant = variant
        self.layer = variant.make(seed=5, dtype=policy)
        self.layer.build(SHAPE)
        self.mode = mode
        self.traces = 0
        self.call = self._in_mode(mode, self._step)
        self.rounding = ROUNDING[self.layer.compute_dtype]
        calls = [self.call(tf.constant(self.X)) for _ in range(2)]
        self.draws, self.outputs, self.gradients = (
            [[self.numpy(t) for t in call[n]] for call in calls]
            for n in range(3)
        )

    def _step(self, x):
        self.traces += 1
        with tf.GradientTape() as tape, recorded_draws() as draws:
            tape.watch(x)
            y = self.variant.apply(self.layer, x)
            # Not 1 everywhere: a sum hides what cancels.
            loss = tf.reduce_sum(tf.cast(y, tf.float32) * tf.sin(self.X))
        weights = self.layer.trainable_variables
        return draws, [y], tape.gradient(loss, [x, *weights])

    def tolerance(self, steps):
        """How far precision and mode may move a result, relative to its norm.

        In half precision a time step rounds about 12 times on the way to its
        output (weights, inputs, multiplier, two products, two sums, gates,
        candidate, cell, its tanh, the output), and as often again on the way
        back; the recurrent kernels have norm 1, so that no step amplifies an
        error. A rounding error is evenly spread over one unit: n of them have
        the standard deviation u sqrt(n / 3), and the bound is six of these.
        """
        if self.rounding == ROUNDING["float32"]:
            # The tanh of XLA is a few units off, and so is its Box-Muller.
            return 1e-5 + TIME * self.box_muller()
        return 6 * self.rounding * np.sqrt(steps * 12 * TIME / 3)


@pytest.fixture(scope="module", params=recurrent_cases(), ids=case_id)
def recurrent_run(request):
    return RecurrentRun(*request.param)


@pytest.fixture(scope="module")
def float32_run(recurrent_run):
    """The same layer, eagerly, in float32."""
    return RecurrentRun(recurrent_run.variant, "eager", "float32")


def distance(actual, wanted):
    """Relative, in norm."""
    return np.linalg.norm(actual - wanted) / np.linalg.norm(wanted)


def test_recurrent_draws_are_the_same_in_every_mode(recurrent_run, float32_run):
    """Bit for bit, after rounding to the layer's precision."""
    run = recurrent_run
    for mine, eager in zip(run.draws, float32_run.draws, strict=True):
        for draw, wanted in zip(mine, eager, strict=True):
            wanted = run.numpy(tf.cast(wanted, run.layer.compute_dtype))
            if len(np.unique(wanted)) > 2:
                np.testing.assert_allclose(
                    draw, wanted, rtol=2 * run.rounding, atol=run.box_muller()
                )
            else:
                np.testing.assert_array_equal(draw, wanted)


def test_recurrent_results_are_those_of_float32(recurrent_run, float32_run):
    run, other = recurrent_run, float32_run
    for call in range(2):
        (y,), (wanted,) = run.outputs[call], other.outputs[call]
        assert distance(y, wanted) < run.tolerance(steps=1)
        for gradient, wanted in zip(
            run.gradients[call], other.gradients[call], strict=True
        ):
            assert distance(gradient, wanted) < run.tolerance(steps=2)
    # The bounds are no formality: another draw lies outside of them.
    (y,), (another,) = run.outputs[0], other.outputs[1]
    assert distance(y, another) > run.tolerance(steps=1)


def test_recurrent_calls_draw_anew_and_trace_once(recurrent_run):
    run = recurrent_run
    for first, second in zip(*run.draws, strict=True):
        assert first.shape == second.shape
        assert not np.array_equal(first, second)
    assert run.traces == (2 if run.mode == "eager" else 1)
    np.testing.assert_array_equal(run.layer.stream.state.numpy(), [5, 2])


def test_recurrent_inference_draws_nothing_in_every_mode(
    recurrent_run, float32_run
):
    def infer(run):
        call = run._in_mode(
            run.mode, lambda x: run.variant.apply(run.layer, x, training=False)
        )
        with recorded_draws() as draws:
            y = call(tf.constant(run.X))
        assert draws == []
        np.testing.assert_array_equal(run.layer.stream.state.numpy(), [5, 2])
        return run.numpy(y)

    y, wanted = infer(recurrent_run), infer(float32_run)
    assert distance(y, wanted) < recurrent_run.tolerance(steps=1)


# Files and replicas: every method, in float32; with the full product, in all.
every_recurrent = pytest.mark.parametrize(
    "variant", recurrent_variants(), ids=lambda v: v.name
)
policies = pytest.mark.parametrize("policy", POLICIES if FULL else POLICIES[:1])


@every_recurrent
@policies
def test_a_recurrent_layer_from_a_file_draws_on(variant, policy, tmp_path):
    def model(seed):
        layer = variant.make(seed=seed, dtype=policy, name="noisy")
        return keras.Sequential([keras.Input((None, SHAPE[-1])), layer])

    def call(model):
        return Run.numpy(model(RecurrentRun.X, training=True))

    source = model(seed=5)
    first = call(source)
    source.save(tmp_path / "model.keras")
    source.save_weights(tmp_path / "model.weights.h5")
    second = call(source)
    assert not np.array_equal(first, second)
    whole = keras.models.load_model(tmp_path / "model.keras")
    assert whole.layers[0].get_config() == source.layers[0].get_config()
    assert whole.layers[0].dtype_policy == source.layers[0].dtype_policy
    np.testing.assert_array_equal(call(whole), second)
    weights = model(seed=6)
    weights.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(call(weights), second)


@every_recurrent
@policies
def test_recurrent_replicas_draw_for_themselves(variant, policy, two_replicas):
    with two_replicas.scope():
        layer = variant.make(seed=5, dtype=policy)
        layer.build((None, *SHAPE[1:]))

    def both():
        return two_replicas.run(lambda: variant.apply(layer, RecurrentRun.X))

    first, second = map(
        Run.numpy, two_replicas.experimental_local_results(both())
    )
    assert distance(first, second) > 0.01
    # The first replica draws what a run without a strategy draws.
    alone = variant.make(seed=5, dtype=policy)
    np.testing.assert_array_equal(
        first, Run.numpy(variant.apply(alone, RecurrentRun.X))
    )


# Saving and resuming: one variant a layer, through whole models.


def make_model(variant, seed=None):
    inputs = keras.Input(SHAPE[1:])
    layer = variant.make(seed=seed, name="noisy")
    if variant.ids:
        ids = keras.ops.cast(keras.ops.abs(inputs[..., 0]) * 9, "int32")
        x = layer(inputs, ids)
    else:
        x = layer(inputs)
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def training_data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(12, *SHAPE[1:])).astype("float32")
    return x, generator.normal(size=(12, 2)).astype("float32")


def fit(model, epochs, initial=0, callbacks=()):
    model.fit(
        *training_data(),
        batch_size=4,
        epochs=epochs,
        initial_epoch=initial,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def state(model):
    return [
        *(w.copy() for w in model.get_weights()),
        model.get_layer("noisy").stream.state.numpy(),
    ]


def assert_equal_states(model, expected):
    for left, right in zip(state(model), expected, strict=True):
        np.testing.assert_array_equal(left, right)


each = pytest.mark.parametrize("variant", ONE_EACH, ids=lambda v: v.name)


class Stop(keras.callbacks.Callback):
    """Interrupts a training after one epoch."""

    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


@each
def test_an_interrupted_run_ends_like_an_uninterrupted_one(variant, tmp_path):
    keras.utils.set_random_seed(1)
    model = make_model(variant)
    model.save(tmp_path / "start.keras")
    fit(model, epochs=1)
    model.save(tmp_path / "one.keras")
    model.save_weights(tmp_path / "one.weights.h5")
    checkpoint = tf.train.Checkpoint(
        model=model, optimizer=model.optimizer
    ).save(tmp_path / "one")
    fit(model, epochs=2, initial=1)
    expected = state(model)

    resumed = keras.models.load_model(tmp_path / "one.keras")
    fit(resumed, epochs=2, initial=1)
    assert_equal_states(resumed, expected)

    resumed = keras.models.load_model(tmp_path / "start.keras")
    resumed.load_weights(tmp_path / "one.weights.h5")
    fit(resumed, epochs=2, initial=1)
    assert_equal_states(resumed, expected)

    resumed = make_model(variant)
    status = tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer)
    status.restore(checkpoint).assert_existing_objects_matched()
    fit(resumed, epochs=2, initial=1)
    assert_equal_states(resumed, expected)


@each
def test_backup_and_model_checkpoint_resume(variant, tmp_path):
    keras.utils.set_random_seed(1)
    model = make_model(variant)
    model.save(tmp_path / "start.keras")
    weights = tmp_path / "epoch.weights.h5"
    fit(
        model,
        epochs=1,
        callbacks=[
            keras.callbacks.ModelCheckpoint(weights, save_weights_only=True)
        ],
    )
    fit(model, epochs=2, initial=1)
    expected = state(model)

    resumed = keras.models.load_model(tmp_path / "start.keras")
    resumed.load_weights(weights)
    fit(resumed, epochs=2, initial=1)
    assert_equal_states(resumed, expected)

    interrupted = keras.models.load_model(tmp_path / "start.keras")
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fit(interrupted, epochs=2, callbacks=[backup, Stop()])
    resumed = keras.models.load_model(tmp_path / "start.keras")
    fit(resumed, epochs=2, callbacks=[backup])
    assert_equal_states(resumed, expected)


@each
def test_validation_data_does_not_change_training(variant):
    results = []
    for validation in (None, training_data()):
        keras.utils.set_random_seed(1)
        model = make_model(variant, seed=3)
        model.fit(
            *training_data(), epochs=2, verbose=0, validation_data=validation
        )
        results.append(model.get_weights())
    for left, right in zip(*results, strict=True):
        np.testing.assert_array_equal(left, right)


@each
def test_padding_masks_pass_through(variant):
    inputs = keras.Input((None,), dtype="int32")
    words = keras.layers.Embedding(9, SHAPE[-1], mask_zero=True)(inputs)
    layer = variant.make()
    outputs = layer(words, inputs) if variant.ids else layer(words)
    ids = np.array([[3, 1, 0, 0]])
    mask = keras.Model(inputs, outputs)(ids, training=True)._keras_mask
    np.testing.assert_array_equal(mask, ids != 0)


@each
def test_replicas_draw_different_multipliers(variant, two_replicas):
    with two_replicas.scope():
        layer = variant.make(seed=5)

    @tf.function
    def step():
        return two_replicas.run(lambda: variant.apply(layer, tf.ones(SHAPE)))

    calls = [two_replicas.experimental_local_results(step()) for _ in range(4)]
    first, second = (np.stack([c[r] for c in calls]) for r in (0, 1))
    assert not np.array_equal(first, second)
    # The first replica draws what a run without a strategy draws.
    alone = variant.make(seed=5)
    single = [variant.apply(alone, tf.ones(SHAPE)).numpy() for _ in range(4)]
    np.testing.assert_allclose(first, np.stack(single), rtol=1e-5)


@each
def test_fit_under_a_strategy_trains(variant, two_replicas):
    with two_replicas.scope():
        model = make_model(variant, seed=5)
        model.compile("sgd", "mse", jit_compile=False)
    fit(model, epochs=2)
    count = model.get_layer("noisy").stream.state.numpy()[1]
    assert count == 6  # Two epochs of three batches.


@each
@pytest.mark.parametrize("jit_compile", [True, False])
def test_fit_redraws_at_each_step(variant, jit_compile):
    model = make_model(variant, seed=5)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    fit(model, epochs=1)
    np.testing.assert_array_equal(
        model.get_layer("noisy").stream.state.numpy(), [5, 3]
    )
