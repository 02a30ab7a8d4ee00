"""The audit: one pair of models for each rule, clean models, the report."""

import importlib
import json
import random
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import dropkit as dk
from dropkit.audit import evidence as evidence_module
from dropkit.audit.fused import paths
from dropkit.audit.graph import Graph
from dropkit.audit.rules import RULES
from dropkit.audit.walk import walk

layers = keras.layers
BOOK = Path(__file__).parents[1] / "book"


def chain(*steps, shape=(5, 4), dtype="float32"):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *steps])


def functional(build, shape=(5, 4)):
    x = keras.Input(shape)
    return keras.Model(x, build(x))


# One pair for each rule: a model with the fault, and one without.

PAIRS = {
    "fused-path": (
        lambda: chain(layers.LSTM(3, recurrent_dropout=0.2, name="a")),
        lambda: chain(layers.LSTM(3, dropout=0.2)),
    ),
    "before-masking": (
        lambda: chain(layers.Dropout(0.5, name="a"), layers.Masking()),
        lambda: chain(layers.Masking(), layers.Dropout(0.5)),
    ),
    "rate-one": (
        lambda: chain(layers.GRU(3, dropout=1.0, name="a")),
        lambda: chain(layers.SimpleRNN(3, dropout=1.0)),
    ),
    "fixed-batch": (
        lambda: chain(layers.Dropout(0.5, noise_shape=(4, 1, 4), name="a")),
        lambda: chain(layers.Dropout(0.5, noise_shape=(None, 1, 4))),
    ),
    "untied-input": (
        lambda: chain(
            layers.LSTM(
                3, dropout=0.2, recurrent_dropout=0.3, use_cudnn=False, name="a"
            )
        ),
        lambda: chain(layers.LSTM(3, dropout=0.2)),
    ),
    "same-seed": (
        lambda: chain(
            layers.Dropout(0.5, seed=7, name="a"),
            layers.ReLU(),
            layers.Dropout(0.2, seed=7, name="b"),
        ),
        lambda: chain(
            layers.Dropout(0.5, seed=7),
            layers.Dropout(0.5, seed=8),
            layers.Dense(6),
            layers.Dropout(0.5, seed=7),
        ),
    ),
    "time-distributed": (
        lambda: chain(layers.TimeDistributed(layers.Dropout(0.5, name="a"))),
        lambda: chain(layers.SpatialDropout1D(0.5)),
    ),
    "training-true": (
        lambda: functional(
            lambda x: layers.Dropout(0.5, name="a")(x, training=True)
        ),
        lambda: functional(lambda x: layers.Dropout(0.5)(x)),
    ),
    "batch-normalization": (
        lambda: chain(
            layers.Dropout(0.5, name="a"),
            layers.Dense(3, activation="relu"),
            layers.BatchNormalization(),
        ),
        lambda: chain(
            layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.5)
        ),
    ),
    "unbounded": (
        lambda: chain(layers.GRU(3, activation="relu", name="a")),
        lambda: chain(layers.GRU(3)),
    ),
    "mixed-precision": (
        lambda: chain(
            layers.SpatialDropout1D(0.5, dtype="mixed_float16", name="a")
        ),
        lambda: chain(dk.Dropout(0.5, "time", dtype="mixed_float16")),
    ),
    "half-rate": (
        lambda: chain(layers.Dropout(0.01, dtype="bfloat16", name="a")),
        lambda: chain(layers.Dropout(0.5, dtype="bfloat16")),
    ),
}
# Replicas need a strategy: see below.
OTHERS = {"replicas"}


def rules_of(model):
    return [advice.rule for advice in dk.audit(model).advice]


def test_every_rule_has_a_pair_and_a_page():
    assert {rule.name for rule in RULES} == set(PAIRS) | OTHERS
    pages = {path.stem for path in BOOK.glob("*.ipynb")}
    assert {rule.page for rule in RULES} <= pages


def skip_where_refused(rule):
    """Older versions of Keras raise at a rate of 1 instead of ignoring it."""
    if rule == "rate-one":
        try:
            keras.random.dropout(np.ones(2, "float32"), 1.0)
        except ValueError:
            pytest.skip("this Keras refuses a rate of 1")


