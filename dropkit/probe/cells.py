"""Cells: how weights isolate one site, and how it is computed back.

One class for each weight layout. They know shapes, the order of the gates and
the cell's equations, and nothing about dropout. The units of a probed layer
are readers: all but one of a unit's gates are held open (1) or closed (0) by
its biases, so that its output is an invertible function of one multiplier.

Outputs have the time axis first and the units last. All experiments of a cell
are calls of the same layer with other weights; where they share their draws,
what acts inside the units can be corrected for.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from dropkit.probe.activation import Activation, Unreadable

READERS = 2
# The gain of a reading unit. Small, so that multipliers up to 100 can be
# inverted; larger in half precision, which resolves less.
GAIN = {"float16": 0.5, "bfloat16": 0.5}
# Initial state where each step must differ from the one before; exact in half
# precision too.
START = 0.0625
WRITE = 0.5
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


@dataclasses.dataclass
class Inside:
    """What acts inside each unit: 1 or 0 where nothing does.

    Args:
        hidden: Multiplier of the new state on its way to everything.
        output: Multiplier of the output alone.
        candidate: Multiplier of the candidate.
        cell: Multiplier of the new cell.
        keep_state: Fraction of the old state that is kept.
        keep_cell: Fraction of the old cell that is kept.
        shows_kept: Whether the state is computed from the cell after zoneout.
    """

    hidden: np.ndarray | float = 1.0
    output: np.ndarray | float = 1.0
    candidate: np.ndarray | float = 1.0
    cell: np.ndarray | float = 1.0
    keep_state: np.ndarray | float = 0.0
    keep_cell: np.ndarray | float = 0.0
    shows_kept: bool = False

    def found(self) -> dict[str, np.ndarray]:
        """The sites where something acts."""
        sites = {f.name: getattr(self, f.name) for f in _SITES}
        return {name: v for name, v in sites.items() if np.ndim(v)}


_SITES = [f for f in dataclasses.fields(Inside) if f.name != "shows_kept"]


def before(values: np.ndarray, first) -> np.ndarray:
    """The values before each step; ``first`` is the one before all."""
    start = np.broadcast_to(first, values[:1].shape)
    return np.concatenate([start, values[:-1]])


def divide(a, b) -> np.ndarray:
    """``a / b``, NaN where ``b`` is 0."""
    a, b = np.broadcast_arrays(a, b)
    result = np.full(a.shape, np.nan)
    np.divide(a, b, out=result, where=np.abs(b) > 1e-6)
    return result


def unmix(seen, keep, first) -> np.ndarray:
    """The new values where ``keep`` of the old ones was mixed in."""
    if not np.ndim(keep):
        return seen
    return divide(seen - keep * before(seen, first), 1 - keep)


def differs(values, expected, tolerance) -> bool:
    """Whether any value that was read is another one."""
    values = values[np.isfinite(values)]
    return bool((np.abs(values - expected) > tolerance).any())


class Cell:
    """A weight layout; see the subclasses.

    Args:
        features: Number of input features.
        units: Number of units that the layer has.
        activation: The layer's activation, a function of tensors.
        gate_activation: That of the gates.
        dtype: The layer's compute dtype.
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
        dtype: str = "float32",
    ):
        self.act = Activation(activation)
        if gate_activation is not None:
            self.gate = Activation(gate_activation)
        self.features, self.units = features, units
        half = dtype in GAIN
        self.gain = GAIN.get(dtype, 0.1)
        self.tolerance = 0.1 if half else 2e-3
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
                kernel[place, gate, units] = self.gain
            for units in self.readers(1, gate):
                recurrent[place, gate, units] = self.gain / source_state

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
                value = value / self.gain
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

    def kept(self, y, known: Inside, predicted) -> np.ndarray | float:
        """Fraction of the old state, where the new one differs each step."""
        state = divide(divide(y, known.output), known.hidden)
        old = before(state, START)
        keep = divide(state - predicted, old - predicted)
        read = keep[np.isfinite(keep)]
        if not read.size:
            return keep
        if np.ptp(read) > max(1e-2, 2 * self.tolerance):
            # The inputs are noisy, so the new state is unknown; the old is
            # not. Two zeros say nothing.
            same = np.abs(state - old) <= 1e-6
            zero = np.abs(state) <= 1e-6
            keep = np.where(same & zero, np.nan, same.astype(float))
        return keep if differs(keep, 0, 2 * self.tolerance) else 0.0


