"""The figures speak the one visual language and leave no trace."""

import io
import struct

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import same_color
from matplotlib.patches import Rectangle
from PIL import Image

from dropkit import plot
from dropkit.plot import display

ORANGE, GREY, BLUE = "#E69F00", "#EEEEEE", "#0072B2"
BERNOULLI = np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0]])
GAUSSIAN = np.array([[-0.5, 1.0, 0.0], [1.4, 2.6, -0.1]])


def panels(figure):
    """The axes that hold a grid, without the color bar."""
    return [ax for ax in figure.axes if ax.yaxis_inverted()]


def color_bar(figure):
    (bar,) = [ax for ax in figure.axes if not ax.yaxis_inverted()]
    return bar


def bar_words(figure):
    return [t.get_text() for t in color_bar(figure).get_xticklabels()]


def glyphs(ax, glyph):
    """The cells `(row, column)` that carry a glyph."""
    for collection in ax.collections:
        if collection.get_label() == glyph:
            return {(int(y), int(x)) for x, y in collection.get_offsets()}
    return None


# Colors


@pytest.mark.parametrize("vmax", [1.01, 4 / 3, 2.0, 100.0])
def test_colors_at_0_1_and_vmax_are_the_style_s_exactly(vmax):
    norm = plot.multiplier_norm(vmax)
    for multiplier, color in ((0, ORANGE), (1, GREY), (vmax, BLUE)):
        assert same_color(plot.MULTIPLIERS(norm(multiplier)), color)


def test_multipliers_outside_the_norm_take_the_end_colors():
    norm = plot.multiplier_norm(2.0)
    assert same_color(plot.MULTIPLIERS(norm(-3.0)), ORANGE)
    assert same_color(plot.MULTIPLIERS(norm(9.0)), BLUE)


@pytest.mark.parametrize("vmax", [1, 0.5, np.nan, np.inf, [2.0], None])
def test_bad_vmax_is_refused(vmax):
    with pytest.raises((ValueError, TypeError)):
        plot.multiplier_norm(vmax)


def test_drawn_cells_have_the_colors():
    figure = plot.mask_grid(BERNOULLI, title="t", rate=0.5)
    mesh = panels(figure)[0].collections[0]
    colors = mesh.to_rgba(mesh.get_array())
    assert same_color(colors[0, 0], ORANGE)
    assert same_color(colors[0, 1], BLUE)


def test_identity_palette_avoids_the_multiplier_colors():
    assert list(plot.IDENTITY) == ["i", "f", "c", "o"]
    assert not {ORANGE, BLUE} & set(plot.IDENTITY.values())


# Glyphs and padding


def test_only_exact_zeros_and_negatives_carry_glyphs():
    (ax,) = panels(plot.mask_grid(GAUSSIAN, title="t"))
    assert glyphs(ax, "x") == {(0, 2)}
    assert glyphs(ax, "_") == {(0, 0), (1, 2)}
    for collection in ax.collections[1:]:
        assert same_color(collection.get_edgecolors()[0], "#333333")


@pytest.mark.parametrize("size, drawn", [(16, True), (17, False)])
def test_glyphs_stop_at_16_cells(size, drawn):
    (ax,) = panels(plot.mask_grid(np.zeros((size, 2)), title="t"))
    assert (glyphs(ax, "x") is not None) == drawn


@pytest.mark.parametrize(
    "padding", [[False, True], [[False] * 3, [True] * 3]], ids=["step", "entry"]
)
def test_padding_is_hatched_white_without_color_or_glyph(padding):
    figure = plot.mask_grid(GAUSSIAN, title="t", padding=padding)
    (ax,) = panels(figure)
    assert ax.collections[0].get_array().mask.tolist() == [[False] * 3] + [
        [True] * 3
    ]
    assert glyphs(ax, "_") == {(0, 0)}
    (patch,) = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert patch.get_hatch() and same_color(patch.get_facecolor(), "white")


def test_no_padding_no_hatch():
    (ax,) = panels(plot.mask_grid(BERNOULLI, title="t"))
    assert not ax.patches


# Grids


@pytest.mark.parametrize("count", [1, 3, 12])
def test_each_sample_has_a_panel_with_time_0_at_the_top(count):
    figure = plot.mask_grid(np.ones((count, 5, 4)), title="t")
    assert len(panels(figure)) == count
    assert len(figure.axes) == count + 1
    for ax in panels(figure):
        assert ax.get_ylim() == (4.5, -0.5)
        assert ax.get_xlim() == (-0.5, 3.5)


