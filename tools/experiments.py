"""Which dropout? Every recurrent method on three tasks.

    python tools/experiments.py --store FOLDER          # trains what is missing
    python tools/experiments.py --store FOLDER --write  # and stores the table

The plan below was fixed before the run: every method, two rates each, the
same seeds for all, and every run is in the table. Sizes, learning rates and
epochs were chosen by the validation loss of the model *without* dropout alone.
A run that is killed goes on where it was.
"""

import argparse
import functools
import inspect
import json
import os
import pathlib
import platform
import sys

import keras
import numpy as np
import tensorflow as tf

import dropkit as dk
from dropkit.experiment.identity import digest

FILE = (
    pathlib.Path(__file__).resolve().parent.parent
    / "dropkit/data/method_runs/method_runs.json"
)
CHARACTERS = len(set(dk.data.austen().text))
SEEDS = range(8)
RATES = (0.2, 0.5)
# What a method does with its rate; the rest of the model is the same.
METHODS = {
    "none": lambda rate: {},
    "Dropout before": lambda rate: {"before": rate},
    "Dropout after": lambda rate: {"after": rate},
    "dropout=": lambda rate: {"dropout": rate},
    "Gal tied": lambda rate: {"recurrent": dk.Gal(rate)},
    "Gal untied": lambda rate: {"recurrent": dk.Gal(rate, gates="untied")},
    "Gal tied and dropout=": lambda rate: {
        "dropout": rate,
        "recurrent": dk.Gal(rate),
    },
    "Gal per step": lambda rate: {"recurrent": dk.Gal(rate, over="step")},
    "Semeniuta": lambda rate: {"recurrent": dk.Semeniuta(rate)},
    "Moon": lambda rate: {"recurrent": dk.Moon(rate)},
    "Zoneout": lambda rate: {"recurrent": dk.Zoneout(hidden=0.05, cell=rate)},
    "WeightDrop": lambda rate: {"recurrent": dk.WeightDrop(rate)},
}
VARIANTS = {"none": {"method": "none", "rate": 0.0}} | {
    f"{method} {rate}": {"method": method, "rate": rate}
    for method in list(METHODS)[1:]
    for rate in RATES
}
TASKS = {
    "weather": {"units": 64, "step": 3e-3, "epochs": 20, "batch": 64},
    "vowels": {"units": 64, "step": 3e-3, "epochs": 45, "batch": 24},
    "text": {"units": 64, "step": 1e-2, "epochs": 24, "batch": 8},
}


def weather() -> dk.data.Parts:
    """Tomorrow's change of temperature, from ten days."""
    return dk.data.seattle_weather().parts(length=10)


def vowels() -> dk.data.Parts:
    """Who speaks? Eight utterances of each speaker train."""
    return dk.data.japanese_vowels().parts(per_speaker=8)


def text() -> dk.data.Parts:
    """The next character of a novel, from its first 8000."""
    return dk.data.austen().parts(8_001, 4_001, 4_001, length=25)


DATA = {"weather": weather, "vowels": vowels, "text": text}


def network(task: str, method: str, rate) -> keras.Model:
    """The model of a task with one method."""
    arm = METHODS[method](rate)
    start, outputs = {
        "weather": ([keras.Input((10, 11))], 1),
        # The mask is made before anything is dropped.
        "vowels": ([keras.Input((29, 12)), keras.layers.Masking()], 9),
        "text": (
            [keras.Input((25,)), keras.layers.Embedding(CHARACTERS, 32)],
            CHARACTERS,
        ),
    }[task]
    before, after = (
        [dk.Dropout(arm[place], seed=0)] if place in arm else []
        for place in ("before", "after")
    )
    lstm = dk.LSTM(
        TASKS[task]["units"],
        dropout=arm.get("dropout", 0.0),
        recurrent_dropout=arm.get("recurrent", 0.0),
        return_sequences=task == "text",
        seed=0,
    )
    return keras.Sequential(
        [*start, *before, lstm, *after, keras.layers.Dense(outputs)]
    )


