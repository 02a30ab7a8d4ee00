"""LSTM, GRU and SimpleRNN: Keras's layers that accept a dropout method.

Weights, masking, states and arguments are Keras's. Only the noise is ours: in
training with noise the loops of :mod:`dropkit.engine` run; otherwise Keras's
own loop, or its fused kernel.

Private names of Keras that this module relies on, tested at both ends of the
supported versions: ``RNN.inner_loop``, ``RNN._maybe_config_dropout_masks``,
and that ``Bidirectional`` takes its fused route only if
``cell.recurrent_dropout`` is false.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading

import keras
import tensorflow as tf

from dropkit import engine, generic
from dropkit.loops import Projection
from dropkit.methods import Gal, Method, Sizes, check_recurrent_rate
from dropkit.noise import Bernoulli
from dropkit.plan import FOLDED, choose
from dropkit.sites import Multiplier, Sites
from dropkit.stream import Stream, check_seed

_IN_KERAS = threading.local()


@contextlib.contextmanager
def _hidden_rates():
    """Inside, a layer shows Keras rates of 0: it keeps its fused path."""
    before = getattr(_IN_KERAS, "on", False)
    _IN_KERAS.on = True
    try:
        yield
    finally:
        _IN_KERAS.on = before


def as_method(recurrent_dropout) -> Method | None:
    """Returns the method of a ``recurrent_dropout`` argument.

    Args:
        recurrent_dropout: A method, or a rate: then Keras's own meaning,
            ``Gal(rate, gates="untied")``. A Python 0 means none.
    Returns:
        A method or None.
    Raises:
        TypeError: if it is neither.
        ValueError: if the rate is outside ``[0, 1)``.
    Example:
        >>> as_method(0.25).gates
        'untied'
    """
    if isinstance(recurrent_dropout, dict):
        recurrent_dropout = keras.saving.deserialize_keras_object(
            recurrent_dropout
        )
    if isinstance(recurrent_dropout, Method):
        return recurrent_dropout
    if isinstance(recurrent_dropout, type) and issubclass(
        recurrent_dropout, Method
    ):
        raise TypeError(
            "Invalid value received for argument `recurrent_dropout`. Give "
            f"the method a rate, as in {recurrent_dropout.__name__}(0.25). "
            f"Received: recurrent_dropout={recurrent_dropout.__name__}"
        )
    rate = check_recurrent_rate(recurrent_dropout, "recurrent_dropout")
    method = Gal(rate, gates="untied")
    return None if method.is_identity else method


class _Compiled:
    """The shapes that a layer has compiled; a plain object, not tracked."""

    def __init__(self):
        self.shapes = set()


def _halves(tensor, axis, parts):
    """A tensor's part for each part of the batch, of any known or unknown size.

    What all samples share, of size 1, goes to every part whole.
    """
    size = 1 if tensor.shape.rank == 0 else tensor.shape[axis]
    if parts == 1 or size == 1:
        return [tensor] * parts
    if size is None:
        size = tf.shape(tensor)[axis]
    sizes = [size // parts] * (parts - 1)
    return tf.split(tensor, [*sizes, size - sum(sizes)], axis=axis)


class _Recurrent:
    """What the three layers share; comes before Keras's class."""

    kind: str
    gates: int
    # SimpleRNN has no fused kernel and no such argument.
    use_cudnn = "auto"
    # Places of the engine's gates in Keras's kernels.
    order: tuple[int, ...]
    _engine_cell: engine.Cell

    def __init__(
        self,
        units,
        *args,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        method = as_method(recurrent_dropout)
        if method is not None:
            method.check(self.kind)
        input_noise = Bernoulli(check_recurrent_rate(dropout, "dropout"))
        seed = check_seed(seed)
        super().__init__(units, *args, **kwargs)
        self._method = method
        self._input_noise = input_noise
        self._seed = seed
        self._stream = Stream(seed)
        self._compiled = _Compiled()
        self._plan = None
        if self._is_noisy and self.kind != "SimpleRNN":
            # True for Bidirectional, ignored by the cell, which applies a
            # rate only if it is below 1. A SimpleRNN, which Bidirectional
            # never fuses, would apply it.
            self.cell.recurrent_dropout = 1.0

    @property
    def _is_noisy(self):
        return self._method is not None or not self._input_noise.is_identity

    @property
    def dropout(self):
        """The rate of the input dropout."""
        if getattr(_IN_KERAS, "on", False):
            return 0.0
        return self._input_noise.rate

    @property
    def recurrent_dropout(self):
        """The method, or 0."""
        if getattr(_IN_KERAS, "on", False):
            return 0.0
        return 0.0 if self._method is None else self._method

    @property
    def stream(self) -> Stream:
        """The random state of this layer."""
        return self._stream

    @property
    def engine(self) -> str:
        """Which loop runs, and why, in words."""
        if not self._is_noisy:
            return "Keras's own: no noise"
        if self._method is None:
            return "Keras's own: the input dropout is applied before it"
        inference = "the training loop, with the multipliers' means"
        if self._method.identity_in_inference:
            inference = "Keras's own"
        plan = "not run yet" if self._plan is None else self._plan.why
        return f"training: {plan}; inference: {inference}"

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if sequences.shape[1] == 0:
            raise ValueError(
                f"{self.kind} needs at least one time step. Received: inputs "
                f"of shape {tuple(sequences.shape)}"
            )
        return super().call(
            sequences, initial_state=initial_state, mask=mask, training=training
        )

    def _maybe_config_dropout_masks(self, *args, **kwargs):
        """Nothing: Keras would draw here, in inference too."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        if mask is not None:
            mask = tf.cast(mask, tf.bool)
            # A NaN in a padded step would reach the gradients through 0 * NaN.
            sequences = tf.where(mask[..., None], sequences, 0)
        method = self._method
        in_engine = method is not None and (
            training or not method.identity_in_inference
        )
        if not in_engine:
            if training and not self._input_noise.is_identity:
                masks = self._input_masks(
                    self._stream.next_key(), self._sizes(sequences), False
                )
                sequences = sequences * masks[:, None]
            with _hidden_rates():
                # Keras's cell would use `training` for its own dropout only.
                return super().inner_loop(
                    sequences, initial_state, mask, training=False
                )
        if self.use_cudnn is True and not self._fits_kernel:
            raise ValueError(
                "use_cudnn=True was specified, but cuDNN cannot run "
                f"{method!r}. Pass use_cudnn='auto': then inference uses "
                "cuDNN where the method allows it."
            )
        return self._noisy_loop(sequences, initial_state, mask, training)

    def _noisy_loop(self, sequences, initial_state, mask, training):
        sizes = self._sizes(sequences)
        cell = self.cell
        weights = [
            tf.cast(tf.convert_to_tensor(weight), sizes.dtype)
            for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
            if weight is not None
        ]
        if training:
            key = self._stream.next_key()
            sites = self._method.sites(key, sizes)
            weights[1] = self._method.kernel(key, sizes, weights[1])
            if not self._input_noise.is_identity:
                masks = self._input_masks(key, sizes, self._unties_input)
                masks = Multiplier(masks, gates=self._unties_input)
                sites = dataclasses.replace(sites, input=masks)
        else:
            sites = self._method.inference_sites(sizes)
        if self._fits_kernel and self._may_use_cudnn:
            if sites.input is not None:
                sequences = sequences * sites.input.value[:, None]
            kernel = sites.folded_into(weights[1])
            return self._keras_loop(sequences, initial_state, mask, kernel)
        if mask is not None:
            mask = tf.transpose(mask)[..., None]
            if self.go_backwards:
                mask = tf.reverse(mask, [0])
            sites = _with_padding(sites, mask, sizes.dtype, self.gates == 4)
        outputs, states = self._run_parts(
            sequences, weights, initial_state, sites
        )
        if mask is not None:
            # As Keras: a masked step repeats the last output, and there is
            # none before the first unmasked step.
            shown = mask
            if not self.zero_output_for_mask:
                shown = tf.cumsum(tf.cast(mask, tf.int32), axis=0) > 0
            outputs = tf.where(shown, outputs, tf.zeros((), outputs.dtype))
        return outputs[-1], tf.transpose(outputs, [1, 0, 2]), states

    @property
    def _fits_kernel(self):
        """Whether Keras's loop can run the noise of training."""
        untied_input = self._unties_input and not self._input_noise.is_identity
        return self._method.fits_kernel and not untied_input

    @property
    def _unties_input(self):
        return self._method.gates == "untied" and self.gates > 1

    @property
    def _may_use_cudnn(self):
        if self.kind == "SimpleRNN" or not self.use_cudnn:
            return False
        on_gpu = bool(tf.config.list_logical_devices("GPU"))
        return on_gpu or self.use_cudnn is True

    def _keras_loop(self, sequences, initial_state, mask, kernel):
        """Keras's own loop or fused kernel, with another recurrent kernel."""
        self._plan = FOLDED
        variable = self.cell.recurrent_kernel
        kernel = tf.cast(kernel, variable.dtype)
        with _hidden_rates(), keras.StatelessScope([(variable, kernel)]):
            return super().inner_loop(
                sequences, initial_state, mask, training=False
            )

    def _run_parts(self, sequences, weights, states, sites):
        """Runs the loop as planned: whole or in parts, compiled or not."""
        batch, time = sequences.shape[:2]
        compiled = self._compiled
        others = compiled.shapes - {(time, batch)}
        plan = choose(
            time, batch, self.units, len(others), self._is_hand_written
        )
        self._plan = plan
        if plan.compiled:
            compiled.shapes.add((time, batch))
        sites = _reordered(sites, self.order)
        if self._is_hand_written:
            run = engine.function(self._engine_cell, sites, plan.compiled)
        else:
            run = functools.partial(self._run_generic, sites)
        weights = self._engine_weights(weights)
        noise = sites.tensors()
        split = functools.partial(_halves, parts=plan.parts)
        by_part = zip(
            split(sequences, 0),
            zip(*(split(s, 0) for s in states), strict=True),
            zip(*(split(n, -2) for n in noise), strict=True)
            if noise
            else [()] * plan.parts,
            strict=True,
        )
        results = [
            run(self._by_time(x), weights, list(initial), list(multipliers))
            for x, initial, multipliers in by_part
        ]
        if plan.parts == 1:
            return results[0]
        outputs, states = zip(*results, strict=True)
        return tf.concat(outputs, 1), [
            tf.concat(parts, 0) for parts in zip(*states, strict=True)
        ]

    def _by_time(self, x):
        x = tf.transpose(x, [1, 0, 2])
        return tf.reverse(x, [0]) if self.go_backwards else x

    def _engine_weights(self, weights):
        """Kernels and biases in the engine's order; zeros if without bias."""
        kernel, recurrent_kernel, *bias = weights
        bias = bias[0] if bias else tf.zeros(kernel.shape[-1], kernel.dtype)
        return [self._ordered(w) for w in (kernel, recurrent_kernel, bias)]

    def _run_generic(self, sites, x, weights, states, noise):
        """As a function of the engine, by automatic differentiation."""
        sites = sites.with_tensors(noise)
        kernel, recurrent_kernel, bias, *more = weights
        apart = sites.state is not None and sites.state.gates
        projection = Projection(kernel, sites.input, self.gates, apart)
        projected = projection.forward(x)
        biases = tf.split(bias, len(projected))
        projected = [z + b for z, b in zip(projected, biases, strict=True)]
        return self._loop(projected, recurrent_kernel, *more, *states, sites)

    def _sizes(self, sequences):
        batch, time = sequences.shape[:2]
        return Sizes(
            time=tf.shape(sequences)[1] if time is None else time,
            batch=tf.shape(sequences)[0] if batch is None else batch,
            units=self.units,
            gates=self.gates,
            dtype=self.compute_dtype,
            direction="backward" if self.go_backwards else "forward",
        )

    def _input_masks(self, key, sizes, untied):
        features = self.cell.kernel.shape[0]
        shape = [sizes.batch, features]
        if untied:
            shape.insert(0, self.gates)
        return self._input_noise.multiplier(
            key, shape, sizes.dtype, f"{sizes.direction}/input"
        )

    def _ordered(self, weights):
        """A kernel or bias with its gates in the engine's order."""
        if self.order == tuple(range(self.gates)):
            return weights
        parts = tf.split(weights, self.gates, axis=-1)
        return tf.concat([parts[place] for place in self.order], axis=-1)

    def get_config(self):
        method = self._method
        rate = 0.0
        if method is not None:
            rate = keras.saving.serialize_keras_object(method)
            if type(method) is Gal and method == Gal(
                method.get_config()["rate"], gates="untied"
            ):
                rate = method.get_config()["rate"]
        with _hidden_rates():
            config = super().get_config()
        return {
            **config,
            "dropout": self._input_noise.config_rate,
            "recurrent_dropout": rate,
            "seed": self._seed,
            **self._forgotten_config(),
        }

    def _forgotten_config(self):
        """What Keras leaves out of its config."""
        return {
            "use_cudnn": self.use_cudnn,
            "implementation": self.cell.implementation,
        }


def _with_padding(sites: Sites, mask, dtype, has_cell) -> Sites:
    """Padding is zoneout with probability 1: a masked step keeps all."""
    padded = 1 - tf.cast(mask, dtype)

    def keep(multiplier):
        value = padded
        if multiplier is not None:
            value = 1 - (1 - padded) * (1 - multiplier.value)
        return Multiplier(value, steps=True)

    return dataclasses.replace(
        sites,
        keep_state=keep(sites.keep_state),
        keep_cell=keep(sites.keep_cell) if has_cell else None,
    )


def _is(activation, name):
    return activation is getattr(keras.activations, name)


_DOCUMENTATION = """Keras's ``{name}`` with every dropout method, and fast.

Swap ``keras.layers.{name}`` for it and nothing else changes: a float
``recurrent_dropout`` has Keras's meaning (the same distribution, not the
same draws), weights and weight files are interchangeable, and inference
runs Keras's own loop or fused kernel wherever the method's inference rule
is the identity. Nothing is drawn in inference, a float16 rate is exact, and
a padded NaN never reaches an output or a gradient.

A gradient of a gradient is right in eager mode, in plain loops and under
``jit_compile=True``. Through a loop that the layer compiles itself
(``layer.engine`` says so) TensorFlow raises ``UnimplementedError``.

Args:
    units: Positive int, the width of the state.
    *args: Further positional arguments of ``keras.layers.{name}``.
    dropout: Float in ``[0, 1)`` or a scalar ``keras.Variable``: rate of the
        input multiplier. Bernoulli, per sample, the same for all steps of
        a call, and untied if the method is. ``Bidirectional`` rebuilds a
        layer from its config, where a variable is its present value.
    recurrent_dropout: A method ({methods}),
        or a rate in ``[0, 1)``, which means {float_means}.
    seed: Int in ``[0, 2**32)``. Default: from Python's ``random``.
    **kwargs: All other arguments of ``keras.layers.{name}``.

Call arguments:
    sequences: Tensor ``(batch, time, features)``.
    initial_state: List of initial states. Default: zeros.
    mask: Boolean tensor ``(batch, time)``, False where a step is padding.
    training: Whether to apply the noise.

Input shape:
    ``(batch, time, features)``.

Output shape:
    ``(batch, units)``, or ``(batch, time, units)`` with
    ``return_sequences=True``.

Raises:
    TypeError: if a rate, a seed or the method is of another type.
    ValueError: if a rate is outside ``[0, 1)``, the method is not defined
        for this layer, or ``use_cudnn=True`` is asked for a method that
        cuDNN cannot run in training.

Example:
    >>> layer = {name}(8, recurrent_dropout=Gal(0.25), seed=1)
    >>> layer(tf.ones((2, 5, 3)), training=True).shape
    TensorShape([2, 8])

Reference:
    {source}; each method names its own paper.
"""


def _documented(methods, float_means, source):
    """Gives a layer the one text, with its own names."""

    def decorate(layer):
        layer.__doc__ = _DOCUMENTATION.format(
            name=layer.__name__,
            methods=methods,
            float_means=float_means,
            source=source,
        )
        return layer

    return decorate


@keras.saving.register_keras_serializable(package="dropkit")
@_documented(
    methods="``Gal``, ``Semeniuta``, ``Moon``, ``Zoneout``, ``WeightDrop``",
    float_means='``Gal(rate, gates="untied")``',
    source="Hochreiter and Schmidhuber (1997), as in Keras",
)
class LSTM(_Recurrent, keras.layers.LSTM):
    kind = "LSTM"
    gates = 4
    order = (0, 1, 3, 2)
    _engine_cell = engine.LSTM

    @property
    def _is_hand_written(self):
        return _is(self.activation, "tanh") and _is(
            self.recurrent_activation, "sigmoid"
        )

    def _loop(self, *arguments):
        outputs, c = generic.lstm(
            *arguments, self.activation, self.recurrent_activation
        )
        return outputs, [outputs[-1], c]


def _reordered(sites, order):
    """Untied multipliers in the engine's order of gates."""
    if order == tuple(range(len(order))):
        return sites

    def reordered(multiplier):
        axis = 1 if multiplier.steps else 0
        value = tf.gather(multiplier.value, order, axis=axis)
        return dataclasses.replace(multiplier, value=value)

    return dataclasses.replace(
        sites,
        **{
            name: reordered(multiplier)
            for name, multiplier in vars(sites).items()
            if multiplier is not None and multiplier.gates
        },
    )


@keras.saving.register_keras_serializable(package="dropkit")
@_documented(
    methods="``Gal``, ``Semeniuta``, ``Zoneout``, ``WeightDrop``",
    float_means='``Gal(rate, gates="untied")``',
    source="Cho et al. (2014), as in Keras",
)
class GRU(_Recurrent, keras.layers.GRU):
    kind = "GRU"
    gates = 3
    order = (0, 1, 2)
    _engine_cell = engine.GRU

    def _engine_weights(self, weights):
        kernel, recurrent_kernel, *bias = weights
        none = tf.zeros(kernel.shape[-1], kernel.dtype)
        biases = [bias[0] if bias else none, none]
        if bias and self.reset_after:
            biases = tf.unstack(bias[0])
        return [kernel, recurrent_kernel, *biases]

    @property
    def _is_hand_written(self):
        return (
            self.reset_after
            and _is(self.activation, "tanh")
            and _is(self.recurrent_activation, "sigmoid")
        )

    def _loop(self, *arguments):
        outputs = generic.gru(
            *arguments,
            self.activation,
            self.recurrent_activation,
            self.reset_after,
        )
        return outputs, [outputs[-1]]


@keras.saving.register_keras_serializable(package="dropkit")
@_documented(
    methods="``Gal``, ``Zoneout``, ``WeightDrop``",
    float_means="``Gal(rate)``",
    source="As in Keras",
)
class SimpleRNN(_Recurrent, keras.layers.SimpleRNN):
    kind = "SimpleRNN"
    gates = 1
    order = (0,)
    _engine_cell = engine.SIMPLE_RNN

    def _forgotten_config(self):
        return {}

    @property
    def _is_hand_written(self):
        return _is(self.activation, "tanh")

    def _loop(self, *arguments):
        outputs = generic.simple_rnn(*arguments, self.activation)
        return outputs, [outputs[-1]]
