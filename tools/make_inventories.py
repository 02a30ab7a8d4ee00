"""Writes small Sphinx inventories to `book/_inv`, so that links to Python,
NumPy and Keras resolve without a network (Keras publishes none at all)."""

import zlib

from project import ROOT

OBJECTS = {
    "python": [
        *[(name, "py:class", f"library/stdtypes.html#{name}")
          for name in ("dict", "list", "str", "tuple")],
        *[(name, "py:class", f"library/functions.html#{name}")
          for name in ("bool", "float", "int", "object")],
        *[(name, "py:exception", f"library/exceptions.html#{name}")
          for name in ("FileNotFoundError", "KeyError", "TypeError",
                       "ValueError")],
    ],
    "numpy": [
        ("numpy.ndarray", "py:class", "reference/generated/numpy.ndarray.html"),
    ],
    "keras": [
        ("keras.layers.Layer", "py:class", "layers/base_layer/"),
        ("keras.layers.Dropout", "py:class",
         "layers/regularization_layers/dropout/"),
    ],
}  # fmt: skip


def inventory(name: str, objects: list[tuple[str, str, str]]) -> bytes:
    head = (
        f"# Sphinx inventory version 2\n# Project: {name}\n# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    body = "".join(f"{n} {role} 1 {uri} -\n" for n, role, uri in objects)
    return head.encode() + zlib.compress(body.encode(), 9)


if __name__ == "__main__":
    for name, objects in OBJECTS.items():
        path = ROOT / "book/_inv" / f"{name}.inv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(inventory(name, objects))
        print(f"{path.relative_to(ROOT)}: {len(objects)} names")
