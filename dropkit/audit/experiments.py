"""Small experiments on copies of a layer: what this Keras really does.

Each answers one question of the rules. The user's layer is
not called.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from dropkit.probe.layouts import directions
from dropkit.probe.subject import clone

# Independent draws in half precision; see `HALF_ERROR` in the rules.
DRAWS = (2000, 1000)
# The candidate's place among the gates.
CANDIDATE = {"LSTM": 2, "GRU": 2, "SimpleRNN": 0}


def outputs(layer, x, training: bool) -> np.ndarray:
    """Returns the (first) output of a call as an array."""
    y = layer(tf.convert_to_tensor(x), training=training)
    y = y[0] if isinstance(y, (list, tuple)) else y
    return np.asarray(keras.ops.cast(y, "float32"))


def fails_with_another_batch(layer, x) -> bool:
    """Whether training works for this batch size and not for one less."""
    copy = clone(layer)
    outputs(copy, x, training=True)
    try:
        outputs(copy, x[:-1], training=True)
    except (ValueError, tf.errors.InvalidArgumentError):
        return True
    return False


def seed_gives_the_same_draws(layer, x, seed: int) -> bool:
    """Whether a layer of another name draws the same from the same seed."""

    def seeded(config):
        inner = config
        for key in ("layer", "cell"):
            if isinstance(inner.get(key), dict):
                inner = inner[key]["config"]
        inner["seed"] = seed

    def renamed(config):
        seeded(config)
        config["name"] = "another"

    first, second = clone(layer, seeded), clone(layer, renamed)
    plain = outputs(first, x, training=False)
    outputs(second, x, training=False)
    second.set_weights(first.get_weights())
    # Recurrent layers may draw in inference: both did so once.
    one, other = (outputs(each, x, training=True) for each in (first, second))
    return not np.array_equal(one, plain) and np.array_equal(one, other)


def redraws_per_step(layer, x, steps: int = 4) -> bool:
    """Whether ``TimeDistributed`` gives each time step noise of its own."""
    wrapper = keras.layers.TimeDistributed(clone(layer), name="probed")
    x = np.repeat(x[:, None], steps, axis=1)
    plain = outputs(wrapper, x, training=False)
    # Equal steps stay equal under one draw.
    noise = outputs(wrapper, x, training=True) - plain
    return bool(np.abs(noise - noise[:, :1]).max() > 0)


def training_is_ignored(layer, x) -> bool:
    """Whether ``layer(x, training=True)`` in a model is off in inference."""
    given = keras.Input(x.shape[1:], dtype=x.dtype.name, name="probed_input")
    copy = clone(layer)
    copy.stateful = False
    model = keras.Model(given, copy(given, training=True), name="probed")
    if np.array_equal(*(outputs(copy, x, training=True) for _ in range(2))):
        return False
    return np.array_equal(*(outputs(model, x, training=False) for _ in "ab"))


def replicas_draw_the_same(layer, x, strategy) -> bool:
    """Whether all local replicas of a strategy draw the same noise."""
    with strategy.scope():
        copy = clone(layer)
        plain = outputs(copy, x, training=False)

    def call():
        y = copy(tf.convert_to_tensor(x), training=True)
        return y[0] if isinstance(y, (list, tuple)) else y

    run = tf.function(lambda: strategy.run(call))
    results = [
        np.asarray(tf.cast(result, tf.float32))
        for result in strategy.experimental_local_results(run())
    ]
    random = not np.allclose(results[0], plain)
    return (
        random
        and len(results) > 1
        and all(np.array_equal(results[0], other) for other in results[1:])
    )


def dtype_after_reload(layer) -> str:
    """The compute dtype of a layer that is made from its config."""
    return clone(layer).compute_dtype


def share_dropped(layer, rank: int) -> float:
    """The share of zeros that a layer of any kind draws, from many draws."""
    shape = (DRAWS[0], *[1] * (rank - 2), DRAWS[1])
    y = outputs(clone(layer), np.ones(shape, "float32"), training=True)
    return float((y == 0).mean())


def share_dropped_inside(layer, kind: str, site: str) -> float:
    """The share of zeros that a recurrent layer draws, from many draws.

    One unit, one feature, one gate that listens: the output tells whether the
    multiplier was zero.

    Args:
        layer: A recurrent layer or a ``Bidirectional``.
        kind: ``"LSTM"``, ``"GRU"`` or ``"SimpleRNN"``.
        site: ``"input"`` or ``"state"``.
    Returns:
        The share of dropped entries.
    """
    copy = clone(
        directions(layer)[0],
        lambda config: config.update(
            units=1,
            use_bias=True,
            stateful=False,
            return_sequences=False,
            return_state=False,
        ),
    )
    steps = {"input": 1, "state": 2}[site]
    x = np.ones((DRAWS[0] * DRAWS[1], steps, 1), "float32")
    copy.build(x.shape)
    kernel, recurrent, bias = (np.zeros(w.shape) for w in copy.get_weights())
    gate = CANDIDATE[kind]
    heard = kernel if site == "input" else recurrent
    if site == "state":
        # The state is then the same for all, and not zero.
        bias[..., gate] = 1
    copy.set_weights([kernel, recurrent, bias])
    dropped = outputs(copy, x[:1], training=False)
    heard[..., gate] = 1
    copy.set_weights([kernel, recurrent, bias])
    return float((outputs(copy, x, training=True) == dropped).mean())
