"""One step, a panel a method: dashed where the method acts, nowhere else."""

import keras
import pytest
from matplotlib.colors import same_color
from matplotlib.patches import FancyArrowPatch

import dropkit as dk

INK = "#333333"
METHODS = {
    "Moon": dk.Moon(0.5),
    "Gal": dk.Gal(0.5),
    "untied": dk.Gal(0.5, gates="untied"),
    "Semeniuta": dk.Semeniuta(0.5),
    "none": None,
}


def noisy(panel):
    """Dashed and colored arrows of a panel."""
    found = [p for p in panel.patches if isinstance(p, FancyArrowPatch)]
    dashed = [a for a in found if a.get_linestyle() != "-"]
    assert dashed == [a for a in found if not same_color(a.get_ec(), INK)]
    return dashed


def test_exactly_the_arrows_of_the_method_are_dashed():
    figure = dk.plot.one_step(METHODS, title="t")
    assert [p.get_title(loc="left") for p in figure.axes] == list(METHODS)
    assert [len(noisy(p)) for p in figure.axes] == [1, 1, 4, 1, 0]
    moon, gal, _, semeniuta, _ = figure.axes
    # Where they are: the memory above, the update inside, the state below.
    heights = [
        noisy(panel)[0].get_path().get_extents().y1
        for panel in (gal, semeniuta, moon)
    ]
    assert heights == sorted(heights) and len(set(heights)) == 3


def test_untied_multipliers_carry_their_gates_and_differ():
    (panel,) = dk.plot.one_step({"a": METHODS["untied"]}, title="t").axes
    texts = [t.get_text() for t in panel.texts]
    assert [t for t in texts if "m" in t and "$" in t] == [
        f"$m_{gate}$" for gate in "ifgo"
    ]
    assert len({(a.get_ec(), str(a.get_ls())) for a in noisy(panel)}) == 4


def test_a_measurement_is_drawn_as_what_it_measured():
    keras_layer = keras.layers.LSTM(3, dropout=0.3, recurrent_dropout=0.5)
    (panel,) = dk.plot.one_step({"a": dk.probe(keras_layer)}, title="t").axes
    assert len(noisy(panel)) == 8  # four for the state, four for the input
    assert "the same mask at all steps" in [t.get_text() for t in panel.texts]


def test_the_sharing_over_time_is_said():
    names = {"a": dk.Moon(0.5), "b": dk.Moon(0.5, over="step")}
    said = [
        {t.get_text() for t in panel.texts}
        for panel in dk.plot.one_step(names, title="t").axes
    ]
    assert said[0] - said[1] == {"the same mask at all steps"}
    assert said[1] - said[0] == {"a new mask at each step"}


def test_all_of_it_is_inside_the_figure():
    figure = dk.plot.one_step(METHODS, title="A long title " * 20)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 > -0.05 and box.x1 < figure.get_figwidth() + 0.05
    assert box.y0 > -0.05 and box.y1 < figure.get_figheight() + 0.05
    assert min(t.get_fontsize() for t in figure.axes[0].texts) >= 8


def test_wrong_sources():
    with pytest.raises(ValueError, match="Received: {}"):
        dk.plot.one_step({}, title="t")
    with pytest.raises(ValueError, match=r"Received: Zoneout\("):
        dk.plot.one_step({"a": dk.Zoneout()}, title="t")
    with pytest.raises(ValueError, match="draws an LSTM"):
        report = dk.probe(keras.layers.GRU(3, recurrent_dropout=0.5))
        dk.plot.one_step({"a": report}, title="t")
    with pytest.raises(TypeError, match="Received: 0.5"):
        dk.plot.one_step({"a": 0.5}, title="t")