@pytest.mark.parametrize("rule", PAIRS)
def test_the_fault_is_found_and_nothing_else(rule):
    skip_where_refused(rule)
    (advice,) = dk.audit(PAIRS[rule][0]()).advice
    assert advice.rule == rule
    assert advice.layers[0].endswith("a")
    assert advice.reason.endswith(".") and advice.change.endswith(".")


@pytest.mark.parametrize("rule", PAIRS)
def test_without_the_fault_there_is_no_advice(rule):
    assert dk.audit(PAIRS[rule][1]()).advice == ()


# More of the same faults, elsewhere.

MORE = {
    "both directions": (
        "same-seed",
        lambda: chain(
            layers.Bidirectional(layers.GRU(3, dropout=0.5, seed=1), name="a")
        ),
    ),
    "recurrent layers of one seed": (
        "same-seed",
        lambda: chain(
            layers.SimpleRNN(
                4, dropout=0.5, seed=3, return_sequences=True, name="a"
            ),
            layers.SimpleRNN(5, dropout=0.5, seed=3, name="b"),
        ),
    ),
    "dropkit's layers of one seed": (
        "same-seed",
        lambda: chain(
            dk.LSTM(
                4,
                recurrent_dropout=dk.Gal(0.5),
                seed=3,
                return_sequences=True,
                name="a",
            ),
            dk.LSTM(5, recurrent_dropout=dk.Gal(0.5), seed=3, name="b"),
        ),
    ),
    "the state's rate is 1": (
        "rate-one",
        lambda: chain(
            layers.Bidirectional(
                layers.LSTM(3, recurrent_dropout=1.0, use_cudnn=False),
                name="a",
            )
        ),
    ),
    "padding is -1": (
        "before-masking",
        lambda: chain(
            layers.GaussianDropout(0.5, name="a"), layers.Masking(-1.0)
        ),
    ),
    "in a nested model": (
        "before-masking",
        lambda: functional(
            lambda x: layers.Masking()(chain(layers.Dropout(0.5, name="a"))(x))
        ),
    ),
    "a nested model is forced": (
        "training-true",
        lambda: functional(
            lambda x: chain(layers.Dropout(0.5, name="a"))(x, training=True)
        ),
    ),
    "an LSTM is forced": (
        "training-true",
        lambda: functional(
            lambda x: layers.LSTM(3, dropout=0.5, name="a")(x, training=True)
        ),
    ),
    "around a skip connection": (
        "batch-normalization",
        lambda: functional(
            lambda x: layers.BatchNormalization()(
                x + layers.Dropout(0.5, name="a")(x)
            )
        ),
    ),
    "a rate inside a loop": (
        "half-rate",
        lambda: chain(
            layers.GRU(
                3,
                recurrent_dropout=0.01,
                use_cudnn=False,
                dtype="mixed_bfloat16",
                name="a",
            )
        ),
    ),
    "an input's rate inside a loop": (
        "half-rate",
        lambda: chain(
            layers.LSTM(3, dropout=0.01, dtype="mixed_bfloat16", name="a")
        ),
    ),
    "Keras's cell in a plain RNN": (
        "unbounded",
        lambda: chain(
            layers.RNN(layers.SimpleRNNCell(3, activation="relu"), name="a")
        ),
    ),
}


@pytest.mark.parametrize("case", MORE)
def test_more_faults(case):
    rule, make = MORE[case]
    skip_where_refused(rule)
    (advice,) = dk.audit(make()).advice
    assert advice.rule == rule
    assert advice.layers[0].endswith("a")


# Clean models


