"""The unrolled picture: the same from a measurement as from a method."""

import keras
import pytest
from matplotlib.colors import same_color
from matplotlib.patches import FancyArrowPatch
from recurrent_cases import KINDS, METHODS, is_defined
from variants import FULL

import dropkit as dk
from dropkit.plot import display
from dropkit.plot.unrolled import Mark, Scheme, arrows, scheme, unrolled_alt
from dropkit.probe import Finding, Noise, Report
from dropkit.recurrent import as_method

INK = "#333333"
# A probe takes a second: in the short run, each method on one of the layers.
CASES = [
    (kind, as_method(method))
    for k, method in enumerate(METHODS)
    for j, kind in enumerate(KINDS)
    if is_defined(kind, method)
    and (FULL or j == k % 3 or not is_defined(KINDS[k % 3], method))
]


@pytest.mark.parametrize("kind, method", CASES, ids=repr)
def test_measurement_and_specification_give_one_picture(kind, method):
    layer = getattr(dk, kind)(3, dropout=0.3, recurrent_dropout=method, seed=3)
    measured, asked = scheme(dk.probe(layer)), scheme(method, kind, 0.3)
    assert measured == asked
    assert arrows(measured) == arrows(asked) and arrows(asked)


def test_keras_lstm_is_drawn_from_the_measurement():
    layer = keras.layers.LSTM(3, dropout=0.3, recurrent_dropout=0.4)
    report = dk.probe(layer)
    assert scheme(report) == scheme(dk.Gal(0.4, "untied"), "LSTM", 0.3)
    figure = report.plot()
    assert figure.get_suptitle().startswith("Gal (untied)")


def test_a_kept_mask_has_one_number_and_a_redrawn_one_has_many():
    kept = arrows(scheme(dk.Gal(0.4)))
    redrawn = arrows(scheme(dk.Gal(0.4, over="step")))
    untied = arrows(scheme(dk.Gal(0.4, gates="untied")))
    assert [a.mask for a in kept] == [1, 1, 1]
    assert [a.mask for a in redrawn] == [1, 2, 3]
    assert [a.mask for a in untied] == [1, 2, 3, 4] * 3
    assert [a.gate for a in untied] == list("ifco") * 3


def patches(figure):
    (panel,) = figure.axes
    return [p for p in panel.patches if isinstance(p, FancyArrowPatch)]


def is_plain(arrow):
    return same_color(arrow.get_edgecolor(), INK)


@pytest.mark.parametrize("kind, method", CASES, ids=repr)
def test_exactly_the_arrows_with_noise_are_dashed(kind, method):
    figure = dk.plot.unrolled(method, kind, 0.3)
    expected = arrows(scheme(method, kind, 0.3))
    colored = [a for a in patches(figure) if not is_plain(a)]
    assert len(colored) == len(expected)
    assert all(a.get_linestyle() == "-" for a in patches(figure) if is_plain(a))
    assert all(a.get_linestyle() != "-" for a in colored)


def test_one_mask_is_one_color_and_dash():
    """Up to 12 masks; beyond, the number still tells them apart."""
    figure = dk.plot.unrolled(dk.Gal(0.4, gates="untied", over="step"))
    colored = [a for a in patches(figure) if not is_plain(a)]
    looks = {(a.get_edgecolor(), str(a.get_linestyle())) for a in colored}
    assert len(colored) == len(looks) == 12
    kept = dk.plot.unrolled(dk.Gal(0.4))
    looks = {
        (a.get_edgecolor(), str(a.get_linestyle()))
        for a in patches(kept)
        if not is_plain(a)
    }
    assert len(looks) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_no_arrow_is_dashed(kind):
    figure = dk.plot.unrolled(None, kind)
    assert all(map(is_plain, patches(figure)))
    assert "noise acts nowhere" in [t.get_text() for t in figure.axes[0].texts]


@pytest.mark.parametrize("kind, method", CASES, ids=repr)
def test_the_text_in_its_place_fits(kind, method, capsys):
    alt = unrolled_alt(method, kind, 0.3)
    assert 0 < len(alt) <= 300
    display.show(dk.plot.unrolled(method, kind, 0.3), alt)
    assert capsys.readouterr().out == alt + "\n"


def test_all_of_it_is_inside_the_figure():
    figure = dk.plot.unrolled(dk.Gal(0.4, gates="untied"), dropout=0.3)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 > -0.05 and box.x1 < figure.get_figwidth() + 0.05
    assert box.y0 > -0.05 and box.y1 < figure.get_figheight() + 0.05
    assert min(t.get_fontsize() for t in figure.axes[0].texts) >= 8


@pytest.mark.parametrize("kind, keep", [("LSTM", "cell"), ("GRU", "state")])
def test_what_is_carried_over_is_an_arrow_inside_the_cell(kind, keep):
    """On the line of the memory; beside the one of zoneout, if both act."""
    both = [
        Finding(site, Noise("bernoulli"), {"time": "shared"})
        for site in ("carry", f"keep_{keep}")
    ]
    heights = []
    for findings in (both[:1], both[1:], both):
        report = Report(kind, kind, "none known", tuple(findings))
        colored = [
            a for a in patches(dk.plot.unrolled(report)) if not is_plain(a)
        ]
        boxes = [a.get_path().get_extents() for a in colored]
        heights.append([round((b.y0 + b.y1) / 2, 3) for b in boxes])
    alone, kept, beside = heights
    assert alone == kept and len(alone) == 3
    assert len(set(beside)) == 2 and alone[0] not in beside
    assert unrolled_alt(report).count("one mask for all steps") == 2
    assert "what is carried over" in unrolled_alt(report)


def test_wrong_sources():
    with pytest.raises(ValueError, match="Received: a report of Dropout"):
        dk.plot.unrolled(dk.probe(keras.layers.Dropout(0.5)))
    with pytest.raises(ValueError, match="Received: layer='Dense'"):
        dk.plot.unrolled(dk.Gal(0.5), "Dense")
    with pytest.raises(TypeError, match="Received: 0.5"):
        dk.plot.unrolled(0.5)
    with pytest.raises(ValueError, match="not defined for a GRU"):
        dk.plot.unrolled(dk.Moon(0.5), "GRU")


def test_the_title_is_no_part_of_the_comparison():
    marks = (Mark("cell", "step"),)
    assert Scheme("LSTM", marks, "a") == Scheme("LSTM", marks, "b")
    assert Scheme("LSTM", marks) != Scheme("GRU", marks)
