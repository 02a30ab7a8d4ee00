"""Colors, marks and sizes: what all figures share."""

import functools
import textwrap
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure

DROPPED, UNCHANGED, AMPLIFIED = "#E69F00", "#EEEEEE", "#0072B2"
INK = "#333333"

# 257 colors, so that the middle one exists and is the grey exactly.
MULTIPLIERS = LinearSegmentedColormap.from_list(
    "multipliers", [DROPPED, UNCHANGED, AMPLIFIED], N=257
)

# Which gate a mask belongs to. Always drawn with its letter, because two of
# these are close to multiplier colors for some readers.
IDENTITY = {"i": "#332288", "f": "#44AA99", "c": "#DDCC77", "o": "#882255"}


class Style(NamedTuple):
    """How one variant is drawn, in every chapter."""

    color: str
    marker: str
    dash: str | tuple[int, tuple[int, ...]]


# From the general to the special: the last key found in a name wins.
VARIANTS = {
    "dropout": Style("#AA3377", "s", "--"),
    "no dropout": Style(INK, "o", "-"),
    "spatial": Style("#117733", "^", "-."),
    "gaussian": Style("#994F00", "D", ":"),
    "gal": Style("#5D3A9B", "v", (0, (6, 1))),
    "semeniuta": Style("#007080", "P", (0, (4, 1, 1, 1))),
    "moon": Style("#6B6B00", "X", (0, (1, 1))),
    "zoneout": Style("#C2326B", "<", (0, (3, 1, 1, 1, 1, 1))),
    "weight": Style("#4A6A9A", ">", (0, (2, 2))),
    "keras": Style("#777777", "*", (0, (8, 2))),
}
# For names without a key, before the keys that a figure leaves unused.
_SPARE = (
    Style("#3B4CA0", "p", (0, (5, 2, 1, 2))),
    Style("#8A3B12", "h", (0, (3, 1))),
    Style("#2B7A5B", "d", (0, (1, 2))),
    Style("#7A2E6E", "8", (0, (7, 2, 2, 2))),
)

_SETTINGS = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.dpi": 100,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "font.size": 10,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


def context():
    """Matplotlib's defaults with our settings, whatever the user's are."""
    return plt.style.context(["default", _SETTINGS])


def styled(function: Callable) -> Callable:
    """Runs a plotting function in `context`."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        with context():
            return function(*args, **kwargs)

    return wrapper


def new_figure(
    width: float, height: float, layout: str | None = None
) -> Figure:
    """Makes a figure that belongs to the caller, not to pyplot.

    Made by pyplot and closed at once: Jupyter then knows how to display a
    returned figure, displays it once, and nothing piles up.
    """
    figure = plt.figure(figsize=(width, height), layout=layout)
    plt.close(figure)
    return figure


def wrap(text: str, width: float, size: float = 11) -> str:
    """Breaks a text so that it fits into `width` inches."""
    # Bold letters are about 0.62 em wide on average.
    letters = max(12, int(width * 72 / (0.62 * size)))
    return textwrap.fill(text, letters, break_long_words=False)


def variant_styles(names: Iterable[str]) -> dict[str, Style]:
    """Gives each name the style of the last key in it, else a free one."""
    names = list(names)
    if not 0 < len(names) <= len(VARIANTS):
        raise ValueError(
            f"Expected 1 to {len(VARIANTS)} variants. Received: {names}"
        )
    chosen: dict[str, Style] = {}
    for name in names:
        keys = [key for key in VARIANTS if key in name.lower()]
        if keys and VARIANTS[keys[-1]] not in chosen.values():
            chosen[name] = VARIANTS[keys[-1]]
    free = [
        style
        for style in (*_SPARE, *VARIANTS.values())
        if style not in chosen.values()
    ]
    others = [name for name in names if name not in chosen]
    chosen |= dict(zip(others, free, strict=False))
    return {name: chosen[name] for name in names}


def multiplier_norm(vmax: float) -> TwoSlopeNorm:
    """Maps multipliers to colors: 0 to orange, 1 to grey, `vmax` to blue.

    Args:
        vmax: Float greater than 1, the multiplier that is drawn fully blue:
            `1 / (1 - rate)` for inverted dropout.
    Returns:
        A Matplotlib norm for the `MULTIPLIERS` color map.
    Raises:
        ValueError: if `vmax` isn't a finite number greater than 1.
    Example:
        >>> from dropkit import plot
        >>> norm = plot.multiplier_norm(4.0)
        >>> [float(norm(m)) for m in (0, 1, 4)]
        [0.0, 0.5, 1.0]
    """
    if not (np.isscalar(vmax) and np.isfinite(vmax) and vmax > 1):
        raise ValueError(
            "Invalid value received for argument `vmax`. Expected a finite "
            f"number greater than 1. Received: vmax={vmax}"
        )
    return TwoSlopeNorm(vmin=0.0, vcenter=1.0, vmax=float(vmax))
