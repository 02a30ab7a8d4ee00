"""Differences to a baseline, with their intervals."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dropkit.plot.style import INK, VARIANTS, Style, new_figure, styled, wrap

_WIDTH, _ROW = 6.4, 0.36
_PLAIN = Style(INK, "o", "-")


@styled
def differences(
    values: Mapping[str, ArrayLike],
    *,
    intervals: Mapping[str, tuple[float, float]],
    title: str,
    xlabel: str,
    baseline: str,
    interval: str = "95 % t-interval",
    axes: Axes | None = None,
) -> Figure | Axes:
    """Draws a row a variant: its difference to a baseline, with interval.

    A filled mark means that the interval doesn't hold 0; a hollow one, that
    no difference is seen. So the reading survives print without color.

    Args:
        values: Dict from a variant's name to its differences, one a seed.
        intervals: Dict from the same names to the `(low, high)` of their
            means; `nan` where there is none.
        title: String, the finding. Long titles wrap.
        xlabel: What was measured, with its unit.
        baseline: Name of what the variants are compared with.
        interval: What `intervals` are, for the caption under the figure.
        axes: Matplotlib axes to draw into; default: a new figure.
    Returns:
        The new figure, or `axes` where given.
    Raises:
        ValueError: if there is nothing to draw, or `intervals` names other
            variants; the message ends `Received: ...`.
    Example:
        >>> from dropkit import plot
        >>> figure = plot.differences(
        ...     {"Gal": [-0.05, -0.03], "Moon": [0.01, -0.02]},
        ...     intervals={"Gal": (-0.06, -0.02), "Moon": (-0.04, 0.03)},
        ...     title="Gal helps; for Moon no difference is seen",
        ...     xlabel="difference of held-out loss",
        ...     baseline="no dropout",
        ... )
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['Gal', 'Moon']
    """
    arrays = {k: np.asarray(v, dtype=float) for k, v in values.items()}
    if not arrays or set(intervals) != set(arrays):
        raise ValueError(
            "Invalid value received for argument `intervals`. Expected one "
            f"for each of {list(arrays)}. Received: {list(intervals)}"
        )
    if axes is None:
        text = wrap(title, _WIDTH)
        height = _ROW * len(arrays) + 0.2 * text.count("\n") + 1.3
        figure = new_figure(_WIDTH, height, layout="constrained")
        figure.suptitle(text, x=0.02, ha="left")
        ax = figure.subplots()
    else:
        ax = axes
        width = ax.get_window_extent().width / ax.figure.dpi
        ax.set_title(wrap(title, width, 10), fontweight="bold")
    ax.axvline(0, color="black", linestyle=(0, (5, 3)), linewidth=1.2)
    for row, (name, seeds) in enumerate(arrays.items()):
        style, (low, high) = _style(name), intervals[name]
        ax.scatter(
            seeds,
            np.full(seeds.shape, row + 0.22),
            s=9,
            color="#999999",
            linewidths=0,
        )
        mean = seeds.mean() if seeds.size else np.nan
        ax.plot([low, high], [row, row], color=style.color, linewidth=1.8)
        ax.plot(
            [mean],
            [row],
            linestyle="none",
            marker=style.marker,
            markersize=7,
            color=style.color,
            markerfacecolor="white" if not low * high > 0 else style.color,
        )
        ax.annotate(
            f"{mean:+.3g} (n = {seeds.size})",
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    ax.set_yticks(range(len(arrays)), list(arrays))
    ax.set_ylim(len(arrays) - 0.4, -0.6)
    ax.set_xlabel(
        f"{xlabel} to {baseline} (dashed)\n"
        f"bar: mean, {interval}; hollow: holds 0; dot: a seed (n pairs)"
    )
    ax.xaxis.label.set_size(9)
    return ax if axes is not None else figure


def _style(name: str) -> Style:
    # One method at several rates keeps one color; the row tells them apart.
    keys = [key for key in VARIANTS if key in name.lower()]
    return VARIANTS[keys[-1]] if keys else _PLAIN
