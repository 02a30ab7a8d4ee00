"""Two corrections of Jupyter Book 1: no thebe, and MathJax from this site."""

import shutil
from importlib.util import find_spec
from pathlib import Path


def drop_thebe(app, pagename, templatename, context, doctree):
    """Drops sphinx-thebe's scripts.

    Its inline `const THEBE_JS_URL` lands in each page twice, which is a
    console error, and its scripts need a server that this book does not use.
    """
    scripts = context.get("script_files", [])
    scripts[:] = [
        script
        for script in scripts
        if "thebe" not in str(getattr(script, "filename", script)).lower()
        and "thebe" not in str(getattr(script, "attributes", "")).lower()
    ]


def copy_mathjax(app):
    """Copies the one script and the one font family that pages load.

    The package's own extension would copy all of MathJax, 24 MB.
    """
    package = Path(find_spec("sphinx-mathjax-offline").origin).parent
    source = package / "static/mathjax"
    target = Path(app.outdir) / "_static/mathjax"
    fonts = "output/chtml/fonts/woff-v2"
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)
    shutil.copy(source / "tex-mml-chtml.js", target)


def setup(app):
    app.connect("builder-inited", copy_mathjax)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