class LSTM(Cell):
    """``c = f c + i g``, ``h = o act(c)``; gates in the order i, f, c, o."""

    gates = ("i", "f", "c", "o")
    experiments = ("hold", "modulate", "decay", "write", "read")
    states = 2
    decay_bias = 1.0

    @property
    def source_state(self) -> float:
        """The state of a unit whose cell is 1 and whose output is open."""
        return self.act.at(1.0)

    def hold(self) -> Run:
        """The cell keeps 1, the output is open."""
        weights = self.blank(
            i=self.gate.closed, f=self.gate.open, o=self.gate.open
        )
        return self.run(*weights, self.source_state, 1.0)

    def modulate(self) -> Run:
        """As hold, but the output gate follows the growing inputs."""
        kernel, recurrent, bias = self.blank(
            i=self.gate.closed, f=self.gate.open, o=self.gate.offset
        )
        kernel[:, 3] = self.shares
        return self.run(kernel, recurrent, bias, START, 1.0, ramp=True)

    def decay(self) -> Run:
        """The cell decays by a known factor."""
        weights = self.blank(
            i=self.gate.closed, f=self.decay_bias, o=self.gate.open
        )
        return self.run(*weights, self.source_state, 1.0)

    def write(self) -> Run:
        """The cell is a constant candidate."""
        weights = self.blank(
            i=self.gate.open, f=self.gate.closed, c=WRITE, o=self.gate.open
        )
        return self.run(*weights, self.source_state, 1.0)

    def read(self) -> Run:
        """Each unit reads one entry of the input or of the state."""
        kernel, recurrent, bias = self.blank(
            i=self.gate.closed, f=self.gate.open, o=self.gate.open
        )
        self.wire(kernel, recurrent, self.source_state)
        i, f, c, o = map(self.both, range(4))
        bias[:3, i] = [[self.gate.offset], [self.gate.closed], [WRITE]]
        bias[1, f] = self.decay_bias
        bias[:3, c] = [
            [self.gate.open],
            [self.gate.closed],
            [self.act.offset],
        ]
        bias[3, o] = self.gate.offset
        return self.run(kernel, recurrent, bias, self.source_state, 1.0)

    def inside(self, runs, ramp):
        known = Inside()
        y, (last_state, last_cell) = runs["hold"]
        cells = self.act.inverse(y)
        if differs(last_cell, 1, self.tolerance):
            known.cell = divide(cells, before(cells, 1.0))
        elif differs(y, self.source_state, self.tolerance):
            own = differs(y[-1] - last_state, 0, self.tolerance)
            multiplier = divide(y, self.source_state)
            setattr(known, "output" if own else "hidden", multiplier)

        held = self._held(y, known)
        y, _ = runs["modulate"]
        new = self.gate.at(self.gate.offset + ramp) * self.act.at(held)
        known.keep_state = self.kept(y, known, new)

        y, (_, last_cell) = runs["decay"]
        seen = self.act.inverse(self.new_state(y, known, self.source_state))
        factor = self.gate.at(self.decay_bias) * known.cell
        one_step = np.broadcast_to(factor, seen.shape)[0]
        known.shows_kept = differs(seen[0] - one_step, 0, self.tolerance)
        if known.shows_kept:
            carried = seen
        else:
            carried = divide(seen, factor)[1:]
            carried = np.concatenate([carried, last_cell[None]])
        old = before(carried, 1.0)
        keep = divide(carried - factor * old, old * (1 - factor))
        known.keep_cell = keep if differs(keep, 0, 2 * self.tolerance) else 0.0

        y, _ = runs["write"]
        new = divide(self._new_cell(y, known), known.cell)
        candidate = new / self.act.at(WRITE)
        if differs(candidate, 1, 2 * self.tolerance):
            known.candidate = candidate
        return known

    def _held(self, like, known):
        """The cell of a unit that holds 1."""
        return np.cumprod(np.broadcast_to(known.cell, like.shape), axis=0)

    def _new_cell(self, y, known):
        """The cell before zoneout."""
        seen = self.act.inverse(self.new_state(y, known, self.source_state))
        return unmix(seen, known.keep_cell, 1.0) if known.shows_kept else seen

    def _carried(self, new, known):
        """The cell after zoneout."""
        if not np.ndim(known.keep_cell):
            return new
        steps, cell = [], 1.0
        for fresh, keep in zip(new, known.keep_cell, strict=True):
            # A cell that is kept whole does not depend on what was not read.
            mixed = keep * cell + (1 - keep) * fresh
            cell = np.where(keep > 1 - 1e-3, cell, mixed)
            steps.append(cell)
        return np.stack(steps)

    def readings(self, runs, known):
        y, _ = runs["read"]
        new = self._new_cell(y, known)
        own = divide(new, known.cell * known.candidate)
        state = self.new_state(y, known, self.source_state)
        carried = before(self._carried(new, known), 1.0)
        forget = divide(new, known.cell * carried)
        out = divide(state, self.act.at(self._held(y, known)))
        gate, act = self.gate, self.act
        return {
            "i": gate.inverse(own / act.at(WRITE)) - gate.offset,
            "f": gate.inverse(forget) - self.decay_bias,
            "c": act.inverse(own) - act.offset,
            "o": gate.inverse(out) - gate.offset,
        }


