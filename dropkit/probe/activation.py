"""Activations, inverted: what a unit's output says about its input."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf


class Unreadable(Exception):
    """A site that cannot be read; the message says why."""


class Activation:
    """A monotone activation and its inverse.

    Args:
        function: A function of tensors.
    Raises:
        Unreadable: if it cannot be held at 1 or be inverted.
    """

    def __init__(self, function):
        self._function = function
        self.open = self._first(1.0, (20.0, 1.0))
        self.closed = self._first(0.0, (-20.0, 0.0))
        # Where it rises on both sides.
        self.offset = self._rising()
        self._inputs = np.linspace(-12, 24, 720_001)
        outputs = self.at(self._inputs)
        # Saturated functions waver by a rounding error.
        if (np.diff(outputs) < -1e-9).any():
            raise Unreadable(f"{self._name} is not monotone")
        highest = np.maximum.accumulate(outputs)
        rises = np.diff(highest, prepend=outputs[0]) > 0
        self._inputs, self._outputs = self._inputs[rises], outputs[rises]

    @property
    def _name(self):
        return getattr(self._function, "__name__", str(self._function))

    def at(self, value):
        """The activation of a number or an array."""
        result = self._function(tf.constant(value, tf.float64))
        result = np.asarray(keras.ops.convert_to_numpy(result))
        return result if result.ndim else float(result)

    def inverse(self, value: np.ndarray) -> np.ndarray:
        """The input that gives a value; NaN outside the range."""
        low, high = self._outputs[0], self._outputs[-1]
        result = np.interp(value, self._outputs, self._inputs)
        return np.where((value >= low) & (value < high), result, np.nan)

    def _first(self, wanted, inputs):
        for value in inputs:
            if abs(self.at(value) - wanted) < 1e-6:
                return value
        raise Unreadable(f"no input holds {self._name} at {wanted:g}")

    def _rising(self):
        for value in (0.0, 1.0):
            steps = np.diff(self.at(value + np.array([-0.5, 0, 0.5])))
            if (steps > 0).all():
                return value
        raise Unreadable(f"{self._name} does not rise")
