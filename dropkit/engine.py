"""The engine: recurrent loops with multipliers, forward and backward.

All samples and steps go through one projection of the inputs; the loop does
one matrix product a step in each direction. What does not depend on the
recurrence is computed for all steps at once. Tensors are time-major:
``(T, B, ...)``; untied masks add a gate axis, ``(T, G, B, U)``.

Every cell here is written for Keras's default activations. Other activations
go through :mod:`dropkit.generic`, by automatic differentiation.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Multiplier:
    """A multiplier of one site.

    Args:
        value: Tensor that broadcasts to ``(B, U)``; with ``gates``, to
            ``(G, B, U)``; with ``steps``, one more axis in front for time.
        steps: Whether there is one for each step.
        gates: Whether there is one for each gate (untied).
    """

    value: tf.Tensor
    steps: bool = False
    gates: bool = False

    def over_time(self) -> tf.Tensor:
        """The value with a time axis, of size 1 if it is constant."""
        return self.value if self.steps else self.value[None]


@dataclasses.dataclass(frozen=True)
class Sites:
    """What is multiplied in a loop; None where nothing is.

    Args:
        state: Multiplier of ``h_{t-1}`` on its way into the recurrent kernel.
        candidate: Multiplier of the candidate ``g_t``.
        cell: Multiplier of the new cell ``c_t`` (LSTM).
        keep_state: Fraction of the old ``h`` that is kept (zoneout, padding).
        keep_cell: Fraction of the old ``c`` that is kept.
    """

    state: Multiplier | None = None
    candidate: Multiplier | None = None
    cell: Multiplier | None = None
    keep_state: Multiplier | None = None
    keep_cell: Multiplier | None = None

    def tensors(self) -> list[tf.Tensor]:
        """The tensors of the sites that are there, in the fields' order."""
        return [m.value for m in self._present().values()]

    def with_tensors(self, tensors: list[tf.Tensor]) -> Sites:
        """The same sites with other tensors."""
        present = self._present()
        return dataclasses.replace(
            self,
            **{
                name: dataclasses.replace(m, value=tensor)
                for (name, m), tensor in zip(
                    present.items(), tensors, strict=True
                )
            },
        )

    def _present(self):
        fields = [f.name for f in dataclasses.fields(self)]
        values = {name: getattr(self, name) for name in fields}
        return {name: m for name, m in values.items() if m is not None}


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
            split = tf.reshape(kernel, [units, gates, units])
            self._kernel = tf.transpose(split, [1, 0, 2])
            self._transposed = tf.transpose(split, [1, 2, 0])
        else:
            self._kernel = kernel
            self._transposed = tf.transpose(kernel)

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


