"""Runs the folklore ledger's checks on Keras 2, and stores what they say.

The cells of `book/folklore.ipynb` with the tag `keras-2` run here with `keras`
bound to tf_keras. What they settle goes into the cell with the tag
`keras-2-results`; `python tools/execute.py book/folklore.ipynb` then prints it
beside the installed Keras. Needs tf_keras, which the book does without:

    pip install --no-deps --target _build/tf_keras tf_keras
    PYTHONPATH=_build/tf_keras python tools/folklore.py
"""

import datetime
import hashlib

import nbformat
from project import ROOT

PAGE = ROOT / "book/folklore.ipynb"
CHECKS, RESULTS = "keras-2", "keras-2-results"
NAMES = {True: "true", False: "false"}


def tagged(notebook, tag: str) -> list:
    """Returns the cells of a notebook that have a tag."""
    return [c for c in notebook.cells if tag in c.metadata.get("tags", [])]


def digest(notebook) -> str:
    """Returns a digest of the checks, to tell whether results are theirs."""
    sources = "\n\n".join(cell.source for cell in tagged(notebook, CHECKS))
    return hashlib.sha256(sources.encode()).hexdigest()[:12]


def run(notebook) -> tuple[str, dict]:
    """Returns what the checks ran on, and a verdict and a finding a row."""
    import numpy
    import tensorflow
    import tf_keras

    found = {}

    def settle(row, verdict, finding):
        found[row] = NAMES.get(verdict, verdict), finding

    names = {"keras": tf_keras, "np": numpy, "tf": tensorflow, "settle": settle}
    for cell in tagged(notebook, CHECKS):
        exec(compile(cell.source, cell.id, "exec"), names)
    versions = (
        f"tf_keras {tf_keras.__version__} on TensorFlow "
        f"{tensorflow.__version__}, {datetime.date.today().isoformat()}"
    )
    return versions, found


def source(versions: str, checks: str, found: dict) -> str:
    """Returns the source of the cell of results."""
    lines = [f"    {row}: {found[row]!r}," for row in sorted(found)]
    return "\n".join(
        [
            "# Written by tools/folklore.py: the checks of this page, on it.",
            f'KERAS_2 = "{versions}"',
            f'CHECKS = "{checks}"',
            "OLD = {",
            *lines,
            "}",
        ]
    )


def main() -> None:
    notebook = nbformat.read(PAGE, as_version=4)
    versions, found = run(notebook)
    (cell,) = tagged(notebook, RESULTS)
    cell.source = source(versions, digest(notebook), found)
    nbformat.write(notebook, PAGE)
    print(f"{len(found)} rows on {versions}")


if __name__ == "__main__":
    main()
