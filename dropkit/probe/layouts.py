"""Layouts: which recurrent layers can be read, and a copy that fits.

What is known of a layer is its weight layout: the shapes, the order of the
gates, the activations. No dropout argument is read.
"""

from __future__ import annotations

import keras

from dropkit.probe import cells
from dropkit.probe.activation import Unreadable
from dropkit.probe.subject import clone

CELLS = {
    "LSTM": (keras.layers.LSTM, keras.layers.LSTMCell),
    "GRU": (keras.layers.GRU, keras.layers.GRUCell),
    "SimpleRNN": (keras.layers.SimpleRNN, keras.layers.SimpleRNNCell),
}
CONVOLUTIONS = (
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)
# Half precision rounds multipliers by more than what tells them apart.
HALF = ("float16", "bfloat16")
READ_IN = "float32"
_COPY = {
    "dtype": READ_IN,
    "use_bias": True,
    "kernel_initializer": "zeros",
    "recurrent_initializer": "zeros",
    "bias_initializer": "zeros",
    "unit_forget_bias": False,
    "kernel_size": 1,
    "strides": 1,
    "dilation_rate": 1,
    "padding": "same",
    "data_format": "channels_last",
}


def is_recurrent(layer) -> bool:
    """Whether a layer is recurrent, with or without an adapter."""
    return isinstance(
        layer,
        (keras.layers.RNN, keras.layers.Bidirectional, *CONVOLUTIONS),
    )


def directions(layer):
    """Returns the one or two recurrent layers that hold the weights."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer.forward_layer, layer.backward_layer]
    return [layer]


def kind_of(layer) -> str:
    """Returns the weight layout: a key of ``CELLS``, or ``"ConvLSTM"``.

    Raises:
        Unreadable: if the layout is unknown.
    """
    kinds = {_kind(each) for each in directions(layer)}
    if len(kinds) > 1:
        raise Unreadable(f"its directions are of two kinds, {sorted(kinds)}")
    return kinds.pop()


def _kind(layer):
    if isinstance(layer, CONVOLUTIONS):
        return "ConvLSTM"
    cell = getattr(layer, "cell", layer)
    for kind, classes in CELLS.items():
        if isinstance(layer, classes) or isinstance(cell, classes):
            return kind
    raise Unreadable(
        f"there is no adapter for a {type(cell).__name__}, only for the "
        "weights of an LSTM, GRU, SimpleRNN or ConvLSTM"
    )


def _resize(config, kind, features):
    """Changes shapes and dtype in a config, its own or a layer's inside."""
    for inner in ("layer", "backward_layer", "cell"):
        if isinstance(config.get(inner), dict):
            config[inner].pop("build_config", None)
            _resize(config[inner]["config"], kind, features)
    for width in ("units", "filters"):
        if width in config:
            adapter = adapter_class(kind, config.get("reset_after", True))
            config[width] = features * adapter.groups()
    for key, value in _COPY.items():
        if key in config:
            if isinstance(config[key], (list, tuple)):
                value = [value] * len(config[key])
            config[key] = value


def adapter_class(kind: str, reset_after: bool = True) -> type[cells.Cell]:
    """Returns the class that reads a kind."""
    if kind == "GRU" and not reset_after:
        return cells.GRUResetBefore
    return getattr(cells, kind.removeprefix("Conv"))


def reading_copy(layer, kind: str, features: int):
    """Returns a copy of a layer, wide enough to read so many features."""
    copy = clone(layer, lambda config: _resize(config, kind, features))
    for old, new in zip(directions(layer), directions(copy), strict=True):
        _copy_path(old, new)
    return copy


def _copy_path(layer, copy):
    """Copies what Keras leaves out of its config: which loop to run."""
    if hasattr(layer, "use_cudnn"):
        copy.use_cudnn = layer.use_cudnn
    cell = getattr(layer, "cell", None)
    # With implementation 1 a cell indexes a list of so many masks.
    for name in ("implementation", "dropout_mask_count"):
        if hasattr(cell, name):
            setattr(copy.cell, name, getattr(cell, name))
