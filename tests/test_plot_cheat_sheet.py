"""The cheat sheet says what the methods are, and the files are its output."""

import re

import cheat_sheet as tool
import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

import dropkit as dk
from dropkit.layers import NoiseLayer
from dropkit.methods import Method
from dropkit.plot.catalog import RATE, SIZES, entries
from dropkit.plot.cheat_sheet import HEIGHT, SITES, WIDTH

ENTRIES = entries()
FILES = [tool.FOLDER / f"{tool.NAME}.{kind}" for kind in ("png", "pdf")]
STALE = "run: python tools/cheat_sheet.py"


def find(call):
    return [entry for entry in ENTRIES if entry.call == call]


def probed(entry):
    """The finding that the probe makes of the same thing, with its report."""
    made = eval(entry.call, {"dk": dk})
    if isinstance(made, Method):
        made = dk.LSTM(3, recurrent_dropout=made, seed=3)
    report = dk.probe(made)
    site = "recurrent weights" if entry.site == "kernel" else entry.site
    return report, report.site(site)


def test_every_layer_and_method_has_a_line():
    public = [getattr(dk, name) for name in dk.__all__ if name != "plot"]
    wanted = {
        item.__name__
        for item in public
        if isinstance(item, type) and issubclass(item, (Method, NoiseLayer))
    }
    assert {re.match(r"dk\.(\w+)", e.call)[1] for e in ENTRIES} == wanted
    assert {entry.site for entry in ENTRIES} == set(SITES)


@pytest.mark.parametrize(
    "call",
    [
        'dk.Dropout(0.25, "time")',
        'dk.Gal(0.25, gates="untied")',
        'dk.Gal(0.25, per="batch")',
        "dk.Semeniuta(0.25)",
        "dk.WeightDrop(0.25)",
        "dk.Zoneout()",
    ],
)
def test_the_probe_measures_what_the_line_says(call):
    words = {"gates": "gates", "samples": "batch", "steps": "time"}
    for entry in find(call):
        report, finding = probed(entry)
        for axis, name in words.items():
            if name in finding.sharing and entry.sharing[axis] != "–":
                assert finding.sharing[name] == entry.sharing[axis], axis
        is_identity = entry.inference == "identity"
        assert report.inference == ("identity" if is_identity else "mean")


@pytest.mark.parametrize(
    "call, twin",
    [
        ("dk.Dropout(0.25)", keras.layers.Dropout(RATE)),
        ('dk.Dropout(0.25, "time")', keras.layers.SpatialDropout1D(RATE)),
        ('dk.Dropout(0.25, "time")', keras.layers.LSTM(3, dropout=RATE)),
        (
            "dk.TokenDropout(0.25)",
            keras.layers.Dropout(RATE, noise_shape=(None, None, 1)),
        ),
        (
            'dk.Dropout(0.25, noise="gaussian")',
            keras.layers.GaussianDropout(RATE),
        ),
        (
            'dk.Gal(0.25, gates="untied")',
            keras.layers.LSTM(3, recurrent_dropout=RATE),
        ),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_layers_of_keras_mean_the_same(call, twin):
    (entry,) = find(call)
    assert type(twin).__name__ in entry.keras
    finding = dk.probe(twin).site(entry.site)
    measured = {"gates": "gates", "samples": "batch", "steps": "time"}
    for axis, name in measured.items():
        if entry.sharing[axis] != "–":
            assert finding.sharing[name] == entry.sharing[axis], axis
    gaussian = entry.noise.startswith("normal")
    assert finding.noise.kind == ("gaussian" if gaussian else "bernoulli")
    # The kept value gives the rate away; the variance is estimated.
    assert finding.noise.rate == pytest.approx(RATE, abs=0.05)


def test_lines_state_what_was_asked_for():
    (gal,) = find("dk.Gal(0.25)")
    assert gal.noise == "0 or 1.33" and gal.inference == "identity"
    (moon,) = find("dk.Moon(0.25)")
    assert moon.noise == "0 or 1" and moon.source == "Moon et al. (2015)"
    hidden, cell = find("dk.Zoneout()")
    assert hidden.inference.startswith("0.05 of the old")
    assert cell.inference.startswith("0.5 of the old")
    (gaussian,) = find('dk.Gal(0.25, noise="gaussian")')
    assert gaussian.noise == "normal, mean 1, variance 0.33"


def test_every_picture_shows_dropped_and_kept_entries():
    for entry in ENTRIES:
        assert entry.multipliers.shape[3] == SIZES.units
        for sample in np.moveaxis(entry.multipliers, 1, 0):
            assert len(np.unique(sample)) > 1, entry.call


def test_no_text_is_cut_or_covered():
    figure = dk.plot.cheat_sheet()
    figure.canvas.draw()
    (page,) = figure.axes
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in page.texts
        if text.get_text()
    ]
    for k, (text, box) in enumerate(boxes):
        assert box.x0 > 0 and box.x1 < WIDTH * figure.dpi, text
        assert box.y0 > 0 and box.y1 < HEIGHT * figure.dpi, text
        for other, place in boxes[k + 1 :]:
            assert not box.overlaps(place), (text, other)


def test_the_files_show_what_is_drawn_now():
    wanted = tool.digest(dk.plot.cheat_sheet())
    png, pdf = FILES
    with Image.open(png) as image:
        assert image.text["Comment"] == wanted, STALE
        assert image.size == (round(WIDTH * tool.DPI), int(HEIGHT * tool.DPI))
    assert wanted.encode() in pdf.read_bytes(), STALE


def test_another_content_has_another_digest():
    figure = dk.plot.cheat_sheet()
    before = tool.digest(figure)
    text = figure.axes[0].texts[5]
    text.set_text(text.get_text() + ".")
    assert tool.digest(figure) != before
    moved = dk.plot.cheat_sheet()
    values = moved.axes[0].collections[0].get_array()
    moved.axes[0].collections[0].set_array(1 - values)
    assert tool.digest(moved) != before


def test_writing_twice_gives_the_same_bytes_and_the_stored_pixels(tmp_path):
    pages = []
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        tool.write(tmp_path / name)
        pages.append([(tmp_path / name / f.name).read_bytes() for f in FILES])
    assert pages[0] == pages[1]
    with Image.open(FILES[0]) as image:
        stored, made_by = np.asarray(image.convert("RGB")), image.text
    with Image.open(tmp_path / "once" / FILES[0].name) as image:
        now = np.asarray(image.convert("RGB"))
    assert now.shape == stored.shape
    if made_by["Software"] == f"Matplotlib {matplotlib.__version__}":
        # Gaussian multipliers agree to a few ulps: a color may round.
        difference = np.abs(now.astype(int) - stored.astype(int))
        assert difference.max() <= 1, STALE
