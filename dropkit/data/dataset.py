"""What all data sets have."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Dataset:
    """A data set in memory; printing it shows its card.

    Args:
        name: What the data are, in a few words.
        x: Float32 array, one example a row.
        y: Array with one target an example, or `None`.
        columns: Names along the last axis of `x`; empty for images.
        classes: Names of the classes, in the order of `y`; else empty.
        source: Where the file comes from, with the version.
        license: The license as the source states it; the full text stands
            in `LICENSE.txt` beside the file.
    """

    name: str
    x: np.ndarray
    y: np.ndarray | None = None
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    source: str
    license: str

    def __repr__(self) -> str:
        lines = [self.name, f"  x: {self.x.dtype} {self.x.shape}"]
        if self.y is not None:
            lines.append(f"  y: {self.y.dtype} {self.y.shape}")
        if self.columns:
            lines.append(f"  columns: {', '.join(self.columns)}")
        if self.classes:
            lines.append(f"  classes: {', '.join(self.classes)}")
        lines += [f"  source: {self.source}", f"  license: {self.license}"]
        return "\n".join(lines)
