"""Sites that all samples share move into the kernel."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

import dropkit as dk
from dropkit.sites import Multiplier, Sites

B, T, F, U = 5, 7, 3, 4
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(B, T, F)).astype("float32")


def normal(*shape):
    return tf.constant(GENERATOR.normal(size=shape), tf.float32)


@pytest.mark.parametrize("gates", [1, 3, 4])
@pytest.mark.parametrize("untied", [False, True])
def test_the_folded_kernel_gives_the_masked_product(gates, untied):
    h, kernel = normal(B, U), normal(U, gates * U)
    m = normal(*[gates] * untied, 1, U)
    folded = Sites(state=Multiplier(m, gates=untied)).folded_into(kernel)
    blocks = tf.split(kernel, gates, axis=-1)
    masks = tf.unstack(m) if untied else [m] * gates
    expected = [(h * n) @ k for n, k in zip(masks, blocks, strict=True)]
    # Both sum U products, in another order of roundings.
    assert_allclose(h @ folded, tf.concat(expected, -1), rtol=1e-5, atol=1e-6)


SHARED = {
    "weight_drop": dk.WeightDrop(0.5),
    "tied": dk.Gal(0.5, per="batch"),
    "untied": dk.Gal(0.5, per="batch", gates="untied"),
}


def step(layer, fused):
    """Outputs and gradients of a training call; which kernel Keras saw."""
    seen = []
    family = type(layer).__mro__[2]
    own = family.inner_loop

    def spy(self, *args, **kwargs):
        seen.append(self.cell.recurrent_kernel.value)
        return own(self, *args, **kwargs)

    devices = ["GPU"] if fused else []
    with (
        mock.patch.object(tf.config, "list_logical_devices", lambda _: devices),
        mock.patch.object(family, "inner_loop", spy),
        tf.GradientTape() as tape,
    ):
        y = layer(X, training=True)
        loss = tf.reduce_sum(y**2)
        variables = [v.value for v in layer.trainable_variables]
    return [y, *tape.gradient(loss, variables)], seen


def twins(kind, **kwargs):
    for _ in range(2):
        layer = getattr(dk, kind)(U, seed=3, return_sequences=True, **kwargs)
        layer.build(X.shape)
        draw = np.random.default_rng(1).normal
        layer.set_weights([draw(size=w.shape) for w in layer.get_weights()])
        yield layer


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("name", SHARED)
def test_on_a_gpu_keras_runs_the_folded_kernel(kind, name):
    """A faked GPU: no device was at hand."""
    ours, fused = twins(kind, recurrent_dropout=SHARED[name])
    expected, nothing = step(ours, fused=False)
    actual, (kernel,) = step(fused, fused=True)
    assert nothing == []
    assert not np.array_equal(kernel, fused.cell.recurrent_kernel)
    for a, b in zip(actual, expected, strict=True):
        # Relative to the largest entry: the sums run in another order.
        assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())
    assert "in the kernel" in fused.engine


@pytest.mark.parametrize(
    "kwargs",
    [
        {"recurrent_dropout": dk.Gal(0.5)},
        {"recurrent_dropout": dk.WeightDrop(0.5), "use_cudnn": False},
        # Four input masks: no one input for a fused kernel.
        {"recurrent_dropout": SHARED["untied"], "dropout": 0.5},
    ],
)
def test_on_a_gpu_other_layers_run_the_engine(kwargs):
    layer = next(twins("LSTM", **kwargs))
    _, seen = step(layer, fused=True)
    assert seen == []
