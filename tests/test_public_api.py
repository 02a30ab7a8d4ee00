"""The public names: few, documented, and imported without side effects."""

import inspect
import subprocess
import sys

import keras
import pytest

import dropkit as dk

CLASSES = [
    getattr(dk, name)
    for name in dk.__all__
    if inspect.isclass(getattr(dk, name))
]


def test_all_lists_every_public_name():
    public = {name for name in vars(dk) if not name.startswith("_")}
    public -= {
        name
        for name in public
        if inspect.ismodule(getattr(dk, name)) and name not in dk.__all__
    }
    assert public | {"plot"} == set(dk.__all__) - {"__version__"}


@pytest.mark.parametrize("item", CLASSES, ids=lambda c: c.__name__)
def test_every_class_has_an_example_a_source_and_its_errors(item):
    text = inspect.getdoc(item)
    parts = ["Args:", "Raises:", "Example:", ">>> ", "Reference:"]
    if issubclass(item, keras.layers.Layer):
        parts += ["Call arguments:", "Input shape:", "Output shape:"]
    assert [part for part in parts if part not in text] == []


def test_import_is_silent_and_needs_no_matplotlib():
    program = (
        "import sys, random, keras, numpy as np\n"
        "loaded = set(sys.modules)\n"
        "before = random.getstate(), np.random.get_state()[1].tobytes()\n"
        "import dropkit\n"
        "after = random.getstate(), np.random.get_state()[1].tobytes()\n"
        "assert before == after\n"
        "new = {m.partition('.')[0] for m in set(sys.modules) - loaded}\n"
        "assert not new & {'matplotlib', 'IPython', 'scipy'}, new\n"
        "print('ok')"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "ok\n"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Dropuot'"):
        _ = dk.Dropuot
