"""The parts of a recurrent loop: its steps and its matrix products.

Tensors are time-major: ``(T, B, ...)``. Those of all gates are a list, the
*groups*: one tensor, ``(T, B, GU)``, or with an untied state mask one of each
gate, ``(T, B, U)``. Only inside a step the groups are packed into one tensor.
"""

from __future__ import annotations

import tensorflow as tf

from dropkit.plan import in_xla
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
        return _array(value.dtype, length(value)).unstack(value)

    def arrays(self, values: list[tf.Tensor]) -> list[tf.TensorArray]:
        return [self.array(value) for value in values]

    def empty(self, dtype) -> tf.TensorArray:
        return _array(dtype, self._size)

    def after(self, initial: tf.Tensor) -> tf.TensorArray:
        """An array for a state: entry ``t`` is the one before step ``t``.

        What follows step ``t`` is entry ``t + 1``, so that both are read from
        one array.
        """
        return _array(initial.dtype, self._size + 1).write(0, initial)

    def reader(self, function, values, multipliers):
        """Reads a step of ``function(*values, *multipliers)``.

        XLA computes it in the loop, where it stays in registers; without XLA
        all steps at once are fewer and larger operations.

        Args:
            function: Of a step, or of all steps.
            values: Pairs of a tensor and its entry of the first step.
            multipliers: Of sites.
        """
        if in_xla():
            reads = [
                _reader(self.array(value), first) for value, first in values
            ]
            reads += [self.read(m) for m in multipliers]
            return lambda t: function(*(read(t) for read in reads))
        whole = [value[first : first + self._size] for value, first in values]
        whole += [None if m is None else m.over_time() for m in multipliers]
        arrays = [self.array(a) for a in function(*whole)]
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


def read(arrays, t):
    return [array.read(t) for array in arrays]


def write(arrays, t, values):
    return [a.write(t, v) for a, v in zip(arrays, values, strict=True)]


def stack(arrays):
    return [array.stack() for array in arrays]


class Projection:
    """``(x * m) W`` of all steps, in the groups of the loop.

    One matrix product for all gates; one for each where their masks differ or
    the loop wants them apart.
    """

    def __init__(
        self,
        kernel: tf.Tensor,
        mask: Multiplier | None,
        gates: int,
        apart: bool,
    ):
        self._mask, self._apart = mask, apart
        self._untied = mask is not None and mask.gates
        count = gates if apart or self._untied else 1
        self._kernels = tf.split(kernel, count, axis=-1)

    def forward(self, x):
        z = [
            tf.tensordot(masked, kernel, 1)
            for masked, kernel in zip(
                self._masked(x), self._kernels, strict=True
            )
        ]
        return z if self._apart else [tf.concat(z, -1)]

    def backward(self, x, dz):
        """The gradients of ``x`` and ``W``."""
        if not self._apart:
            dz = tf.split(dz[0], len(self._kernels), -1)
        dx = [
            tf.tensordot(gradient, kernel, [[-1], [-1]])
            for gradient, kernel in zip(dz, self._kernels, strict=True)
        ]
        if self._untied:
            masks = tf.unstack(self._mask.value)
            dx = tf.add_n([a * m for a, m in zip(dx, masks, strict=True)])
        else:
            dx = tf.add_n(dx)
            if self._mask is not None:
                dx *= self._mask.value
        kernel = [
            _summed_product(masked, gradient)
            for masked, gradient in zip(self._masked(x), dz, strict=True)
        ]
        return dx, tf.concat(kernel, -1)

    def _masked(self, x):
        """The inputs of each product."""
        if self._untied:
            return [x * mask for mask in tf.unstack(self._mask.value)]
        if self._mask is not None:
            x *= self._mask.value
        return [x] * len(self._kernels)


class Product:
    """``(h * m) @ U`` for all gates, its transpose and its kernel gradient.

    Tied: ``h`` is multiplied once and a step is packed as ``(B, GU)``.
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
        """From all states before each step and the groups of ``dz``."""
        if not self.untied:
            if self._mask is not None:
                previous = previous * self._mask.over_time()
            return _summed_product(previous, *dz)
        # One gate after the other: together they need four times the memory.
        masks = tf.unstack(self._mask.over_time(), self._gates, -3)
        return tf.concat(
            [
                _summed_product(previous * mask, gradient)
                for mask, gradient in zip(masks, dz, strict=True)
            ],
            axis=-1,
        )

    def bias_gradient(self, dz):
        return tf.concat([tf.reduce_sum(group, [0, 1]) for group in dz], -1)

    def groups(self, gates):
        """The groups of single gates, each ``(..., B, U)``."""
        return gates if self.untied else [tf.concat(gates, axis=-1)]

    def gates(self, groups):
        """The single gates of groups."""
        return groups if self.untied else tf.split(*groups, self._gates, -1)

    def pack(self, groups):
        """What :meth:`forward` returns of a step, from its groups."""
        return tf.stack(groups, axis=-3) if self.untied else groups[0]

    def unpack(self, packed):
        """The inverse of :meth:`pack`."""
        if self.untied:
            return tf.unstack(packed, self._gates, axis=-3)
        return [packed]

    def join(self, gates):
        """Packs single gates, each ``(..., B, U)``."""
        return self.pack(self.groups(gates))

    def split(self, packed, *sizes):
        """Splits a packed tensor into tensors of some gates each."""
        if self.untied:
            axis, unit = -3, 1
        else:
            axis, unit = -1, self._flat.shape[0]
        return tf.split(packed, [n * unit for n in sizes], axis=axis)

    def one(self, gate):
        """A single gate from :meth:`split`, without the gate axis."""
        return tf.squeeze(gate, axis=-3) if self.untied else gate

    def place(self, bias):
        """A bias of all gates, as :meth:`forward` packs them."""
        if not self.untied:
            return bias
        return tf.reshape(bias, [self._gates, 1, -1])


def mix(keep, old, new):
    """``keep`` of the old and the rest of the new; exact where keep is 0, 1."""
    return new if keep is None else keep * old + (1 - keep) * new


def length(values):
    """Number of steps: an int if it is known."""
    return values.shape[0] or tf.shape(values)[0]


def _array(dtype, size):
    return tf.TensorArray(dtype, size=size, clear_after_read=False)


def _reader(array, first):
    return lambda t: array.read(t + first)


def _summed_product(a, b):
    """``a^T b``, summed over time and batch."""
    a, b = (tf.reshape(value, [-1, value.shape[-1]]) for value in (a, b))
    return tf.matmul(a, b, transpose_a=True)
