"""Writes the cheat sheet of the book: one page, as PDF and as PNG.

Usage: `python tools/cheat_sheet.py`

Both files carry a digest of what is drawn: every text, mark and multiplier
with its place. Fonts are rendered by Matplotlib, so equal bytes need an equal
version of it; the digest does not.
"""

import hashlib
import json
from pathlib import Path

import matplotlib
import numpy as np
from project import ROOT

import dropkit as dk

FOLDER = ROOT / "book/_static"
NAME = "cheat_sheet"
DPI = 160
TITLE = "Every dropout: site, sharing, noise"


def digest(figure) -> str:
    """Returns a digest of the content, whatever renders it."""
    (page,) = figure.axes
    drawn = [[text.get_text(), *text.get_position()] for text in page.texts]
    for collection in page.collections:
        for values in (collection.get_array(), collection.get_offsets()):
            values = [] if values is None else np.ravel(values)
            drawn.append([round(float(value), 3) for value in values])
    drawn.append(figure.get_size_inches().tolist())
    text = json.dumps(drawn, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write(folder: Path = FOLDER) -> None:
    """Writes both files; the same figure gives the same bytes."""
    figure = dk.plot.cheat_sheet()
    content = digest(figure)
    made_by = f"Matplotlib {matplotlib.__version__}"
    # Text that a reader can search and copy, not outlines.
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(
            folder / f"{NAME}.pdf",
            metadata={
                "Title": TITLE,
                "Author": "the dropkit authors",
                "Keywords": content,
                "Producer": made_by,
                "Creator": None,
                "CreationDate": None,
            },
        )
    figure.savefig(
        folder / f"{NAME}.png",
        dpi=DPI,
        metadata={"Title": TITLE, "Comment": content, "Software": made_by},
    )


if __name__ == "__main__":
    write()
