"""The parts of a recurrent loop: its steps and its matrix product.

Tensors are time-major: ``(T, B, ...)``; untied masks add a gate axis,
``(T, G, B, U)``.
"""

from __future__ import annotations

import tensorflow as tf

from dropkit.sites import Multiplier


class Steps:
    """Reads the step of tensors that have one, the tensor itself otherwise."""

    def __init__(self, size):
        self._size = size

    def read(self, multiplier: Multiplier | None):
        if multiplier is None:
            return lambda t: None
        if not multiplier.steps:
            return lambda t: multiplier.value
        return self.array(multiplier.value).read

    def array(self, value: tf.Tensor) -> tf.TensorArray:
        return self.empty(value.dtype).unstack(value)

    def empty(self, dtype) -> tf.TensorArray:
        return tf.TensorArray(dtype, size=self._size, clear_after_read=False)

    def reader(self, function, values, multipliers, fused):
        """Reads a step of ``function(*values, *multipliers)``.

        Fused, it is computed in the loop, where XLA keeps it in registers;
        otherwise for all steps at once, in fewer and larger operations.
        """
        if fused:
            reads = [self.array(value).read for value in values]
            reads += [self.read(m) for m in multipliers]
            return lambda t: function(*(read(t) for read in reads))
        whole = [None if m is None else m.over_time() for m in multipliers]
        arrays = [self.array(a) for a in function(*values, *whole)]
        return lambda t: [array.read(t) for array in arrays]

    def loop(self, body, variables, backwards=False):
        """Runs ``body(t, *variables)`` for each step."""
        size = self._size
        if backwards:
            condition, step, start = (lambda t: t >= 0), -1, size - 1
        else:
            condition, step, start = (lambda t: t < size), 1, 0
        result = tf.while_loop(
            lambda t, *_: condition(t),
            lambda t, *values: (t + step, *body(t, *values)),
            (start, *variables),
            parallel_iterations=1,
            maximum_iterations=size,
        )
        return result[1:]


class Product:
    """``(h * m) @ U`` for all gates, its transpose and its kernel gradient.

    Tied: ``h`` is multiplied once and the gates lie side by side, ``(B, GU)``.
    Untied: each gate has its own multiplier and place, ``(G, B, U)``.
    """

    def __init__(self, kernel: tf.Tensor, mask: Multiplier | None, gates: int):
        self.untied = mask is not None and mask.gates
        self._mask, self._gates, self._flat = mask, gates, kernel
        units = kernel.shape[0]
        if self.untied:
            kernel = tf.reshape(kernel, [units, gates, units])
            kernel = tf.transpose(kernel, [1, 0, 2])
        self._kernel = kernel
        self._transposed = tf.linalg.matrix_transpose(kernel)

    def forward(self, h, m):
        if m is not None:
            h = (h[None] if self.untied else h) * m
        return tf.matmul(h, self._kernel)

    def backward(self, dz, m):
        dh = tf.matmul(dz, self._transposed)
        if m is not None:
            dh = dh * m
        return tf.reduce_sum(dh, axis=0) if self.untied else dh

    def kernel_gradient(self, previous, dz):
        """From all states before each step and all gradients ``dz``."""
        units = self._flat.shape[0]
        if self._mask is not None:
            if self.untied:
                previous = previous[:, None]
            previous = previous * self._mask.over_time()
        if not self.untied:
            return tf.matmul(
                tf.reshape(previous, [-1, units]),
                tf.reshape(dz, [-1, self._gates * units]),
                transpose_a=True,
            )
        rows = [
            tf.reshape(tf.transpose(a, [1, 0, 2, 3]), [self._gates, -1, units])
            for a in (previous, dz)
        ]
        gradient = tf.matmul(*rows, transpose_a=True)
        return tf.reshape(
            tf.transpose(gradient, [1, 0, 2]), [units, self._gates * units]
        )

    def split(self, z, *sizes):
        """Splits a tensor of all gates into groups of whole gates."""
        if self.untied:
            axis, unit = -3, 1
        else:
            axis, unit = -1, self._flat.shape[0]
        return tf.split(z, [n * unit for n in sizes], axis=axis)

    def place(self, bias):
        """A bias of all gates, where :meth:`forward` puts the gates."""
        if not self.untied:
            return bias
        return tf.reshape(bias, [self._gates, 1, -1])

    def bias_gradient(self, dz):
        """Sum over time and batch, back in the bias's layout."""
        axes = [0, 2] if self.untied else [0, 1]
        return tf.reshape(tf.reduce_sum(dz, axes), [-1])

    def one(self, gate):
        """A single gate from :meth:`split`, without the gate axis."""
        return tf.squeeze(gate, axis=-3) if self.untied else gate

    def join(self, gates):
        """All gates, each ``(..., B, U)``, in one tensor."""
        if self.untied:
            return tf.stack(gates, axis=-3)
        return tf.concat(gates, axis=-1)


def shifted(initial, values):
    """The values before each step."""
    return tf.concat([initial[None], values[:-1]], axis=0)


def mix(keep, old, new):
    """``keep`` of the old and the rest of the new; exact where keep is 0, 1."""
    return new if keep is None else keep * old + (1 - keep) * new


def length(projected):
    """Number of steps: an int if it is known."""
    return projected.shape[0] or tf.shape(projected)[0]
