"""A table of changes shows which are clear, without color."""

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb

from dropkit import plot

CHANGES = [[-12.04, 1.0, 0.0], [30.0, -2.0, -0.5]]
CLEAR = [[True, False, True], [True, False, True]]


def draw(changes=CHANGES, clear=CLEAR, **options):
    options = {
        "rows": ["Gal 0.2", "Moon 0.5"],
        "columns": ["a\nbest", "b", "c"],
        "title": "A finding",
        "caption": "change in percent",
    } | options
    return plot.verdicts(changes, clear, **options)


def test_marks_say_what_is_clear_and_where_it_points():
    (ax,) = draw().axes
    found = [text.get_text() for text in ax.texts]
    assert found == [
        "\u25bc -12.0",
        "+1.0",
        "+0.0",
        "\u25b2 +30.0",
        "-2.0",
        "\u25bc -0.5",
    ]


def test_cells_are_grey_and_the_text_stands_out():
    (ax,) = draw().axes
    for patch, text in zip(ax.patches, ax.texts, strict=True):
        fill, ink = patch.get_facecolor()[:3], to_rgb(text.get_color())
        assert rgb_to_hsv(fill)[1] == 0
        assert abs(np.mean(fill) - np.mean(ink)) > 0.5


def test_numbers_stand_under_their_names():
    (ax,) = draw().axes
    columns = [t.get_text() for t in ax.get_xticklabels()]
    rows = [t.get_text() for t in ax.get_yticklabels()]
    assert columns == ["a\nbest", "b", "c"] and rows == ["Gal 0.2", "Moon 0.5"]
    places = [text.get_position() for text in ax.texts]
    assert places == [(c + 0.5, r + 0.5) for r in (0, 1) for c in (0, 1, 2)]
    assert ax.yaxis_inverted()


def test_groups_are_divided_by_lines():
    changes, clear = np.ones((1, 6)), np.zeros((1, 6), bool)
    names = {"rows": ["r"], "columns": list("abcdef")}
    (ax,) = draw(changes, clear, groups=3, **names).axes
    assert [line.get_xdata()[0] for line in ax.lines] == [2, 4]
    assert not draw().axes[0].lines


def test_25_rows_fit():
    rows = [f"Gal tied and dropout= {k}" for k in range(25)]
    figure = draw(
        np.full((25, 6), -123.4),
        np.ones((25, 6), bool),
        rows=rows,
        columns=["weather\nearly\nstopped"] * 6,
        title="A long finding " * 12,
        caption="a caption that goes on " * 10,
    )
    figure.draw_without_rendering()
    (ax,) = figure.axes
    boxes = [text.get_window_extent() for text in ax.texts]
    for k in range(0, len(boxes), 6):
        row = boxes[k : k + 6]
        assert all(a.x1 < b.x0 for a, b in zip(row, row[1:], strict=False))
    below = zip(boxes, boxes[6:], strict=False)
    assert all(a.y0 >= b.y1 for a, b in below)
    titles = figure._suptitle, figure._supxlabel
    for text in (*ax.get_yticklabels(), *ax.get_xticklabels(), *titles):
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    "options",
    [
        {"rows": ["one"]},
        {"columns": []},
        {"clear": [[True]]},
        {"changes": [[np.nan] * 3] * 2},
        {"groups": 2},
        {"groups": 0},
    ],
)
def test_what_does_not_fit_is_refused(options):
    with pytest.raises(ValueError, match="Received: "):
        draw(**options)