def lstm(projected, kernel, h0, c0, sites: Sites):
    r"""Runs an LSTM over time, with multipliers.

    .. math::

        i, f, o &= \sigma(Z_t + (m_h \odot h_{t-1}) U) \qquad
        g = \tanh(Z_t + (m_h \odot h_{t-1}) U) \\
        c &= m_c \odot (f c_{t-1} + i\,(m_g \odot g)) \\
        c_t &= k_c c_{t-1} + (1 - k_c) c \qquad
        h_t = k_h h_{t-1} + (1 - k_h)\, o \tanh(c)

    Args:
        projected: ``x W + b``, of shape ``(T, B, 4U)``, or ``(T, 4, B, U)``
            for untied masks; gates in the order i, f, o, g.
        kernel: Recurrent kernel ``(U, 4U)`` in the same order.
        h0: ``(B, U)``.
        c0: ``(B, U)``.
        sites: The multipliers.
    Returns:
        All ``h_t``, ``(T, B, U)``, and the last ``c_t``, ``(B, U)``.
    """
    size = length(projected)

    @tf.custom_gradient
    def run(projected, kernel, h0, c0, *tensors):
        at = sites.with_tensors(list(tensors))
        product = Product(kernel, at.state, gates=4)
        steps = Steps(size)
        zs = steps.array(projected)
        reads = [
            steps.read(m)
            for m in (
                at.state,
                at.candidate,
                at.cell,
                at.keep_state,
                at.keep_cell,
            )
        ]
        # Zoneout and padding need the new cell beside the one that is carried.
        both = at.keep_cell is not None or at.keep_state is not None

        def forward(t, h, c, *saved):
            m_h, m_g, m_c, k_h, k_c = (read(t) for read in reads)
            z = zs.read(t) + product.forward(h, m_h)
            sigmoid, tanh = product.split(z, 3, 1)
            s, g = tf.sigmoid(sigmoid), product.one(tf.tanh(tanh))
            i, f, o = map(product.one, product.split(s, 1, 1, 1))
            new = f * c + i * (g if m_g is None else g * m_g)
            if m_c is not None:
                new = new * m_c
            h = mix(k_h, h, o * tf.tanh(new))
            c = mix(k_c, c, new)
            values = (h, new, s, g, c) if both else (h, new, s, g)
            return (
                h,
                c,
                *(
                    array.write(t, value)
                    for array, value in zip(saved, values, strict=True)
                ),
            )

        empty = [steps.empty(projected.dtype) for _ in range(5 if both else 4)]
        *_, states, news, gates, candidates, cells = (
            *steps.loop(forward, (h0, c0, *empty)),
            *(() if both else (None,)),
        )
        H, N, S, G = (a.stack() for a in (states, news, gates, candidates))
        C = cells.stack() if both else N

        def gradient(dH, dc):
            i, f, o = map(product.one, product.split(S, 1, 1, 1))
            tanh_n = tf.tanh(N)
            before = shifted(c0, C)
            m_g = 1 if at.candidate is None else at.candidate.over_time()
            m_c = 1 if at.cell is None else at.cell.over_time()
            # Coefficients of (dc, dc, dh, dc) in dz, for all steps at once.
            coefficients = product.join(
                [
                    G * m_g * i * (1 - i) * m_c,
                    before * f * (1 - f) * m_c,
                    tanh_n * o * (1 - o),
                    i * (1 - G * G) * m_g * m_c,
                ]
            )
            into_cell = o * (1 - tanh_n * tanh_n)
            carry = f * m_c
            arrays = [
                steps.array(a) for a in (dH, coefficients, into_cell, carry)
            ]
            # Read anew: an array of the forward loop cannot leave XLA.
            reads = [
                steps.read(m) for m in (at.state, at.keep_state, at.keep_cell)
            ]

            def backward(t, dh, dc, out):
                dH_t, p, a, fc = (array.read(t) for array in arrays)
                m_h, k_h, k_c = (read(t) for read in reads)
                dh = dh + dH_t
                dq = dh if k_h is None else dh * (1 - k_h)
                dn = dc if k_c is None else dc * (1 - k_c)
                dn = dn + dq * a
                dz = p * product.join([dn, dn, dq, dn])
                old_h = product.backward(dz, m_h)
                old_c = dn * fc
                if k_h is not None:
                    old_h += dh * k_h
                if k_c is not None:
                    old_c += dc * k_c
                return old_h, old_c, out.write(t, dz)

            dh, dc, out = steps.loop(
                backward,
                (tf.zeros_like(h0), dc, steps.empty(projected.dtype)),
                backwards=True,
            )
            dZ = tf.reshape(out.stack(), tf.shape(projected))
            dU = product.kernel_gradient(shifted(h0, H), dZ)
            return dZ, dU, dh, dc, *([None] * len(tensors))

        return (H, C[-1]), gradient

    return run(projected, kernel, h0, c0, *sites.tensors())


