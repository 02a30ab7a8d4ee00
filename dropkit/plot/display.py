"""Figures in a notebook, with the text that stands for them."""

import io
import struct
import sys

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from dropkit.plot.style import context

# A CSS pixel is 1/96 inch; the PNG has more, for sharp screens.
_DPI, _CSS_DPI = 200, 96
_LONGEST_ALT = 300


def show(figure: Figure, alt: str) -> None:
    """Displays a figure in a notebook and describes it in words.

    The alternative text is the figure's plain-text form, so a test that
    compares a notebook's text outputs compares it too. Outside a notebook
    the text is printed.

    Args:
        figure: A Matplotlib figure.
        alt: String of at most 300 characters that tells a reader who can't
            see the figure what it shows.
    Raises:
        ValueError: if `alt` is empty, too long or a file name.
    Example:
        >>> from dropkit import plot
        >>> figure = plot.mask_grid([[0.0, 2.0], [2.0, 2.0]], title="A mask")
        >>> plot.show(figure, "A mask with one of four entries dropped.")
        A mask with one of four entries dropped.
    """
    if (
        not isinstance(alt, str)
        or not alt.strip()
        or len(alt) > _LONGEST_ALT
        or alt.rstrip().lower().endswith(".png")
    ):
        raise ValueError(
            "Invalid value received for argument `alt`. Expected a "
            f"description in 1 to {_LONGEST_ALT} characters, not a file "
            f"name. Received: alt={alt!r}"
        )
    # Absent unless we run inside it: IPython isn't a dependency.
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(alt)
    else:
        png = _png(figure)
        # The PNG header's width and height, in big-endian words.
        width, height = struct.unpack(">II", png[16:24])
        size = {
            "width": round(width * _CSS_DPI / _DPI),
            "height": round(height * _CSS_DPI / _DPI),
        }
        ipython.display.display(
            {"image/png": png, "text/plain": alt},
            raw=True,
            metadata={"image/png": size},
        )
    plt.close(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with context():
        # Without Matplotlib's version in it, equal pixels are equal bytes.
        figure.savefig(
            buffer,
            format="png",
            dpi=_DPI,
            bbox_inches="tight",
            pad_inches=0.08,
            metadata={"Software": None},
            pil_kwargs={"optimize": True},
        )
    return buffer.getvalue()
