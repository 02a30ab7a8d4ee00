"""The tasks of the benchmark, and how a row is timed."""

from __future__ import annotations

import datetime
import platform
import sys
import time

import keras
import numpy as np
import psutil
import rows
import tensorflow as tf

import dropkit as dk

# Largest relative difference from the reference that is still the same.
TOLERANCE = 1e-5
FIT_STEPS = 12


class Load:
    """Cores that other processes keep busy, over some stretches of time."""

    def __init__(self):
        self._others = self._wall = 0.0
        self._process = psutil.Process()

    def _now(self):
        system = psutil.cpu_times()
        idle = system.idle + getattr(system, "iowait", 0.0)
        guest = getattr(system, "guest", 0.0)
        own = self._process.cpu_times()
        busy = sum(system) - idle - guest
        return busy - own.user - own.system, time.perf_counter()

    def __enter__(self):
        self._start = self._now()

    def __exit__(self, *_):
        others, wall = self._now()
        self._others += others - self._start[0]
        self._wall += wall - self._start[1]

    @property
    def cores(self) -> float:
        return max(0.0, self._others / self._wall)


def say(text):
    print(text, file=sys.stderr, flush=True)


def difference(actual, expected) -> float:
    """The largest relative difference of outputs and gradients."""
    errors = []
    for a, b in zip(actual, expected, strict=True):
        a, b = np.asarray(getattr(a, "detach", lambda a=a: a)()), np.asarray(b)
        errors.append(np.abs(a - b).max() / np.abs(b).max())
    return float(max(errors))


def build(table, problem):
    """Builds and checks all rows; returns their steps and results."""
    steps, results, references = {}, {}, {}
    for name, row in table.items():
        start = time.perf_counter()
        step = row.step(problem)
        first = step()
        rows.wait(first)
        results[name] = {
            "label": row.label,
            "first_call": time.perf_counter() - start,
        }
        layer = getattr(step, "layer", None)
        if hasattr(layer, "engine"):
            results[name]["engine"] = layer.engine
        if row.reference is not None:
            if row.reference not in references:
                references[row.reference] = row.reference(problem)()
            error = difference(first, references[row.reference])
            if not error < TOLERANCE:
                raise AssertionError(
                    f"{row.label} computes something else: relative "
                    f"difference {error:.1e}"
                )
            results[name]["difference"] = error
        steps[name] = step
        say(f"  {row.label}: {results[name]['first_call']:.1f} s to build")
    return steps, results


def wall(step) -> float:
    """Milliseconds of a step."""
    start = time.perf_counter()
    rows.wait(step())
    return 1e3 * (time.perf_counter() - start)


def measure(steps, rounds, burst, clock=wall) -> dict:
    """Times all steps in interleaved rounds; milliseconds."""
    times = {name: [] for name in steps}
    loads = {name: Load() for name in steps}
    calls = {}
    for name, step in steps.items():
        calls[name] = max(1, min(50, int(1e3 * burst / wall(step))))
    for number in range(rounds):
        names = list(steps)[:: -1 if number % 2 else 1]
        for name in names:
            step = steps[name]
            rows.wait(step())
            with loads[name]:
                for _ in range(calls[name]):
                    times[name].append(clock(step))
    return {
        name: {**summary(values), "load": loads[name].cores}
        for name, values in times.items()
    }


def summary(values) -> dict:
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": median, "q25": low, "q75": high, "n": len(values)}


def timed(table, problem, options, clock=wall) -> dict:
    steps, results = build(table, problem)
    times = measure(steps, options.rounds, options.burst, clock)
    for name, values in times.items():
        results[name].update(values)
    return {"shape": problem.shape, "rows": results}


