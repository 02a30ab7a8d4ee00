"""The layers against Keras's own, and right where Keras's are wrong."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import dropkit as dk
from dropkit import reference

ONES = tf.ones((6, 5, 4))


def shared_axes_of(y):
    """Axes along which all entries of a multiplier agree."""
    return tuple(
        axis for axis in range(y.ndim) if (y == y.take([0], axis=axis)).all()
    )


def multipliers(layer, shape, calls=40):
    return np.stack(
        [layer(tf.ones(shape), training=True).numpy() for _ in range(calls)]
    )


@pytest.mark.parametrize(
    "ours, keras_layer, shape, shared",
    [
        (dk.Dropout(0.5), keras.layers.Dropout(0.5), (6, 5, 4), ()),
        (
            dk.Dropout(0.5, "time"),
            keras.layers.SpatialDropout1D(0.5),
            (6, 5, 4),
            (2,),
        ),
        (
            dk.Dropout(0.5, (1, 2)),
            keras.layers.SpatialDropout2D(0.5, data_format="channels_last"),
            (6, 3, 3, 4),
            (2, 3),
        ),
        (
            dk.Dropout(0.5, (2, 3)),
            keras.layers.SpatialDropout2D(0.5, data_format="channels_first"),
            (6, 4, 3, 3),
            (3, 4),
        ),
        (
            dk.Dropout(0.5, (1, 2, 3)),
            keras.layers.SpatialDropout3D(0.5, data_format="channels_last"),
            (6, 2, 3, 3, 4),
            (2, 3, 4),
        ),
        (
            dk.Dropout(0.5, noise="gaussian"),
            keras.layers.GaussianDropout(0.5),
            (6, 5, 4),
            (),
        ),
    ],
    ids=["1", "spatial1d", "spatial2d", "channels_first", "spatial3d", "gauss"],
)
def test_equal_to_keras_in_distribution(ours, keras_layer, shape, shared):
    left = multipliers(ours, shape)
    right = multipliers(keras_layer, shape)
    # Axis 0 counts calls.
    assert shared_axes_of(left) == shared_axes_of(right) == shared
    n = left.size / np.prod([left.shape[axis] for axis in shared])
    # Mean and second moment of both, within 5 standard errors of each other.
    for power in (1, 2):
        a, b = left**power, right**power
        error = 5 * np.sqrt((a.var() + b.var()) / n)
        assert abs(a.mean() - b.mean()) < error


def test_dropout_is_the_specified_function():
    x = tf.random.stateless_normal((6, 5, 4), [1, 2])
    y = dk.Dropout(0.3, "time", seed=9)(x, training=True)
    draws = reference.bernoulli(reference.bits((6, 1, 4), 9), 0.3)
    numbers = reference.share((6, 5, 4), (None, 1, None))
    np.testing.assert_allclose(y, x * draws.ravel()[numbers], rtol=1e-6)


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_embedding_dropout_is_the_specified_function(per):
    ids = np.random.default_rng(0).integers(0, 9, (4, 12))
    rows = ids if per == "sample" else ids.reshape(1, -1)
    layer = dk.EmbeddingDropout(0.4, per=per, seed=9)
    y = layer(tf.ones((4, 12, 2)), ids, training=True)
    draws = reference.bernoulli(
        reference.bits(rows.shape, 9, role="types"), 0.4
    )
    picked = np.take_along_axis(draws, reference.type_numbers(rows), axis=1)
    expected = picked.reshape(ids.shape)[..., None] * np.ones(2)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_embedding_dropout_drops_rows_of_the_matrix():
    """Dropping a type's occurrences is dropping its row of the matrix."""
    ids = np.array([[1, 2, 1, 0], [2, 2, 3, 1]])
    embedding = keras.layers.Embedding(4, 3)
    words = embedding(ids)
    y = dk.EmbeddingDropout(0.5, per="batch", seed=2)(words, ids, training=True)
    matrix = embedding.get_weights()[0]
    for word in range(4):
        rows = y.numpy()[ids == word]
        dropped = not rows.any()
        np.testing.assert_allclose(
            rows, 0 * rows + (0 if dropped else 2) * matrix[word], rtol=1e-6
        )


