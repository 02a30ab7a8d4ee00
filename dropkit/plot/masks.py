"""Multipliers as colored grids."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from dropkit.plot.style import (
    INK,
    MULTIPLIERS,
    multiplier_norm,
    new_figure,
    styled,
    wrap,
)

# All in inches, as is the layout: a layout engine would not give equal cells.
_WIDTH, _MARGIN, _GAP, _NAME, _LINE = 5.4, 0.6, 0.15, 0.27, 0.2
_TALLEST, _CELL, _SMALLEST_CELL, _BAR = 4.5, 0.3, 0.17, 2.6
_GLYPHS_UP_TO = 16


@styled
def mask_grid(
    multipliers: ArrayLike,
    *,
    title: str,
    rate: float | None = None,
    padding: ArrayLike | None = None,
    sample_titles: Sequence[str] | None = None,
    xlabel: str = "feature",
    ylabel: str = "time step",
    vmax: float | None = None,
    axes: Axes | Sequence[Axes] | None = None,
) -> Figure | Axes | Sequence[Axes]:
    """Draws multipliers as cells: orange dropped, grey unchanged, blue kept.

    On grids of up to 16 x 16 cells an exact 0 also carries a cross and a
    negative multiplier a minus sign.

    Args:
        multipliers: Array `(time, features)`, or `(samples, time, features)`
            for one panel a sample. Other axes do as well (an image's height
            and width, a batch and its features): give their names in
            `xlabel` and `ylabel`.
        title: String, the finding. Long titles wrap.
        rate: Float, the drop probability. Sets `vmax` to `1 / (1 - rate)`
            and names it at the color bar.
        padding: Boolean array, `True` where a step or an entry is padding:
            of the shape of `multipliers`, or that without the last axis.
            Padding is hatched white.
        sample_titles: One string a sample; default "sample 0", ...
        xlabel: Name of the last axis.
        ylabel: Name of the axis before it, drawn with 0 at the top.
        vmax: Float, the multiplier drawn fully blue; default from `rate`,
            else the largest multiplier. Larger ones are clipped, and the
            title then says so.
        axes: Matplotlib axes to draw into, one a sample; default: a new
            figure.
    Returns:
        The new figure, or `axes` where given.
    Raises:
        ValueError: if `multipliers` isn't an array of finite numbers with 2
            or 3 axes, or if `padding`, `sample_titles` or `axes` don't fit
            it; the message ends `Received: ...`.
    Example:
        >>> import numpy as np
        >>> from dropkit import plot
        >>> mask = 2.0 * np.eye(3)
        >>> figure = plot.mask_grid(mask, title="Two thirds dropped", rate=0.5)
        >>> len(figure.axes)  # the panel and the color bar
        2
    """
    values, padded = _panels(multipliers, padding)
    count, height, width = values.shape
    norm, clipped = _norm([values], rate, vmax)
    names = _sample_titles(sample_titles, count)
    if clipped:
        title += f" (colors end at vmax = {norm.vmax:.3g})"
    if axes is None:
        columns = _columns(count, width)
        rows = math.ceil(count / columns)
        figure, grid, cell, bar = _frame(
            rows, columns, height, width, title, named=any(names)
        )
        panels = grid.ravel()[:count]
        for unused in grid.ravel()[count:]:
            unused.set_axis_off()
    else:
        panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(panels) != count:
            raise ValueError(
                f"Expected {count} axes, one a sample. "
                f"Received: {len(panels)} axes"
            )
        figure, columns, bar = panels[0].figure, count, None
        box = panels[0].get_window_extent()
        cell = min(box.width / width, box.height / height) / figure.dpi
        names = (wrap(title, box.width / figure.dpi), *names[1:])
    for k, panel in enumerate(panels):
        _draw(panel, values[k], padded[k], norm, cell)
        panel.set_title(names[k])
        # Only panels with nothing below or to the left name their axes.
        _name_axes(
            panel,
            xlabel if k + columns >= count else "",
            ylabel if k % columns == 0 else "",
        )
    _color_bar(figure, list(panels), bar, norm, [values], rate)
    return figure if axes is None else axes


@styled
def mask_rows(
    variants: Mapping[str, ArrayLike],
    *,
    title: str,
    rate: float | None = None,
    padding: ArrayLike | None = None,
    sample_titles: Sequence[str] | None = None,
    xlabel: str = "feature",
    ylabel: str = "time step",
    vmax: float | None = None,
) -> Figure:
    """Compares masks: a row a variant, a column a sample, one color bar.

    Args:
        variants: Dict from a variant's name to its multipliers, as in
            `mask_grid`; all of one shape.
        title: String, the finding. Long titles wrap.
        rate: As in `mask_grid`, one for all.
        padding: As in `mask_grid`, one for all.
        sample_titles: One string a sample; default "sample 0", ...
        xlabel: Name of the last axis.
        ylabel: Name of the axis before it, drawn with 0 at the top.
        vmax: As in `mask_grid`; default the largest multiplier of all.
    Returns:
        The figure.
    Raises:
        ValueError: if `variants` is empty or mixes shapes, or as
            `mask_grid`; the message ends `Received: ...`.
    Example:
        >>> import numpy as np
        >>> from dropkit import plot
        >>> rows = {"every entry": np.eye(4), "whole rows": np.ones((4, 4))}
        >>> figure = plot.mask_rows(rows, title="Two ways to drop")
        >>> [panel.get_title(loc="left") for panel in figure.axes[:2]]
        ['every entry', 'whole rows']
    """
    drawn = {name: _panels(m, padding) for name, m in variants.items()}
    shapes = {name: values.shape for name, (values, _) in drawn.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(
            "Invalid value received for argument `variants`. Expected one "
            f"or more arrays of one shape. Received: shapes {shapes}"
        )
    count, height, width = next(iter(shapes.values()))
    everything = [values for values, _ in drawn.values()]
    norm, clipped = _norm(everything, rate, vmax)
    names = _sample_titles(sample_titles, count)
    if clipped:
        title += f" (colors end at vmax = {norm.vmax:.3g})"
    # In the first row a variant's name stands above the samples' titles.
    header = "\n" if any(names) else ""
    figure, grid, cell, bar = _frame(
        len(drawn), count, height, width, title, header=_LINE * len(header)
    )
    for row, (name, (values, padded)) in enumerate(drawn.items()):
        for k, panel in enumerate(grid[row]):
            _draw(panel, values[k], padded[k], norm, cell)
            if row == 0:
                panel.set_title(names[k], loc="center")
            _name_axes(
                panel,
                xlabel if row == len(drawn) - 1 else "",
                ylabel if k == 0 else "",
            )
        grid[row, 0].set_title(name + header * (row == 0), fontweight="bold")
    _color_bar(figure, list(grid.ravel()), bar, norm, everything, rate)
    return figure


@styled
def images(
    rows: Mapping[str, ArrayLike],
    *,
    title: str,
    vmax: float | None = None,
) -> Figure:
    """Shows rows of grey images, on one scale from black to white.

    Args:
        rows: Dict from a row's name to its images, `(height, width)` or
            `(images, height, width)`; all of one shape.
        title: String, the finding. Long titles wrap.
        vmax: Float, the value drawn white; default: the largest of all.
    Returns:
        The figure.
    Raises:
        ValueError: if `rows` is empty, mixes shapes or holds other arrays;
            the message ends `Received: ...`.
    Example:
        >>> from dropkit import data, plot
        >>> x = data.fashion().x[:3]
        >>> figure = plot.images({"original": x, "halved": x / 2}, title="Dim")
        >>> len(figure.axes)
        6
    """
    drawn = {name: _panels(values, None)[0] for name, values in rows.items()}
    shapes = {name: values.shape for name, values in drawn.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(
            "Invalid value received for argument `rows`. Expected one or "
            f"more arrays of one shape. Received: shapes {shapes}"
        )
    count, height, width = next(iter(shapes.values()))
    if vmax is None:
        vmax = max(values.max() for values in drawn.values())
    figure, grid, _, _ = _frame(
        len(drawn), count, height, width, title, bar=False
    )
    for row, (name, values) in enumerate(drawn.items()):
        for image, panel in zip(values, grid[row], strict=True):
            panel.imshow(image, cmap="gray", vmin=0, vmax=vmax)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        grid[row, 0].set_title(name, fontweight="bold")
    return figure


def _panels(
    multipliers: ArrayLike, padding: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(multipliers, dtype=float)
    if values.ndim not in (2, 3) or not values.size:
        raise ValueError(
            "Expected an array with 2 axes, or 3 for several samples. "
            f"Received: shape={values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(
            "Expected finite numbers. "
            f"Received: {values[~np.isfinite(values)][0]}"
        )
    padded = np.zeros(values.shape, bool)
    if padding is not None:
        padding = np.asarray(padding)
        if padding.dtype != bool or padding.shape not in (
            values.shape,
            values.shape[:-1],
        ):
            raise ValueError(
                "Invalid value received for argument `padding`. Expected a "
                f"boolean array of shape {values.shape[:-1]} or "
                f"{values.shape}. Received: {padding.dtype} array of shape "
                f"{padding.shape}"
            )
        steps = padding.ndim < values.ndim
        padded |= padding[..., None] if steps else padding
    if values.ndim == 2:
        return values[None], padded[None]
    return values, padded


def _sample_titles(titles: Sequence[str] | None, count: int) -> Sequence[str]:
    if titles is None:
        return [f"sample {k}" if count > 1 else "" for k in range(count)]
    if len(titles) != count:
        raise ValueError(
            "Invalid value received for argument `sample_titles`. Expected "
            f"{count} of them. Received: sample_titles={titles}"
        )
    return titles


def _norm(
    values: Sequence[np.ndarray], rate: float | None, vmax: float | None
) -> tuple[TwoSlopeNorm, bool]:
    """Returns the norm and whether some multiplier lies above it."""
    largest = max(v.max() for v in values)
    if vmax is None and rate is not None:
        if not 0 <= rate <= 1:
            raise ValueError(
                "Invalid value received for argument `rate`. Expected a "
                f"number in [0, 1]. Received: rate={rate}"
            )
        vmax = 1 / (1 - rate) if 0 < rate < 1 else None
    if vmax is None:
        # Nothing is amplified: the bar will end at 1, any norm does.
        vmax = largest if largest > 1 else 2.0
    return multiplier_norm(vmax), bool(largest > vmax * (1 + 1e-6))


def _cell_width(columns: int, width: int) -> float:
    return (_WIDTH - _MARGIN - _GAP * (columns - 1)) / (columns * width)


def _columns(count: int, width: int) -> int:
    """The most panels side by side whose cells can still be read."""
    smallest = _SMALLEST_CELL if width <= _GLYPHS_UP_TO else 1.4 / width
    most = max(
        n
        for n in range(1, count + 1)
        if n == 1 or _cell_width(n, width) >= smallest
    )
    return math.ceil(count / math.ceil(count / most))


def _frame(
    rows: int,
    columns: int,
    height: int,
    width: int,
    title: str,
    *,
    named: bool = True,
    header: float = 0.0,
    bar: bool = True,
) -> tuple[Figure, np.ndarray, float, Axes | None]:
    """Makes a figure of exactly the right size.

    Returns:
        The figure, its panels as an array `(rows, columns)`, the size of a
        cell and the axes of the color bar.
    """
    tallest = max(_TALLEST / (rows * height), 1.5 * _SMALLEST_CELL)
    cell = min(_CELL, tallest, _TALLEST / height, _cell_width(columns, width))
    panel_width, panel_height = width * cell, height * cell
    span = columns * panel_width + (columns - 1) * _GAP
    bar_span = max(0.9 * span, _BAR) if bar else 0.0
    inside = max(span, bar_span)
    total_width = _MARGIN + inside + 0.4
    text = wrap(title, total_width)
    head = _LINE * (text.count("\n") + 1) + 0.1 + header
    step = panel_height + (_NAME if named else 0.0) + 0.1
    # Room for the last row's numbers and name, then the bar and its words.
    foot = 1.15 if bar else 0.1
    total_height = head + rows * step + foot
    figure = new_figure(total_width, total_height)

    def place(left: float, bottom: float, width: float, height: float) -> Axes:
        return figure.add_axes(
            (
                left / total_width,
                bottom / total_height,
                width / total_width,
                height / total_height,
            )
        )

    figure.suptitle(
        text, x=0.1 / total_width, y=1 - 0.05 / total_height, ha="left"
    )
    left = _MARGIN + (inside - span) / 2
    panels = [
        [
            place(
                left + column * (panel_width + _GAP),
                total_height - head - (row + 1) * step + 0.1,
                panel_width,
                panel_height,
            )
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    bar_axes = None
    if bar:
        bar_left = _MARGIN + (inside - bar_span) / 2
        bar_axes = place(bar_left, 0.5, bar_span, 0.13)
    return figure, np.array(panels, dtype=object), cell, bar_axes


def _draw(
    panel: Axes,
    values: np.ndarray,
    padded: np.ndarray,
    norm: TwoSlopeNorm,
    cell: float,
) -> None:
    height, width = values.shape
    if padded.any():
        panel.add_patch(
            Rectangle(
                (-0.5, -0.5),
                width,
                height,
                facecolor="white",
                edgecolor="#AAAAAA",
                hatch="/////",
                linewidth=0,
                zorder=0,
            )
        )
    panel.pcolormesh(
        np.arange(width + 1) - 0.5,
        np.arange(height + 1) - 0.5,
        np.ma.array(values, mask=padded),
        cmap=MULTIPLIERS,
        norm=norm,
        edgecolors="white",
        linewidth=0.72 if cell > 0.04 else 0.0,
    )
    if max(height, width) <= _GLYPHS_UP_TO:
        for glyph, where in (("x", values == 0), ("_", values < 0)):
            y, x = np.nonzero(where & ~padded)
            panel.scatter(
                x,
                y,
                s=(0.4 * cell * 72) ** 2,
                marker=glyph,
                color=INK,
                linewidths=1.2,
                label=glyph,
            )
    panel.set(
        aspect="equal", xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5)
    )
    for axis, cells in ((panel.xaxis, width), (panel.yaxis, height)):
        most = max(1, min(8, int(cells * cell / 0.25)))
        axis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))
    panel.tick_params(length=0, labelsize=9)
    panel.spines[:].set_visible(False)


def _name_axes(panel: Axes, xlabel: str, ylabel: str) -> None:
    panel.set(xlabel=xlabel, ylabel=ylabel)
    panel.tick_params(labelbottom=bool(xlabel), labelleft=bool(ylabel))
    # A label that is longer than its axis would run into the title.
    if panel.get_window_extent().height / panel.figure.dpi < 0.09 * len(ylabel):
        panel.yaxis.label.set(rotation=0, ha="right", va="center")


def _color_bar(
    figure: Figure,
    panels: list[Axes],
    axes: Axes | None,
    norm: TwoSlopeNorm,
    values: Sequence[np.ndarray],
    rate: float | None,
) -> None:
    smallest = min(v.min() for v in values)
    largest = max(v.max() for v in values)
    amplified = largest > 1 or (rate is not None and 0 < rate < 1)
    # Bernoulli multipliers have names; a continuum has only numbers.
    two_point = all(
        (np.isclose(v, 0) | np.isclose(v, 1) | np.isclose(v, norm.vmax)).all()
        for v in values
    )
    top = f"{norm.vmax:.3g}"
    if two_point:
        top += " kept"
        if rate is not None:
            top += "\n= 1/(1\N{MINUS SIGN}rate)"
    above, below = largest > norm.vmax * (1 + 1e-6), smallest < 0
    if above:
        top += " or more"
    bar = figure.colorbar(
        ScalarMappable(norm, MULTIPLIERS),
        **({"ax": panels, "pad": 0.25} if axes is None else {"cax": axes}),
        location="bottom",
        extend=("neither", "max", "min", "both")[above + 2 * below],
    )
    ticks = {0.0: "0 dropped", 1.0: "1 unchanged", norm.vmax: top}
    if not amplified:
        del ticks[norm.vmax]
        bar.ax.set_xlim(0, 1)
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_visible(False)
