"""The weight layouts of a GRU, reset after and reset before."""

from __future__ import annotations

import numpy as np

from dropkit.probe.cells.base import (
    GAIN,
    READERS,
    START,
    TOLERANCE,
    WRITE,
    Cell,
    Run,
)
from dropkit.probe.cells.inside import (
    LEAST,
    Inside,
    before,
    differs,
    divide,
    reaches_all,
)


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
        if differs(y, 1, TOLERANCE):
            if differs(last_state, 1, TOLERANCE):
                carried = divide(y, before(y, 1.0))
                written = runs["write"][0] / self.act.at(WRITE)
                is_new = reaches_all(carried, written, TOLERANCE)
                setattr(known, "hidden" if is_new else "carry", carried)
            else:
                known.output = y
        y, _ = runs["modulate"]
        known.keep_state = self.kept(
            y, known, ramp, lambda x: self.act.at(self.act.offset + x)
        )
        y, _ = runs["write"]
        new = self.new_state(y, known, START)
        candidate = new / self.act.at(WRITE)
        if differs(candidate, 1, 2 * TOLERANCE):
            known.candidate = candidate
        return known

    def readings(self, runs, known):
        y, _ = runs["read"]
        new = self.new_state(y, known, 1.0)
        old = known.carry * before(divide(y, known.output), 1.0)
        own = divide(new, known.candidate, LEAST)
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
        recurrent[holders, 2, self._witnesses] = GAIN
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
            own = divide(new, known.candidate, LEAST)[..., self._witnesses]
            seen.append(self.act.inverse(own) - self.act.offset)
        reset = np.full(readings["z"].shape, np.nan)
        reset[..., self.both(1)] = self.gate.inverse(divide(*seen, LEAST))
        readings["r"] = reset - self.gate.offset
        return readings
