"""Matrices show sizes, mark exact zeros and name their rows and columns."""

import numpy as np
import pytest
from matplotlib.colors import same_color

from dropkit import plot

LABELS = {"title": "t", "xlabel": "from", "ylabel": "to", "label": "size"}
SIGNED = np.array([[-2.0, 0.0, 1.0], [0.5, 1e-30, 0.0]])


def crosses(panel):
    (points,) = panel.collections[1:]
    return {(int(y), int(x)) for x, y in points.get_offsets()}


def test_sizes_are_absolute_and_share_one_scale():
    figure = plot.matrices({"a": SIGNED, "b": SIGNED / 4}, **LABELS)
    meshes = [panel.collections[0] for panel in figure.axes[:2]]
    np.testing.assert_array_equal(meshes[0].get_array(), np.abs(SIGNED))
    assert {mesh.get_clim() for mesh in meshes} == {(0.0, 2.0)}
    colors = meshes[0].to_rgba(meshes[0].get_array())
    assert same_color(colors[0, 0], "#333333")
    assert same_color(colors[0, 1], "white")


def test_only_exact_zeros_carry_a_cross():
    figure = plot.matrices({"a": SIGNED}, **LABELS)
    assert crosses(figure.axes[0]) == {(0, 1), (1, 2)}


@pytest.mark.parametrize("size, marks", [(16, 1), (17, 0)])
def test_crosses_stop_at_16_entries(size, marks):
    figure = plot.matrices({"a": np.eye(2, size)}, **LABELS)
    assert len(figure.axes[0].collections) == 1 + marks


def test_first_row_is_at_the_top():
    (panel, _) = plot.matrices({"a": SIGNED}, **LABELS).axes
    assert panel.get_ylim() == (2, 0) and panel.get_xlim() == (0, 3)


def test_rows_and_columns_are_named_or_numbered():
    figure = plot.matrices({"a": SIGNED}, columns="ifc", **LABELS)
    panel = figure.axes[0]
    assert [t.get_text() for t in panel.get_xticklabels()] == ["i", "f", "c"]
    assert [t.get_text() for t in panel.get_yticklabels()] == ["0", "1"]
    assert panel.get_xticks().tolist() == [0.5, 1.5, 2.5]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("from", "to")
    assert figure.axes[-1].get_xlabel().startswith("size")


def test_nothing_but_zeros_is_drawn_white():
    (panel, _) = plot.matrices({"a": np.zeros((2, 2))}, **LABELS).axes
    mesh = panel.collections[0]
    assert same_color(mesh.to_rgba(mesh.get_array())[0, 0], "white")


def test_all_text_stands_inside_a_narrow_figure():
    labels = LABELS | {"title": "A finding that needs two lines, " * 4}
    figure = plot.matrices({"a": SIGNED, "b": SIGNED, "c": SIGNED}, **labels)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert figure.get_figwidth() <= 7 and figure.get_suptitle().count("\n")
    assert box.x0 > -0.2 and box.x1 < figure.get_figwidth() + 0.2
    assert box.y0 > -0.1 and box.y1 < figure.get_figheight() + 0.1


@pytest.mark.parametrize(
    "panels, names",
    [
        ({}, {}),
        ({"a": np.ones(3)}, {}),
        ({"a": np.ones((0, 3))}, {}),
        ({"a": np.eye(2), "b": np.eye(3)}, {}),
        ({"a": [[np.nan, 1.0]]}, {}),
        ({"a": [[np.inf, 1.0]]}, {}),
        ({"a": SIGNED}, {"columns": ["x", "y"]}),
        ({"a": SIGNED}, {"rows": ["x", "y", "z"]}),
    ],
)
def test_bad_matrices_are_refused(panels, names):
    with pytest.raises(ValueError, match=r"Received: [^\n]+\Z"):
        plot.matrices(panels, **LABELS, **names)
