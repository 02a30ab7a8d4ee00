"""What acts inside the units, and the arithmetic that finds it."""

from __future__ import annotations

import dataclasses

import numpy as np

# A closed gate lets 2e-9 of the old value through, and reading a gate enlarges
# errors a hundredfold: behind a smaller multiplier they would show.
LEAST = 1e-3


@dataclasses.dataclass
class Inside:
    """What acts inside each unit: 1 or 0 where nothing does.

    Args:
        hidden: Multiplier of the new state on its way to everything.
        output: Multiplier of the output alone.
        candidate: Multiplier of the candidate.
        cell: Multiplier of the new cell.
        carry: Multiplier of the old state (GRU) or cell (LSTM) on its way
            through the gate that carries it over.
        keep_state: Fraction of the old state that is kept.
        keep_cell: Fraction of the old cell that is kept.
        shows_kept: Whether the state is computed from the cell after zoneout.
    """

    hidden: np.ndarray | float = 1.0
    output: np.ndarray | float = 1.0
    candidate: np.ndarray | float = 1.0
    cell: np.ndarray | float = 1.0
    carry: np.ndarray | float = 1.0
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


def divide(a, b, least: float = 1e-6) -> np.ndarray:
    """``a / b``, NaN where ``b`` is 0 or smaller than ``least``."""
    a, b = np.broadcast_arrays(a, b)
    result = np.full(a.shape, np.nan)
    np.divide(a, b, out=result, where=np.abs(b) > least)
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


def reaches_all(carried, written, tolerance) -> bool:
    """Whether what multiplies a carried value multiplies the written one too.

    Then it acts on the sum of both, the new value.

    Args:
        carried: Multipliers read where the old value is carried over whole.
        written: Those read where a new value replaces it.
        tolerance: Error of reading.
    """
    dropped = np.abs(carried) <= tolerance
    if dropped.any():
        # The new value may have a candidate with noise of its own.
        return not differs(written[dropped], 0, 2 * tolerance)
    return not differs(divide(written, carried), 1, 2 * tolerance)