def gru(projected, kernel, bias, h0, sites: Sites):
    r"""Runs a GRU (``reset_after=True``) over time, with multipliers.

    .. math::

        A &= (m_h \odot h_{t-1}) U + b \qquad z, r = \sigma(Z_t + A) \\
        g &= \tanh(Z_t + r A) \qquad
        q = z h_{t-1} + (1 - z)\,(m_g \odot g) \\
        h_t &= k_h h_{t-1} + (1 - k_h)\, q

    The carry ``z * h_{t-1}`` is not multiplied by ``m_h``, as in Keras.

    Args:
        projected: ``x W + b``, of shape ``(T, B, 3U)``, or ``(T, 3, B, U)``
            for untied masks; gates in Keras's order z, r, h.
        kernel: Recurrent kernel ``(U, 3U)``.
        bias: Recurrent bias ``(3U,)``.
        h0: ``(B, U)``.
        sites: The multipliers; ``cell`` and ``keep_cell`` do not exist here.
    Returns:
        All ``h_t``, ``(T, B, U)``.
    """
    size = length(projected)

    @tf.custom_gradient
    def run(projected, kernel, bias, h0, *tensors):
        at = sites.with_tensors(list(tensors))
        product = Product(kernel, at.state, gates=3)
        steps = Steps(size)
        zs = steps.array(projected)
        reads = [steps.read(m) for m in (at.state, at.candidate, at.keep_state)]
        placed = product.place(bias)

        def forward(t, h, *saved):
            m_h, m_g, k_h = (read(t) for read in reads)
            inner = product.forward(h, m_h) + placed
            inner_zr, inner_g = product.split(inner, 2, 1)
            z_zr, z_g = product.split(zs.read(t), 2, 1)
            s = tf.sigmoid(z_zr + inner_zr)
            z, r = map(product.one, product.split(s, 1, 1))
            a = product.one(inner_g)
            g = tf.tanh(product.one(z_g) + r * a)
            h = mix(k_h, h, z * h + (1 - z) * (g if m_g is None else g * m_g))
            values = (h, s, g, a)
            return h, *(
                array.write(t, value)
                for array, value in zip(saved, values, strict=True)
            )

        empty = [steps.empty(projected.dtype) for _ in range(4)]
        _, *arrays = steps.loop(forward, (h0, *empty))
        H, S, G, A = (array.stack() for array in arrays)

        def gradient(dH):
            z, r = map(product.one, product.split(S, 1, 1))
            before = shifted(h0, H)
            m_g = 1 if at.candidate is None else at.candidate.over_time()
            into_g = (1 - z) * m_g * (1 - G * G)
            into_z = (before - G * m_g) * z * (1 - z)
            into_r = into_g * A * r * (1 - r)
            # All of these are multiplied by the one gradient dq.
            coefficients = product.join([into_z, into_r, into_g * r])
            arrays = [steps.array(a) for a in (dH, coefficients, z)]
            reads = [steps.read(m) for m in (at.state, at.keep_state)]

            def backward(t, dh, out):
                dH_t, p, z_t = (array.read(t) for array in arrays)
                m_h, k_h = (read(t) for read in reads)
                dh = dh + dH_t
                dq = dh if k_h is None else dh * (1 - k_h)
                old = product.backward(p * product.join([dq] * 3), m_h)
                old += dq * z_t
                if k_h is not None:
                    old += dh * k_h
                return old, out.write(t, dq)

            dh, out = steps.loop(
                backward,
                (tf.zeros_like(h0), steps.empty(projected.dtype)),
                backwards=True,
            )
            dq = out.stack()
            inner = tf.reshape(
                coefficients * product.join([dq] * 3), tf.shape(projected)
            )
            outer = product.join([into_z * dq, into_r * dq, into_g * dq])
            return (
                tf.reshape(outer, tf.shape(projected)),
                product.kernel_gradient(before, inner),
                product.bias_gradient(inner),
                dh,
                *([None] * len(tensors)),
            )

        return H, gradient

    return run(projected, kernel, bias, h0, *sites.tensors())


def simple_rnn(projected, kernel, h0, sites: Sites):
    r"""Runs a simple recurrent layer over time, with multipliers.

    .. math::

        h_t = k_h h_{t-1} +
        (1 - k_h) \tanh(Z_t + (m_h \odot h_{t-1}) U)

    Args:
        projected: ``x W + b``, of shape ``(T, B, U)``.
        kernel: Recurrent kernel ``(U, U)``.
        h0: ``(B, U)``.
        sites: The multipliers: ``state`` (tied) and ``keep_state``.
    Returns:
        All ``h_t``, ``(T, B, U)``.
    """
    size = length(projected)

    @tf.custom_gradient
    def run(projected, kernel, h0, *tensors):
        at = sites.with_tensors(list(tensors))
        product = Product(kernel, at.state, gates=1)
        steps = Steps(size)
        zs = steps.array(projected)
        reads = [steps.read(m) for m in (at.state, at.keep_state)]

        def forward(t, h, states, news):
            m_h, k_h = (read(t) for read in reads)
            new = tf.tanh(zs.read(t) + product.forward(h, m_h))
            h = mix(k_h, h, new)
            return h, states.write(t, h), news.write(t, new)

        empty = [steps.empty(projected.dtype) for _ in range(2)]
        _, states, news = steps.loop(forward, (h0, *empty))
        H, N = states.stack(), news.stack()

        def gradient(dH):
            arrays = [steps.array(a) for a in (dH, 1 - N * N)]
            reads = [steps.read(m) for m in (at.state, at.keep_state)]

            def backward(t, dh, out):
                dH_t, slope = (array.read(t) for array in arrays)
                m_h, k_h = (read(t) for read in reads)
                dh = dh + dH_t
                dz = slope * (dh if k_h is None else dh * (1 - k_h))
                old = product.backward(dz, m_h)
                if k_h is not None:
                    old += dh * k_h
                return old, out.write(t, dz)

            dh, out = steps.loop(
                backward,
                (tf.zeros_like(h0), steps.empty(projected.dtype)),
                backwards=True,
            )
            dZ = tf.reshape(out.stack(), tf.shape(projected))
            dU = product.kernel_gradient(shifted(h0, H), dZ)
            return dZ, dU, dh, *([None] * len(tensors))

        return H, gradient

    return run(projected, kernel, h0, *sites.tensors())
