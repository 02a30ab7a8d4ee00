"""The unrolled network, with every arrow where noise acts."""

from __future__ import annotations

import dataclasses

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from dropkit.plot.style import INK, new_figure, styled, wrap

GATES = {"LSTM": "ifco", "GRU": "zrh", "SimpleRNN": "h"}
# A mask is named by its number; color and dash repeat it for the eye. All are
# dark enough for white paper and differ in lightness.
COLORS = ("#0072B2", "#B2450E", "#117733", "#882255", "#5D3A9B", "#806000")
DASHES = ((0, (4, 2)), (0, (2, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (1, 1)))
_STEPS = 3
_WORDS = {
    "input": "the input",
    "state": "the state on its way into the gates",
    "carry": "what is carried over",
    "candidate": "the candidate",
    "cell": "the new cell",
    "hidden": "the new state",
    "output": "the output",
    "keep_state": "the state (the old one is kept)",
    "keep_cell": "the cell (the old one is kept)",
    "input weights": "the kernel's entries",
    "recurrent weights": "the recurrent kernel's entries",
}


@dataclasses.dataclass(frozen=True, order=True)
class Mark:
    """Noise at one site.

    Args:
        site: As in a report's findings.
        over: ``"sequence"`` or ``"step"``.
        gates: ``"tied"`` or ``"untied"``; None where there are no gates.
        per: ``"sample"`` or ``"batch"``.
    """

    site: str
    over: str
    gates: str | None = None
    per: str = "sample"


@dataclasses.dataclass(frozen=True)
class Scheme:
    """What is drawn: a cell, and where noise acts in it.

    Args:
        kind: ``"LSTM"``, ``"GRU"`` or ``"SimpleRNN"``.
        marks: One for each site, sorted.
        title: The finding.
    """

    kind: str
    marks: tuple[Mark, ...]
    title: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass(frozen=True)
class Arrow:
    """One arrow with noise.

    Args:
        site: As in :class:`Mark`.
        step: Number of the time step, from 1.
        gate: The gate's letter where gates have arrows of their own.
        mask: Number of its mask, from 1: equal numbers are one mask.
    """

    site: str
    step: int
    gate: str | None
    mask: int


def scheme(source, layer: str = "LSTM", dropout: float = 0.0) -> Scheme:
    """Returns what to draw, from a report or from a method's specification.

    Args:
        source: A report of ``probe``, a recurrent method, or None for no
            method.
        layer: For a method, the layer that it is for.
        dropout: For a method, the rate of the input dropout beside it.
    Returns:
        A :class:`Scheme`.
    Raises:
        ValueError: if the report is of no recurrent layer, or of one whose
            sites are undetermined; or ``layer`` is unknown.
        TypeError: if ``source`` is neither.
    Example:
        >>> from dropkit.methods import Moon
        >>> scheme(Moon(0.25)).marks
        (Mark(site='cell', over='sequence', gates=None, per='sample'),)
    """
    if hasattr(source, "findings"):
        return _of_report(source)
    if layer not in GATES:
        raise ValueError(
            "Invalid value received for argument `layer`. Expected one of "
            f"{tuple(GATES)}. Received: layer={layer!r}"
        )
    marks, title = [], "No dropout"
    one_gate = len(GATES[layer]) == 1
    if source is not None:
        if not hasattr(source, "identity_in_inference"):
            raise TypeError(
                "unrolled() needs a report of dk.probe or a recurrent method. "
                f"Received: {source!r}"
            )
        source.check(layer)
        marks, title = _of_method(source, layer, one_gate), repr(source)
    if dropout:
        untied = getattr(source, "gates", "tied") == "untied"
        gates = None if one_gate else "untied" if untied else "tied"
        marks.append(Mark("input", "sequence", gates))
        title = f"{title}, dropout={dropout:g}" if source else "Input dropout"
    return Scheme(layer, tuple(sorted(marks)), title)


def _of_method(method, layer, one_gate):
    name, config = type(method).__name__, method.get_config()
    if name == "Zoneout":
        cell = 0.5 if config["cell"] is None else config["cell"]
        sites = {"keep_state": config["hidden"]}
        if layer == "LSTM":
            sites["keep_cell"] = cell
        return [Mark(site, "step") for site, rate in sites.items() if rate]
    if not config["rate"]:
        return []
    if name == "WeightDrop":
        return [Mark("recurrent weights", "sequence", per="batch")]
    sites = {"Gal": "state", "Semeniuta": "candidate", "Moon": "cell"}
    gates = None if one_gate else config.get("gates")
    return [Mark(sites[name], method.over, gates, config.get("per", "sample"))]


def _of_report(report):
    kind = (report.kind or "").removeprefix("Conv")
    if report.error or any(f.site not in _WORDS for f in report.findings):
        raise ValueError(
            "The report's sites are undetermined. "
            f"Received: method={report.method!r}"
        )
    if kind not in GATES:
        raise ValueError(
            "Only a recurrent layer has a network to unroll. "
            f"Received: a report of {report.layer}"
        )
    marks = []
    for finding in report.findings:
        verdicts = finding.sharing
        gates = None
        if "gates" in verdicts and not finding.site.endswith("weights"):
            gates = "untied" if verdicts["gates"] == "own" else "tied"
        marks.append(
            Mark(
                finding.site,
                "step" if verdicts.get("time") == "own" else "sequence",
                gates,
                "batch" if verdicts.get("batch") == "shared" else "sample",
            )
        )
    return Scheme(kind, tuple(sorted(marks)), report.method)


def arrows(drawn: Scheme, steps: int = _STEPS) -> list[Arrow]:
    """Returns every arrow with noise, with the number of its mask.

    Args:
        drawn: A :class:`Scheme`.
        steps: Number of time steps.
    Returns:
        List of :class:`Arrow`.
    Example:
        >>> per_step = Scheme("LSTM", (Mark("candidate", "step"),))
        >>> [a.mask for a in arrows(per_step)]
        [1, 2, 3]
    """
    numbers, found = {}, []
    for step in range(1, steps + 1):
        for mark in drawn.marks:
            untied = mark.gates == "untied"
            for gate in GATES[drawn.kind] if untied else (None,):
                key = (mark.site, gate, step if mark.over == "step" else 0)
                number = numbers.setdefault(key, len(numbers) + 1)
                found.append(Arrow(mark.site, step, gate, number))
    return found


def unrolled_alt(source, layer: str = "LSTM", dropout: float = 0.0) -> str:
    """Returns the picture in words, for `show`.

    Args:
        source: As in `unrolled`.
        layer: As there.
        dropout: As there.
    Returns:
        String of at most 300 characters.
    Example:
        >>> from dropkit.methods import Moon
        >>> unrolled_alt(Moon(0.25)).partition(". ")[2]
        'Noise on the new cell, one mask for all steps.'
    """
    drawn = scheme(source, layer, dropout)
    parts = []
    for mark in drawn.marks:
        masks = "a mask for each gate" if mark.gates == "untied" else "one mask"
        when = "for all steps" if mark.over == "sequence" else "at each step"
        parts.append(f"{_WORDS[mark.site]}, {masks} {when}")
    noise = "; ".join(parts) or "no arrow"
    article = "An" if drawn.kind == "LSTM" else "A"
    text = f"{article} {drawn.kind} unrolled over {_STEPS} steps. "
    return f"{text}Noise on {noise}."


# All in inches.
_PITCH, _HALF, _TOP, _IN = 1.75, 0.52, 0.62, 0.5
_CELL_LINE, _STATE_LINE = 0.34, -0.28


@styled
def unrolled(
    source,
    layer: str = "LSTM",
    dropout: float = 0.0,
    *,
    title: str | None = None,
) -> Figure:
    """Draws the unrolled network, every arrow with noise dashed.

    Equal numbers and colors are one mask: a mask that is kept over time is
    seen to be the same. Only the arrows where noise acts are colored.

    Args:
        source: A report of ``probe``, or a recurrent method, or None.
        layer: For a method: ``"LSTM"``, ``"GRU"`` or ``"SimpleRNN"``.
        dropout: For a method: the rate of the input dropout beside it.
        title: String, the finding. Default: the method.
    Returns:
        The figure.
    Raises:
        ValueError: if there is nothing to unroll; see `scheme`.
        TypeError: if ``source`` is neither a report nor a method.
    Example:
        >>> from dropkit import plot
        >>> from dropkit.methods import Gal
        >>> figure = plot.unrolled(Gal(0.25), dropout=0.25)
        >>> figure.get_suptitle()[:3]
        'Gal'
    """
    drawn = scheme(source, layer, dropout)
    width = _PITCH * _STEPS + 0.75
    text = wrap(drawn.title if title is None else title, width)
    height = 3.1 + 0.2 * text.count("\n")
    figure = new_figure(width, height)
    figure.suptitle(text, x=0.02, y=1 - 0.06 / height, ha="left", va="top")
    panel = figure.add_axes((0, 0, 1, 2.7 / height))
    panel.set(xlim=(-_HALF - 0.72, width - _HALF - 0.72), ylim=(-1.57, 1.13))
    panel.set_axis_off()
    noisy = {}
    for arrow in arrows(drawn):
        noisy.setdefault((arrow.site, arrow.step), []).append(arrow)
    for step in range(1, _STEPS + 1):
        _draw_step(panel, drawn.kind, step, noisy)
    _draw_line(panel, "h", _STATE_LINE, _STEPS + 1, None)
    if drawn.kind == "LSTM":
        _draw_line(
            panel, "c", _CELL_LINE, _STEPS + 1, noisy.get(("cell", _STEPS))
        )
    panel.text(
        -_HALF - 0.66,
        -1.5,
        "dashed: noise acts here; same number: same mask"
        if drawn.marks
        else "noise acts nowhere",
        fontsize=9,
        va="bottom",
    )
    return figure


def _draw_step(panel, kind, step, noisy):
    x = (step - 1) * _PITCH
    panel.add_patch(
        FancyBboxPatch(
            (x - _HALF, -_TOP),
            2 * _HALF,
            2 * _TOP,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor="#F4F4F4",
            edgecolor=INK,
        )
    )
    panel.text(x + _HALF - 0.06, _TOP - 0.05, kind, ha="right", va="top",
               fontsize=9)  # fmt: skip
    at = {site: found for (site, s), found in noisy.items() if s == step}
    given = at.get("input") or at.get("input weights")
    _arrows(panel, (x, -_TOP - _IN), (x, -_TOP), given, spread="x")
    panel.text(x, -_TOP - _IN - 0.03, f"$x_{step}$", ha="center", va="top")
    emitted = at.get("output") or at.get("hidden")
    _arrows(panel, (x, _TOP), (x, _TOP + _IN * 0.6), emitted)
    panel.text(x, _TOP + _IN * 0.6 + 0.02, f"$h_{step}$", ha="center",
               va="bottom")  # fmt: skip
    state = at.get("state") or at.get("recurrent weights")
    _draw_line(panel, "h", _STATE_LINE, step, state)
    if kind == "LSTM":
        _draw_line(panel, "c", _CELL_LINE, step, noisy.get(("cell", step - 1)))
    inside = {
        _STATE_LINE: at.get("keep_state", []),
        _CELL_LINE: at.get("keep_cell", []),
    }
    memory = _CELL_LINE if kind == "LSTM" else _STATE_LINE
    inside[memory] = inside[memory] + at.get("carry", [])
    for line, found in inside.items():
        if found:
            ends = (x - _HALF, line), (x + _HALF, line)
            _arrows(panel, *ends, found, spread="y")
    if "candidate" in at:
        _arrows(panel, (x - 0.3, -0.12), (x + 0.1, 0.2), at["candidate"])
        panel.text(x - 0.34, -0.12, "$g$", ha="right", va="center", fontsize=9)


def _draw_line(panel, letter, y, step, noisy):
    """The arrow into a step from the one before it."""
    end = (step - 1) * _PITCH - _HALF
    start = end - (_PITCH - 2 * _HALF)
    if step == 1:
        start = end - 0.45
        panel.text(start - 0.02, y, f"${letter}_0$", ha="right", va="center")
    elif step > _STEPS:
        end = start + 0.4
    _arrows(panel, (start, y), (end, y), noisy, spread="y")


def _arrows(panel, start, end, noisy, spread=None):
    """One arrow, or one for each gate; dashed and numbered with noise."""
    if not noisy:
        draw_arrow(panel, start, end, INK, "-", 1.0)
        return
    count = len(noisy)
    for k, each in enumerate(noisy):
        shift = (k - (count - 1) / 2) * (0.22 if spread == "x" else 0.2)
        dx, dy = (shift, 0) if spread == "x" else (0, shift)
        first = (start[0] + dx, start[1] + dy)
        last = (end[0] + dx, end[1] + dy)
        color = COLORS[(each.mask - 1) % len(COLORS)]
        dash = DASHES[(each.mask - 1) % len(DASHES)]
        draw_arrow(panel, first, last, color, dash, 1.6)
        name = str(each.mask)
        if each.gate is not None:
            # A line for each, where arrows stand side by side.
            name = f"{each.gate}{' ' if spread == 'y' else chr(10)}{name}"
        panel.text(
            (first[0] + last[0]) / 2,
            (first[1] + last[1]) / 2,
            name,
            ha="center",
            va="center",
            fontsize=8,
            color=color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
        )


def draw_arrow(panel, start, end, color, dash, width):
    """One arrow between two points, in the panel's own coordinates."""
    panel.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=9,
            shrinkA=0,
            shrinkB=0,
            color=color,
            linestyle=dash,
            linewidth=width,
        )
    )
