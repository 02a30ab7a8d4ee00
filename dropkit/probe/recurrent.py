"""Level 2: recurrent layers, whose sites are inside.

A layer's weights are set so that each site can be read from its outputs; see
:mod:`dropkit.probe.cells`.
"""

from __future__ import annotations

import contextlib

import keras
import numpy as np

from dropkit.probe import cells
from dropkit.probe.activation import Unreadable
from dropkit.probe.field import Field
from dropkit.probe.finding import KEPT
from dropkit.probe.layouts import (
    HALF,
    READ_IN,
    adapter_class,
    directions,
    kind_of,
    reading_copy,
)
from dropkit.probe.subject import Subject, restored

BATCH, TIME, FEATURES = 6, 3, 16
SPACE = (2, 3)


class Recurrent:
    """A recurrent layer, ready for experiments.

    Args:
        layer: The user's layer.
        in_place: Whether to rewire that layer itself.
        mode: How to run it; see :class:`Subject`.
    Raises:
        Unreadable: if its sites cannot be read.
        ValueError: if it cannot be cloned.
    """

    def __init__(self, layer, in_place: bool = False, mode: str = "eager"):
        self.kind = kind_of(layer)
        if in_place:
            if not layer.built:
                raise ValueError(
                    "in_place=True needs a built layer: call it once. "
                    f"Received: layer={layer!r}"
                )
            if layer.compute_dtype in HALF:
                raise Unreadable(
                    f"it computes in {layer.compute_dtype}, which is too "
                    f"coarse to read; a copy would compute in {READ_IN}"
                )
            self.layer = layer
        else:
            self.layer = reading_copy(layer, self.kind, FEATURES)
        self._parts = directions(self.layer)
        self._is_convolution = self.kind == "ConvLSTM"
        if self._is_convolution and in_place:
            raise Unreadable("a ConvLSTM can be read only in a clone")
        cell = getattr(self._parts[0], "cell", self._parts[0])
        self._space = ()
        if self._is_convolution:
            self._space = SPACE[: cell.rank] + (2,) * (cell.rank - 2)
        with self._showing_all():
            if not in_place:
                self.layer.build(self._inputs(FEATURES).shape)
        weights = [w for part in self._parts for w in part.weights]
        if len(weights) != 3 * len(self._parts):
            raise Unreadable(
                f"it has {len(weights)} weights, not a kernel, a recurrent "
                "kernel and a bias"
            )
        self._weights = weights
        features = int(np.prod(weights[0].shape[:-1]))
        units = int(weights[1].shape[-2])
        adapter = adapter_class(self.kind, getattr(cell, "reset_after", True))
        gates = len(adapter.gates)
        if tuple(weights[1].shape[-2:]) != (units, gates * units):
            raise Unreadable(
                f"its recurrent kernel has the shape {weights[1].shape}, not "
                f"(units, {gates} * units)"
            )
        self.cell = adapter(
            features,
            units,
            cell.activation,
            getattr(cell, "recurrent_activation", None),
        )
        self._features = features
        self.set_mode(mode)

    def set_mode(self, mode: str) -> None:
        """Runs in another mode from now on."""
        self.subject = Subject(self.layer, mode)
        self._is_still_inside = False

    @contextlib.contextmanager
    def _showing_all(self):
        """Inside, the layer returns all steps and its last states."""
        wanted = {
            "return_sequences": True,
            "return_state": True,
            "stateful": False,
            "merge_mode": "concat",
        }
        saved = []
        for part in {id(p): p for p in (self.layer, *self._parts)}.values():
            for name, value in wanted.items():
                if hasattr(part, name):
                    saved.append((part, name, getattr(part, name)))
                    setattr(part, name, value)
        try:
            yield
        finally:
            for part, name, value in saved:
                setattr(part, name, value)

    def _inputs(self, features, ramp=False):
        values = self.ramp if ramp else np.ones(TIME)
        shape = (BATCH, TIME, *self._space, features)
        x = np.ones(shape) * values.reshape((1, TIME) + (1,) * len(shape[2:]))
        return x.astype("float32")

    @property
    def ramp(self):
        """Inputs that grow with time."""
        return 2 * (1 + np.arange(TIME)) / TIME

    def observe(self, training: bool, seeds=None) -> dict:
        """Runs all experiments; from the same seeds, if given.

        Args:
            training: Whether the layer is in training mode.
            seeds: A random state of the subject. Default: the present one.
        Returns:
            ``{experiment: (outputs, last states)}``, time first, units last.
        """
        seeds = self.subject.seeds() if seeds is None else seeds
        guard = restored(self.layer)
        runs = {}
        with guard, self._showing_all():
            for name in self.cell.experiments:
                # Where the first call found nothing inside the units, the
                # others need not look again.
                if name in cells.INSIDE and training and self._is_still_inside:
                    continue
                self.subject.replay(seeds)
                runs[name] = self._run(getattr(self.cell, name)(), training)
            after = self.subject.seeds()
        if training and not self._is_still_inside:
            self._is_still_inside = not self._inside(runs).found()
        self.subject.replay(after)
        return runs

    def _run(self, run, training):
        count = len(self._parts)
        for k, variable in enumerate(self._weights):
            value = run.weights[k % 3]
            variable.assign(value.reshape(variable.shape))
        states = [
            np.broadcast_to(s, (BATCH, *self._space, len(s))).astype("float32")
            for s in run.states
        ] * count
        result = self.subject(
            self._inputs(self._features, run.ramp),
            initial_state=[keras.ops.convert_to_tensor(s) for s in states],
            training=training,
        )
        y, *last = [np.asarray(r, "float64") for r in result]
        outputs = np.split(y, count, axis=-1)
        for k, part in enumerate(self._parts):
            # Bidirectional turns the backward outputs round.
            if part.go_backwards and count == 2:
                outputs[k] = outputs[k][:, ::-1]
        outputs = np.moveaxis(np.stack(outputs), 2, 0)
        states = len(last) // count
        last = [
            np.stack([last[k * states + s] for k in range(count)])
            for s in range(states)
        ]
        return outputs, last

    def _ramps(self):
        """The ramp as each direction sees it, time first."""
        ramps = [
            self.ramp[::-1] if part.go_backwards else self.ramp
            for part in self._parts
        ]
        ramps = np.stack(ramps, axis=1)
        return ramps.reshape(ramps.shape + (1,) * (2 + len(self._space)))

    def _inside(self, runs):
        if "hold" not in runs:
            return cells.Inside()
        return self.cell.inside(runs, self._ramps())

    def fields(self, observed: list[dict]) -> dict[str, Field]:
        """Returns the multipliers of every site.

        Args:
            observed: One result of :meth:`observe` for each call.
        """
        by_call = []
        for runs in observed:
            known = self._inside(runs)
            values = {
                **self.cell.multipliers(runs, known),
                **known.found(),
            }
            by_call.append(values)
        names = sorted({name for values in by_call for name in values})
        return {
            name: self._field(name, [values.get(name) for values in by_call])
            for name in names
        }

    def _field(self, name, values):
        shape = next(v.shape for v in values if v is not None)
        neutral = np.full(shape, 0.0 if name in KEPT else 1.0)
        values = [neutral if v is None else v for v in values]
        space = ("row", "column", "depth")[: len(self._space)]
        axes = ("call", "time", "direction", "sample", *space)
        if name in ("input", "state"):
            axes += ("gate", "reader", "feature")
        else:
            axes += ("feature",)
        return Field(axes, np.stack(values), cells.TOLERANCE)