class Attention(layers.Layer):
    """A layer of a user, without noise."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.score = layers.Dense(1)

    def call(self, x):
        return keras.ops.sum(keras.ops.softmax(self.score(x), 1) * x, 1)


def transformer():
    x = keras.Input((6, 8))
    y = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    y = layers.LayerNormalization()(x + layers.Dropout(0.1)(y))
    return keras.Model(x, layers.Dense(2)(y))


def convolutional():
    return chain(
        layers.RandomFlip("horizontal"),
        layers.Conv2D(4, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.3),
        layers.Dense(2),
        shape=(8, 8, 3),
    )


CLEAN = {
    "no noise": lambda: chain(layers.LSTM(3), layers.Dense(2)),
    "nothing at all": lambda: chain(layers.Dense(2)),
    "rate 0": lambda: chain(layers.Dropout(0.0), layers.BatchNormalization()),
    "language model": lambda: chain(
        layers.Embedding(20, 8, mask_zero=True),
        layers.SpatialDropout1D(0.3),
        layers.Bidirectional(layers.LSTM(4, dropout=0.2)),
        layers.Dropout(0.5),
        layers.Dense(1),
        shape=(None,),
        dtype="int32",
    ),
    "transformer": transformer,
    "convolutional": convolutional,
    "a user's layer": lambda: chain(layers.Dropout(0.2), Attention()),
    "a wide Dropout before Masking": lambda: chain(
        layers.Dropout(0.5), layers.Masking(), shape=(5, 64)
    ),
    "a fixed batch on both sides": lambda: keras.Sequential(
        [
            keras.Input((5, 4), batch_size=4),
            layers.Dropout(0.5, noise_shape=(4, 1, 4)),
        ]
    ),
    "dropkit": lambda: chain(
        dk.Dropout(0.3, "time", dtype="mixed_float16"),
        dk.Dropout([0.0, 0.0, 0.0, 0.5]),
        layers.Bidirectional(
            dk.LSTM(
                4,
                dropout=0.2,
                recurrent_dropout=0.3,
                seed=1,
                return_sequences=True,
            )
        ),
        dk.GRU(4, recurrent_dropout=dk.Gal(0.2), return_sequences=True),
        dk.LSTM(4, recurrent_dropout=dk.Zoneout(), return_sequences=True),
        dk.SimpleRNN(4, recurrent_dropout=dk.Gal(0.01), dtype="mixed_bfloat16"),
        dk.Dropout(0.01, dtype="mixed_bfloat16"),
    ),
    "embeddings": lambda: chain(
        layers.Embedding(20, 8),
        dk.TokenDropout(0.2),
        dk.GRU(4, recurrent_dropout=dk.Semeniuta(0.3)),
        shape=(5,),
        dtype="int32",
    ),
}


@pytest.mark.parametrize("name", CLEAN)
def test_no_false_alarm(name):
    found = dk.audit(CLEAN[name]())
    assert found.advice == ()
    assert str(found).count("No advice.") == 1


# Measurement decides, not the class.


class MendedSpatial(layers.SpatialDropout1D):
    """Keeps its policy."""

    def get_config(self):
        return {**super().get_config(), "dtype": self.dtype_policy}


class MendedSeed(layers.Dropout):
    """Two layers of one seed draw different masks."""

    def __init__(self, rate, seed=None, name=None, **kwargs):
        shift = sum(map(ord, name))
        super().__init__(rate, seed=seed + shift, name=name, **kwargs)
        self.asked = seed

    def get_config(self):
        return {**super().get_config(), "seed": self.asked}


class MendedHalf(layers.Dropout):
    """Draws in float32."""

    def call(self, x, training=False):
        wide = super().call(keras.ops.cast(x, "float32"), training=training)
        return keras.ops.cast(wide, x.dtype)


class MendedCall(layers.Dropout):
    """Drops always."""

    def call(self, x, training=False):
        return super().call(x, training=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: chain(MendedSpatial(0.5, dtype="mixed_float16")),
        lambda: chain(MendedSeed(0.5, 7, "a"), MendedSeed(0.5, 7, "b")),
        lambda: chain(MendedHalf(0.01, dtype="bfloat16")),
        lambda: functional(lambda x: MendedCall(0.5)(x, training=True)),
    ],
)
def test_a_mended_layer_gets_no_advice(make):
    assert dk.audit(make()).advice == ()


def test_a_layer_that_was_reloaded_has_lost_its_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = chain(
            layers.Dense(4),
            layers.SpatialDropout1D(0.5, name="a"),
            layers.Dropout(0.5),
            layers.Dense(2),
        )
        copy = keras.Sequential.from_config(model.get_config())
    finally:
        keras.config.set_dtype_policy("float32")
    found = [dk.audit(each).advice for each in (model, copy)]
    assert [[a.rule for a in advice] for advice in found] == [
        ["mixed-precision"]
    ] * 2
    assert "between layers of half precision" in found[1][0].reason


# Replicas


@pytest.mark.parametrize(
    "make, rules",
    [
        (lambda: layers.Dropout(0.5), ["replicas"]),
        (lambda: layers.LSTM(3, dropout=0.5), ["replicas"]),
        (lambda: dk.Dropout(0.5), []),
        (lambda: dk.LSTM(3, recurrent_dropout=dk.Gal(0.5)), []),
    ],
)
def test_replicas(make, rules, two_replicas):
    with two_replicas.scope():
        model = chain(make())
        assert rules_of(model) == rules
    assert rules_of(model) == rules


def test_without_a_strategy_nothing_is_said_of_replicas():
    assert rules_of(chain(layers.Dropout(0.5))) == []


# Fused paths: what Keras does on a faked GPU, and what the audit says.

FUSED = {
    "plain": dict(),
    "dropout": dict(dropout=0.5),
    "recurrent_dropout": dict(recurrent_dropout=0.5),
    "relu": dict(activation="relu"),
    "unroll": dict(unroll=True),
    "no bias": dict(use_bias=False),
    "no cuDNN": dict(use_cudnn=False),
}


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize(
    "cls", [layers.LSTM, layers.GRU, dk.LSTM, dk.GRU], ids=str
)
def test_paths_are_those_of_a_gpu(cls, name, monkeypatch):
    rnn = importlib.import_module("keras.src.backend.tensorflow.rnn")
    calls = []

    def record(states):
        def fused(x, *args):
            calls.append(1)
            last = tf.zeros((2, 3))
            return last, tf.zeros((2, 5, 3)), [last] * states

        return fused

    measured = paths(cls(3, **FUSED[name]))
    monkeypatch.setattr(rnn, "_is_gpu_available", lambda: True)
    monkeypatch.setattr(rnn, "_cudnn_lstm", record(2))
    monkeypatch.setattr(rnn, "_cudnn_gru", record(1))
    layer, seen = cls(3, **FUSED[name]), []
    for training in (True, False):
        calls.clear()
        layer(tf.ones((2, 5, 4)), training=training)
        seen.append(bool(calls))
    assert measured.cudnn == tuple(seen)
    assert measured.xla == layer.supports_jit


# Walking


class Block(layers.Layer):
    """A user's layer that holds layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.drop = layers.Dropout(0.25, name="drop")

    def call(self, x, training=False):
        return self.drop(x, training=training)


