"""One of two workers; `test_distribute` starts both: `python FILE loop|fit`.

The cluster stands in TF_CONFIG. The result is one line of JSON.
"""

import json
import os
import sys

import keras
import numpy as np
import tensorflow as tf

import dropkit as dk

BATCH, TIME, FEATURES, UNITS = SHAPE = (4, 5, 2, 6)


def train_in_a_loop(strategy):
    """Three steps of `strategy.run`; what each worker saw."""
    with strategy.scope():
        # Weights of a fixed seed; both workers see the same samples, so that
        # only the masks can make their outputs differ.
        layer = dk.LSTM(
            UNITS,
            dropout=0.3,
            recurrent_dropout=dk.Gal(0.4),
            kernel_initializer=keras.initializers.GlorotUniform(seed=1),
            recurrent_initializer=keras.initializers.Orthogonal(seed=2),
            seed=5,
        )
        layer.build((None, TIME, FEATURES))
    x = tf.constant(np.random.default_rng(0).normal(size=SHAPE[:3]), tf.float32)

    def step():
        with tf.GradientTape() as tape:
            y = layer(x, training=True)
            loss = tf.reduce_mean((y - 1) ** 2)
        context = tf.distribute.get_replica_context()
        for weight, gradient in zip(
            layer.trainable_variables,
            tape.gradient(loss, layer.trainable_variables),
            strict=True,
        ):
            mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradient)
            weight.assign_sub(0.1 * mean)
        return y, loss

    run = tf.function(lambda: strategy.run(step))
    outputs, losses = zip(*(run() for _ in range(3)), strict=True)
    return {
        "outputs": [y.numpy().tolist() for y in outputs],
        "losses": [float(loss) for loss in losses],
        "weights": [w.tolist() for w in layer.get_weights()],
        "stream": layer.stream.state.numpy().tolist(),
    }


def fit_a_dense_layer(strategy):
    """Keras's own `fit`, without any layer of ours."""
    try:
        with strategy.scope():
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse", jit_compile=False)
        model.fit(np.zeros((8, 2)), np.zeros((8, 1)), batch_size=4, verbose=0)
    except Exception as error:  # Which one is what the test asks.
        return {"error": f"{type(error).__name__}: {error}"[:2000]}
    return {"error": None}


if __name__ == "__main__":
    task = {"loop": train_in_a_loop, "fit": fit_a_dense_layer}[sys.argv[1]]
    result = task(tf.distribute.MultiWorkerMirroredStrategy())
    print(json.dumps(result), flush=True)
    # The other worker may still wait: a tidy exit could hang or fail.
    os._exit(0)