def prepare(task: str, method: str) -> tuple:
    """Compiles one epoch of a method, for all its rates and seeds."""
    rate = keras.Variable(0.5, trainable=False)
    model = network(task, method, rate)
    optimizer = keras.optimizers.Adam(TASKS[task]["step"])
    optimizer.build(model.trainable_variables)
    begin = [variable.numpy() for variable in optimizer.variables]

    def losses(x, y, training):
        output = model(x, training=training)
        if task == "weather":
            return tf.square(output[:, 0] - y)
        return keras.losses.sparse_categorical_crossentropy(
            y, output, from_logits=True
        )

    @tf.function(jit_compile=True)
    def epoch(training, order, validation, test):
        x, y = training
        for batch in order:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(
                    losses(tf.gather(x, batch), tf.gather(y, batch), True)
                )
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
        x, y = (tf.concat([validation[k], test[k]], 0) for k in (0, 1))
        held_out = tf.split(
            losses(x, y, False), [len(validation[1]), len(test[1])]
        )
        return [tf.reduce_mean(part) for part in held_out]

    def reset(weights, rate_now, seed):
        rate.assign(rate_now)
        model.set_weights(weights)
        for layer in model.layers:
            if hasattr(layer, "stream"):
                layer.stream.state.assign([seed, 0])
        for variable, value in zip(optimizer.variables, begin, strict=True):
            variable.assign(value)

    return reset, epoch


def initial_weights(task: str, seed: int) -> list[np.ndarray]:
    keras.utils.set_random_seed(seed)
    return network(task, "none", 0.0).get_weights()


@functools.cache
def _kept(function, *arguments):
    return function(*arguments)


def train(task: str, *, seed: int, data, method: str, rate: float) -> dict:
    """One run: the same start and the same batches for all with one seed.

    Validation chooses the epoch. The test loss is read there, and at the end.
    """
    settings = TASKS[task]
    training, validation, test = (
        tuple(map(tf.constant, part)) for part in data
    )
    reset, epoch = _kept(prepare, task, method)
    reset(_kept(initial_weights, task, seed), rate, seed)
    rows = len(training[1]) // settings["batch"] * settings["batch"]
    shuffle = np.random.default_rng(seed)
    curve = []
    for _ in range(settings["epochs"]):
        order = shuffle.permutation(len(training[1]))[:rows]
        order = tf.constant(order.reshape(-1, settings["batch"]))
        losses = epoch(training, order, validation, test)
        curve.append([float(loss) for loss in losses])
    best = int(np.argmin([loss for loss, _ in curve]))
    return {
        "epoch": best + 1,
        "val_loss": curve[best][0],
        "test_loss": curve[best][1],
        "final_test_loss": curve[-1][1],
    }


def run(store: pathlib.Path, seeds=SEEDS) -> dict[str, dk.experiment.Results]:
    """Trains what the store lacks."""
    return {
        task: dk.experiment.run(
            functools.partial(train, task),
            VARIANTS,
            {task: DATA[task]},
            seeds,
            store=store / task,
        )
        for task in TASKS
    }


def plan() -> dict:
    """What is run, in JSON's types."""
    return {"seeds": list(SEEDS), "variants": VARIANTS, "tasks": TASKS}


def code_digest() -> str:
    """Stands for all that makes a run, apart from the data and dropkit."""
    functions = network, prepare, initial_weights, train, *DATA.values()
    sources = [inspect.getsource(function) for function in functions]
    methods = {name: repr(arm(0.5)) for name, arm in METHODS.items()}
    return digest([sources, methods, TASKS])[:12]


def table(results: dict[str, dk.experiment.Results]) -> dict:
    """The stored form: plan, provenance, and one row a run."""
    records = [r for each in results.values() for r in each.records]
    done = [record for record in records if record["status"] == "done"]
    versions = {json.dumps(record["versions"]) for record in done}
    if len(done) != len(SEEDS) * len(VARIANTS) * len(TASKS):
        raise ValueError(f"The plan isn't complete. Received: {len(done)} runs")
    if len(versions) != 1:
        raise ValueError(f"Runs of different versions. Received: {versions}")
    dates = sorted(record["date"] for record in done)
    first = {record["data"]: record for record in reversed(done)}
    return {
        "plan": plan(),
        "provenance": {
            "dates": [dates[0], dates[-1]],
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
            "one thread",
            "versions": done[0]["versions"],
            "data": {task: first[task]["content"] for task in TASKS},
            "code": code_digest(),
        },
        "metrics": list(done[0]["metrics"]),
        "runs": [
            [
                record["data"],
                record["variant"],
                record["seed"],
                round(record["seconds"], 1),
                *(round(value, 5) for value in record["metrics"].values()),
            ]
            for record in done
        ],
    }


def save(stored: dict) -> None:
    """Writes the file, one run a line."""
    rows = ",\n".join(json.dumps(row) for row in stored["runs"])
    head = json.dumps({k: v for k, v in stored.items() if k != "runs"})
    FILE.write_text(f'{head[:-1]}, "runs": [\n{rows}\n]}}\n', "utf-8")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", type=pathlib.Path, required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    # Runs are small: more threads would only wait for each other.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results = run(options.store)
    if options.write:
        save(table(results))
    return int(any(each.failures for each in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
