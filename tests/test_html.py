"""The built book in a real browser.

`make test-html` runs these tests: they need `_build/html`, whose place it gives
in `DROPKIT_BOOK`, and Chromium. `DROPKIT_SHOTS` names a folder for screenshots.
"""

import functools
import http.server
import os
import re
import shutil
import threading
from pathlib import Path

import project
import pytest

if "DROPKIT_BOOK" not in os.environ:
    pytest.skip(
        "needs the built book: make book test-html", allow_module_level=True
    )

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = Path(os.environ["DROPKIT_BOOK"]).resolve()
PAGES = [f"{name}.html" for name in project.toc_files()]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
# What axe finds in the theme's buttons and logo and in docutils' bibliography.
THEME_VIOLATIONS = {
    "aria-allowed-role",
    "aria-deprecated-role",
    "aria-required-children",
    "label-content-name-mismatch",
    "region",
}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    handler = functools.partial(QuietHandler, directory=ROOT)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f"no browser on the PATH; looked for {', '.join(BROWSERS)}"
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=FLAGS)


@pytest.fixture
def open_page(browser, site):
    """Opens a page that can reach nothing but the book; notes what it does."""
    contexts = []

    def open_one(address, size="desktop", theme="light"):
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}
        )
        contexts.append(context)
        context.add_init_script(
            f"localStorage.setItem('mode', '{theme}');"
            f"localStorage.setItem('theme', '{theme}')"
        )
        page = context.new_page()
        page.complaints = []

        def route(request):
            if request.request.url.startswith((site, "data:")):
                request.continue_()
            else:
                page.complaints.append(f"asks for {request.request.url}")
                request.abort()

        page.route("**/*", route)
        page.on(
            "console",
            lambda message: (
                message.type in ("error", "warning")
                and page.complaints.append(f"console: {message.text}")
            ),
        )
        page.on("pageerror", lambda e: page.complaints.append(f"error: {e}"))
        page.goto(site + address, wait_until="load")
        if page.locator(".math").count():
            page.wait_for_selector("mjx-container", state="attached")
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("address", [*PAGES, "search.html"])
def test_page_is_clean(open_page, address, size, theme):
    page = open_page(address, size, theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    page.evaluate(
        "document.querySelectorAll('details').forEach(d => d.open = true)"
    )
    page.wait_for_timeout(300)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= SIZES[size][0], f"the page is {width} pixels wide"
    images = page.evaluate(
        "[...document.images].filter(i => !i.complete || !i.naturalWidth"
        " || !i.alt || /[.](png|svg)$/.test(i.alt)).map(i => i.src)"
    )
    assert images == [], "not shown, or without alt text"
    bent = page.evaluate(
        "[...document.images].filter(i => i.height && Math.abs(i.width"
        " * i.naturalHeight / (i.height * i.naturalWidth) - 1) > 0.03)"
        ".map(i => i.alt)"
    )
    assert bent == [], "shown in other proportions"
    assert page.locator("mjx-merror").count() == 0
    shots = os.environ.get("DROPKIT_SHOTS")
    if shots:
        name = re.sub(r"\W", "-", f"{address}-{size}-{theme}")
        page.screenshot(path=Path(shots) / f"{name}.png", full_page=True)
    assert page.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_page_is_accessible(open_page, address, theme):
    page = open_page(address, theme=theme)
    found = Axe().run(page).response["violations"]
    assert {
        violation["id"]: [node["html"][:200] for node in violation["nodes"]]
        for violation in found
        if violation["id"] not in THEME_VIOLATIONS
    } == {}


def test_front_door_leads_to_the_index(open_page):
    page = open_page("index.html")
    page.wait_for_url("**/book/index.html")
    assert page.complaints == []


def test_search_finds_a_word(open_page):
    page = open_page("search.html?q=inverted")
    page.wait_for_selector("#search-results li a")
    assert page.complaints == []


def test_api_page_shows_parameters_as_fields_and_math(open_page):
    page = open_page("book/api.html")
    own = page.locator("#dropkit\\.Dropout")
    layer = page.locator("dl.py.class", has=own)
    fields = layer.locator("dl.field-list > dt").all_inner_texts()
    assert [field.strip(":\n") for field in fields] == [
        "Parameters",
        "Call arguments",
        "Raises",
    ]
    names = layer.locator("dl.field-list strong").all_inner_texts()
    assert {"rate", "shared_axes", "noise", "noise_shape", "seed"} <= set(names)
    assert layer.locator("mjx-container").count()
    signature = layer.locator("dt.sig").first.inner_text()
    assert "Dropout(rate" in signature
