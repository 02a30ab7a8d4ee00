"""One printable page: every method in the table site x sharing x noise."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dropkit.plot.catalog import GATES, RATE, Entry, entries
from dropkit.plot.style import (
    AMPLIFIED,
    DROPPED,
    INK,
    MULTIPLIERS,
    UNCHANGED,
    multiplier_norm,
    new_figure,
    styled,
)

# Inches: what A4 and Letter, both landscape, have in common.
WIDTH, HEIGHT = 11.0, 8.27
_LEFT, _RIGHT, _TOP = 0.4, WIDTH - 0.4, 1.42
_ROW, _GAP = 0.405, 0.05
_HIGH, _LOW = 0.14, 0.29
_SITE, _SHARING, _DRAWN, _NOISE, _INFERENCE = 3.46, 5.14, 7.2, 9.05, 9.8
_STEP = 0.53
_PANEL = (0.4, 0.27)
_TINT, _KEPT = "#F4F4F4", "#9A9A9A"
_KEEPS = ListedColormap(["white", _KEPT])
# What is multiplied, in words and as an equation; E holds the words' vectors.
SITES = {
    "input": ("input of a layer", r"$m \odot x$"),
    "word types": ("rows of the embedding", r"$m \odot E$"),
    "state": ("state, into the gates", r"$(m \odot h_{t-1})\,U$"),
    "kernel": ("entries of the kernel U", r"$h_{t-1}\,(m \odot U)$"),
    "candidate": (
        "candidate",
        r"$c_t = f \odot c_{t-1} + i \odot (m \odot g_t)$",
    ),
    "cell": ("new cell", r"$c_t = m \odot (f \odot c_{t-1} + i \odot g_t)$"),
    "keep_state": ("state", r"$h_t = m \odot h_{t-1} + (1-m) \odot h$"),
    "keep_cell": ("cell", r"$c_t = m \odot c_{t-1} + (1-m) \odot c$"),
}


@styled
def cheat_sheet() -> Figure:
    """Draws every layer and method on one page, A4 or Letter landscape.

    The lines are read from the classes, and the pictures are real draws.

    Returns:
        The figure, in its printed size. Save it without cropping.
    Example:
        >>> from dropkit import plot
        >>> figure = plot.cheat_sheet()
        >>> [round(float(inches), 2) for inches in figure.get_size_inches()]
        [11.0, 8.27]
    """
    figure = new_figure(WIDTH, HEIGHT)
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    page.axis("off")
    _head(page)
    y, last, tinted = _TOP, None, True
    called = None
    for entry in entries():
        group = entry.site.partition("_")[0]
        if group != last:
            tinted = not tinted
            _line(page, y)
        if tinted:
            _box(page, _LEFT, y, _RIGHT - _LEFT, _ROW, _TINT, zorder=0)
        if entry.call != called:
            _name(page, y, entry)
        _row(page, y, entry)
        y, last, called = y + _ROW, group, entry.call
    _line(page, y, 1.2)
    _legend(page, y + 0.2)
    return figure


def _text(page: Axes, x: float, y: float, text: str, size=7.5, **kwargs):
    page.text(x, y, text, size=size, va="center", **kwargs)


def _line(page: Axes, y: float, width=0.6):
    page.plot((_LEFT, _RIGHT), (y, y), color=INK, linewidth=width)


def _box(page: Axes, x, y, width, height, color, edge="none", zorder=1):
    page.add_patch(
        Rectangle(
            (x, y),
            width,
            height,
            facecolor=color,
            edgecolor=edge,
            linewidth=0.5,
            zorder=zorder,
        )
    )


def _head(page: Axes):
    title = "Every dropout is three choices: site, sharing, noise"
    _text(page, _LEFT, 0.5, title, size=15, weight="bold")
    for x, name, question in (
        (_LEFT, "dropkit", "= the same in Keras · source"),
        (_SITE, "site", "Which tensor is multiplied?"),
        (_SHARING, "sharing", "Which entries share one draw?"),
        (_DRAWN, "one draw", "steps down, features across"),
        (_NOISE, "noise", "the multiplier"),
        (_INFERENCE, "inference", "training=False"),
    ):
        _text(page, x, 0.9, name, size=10, weight="bold")
        _text(page, x, 1.08, question, size=7)
    for axis, x in _axes():
        _text(page, x, 1.28, axis, size=7, style="italic")
    _line(page, _TOP, 1.2)


def _axes():
    """The axes in the order of the design, with their places."""
    names = ("steps", "samples", "gates", "features")
    return [(name, _SHARING + k * _STEP) for k, name in enumerate(names)]


def _name(page: Axes, y: float, entry: Entry):
    x = _LEFT + 0.05
    _text(page, x, y + _HIGH, entry.call, family="monospace")
    notes = [entry.keras and f"= {entry.keras}", entry.source]
    _text(page, x, y + _LOW, " · ".join(filter(None, notes)), size=6)


def _row(page: Axes, y: float, entry: Entry):
    middle = y + _ROW / 2
    words, equation = SITES[entry.site]
    _text(page, _SITE, y + _HIGH, words)
    _text(page, _SITE, y + _LOW, equation)
    for axis, x in _axes():
        word = entry.sharing[axis]
        style = {"color": INK}
        if word == "shared":
            style = {"color": "white", "bbox": {"facecolor": INK, "pad": 1.6}}
        _text(page, x, middle, word, 7, **style)
    _draw(page, y, entry)
    _text(page, _NOISE, middle, entry.noise.replace(", ", "\n"), 7)
    _text(page, _INFERENCE, middle, entry.inference.replace(", ", "\n"), 7)


def _draw(page: Axes, y: float, entry: Entry):
    """The multipliers of the gates if they differ, else of the samples."""
    gated = entry.sharing["gates"] == "own"
    drawn = entry.multipliers
    panels = drawn[:, 0] if gated else drawn[0]
    for k, panel in enumerate(panels):
        x = _DRAWN + k * (_PANEL[0] + _GAP)
        _mask(page, x, y + _ROW - 0.04 - _PANEL[1], panel, entry)
        if gated:
            _text(page, x, y + 0.05, GATES[k], size=5.5, style="italic")


def _mask(page: Axes, x: float, y: float, values: np.ndarray, entry: Entry):
    width, height = _PANEL
    rows, columns = values.shape
    xs = x + np.linspace(0, width, columns + 1)
    ys = y + np.linspace(0, height, rows + 1)
    keeps = entry.site.startswith("keep")
    colors = _KEEPS if keeps else MULTIPLIERS
    amplified = max(1 / (1 - RATE), values.max())
    page.pcolormesh(
        xs,
        ys,
        values,
        cmap=colors,
        norm=None if keeps else multiplier_norm(amplified),
        edgecolors="white",
        linewidth=0.3,
    )
    _box(page, x, y, width, height, "none", edge=INK)
    row, column = np.nonzero(values == (1 if keeps else 0))
    page.scatter(
        x + (column + 0.5) * width / columns,
        y + (row + 0.5) * height / rows,
        s=4,
        marker="$=$" if keeps else "x",
        linewidths=0.5,
        color=INK,
        zorder=3,
    )


def _legend(page: Axes, y: float):
    x = _LEFT + 0.05
    for color, glyph, meaning in (
        (DROPPED, "×", "0: dropped"),
        (UNCHANGED, "", "1: unchanged"),
        (AMPLIFIED, "", "more: amplified"),
        (_KEPT, "=", "1 in Zoneout: keeps the old value"),
        ("white", "", "0 in Zoneout: takes the new value"),
    ):
        _box(page, x, y - 0.06, 0.12, 0.12, color, edge=INK)
        _text(page, x + 0.06, y, glyph, size=7, ha="center")
        _text(page, x + 0.18, y, meaning, size=7)
        x += 0.36 + 0.062 * len(meaning)
    for k, line in enumerate(
        (
            "Pictures: two samples, or the gates i f c o of one sample; in "
            "WeightDrop, entries of U. Example rates and fixed seeds. An input "
            "mask of an LSTM is tied or untied as its method is.",
            'The choices combine: over="step" or "sequence", per="sample" or '
            '"batch", gates="tied" or "untied", noise="bernoulli" or '
            '"gaussian". Measure any layer: dk.probe(layer).',
        )
    ):
        _text(page, _LEFT + 0.05, y + 0.2 + 0.16 * k, line, size=7)