@pytest.mark.parametrize("shape", [(3, 8, 6), (12, 8, 6), (28, 28), (1, 40)])
def test_cells_are_equal_squares_inside_a_narrow_figure(shape):
    figure = plot.mask_grid(np.ones(shape), title="t", rate=0.5)
    assert figure.get_figwidth() <= 7
    sizes = set()
    for ax in panels(figure):
        box = ax.get_window_extent()
        sizes |= {box.width / shape[-1], box.height / shape[-2]}
    np.testing.assert_allclose(list(sizes), min(sizes), rtol=1e-6)


def test_figure_inside_holds_all_text():
    title = "A long finding that needs more than one line, " * 3
    figure = plot.mask_grid(np.ones((12, 8, 6)), title=title, rate=0.5)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 > -0.2 and box.x1 < figure.get_figwidth() + 0.2
    assert box.y0 > -0.1 and box.y1 < figure.get_figheight() + 0.1
    assert figure.get_suptitle().count("\n") >= 1


def test_all_text_is_legible():
    figure = plot.mask_grid(np.ones((3, 8, 6)), title="t", rate=0.5)
    figure.draw_without_rendering()
    texts = figure.findobj(matplotlib.text.Text)
    assert min(t.get_fontsize() for t in texts if t.get_text()) >= 9


@pytest.mark.parametrize(
    "values, arguments, words",
    [
        (BERNOULLI, {"rate": 0.5}, "2 kept\n= 1/(1−rate)"),
        (BERNOULLI, {}, "2 kept"),
        (GAUSSIAN, {}, "2.6"),
        (GAUSSIAN, {"vmax": 2.0}, "2 or more"),
        (np.ones((2, 2)), {"rate": 0.75}, "4 kept\n= 1/(1−rate)"),
        (BERNOULLI / 2, {}, None),
        (np.zeros((2, 2)), {"rate": 1.0}, None),
        (np.ones((2, 2)), {"rate": 0.0}, None),
    ],
)
def test_color_bar_names_the_multipliers(values, arguments, words):
    figure = plot.mask_grid(values, title="t", **arguments)
    expected = ["0 dropped", "1 unchanged"] + [words] * (words is not None)
    assert bar_words(figure) == expected
    if words is None:
        assert color_bar(figure).get_xlim() == (0, 1)


def test_clipping_is_said_in_the_title():
    clipped = plot.mask_grid(GAUSSIAN, title="t", vmax=2.0)
    assert "vmax = 2" in clipped.get_suptitle()
    assert "vmax" not in plot.mask_grid(GAUSSIAN, title="t").get_suptitle()


def test_float32_multipliers_are_not_clipped_by_rounding():
    mask = np.float32(BERNOULLI / 2) / np.float32(0.7)
    figure = plot.mask_grid(mask, title="t", rate=0.3)
    assert figure.get_suptitle() == "t"
    assert bar_words(figure)[2].startswith("1.43 kept")


def test_labels_and_sample_titles():
    figure = plot.mask_grid(
        np.ones((2, 3, 3)),
        title="t",
        sample_titles=["first", "second"],
        xlabel="column",
        ylabel="row",
    )
    left, right = panels(figure)
    assert (left.get_title("left"), right.get_title("left")) == (
        "first",
        "second",
    )
    assert (left.get_xlabel(), left.get_ylabel()) == ("column", "row")
    assert (right.get_xlabel(), right.get_ylabel()) == ("column", "")


def test_given_axes_are_drawn_into_and_returned():
    figure, axes = plt.subplots(1, 2)
    assert plot.mask_grid(np.ones((2, 3, 3)), title="t", axes=axes) is axes
    assert axes[0].get_title("left") == "t"
    assert len(figure.axes) == 3
    plt.close(figure)


@pytest.mark.parametrize(
    "values, arguments",
    [
        (np.ones(3), {}),
        (np.ones((1, 2, 3, 4)), {}),
        (np.ones((0, 3)), {}),
        ([[np.nan, 1.0]], {}),
        ([[np.inf, 1.0]], {}),
        (BERNOULLI, {"rate": 1.5}),
        (BERNOULLI, {"vmax": 1.0}),
        (BERNOULLI, {"padding": [True]}),
        (BERNOULLI, {"padding": [1, 0]}),
        (BERNOULLI, {"sample_titles": ["a", "b"]}),
        (np.ones((2, 3, 3)), {"axes": []}),
    ],
)
def test_bad_grids_are_refused(values, arguments):
    with pytest.raises(ValueError, match=r"Received: [^\n]+\Z"):
        plot.mask_grid(values, title="t", **arguments)


