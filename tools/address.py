"""Writes the repository's address, and dropkit's version, everywhere.

The address is one setting: `[project.urls]` in `pyproject.toml`.

Usage:
    python tools/address.py https://github.com/OWNER/REPOSITORY [--pages URL]
    python tools/address.py            # again, after a change of version
    python tools/address.py --check    # do all places agree?
"""

import argparse
import json
import re
import sys
from pathlib import Path

import project

# Accounts: letters, digits and single hyphens between them, at most 39.
OWNER = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}"
ADDRESS = re.compile(rf"https://github\.com/({OWNER})/([\w.-]{{1,100}})")
TEXTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "_config.yml",
    "pyproject.toml",
)
HOSTS = (
    "https://github.com/",
    "https://colab.research.google.com/github/",
    "https://mybinder.org/v2/gh/",
)


def parse(address: str) -> tuple[str, str]:
    """Returns owner and repository of a GitHub address."""
    match = ADDRESS.fullmatch(address)
    bad = not match or len(match[1]) > 39
    if bad or match[2].endswith(".git") or match[2].strip(".") == "":
        raise ValueError(
            "Invalid value received for the address. Expected "
            "https://github.com/OWNER/REPOSITORY, without a '.git' at the "
            f"end. Received: {address}"
        )
    return match[1], match[2]


def texts(root: Path) -> list[Path]:
    """Returns the text files that may name the address."""
    return [root / t for t in TEXTS] + sorted((root / "book").glob("*.md"))


def move(text: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    """Replaces the addresses of `old` by those of `new`."""
    slugs = [a[0].removeprefix("https://github.com/") for a in (old, new)]
    moved = {host + slugs[0]: host + slugs[1] for host in HOSTS}
    # The book's address ends in "/" in the settings, not always in a text.
    moved[old[1].rstrip("/")] = new[1].rstrip("/")
    anywhere = "|".join(map(re.escape, moved))
    return re.sub(rf"({anywhere})(?![\w-])", lambda m: moved[m[1]], text)


def stamp_notebook(path: Path, root: Path, old: tuple[str, str]) -> str:
    """Returns the notebook's JSON with its first cell and links renewed."""
    new = project.address(root)
    notebook = json.loads(path.read_text("utf-8"))
    name = path.relative_to(root).with_suffix("").as_posix()
    first_cell = project.first_cell(root)
    links = project.launch_line(name, root)
    is_code = [cell["cell_type"] == "code" for cell in notebook["cells"]]
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if number == is_code.index(True):
            source = first_cell
        elif cell["cell_type"] == "markdown":
            source = move(source, old, new)
            line = r"(?m)^\[Open in Colab\].*$"
            source = re.sub(line, lambda _: links, source)
        cell["source"] = source.splitlines(keepends=True)
    # nbformat's own form, so that nothing else in the file changes.
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    return text + "\n"


def stamp(root: Path, new: tuple[str, str] | None = None) -> None:
    """Writes the address `new`, or the present one, into every place."""
    old = project.address(root)
    for path in texts(root):
        text = path.read_text("utf-8")
        path.write_text(move(text, old, new or old), "utf-8")
    citation = root / "CITATION.cff"
    line = f"version: {project.version(root)}"
    text = citation.read_text("utf-8")
    citation.write_text(re.sub(r"(?m)^version:.*$", line, text), "utf-8")
    for path in project.notebooks(root):
        path.write_text(stamp_notebook(path, root, old), "utf-8")


def disagreements(root: Path = project.ROOT) -> list[str]:
    """Returns the places that do not have the address of the one setting."""
    here = repository, pages = project.address(root)
    slug = repository.removeprefix("https://github.com/")
    found = []

    def expect(path, pattern, wanted):
        text = path.read_text("utf-8")
        for match in re.finditer(pattern, text, re.M):
            if match[1] != wanted:
                found.append(f"{path.relative_to(root)}: {match[0]}")
        return re.search(pattern, text, re.M)

    required = (
        ("_config.yml", r"^  url: (\S+)", repository),
        ("_config.yml", r"^  baseurl: (\S+)", pages),
        ("_config.yml", r"^    ogp_site_url: (\S+)", pages),
        ("CITATION.cff", r"^repository-code: \"(\S+)\"", repository),
        ("CITATION.cff", r"^url: \"(\S+)\"", pages),
        ("CITATION.cff", r"^version: (\S+)", project.version(root)),
    )
    for name, pattern, wanted in required:
        if not expect(root / name, pattern, wanted):
            found.append(f"{name}: nothing matches {pattern}")
    for path in texts(root):
        expect(path, r"git\+(https?://[^\s\"@`]+)", repository)
        for host in HOSTS[1:]:
            expect(path, re.escape(host) + r"([\w.-]+/[\w.-]+)", slug)
    for path in project.notebooks(root):
        expect(path, r"git\+([^\s\"@\\]+)", "{REPOSITORY}")
        if path.read_text("utf-8") != stamp_notebook(path, root, here):
            found.append(f"{path.relative_to(root)}: first cell or links")
    if project.PLACEHOLDER not in slug:
        for path in (*texts(root), *project.notebooks(root)):
            if project.PLACEHOLDER in path.read_text("utf-8"):
                found.append(f"{path.relative_to(root)}: the placeholder")
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", nargs="?", help="repository on GitHub")
    parser.add_argument("--pages", help="default: OWNER.github.io/REPOSITORY/")
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args(arguments)
    if not options.check:
        new = None
        if options.address:
            try:
                owner, name = parse(options.address)
            except ValueError as error:
                parser.error(str(error))
            default = f"https://{owner.lower()}.github.io/{name}/"
            pages = (options.pages or default).rstrip("/") + "/"
            new = (options.address, pages)
        stamp(project.ROOT, new)
    problems = disagreements()
    for problem in problems:
        print(problem)
    print(f"{project.address()[0]}: {len(problems)} disagreements")
    return min(len(problems), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
