"""Models converted between Keras's recurrent layers and dropkit's.

Private name of Keras that this module relies on, tested at both ends of the
supported versions: ``Layer._flatten_layers``.
"""

from __future__ import annotations

import contextlib

import keras

from dropkit.methods import Gal, Method
from dropkit.recurrent import GRU, LSTM, SimpleRNN, as_method
from dropkit.stream import Stream

LAYERS = {
    "keras": {
        "LSTM": keras.layers.LSTM,
        "GRU": keras.layers.GRU,
        "SimpleRNN": keras.layers.SimpleRNN,
    },
    "dropkit": {"LSTM": LSTM, "GRU": GRU, "SimpleRNN": SimpleRNN},
}
# How Keras names the two families in a serialized layer.
MODULES = {"keras": "keras.layers", "dropkit": LSTM.__module__}
OTHER = {"keras": "dropkit", "dropkit": "keras"}


def convert(
    model: keras.Model, to: str = "keras", strict: bool = True
) -> keras.Model:
    """Returns the same model with its recurrent layers swapped.

    ``LSTM``, ``GRU`` and ``SimpleRNN`` become Keras's or dropkit's, also
    inside nested models, ``Bidirectional``, ``TimeDistributed`` and other
    layers that hold layers in their config. All other layers, and subclasses
    of the three, are copied as they are. Weights, states, names, ``trainable``
    flags, dtype policies and seeds are kept, and so are ``use_cudnn`` and
    ``implementation``, which Keras leaves out of its config. The result is
    not compiled, its random states start anew, and a variable rate becomes
    its present value.

    Args:
        model: A ``Sequential`` or functional model. It is not changed.
        to: ``"keras"`` for ``keras.layers.LSTM`` and so on, ``"dropkit"`` for
            ``dropkit.LSTM``.
        strict: Whether a layer that Keras cannot express is an error. With
            False it becomes a Keras layer without any dropout, for
            inference: right for every method whose inference is the plain
            layer. ``Zoneout`` and ``Moon(inference="paper")`` change
            inference and are an error in any case.
    Returns:
        A new model with its own weights.
    Raises:
        TypeError: if ``model`` is no Keras model.
        ValueError: if it is a subclassed model, ``to`` is unknown, or a layer
            cannot be converted: the error names it.
    Example:
        >>> stock = keras.Sequential([keras.Input((5, 3)),
        ...                           keras.layers.LSTM(4, name="memory")])
        >>> convert(stock, to="dropkit").get_layer("memory").__module__
        'dropkit.recurrent'
    """
    if to not in LAYERS:
        raise ValueError(
            "Invalid value received for argument `to`. Expected one of "
            f"{tuple(LAYERS)}. Received: to={to!r}"
        )
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Invalid value received for argument `model`. Expected a Keras "
            f"model. Received: model={model!r}"
        )
    if not _is_graph(model):
        raise ValueError(
            "convert() needs a Sequential or functional model, whose layers "
            "Keras can list. Build your subclassed model with the other "
            "layers and load the weights: weight files are interchangeable. "
            f"Received: model of class {type(model).__name__}"
        )
    clone = _Conversion(to, strict)(model)
    _copy_state(model, clone, LAYERS[OTHER[to]].values())
    return clone


def _is_graph(layer):
    """Whether it is a Sequential or functional model."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "operations")
    )


@contextlib.contextmanager
def _uncompiled(model):
    """Keras would compile the clone too, and fail for an own loss."""
    compiled = model.compiled
    model.compiled = False
    try:
        yield
    finally:
        model.compiled = compiled


class _Conversion:
    """Clones layers, each once; the ``clone_function`` of ``clone_model``."""

    def __init__(self, to, strict):
        self._to = to
        self._strict = strict
        self._clones = {}

    def __call__(self, layer):
        if id(layer) not in self._clones:
            self._clones[id(layer)] = self._clone(layer)
        return self._clones[id(layer)]

    def _clone(self, layer):
        if _is_graph(layer):
            with _uncompiled(layer):
                return keras.models.clone_model(layer, clone_function=self)
        config = layer.get_config()
        kind = type(layer).__name__
        if type(layer) is LAYERS[OTHER[self._to]].get(kind):
            return self._swapped(kind, config)
        # The function comes from this process, not from a file.
        trust = {}
        if isinstance(layer, keras.layers.Lambda):
            trust["safe_mode"] = False
        return type(layer).from_config(self._swap_inside(config), **trust)

    def _swap_inside(self, value):
        """A config with all recurrent layers in it swapped."""
        if isinstance(value, (list, tuple)):
            return type(value)(map(self._swap_inside, value))
        if not isinstance(value, dict):
            return value
        kind = value.get("class_name")
        source = OTHER[self._to]
        if value.get("module") == MODULES[source] and kind in LAYERS[source]:
            layer = self._swapped(kind, value["config"])
            return keras.saving.serialize_keras_object(layer)
        return {k: self._swap_inside(v) for k, v in value.items()}

    def _swapped(self, kind, config):
        name = config["name"]
        if self._to == "keras":
            config = {**config, **self._rates(kind, name, config)}
        try:
            return LAYERS[self._to][kind].from_config(config)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"Layer {name!r} cannot be converted. {error}"
            ) from error

    def _rates(self, kind, name, config):
        """The two rates of the Keras layer with the same meaning."""
        method = as_method(config["recurrent_dropout"])
        if method is None:
            return {"recurrent_dropout": 0.0}
        if _is_kerass_own(method, kind):
            return {"recurrent_dropout": method.rate}
        if not method.identity_in_inference:
            raise ValueError(
                f"Layer {name!r} cannot be converted: {method!r} changes "
                f"inference, so that a keras.layers.{kind} with the same "
                "weights would predict something else."
            )
        if self._strict:
            raise ValueError(
                f"Layer {name!r} cannot be converted: keras.layers.{kind} "
                f"knows no {method!r}, only Gal(rate, gates='untied'). Pass "
                "strict=False to convert it for inference."
            )
        return {"dropout": 0.0, "recurrent_dropout": 0.0}


def _is_kerass_own(method: Method, kind: str) -> bool:
    """Whether Keras's float ``recurrent_dropout`` means this method."""
    if type(method) is not Gal or method != Gal(method.rate, method.gates):
        return False
    # One gate is both tied and untied.
    return method.gates == "untied" or kind == "SimpleRNN"


def _copy_state(model, clone, swapped):
    """Copies weights, flags and what Keras leaves out of its config."""
    old_layers, new_layers = (
        [
            layer
            for layer in every._flatten_layers()
            if not isinstance(layer, Stream)
        ]
        for every in (model, clone)
    )
    left = [layer.name for layer in new_layers if type(layer) in swapped]
    if left:
        raise ValueError(
            f"Layers {left} cannot be converted: another layer makes them "
            "itself and does not hold them in its config."
        )
    clone.set_weights(model.get_weights())
    # Parents come first, because a flag is handed down to all children.
    for old, new in zip(old_layers, new_layers, strict=True):
        new.trainable = old.trainable
        if isinstance(old, keras.layers.RNN) and old.stateful and old.built:
            for state, value in zip(new.states, old.states, strict=True):
                state.assign(value)
        if hasattr(old, "use_cudnn"):
            new.use_cudnn = old.use_cudnn
            new.supports_jit = old.supports_jit
            if not (_chosen_by_keras(old) or _chosen_by_keras(new)):
                new.cell.implementation = old.cell.implementation


def _chosen_by_keras(layer):
    """Whether Keras sets ``implementation`` itself, for its own dropout."""
    return type(layer) in LAYERS["keras"].values() and layer.recurrent_dropout
