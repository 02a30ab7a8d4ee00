"""The order of layers: who feeds whom, through nested models.

Private names of Keras that this module relies on, tested at both ends of the
supported versions: ``Function._nodes_by_depth``, ``Node.parent_nodes``,
``Node.arguments`` and ``KerasTensor._keras_history``.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from dropkit.audit.walk import is_graph


class Graph:
    """Edges between the layers of a model, those of nested models included.

    Layers inside a subclassed model have no edges.

    Args:
        model: A Keras model.
    Example:
        >>> drop, dense = keras.layers.Dropout(0.5), keras.layers.Dense(2)
        >>> graph = Graph(keras.Sequential([drop, dense]))
        >>> graph.reached(drop, through=lambda layer: False) == [dense]
        True
    """

    def __init__(self, model: keras.Model):
        self._next: dict[int, list] = {}
        self._forced: list = []
        self._ends_of: dict[int, tuple[list, list]] = {}
        self._ends(model)

    @property
    def forced(self) -> list:
        """Layers and models that a functional model calls in training mode."""
        return self._forced

    def reached(self, layer, through: Callable) -> list:
        """Returns what a layer's output reaches.

        Args:
            layer: Where to start.
            through: Function of a layer: whether its output still carries
                what came in.
        Returns:
            Layers and operations, the nearest first.
        """
        found, waiting, seen = [], [layer], {id(layer)}
        while waiting:
            for following in self._next.get(id(waiting.pop(0)), []):
                if id(following) in seen:
                    continue
                seen.add(id(following))
                found.append(following)
                if through(following):
                    waiting.append(following)
        return found

    def _ends(self, operation):
        """The first and the last operations inside; itself if none are."""
        if id(operation) not in self._ends_of:
            ends = ([operation], [operation])
            if is_graph(operation):
                sequential = isinstance(operation, keras.Sequential)
                add = self._add_chain if sequential else self._add_function
                ends = add(operation) or ends
            self._ends_of[id(operation)] = ends
        return self._ends_of[id(operation)]

    def _add_chain(self, model):
        ends = [self._ends(layer) for layer in model.layers]
        for (_, lasts), (firsts, _) in zip(ends, ends[1:], strict=False):
            self._connect(lasts, firsts)
        return (ends[0][0], ends[-1][1]) if ends else None

    def _add_function(self, model):
        nodes = [n for level in model._nodes_by_depth.values() for n in level]
        ends = {id(node): self._ends(node.operation) for node in nodes}
        for node in nodes:
            if _is_forced(node):
                self._forced.append(node.operation)
            for parent in node.parent_nodes:
                if id(parent) in ends:
                    self._connect(ends[id(parent)][1], ends[id(node)][0])
        firsts = [n.operation for n in nodes if not n.parent_nodes]
        lasts = [
            last
            for output in model.outputs
            for last in self._ends(output._keras_history.operation)[1]
        ]
        return firsts, lasts

    def _connect(self, lasts, firsts):
        for last in lasts:
            self._next.setdefault(id(last), []).extend(firsts)


def _is_forced(node):
    """Whether a call has ``training=True`` written into it."""
    arguments = node.arguments
    return arguments.kwargs.get("training") is True or any(
        argument is True for argument in arguments.args[1:]
    )
