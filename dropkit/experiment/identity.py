"""What makes two runs the same run: a hash of all that they depend on."""

import dataclasses
import dis
import functools
import hashlib
import inspect
import json
import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

# Their versions stand in each record.
_INSTALLED = ("builtins", "dropkit", "keras", "numpy", "tensorflow")


def digest(description: Any) -> str:
    """Returns 20 hex digits that stand for a description."""
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def describe(value: Any, _seen: tuple = ()) -> Any:
    """Describes a value in JSON's types, the same in every process.

    A function is its source, with the constants and functions of its own
    module that it uses; an array is the hash of its bytes.

    Args:
        value: Plain values, arrays, dataclasses, functions, classes, objects
            with `get_config()`, and dicts, lists and tuples of them.
    Returns:
        The description.
    Raises:
        TypeError: if the value has no description; the message ends
            `Received: ...`.
    Example:
        >>> from dropkit import Gal
        >>> describe({"units": 8, "method": Gal(0.25)})["method"]["class"]
        {'name': 'dropkit.Gal'}
    """
    again = functools.partial(describe, _seen=_seen)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(name): again(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [again(each) for each in value]
    if inspect.isfunction(value) or inspect.isclass(value):
        return _source(value, _seen)
    if inspect.ismethod(value):
        return [again(value.__self__), again(value.__func__)]
    if isinstance(value, functools.partial):
        return again([value.func, value.args, value.keywords])
    name = {"class": again(type(value))}
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return name | {f.name: again(getattr(value, f.name)) for f in fields}
    if hasattr(value, "__array__"):
        array = np.ascontiguousarray(value)
        if not array.dtype.hasobject:
            content = hashlib.sha256(array.tobytes()).hexdigest()
            return {
                "array": content,
                "dtype": str(array.dtype),
                "shape": list(array.shape),
            }
    # A layer's config has its name, which counts the layers made before it.
    elif hasattr(value, "get_config") and not isinstance(
        value, keras.layers.Layer
    ):
        return name | {"config": again(value.get_config())}
    raise TypeError(
        "A stored run must be recognized in another process, but this value "
        "has no description. Expected plain values, arrays, functions, or "
        f"objects with `get_config()` that are no layers. Received: {value!r}"
    )


def _source(value: Any, seen: tuple) -> dict:
    package = value.__module__.partition(".")[0]
    # Not the whole module: a script is `__main__` only where it is started.
    name = value.__qualname__
    if package in _INSTALLED:
        return {"name": f"{package}.{name}"}
    if value in seen or (seen and value.__module__ != seen[0].__module__):
        return {"name": name}
    known = {"name": name}
    try:
        known["source"] = inspect.getsource(value)
    except OSError as error:
        raise TypeError(
            "A stored run must be recognized in another process, but the "
            "source of this function can't be read: write it into a file. "
            f"Received: {value!r}"
        ) from error
    if inspect.isfunction(value):
        known["uses"] = {}
        for name, each in sorted(_outer(value).items()):
            try:
                known["uses"][name] = describe(each, (*seen, value))
            except TypeError:
                # A module or a model: no constant that someone edits.
                continue
    return known


def _outer(function: Any) -> dict:
    """The variables from outside that a function reads, by name."""
    code = function.__code__
    names = _global_names(code)
    found = {k: v for k, v in function.__globals__.items() if k in names}
    for name, cell in zip(
        code.co_freevars, function.__closure__ or (), strict=True
    ):
        found[name] = cell.cell_contents
    return found


def _global_names(code: types.CodeType) -> set[str]:
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname == "LOAD_GLOBAL"
    }
    for constant in code.co_consts:
        if inspect.iscode(constant):
            names |= _global_names(constant)
    return names
