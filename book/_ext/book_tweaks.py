"""Corrections of Jupyter Book 1: no thebe, and MathJax from this site."""

import inspect
import shutil
from importlib.util import find_spec
from pathlib import Path

from sphinx.util.inspect import stringify_signature


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


def show_signature(app, what, name, obj, options, signature, annotation):
    """Shows a layer's own arguments: Keras's `__new__` hides them."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    own = inspect.signature(obj.__init__)
    without_self = list(own.parameters.values())[1:]
    own = own.replace(parameters=without_self)
    return stringify_signature(own, show_annotation=False), annotation


def setup(app):
    app.connect("autodoc-process-signature", show_signature)
    app.connect("builder-inited", copy_mathjax)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
