"""The recurrent layers against the specification and the papers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from recurrent_cases import (
    BATCH,
    FEATURES,
    KINDS,
    ONE_EACH,
    SEED,
    TIME,
    UNITS,
    Call,
    assert_close,
    assert_specified,
    case_id,
    data,
    expected,
    initial_states,
    make,
    padding,
    table,
)

import dropkit as dk


def layer_of(case):
    kwargs = {
        "dropout": case["dropout"],
        "go_backwards": case["backwards"],
        "return_sequences": case["sequences"],
        "return_state": True,
        "zero_output_for_mask": case["zero_output"],
        "use_bias": case["bias"],
    }
    if case["kind"] == "GRU":
        kwargs["reset_after"] = case["reset_after"]
    if not case["plain"]:
        # The same function under another name: no hand-written gradient.
        kwargs["activation"] = keras.ops.tanh
    return make(case["kind"], case["method"], **kwargs)


@pytest.mark.parametrize("case", table(), ids=case_id)
def test_outputs_and_all_gradients_are_the_specified_ones(case):
    call = Call(
        case["kind"],
        case["method"],
        case["dropout"],
        case["training"],
        case["backwards"],
    )
    states = initial_states(case["kind"]) if case["states"] else []
    mask = padding(case["padding"])
    assert_specified(layer_of(case), call, data(), mask, states)


# What each paper says is multiplied, and what is not.


def silent_recurrence(layer):
    """Sets U to 0: the old state reaches no gate."""
    cell = layer.cell
    cell.recurrent_kernel.assign(tf.zeros_like(cell.recurrent_kernel))
    return layer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gates", ["tied", "untied"])
def test_gal_multiplies_nothing_but_the_product_with_u(kind, gates):
    """Gal and Ghahramani (2016): rows of U are dropped, nothing else."""
    layer = silent_recurrence(make(kind, dk.Gal(0.5, gates=gates)))
    x = data()
    assert_close(layer(x, training=True), layer(x, training=False))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_semeniuta_multiplies_the_update_also_without_u(kind):
    """Semeniuta et al. (2016): d(g), whatever the recurrent kernel is."""
    layer = silent_recurrence(make(kind, dk.Semeniuta(0.5)))
    x = data()
    difference = layer(x, training=True) - layer(x, training=False)
    assert np.abs(difference).max() > 0.01


def remembering(layer):
    """Shuts the input gates and opens the forget gates: c stays."""
    kernel, recurrent, _ = layer.get_weights()
    bias = np.repeat([-100.0, 100.0, 0.0, 0.0], UNITS)
    layer.set_weights([0 * kernel, 0.1 * recurrent, bias])
    return layer


def last_cells(method, calls=1, time=TIME, training=True, batch=BATCH):
    layer = remembering(make("LSTM", method, return_state=True))
    states = [tf.zeros((batch, UNITS)), 3.0 * tf.ones((batch, UNITS))]
    cells = [
        layer(data(batch, time), initial_state=states, training=training)[-1]
        for _ in range(calls)
    ]
    return np.stack(cells)


@pytest.mark.parametrize(
    "method",
    [0.5, dk.Gal(0.5), dk.Semeniuta(0.5), dk.WeightDrop(0.5)],
    ids=str,
)
def test_the_cell_survives_all_but_moon(method):
    """c_t = f c_{t-1} + i g with i = 0 and f = 1: the memory stays."""
    np.testing.assert_allclose(last_cells(method, time=6), 3.0)


def test_a_unit_that_moon_keeps_never_decays():
    """Moon et al. (2015): c_t = m * (f c_{t-1} + i g), one raw m."""
    cells = last_cells(dk.Moon(0.5), calls=20, time=9)
    assert set(np.unique(cells)) == {0.0, 3.0}


def test_the_papers_inference_rule_forgets():
    """Multiplying c by q at every step leaves q**t of it."""
    paper = dk.Moon(0.25, inference="paper")
    cells = last_cells(paper, time=9, training=False)
    np.testing.assert_allclose(cells, 3 * 0.75**9, rtol=1e-5)
    cells = last_cells(dk.Moon(0.25), time=9, training=False)
    np.testing.assert_allclose(cells, 3.0)


def test_a_new_draw_of_c_at_each_step_loses_the_memory():
    """A unit survives t steps with probability q**t."""
    q, time, calls, batch = 0.8, 5, 40, 20
    cells = last_cells(dk.Moon(1 - q, over="step"), calls, time, batch=batch)
    kept = (cells > 0).mean()
    error = 5 * np.sqrt(q**time * (1 - q**time) / cells.size)
    assert abs(kept - q**time) < error


@pytest.mark.parametrize("kind", KINDS)
def test_a_zoned_state_repeats(kind):
    """Krueger et al. (2017): h_t = h_{t-1} where d is 1, drawn by step."""
    rate, time, batch = 0.5, 9, 20
    layer = make(kind, dk.Zoneout(rate), return_sequences=True)
    h = layer(data(batch, time), training=True).numpy()
    same = h[:, 1:] == h[:, :-1]
    assert abs(same.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / same.size)
    fresh = layer(data(batch, time), training=False).numpy()
    assert not (fresh[:, 1:] == fresh[:, :-1]).any()


def test_zoneout_shows_the_new_cell_through_tanh():
    """h_t has tanh of f c_{t-1} + i g, also where c itself is zoned."""
    layer = make("LSTM", dk.Zoneout(0.0, 0.99), return_state=True)
    x = data(time=1)
    h, _, c = layer(x, training=True)
    plain, _, new = make("LSTM", return_state=True)(x)
    assert_close(h, plain)
    assert (c.numpy() == 0).sum() > (new.numpy() == 0).sum()


@pytest.mark.parametrize("kind", KINDS)
def test_weight_drop_shares_one_draw_over_the_batch(kind):
    """Merity et al. (2018): one dropped U for the whole forward pass."""
    layer = make(kind, dk.WeightDrop(0.5), return_sequences=True)
    x = np.repeat(data(batch=1), 4, axis=0)
    for sample in (y := layer(x, training=True).numpy()):
        np.testing.assert_allclose(sample, y[0], rtol=1e-5, atol=1e-6)
    assert np.abs(y - layer(x, training=True).numpy()).max() > 1e-3


@pytest.mark.parametrize("method", [0.5, dk.Gal(0.5)], ids=str)
def test_samples_have_their_own_masks(method):
    layer = make("LSTM", method, return_sequences=True)
    x = np.repeat(data(batch=1), 8, axis=0)
    y = layer(x, training=True).numpy()
    np.testing.assert_array_equal(y[:, 0], y[[0] * 8, 0])
    assert len(np.unique(y[:, -1].round(4), axis=0)) > 1


# Wrong arguments.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("rate", [1.0, 1, -0.1, 1.5, float("nan")])
def test_rates_outside_the_range_are_refused(kind, name, rate):
    with pytest.raises(ValueError, match=rf"\[0, 1\).*Received: {name}={rate}"):
        getattr(dk, kind)(2, **{name: rate})


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("rate", ["0.5", None, True, [[0.5], 0.5]])
def test_rates_of_another_type_are_refused(name, rate):
    with pytest.raises(TypeError, match=f"Received: {name}="):
        dk.LSTM(2, **{name: rate})


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
def test_a_rate_for_each_feature_is_refused(name):
    with pytest.raises(ValueError, match=f"dropkit.Dropout.*{name}="):
        dk.LSTM(2, **{name: [0.1, 0.2]})


def test_a_method_without_its_rate_is_refused():
    with pytest.raises(TypeError, match=r"Gal\(0.25\).*Received:.*=Gal$"):
        dk.LSTM(2, recurrent_dropout=dk.Gal)


@pytest.mark.parametrize(
    "kind, method",
    [
        ("GRU", dk.Moon(0.5)),
        ("SimpleRNN", dk.Moon(0.5)),
        ("SimpleRNN", dk.Semeniuta(0.5)),
        ("GRU", dk.Zoneout(0.1, 0.5)),
        ("SimpleRNN", dk.Zoneout(0.1, 0.5)),
    ],
    ids=str,
)
def test_a_method_that_the_layer_lacks_is_refused(kind, method):
    with pytest.raises(
        ValueError, match=f"{kind}.*Received: recurrent_dropout="
    ):
        getattr(dk, kind)(2, recurrent_dropout=method)


@pytest.mark.parametrize("seed, error", [(-1, ValueError), (1.5, TypeError)])
def test_seeds_that_are_none_are_refused(seed, error):
    with pytest.raises(error, match=f"Received: seed={seed}$"):
        dk.GRU(2, seed=seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [0.0, dk.Gal(0.5)], ids=str)
def test_a_sequence_without_steps_is_refused(kind, method):
    layer = make(kind, method)
    with pytest.raises(ValueError, match=r"time step.*Received: .*\(3, 0, 2\)"):
        layer(np.zeros((3, 0, FEATURES), "float32"), training=True)
    np.testing.assert_array_equal(layer.stream.state.numpy(), [SEED, 0])


@pytest.mark.parametrize("shape", [(3, 2), (3, 4, 2, 1)])
def test_inputs_of_another_rank_are_refused(shape):
    with pytest.raises(ValueError, match="expected ndim=3"):
        make("LSTM", dk.Gal(0.5))(np.zeros(shape, "float32"), training=True)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_cudnn_is_refused_for_a_method_before_a_draw(kind):
    layer = make(kind, dk.Gal(0.5), use_cudnn=True)
    with pytest.raises(ValueError, match="cuDNN cannot run Gal.*'auto'"):
        layer(data(), training=True)
    np.testing.assert_array_equal(layer.stream.state.numpy(), [SEED, 0])


def test_a_call_that_failed_leaves_no_mask():
    """Keras uses the masks of a call that failed in the next one."""
    method = dk.Gal(0.5)
    layer = make("LSTM", method)
    with pytest.raises(tf.errors.InvalidArgumentError):
        layer(np.zeros((9, 4, FEATURES + 1), "float32"), training=True)
    wanted, _ = expected(
        Call("LSTM", method, count=1), layer.get_weights(), data()
    )
    assert_close(layer(data(), training=True), wanted[:, -1])


@pytest.mark.parametrize("kind, method", ONE_EACH, ids=str)
def test_the_engine_says_which_loop_runs(kind, method):
    layer = make(kind, method)
    assert "training: not run yet" in layer.engine
    layer(data(), training=True)
    assert "training: plain loop: not inside a tf.function" in layer.engine
    own = "inference: Keras's own" in layer.engine
    assert own == layer._method.identity_in_inference
    assert make(kind).engine == "Keras's own: no noise"
    assert "input dropout" in make(kind, dropout=0.5).engine
