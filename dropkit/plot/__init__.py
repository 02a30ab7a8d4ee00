"""Every figure of the book; the only part that imports Matplotlib.

One visual language: orange is dropped (0), grey is unchanged (1), blue is
amplified. The functions take plain arrays, return a Matplotlib figure and
change no global setting. `show` puts a figure into a notebook with the text
that describes it.
"""

from dropkit.plot.cheat_sheet import cheat_sheet
from dropkit.plot.differences import differences
from dropkit.plot.display import show
from dropkit.plot.masks import images, mask_grid, mask_rows
from dropkit.plot.matrices import matrices
from dropkit.plot.one_step import one_step
from dropkit.plot.ratios import ratios
from dropkit.plot.results import histograms, lines, paired
from dropkit.plot.style import (
    IDENTITY,
    MULTIPLIERS,
    VARIANTS,
    multiplier_norm,
)
from dropkit.plot.unrolled import unrolled, unrolled_alt
from dropkit.plot.verdicts import verdicts

__all__ = [
    "IDENTITY",
    "MULTIPLIERS",
    "VARIANTS",
    "cheat_sheet",
    "differences",
    "histograms",
    "images",
    "lines",
    "mask_grid",
    "mask_rows",
    "matrices",
    "multiplier_norm",
    "one_step",
    "paired",
    "ratios",
    "show",
    "unrolled",
    "unrolled_alt",
    "verdicts",
]
