"""Fields: multipliers that were read out, as arrays with named axes.

Sharing is nothing but a question about such an array: along which axes is it
constant? The answer says how sure it is.
"""

from __future__ import annotations

import dataclasses

import numpy as np

# A category is stated only if chance would give the same picture in fewer
# than one of a million measurements.
CHANCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Field:
    """Multipliers of one site, read out of a layer.

    Args:
        axes: Name of each axis; the first is ``"call"``.
        values: The multipliers; NaN where one could not be read.
        tolerance: Error of reading: closer values count as equal.
    """

    axes: tuple[str, ...]
    values: np.ndarray
    tolerance: float = 2e-3

    @property
    def count(self) -> int:
        """Number of multipliers that were read."""
        return int(np.isfinite(self.values).sum())

    def equal(self, a, b) -> np.ndarray:
        """Whether two values are the same, as far as reading can tell."""
        scale = np.maximum(1, np.maximum(np.abs(a), np.abs(b)))
        return np.abs(a - b) <= self.tolerance * scale

    @property
    def is_identity(self) -> bool:
        """Whether all that was read is 1."""
        values = self.values[np.isfinite(self.values)]
        return bool(self.equal(values, 1.0).all())

    def without(self, axis: str) -> Field:
        """The field with one representative along a constant axis."""
        place = self.axes.index(axis)
        valid = np.isfinite(self.values)
        first = np.expand_dims(valid.argmax(axis=place), place)
        values = np.take_along_axis(self.values, first, place)
        axes = self.axes[:place] + self.axes[place + 1 :]
        return dataclasses.replace(
            self, axes=axes, values=values.squeeze(place)
        )

    def is_constant(self, axis: str) -> bool:
        """Whether no two values differ along an axis."""
        low, high = self._range(axis)
        return bool(self.equal(low, high)[np.isfinite(low)].all())

    def _range(self, axis):
        place = self.axes.index(axis)
        low = np.where(np.isfinite(self.values), self.values, np.inf)
        high = np.where(np.isfinite(self.values), self.values, -np.inf)
        low, high = low.min(axis=place), high.max(axis=place)
        return np.where(low > high, np.nan, low), high


@dataclasses.dataclass(frozen=True)
class Sharing:
    """Which axes share one draw, and the draws that are left.

    Args:
        axes: ``{axis: "shared" | "own" | "undetermined: why"}``.
        draws: The field with one representative along each shared axis.
    """

    axes: dict[str, str]
    draws: Field


def sharing(field: Field) -> Sharing:
    """Returns the axes along which a field shares its draws.

    An axis is ``"own"`` if two values differ along it. It is ``"shared"`` if
    none do and independent draws would all have agreed with a probability
    below :data:`CHANCE`; otherwise it is undetermined.

    Args:
        field: The multipliers.
    Returns:
        A :class:`Sharing`; axes of size 1 are left out.
    Example:
        >>> mask = np.random.default_rng(0).integers(0, 2, (2, 1, 40)) * 2.0
        >>> masks = Field(("call", "time", "feature"), mask.repeat(5, axis=1))
        >>> sharing(masks).axes
        {'call': 'own', 'time': 'shared', 'feature': 'own'}
    """
    sizes = dict(zip(field.axes, field.values.shape, strict=True))
    constant = [axis for axis in field.axes if field.is_constant(axis)]
    draws = field
    for axis in constant:
        draws = draws.without(axis)
    verdicts = {}
    for axis in field.axes:
        if sizes[axis] == 1:
            continue
        if axis not in constant:
            verdicts[axis] = "own"
            continue
        others = field
        for other in constant:
            if other != axis:
                others = others.without(other)
        chance = _chance_of_agreement(others, axis)
        if chance <= CHANCE:
            verdicts[axis] = "shared"
        else:
            verdicts[axis] = (
                "undetermined: independent draws would agree by chance with "
                f"probability {chance:.1g}"
            )
    return Sharing(verdicts, draws)


def _chance_of_agreement(field: Field, axis: str) -> float:
    """Probability that independent draws agree along an axis everywhere."""
    values = np.moveaxis(field.values, field.axes.index(axis), -1)
    values = values.reshape(-1, values.shape[-1])
    valid = np.isfinite(values)
    first = values[np.arange(len(values)), valid.argmax(axis=1)]
    first, read = first[valid.any(axis=1)], valid.sum(axis=1)
    read = read[valid.any(axis=1)]
    if not (read > 1).any():
        return 1.0
    kinds = np.round(first / (4 * field.tolerance))
    found, place, counts = np.unique(
        kinds, return_inverse=True, return_counts=True
    )
    if len(found) == 1:
        return 1.0
    shares = counts / counts.sum()
    # All entries of a cell take one of the values, whichever it is.
    agree = (shares[:, None] ** read[None]).sum(axis=0)
    return float(np.exp(np.log(agree).sum()))
