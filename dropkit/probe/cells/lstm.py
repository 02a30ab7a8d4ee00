"""The weight layout of an LSTM."""

from __future__ import annotations

import numpy as np

from dropkit.probe.cells.base import START, TOLERANCE, WRITE, Cell, Run
from dropkit.probe.cells.inside import (
    LEAST,
    Inside,
    before,
    differs,
    divide,
    reaches_all,
    unmix,
)


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
        if differs(last_cell, 1, TOLERANCE):
            carried = divide(cells, before(cells, 1.0))
            written = self.act.inverse(runs["write"][0]) / self.act.at(WRITE)
            is_new = reaches_all(carried, written, TOLERANCE)
            setattr(known, "cell" if is_new else "carry", carried)
        elif differs(y, self.source_state, TOLERANCE):
            own = differs(y[-1] - last_state, 0, TOLERANCE)
            multiplier = divide(y, self.source_state)
            setattr(known, "output" if own else "hidden", multiplier)

        held = self._held(y, known)
        y, _ = runs["modulate"]
        shown = self.act.at(held)
        known.keep_state = self.kept(
            y, known, ramp, lambda x: self.gate.at(self.gate.offset + x) * shown
        )

        y, (_, last_cell) = runs["decay"]
        seen = self.act.inverse(self.new_state(y, known, self.source_state))
        factor = self.gate.at(self.decay_bias) * known.cell * known.carry
        one_step = np.broadcast_to(factor, seen.shape)[0]
        known.shows_kept = differs(seen[0] - one_step, 0, TOLERANCE)
        if known.shows_kept:
            carried = seen
        else:
            carried = divide(seen, factor)[1:]
            carried = np.concatenate([carried, last_cell[None]])
        old = before(carried, 1.0)
        keep = divide(carried - factor * old, old * (1 - factor))
        known.keep_cell = keep if differs(keep, 0, 2 * TOLERANCE) else 0.0

        y, _ = runs["write"]
        new = divide(self._new_cell(y, known), known.cell)
        candidate = new / self.act.at(WRITE)
        if differs(candidate, 1, 2 * TOLERANCE):
            known.candidate = candidate
        return known

    def _held(self, like, known):
        """The cell of a unit that holds 1."""
        kept = known.cell * known.carry
        return np.cumprod(np.broadcast_to(kept, like.shape), axis=0)

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
        own = divide(new, known.cell * known.candidate, LEAST)
        state = self.new_state(y, known, self.source_state)
        carried = known.carry * before(self._carried(new, known), 1.0)
        forget = divide(new, known.cell * carried)
        out = divide(state, self.act.at(self._held(y, known)))
        gate, act = self.gate, self.act
        return {
            "i": gate.inverse(own / act.at(WRITE)) - gate.offset,
            "f": gate.inverse(forget) - self.decay_bias,
            "c": act.inverse(own) - act.offset,
            "o": gate.inverse(out) - gate.offset,
        }
