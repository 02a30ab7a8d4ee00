"""Layers that lie, layers that are wrong, and layers that can't be probed."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import dropkit as dk

layers = keras.layers
RATE = 0.4


# Liars


class Liar(layers.LSTM):
    """Says that it drops 90 % of nothing, and drops 40 % of the state."""

    def __init__(self, units, dropout=0.0, recurrent_dropout=0.0, **kwargs):
        super().__init__(units, recurrent_dropout=RATE, **kwargs)

    dropout = property(lambda self: 0.0)
    recurrent_dropout = property(lambda self: 0.9)

    def get_config(self):
        lies = {"dropout": 0.7, "recurrent_dropout": 0.0}
        return {**super().get_config(), **lies}


def categories(report):
    return [
        (f.site, f.noise_name, f.sharing, f.inference) for f in report.findings
    ]


def test_no_attribute_and_no_config_is_believed():
    honest = dk.probe(layers.LSTM(3, recurrent_dropout=RATE))
    liar = dk.probe(Liar(3))
    assert categories(liar) == categories(honest)
    assert liar.method == honest.method == "Gal (untied)"
    assert abs(liar.site("state").noise.rate - RATE) < 1e-3


# Wrong layers


@keras.saving.register_keras_serializable(package="tests")
class Wrong(layers.LSTMCell):
    """An LSTM cell whose dropout of h_{t-1} has a fault."""

    def __init__(self, units, fault="", **kwargs):
        super().__init__(units, **kwargs)
        self.fault = fault
        self.generator = keras.random.SeedGenerator(3)

    def mask(self, like):
        shape = [like.shape[0], like.shape[1]]
        if self.fault == "wrong axis":
            shape[1] = 1
        kept = keras.random.uniform(shape, seed=self.generator) >= RATE
        kept = keras.ops.cast(kept, like.dtype)
        return kept if self.fault == "no rescale" else kept / (1 - RATE)

    def call(self, inputs, states, training=False):
        h, c = states
        if training or self.fault == "active in inference":
            if self.fault == "new state":
                _, (h, c) = super().call(inputs, states)
                h = h * self.mask(h)
                return h, [h, c]
            if self.fault == "carried cell":
                return super().call(inputs, [h, c * self.mask(c)])
            h = h * self.mask(h)
        return super().call(inputs, [h, c])

    def get_config(self):
        return {**super().get_config(), "fault": self.fault}


@pytest.mark.parametrize(
    "fault, nearest, difference",
    [
        ("wrong axis", "Gal per step", "features: shared, not own"),
        ("no rescale", "Gal per step", "noise: bernoulli raw"),
        ("active in inference", "Gal per step", "inference: active"),
    ],
)
def test_wrong_recurrent_layers_are_caught(fault, nearest, difference):
    report = dk.probe(layers.RNN(Wrong(3, fault)))
    assert report.method == "none known"
    assert report.nearest.startswith(nearest)
    assert difference in report.differences
    assert report.specification == {}


def test_redrawn_masks_are_not_gals():
    report = dk.probe(layers.RNN(Wrong(3)))
    assert report.method == "Gal per step, tied (naive)"
    assert report.site("state").sharing["time"] == "own"


def test_dropout_of_the_new_state_is_told_from_dropout_on_its_way():
    report = dk.probe(layers.RNN(Wrong(3, "new state")))
    assert [f.site for f in report.findings] == ["hidden"]
    assert report.method == "naive dropout of the new state, per step"


class CarryDropped(layers.GRUCell):
    """A GRU cell that drops what its update gate carries over.

    With ``also="gates"`` the gates see the dropped state too, as in the first
    releases of Keras 3; with ``also="candidate"`` a mask of its own drops the
    candidate.
    """

    def __init__(self, units, also="", **kwargs):
        super().__init__(units, **kwargs)
        self.also = also
        self.generator = keras.random.SeedGenerator(3)

    def mask(self, like, rate=RATE):
        draws = keras.random.uniform(like.shape, seed=self.generator)
        return keras.ops.cast(draws >= rate, like.dtype) / (1 - rate)

    def call(self, inputs, states, training=False):
        if not training:
            return super().call(inputs, states)
        h = states[0]
        dropped = h * self.mask(h)
        if self.also == "gates":
            return super().call(inputs, [dropped])
        units = slice(self.units)
        bias = keras.ops.reshape(self.bias, (-1, 3 * self.units))
        z = self.recurrent_activation(
            keras.ops.matmul(inputs, self.kernel[:, units])
            + keras.ops.matmul(h, self.recurrent_kernel[:, units])
            + keras.ops.sum(bias[:, units], axis=0)
        )
        written = super().call(inputs, states)[0] - z * h
        if self.also == "candidate":
            written = written * self.mask(h, 0.25)
        new = z * dropped + written
        return new, [new]

    def get_config(self):
        return {**super().get_config(), "also": self.also}


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize(
    "also, rates",
    [
        ("", {"carry": RATE}),
        ("gates", {"carry": RATE, "state": RATE}),
        ("candidate", {"candidate": 0.25, "carry": RATE}),
    ],
)
def test_the_carried_state_is_a_site_of_its_own(also, rates, reset_after):
    cell = CarryDropped(3, also, reset_after=reset_after)
    report = dk.probe(layers.RNN(cell))
    assert [f.site for f in report.findings] == list(rates)
    for found in report.findings:
        assert found.noise_name == "bernoulli inverted"
        assert abs(found.noise.rate - rates[found.site]) < 2e-3
        low, high = found.noise.counted[1:]
        assert low < rates[found.site] < high
        assert {"calls", "batch", "time", "features"} <= {*found.sharing}
        assert found.shared <= {"gates"}
    assert report.method == "none known"
    assert "site: carry" in report.differences
    assert report.specification == {}
    assert report.inference == "identity"


def test_the_nearest_of_a_gru_that_drops_its_state_everywhere_is_gal():
    report = dk.probe(layers.RNN(CarryDropped(3, "gates")))
    assert report.nearest == "Gal per step, tied (naive)"
    assert report.differences == ("site: carry",)


def test_the_carried_cell_is_told_from_the_new_cell():
    report = dk.probe(layers.RNN(Wrong(3, "carried cell")))
    assert [f.site for f in report.findings] == ["carry"]
    assert abs(report.site("carry").noise.rate - RATE) < 1e-3
    assert report.method == "none known"


class NewStateDropped(layers.GRUCell):
    """A GRU cell that drops its new state."""

    def call(self, inputs, states, training=False):
        new, _ = super().call(inputs, states)
        if training:
            new = keras.random.dropout(new, RATE)
        return new, [new]


def test_the_new_state_of_a_gru_is_told_from_the_carried_one():
    """Also in a session where nothing has drawn from Keras's generator."""
    state = keras.src.backend.common.global_state
    generator = state.get_global_attribute("global_seed_generator")
    state.set_global_attribute("global_seed_generator", None)
    report = dk.probe(layers.RNN(NewStateDropped(3)))
    assert [f.site for f in report.findings] == ["hidden"]
    assert state.get_global_attribute("global_seed_generator") is None
    state.set_global_attribute("global_seed_generator", generator)