def test_mask_rows_share_one_color_bar():
    rows = {"a": np.ones((3, 4, 4)), "b": 2 * np.ones((3, 4, 4))}
    figure = plot.mask_rows(rows, title="t")
    assert len(panels(figure)) == 6
    assert bar_words(figure) == ["0 dropped", "1 unchanged", "2 kept"]
    titles = [ax.get_title("left").strip() for ax in panels(figure)]
    assert titles == ["a", "", "", "b", "", ""]
    norms = {ax.collections[0].norm.vmax for ax in panels(figure)}
    assert norms == {2.0}


@pytest.mark.parametrize("draw", [plot.mask_rows, plot.images])
@pytest.mark.parametrize(
    "rows", [{}, {"a": np.ones((2, 2)), "b": np.ones((3, 2))}]
)
def test_bad_rows_are_refused(draw, rows):
    with pytest.raises(ValueError, match=r"Received: shapes"):
        draw(rows, title="t")


def test_images_share_one_grey_scale():
    figure = plot.images(
        {"a": np.ones((2, 4, 4)), "b": np.zeros((2, 4, 4))}, title="t"
    )
    assert len(figure.axes) == 4
    assert {ax.images[0].get_clim() for ax in figure.axes} == {(0, 1)}


# Results


def test_paired_joins_the_values_of_one_seed():
    results = {"no dropout": [3.0, 4.0, 5.0], "dropout": [1.0, 2.0, 2.5]}
    figure = plot.paired(
        results,
        title="t",
        ylabel="loss",
        intervals={"no dropout": (3.5, 4.5), "dropout": (1.5, 2.2)},
        baseline=("persistence", 2.4),
    )
    (ax,) = figure.axes
    seeds = [line.get_ydata().tolist() for line in ax.lines[:3]]
    assert seeds == [[3.0, 1.0], [4.0, 2.0], [5.0, 2.5]]
    assert "n = 3" in ax.get_xlabel()
    assert "95 % t-interval" in ax.get_xlabel()
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["4", "1.83", "persistence"]


def test_paired_names_no_interval_that_it_does_not_draw():
    figure = plot.paired({"a": [1.0, 2.0]}, title="t", ylabel="loss")
    assert "interval" not in figure.axes[0].get_xlabel()


@pytest.mark.parametrize(
    "results, intervals",
    [
        ({}, None),
        ({"a": [1.0, 2.0], "b": [1.0]}, None),
        ({"a": [[1.0]]}, None),
        ({"a": []}, None),
        ({"a": [1.0]}, {"b": (0, 1)}),
    ],
)
def test_bad_results_are_refused(results, intervals):
    with pytest.raises(ValueError, match="Received: "):
        plot.paired(results, title="t", ylabel="loss", intervals=intervals)


def test_line_labels_stand_at_the_ends_and_apart():
    x = np.arange(5)
    figure = plot.lines(
        x,
        {"dropout": x, "spatial": x + 0.01, "other": (x, x - 1, x + 1)},
        title="t",
        xlabel="epoch",
        ylabel="loss",
        expected=2.0,
    )
    (ax,) = figure.axes
    assert "95 % t-interval" in ax.get_xlabel()
    figure.draw_without_rendering()
    boxes = sorted(
        (text.get_window_extent() for text in ax.texts), key=lambda b: b.y0
    )
    assert [t.get_text() for t in ax.texts] == [
        "dropout", "spatial", "other", "expected"
    ]  # fmt: skip
    for low, high in zip(boxes, boxes[1:], strict=False):
        assert low.y1 <= high.y0 + 2


def test_expected_is_a_dashed_black_line():
    figure = plot.lines(
        [0, 1], {"a": [0, 1]}, title="t", xlabel="x", ylabel="y", expected=0.5
    )
    line = figure.axes[0].lines[-1]
    assert same_color(line.get_color(), "black") and line.is_dashed()


@pytest.mark.parametrize("curve", [[1, 2], ([1] * 3, [1] * 3), ()])
def test_bad_curves_are_refused(curve):
    with pytest.raises(ValueError, match="Received: shapes"):
        plot.lines([0, 1, 2], {"a": curve}, title="t", xlabel="x", ylabel="y")


def test_a_variant_keeps_its_style_in_every_figure():
    from dropkit.plot.style import VARIANTS, variant_styles

    alone = variant_styles(["SpatialDropout1D"])["SpatialDropout1D"]
    names = ["Dropout 0.5", "no dropout", "mine", "SpatialDropout1D", "Gal"]
    styles = variant_styles(names)
    assert styles["SpatialDropout1D"] == alone == VARIANTS["spatial"]
    assert styles["no dropout"] == VARIANTS["no dropout"]
    assert styles["mine"] not in VARIANTS.values()
    assert list(styles) == names and len(set(styles.values())) == 5
    both = variant_styles(["Dropout 0.2", "Dropout 0.5"])
    assert len(set(both.values())) == 2
    with pytest.raises(ValueError, match="Received: "):
        variant_styles([])


