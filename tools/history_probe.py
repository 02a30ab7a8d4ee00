"""What one Keras release does with `dropout=` and `recurrent_dropout=`.

Run by `tools/history.py` in an environment that has that release and not
dropkit: `python tools/history_probe.py PACKAGE OUT.json`, PACKAGE being
`keras` or `tf_keras`. `tests/test_history.py` measures the installed Keras.
"""

import json
import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Two rates, so that one argument that takes the other's is seen.
DROPOUT, RECURRENT = 0.25, 0.5
ARGUMENTS = {
    "dropout": {"dropout": DROPOUT},
    "recurrent_dropout": {"recurrent_dropout": RECURRENT},
    "both": {"dropout": DROPOUT, "recurrent_dropout": RECURRENT},
}
CELLS = ("GRU", "SimpleRNN")
RUNS = ("eager", "graph", "fit")
OTHERS = ("Dropout", "SpatialDropout1D", "TimeDistributed(Dropout)")


def cases() -> list[tuple[str, str, str]]:
    """Returns every case: layer, arguments, how it runs."""
    found = [("LSTM", a, r) for a in ARGUMENTS for r in RUNS]
    # `fit` is a graph too; the LSTM shows that they agree.
    found += [(c, a, r) for c in CELLS for a in ARGUMENTS for r in RUNS[:2]]
    # In eager mode another activation leaves the fused path.
    found.append(("LSTM", "dropout, activation='relu'", "eager"))
    return found + [(layer, "rate", "eager") for layer in OTHERS]


def build(layer: str, arguments: str, run: str):
    """Returns the layer of a case."""
    import keras

    if layer == "TimeDistributed(Dropout)":
        return keras.layers.TimeDistributed(keras.layers.Dropout(DROPOUT))
    base = getattr(keras.layers, layer)
    if arguments == "rate":
        return base(DROPOUT)
    name, _, activation = arguments.partition(", activation=")
    options = dict(ARGUMENTS[name])
    if activation:
        options["activation"] = activation.strip("'")
    return running(base, run)(4, **options)


def running(base: type, run: str) -> type:
    """Returns a layer class whose calls run in a certain way.

    Args:
        base: A recurrent layer class of Keras.
        run: `"eager"`, `"graph"` (a `tf.function`) or `"fit"` (a model's
            `fit` in training, its `evaluate` in inference).
    """
    import tensorflow as tf

    def in_graph(self, *arguments, **keywords):
        if "_graph" not in vars(self):
            plain = lambda *a, **k: base.__call__(self, *a, **k)  # noqa: E731
            object.__setattr__(self, "_graph", tf.function(plain))
        return self._graph(*arguments, **keywords)

    def in_fit(self, x, initial_state, training):
        if "_model" not in vars(self):
            object.__setattr__(self, "_model", _model_of(base, self))
        return self._model.results(x, initial_state, training)

    call = {"eager": base.__call__, "graph": in_graph, "fit": in_fit}[run]
    return type(base.__name__, (base,), {"__call__": call})


def _model_of(base, layer):
    """A model whose training step is one call of a layer."""
    import keras
    import numpy as np
    import tensorflow as tf

    class Model(keras.Model):
        def _step(self, data, training):
            x, *states = data[0]
            results = base.__call__(
                layer, x, initial_state=states, training=training
            )
            tf.numpy_function(self._keep, results, [])
            return {"loss": tf.constant(0.0)}

        def _keep(self, *results):
            object.__setattr__(self, "_last", results)

        def train_step(self, data):
            return self._step(data, True)

        def test_step(self, data):
            return self._step(data, False)

        def results(self, x, states, training):
            data = (x, *map(np.asarray, states))
            size = {"batch_size": len(x), "verbose": 0}
            if training:
                self.fit(data, shuffle=False, **size)
            else:
                self.evaluate(data, **size)
            return [tf.constant(r) for r in self._last]

    model = Model()
    # A callback to NumPy cannot be compiled by XLA.
    model.compile(optimizer="sgd", jit_compile=False)
    return model


def measured(report) -> dict:
    """Returns what is stored of a probe's report."""
    sites = {}
    for finding in report.findings:
        noise = finding.noise
        sites[finding.site] = {
            "noise": finding.noise_name,
            "rate": _rounded(noise.rate),
            "zeros": _rounded(noise.counted),
            "draws": noise.draws,
            "sharing": dict(finding.sharing),
        }
    return {
        "method": report.method,
        "sites": sites,
        "fresh": report.fresh,
        "inference": report.inference,
        "seed_in_inference": report.seed_in_inference,
        "error": report.error,
    }


def _rounded(value):
    if isinstance(value, (list, tuple)):
        return [round(v, 4) for v in value]
    return None if value is None else round(value, 4)


def measure(probe, layer: str, arguments: str, run: str) -> dict:
    """Returns one case with what a probe finds in it."""
    case = {"layer": layer, "arguments": arguments, "run": run}
    try:
        return case | measured(probe(build(layer, arguments, run)))
    except Exception as error:
        # An old release may lack what the probe needs; the others count.
        text = str(error).strip().splitlines() or [""]
        return case | {"unread": f"{type(error).__name__}: {text[0][:200]}"}


def pretend_keras_3(package: str) -> None:
    """Gives Keras 2 the names that the probe takes from Keras 3.

    It has no seed generators; its draws cannot be repeated, and the probe
    says so by reading no seed.
    """
    import importlib

    import tensorflow as tf

    keras = sys.modules["keras"] = importlib.import_module(package)
    keras.ops = types.SimpleNamespace(
        cast=tf.cast,
        convert_to_numpy=lambda x: tf.convert_to_tensor(x).numpy(),
        convert_to_tensor=tf.convert_to_tensor,
    )
    keras.random = types.SimpleNamespace(SeedGenerator=lambda: None)
    # Its place before 2.13.
    keras.saving.custom_object_scope = keras.utils.custom_object_scope
    common = types.ModuleType("keras.src.backend.common")
    common.global_state = types.SimpleNamespace(
        get_global_attribute=lambda name: None,
        set_global_attribute=lambda name, value: None,
    )
    sys.modules[common.__name__] = common


def main(package: str, path: str) -> None:
    import importlib
    import platform

    import numpy
    import tensorflow

    keras = importlib.import_module(package)
    if not hasattr(keras, "ops"):
        pretend_keras_3(package)
    # Without dropkit/__init__.py, which needs a newer Keras than most here.
    dropkit = types.ModuleType("dropkit")
    dropkit.__path__ = [str(ROOT / "dropkit")]
    sys.modules["dropkit"] = dropkit
    from dropkit.probe import probe

    found = []
    for case in cases():
        print("  " + ", ".join(case), end=" ", file=sys.stderr, flush=True)
        found.append(measure(probe, *case))
        print(found[-1].get("unread", "read"), file=sys.stderr, flush=True)
    versions = {
        "keras": keras.__version__,
        "tensorflow": tensorflow.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }
    text = json.dumps({"versions": versions, "cases": found})
    Path(path).write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
