"""How a layer is observed: by its weights, its slopes or its outputs."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from dropkit.probe import anylayer
from dropkit.probe.activation import Unreadable
from dropkit.probe.field import Field
from dropkit.probe.layouts import is_recurrent
from dropkit.probe.recurrent import Recurrent
from dropkit.probe.subject import Subject, clone


class Measurement:
    """How a layer is observed; see the subclasses.

    Attributes:
        kind: The cell's kind, or None.
        subject: What is called.
        why: What could not be determined, in words.
        read: How the layer was read, in words.
    """

    kind: str | None = None
    subject: Subject
    takes_training = True
    read = "read"

    def __init__(self):
        self.why: list[str] = []

    def observe(self, training, seeds=None):
        """Returns what one call shows; all its runs have the same draws."""
        raise NotImplementedError

    def fields(self, observed) -> dict[str, Field]:
        """Returns the multipliers of each site."""
        raise NotImplementedError

    def mode(self, mode):
        """Runs in another mode from now on."""
        self.subject = Subject(self.subject.layer, mode)


class OfRecurrent(Measurement):
    """A recurrent layer with an adapter."""

    def __init__(self, layer, in_place):
        super().__init__()
        self._recurrent = Recurrent(layer, in_place)
        dtype = self._recurrent.layer.compute_dtype
        if dtype != layer.compute_dtype:
            self.read = f"read, in {dtype}"
        self.kind = self._recurrent.kind
        self.observe = self._recurrent.observe
        self.fields = self._recurrent.fields

    @property
    def subject(self):
        """The layer that is called."""
        return self._recurrent.subject

    def mode(self, mode):
        self._recurrent.set_mode(mode)


class OfAny(Measurement):
    """Any layer or callable.

    Args:
        layer: The layer or callable.
        inputs: Arrays, or None to look for some that fit.
        in_place: Whether to call that layer itself.
    """

    def __init__(self, layer, inputs, in_place):
        super().__init__()
        self.takes_training = anylayer.takes_training(layer)
        subject = layer
        if isinstance(layer, keras.layers.Layer) and not in_place:
            subject = clone(layer)
        self.subject = Subject(subject)
        self.inputs = self._fitting(layer, inputs)
        if subject is not layer and layer.built and layer.weights:
            _copy_weights(layer, subject)
        self._channels_first = (
            getattr(layer, "data_format", None) == "channels_first"
        )
        self._plain = None

    def _training(self, training):
        return training if self.takes_training else None

    def _fitting(self, layer, inputs):
        if inputs is not None:
            inputs = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
            candidates = [tuple(np.asarray(x) for x in inputs)]
        else:
            candidates = anylayer.default_inputs(layer)
        error = None
        for candidate in candidates:
            try:
                self.subject(
                    *map(tf.convert_to_tensor, candidate),
                    training=self._training(False),
                )
                return candidate
            except Exception as caught:
                error = error or caught
        shapes = [tuple(x.shape for x in c) for c in candidates]
        hint = "" if inputs is not None else " Pass `inputs` that it accepts."
        raise ValueError(
            f"The layer does not accept inputs of shape {shapes}: "
            f"{str(error).strip().splitlines()[0]}.{hint} "
            f"Received: layer={layer!r}"
        ) from error

    def observe(self, training, seeds=None):
        if seeds is not None:
            self.subject.replay(seeds)
        return anylayer.Slopes(
            self.subject, self.inputs, self._training(training)
        )

    @property
    def plain(self):
        """A call without noise; the identity where inference is none."""
        if self._plain is None:
            plain = self.observe(False)
            again = self.subject(
                *map(tf.convert_to_tensor, self.inputs),
                training=self._training(False),
            )
            random = not np.array_equal(plain.outputs, anylayer.as_array(again))
            x = np.asarray(self.inputs[0], "float64")
            if random and plain.outputs.shape != x.shape:
                raise Unreadable(
                    "inference is random too, so that there is no call "
                    "without noise to compare with"
                )
            if random or plain.scales_only(x):
                plain.outputs = x
                plain.slopes = anylayer.identity_slopes(x)
            self._plain = plain
        return self._plain

    def fields(self, observed):
        fields, why = anylayer.fields(
            observed, self.plain, self.inputs, self._channels_first
        )
        if why and why not in self.why:
            self.why.append(why)
        return self._by_word(fields)

    def _by_word(self, fields):
        """Renames a site to word types where equal ids share draws."""
        ids = [x for x in self.inputs if x.dtype.kind in "iu"]
        for site, field in fields.items():
            per = anylayer.word_types(field, ids[0]) if ids else None
            if per is None:
                continue
            axes = ("call", "batch", "word", "feature")
            types = np.unique(ids[0])
            values = np.full(
                (len(field.values), len(ids[0]), len(types), 1), np.nan
            )
            for b, row in enumerate(ids[0]):
                place = np.searchsorted(types, row)
                values[:, b, place, 0] = field.values[:, b, :, 0]
            feature = field.is_constant("features")
            if not feature:
                continue
            values = np.repeat(values, field.values.shape[-1], axis=-1)
            renamed = Field(axes, values, field.tolerance)
            return {
                **{k: v for k, v in fields.items() if k != site},
                "word types": renamed,
            }
        return fields


def _copy_weights(layer, copy):
    shapes = [tuple(w.shape) for w in layer.weights]
    if shapes == [tuple(w.shape) for w in copy.weights]:
        copy.set_weights(layer.get_weights())


class OfOutputs(OfAny):
    """A recurrent layer without an adapter: only whether it is random."""

    def observe(self, training, seeds=None):
        if seeds is not None:
            self.subject.replay(seeds)
        y = self.subject(
            *map(tf.convert_to_tensor, self.inputs),
            training=self._training(training),
        )
        y = y[0] if isinstance(y, (list, tuple)) else y
        return np.asarray(keras.ops.cast(y, "float32"), "float64")

    def fields(self, observed):
        plain = self.observe(False)
        values = np.stack(observed) - plain
        if np.abs(values).max() <= 1e-4 * max(1.0, np.abs(plain).max()):
            return {}
        # One number a call: which entries differ says nothing of the site.
        values = values.reshape(len(values), -1)
        return {"undetermined": Field(("call", "entry"), values, 1e-4)}


def measurement_of(layer, inputs, in_place: bool) -> Measurement:
    """Returns how a layer is observed."""
    if is_recurrent(layer):
        try:
            return OfRecurrent(layer, in_place)
        except Unreadable as why:
            measurement = OfOutputs(layer, inputs, in_place)
            measurement.why.append(f"site: {why}")
            return measurement
    return OfAny(layer, inputs, in_place)