class GRU(Cell):
    """``h = z h + (1 - z) g``; gates in the order z, r, h; reset after."""

    gates = ("z", "r", "h")
    experiments = ("hold", "modulate", "write", "read")
    decay_bias = 1.0
    source_state = 1.0

    def flat_bias(self, bias):
        recurrent = np.zeros_like(bias)
        # The reset gate multiplies this, and nothing else that is constant.
        recurrent[2, self.both(1)] = 1.0
        return np.stack([bias.reshape(-1), recurrent.reshape(-1)])

    def hold(self) -> Run:
        """The state keeps 1."""
        return self.run(*self.blank(z=self.gate.open), 1.0)

    def modulate(self) -> Run:
        """The state is a candidate that follows the growing inputs."""
        kernel, recurrent, bias = self.blank(
            z=self.gate.closed, r=self.gate.closed, h=self.act.offset
        )
        kernel[:, 2] = self.shares
        return self.run(kernel, recurrent, bias, START, ramp=True)

    def write(self) -> Run:
        """The state is a constant candidate."""
        weights = self.blank(z=self.gate.closed, r=self.gate.closed, h=WRITE)
        return self.run(*weights, START)

    def read(self) -> Run:
        """Each unit reads one entry of the input or of the state."""
        kernel, recurrent, bias = self.blank(z=self.gate.open, r=self.gate.open)
        self.wire(kernel, recurrent, 1.0)
        z, r, h = map(self.both, range(3))
        bias[0, z] = self.decay_bias
        bias[:2, r] = [[self.gate.closed], [self.gate.offset]]
        bias[0, h], bias[2, h] = self.gate.closed, self.act.offset
        return self.run(kernel, recurrent, bias, 1.0)

    def inside(self, runs, ramp):
        known = Inside()
        y, (last_state,) = runs["hold"]
        if differs(y, 1, self.tolerance):
            if differs(last_state, 1, self.tolerance):
                known.hidden = divide(y, before(y, 1.0))
            else:
                known.output = y
        y, _ = runs["modulate"]
        known.keep_state = self.kept(
            y, known, self.act.at(self.act.offset + ramp)
        )
        y, _ = runs["write"]
        new = self.new_state(y, known, START)
        candidate = new / self.act.at(WRITE)
        if differs(candidate, 1, 2 * self.tolerance):
            known.candidate = candidate
        return known

    def readings(self, runs, known):
        y, _ = runs["read"]
        new = self.new_state(y, known, 1.0)
        old = before(divide(y, known.output), 1.0)
        own = divide(new, known.candidate)
        gate, act = self.gate, self.act
        return {
            "z": gate.inverse(divide(new, old)) - self.decay_bias,
            "r": gate.inverse(act.inverse(own)) - gate.offset,
            "h": act.inverse(own) - act.offset,
        }


