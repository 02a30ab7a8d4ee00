"""One run of a Keras model, paired with the runs of the same seed."""

import dataclasses
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

_TRIES = 10


@dataclasses.dataclass(frozen=True)
class Training:
    """Trains a Keras model; the `train` of `run` for most experiments.

    The validation part chooses the epoch and nothing else. The test part
    never takes part in a choice: it is evaluated after the training, with the
    weights of the chosen epoch and with those of the last one.

    All arms of one seed get the same batches in the same order, and start
    from the same weights: those that the first variant's model draws. An arm
    whose weights have other shapes keeps its own; its `shared_start` says so.

    The metrics are `epoch` (the chosen one, from 1), `epochs` (how many were
    trained), `shared_start`, and for the loss and each compiled metric
    `val_<name>` and `test_<name>` at the chosen epoch and `final_test_<name>`
    at the last.

    Args:
        build: Function that takes a variant's arguments and returns a new
            compiled model.
        epochs: Int, the most epochs.
        batch_size: Int.
        patience: Int, epochs without a better `monitor` after which training
            stops; default: all epochs are trained.
        monitor: String, the validation metric that chooses the epoch.
        start: Dict, the arguments of `build` for the model whose initial
            weights all arms take; default: the first variant's. `None`:
            each arm draws its own. Needed where variants differ in their
            initializers.
    Raises:
        ValueError: if an argument is out of its range, `monitor` isn't a
            validation metric, or `build` returns a model that was trained;
            the message ends `Received: ...`.
        RuntimeError: if two builds with one seed never draw alike.
    Example:
        >>> import keras, numpy as np
        >>> from dropkit import experiment
        >>> def build(rate):
        ...     dropout = keras.layers.Dropout(rate)
        ...     model = keras.Sequential([dropout, keras.layers.Dense(1)])
        ...     model.compile("sgd", "mse")
        ...     return model
        >>> x = np.ones((4, 2), "float32")
        >>> train = experiment.Training(build, epochs=2)
        >>> parts = (x, x[:, :1]), (x, x[:, :1]), (x, x[:, :1])
        >>> sorted(train(seed=0, data=parts, rate=0.5))
        ['epoch', 'epochs', 'final_test_loss', 'shared_start', 'test_loss', \
'val_loss']
    """

    build: Callable[..., keras.Model]
    epochs: int
    batch_size: int = 32
    patience: int | None = None
    monitor: str = "val_loss"
    start: Mapping[str, Any] | str | None = "first"

    def __post_init__(self):
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if name == "patience" and value is None:
                continue
            if type(value) is not int or value < 1:
                raise ValueError(
                    f"Invalid value received for argument `{name}`. Expected "
                    f"a positive integer. Received: {name}={value!r}"
                )
        if not str(self.monitor).startswith("val_"):
            raise ValueError(
                "Invalid value received for argument `monitor`. Only the "
                "validation part may choose the epoch, so it starts with "
                f"'val_'. Received: monitor={self.monitor!r}"
            )

    def first(self, variant: Mapping[str, Any]) -> "Training":
        """Returns the training with its default `start` filled in."""
        if self.start != "first":
            return self
        return dataclasses.replace(self, start=dict(variant))

    def __call__(self, *, seed: int, data: tuple, **variant) -> dict:
        training, validation, test = (_named(part) for part in data)
        model = self._model(seed, variant, training)
        shared = self._share_start(model, seed, training)
        last_weights: list = []
        # Before the other one: it puts the best weights back.
        keep_last = keras.callbacks.LambdaCallback(
            on_train_end=lambda logs: last_weights.extend(model.get_weights())
        )
        stopper = keras.callbacks.EarlyStopping(
            self.monitor,
            patience=self.patience or self.epochs,
            restore_best_weights=True,
        )
        history = model.fit(
            _batches(training, self.batch_size, seed),
            epochs=self.epochs,
            validation_data=tuple(validation.values()),
            validation_batch_size=self.batch_size,
            callbacks=[keep_last, stopper],
            shuffle=False,  # `_batches` does
            verbose=0,
        ).history
        metrics = {
            "epoch": stopper.best_epoch + 1,
            "epochs": len(history["loss"]),
            "shared_start": shared,
        }
        for name, values in history.items():
            if name.startswith("val_"):
                metrics[name] = values[stopper.best_epoch]
        metrics |= self._evaluate(model, test, "test")
        model.set_weights(last_weights)
        return metrics | self._evaluate(model, test, "final_test")

    def _model(self, seed: int, variant: Mapping, training: dict):
        before = None
        for _ in range(_TRIES):
            keras.utils.set_random_seed(seed)
            model = self.build(**variant)
            if int(model.optimizer.iterations):
                raise ValueError(
                    "`build` must return a new model at each call. Received: "
                    f"a model after {int(model.optimizer.iterations)} steps"
                )
            if not model.built:
                model(keras.tree.map_structure(lambda a: a[:1], training["x"]))
            # Layers draw their seeds from Python's generator, which other
            # threads may use meanwhile: those of a Dask worker do.
            after = random.getstate()
            if threading.active_count() == 1 or after == before:
                return model
            before = after
        raise RuntimeError(
            "`build` can't be seeded: it draws a random number of seeds, or "
            "another thread of this process draws all the time. "
            f"Received: {_TRIES} models that drew differently"
        )

    def _share_start(self, model, seed: int, training: dict) -> bool:
        if not isinstance(self.start, Mapping):
            return False
        # The arm's noise is seeded already: this model's draws come later.
        weights = self._model(seed, self.start, training).get_weights()
        own = [w.shape for w in model.get_weights()]
        same = [w.shape for w in weights] == own
        if same:
            model.set_weights(weights)
        return same

    def _evaluate(self, model, part: dict, prefix: str) -> dict:
        measured = model.evaluate(
            **part, batch_size=self.batch_size, verbose=0, return_dict=True
        )
        return {f"{prefix}_{name}": v for name, v in measured.items()}


def _named(part: tuple) -> dict:
    return dict(zip(("x", "y", "sample_weight"), part, strict=False))


def _batches(part: dict, size: int, seed: int) -> tf.data.Dataset:
    """Batches whose order depends on the seed alone, not on the model."""
    with tf.device("CPU"):
        arrays = keras.tree.map_structure(
            tf.convert_to_tensor, tuple(part.values())
        )
    rows = len(keras.tree.flatten(arrays)[0])

    def pick(index):
        return keras.tree.map_structure(lambda a: tf.gather(a, index), arrays)

    order = tf.data.Dataset.range(rows).shuffle(rows, seed=seed)
    return order.batch(size).map(pick).prefetch(tf.data.AUTOTUNE)