class Subclassed(keras.Model):
    """A model whose order only its code knows."""

    def __init__(self):
        super().__init__(name="net")
        self.block = Block(name="block")
        self.later = [layers.GRU(3, dropout=0.5, name="gru")]

    def call(self, x, training=False):
        return self.later[0](self.block(x, training=training))


def test_layers_of_a_subclassed_model_are_found():
    model = Subclassed()
    model(tf.ones((2, 5, 4)))
    found = dk.audit(model)
    assert [(row.where, row.rate) for row in found.sources] == [
        ("block/drop", "0.25"),
        ("gru", "input 0.5"),
    ]
    assert [why.partition(" runs")[0] for why in found.hidden] == [
        "net (Subclassed)",
        "block (Block)",
    ]
    assert found.advice == ()


def test_each_layer_is_listed_once():
    shared = layers.Dropout(0.5, name="shared")
    model = functional(lambda x: shared(x) + shared(2 * x))
    assert [row.where for row in dk.audit(model).sources] == ["shared"]


class Own(layers.Layer):
    """Draws without any random state."""

    def call(self, x, training=False):
        if not training:
            return x
        kept = tf.cast(tf.random.uniform(tf.shape(x)) > 0.4, x.dtype)
        return x * kept / 0.6


def test_a_users_layer_is_seen_by_what_it_does():
    (row,) = dk.audit(chain(Own(), Attention())).sources
    assert (row.layer, row.what, row.rate) == ("Own", "standard dropout", "0.4")


def test_a_lambda_is_seen_by_what_it_does():
    noise = layers.Lambda(lambda x: tf.nn.dropout(x, 0.4), name="noise")
    still = layers.Lambda(lambda x: 2 * x)
    (row,) = dk.audit(chain(noise, still)).sources
    assert (row.where, row.rate) == ("noise", "0.4")