class Epoch(keras.callbacks.Callback):
    """When an epoch of ``fit`` began, and when each of its batches ended.

    A whole call is no measure: it ends only when tf.data's tuner wakes, after
    about 0.3 s, 0.6 s, 1.3 s (seen in TensorFlow 2.21; not without the tuner).
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.times = [time.perf_counter()]

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())


def in_epoch(step) -> float:
    """Milliseconds of a step inside an epoch, its first batch left out."""
    step()
    _, first, *_, last = step.epoch.times
    return 1e3 * (last - first) / (FIT_STEPS - 1)


def fit_rows(problem) -> dict:
    """One epoch of ``fit`` a call, with an optimizer and a Dense layer."""
    batch, time_steps, features, units = problem.shape
    x = np.concatenate([problem.x.numpy()] * FIT_STEPS)
    y = np.ones((len(x), 1), "float32")
    fixed = tf.data.Dataset.from_tensor_slices((x, y))
    fixed = fixed.batch(batch, drop_remainder=True)

    def epoch(family, jit="auto", data=None, **rates):
        layer = getattr(family, problem.kind)(units, **rates)
        model = keras.Sequential(
            [
                keras.Input((time_steps, features)),
                layer,
                keras.layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse", jit_compile=jit)
        given = (x, y) if data is None else (data,)
        size = {"batch_size": batch} if data is None else {}

        def run():
            run.epoch = Epoch()
            history = model.fit(
                *given,
                verbose=0,
                shuffle=False,
                callbacks=[run.epoch],
                **size,
            )
            return [history.history["loss"]]

        run.layer = layer
        return run

    def row(label, *args, **kwargs):
        return rows.Row(label, lambda _: epoch(*args, **kwargs), None)

    stock = keras.layers
    table = {
        "keras": row("Keras, both dropouts", stock, **rows.KERAS_RATES),
        "keras_jit": row(
            "the same, `jit_compile=True`", stock, True, **rows.KERAS_RATES
        ),
        "plain": row("Keras without dropout", stock),
        "plain_jit": row("the same, `jit_compile=True`", stock, True),
    }
    for name, method in (("tied", rows.TIED), ("untied", rows.UNTIED)):
        rates = {"dropout": rows.RATE, "recurrent_dropout": method}
        table |= {
            name: row(f"dropkit {name}", dk, **rates),
            f"{name}_fixed": row(
                f"dropkit {name}, fixed batch size", dk, data=fixed, **rates
            ),
            f"{name}_jit": row(
                f"dropkit {name}, `jit_compile=True`", dk, True, **rates
            ),
        }
    return table


def ragged(problem, options) -> dict:
    """Epochs in which nearly every batch has another length; seconds."""
    batch, longest, features, units = problem.shape
    lengths = np.random.default_rng(0).integers(longest // 2, longest + 1, 24)
    x = problem.x.numpy()
    y = np.ones((batch, 1), "float32")
    data = tf.data.Dataset.from_generator(
        lambda: ((x[:, :length], y) for length in lengths),
        output_signature=(
            tf.TensorSpec((batch, None, features)),
            tf.TensorSpec((batch, 1)),
        ),
    ).apply(tf.data.experimental.assert_cardinality(len(lengths)))
    layers = {
        "keras": ("Keras, both dropouts", keras.layers, rows.KERAS_RATES),
        "plain": ("Keras without dropout", keras.layers, {}),
    }
    for name, method in (("tied", rows.TIED), ("untied", rows.UNTIED)):
        rates = {"dropout": rows.RATE, "recurrent_dropout": method}
        layers[name] = (f"dropkit {name}", dk, rates)
    results = {}
    for name, (label, family, rates) in layers.items():
        model = keras.Sequential(
            [
                keras.Input((None, features)),
                family.LSTM(units, **rates),
                keras.layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse")
        load, times = Load(), []
        with load:
            for _ in range(4):
                epoch = Epoch()
                model.fit(data, verbose=0, shuffle=False, callbacks=[epoch])
                times.append(epoch.times[-1] - epoch.times[0])
        results[name] = {
            "label": label,
            "first_epoch": times[0],
            "median": float(np.median(times[1:])),
            "load": load.cores,
        }
    lengths = len(set(lengths.tolist()))
    return {"shape": problem.shape, "lengths": lengths, "rows": results}


def memory(row, problem) -> dict:
    """Peak resident memory of steady steps, in MB (Linux)."""
    step = rows.TRAINING[row].step(problem)
    rows.wait(step())
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forgets the peak so far
    for _ in range(3):
        rows.wait(step())
    with open("/proc/self/status") as file:
        peak = next(line for line in file if line.startswith("VmHWM"))
    label = rows.TRAINING[row].label
    values = {"label": label, "peak": int(peak.split()[1]) / 1024}
    return {"shape": problem.shape, "rows": {row: values}}


def run(options, shapes) -> dict:
    """Runs the task of ``options`` and says where it ran."""
    section, *rest = options.task.split("/")
    shape = shapes.get(rest[0], shapes["A"])
    if section == "memory" and not options.tiny:
        shape = (shape[0], int(rest[1]), *shape[2:])
    if rows.torch is not None:
        rows.torch.set_num_threads(options.threads)
    elif section == "training":
        say("  torch is not installed: its row is left out")
    kind = rest[0] if section == "cells" else "LSTM"
    problem = rows.Problem(shape, kind)
    if section == "training":
        result = timed(rows.TRAINING, problem, options)
    elif section == "parts":
        result = timed(rows.PARTS, problem, options)
    elif section == "cells":
        result = timed(rows.other_cells(kind), problem, options)
    elif section == "inference":
        result = timed(rows.INFERENCE, problem, options)
    elif section == "fit":
        result = timed(fit_rows(problem), problem, options, in_epoch)
    elif section == "ragged":
        result = ragged(problem, options)
    else:
        result = memory(rest[0], problem)
    return {**result, "where": where(options)}


def where(options) -> dict:
    """The machine and the versions, as far as they matter."""
    gpus = tf.config.list_physical_devices("GPU")
    name = processor()
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get(
            "device_name", "GPU"
        )
    return {
        "date": datetime.date.today().isoformat(),
        "device": name,
        "cores": psutil.cpu_count(),
        "threads": options.threads,
        "rounds": options.rounds,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "torch": None if rows.torch is None else rows.torch.__version__,
    }


def processor() -> str:
    """The CPU's name where the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line for line in file if line.startswith("model name")]
        return names[0].partition(":")[2].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
