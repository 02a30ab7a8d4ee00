"""The subject: a copy of a layer that may be rewired, and what it draws from.

Private names of Keras that this module relies on, tested at both ends of the
supported versions: the global attribute ``"global_seed_generator"``.
"""

from __future__ import annotations

import contextlib
import copy
import random

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state

MODES = ("eager", "graph", "xla")
_GLOBAL_SEEDS = "global_seed_generator"


@contextlib.contextmanager
def untouched_randomness():
    """Inside, Python's, NumPy's and Keras's global random states may move."""
    python, numpy = random.getstate(), np.random.get_state()
    generator = global_state.get_global_attribute(_GLOBAL_SEEDS)
    seed = None if generator is None else generator.state.numpy()
    if generator is None:
        # It would appear with the first draw, which could not be repeated.
        global_state.set_global_attribute(
            _GLOBAL_SEEDS, keras.random.SeedGenerator()
        )
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        global_state.set_global_attribute(_GLOBAL_SEEDS, generator)
        if generator is not None:
            generator.state.assign(seed)


def clone(layer, change=None):
    """Returns a layer made from the config of another, unbuilt.

    Args:
        layer: A Keras layer.
        change: Function that changes the (copied) config in place.
    Returns:
        A layer of the same class.
    Raises:
        ValueError: if the layer has no config, or none that it accepts.
    """
    try:
        config = copy.deepcopy(layer.get_config())
        if change is not None:
            change(config)
        scope = {cls.__name__: cls for cls in _classes(layer)}
        with keras.saving.custom_object_scope(scope):
            return type(layer).from_config(config)
    except Exception as error:
        name = type(layer).__name__
        raise ValueError(
            f"{name} cannot be cloned: {first_line(error)}. Pass "
            "in_place=True to rewire the layer itself for the time of the "
            "probe; its weights, seeds and states are restored. "
            f"Received: layer={layer!r}"
        ) from error


def _classes(layer):
    """The classes that a config may name: the layer's and its children's."""
    found = [type(layer)]
    for value in vars(layer).values():
        if isinstance(value, keras.layers.Layer) and value is not layer:
            found += [type(value)]
    return found


def first_line(error: Exception) -> str:
    """Returns an error's first line, without its full stop."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


class Subject:
    """A layer that runs in one mode and whose draws can be repeated.

    Args:
        layer: The layer or callable; it must be built.
        mode: ``"eager"``, ``"graph"`` or ``"xla"``.
    """

    def __init__(self, layer, mode: str = "eager"):
        self.layer = layer
        self._call = self._plain
        if mode != "eager":
            self._call = tf.function(
                self._plain, jit_compile=mode == "xla", reduce_retracing=False
            )

    def _plain(self, arguments, keywords, training):
        keywords = dict(keywords)
        if training is not None:
            keywords["training"] = training
        return self.layer(*arguments, **keywords)

    def __call__(self, *arguments, training, **keywords):
        """Calls the layer."""
        return self._call(arguments, keywords, training)

    @property
    def _seeds(self):
        """The variables that draws can come from."""
        variables = []
        if isinstance(self.layer, keras.layers.Layer):
            weights = {id(v) for v in self.layer.weights}
            variables = [
                v for v in self.layer.variables if id(v) not in weights
            ]
        generator = global_state.get_global_attribute(_GLOBAL_SEEDS)
        if generator is not None:
            variables.append(generator.state)
        return variables

    @property
    def has_seeds(self) -> bool:
        """Whether a random state of the layer itself was found."""
        return isinstance(self.layer, keras.layers.Layer) and bool(
            {id(v) for v in self.layer.variables}
            - {id(v) for v in self.layer.weights}
        )

    def seeds(self) -> list[np.ndarray]:
        """Returns the present random state."""
        return [v.numpy() for v in self._seeds]

    def replay(self, seeds: list[np.ndarray]) -> None:
        """Goes back to a random state."""
        for variable, seed in zip(self._seeds, seeds, strict=False):
            variable.assign(seed)


@contextlib.contextmanager
def restored(layer):
    """Inside, a layer may be rewired; its variables are then put back."""
    variables = list(layer.variables)
    values = [v.numpy() for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
