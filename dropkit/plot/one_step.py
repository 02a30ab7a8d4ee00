"""One step of an LSTM, a panel a method: which arrow carries noise."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from dropkit.plot.style import INK, new_figure, styled, wrap
from dropkit.plot.unrolled import (
    COLORS,
    DASHES,
    arrows,
    draw_arrow,
    scheme,
)

_SITES = ("input", "state", "candidate", "cell")
# All in inches; a panel's origin is in the middle of its cell.
_WIDTH, _HEIGHT, _HEAD = 2.3, 2.6, 0.42
_HALF, _TOP, _BOTTOM, _BOX = 0.82, 0.85, -0.62, 0.11
_CELL, _UPDATE, _OUT, _GATE = 0.6, 0.22, 0.2, -0.22
_PLACES = {"f": -0.55, "i": -0.24, "g": 0.24, "o": 0.55}


@styled
def one_step(sources: Mapping[str, object], *, title: str) -> Figure:
    """Draws one step of an LSTM for each method, noisy arrows dashed.

    A name at a dashed arrow is the multiplier; untied multipliers carry
    their gate's letter. The candidate `g` is Keras's gate `c`.

    Args:
        sources: Dict from a panel's title to a recurrent method, a report of
            ``probe``, or None for no noise.
        title: String, the finding. Long titles wrap.
    Returns:
        The figure.
    Raises:
        ValueError: if there is nothing to draw, or noise acts at a site
            that has no arrow here; the message ends `Received: ...`.
        TypeError: if a source is neither.
    Example:
        >>> from dropkit import plot
        >>> from dropkit.methods import Gal, Moon
        >>> figure = plot.one_step(
        ...     {"Moon": Moon(0.5), "Gal": Gal(0.5)},
        ...     title="Two methods, two arrows",
        ... )
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['Moon', 'Gal']
    """
    drawn = {name: _checked(source) for name, source in sources.items()}
    if not drawn:
        raise ValueError(
            "Invalid value received for argument `sources`. Expected one or "
            f"more methods or reports. Received: {sources}"
        )
    width = _WIDTH * len(drawn)
    text = wrap(title, width)
    height = _HEIGHT + _HEAD + 0.2 * (text.count("\n") + 1) + 0.1
    figure = new_figure(width, height)
    high = _TOP + 0.2
    figure.suptitle(text, x=0.02, y=1 - 0.06 / height, ha="left", va="top")
    for column, (name, each) in enumerate(drawn.items()):
        panel = figure.add_axes(
            (column / len(drawn), 0, 1 / len(drawn), _HEIGHT / height)
        )
        panel.set(
            xlim=(-_WIDTH / 2, _WIDTH / 2),
            ylim=(high - _HEIGHT, high),
        )
        panel.set_axis_off()
        panel.set_title(name, fontweight="bold", x=0.06, y=1.04)
        panel.text(-_WIDTH / 2 + 0.14, _TOP + 0.12, _sharing(each), fontsize=9)
        _draw(panel, each)
    return figure


def _checked(source):
    drawn = scheme(source, "LSTM")
    if drawn.kind != "LSTM" or any(m.site not in _SITES for m in drawn.marks):
        raise ValueError(
            "one_step() draws an LSTM with noise at "
            f"{' or '.join(_SITES)}; unrolled() draws the others. "
            f"Received: {source!r}"
        )
    return drawn


def _sharing(drawn):
    over = {mark.over for mark in drawn.marks}
    if not over:
        return "no noise"
    if over == {"sequence"}:
        return "the same mask at all steps"
    if over == {"step"}:
        return "a new mask at each step"
    return "some masks new at each step"


def _draw(panel, drawn):
    panel.add_patch(
        FancyBboxPatch(
            (-_HALF, _BOTTOM - 0.34),
            2 * _HALF,
            _TOP - _BOTTOM + 0.34,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="#F4F4F4",
            edgecolor=INK,
        )
    )
    noisy = {}
    for arrow in arrows(drawn, steps=1):
        noisy.setdefault(arrow.site, []).append(arrow)
    _affine_map(panel, noisy)
    _gates(panel, noisy.get("candidate"))
    _memory(panel, noisy.get("cell"))


def _affine_map(panel, noisy):
    """What the gates read: the input and the last state."""
    low, high = _BOTTOM - 0.2, _BOTTOM + 0.06
    panel.add_patch(
        FancyBboxPatch(
            (-_HALF + 0.1, low),
            2 * _HALF - 0.2,
            high - low,
            boxstyle="round,pad=0,rounding_size=0.04",
            facecolor="white",
            edgecolor=INK,
        )
    )
    panel.text(0, (low + high) / 2, "$h_{t-1}\\,U + x_t\\,W + b$",
               ha="center", va="center", fontsize=8)  # fmt: skip
    for x, site, letter in ((-0.4, "state", "h_{t-1}"), (0.4, "input", "x_t")):
        start = _BOTTOM - 0.84
        _arrows(panel, (x, start), (x, low), noisy.get(site), "x")
        panel.text(x, start - 0.03, f"${letter}$", ha="center", va="top")


def _gates(panel, noisy):
    for gate, x in _PLACES.items():
        draw_arrow(panel, (x, _BOTTOM + 0.06), (x, _GATE - _BOX), INK, "-", 1)
        panel.add_patch(
            FancyBboxPatch(
                (x - _BOX, _GATE - _BOX),
                2 * _BOX,
                2 * _BOX,
                boxstyle="square,pad=0",
                facecolor="white",
                edgecolor=INK,
            )
        )
        panel.text(x, _GATE, f"${gate}$",
                   ha="center", va="center", fontsize=9)  # fmt: skip
    top = _GATE + _BOX
    for gate, noise, side in (("i", None, 0), ("g", noisy, 0.13)):
        x = _PLACES[gate]
        into = (x * 0.3, _UPDATE - 0.07)
        _arrows(panel, (x, top), into, noise, None, aside=side)


def _memory(panel, noisy):
    """The line of the cell, and the output that reads it."""
    ends = (-_HALF - 0.2, _CELL), (_HALF + 0.2, _CELL)
    forget, plus = (-0.55, _CELL), (0, _CELL)
    draw_arrow(panel, ends[0], (-0.55 - _BOX, _CELL), INK, "-", 1)
    draw_arrow(panel, (-0.55 + _BOX, _CELL), (-_BOX, _CELL), INK, "-", 1)
    draw_arrow(panel, (-0.55, _GATE + _BOX), (-0.55, _CELL - _BOX), INK, "-", 1)
    draw_arrow(panel, (0, _UPDATE + _BOX), (0, _CELL - _BOX), INK, "-", 1)
    # Behind the sum and before the fork: both ways read the same cell.
    _arrows(panel, (_BOX, _CELL), (0.55, _CELL), noisy, None)
    draw_arrow(panel, (0.55, _CELL), ends[1], INK, "-", 1)
    draw_arrow(panel, (0.55, _CELL), (0.55, _OUT + _BOX), INK, "-", 1)
    panel.text(0.53, 0.43, "tanh", fontsize=8, ha="right", va="center")
    draw_arrow(panel, (0.55, _GATE + _BOX), (0.55, _OUT - _BOX), INK, "-", 1)
    draw_arrow(panel, (0.55 + _BOX, _OUT), (_HALF + 0.2, _OUT), INK, "-", 1)
    for x, y, sign in (
        (*forget, "×"),
        (*plus, "+"),
        (0, _UPDATE, "×"),
        (0.55, _OUT, "×"),
    ):
        panel.add_patch(
            Circle((x, y), _BOX - 0.02, facecolor="white", edgecolor=INK)
        )
        panel.text(x, y, sign, ha="center", va="center", fontsize=9)
    panel.text(-_WIDTH / 2 + 0.03, _CELL + 0.04, "$c_{t-1}$", ha="left",
               va="bottom")  # fmt: skip
    for letter, y in (("c", _CELL), ("h", _OUT)):
        panel.text(_HALF + 0.04, y + 0.04, f"${letter}_t$", va="bottom")


def _arrows(panel, start, end, noisy, spread, aside=0):
    """One arrow, or one for each gate; dashed and named with noise."""
    if not noisy:
        draw_arrow(panel, start, end, INK, "-", 1)
        return
    for k, each in enumerate(noisy):
        shift = (k - (len(noisy) - 1) / 2) * 0.2 if spread else 0
        first, last = (start[0] + shift, start[1]), (end[0] + shift, end[1])
        look = k % len(COLORS)
        draw_arrow(panel, first, last, COLORS[look], DASHES[k % 4], 1.8)
        letter = (each.gate or "").replace("c", "g")
        name = f"$m_{letter}$" if letter else "$m$"
        panel.text(
            (first[0] + last[0]) / 2 + aside,
            (first[1] + last[1]) / 2,
            name,
            ha="center",
            va="center",
            fontsize=8,
            color=COLORS[look],
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
        )
