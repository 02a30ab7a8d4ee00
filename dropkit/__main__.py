"""The command line: ``python -m dropkit audit MODEL.keras``."""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras

from dropkit.audit import audit

CLEAN, ADVICE, ERROR = 0, 1, 2


class Unusable(Exception):
    """A file that cannot be audited; the message says why."""


def load(path: str) -> keras.Model:
    """Loads a model in Keras's safe mode.

    Args:
        path: A ``.keras`` file.
    Returns:
        The model, not compiled.
    Raises:
        Unusable: if there is none, or Keras's safe mode refuses it.
    """
    file = Path(path)
    if not file.is_file():
        raise Unusable(f"there is no such file. Received: {path}")
    # HDF5 files are left out: not every Keras reads them in safe mode.
    if not zipfile.is_zipfile(file):
        raise Unusable(
            "it is no model file. Expected one that model.save(...keras) "
            f"wrote. Received: {path}"
        )
    try:
        model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        raise Unusable(_why(error, path)) from error
    if not isinstance(model, keras.Model):
        raise Unusable(
            f"it holds a {type(model).__name__}, no model. Received: {path}"
        )
    return model


def _why(error, path):
    text = " ".join(str(error).split())
    if "Could not locate" in text:
        start = text.index("Could not locate")
        return (
            f"it needs custom objects. {text[start:][:300].strip()} Load it in "
            "Python, where your classes are, and call dropkit.audit(model). "
            f"Received: {path}"
        )
    if "safe_mode" in text or "unsafe" in text.lower():
        return (
            "it holds code that Keras's safe mode does not run, such as a "
            "Lambda. If you trust it, load it in Python and call "
            f"dropkit.audit(model). Received: {path}"
        )
    return (
        f"Keras cannot load it: {type(error).__name__}: {text[:300]} "
        f"Received: {path}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: The arguments; default: those of the process.
    Returns:
        0 for a clean model, 1 if there is advice, 2 for an error.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dropkit",
        description="Measure the dropout of a Keras model.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "audit",
        help="list every source of noise in a model, and advice",
        description="List every source of noise in a model, and advice. Exit "
        "status: 0 for a clean model, 1 if there is advice, 2 for an error. "
        "The file is loaded in Keras's safe mode.",
    )
    command.add_argument("model", metavar="MODEL.keras")
    command.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    try:
        found = audit(load(given.model))
    except Exception as error:
        # Python's own status for an uncaught error, 1, would mean advice.
        text = str(error)
        if not isinstance(error, Unusable):
            text = f"{type(error).__name__}: {text} Received: {given.model}"
        print(f"dropkit audit: {text}", file=sys.stderr)
        if given.json:
            print(json.dumps({"error": text}))
        return ERROR
    print(json.dumps(found.to_dict(), indent=2) if given.json else found)
    return ADVICE if found.advice else CLEAN


if __name__ == "__main__":
    sys.exit(main())
