"""Checks a built book: pages, links, anchors, alt texts, outside resources.

Usage: `python tools/check_html.py _build/html`
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from project import toc_files

# Pages that Sphinx writes by itself.
GENERATED = {"index", "genindex", "py-modindex", "search"}
# These <link> elements name an address; the browser does not fetch it.
NOT_FETCHED = {"canonical", "index", "search", "next", "prev", "author"}


class Page(HTMLParser):
    """Collects what a page links to, loads and shows."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids, self.links, self.resources = set(), [], []
        self.images_without_alt = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if values.get("id"):
            self.ids.add(values["id"])
        if tag == "a" and values.get("name"):
            self.ids.add(values["name"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "img":
            source, alt = values.get("src"), values.get("alt") or ""
            # MyST-NB writes the file's name where the alt text is missing.
            if alt in ("", source) or alt.endswith((".png", ".svg")):
                self.images_without_alt.append(source)
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            if values.get("src"):
                self.resources.append(values["src"])
        if tag == "link" and values.get("href"):
            kinds = set((values.get("rel") or "").split())
            if not kinds & NOT_FETCHED:
                self.resources.append(values["href"])


def check_address(path: Path, address: str, pages: dict) -> str | None:
    """Returns what is wrong with an internal address, or None."""
    parts = urlsplit(address)
    target = path
    if parts.path:
        target = (path.parent / unquote(parts.path)).resolve()
    if target.is_dir():
        target = target / "index.html"
    if not target.exists():
        return "the file is missing"
    if parts.fragment and target in pages:
        if unquote(parts.fragment) not in pages[target].ids:
            return "the anchor is missing"
    return None


def check_pages(root: Path, pages: dict, expected: list[str]) -> list[str]:
    """Compares the pages with the table of contents."""
    names = {p.relative_to(root).with_suffix("").as_posix() for p in pages}
    names = {name for name in names if not name.startswith("_modules/")}
    missing = [f"{name}: not built" for name in expected if name not in names]
    stale = [
        f"{name}: not in _toc.yml (a page of an older build?)"
        for name in sorted(names - set(expected) - GENERATED)
    ]
    return missing + stale


def check(root: Path, expected: list[str]) -> tuple[int, list[str]]:
    """Returns the number of internal addresses and the list of problems."""
    root = root.resolve()
    pages = {
        path: Page(path)
        for path in sorted(root.rglob("*.html"))
        if "_static" not in path.relative_to(root).parts
    }
    problems = check_pages(root, pages, expected)
    internal = 0
    for path, page in pages.items():
        name = path.relative_to(root)
        for source in page.images_without_alt:
            problems.append(f"{name}: no alt text: {source}")
        for address in page.links + page.resources:
            if urlsplit(address).scheme == "data":
                continue
            if urlsplit(address).scheme or urlsplit(address).netloc:
                if address in page.resources:
                    problems.append(f"{name}: outside resource: {address}")
                continue
            internal += 1
            problem = check_address(path, address, pages)
            if problem:
                problems.append(f"{name}: {address}: {problem}")
    return internal, problems


def main(arguments: list[str]) -> int:
    root = Path(arguments[0] if arguments else "_build/html")
    internal, problems = check(root, toc_files())
    for problem in problems:
        print(problem)
    print(f"{root}: {internal} internal addresses, {len(problems)} problems")
    return min(len(problems), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
