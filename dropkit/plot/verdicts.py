"""Many comparisons at once: how much, and which of them are clear."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from dropkit.plot.style import INK, new_figure, styled, wrap

_WIDTH, _ROW = 6.4, 0.25
_FILLS = {"lower": INK, "higher": "#DDDDDD", "": "white"}


@styled
def verdicts(
    changes: ArrayLike,
    clear: ArrayLike,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    caption: str,
    groups: int = 1,
) -> Figure:
    """Draws a table of changes in which only the clear ones are filled.

    A clear decrease is white on dark, with a triangle that points down; a
    clear increase is on grey, with one that points up and a frame. All others
    are grey numbers on white. So no reading needs color.

    Args:
        changes: Array `(rows, columns)`, in percent.
        clear: Array of bools, likewise: whether the change is told from 0.
        rows: One name a row, the first on top.
        columns: One name a column; it may have several lines.
        title: String, the finding. Long titles wrap.
        caption: What the numbers are, and what makes one clear.
        groups: Int, into how many equal blocks of columns lines divide the
            table.
    Returns:
        The figure.
    Raises:
        ValueError: if the shapes and names don't fit, or a change isn't
            finite; the message ends `Received: ...`.
    Example:
        >>> from dropkit import plot
        >>> figure = plot.verdicts(
        ...     [[-12.0, 1.0], [30.0, -2.0]],
        ...     [[True, False], [True, False]],
        ...     rows=["Gal", "Moon"],
        ...     columns=["best epoch", "last epoch"],
        ...     title="Gal helps, Moon harms",
        ...     caption="change of the test loss in percent",
        ... )
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['\u25bc -12.0', '+1.0', '\u25b2 +30.0', '-2.0']
    """
    changes, clear = np.asarray(changes, float), np.asarray(clear, bool)
    shape = len(rows), len(columns)
    if changes.shape != shape or clear.shape != shape or not changes.size:
        raise ValueError(
            "Expected changes and verdicts for each row and column. Received: "
            f"{shape} names, shapes {changes.shape} and {clear.shape}"
        )
    if not np.isfinite(changes).all():
        raise ValueError(f"Expected finite changes. Received: {changes}")
    if groups < 1 or len(columns) % groups:
        raise ValueError(
            "Invalid value received for argument `groups`. Expected a divisor "
            f"of {len(columns)}. Received: groups={groups}"
        )
    text, note = wrap(title, _WIDTH), wrap(caption, _WIDTH, 8.5)
    lines = text.count("\n") + note.count("\n")
    lines += max(name.count("\n") for name in columns)
    figure = new_figure(
        _WIDTH, _ROW * len(rows) + 0.18 * lines + 0.9, layout="constrained"
    )
    figure.suptitle(text, x=0.02, ha="left")
    ax = figure.subplots()
    for (row, column), change in np.ndenumerate(changes):
        kind = ""
        if clear[row, column] and change:
            kind = "lower" if change < 0 else "higher"
        frame = INK if kind == "higher" else "#DDDDDD"
        ax.add_patch(
            Rectangle(
                (column + 0.02, row + 0.06),
                0.96,
                0.88,
                facecolor=_FILLS[kind],
                edgecolor=frame,
                linewidth=0.8,
            )
        )
        mark = {"lower": "\u25bc ", "higher": "\u25b2 ", "": ""}[kind]
        ax.text(
            column + 0.5,
            row + 0.5,
            f"{mark}{change:+.1f}",
            ha="center",
            va="center_baseline",
            fontsize=8.5,
            color="white" if kind == "lower" else INK,
            fontweight="bold" if kind else "normal",
        )
    for line in np.arange(1, groups) * len(columns) // groups:
        ax.axvline(line, color=INK, linewidth=1.2)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    ax.set_xticks(np.arange(len(columns)) + 0.5, list(columns))
    ax.set_yticks(np.arange(len(rows)) + 0.5, list(rows))
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure.supxlabel(note, x=0.02, ha="left", fontsize=9)
    return figure