class WrongDropout(layers.Layer):
    """Dropout with a fault."""

    def __init__(self, fault, **kwargs):
        super().__init__(**kwargs)
        self.fault = fault
        self.generator = keras.random.SeedGenerator(3)
        self.frozen = None

    def call(self, x, training=False):
        if not training and self.fault != "active in inference":
            return x
        if self.fault == "constant in inference" and not training:
            return x * (1 - RATE)
        shape = list(x.shape)
        if self.fault == "shared features":
            shape[-1] = 1
        mask = keras.random.uniform(shape, seed=self.generator) >= RATE
        mask = keras.ops.cast(mask, x.dtype)
        if self.fault == "frozen":
            self.frozen = mask if self.frozen is None else self.frozen
            mask = self.frozen
        return x * mask / (1.0 if self.fault == "no rescale" else 1 - RATE)

    def get_config(self):
        return {**super().get_config(), "fault": self.fault}


@pytest.mark.parametrize(
    "fault, difference",
    [
        ("no rescale", "noise: bernoulli raw"),
        ("frozen", "calls: shared, not own"),
        ("active in inference", "inference: active"),
    ],
)
def test_wrong_layers_are_caught(fault, difference):
    report = dk.probe(WrongDropout(fault))
    assert report.method == "none known"
    assert report.nearest == "standard dropout"
    assert report.differences == (difference,)
    assert report.fresh == ("no" if fault == "frozen" else "yes")


class DropConnect(layers.Dense):
    """Drops entries of the kernel, for each sample or for the batch."""

    def __init__(self, units, per="sample", **kwargs):
        super().__init__(units, **kwargs)
        self.per = per
        self.generator = keras.random.SeedGenerator(3)

    def call(self, x, training=False):
        if not training:
            return super().call(x)
        shape = [1 if self.per == "batch" else x.shape[0], *self.kernel.shape]
        mask = keras.random.uniform(shape, seed=self.generator) >= RATE
        kernel = self.kernel * keras.ops.cast(mask, x.dtype) / (1 - RATE)
        return keras.ops.einsum("bi,bio->bo", x, kernel + 0 * x[:, :, None])

    def get_config(self):
        return {**super().get_config(), "per": self.per}


