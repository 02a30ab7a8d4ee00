"""Measured results: paired runs, curves and distributions."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from dropkit.plot.style import (
    INK,
    MULTIPLIERS,
    multiplier_norm,
    new_figure,
    styled,
    variant_styles,
    wrap,
)

_WIDTH, _HEIGHT = 5.6, 3.4
_DASHED = {"color": "black", "linestyle": (0, (5, 3)), "linewidth": 1.2}


@styled
def paired(
    results: Mapping[str, ArrayLike],
    *,
    title: str,
    ylabel: str,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    interval: str = "95 % t-interval",
    baseline: float | tuple[str, float] | None = None,
    axes: Axes | None = None,
) -> Figure | Axes:
    """Compares variants over the same seeds: a dot a run, a line a seed.

    Args:
        results: Dict from a variant's name to its values, one a seed, in
            the same order of seeds for all.
        title: String, the finding. Long titles wrap.
        ylabel: What was measured, with its unit.
        intervals: Dict from a variant's name to the `(low, high)` of its
            mean; default: only the means are drawn.
        interval: What `intervals` are, for the caption under the figure.
        baseline: A value to beat, or its name and the value.
        axes: Matplotlib axes to draw into; default: a new figure.
    Returns:
        The new figure, or `axes` where given.
    Raises:
        ValueError: if the variants don't have one value a seed each, or
            `intervals` names other variants; the message ends
            `Received: ...`.
    Example:
        >>> from dropkit import plot
        >>> loss = {"no dropout": [0.20, 0.19], "dropout": [0.15, 0.16]}
        >>> figure = plot.paired(
        ...     loss, title="Dropout helps", ylabel="held-out loss"
        ... )
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['no dropout', 'dropout']
    """
    values = {k: np.asarray(v, dtype=float) for k, v in results.items()}
    shapes = {name: v.shape for name, v in values.items()}
    if len(set(shapes.values())) != 1 or any(
        v.ndim != 1 or not v.size for v in values.values()
    ):
        raise ValueError(
            "Invalid value received for argument `results`. Expected one "
            "list of values a variant, all over the same seeds. "
            f"Received: shapes {shapes}"
        )
    if intervals is not None and set(intervals) != set(values):
        raise ValueError(
            "Invalid value received for argument `intervals`. Expected one "
            f"for each of {list(values)}. Received: {list(intervals)}"
        )
    figure, ax = _single(title, axes)
    table = np.stack(list(values.values()))
    where = np.arange(len(values))
    ax.plot(where, table, color="#BBBBBB", linewidth=0.8, zorder=1)
    for k, (name, style) in enumerate(variant_styles(values).items()):
        mean = values[name].mean()
        low, high = (intervals or {}).get(name, (mean, mean))
        ax.scatter(
            np.full(table.shape[1], k),
            values[name],
            s=30,
            marker=style.marker,
            color=style.color,
            edgecolors="white",
            linewidths=0.5,
            zorder=3,
        )
        ax.errorbar(
            k + 0.16,
            mean,
            yerr=[[mean - low], [high - mean]],
            color=style.color,
            marker="_",
            markersize=12,
            markeredgewidth=2,
            capsize=4 if intervals else 0,
        )
        ax.annotate(
            f"{mean:.3g}",
            (k + 0.16, mean),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=style.color,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 1},
        )
    if baseline is not None:
        name, value = _named(baseline, "baseline")
        ax.axhline(value, **_DASHED)
        _label(ax, {name: (float(value), "black")})
    each = _WIDTH / (len(values) + 1)
    ax.set_xticks(where, [wrap(name, each, 9) for name in values])
    ax.set_xlim(-0.4, len(values) - 0.4)
    mean = f"bar: mean, {interval}" if intervals else "bar: mean"
    ax.set(
        ylabel=ylabel,
        xlabel=f"a dot a run, a line a seed (n = {table.shape[1]}); {mean}",
    )
    ax.xaxis.label.set_size(9)
    return figure if axes is None else axes


@styled
def lines(
    x: ArrayLike,
    curves: Mapping[str, ArrayLike | tuple[ArrayLike, ArrayLike, ArrayLike]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    interval: str = "95 % t-interval",
    expected: ArrayLike | tuple[str, ArrayLike] | None = None,
    axes: Axes | None = None,
) -> Figure | Axes:
    """Draws curves that carry their names at their ends.

    Args:
        x: Array of positions, shared by all curves.
        curves: Dict from a variant's name to its `y`, or to the tuple
            `(y, low, high)` for a band.
        title: String, the finding. Long titles wrap.
        xlabel: Name of the horizontal axis, with its unit.
        ylabel: Name of the vertical axis, with its unit.
        interval: What the bands are, for the caption under the figure.
        expected: The value or curve that theory expects, drawn dashed and
            black; or its name and the value.
        axes: Matplotlib axes to draw into; default: a new figure.
    Returns:
        The new figure, or `axes` where given.
    Raises:
        ValueError: if a curve doesn't have the length of `x`; the message
            ends `Received: ...`.
    Example:
        >>> from dropkit import plot
        >>> figure = plot.lines(
        ...     [0, 1, 2],
        ...     {"measured": [1.0, 1.1, 0.9]},
        ...     title="The mean stays 1",
        ...     xlabel="epoch",
        ...     ylabel="mean multiplier",
        ...     expected=1.0,
        ... )
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['measured', 'expected']
    """
    x = np.asarray(x, dtype=float)
    figure, ax = _single(title, axes)
    ends, banded = {}, False
    # One value needs no marker to be found again; many would be a smear.
    step = max(1, len(x) // 8)
    ax.set_xlim(x.min(), x.max())
    if (x == np.round(x)).all():
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    for name, style in variant_styles(curves).items():
        parts = curves[name]
        parts = parts if isinstance(parts, tuple) else (parts,)
        arrays = [np.asarray(part, dtype=float) for part in parts]
        if len(arrays) not in (1, 3) or any(a.shape != x.shape for a in arrays):
            raise ValueError(
                f"Invalid curve {name!r}. Expected `y` or `(y, low, high)` "
                f"of shape {x.shape}. "
                f"Received: shapes {[a.shape for a in arrays]}"
            )
        y = arrays[0]
        ax.plot(
            x,
            y,
            color=style.color,
            linestyle=style.dash,
            marker=style.marker,
            markevery=step,
            markersize=5,
            clip_on=False,
        )
        if len(arrays) == 3:
            banded = True
            ax.fill_between(
                x, *arrays[1:], color=style.color, alpha=0.15, linewidth=0
            )
        ends[name] = (y[-1], style.color)
    if expected is not None:
        name, value = _named(expected, "expected")
        value = np.broadcast_to(np.asarray(value, dtype=float), x.shape)
        ax.plot(x, value, **_DASHED)
        ends[name] = (value[-1], "black")
    _label(ax, ends)
    ax.set_xlabel(f"{xlabel}\nband: {interval}" if banded else xlabel)
    ax.set_ylabel(ylabel)
    return figure if axes is None else axes


@styled
def histograms(
    samples: Mapping[str, ArrayLike],
    *,
    title: str,
    xlabel: str = "multiplier",
    bins: int = 40,
    multipliers: bool = True,
) -> Figure:
    """Stacks distributions over one axis, each with its mean.

    Args:
        samples: Dict from a name to its values, of any shape.
        title: String, the finding. Long titles wrap.
        xlabel: What the values are.
        bins: Int, about how many bins there are, the same for all.
        multipliers: Whether the values are multipliers, whose bars then
            carry the multipliers' colors; other values take the variants'.
    Returns:
        The figure.
    Raises:
        ValueError: if there is nothing to draw; the message ends
            `Received: ...`.
    Example:
        >>> from dropkit import plot
        >>> figure = plot.histograms(
        ...     {"Bernoulli": [0, 2, 2, 0], "Gaussian": [0.3, 1.1, 0.9, 1.7]},
        ...     title="Two values or a continuum",
        ... )
        >>> [ax.get_title(loc="left") for ax in figure.axes]
        ['Bernoulli', 'Gaussian']
    """
    values = {k: np.ravel(np.asarray(v, float)) for k, v in samples.items()}
    if not values or not all(v.size for v in values.values()):
        raise ValueError(
            "Invalid value received for argument `samples`. Expected one or "
            "more arrays with values. "
            f"Received: sizes { ({k: v.size for k, v in values.items()}) }"
        )
    styles = variant_styles(values)
    everything = np.concatenate(list(values.values()))
    low, high = everything.min(), everything.max()
    # A whole number of bins to the unit, with 0 and 1 in a bin's middle.
    width = (high - low) / bins or 1.0
    if multipliers:
        width = 1 / max(1, round(1 / width))
    first, last = np.floor(low / width + 0.5), np.floor(high / width + 0.5)
    edges = (np.arange(first, last + 2) - 0.5) * width
    text = wrap(title, _WIDTH)
    figure = new_figure(
        _WIDTH,
        1.35 * len(values) + 0.2 * text.count("\n") + 0.8,
        layout="constrained",
    )
    figure.suptitle(text, x=0.02, ha="left")
    grid = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    centers = (edges[:-1] + edges[1:]) / 2
    # Bernoulli's kept entries are fully blue, a long tail stays so.
    amplified = [v.max() for v in values.values() if v.max() > 1]
    norm = multiplier_norm(min(amplified, default=2.0))
    for (name, v), ax in zip(values.items(), grid, strict=True):
        share = np.histogram(v, edges)[0] / v.size
        colors = (
            MULTIPLIERS(norm(centers)) if multipliers else styles[name].color
        )
        shown = share > 0
        ax.bar(
            centers[shown],
            share[shown],
            width=width,
            color=colors[shown] if multipliers else colors,
            edgecolor=INK,
            linewidth=0.5,
        )
        ax.axvline(v.mean(), **_DASHED)
        ax.annotate(
            f"mean {v.mean():.2f}",
            (v.mean(), 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            va="top",
            fontsize=9,
        )
        ax.set_title(name, fontweight="bold")
        ax.set_ylabel("share")
        ax.margins(y=0.15)
    grid[-1].set_xlabel(xlabel)
    return figure


def _single(title: str, axes: Axes | None) -> tuple[Figure, Axes]:
    if axes is not None:
        width = axes.get_window_extent().width / axes.figure.dpi
        axes.set_title(wrap(title, width, 10), fontweight="bold")
        return axes.figure, axes
    text = wrap(title, _WIDTH)
    figure = new_figure(
        _WIDTH, _HEIGHT + 0.2 * text.count("\n"), layout="constrained"
    )
    figure.suptitle(text, x=0.02, ha="left")
    return figure, figure.subplots()


def _named(value, default: str) -> tuple[str, ArrayLike]:
    if (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], str)
    ):
        return value
    return default, value


def _label(ax: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Writes names beside the right ends, pushed apart where they collide."""
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top)
    height = ax.get_window_extent().height / ax.figure.dpi * 72
    gap = 11.5 / height
    place, previous = {}, -np.inf
    for name in sorted(ends, key=lambda name: ends[name][0]):
        at = (ends[name][0] - bottom) / (top - bottom)
        previous = place[name] = max(at, previous + gap)
    # Pushing moves labels up only: half of the way down again.
    shift = max(0.0, previous - 1)
    for name, (_, color) in ends.items():
        ax.annotate(
            name,
            (1, place[name] - shift),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=color,
        )
