"""What the tools and the tests know about the project: pages and address."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = "owner.invalid"  # no account and no host can have this name

FIRST_CELL = """\
import os, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
REPOSITORY = "{repository}"
if "google.colab" in sys.modules:
    if ".invalid/" in REPOSITORY:
        raise RuntimeError("This book's repository address is not set yet, \
so dropkit cannot be installed here.")
    %pip install -q --no-deps "dropkit @ git+{{REPOSITORY}}@v{version}"
import keras, numpy as np, tensorflow as tf
import dropkit as dk"""


def toc_files(root: Path = ROOT) -> list[str]:
    """Returns the pages of `_toc.yml` in reading order, without suffix."""
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    chapters = [c["file"] for p in toc["parts"] for c in p["chapters"]]
    return [toc["root"], *chapters]


def notebooks(root: Path = ROOT) -> list[Path]:
    """Returns the paths of the chapters that are notebooks."""
    paths = [root / f"{name}.ipynb" for name in toc_files(root)]
    return [path for path in paths if path.exists()]


def version(root: Path = ROOT) -> str:
    text = (root / "dropkit/_version.py").read_text("utf-8")
    return re.search(r'__version__ = "(.+)"', text)[1]


def address(root: Path = ROOT) -> tuple[str, str]:
    """Returns the addresses of the repository and of the published book."""
    text = (root / "pyproject.toml").read_text("utf-8")
    keys = ("Repository", "Documentation")
    return tuple(re.search(f'^{k} = "(.+)"$', text, re.M)[1] for k in keys)


def first_cell(root: Path = ROOT) -> str:
    """Returns the source of the run-first cell of every notebook."""
    return FIRST_CELL.format(repository=address(root)[0], version=version(root))


def launch_line(name: str, root: Path = ROOT) -> str:
    """Returns the links that open the notebook `name` in Colab and Binder."""
    slug = address(root)[0].removeprefix("https://github.com/")
    tag = f"v{version(root)}"
    colab = f"https://colab.research.google.com/github/{slug}/blob/{tag}"
    binder = f"https://mybinder.org/v2/gh/{slug}/{tag}?urlpath=lab/tree"
    return (
        f"[Open in Colab]({colab}/{name}.ipynb) · "
        f"[Open in Binder]({binder}/{name}.ipynb)"
    )
