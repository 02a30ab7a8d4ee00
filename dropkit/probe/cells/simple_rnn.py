"""The weight layout of a SimpleRNN."""

from __future__ import annotations

from dropkit.probe.cells.base import START, TOLERANCE, Cell, Run
from dropkit.probe.cells.inside import Inside, differs


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
        if differs(y, 1, TOLERANCE):
            own = differs(y[-1] - last_state, 0, TOLERANCE)
            setattr(known, "output" if own else "hidden", y)
        y, _ = runs["modulate"]
        known.keep_state = self.kept(
            y, known, ramp, lambda x: self.act.at(self.act.offset + x)
        )
        return known

    def readings(self, runs, known):
        y, _ = runs["read"]
        new = self.new_state(y, known, 1.0)
        return {"h": self.act.inverse(new) - self.act.offset}
