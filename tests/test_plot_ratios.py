"""Ratios: a dot a case, on an axis where halving mirrors doubling."""

import numpy as np
import pytest

from dropkit import plot

VALUES = {
    "tied": {"A": 4.0, "B": 2.0, "C": 0.5},
    "untied": {"A": 3.0},
}
WORDS = {"title": "Faster", "xlabel": "times as fast", "one": "Keras"}


def dots(ax):
    return [tuple(c.get_offsets()[0].tolist()) for c in ax.collections]


def test_each_case_has_its_dot_and_its_name():
    (ax,) = plot.ratios(VALUES, **WORDS).axes
    assert dots(ax) == [(0.5, 0), (2.0, 0), (4.0, 0), (3.0, 1)]
    named = {(t.get_text(), *t.xy) for t in ax.texts}
    assert named == {
        ("C", 0.5, 0),
        ("B", 2.0, 0),
        ("A", 4.0, 0),
        ("A", 3.0, 1),
        ("Keras", 1, 1),
    }
    assert [t.get_text() for t in ax.get_yticklabels()] == list(VALUES)


def test_halving_is_as_far_from_one_as_doubling():
    (ax,) = plot.ratios(VALUES, **WORDS).axes
    half, one, two = ax.transData.transform([(0.5, 0), (1, 0), (2, 0)])[:, 0]
    assert one - half == pytest.approx(two - one)
    low, high = ax.get_xlim()
    assert low < 0.5 and high > 4
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert ticks == ["0.5", "1", "2", "4"]


def test_one_stays_in_sight_of_large_ratios():
    (ax,) = plot.ratios({"a": {"A": 9.0, "B": 12.0}}, **WORDS).axes
    assert ax.get_xlim()[0] < 1


def test_neighbors_names_stand_on_different_sides():
    (ax,) = plot.ratios(VALUES, **WORDS).axes
    sides = {t.get_text(): t.xyann[1] for t in ax.texts if t.xy[1] == 0}
    assert sides["C"] * sides["B"] < 0 and sides["B"] * sides["A"] < 0


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"a": {}},
        {"a": {"A": 0.0}},
        {"a": {"A": -1.0}},
        {"a": {"A": np.nan}},
    ],
)
def test_what_has_no_place_on_the_axis_is_refused(values):
    with pytest.raises(ValueError, match="Received: values="):
        plot.ratios(values, **WORDS)
