"""Runs notebooks in place, so that two runs store the same bytes.

Usage: `python tools/execute.py [NOTEBOOK ...]`; default: every chapter.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

# Kernels then ignore what C code writes to stderr, exactly as under nbval.
os.environ["PYTEST_CURRENT_TEST"] = "execute"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["PYTHONHASHSEED"] = "0"

import nbformat  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from nbclient.exceptions import CellExecutionError  # noqa: E402
from project import notebooks  # noqa: E402

METADATA = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}


def set_alt(cell) -> None:
    """Copies a figure's text form, its alt text, to where MyST-NB reads it."""
    images = [
        output["data"]
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    if len(images) > 1:
        raise ValueError(f"Cell {cell.id} shows {len(images)} figures, not 1.")
    mystnb = cell.metadata.get("mystnb", {})
    if images:
        alt = images[0].get("text/plain", "")
        if not alt or alt.startswith("<"):
            raise ValueError(
                f"The figure of cell {cell.id} has no alt text: end the cell "
                'with dk.plot.show(figure, alt="..."). '
                f"Received: alt={alt!r}"
            )
        mystnb.setdefault("image", {})["alt"] = alt
        cell.metadata["mystnb"] = mystnb
    elif "image" in mystnb:
        mystnb["image"].pop("alt", None)


def normalize(notebook) -> None:
    """Removes what differs from run to run and fixes the cell ids."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"c{number:02d}"
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise ValueError(
                    f"Cell {cell.id} wrote to stderr: {output['text']!r}"
                )
        set_alt(cell)


def execute(path: Path) -> None:
    """Runs one notebook and stores its outputs; on an error nothing is kept."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # their cuts depend on timing
        resources={"metadata": {"path": str(path.parent)}},
    ).execute(stderr=subprocess.DEVNULL)  # TensorFlow's start-up lines
    normalize(notebook)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main(arguments: list[str]) -> int:
    failed = 0
    paths = [Path(name).resolve() for name in arguments] or notebooks()
    for path in paths:
        print(f"{path.name} ...", end=" ", flush=True)
        start = time.perf_counter()
        try:
            execute(path)
        except (CellExecutionError, ValueError) as error:
            failed += 1
            print(f"failed; the file is unchanged\n{error}")
        else:
            print(f"{time.perf_counter() - start:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