def test_token_dropout_draws_equal_words_apart():
    ids = np.zeros((50, 40), int)
    x = tf.ones((50, 40, 3))
    tokens = dk.TokenDropout(0.5, seed=1)(x, training=True).numpy()
    types = dk.EmbeddingDropout(0.5, seed=1)(x, ids, training=True).numpy()
    assert (tokens == tokens[..., :1]).all()
    assert not (tokens == tokens[:, :1]).all()
    assert (types == types[:, :1]).all()


# Where Keras's layers are wrong.


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_the_rate_that_keras_changes(policy):
    n, rate = 1_000_000, 0.001
    x = tf.ones((n,))
    drops = {
        module: (layer(x, training=True).numpy() == 0).mean()
        for module, layer in {
            "dropkit": dk.Dropout(rate, seed=1, dtype=policy),
            "keras": keras.layers.Dropout(rate, seed=1, dtype=policy),
        }.items()
    }
    error = 5 * np.sqrt(rate * (1 - rate) / n)
    assert abs(drops["dropkit"] - rate) < error
    assert abs(drops["keras"] - rate) > error  # If this fails, Keras is mended.


def test_reload_keeps_the_dtype_policy_that_spatial_dropout_loses():
    ours = dk.Dropout(0.5, "time", dtype="mixed_float16")
    assert type(ours).from_config(ours.get_config()).compute_dtype == "float16"
    theirs = keras.layers.SpatialDropout1D(0.5, dtype="mixed_float16")
    again = type(theirs).from_config(theirs.get_config())
    assert again.compute_dtype == "float32"  # If this fails, Keras is mended.


@pytest.mark.parametrize("noise_shape", [(4,), (5, 4), ()])
def test_a_lower_rank_noise_shape_is_refused_where_keras_broadcasts(
    noise_shape,
):
    keras.layers.Dropout(0.5, noise_shape=noise_shape)(ONES, training=True)
    layer = dk.Dropout(0.5, noise_shape=noise_shape, seed=1)
    with pytest.raises(ValueError, match="Received: noise_shape="):
        layer(ONES, training=True)
    np.testing.assert_array_equal(layer.stream.state.numpy(), [1, 0])


def test_a_noise_shape_never_changes_the_output_shape_as_in_keras():
    x = tf.ones((6, 1, 4))
    theirs = keras.layers.Dropout(0.5, noise_shape=(6, 7, 4))
    assert theirs(x, training=True).shape == (6, 7, 4)
    with pytest.raises(ValueError, match="Received: noise_shape="):
        dk.Dropout(0.5, noise_shape=(6, 7, 4))(x, training=True)


def test_rate_one_drops_everything_and_gaussian_refuses_it():
    y = dk.Dropout(1.0)(ONES, training=True)
    np.testing.assert_array_equal(y, tf.zeros_like(ONES))
    with pytest.raises(ValueError, match="Received: rate=1.0$"):
        dk.Dropout(1.0, noise="gaussian")


# Bad input, before anything is drawn.


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", [dk.Dropout, dk.TokenDropout])
def test_integer_inputs_are_refused(make, training):
    layer = make(0.5, seed=1)
    with pytest.raises(TypeError, match="Received: inputs of dtype int32"):
        layer(tf.ones((2, 3, 4), tf.int32), training=training)
    np.testing.assert_array_equal(layer.stream.state.numpy(), [1, 0])


def test_a_model_with_a_bad_noise_shape_is_refused_when_it_is_built():
    with pytest.raises(ValueError, match="Received: noise_shape="):
        dk.Dropout(0.5, noise_shape=(None, 1))(keras.Input((5, 4)))


def test_a_vector_of_wrong_length_is_refused():
    with pytest.raises(ValueError, match="last axis.*Received: 2 rates"):
        dk.Dropout([0.1, 0.2])(ONES)


@pytest.mark.parametrize(
    "options", [{"shared_axes": "features"}, {"noise_shape": (None, None, 1)}]
)
def test_a_vector_with_shared_features_is_refused(options):
    with pytest.raises(ValueError, match="do not share the last axis"):
        dk.Dropout([0.1, 0.2, 0.3, 0.4], **options)(ONES)


def test_axes_and_noise_shape_together_are_refused():
    with pytest.raises(ValueError, match="once.*Received: shared_axes='time'"):
        dk.Dropout(0.5, "time", noise_shape=(None, 1, None))


def test_an_unknown_noise_is_refused():
    with pytest.raises(ValueError, match="Received: noise='alpha'"):
        dk.Dropout(0.5, noise="alpha")