class GRUResetBefore(GRU):
    """The GRU whose reset gate multiplies the state before the product.

    The reset gate of a unit is seen only by other units, through the state
    that it multiplies. So the readers of this gate hold a state of 1 and have
    a witness each; what multiplies their state is read in a run of its own.
    """

    experiments = ("hold", "modulate", "write", "calibrate", "read")

    @classmethod
    def groups(cls):
        return super().groups() + 2 * READERS

    @property
    def _witnesses(self):
        last = super().groups() * self.size
        return last + np.arange(2 * READERS * self.size)

    def flat_bias(self, bias):
        return bias.reshape(-1)

    def _wired(self, reset_bias):
        run = super().read()
        kernel, recurrent, bias = (
            w.reshape(-1, 3, self.units) for w in run.weights
        )
        holders = self.both(1)
        bias[0, 0, holders] = self.gate.open
        bias[0, 1, holders] = reset_bias
        bias[0, 0, self._witnesses] = self.gate.closed
        bias[0, 2, self._witnesses] = self.act.offset
        recurrent[holders, 2, self._witnesses] = self.gain
        return kernel, recurrent, bias[0], holders

    def calibrate(self) -> Run:
        """The witnesses' run with all reset gates open."""
        kernel, recurrent, bias, holders = self._wired(self.gate.open)
        kernel[:, 1, holders] = 0
        recurrent[:, 1, holders] = 0
        return self.run(kernel, recurrent, bias, 1.0)

    def read(self) -> Run:
        """Each unit reads one entry, the holders' through their witnesses."""
        kernel, recurrent, bias, _ = self._wired(self.gate.offset)
        return self.run(kernel, recurrent, bias, 1.0)

    def readings(self, runs, known):
        readings = super().readings(runs, known)
        seen = []
        for name in ("read", "calibrate"):
            new = self.new_state(runs[name][0], known, 1.0)
            own = divide(new, known.candidate)[..., self._witnesses]
            seen.append(self.act.inverse(own) - self.act.offset)
        reset = np.full(readings["z"].shape, np.nan)
        reset[..., self.both(1)] = self.gate.inverse(divide(*seen))
        readings["r"] = reset - self.gate.offset
        return readings


class SimpleRNN(Cell):
    """``h = act(x W + h U + b)``."""

    gates = ("h",)
    experiments = ("hold", "modulate", "read")

    @property
    def source_state(self) -> float:
        """The state of a unit that is held open."""
        return 1.0

    def hold(self) -> Run:
        """The state is the same at each step."""
        return self.run(*self.blank(h=self.act.open), 1.0)

    def modulate(self) -> Run:
        """The state follows the growing inputs."""
        kernel, recurrent, bias = self.blank(h=self.act.offset)
        kernel[:, 0] = self.shares
        return self.run(kernel, recurrent, bias, START, ramp=True)

    def read(self) -> Run:
        """Each unit reads one entry of the input or of the state."""
        kernel, recurrent, bias = self.blank(h=self.act.open)
        self.wire(kernel, recurrent, 1.0)
        bias[0, self.both(0)] = self.act.offset
        return self.run(kernel, recurrent, bias, 1.0)

    def inside(self, runs, ramp):
        known = Inside()
        y, (last_state,) = runs["hold"]
        if differs(y, 1, self.tolerance):
            own = differs(y[-1] - last_state, 0, self.tolerance)
            setattr(known, "output" if own else "hidden", y)
        y, _ = runs["modulate"]
        new = self.act.at(self.act.offset + ramp)
        known.keep_state = self.kept(y, known, new)
        return known

    def readings(self, runs, known):
        y, _ = runs["read"]
        new = self.new_state(y, known, 1.0)
        return {"h": self.act.inverse(new) - self.act.offset}
