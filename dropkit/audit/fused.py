"""Which fused path a layer allows: cuDNN's kernels, XLA.

Keras is asked, not read. A copy of the layer gets an activation that notices
when Keras compares it with cuDNN's: Keras does so only on its way to the fused
kernel, on any machine. Whether the other arguments suit cuDNN says Keras's own
test.

Private names of Keras that this module relies on, tested at both ends of the
supported versions: ``_do_lstm_arguments_support_cudnn`` and
``_do_gru_arguments_support_cudnn`` in ``keras.src.backend.tensorflow.rnn``.
"""

from __future__ import annotations

import dataclasses
import importlib

import keras
import tensorflow as tf

from dropkit.probe.layouts import directions
from dropkit.probe.subject import clone


@dataclasses.dataclass(frozen=True)
class Paths:
    """What a layer allows on a GPU.

    Args:
        cudnn: Whether it can use cuDNN: in training, in inference. None for
            a layer that cuDNN has no kernel for.
        xla: Whether it lets Keras compile the model by XLA on its own.
        possible: Whether the arguments other than dropout suit cuDNN.
    """

    cudnn: tuple[bool, bool] | None = None
    xla: bool = True
    possible: bool = False

    def __str__(self):
        xla = "XLA" if self.xla else "no XLA"
        if self.cudnn is None:
            return xla
        names = {
            (True, True): "cuDNN",
            (False, True): "cuDNN in inference",
            (True, False): "cuDNN in training",
            (False, False): "no cuDNN",
        }
        return f"{names[self.cudnn]}, {xla}"


class _Noticing:
    """An activation that notices comparisons, and equals nothing."""

    def __init__(self, function):
        self._function = function
        self.noticed = False

    def __call__(self, x):
        return self._function(x)

    def __eq__(self, other):
        self.noticed = True
        return False

    __hash__ = None


def paths(layer: keras.layers.Layer) -> Paths:
    """Returns which fused paths a layer allows on a GPU.

    Args:
        layer: A Keras layer. It is not changed.
    Returns:
        The paths; those of the forward direction for a ``Bidirectional``.
    Example:
        >>> str(paths(keras.layers.LSTM(3, recurrent_dropout=0.2)))
        'no cuDNN, no XLA'
        >>> str(paths(keras.layers.LSTM(3, dropout=0.2)))
        'cuDNN, no XLA'
    """
    part = directions(layer)[0]
    if not isinstance(part, (keras.layers.LSTM, keras.layers.GRU)):
        return Paths(xla=bool(layer.supports_jit))
    possible = _suits_cudnn(part)
    if part.use_cudnn is False or not possible:
        return Paths((False, False), True, possible)
    return Paths((_asks(part, True), _asks(part, False)), False, True)


def _suits_cudnn(part):
    # The package of the same name holds a function `rnn`.
    rnn = importlib.import_module("keras.src.backend.tensorflow.rnn")
    arguments = {
        "activation": part.activation,
        "recurrent_activation": part.recurrent_activation,
        "unroll": part.unroll,
        "use_bias": part.use_bias,
    }
    if isinstance(part, keras.layers.LSTM):
        return bool(rnn._do_lstm_arguments_support_cudnn(**arguments))
    return bool(
        rnn._do_gru_arguments_support_cudnn(
            **arguments, reset_after=part.reset_after
        )
    )


def _asks(part, training):
    copy = clone(part)
    copy.stateful = False
    x = tf.ones((2, 2, 3), copy.compute_dtype)
    copy.build(x.shape)
    noticing = _Noticing(copy.cell.activation)
    copy.cell.activation = noticing
    copy(x, training=training)
    return noticing.noticed
