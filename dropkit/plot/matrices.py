"""Who acts on whom: the sizes of a matrix's entries."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from dropkit.plot.style import INK, new_figure, styled, wrap

# No multiplier's color: these cells aren't multipliers.
_SIZES = LinearSegmentedColormap.from_list("sizes", ["white", INK])
_WIDTH, _GLYPHS_UP_TO = 5.6, 16


@styled
def matrices(
    panels: Mapping[str, ArrayLike],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    label: str,
    columns: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
) -> Figure:
    """Draws the absolute values of matrices, from white for 0 to dark.

    On matrices of up to 16 x 16 entries an exact 0 also carries a cross.

    Args:
        panels: Dict from a panel's name to its matrix; all of one shape.
        title: String, the finding. Long titles wrap.
        xlabel: Name of the columns.
        ylabel: Name of the rows, drawn with the first at the top.
        label: What the sizes are, for the color bar.
        columns: One name a column; default: numbers.
        rows: One name a row; default: numbers.
    Returns:
        The figure.
    Raises:
        ValueError: if `panels` is empty, mixes shapes or holds other
            arrays, or if a row or column has no name; the message ends
            `Received: ...`.
    Example:
        >>> import numpy as np
        >>> from dropkit import plot
        >>> figure = plot.matrices(
        ...     {"dense": np.ones((3, 3)), "diagonal": np.eye(3)},
        ...     title="Who acts on whom",
        ...     xlabel="from unit",
        ...     ylabel="to unit",
        ...     label="size",
        ... )
        >>> [panel.get_title(loc="left") for panel in figure.axes[:2]]
        ['dense', 'diagonal']
    """
    sizes = {k: np.abs(np.asarray(v, float)) for k, v in panels.items()}
    shapes = {name: v.shape for name, v in sizes.items()}
    if len(set(shapes.values())) != 1 or any(
        v.ndim != 2 or not v.size for v in sizes.values()
    ):
        raise ValueError(
            "Invalid value received for argument `panels`. Expected one or "
            f"more matrices of one shape. Received: shapes {shapes}"
        )
    largest = max(v.max() for v in sizes.values())
    if not np.isfinite(largest):
        raise ValueError(f"Expected finite numbers. Received: {largest}")
    height, width = next(iter(shapes.values()))
    for names, count in ((columns, width), (rows, height)):
        if names is not None and len(names) != count:
            raise ValueError(f"Expected {count} names. Received: {names}")
    text = wrap(title, _WIDTH)
    each = (_WIDTH - 0.6) / len(sizes)
    figure = new_figure(
        _WIDTH,
        min(each * height / width, 3.4) + 0.2 * text.count("\n") + 1.5,
        layout="constrained",
    )
    figure.suptitle(text, x=0.02, ha="left")
    grid = figure.subplots(1, len(sizes), squeeze=False)[0]
    for (name, values), panel in zip(sizes.items(), grid, strict=True):
        mesh = panel.pcolormesh(
            values,
            cmap=_SIZES,
            vmin=0,
            vmax=largest or 1,
            edgecolors="#DDDDDD",
            linewidth=0.5,
        )
        if max(height, width) <= _GLYPHS_UP_TO:
            y, x = np.nonzero(values == 0)
            panel.scatter(x + 0.5, y + 0.5, s=20, marker="x", color=INK)
        panel.set(title=name, aspect="equal", xlabel=xlabel)
        panel.set(xlim=(0, width), ylim=(height, 0))
        _name_ticks(panel, columns, rows)
    grid[0].set_ylabel(ylabel)
    figure.colorbar(
        mesh,
        ax=list(grid),
        location="bottom",
        label=f"{label} (white with a cross: exactly 0)",
        shrink=0.6,
        aspect=30,
    )
    return figure


def _name_ticks(
    panel: Axes, columns: Sequence[str] | None, rows: Sequence[str] | None
) -> None:
    height, width = round(panel.get_ylim()[0]), round(panel.get_xlim()[1])
    for axis, names, count in (
        (panel.xaxis, columns, width),
        (panel.yaxis, rows, height),
    ):
        if names is None:
            numbers = MaxNLocator(8, integer=True).tick_values(0, count - 1)
            places = [int(n) for n in numbers if 0 <= n < count]
            names = [str(n) for n in places]
        else:
            places = range(count)
        axis.set_ticks([place + 0.5 for place in places], names)
        axis.set_tick_params(length=0)
