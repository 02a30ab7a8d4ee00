"""Functions that the processes of `test_experiment.py` import.

Run as a script, it is an experiment that waits to be killed:

    python experiment_cases.py STORE LOG
"""

import os
import signal
import sys
import time

import keras
import numpy as np

OFFSET = 0.5
VARIANTS = {"none": {"rate": 0.0}, "half": {"rate": 0.5}}
DATA = {"pair": (1.0, 2.0)}
SEEDS = range(6)


def shift(value):
    return value + OFFSET


def draw(rate, seed, data):
    """A run without a model: one number of each generator."""
    time.sleep(0.01)
    generator = keras.random.SeedGenerator()
    return {
        "loss": shift(rate) + sum(data),
        "numpy": np.random.random(),
        # As a layer draws; Keras 3.10 doesn't reset its global generator.
        "keras": float(keras.random.uniform((), seed=generator)),
    }


def logged(rate, seed, data):
    """As `draw`, slowly; writes a line when it starts."""
    with open(os.environ["EXPERIMENT_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{rate} {seed}\n")
    time.sleep(0.2)
    return draw(rate, seed, data)


def parts(seed=0, rows=(24, 16, 16)):
    """Training, validation and test part; noisy, so that epochs differ."""
    rng = np.random.default_rng(seed)
    xs = [rng.normal(size=(n, 3)).astype("float32") for n in rows]
    return tuple(
        (x, (x[:, :1] + rng.normal(size=(len(x), 1))).astype("float32"))
        for x in xs
    )


def build(rate, layers=1, units=8):
    """The layers' number tells how many seeds are drawn before weights."""
    model = keras.Sequential([keras.Input((3,))])
    for _ in range(layers):
        model.add(keras.layers.Dropout(rate))
    model.add(keras.layers.Dense(units, "relu"))
    model.add(keras.layers.Dense(1))
    # Compiling takes longer than these few steps.
    model.compile(
        keras.optimizers.Adam(0.1), "mse", metrics=["mae"], run_eagerly=True
    )
    return model


def lines(*slopes):
    """Parts with `y = slope * x`, `x` being 1 or -1."""
    x = np.tile([[1.0], [-1.0]], (4, 1)).astype("float32")
    return tuple((x, np.float32(slope) * x) for slope in slopes)


def build_line():
    """One weight that starts at 0; not built before it sees data."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([layer])
    sgd = keras.optimizers.SGD(0.15)
    model.compile(sgd, "mse", metrics=["mae"], run_eagerly=True)
    return model


def die_at_half(rate, seed, data):
    if rate == 0.5:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"loss": rate}


if __name__ == "__main__":
    # The same functions as in the process that resumes.
    import experiment_cases

    import dropkit as dk

    folder, os.environ["EXPERIMENT_LOG"] = sys.argv[1:]
    dk.experiment.run(
        experiment_cases.logged, VARIANTS, DATA, SEEDS, store=folder
    )
