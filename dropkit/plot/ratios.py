"""How many times as much: a row a variant, a dot a case."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dropkit.plot.style import INK, new_figure, styled, variant_styles, wrap

_WIDTH, _ROW = 6.4, 0.55


@styled
def ratios(
    values: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    xlabel: str,
    one: str,
) -> Figure:
    """Draws ratios on a logarithmic axis, each dot with its case's name.

    Halving and doubling are equally far from 1, the dashed line.

    Args:
        values: Dict from a variant's name to a dict from a case's name, of
            few letters, to a positive ratio.
        title: String, the finding. Long titles wrap.
        xlabel: What is divided by what.
        one: What the dashed line at 1 stands for.
    Returns:
        The figure.
    Raises:
        ValueError: if a variant has no ratio, or one is not a positive finite
            number; the message ends `Received: ...`.
    Example:
        >>> from dropkit import plot
        >>> figure = plot.ratios(
        ...     {"tied": {"A": 4.0, "B": 2.5}, "untied": {"A": 3.0}},
        ...     title="Both are faster",
        ...     xlabel="times as fast",
        ...     one="Keras",
        ... )
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['tied', 'untied']
    """
    numbers = [number for row in values.values() for number in row.values()]
    positive = np.isfinite(numbers) & (np.array(numbers, float) > 0)
    if not all(values.values()) or not numbers or not positive.all():
        raise ValueError(
            "Invalid value received for argument `values`. Expected one or "
            f"more positive ratios a variant. Received: values={values}"
        )
    text = wrap(title, _WIDTH)
    height = _ROW * len(values) + 0.2 * text.count("\n") + 1.1
    figure = new_figure(_WIDTH, height, layout="constrained")
    figure.suptitle(text, x=0.02, ha="left")
    ax = figure.subplots()
    for y, (name, style) in enumerate(variant_styles(values).items()):
        cases = sorted(values[name].items(), key=lambda case: case[1])
        ends = cases[0][1], cases[-1][1]
        ax.plot(ends, (y, y), color=style.color, linewidth=1)
        for k, (case, ratio) in enumerate(cases):
            ax.scatter(
                ratio,
                y,
                s=26,
                marker=style.marker,
                color=style.color,
                zorder=3,
            )
            # Neighbors stand on different sides of the line.
            ax.annotate(
                case,
                (ratio, y),
                xytext=(0, 8 if k % 2 else -8),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=9,
            )
    ax.axvline(1, color="black", linestyle=(0, (5, 3)), linewidth=1.2)
    ax.annotate(
        one,
        (1, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=9,
    )
    ax.set_xscale("log", base=2)
    low, high = min([1, *numbers]), max([1, *numbers])
    ax.set_xlim(low / 1.2, high * 1.2)
    powers = np.arange(np.floor(np.log2(low)), np.ceil(np.log2(high)) + 1)
    ticks = [2.0**n for n in powers if low / 1.2 <= 2.0**n <= high * 1.2]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_yticks(range(len(values)), list(values))
    ax.set_ylim(len(values) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(xlabel)
    ax.xaxis.label.set_color(INK)
    return figure