def test_what_cannot_be_called_alone_is_said():
    class Pair(layers.Layer):
        def call(self, x, other):
            return x + other

    x = keras.Input((5, 4))
    found = dk.audit(keras.Model(x, Pair(name="pair")(x, x)))
    assert found.sources == ()
    assert found.hidden[0].startswith("pair (Pair) cannot be called alone: ")


def test_order_is_known_through_nested_models():
    drop, norm = layers.Dropout(0.5), layers.BatchNormalization()
    inner = functional(lambda x: layers.Dense(4)(drop(x)))
    model = chain(inner, keras.Sequential([layers.ReLU(), norm]))
    reached = Graph(model).reached(drop, lambda layer: True)
    assert norm in reached and drop not in reached
    assert drop not in Graph(model).reached(norm, lambda layer: True)
    assert {p.layer for p in walk(model)[0]} >= {drop, norm, inner}


# The report


def test_equal_layers_are_probed_once(monkeypatch):
    probed = []

    def counting(layer, *args):
        probed.append(layer)
        return dk.probe(layer, *args)

    monkeypatch.setattr(evidence_module, "probe", counting)
    model = chain(
        *[layers.Dropout(0.5) for _ in range(3)],
        layers.GRU(3, dropout=0.5, return_sequences=True),
        layers.GRU(7, dropout=0.5),
    )
    assert len(dk.audit(model).sources) == 5
    assert [type(layer) for layer in probed] == [layers.Dropout, layers.GRU]


def test_ten_layers_take_at_most_fifteen_seconds():
    steps = [
        layers.Dropout(0.1),
        layers.SpatialDropout1D(0.2),
        layers.GaussianDropout(0.3),
        layers.LSTM(8, dropout=0.1, return_sequences=True),
        layers.GRU(8, recurrent_dropout=0.2, return_sequences=True),
        layers.Bidirectional(
            layers.LSTM(
                8, dropout=0.1, recurrent_dropout=0.2, return_sequences=True
            )
        ),
        dk.LSTM(8, recurrent_dropout=dk.Gal(0.2), return_sequences=True),
        dk.GRU(8, recurrent_dropout=dk.Semeniuta(0.2), return_sequences=True),
        dk.LSTM(8, recurrent_dropout=dk.Zoneout()),
        dk.Dropout(0.4),
    ]
    model = chain(*steps)
    start = time.process_time()
    assert len(dk.audit(model).sources) == 10
    # 15 s on two cores.
    assert time.process_time() - start <= 30


def test_nothing_is_touched():
    model = chain(layers.Dropout(0.5), layers.LSTM(3, recurrent_dropout=0.3))
    model(tf.ones((2, 5, 4)), training=True)
    generator = keras.src.random.seed_generator.global_seed_generator()

    def state():
        return [
            random.getstate(),
            np.random.get_state()[1].tolist(),
            generator.state.numpy().tolist(),
            [v.numpy().tolist() for v in model.variables],
            [layer.supports_jit for layer in model.layers],
            model.layers[1].activation,
        ]

    before = state()
    dk.audit(model)
    assert state() == before


def test_the_report_as_text_html_and_data():
    found = dk.audit(chain(layers.Dropout(0.5, name="a<b"), layers.Masking()))
    assert "standard dropout  0.5" in found.table
    assert found.table in str(found)
    assert str(found).count("1. [before-masking] a<b: ") == 1
    assert "a&lt;b" in found._repr_html_() and "a<b" not in found._repr_html_()
    assert repr(found).endswith("1 sources of noise, 1 advice>")
    data = json.loads(json.dumps(found.to_dict()))
    assert data["sources"][0]["rate"] == "0.5"
    assert data["advice"][0]["layers"] == ["a<b"]
    assert data["keras"] == keras.__version__


def test_one_advice_for_the_same_fault_of_many_layers():
    model = chain(
        *[layers.LSTM(3, recurrent_dropout=0.2, return_sequences=True)] * 1,
        layers.LSTM(3, recurrent_dropout=0.2),
    )
    (advice,) = dk.audit(model).advice
    assert len(advice.layers) == 2


@pytest.mark.parametrize("wrong", [None, layers.Dropout(0.5), "model.keras"])
def test_only_models_are_audited(wrong):
    with pytest.raises(TypeError, match="Received: model="):
        dk.audit(wrong)
