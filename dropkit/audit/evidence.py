"""The evidence: a model's layers, what the probe says of them, their order."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable

import keras
import numpy as np

from dropkit.audit import experiments
from dropkit.audit.fused import Paths, paths
from dropkit.audit.graph import Graph
from dropkit.audit.walk import (
    Place,
    children,
    has_own_randomness,
    is_known,
    walk,
)
from dropkit.probe import Report, probe
from dropkit.probe.anylayer import SHAPES
from dropkit.probe.layouts import directions, is_recurrent
from dropkit.probe.subject import first_line

# What a probe of a recurrent layer sets to its own values.
_RESIZED = {"units", "filters", "return_sequences", "return_state"}
_ENDINGS = ("_initializer", "_regularizer", "_constraint")
_NAMES = {"name", "trainable", "build_config"}


@dataclasses.dataclass(frozen=True)
class Source:
    """A layer that was probed.

    Args:
        place: Where it stands.
        report: What the probe says; None if it could not be probed.
        why: Why not.
        inputs: Small inputs that fit it.
    """

    place: Place
    report: Report | None
    why: str
    inputs: np.ndarray

    @property
    def layer(self) -> keras.layers.Layer:
        """The layer."""
        return self.place.layer

    @property
    def is_recurrent(self) -> bool:
        """Whether its noise is inside a recurrent loop."""
        return is_recurrent(self.layer)

    @property
    def findings(self) -> tuple:
        """The sites with noise."""
        return () if self.report is None else self.report.findings

    @property
    def is_silent(self) -> bool:
        """Whether it was probed and draws nothing."""
        return self.report is not None and self.report.method == "no dropout"

    @property
    def seed(self) -> int | None:
        """Its integer seed, or None."""
        part = directions(self.layer)[0]
        # Keras leaves some seeds out of the config, dropkit hides others.
        for owner in (part, getattr(part, "cell", None)):
            for name in ("seed", "_seed"):
                seed = getattr(owner, name, None)
                if isinstance(seed, int):
                    return seed
        return None

    def site(self, name: str):
        """Returns the finding at a site, or None."""
        return None if self.report is None else self.report.site(name)


class Evidence:
    """All that the rules look at.

    Args:
        model: A Keras model.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        self.places, self.hidden = walk(model)
        self.graph = Graph(model)
        self._results: dict = {}
        self.probed = [
            source
            for source in map(self._source, self.places)
            if source is not None
        ]
        self.noisy = [s for s in self.probed if not s.is_silent]

    def measure(self, experiment: Callable, source: Source, *arguments):
        """Returns an experiment's result, the same for equal layers.

        Args:
            experiment: Function of a layer and of the arguments.
            source: The layer.
            *arguments: Further arguments.
        Returns:
            The result; None if a copy of the layer does not run.
        """
        shapes = [getattr(a, "shape", a) for a in arguments]
        key = (experiment.__name__, self._key(source.layer), str(shapes))
        if key not in self._results:
            try:
                result = experiment(source.layer, *arguments)
            except Exception:
                # No evidence, no advice: the probe reports such layers.
                result = None
            self._results[key] = result
        return self._results[key]

    def paths(self, source: Source) -> Paths | None:
        """Returns the fused paths of a layer; None if a copy does not run."""
        return self.measure(paths, source)

    def _source(self, place):
        layer = place.layer
        if not may_draw(layer):
            return None
        x = small_inputs(layer)
        if not is_recurrent(layer) and not has_own_randomness(layer):
            try:
                if not _is_random(_callable(layer), x):
                    return None
            except Exception as error:
                self.hidden.append(
                    f"{place.path} ({type(layer).__name__}) cannot be called "
                    f"alone: {first_line(error)}"
                )
                return None
        # A recurrent layer is probed with inputs of the probe's own.
        shape = () if is_recurrent(layer) else x.shape
        key = ("probe", self._key(layer), shape)
        if key not in self._results:
            self._results[key] = _probed(_callable(layer), layer, x)
        report, why = self._results[key]
        return Source(place, report, why, x)

    def _key(self, layer):
        try:
            config = _essence(layer.get_config(), is_recurrent(layer))
            text = json.dumps(config, sort_keys=True, default=repr)
        except Exception:
            # A layer without a config equals only itself.
            return id(layer)
        return (
            type(layer),
            text,
            layer.compute_dtype,
            getattr(layer, "use_cudnn", None),
            getattr(getattr(layer, "cell", None), "implementation", None),
        )


def may_draw(layer: keras.layers.Layer) -> bool:
    """Whether a layer itself, not one inside it, could draw noise."""
    if isinstance(layer, keras.Model):
        return False
    if is_recurrent(layer) or has_own_randomness(layer):
        return True
    if isinstance(layer, keras.layers.Lambda):
        return True
    return not is_known(layer) and not children(layer)


def small_inputs(layer: keras.layers.Layer) -> np.ndarray:
    """Returns inputs as small as a layer allows; none is zero."""
    shape = _built_shape(layer)
    sizes = list(SHAPES[3 if shape is None else len(shape)])
    fixed = getattr(layer, "noise_shape", None) or ()
    if shape is not None and layer.weights:
        fixed = (None, *shape[1:])
    if len(fixed) == len(sizes):
        sizes = [
            int(new) if new and new > 1 else old
            for old, new in zip(sizes, fixed, strict=True)
        ]
    generator = np.random.default_rng(0)
    return generator.uniform(0.5, 1.5, sizes).astype("float32")


def features(source: Source) -> int | None:
    """Returns the size of a layer's last axis in the model, if known."""
    shape = _built_shape(source.layer)
    return None if shape is None else shape[-1]


def _built_shape(layer):
    try:
        shape = layer.input.shape
    except (AttributeError, ValueError):
        # It was never called in a graph, or in several places.
        shape = (layer.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, (list, tuple)) or len(shape) not in SHAPES:
        return None
    sizes = all(size is None or isinstance(size, int) for size in shape)
    return tuple(shape) if sizes else None


def built_shape(source: Source) -> tuple | None:
    """Returns the shape of a layer's input in the model, if known."""
    return _built_shape(source.layer)


def _callable(layer):
    """What to probe: a Lambda's function needs no config to be copied."""
    if isinstance(layer, keras.layers.Lambda):
        function = functools.partial(layer.function, **(layer.arguments or {}))
        function.__name__ = "Lambda"
        return function
    return layer


def _is_random(subject, x):
    if isinstance(subject, keras.layers.Layer):
        copy = experiments.clone(subject)
        one, other = (experiments.outputs(copy, x, True) for _ in range(2))
    else:
        one, other = (np.asarray(subject(keras.ops.array(x))) for _ in "ab")
    return not np.array_equal(one, other)


def _probed(subject, layer, x):
    """The probe's report, or why there is none."""
    try:
        if is_recurrent(layer):
            return probe(subject), ""
        try:
            return probe(subject, x), ""
        except ValueError:
            return probe(subject), ""
    except Exception as error:
        return None, first_line(error)


def _essence(value, resized):
    """A config without what the noise does not depend on."""
    if isinstance(value, (list, tuple)):
        return [_essence(each, resized) for each in value]
    if not isinstance(value, dict):
        return value
    left = {}
    for key, each in value.items():
        if key in _NAMES:
            continue
        if resized and (key in _RESIZED or key.endswith(_ENDINGS)):
            continue
        # Which seed does not matter, but whether there is one.
        left[key] = each is None if key == "seed" else _essence(each, resized)
    return left
