"""The walk: every layer of a model, where it stands, and what stays hidden.

Private names of Keras that this module relies on, tested at both ends of the
supported versions: ``Layer._flatten_layers``.
"""

from __future__ import annotations

import dataclasses

import keras

from dropkit.probe.layouts import directions, is_recurrent
from dropkit.stream import Stream

# Where Keras's recurrent layers put the noise of an argument.
SITES = {"dropout": "input", "recurrent_dropout": "state"}


@dataclasses.dataclass(frozen=True)
class Place:
    """A layer and where it stands.

    Args:
        path: The names of its owners and its own, joined by ``/``.
        layer: The layer.
        owners: The models and layers that hold it, outermost first.
    """

    path: str
    layer: keras.layers.Layer
    owners: tuple[keras.layers.Layer, ...] = ()

    @property
    def node(self) -> keras.layers.Layer:
        """What stands for it in the order of layers: itself or its holder."""
        return next(iter(self.holders), self.layer)

    @property
    def holders(self) -> list[keras.layers.Layer]:
        """The owners that are no models, outermost first."""
        return [o for o in self.owners if not isinstance(o, keras.Model)]

    @property
    def repeated(self) -> bool:
        """Whether a ``TimeDistributed`` calls it once for each time step."""
        wrapper = keras.layers.TimeDistributed
        return any(isinstance(owner, wrapper) for owner in self.owners)


def walk(model: keras.Model) -> tuple[list[Place], list[str]]:
    """Lists a model's layers, each once, owners before what they hold.

    Recurrent layers are not opened: their cells are part of them.

    Args:
        model: A Keras model.
    Returns:
        The places, and in words what cannot be seen.
    Example:
        >>> inner = keras.Sequential([keras.layers.Dense(2, name="d")])
        >>> outer = keras.Sequential([inner])
        >>> [p.path for p in walk(outer)[0]][-1] == f"{inner.name}/d"
        True
    """
    places: list[Place] = []
    hidden: list[str] = []
    seen: set[int] = set()

    def visit(layer, owners):
        if id(layer) in seen or isinstance(layer, Stream):
            return
        seen.add(id(layer))
        path = "/".join(each.name for each in (*owners[1:], layer))
        if owners:
            places.append(Place(path, layer, owners))
        if is_recurrent(layer):
            return
        inside = children(layer)
        if runs_own_code(layer) and (inside or not owners):
            hidden.append(
                f"{path} ({type(layer).__name__}) runs code of its own: the "
                "order of its layers, and noise that no layer draws, are not "
                "seen"
            )
        for child in inside:
            visit(child, (*owners, layer))

    visit(model, ())
    return places, hidden


def children(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers that a layer holds itself."""
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    inside = layer._flatten_layers(recursive=False, include_self=False)
    return [each for each in inside if not isinstance(each, Stream)]


def is_graph(model: keras.layers.Layer) -> bool:
    """Whether it is a Sequential or functional model."""
    return isinstance(model, keras.Sequential) or (
        isinstance(model, keras.Model) and hasattr(model, "operations")
    )


def is_known(layer: keras.layers.Layer) -> bool:
    """Whether its code is Keras's or dropkit's, not a user's."""
    package = type(layer).__module__.partition(".")[0]
    return package in ("keras", "dropkit")


def runs_own_code(layer: keras.layers.Layer) -> bool:
    """Whether it calls its layers in a way that only its code tells."""
    if isinstance(layer, keras.Model):
        return not is_graph(layer)
    return not is_known(layer)


def has_own_randomness(layer: keras.layers.Layer) -> bool:
    """Whether a random state belongs to the layer itself."""
    if isinstance(layer, keras.Model):
        return False
    others = {id(v) for v in layer.weights}
    for child in children(layer):
        others |= {id(v) for v in child.variables}
    return any(id(v) not in others for v in layer.variables)


def cells(layer: keras.layers.Layer) -> list:
    """Returns the cells of a recurrent layer, of all its directions."""
    found = []
    for part in directions(layer):
        cell = getattr(part, "cell", part)
        found += list(getattr(cell, "cells", [cell]))
    return found