@pytest.mark.parametrize(
    "per, method",
    [
        ("sample", "DropConnect"),
        ("batch", "DropConnect, one mask for the batch"),
    ],
)
def test_drop_connect_is_dropout_of_weights(per, method):
    report = dk.probe(DropConnect(5, per))
    assert [f.site for f in report.findings] == ["weights"]
    assert report.method == method
    assert abs(report.findings[0].noise.rate - RATE) < 1e-3


def test_what_cannot_be_told_is_said():
    model = keras.Sequential(
        [layers.Dense(8), layers.Dropout(0.4), layers.Dense(6)]
    )
    report = dk.probe(model)
    assert report.method.startswith("undetermined: ")
    assert report.undetermined


# Layers without an adapter, layers that raise


def test_an_unknown_cell_has_an_undetermined_site():
    cells = [layers.LSTMCell(3, dropout=0.4), layers.GRUCell(3)]
    report = dk.probe(layers.RNN(layers.StackedRNNCells(cells)))
    assert report.method.startswith("undetermined: site: there is no adapter")
    assert [f.site for f in report.findings] == ["undetermined"]
    assert report.fresh == "yes" and report.inference == "identity"


class Raises(layers.Layer):
    """Raises in training."""

    def call(self, x, training=False):
        if training:
            raise RuntimeError("no training today")
        return x


def test_a_layer_that_raises_is_reported():
    report = dk.probe(Raises())
    assert report.method == "undetermined: the layer raises in training"
    assert report.error.startswith("RuntimeError: ")
    assert "no training today" in report.error


def test_inputs_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match=r"inputs of shape .*\(2, 2\)"):
        dk.probe(layers.SpatialDropout1D(0.5), np.ones((2, 2), "float32"))


@pytest.mark.parametrize(
    "wrong, error",
    [
        (lambda: dk.probe(0.5), TypeError),
        (lambda: dk.probe(layers.Dropout), TypeError),
        (lambda: dk.probe(layers.Dropout(0.5), calls=1), ValueError),
        (lambda: dk.probe(layers.Dropout(0.5), modes="eager"), ValueError),
        (lambda: dk.probe(layers.Dropout(0.5), modes=["jit"]), ValueError),
    ],
)
def test_wrong_arguments(wrong, error):
    with pytest.raises(error, match="Received: "):
        wrong()


# What stays untouched


class NoConfig(layers.LSTM):
    """Can't be cloned."""

    def get_config(self):
        raise NotImplementedError("no config")


def state_of_the_world(layer):
    generator = keras.src.random.seed_generator.global_seed_generator()
    return [
        random.getstate(),
        np.random.get_state()[1].tolist(),
        generator.state.numpy().tolist(),
        [v.numpy().tolist() for v in layer.variables],
        layer.return_sequences,
        layer.return_state,
        layer.stateful,
    ]


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("make", [layers.LSTM, dk.LSTM])
def test_nothing_is_touched(make, in_place):
    layer = make(20, dropout=0.3, recurrent_dropout=0.4)
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    layer(x, training=True)
    before = state_of_the_world(layer)
    report = dk.probe(layer, in_place=in_place)
    assert state_of_the_world(layer) == before
    assert report.method == "Gal (untied) with input dropout (untied)"
    # The next training call draws what it would have drawn.
    seeds = [v.numpy() for v in layer.variables]
    after = layer(x, training=True)
    for variable, seed in zip(layer.variables, seeds, strict=True):
        variable.assign(seed)
    assert np.array_equal(after, layer(x, training=True))


def test_a_layer_that_cannot_be_cloned_is_refused():
    layer = NoConfig(20, recurrent_dropout=0.4)
    layer(tf.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="in_place=True"):
        dk.probe(layer)
    assert dk.probe(layer, in_place=True).method == "Gal (untied)"


def test_in_place_restores_states():
    layer = NoConfig(20, recurrent_dropout=0.4, stateful=True)
    layer(tf.ones((2, 3, 4)))
    before = [np.array(state.numpy()) for state in layer.states]
    assert dk.probe(layer, in_place=True).method == "Gal (untied)"
    for state, value in zip(layer.states, before, strict=True):
        assert np.array_equal(state.numpy(), value)
    assert np.abs(before[0]).max() > 0


def test_in_place_needs_units_to_read_with():
    layer = layers.LSTM(4, recurrent_dropout=0.4)
    layer(tf.ones((2, 3, 4)))
    report = dk.probe(layer, in_place=True)
    assert report.method.startswith("undetermined: site: the layer has 4 units")
    unbuilt = layers.LSTM(4)
    with pytest.raises(ValueError, match="built"):
        dk.probe(unbuilt, in_place=True)


def test_an_unbuilt_layer_stays_unbuilt():
    layer = layers.GRU(4, recurrent_dropout=0.4)
    dk.probe(layer)
    assert not layer.built