def test_a_noise_shape_in_the_place_of_axes_says_so():
    with pytest.raises(TypeError, match="is a `noise_shape`"):
        dk.Dropout(0.5, (None, 1, None))


def test_embedding_dropout_refuses_other_shapes_and_dtypes():
    layer = dk.EmbeddingDropout(0.5)
    words, ids = tf.ones((2, 3, 4)), tf.ones((2, 3), tf.int32)
    with pytest.raises(TypeError, match="Received: ids of dtype float32"):
        layer(words, tf.ones((2, 3)))
    with pytest.raises(ValueError, match="Received: inputs of shape"):
        layer(words, ids[:, :2])
    with pytest.raises(ValueError, match="Received: per='word'"):
        dk.EmbeddingDropout(0.5, per="word")
    with pytest.raises(ValueError, match="scalar"):
        dk.EmbeddingDropout([0.5, 0.5])


# What users do with layers.


def test_rate_zero_is_the_identity_and_draws_nothing():
    for rate in (0, [0, 0, 0, 0]):
        layer = dk.Dropout(rate, seed=1)
        y = layer(ONES, training=True)
        np.testing.assert_array_equal(y, ONES)
        np.testing.assert_array_equal(layer.stream.state.numpy(), [1, 0])


def test_trainable_false_does_not_switch_dropout_off():
    layer = dk.Dropout(0.5, trainable=False)
    assert not np.all(layer(ONES, training=True).numpy() == 1)


def test_one_layer_takes_inputs_of_several_shapes():
    layer = dk.Dropout(0.5, "batch")
    for shape in ((2, 3), (4, 3, 2), (1, 1)):
        assert layer(tf.ones(shape), training=True).shape == shape


def test_unknown_batch_and_time():
    layer = dk.Dropout(0.5, "time", noise="gaussian")

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4))])
    def call(x):
        return layer(x, training=True)

    for shape in ((2, 3, 4), (5, 1, 4), (1, 7, 4), (0, 3, 4)):
        y = call(tf.ones(shape)).numpy()
        assert y.shape == shape
        assert (y == y[:, :1]).all()


def test_two_equal_seeds_share_a_stream():
    a, b = dk.Dropout(0.5, seed=4), dk.Dropout(0.5, seed=4)
    np.testing.assert_array_equal(
        a(ONES, training=True), b(ONES, training=True)
    )


def test_layer_names_never_enter_the_draws():
    a = dk.Dropout(0.5, seed=4, name="a")
    b = dk.Dropout(0.5, seed=4, name="b")
    np.testing.assert_array_equal(
        a(ONES, training=True), b(ONES, training=True)
    )


def test_config_is_plain_json_and_a_variable_gives_its_value():
    rate = keras.Variable(0.25, trainable=False)
    layer = dk.Dropout(rate, "time", seed=3)
    config = layer.get_config()
    assert config["rate"] == 0.25 and config["seed"] == 3
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert isinstance(again, dk.Dropout)
    assert again.get_config() == config


def test_stock_weight_files_load_both_ways(tmp_path):
    def model(dropout):
        return keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(3), dropout]
        )

    ours, theirs = model(dk.Dropout(0.5)), model(keras.layers.Dropout(0.5))
    for source, target in ((ours, theirs), (theirs, ours)):
        for weight in source.weights:
            weight.assign_add(tf.ones_like(weight))
        source.save_weights(tmp_path / "w.weights.h5")
        target.load_weights(tmp_path / "w.weights.h5")
        for left, right in zip(
            source.get_weights(), target.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(left, right)


def test_saved_model_export_is_the_identity(tmp_path):
    model = keras.Sequential([keras.Input((5, 4)), dk.Dropout(0.5, "time")])
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported").serve(ONES)
    np.testing.assert_array_equal(served, ONES)


def test_second_order_gradients_are_zero_or_right():
    layer = dk.Dropout(0.5, seed=1)
    x = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(layer(x, training=True) ** 2)
        first = inner.gradient(y, x)
    multiplier = reference.bernoulli(reference.bits((3,), 1), 0.5)
    np.testing.assert_allclose(first, 2 * multiplier**2 * x, rtol=1e-6)
    np.testing.assert_allclose(outer.gradient(first, x), 2 * multiplier**2)
