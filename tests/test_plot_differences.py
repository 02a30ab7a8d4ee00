"""The figure of an experiment can be read without color."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import same_color

from dropkit import plot

VALUES = {
    "gal 0.25": [-0.2, -0.1, -0.3],
    "gal 0.5": [0.1, 0.2, 0.3],
    "other": [-0.1, 0.0, 0.1],
}
INTERVALS = {"gal 0.25": (-0.4, -0.01), "gal 0.5": (0.01, 0.4)}
INTERVALS["other"] = (-0.2, 0.2)


def draw(values=VALUES, intervals=INTERVALS, **options):
    options = {"title": "t", "xlabel": "loss", "baseline": "none"} | options
    return plot.differences(values, intervals=intervals, **options)


def marks(ax):
    """The drawn mean of each row: `(value, marker, whether hollow)`."""
    lines = [line for line in ax.lines if line.get_linestyle() == "None"]
    return [
        (
            float(line.get_xdata()[0]),
            line.get_marker(),
            same_color(line.get_markerfacecolor(), "white"),
        )
        for line in lines
    ]


def test_only_intervals_that_hold_0_have_hollow_marks():
    (ax,) = draw().axes
    assert [hollow for *_, hollow in marks(ax)] == [False, False, True]


def test_an_interval_that_ends_at_0_or_does_not_exist_is_hollow():
    intervals = {"gal 0.25": (-0.4, 0.0), "gal 0.5": (0.0, 0.4)}
    (ax,) = draw(intervals=intervals | {"other": (np.nan, np.nan)}).axes
    assert [hollow for *_, hollow in marks(ax)] == [True, True, True]


def test_means_intervals_and_seeds_stand_where_the_numbers_say():
    (ax,) = draw().axes
    assert [value for value, *_ in marks(ax)] == pytest.approx([-0.2, 0.2, 0])
    bars = [tuple(b.get_xdata()) for b in ax.lines if b.get_linestyle() == "-"]
    assert bars == list(INTERVALS.values())
    for row, (seeds, dots) in enumerate(
        zip(VALUES.values(), ax.collections, strict=True)
    ):
        assert dots.get_offsets()[:, 0].tolist() == seeds
        assert np.abs(dots.get_offsets()[:, 1] - row).max() < 0.5
    (zero,) = [line for line in ax.lines if line.is_dashed()]
    assert set(zero.get_xdata()) == {0}


def test_words_say_n_the_baseline_and_the_interval():
    (ax,) = draw(interval="99 % t-interval").axes
    assert [text.get_text() for text in ax.texts] == [
        "-0.2 (n = 3)",
        "+0.2 (n = 3)",
        "+0 (n = 3)",
    ]
    assert "to none (dashed)" in ax.get_xlabel()
    assert "99 % t-interval" in ax.get_xlabel()


def test_a_method_keeps_its_mark_at_all_rates():
    (ax,) = draw().axes
    first, second, other = (marker for _, marker, _ in marks(ax))
    assert first == second == plot.VARIANTS["gal"].marker != other


def test_30_variants_fit_and_the_first_is_on_top():
    names = [f"variant {k}" for k in range(30)]
    figure = draw(dict.fromkeys(names, [1, 2]), dict.fromkeys(names, (1, 2)))
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == names
    assert ax.yaxis_inverted()
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in ax.get_yticklabels()]
    assert all(a.y0 >= b.y1 for a, b in zip(boxes, boxes[1:], strict=False))
    limit = figure.bbox
    for text in (*ax.texts, *ax.get_yticklabels(), ax.xaxis.label):
        box = text.get_window_extent()
        assert limit.x0 <= box.x0 and box.x1 <= limit.x1
        assert limit.y0 <= box.y0 and box.y1 <= limit.y1


def test_no_seed_is_no_error():
    (ax,) = draw({"gal": []}, {"gal": (np.nan, np.nan)}).axes
    assert ax.texts[0].get_text() == "+nan (n = 0)"


def test_it_draws_into_given_axes():
    figure, axes = plt.subplots()
    plt.close(figure)
    assert draw(axes=axes) is axes
    assert axes.get_title(loc="left") == "t"


@pytest.mark.parametrize("values", [{}, {"gal": [1.0]}])
def test_other_names_are_refused(values):
    with pytest.raises(ValueError, match=r"Received: \['gal 0.25'"):
        draw(values)