def test_histogram_bars_are_shares_in_multiplier_colors():
    figure = plot.histograms(
        {"Bernoulli": BERNOULLI, "Gaussian": GAUSSIAN}, title="t"
    )
    bernoulli, gaussian = figure.axes
    bars = bernoulli.patches
    assert [b.get_height() for b in bars] == pytest.approx([2 / 6, 4 / 6])
    centers = [b.get_x() + b.get_width() / 2 for b in bars]
    assert centers == pytest.approx([0, 2], abs=0.05)
    assert same_color(bars[0].get_facecolor(), ORANGE)
    assert sum(b.get_height() for b in gaussian.patches) == pytest.approx(1)
    with pytest.raises(ValueError, match="Received: sizes"):
        plot.histograms({"empty": []}, title="t")


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_histogram_of_one_value(value):
    figure = plot.histograms({"constant": [value] * 3}, title="t")
    (bar,) = figure.axes[0].patches
    assert bar.get_height() == 1


# Manners


def test_no_setting_of_the_user_changes_or_shows():
    arguments = {"title": "t", "rate": 0.5}
    plain = display._png(plot.mask_grid(BERNOULLI, **arguments))
    with matplotlib.rc_context():
        plt.style.use("dark_background")
        matplotlib.rcParams["font.size"] = 20
        matplotlib.rcParams["savefig.dpi"] = 50
        before = dict(matplotlib.rcParams)
        themed = display._png(plot.mask_grid(BERNOULLI, **arguments))
        assert dict(matplotlib.rcParams) == before
    assert themed == plain


def test_figures_do_not_pile_up_in_pyplot():
    before = plt.get_fignums()
    plot.mask_grid(BERNOULLI, title="t")
    plot.paired({"a": [1.0]}, title="t", ylabel="y")
    assert plt.get_fignums() == before


def test_background_is_white():
    figure = plot.mask_grid(BERNOULLI, title="t", rate=0.5)
    image = Image.open(io.BytesIO(display._png(figure))).convert("RGB")
    assert image.getpixel((0, 0)) == (255, 255, 255)
    colors = {color for _, color in image.getcolors(2**20)}
    assert (0xE6, 0x9F, 0x00) in colors and (0x00, 0x72, 0xB2) in colors


# show


class Notebook:
    """Stands in for IPython and keeps what is displayed."""

    class display:
        calls: list = []

        @classmethod
        def display(cls, bundle, **options):
            cls.calls.append((bundle, options))

    @staticmethod
    def get_ipython():
        return object()


def test_whole_numbers_get_whole_ticks():
    for x, whole in ((range(1, 21), True), (np.linspace(0, 1, 20), False)):
        figure = plot.lines(
            x, {"y": np.ones(20)}, title="t", xlabel="x", ylabel="y"
        )
        ticks = figure.axes[0].get_xticks()
        assert (ticks == np.round(ticks)).all() == whole


def test_show_displays_a_png_whose_text_is_the_alt_text(monkeypatch):
    monkeypatch.setitem(display.sys.modules, "IPython", Notebook)
    monkeypatch.setattr(Notebook.display, "calls", [])
    for _ in range(2):
        figure = plot.mask_grid(BERNOULLI, title="t")
        assert plot.show(figure, "Two of six dropped.") is None
    (bundle, options), (again, _) = Notebook.display.calls
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == "Two of six dropped."
    assert bundle["image/png"] == again["image/png"]
    assert b"Software" not in bundle["image/png"]
    assert options["raw"] is True
    pixels = struct.unpack(">II", bundle["image/png"][16:24])
    size = options["metadata"]["image/png"]
    assert size["width"] == round(pixels[0] * 96 / 200)
    assert size["height"] == round(pixels[1] * 96 / 200)


def test_show_closes_the_figure_and_prints_outside_a_notebook(capsys):
    figure, _ = plt.subplots()
    plot.show(figure, "An empty figure.")
    assert capsys.readouterr().out == "An empty figure.\n"
    assert figure.number not in plt.get_fignums()


@pytest.mark.parametrize("alt", ["", "  ", "x" * 301, "mask.png", "A.PNG ", 7])
def test_show_refuses_what_describes_nothing(alt):
    with pytest.raises(ValueError, match=r"Received: alt="):
        plot.show(plot.mask_grid(BERNOULLI, title="t"), alt)
