"""The base of all weight layouts: readers, runs, multipliers."""

from __future__ import annotations

import dataclasses

import numpy as np

from dropkit.probe.activation import Activation, Unreadable
from dropkit.probe.cells.inside import Inside, before, differs, divide, unmix

READERS = 2
# The gain of a reading unit. Small, so that multipliers up to 100 can be
# inverted.
GAIN = 0.1
# Error of a multiplier that is read in float32.
TOLERANCE = 2e-3
# Initial state where each step must differ from the one before.
START = 0.0625
# Small, so that multipliers up to 20 do not saturate it.
WRITE = 0.2
# The experiments that look for what acts inside the units.
INSIDE = ("hold", "modulate", "decay", "write")


@dataclasses.dataclass
class Run:
    """An experiment, ready to run.

    Args:
        weights: The layer's weights.
        states: Initial value of each state, for each unit.
        ramp: Whether the inputs grow with time instead of being 1.
    """

    weights: list[np.ndarray]
    states: list[np.ndarray]
    ramp: bool = False


class Cell:
    """A weight layout; see the subclasses.

    Args:
        features: Number of input features.
        units: Number of units that the layer has.
        activation: The layer's activation, a function of tensors.
        gate_activation: That of the gates.
    """

    gates: tuple[str, ...]
    experiments: tuple[str, ...]
    states = 1

    def __init__(
        self,
        features: int,
        units: int,
        activation,
        gate_activation=None,
    ):
        self.act = Activation(activation)
        if gate_activation is not None:
            self.gate = Activation(gate_activation)
        self.features, self.units = features, units
        self.size = min(features, units // self.groups())
        if self.size < 1:
            raise Unreadable(
                f"the layer has {units} units, and reading its {self.gates} "
                f"gates takes {self.groups()}"
            )

    @classmethod
    def groups(cls) -> int:
        """Number of groups of units: a source, and readers of each gate."""
        return 1 + 2 * READERS * len(cls.gates)

    def readers(self, site: int, gate: int) -> np.ndarray:
        """The units ``(reader, source)`` that read a site through a gate."""
        first = (site * len(self.gates) + gate) * READERS + 1
        units = np.arange(first * self.size, (first + READERS) * self.size)
        return units.reshape(READERS, self.size)

    def both(self, gate: int) -> np.ndarray:
        """All units that read through a gate."""
        return np.concatenate([self.readers(s, gate).ravel() for s in (0, 1)])

    def blank(self, **biases):
        """Kernels of 0, and biases that hold each gate at a value."""
        gates = len(self.gates)
        bias = np.zeros((gates, self.units))
        for gate, value in biases.items():
            bias[self.gates.index(gate)] = value
        return (
            np.zeros((self.features, gates, self.units)),
            np.zeros((self.units, gates, self.units)),
            bias,
        )

    def run(self, kernel, recurrent, bias, *states, ramp=False) -> Run:
        """Weights in the layer's layout."""
        return Run(
            [
                kernel.reshape(self.features, -1),
                recurrent.reshape(self.units, -1),
                self.flat_bias(bias),
            ],
            [np.broadcast_to(s, self.units) for s in states],
            ramp,
        )

    def flat_bias(self, bias) -> np.ndarray:
        """Biases in the layer's layout."""
        return bias.reshape(-1)

    @property
    def shares(self) -> np.ndarray:
        """Unequal weights of sum 1, ``(features, 1)``.

        With equal ones, inputs of which some are dropped would often add up
        to the sum of the step before, as if the old state were kept.
        """
        weights = np.random.default_rng(0).uniform(0.5, 1.5, self.features)
        return (weights / weights.sum())[:, None]

    def wire(self, kernel, recurrent, source_state) -> None:
        """Gives each reader its one connection."""
        place = np.arange(self.size)
        for gate in range(len(self.gates)):
            for units in self.readers(0, gate):
                kernel[place, gate, units] = GAIN
            for units in self.readers(1, gate):
                recurrent[place, gate, units] = GAIN / source_state

    def inside(self, runs: dict, ramp: np.ndarray) -> Inside:
        """Returns what acts inside the units.

        Args:
            runs: ``{experiment: (outputs, last states)}``.
            ramp: Inputs of each step of a run with a ramp.
        """
        raise NotImplementedError

    def readings(self, runs: dict, known: Inside) -> dict[str, np.ndarray]:
        """Returns, for each gate, the input of that gate of every unit."""
        raise NotImplementedError

    def multipliers(self, runs: dict, known: Inside) -> dict[str, np.ndarray]:
        """Returns ``{"input" | "state": (T, ..., gate, reader, source)}``."""
        readings = self.readings(runs, known)
        emitted = divide(runs["read"][0], known.output)[..., : self.size]
        source = before(emitted, self.source_state)
        found = {}
        for site, name in enumerate(("input", "state")):
            by_gate = []
            for gate, letter in enumerate(self.gates):
                value = readings[letter][..., self.readers(site, gate)]
                value = value / GAIN
                if name == "state":
                    held = source[..., None, :] / self.source_state
                    value = divide(value, held)
                by_gate.append(value)
            found[name] = np.stack(by_gate, axis=-3)
        return found

    def new_state(self, y, known: Inside, first):
        """The new state before zoneout and before what multiplies it."""
        state = unmix(divide(y, known.output), known.keep_state, first)
        return divide(state, known.hidden)

    def kept(self, y, known: Inside, ramp, new) -> np.ndarray | float:
        """Fraction of the old state, where the new one differs each step.

        Args:
            y: Outputs of the run.
            known: What else acts inside the units.
            ramp: Inputs of each step.
            new: Function of the inputs: the new state.
        """
        state = divide(divide(y, known.output), known.hidden)
        old = before(state, START)
        predicted = new(ramp)
        keep = divide(state - predicted, old - predicted)
        read = keep[np.isfinite(keep)]
        if not read.size:
            return keep
        if np.ptp(read) > 1e-2:
            # The inputs are noisy, so the new state is unknown; the old is
            # not. A unit that gets no input, or more than its activation
            # resolves, repeats its state without keeping it.
            still = (np.zeros(()), *(new(x * ramp) for x in (0, -100, 100)))
            silent = [np.abs(old - value) <= 1e-2 for value in still]
            unread = np.any(silent, axis=0) | ~np.isfinite(state - old)
            keep = np.where(unread, np.nan, np.abs(state - old) <= 1e-6)
            # Continuous noise may repeat a value by chance, rarely two.
            if np.count_nonzero(keep == 1) < 2:
                return 0.0
        return keep if differs(keep, 0, 2 * TOLERANCE) else 0.0
