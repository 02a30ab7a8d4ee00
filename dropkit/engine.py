"""The engine: recurrent loops with multipliers, forward and backward.

All samples and steps go through one projection of the inputs; the loop does
one matrix product a step in each direction. What does not depend on the
recurrence is computed for all steps at once. Layouts: :mod:`dropkit.loops`.

Each cell is three functions: the loop forward, the loop backward, and the
function of both, whose gradient it is. All are written for Keras's default
activations. Others go through :mod:`dropkit.generic`, by automatic
differentiation.
"""

from __future__ import annotations

import tensorflow as tf

from dropkit.loops import Product, Steps, length, mix, shifted
from dropkit.sites import Sites


def _write(arrays, t, values):
    return [a.write(t, v) for a, v in zip(arrays, values, strict=True)]


def _over_time(multiplier):
    return 1 if multiplier is None else multiplier.over_time()


def lstm(projected, kernel, h0, c0, sites: Sites, fused: bool = False):
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
        fused: Whether XLA compiles the loop: then it reads less memory.
    Returns:
        All ``h_t``, ``(T, B, U)``, and the last ``c_t``, ``(B, U)``.
    """

    @tf.custom_gradient
    def function(projected, kernel, h0, c0, *tensors):
        at = sites.with_tensors(list(tensors))
        product = Product(kernel, at.state, gates=4)
        H, C, *saved = _lstm_forward(projected, product, h0, c0, at)

        def gradient(dH, dc):
            dZ, dh, dc = _lstm_backward(
                dH, dc, C, saved, product, c0, at, fused
            )
            dZ = tf.reshape(dZ, tf.shape(projected))
            dU = product.kernel_gradient(shifted(h0, H), dZ)
            return dZ, dU, dh, dc, *([None] * len(tensors))

        return (H, C[-1]), gradient

    return function(projected, kernel, h0, c0, *sites.tensors())


def _lstm_forward(projected, product, h0, c0, at):
    """Returns all states, cells, sigmoids, candidates and new cells."""
    steps = Steps(length(projected))
    zs = steps.array(projected)
    sites = (at.state, at.candidate, at.cell, at.keep_state, at.keep_cell)
    reads = [steps.read(m) for m in sites]
    # Zoneout and padding need the new cell beside the one that is carried.
    both = at.keep_cell is not None or at.keep_state is not None

    def step(t, h, c, *saved):
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
        values = (h, c, s, g, new) if both else (h, c, s, g)
        return h, c, *_write(saved, t, values)

    empty = [steps.empty(projected.dtype) for _ in range(5 if both else 4)]
    _, _, *saved = steps.loop(step, (h0, c0, *empty))
    return [array.stack() for array in saved]


def _lstm_backward(dH, dc, C, saved, product, c0, at, fused):
    """Returns the gradients of ``Z``, ``h0`` and ``c0``."""
    S, G, *N = saved
    N = N[0] if N else C
    steps = Steps(length(dH))
    reads = [steps.read(m) for m in (at.state, at.keep_state, at.keep_cell)]

    def coefficients(S, G, N, before, m_g, m_c):
        """Of (dc, dc, dh, dc) in dz; of dh in dc; of dc in the old dc."""
        m_g, m_c = (1 if m is None else m for m in (m_g, m_c))
        i, f, o = map(product.one, product.split(S, 1, 1, 1))
        tanh_n = tf.tanh(N)
        into_z = [
            G * m_g * i * (1 - i) * m_c,
            before * f * (1 - f) * m_c,
            tanh_n * o * (1 - o),
            i * (1 - G * G) * m_g * m_c,
        ]
        return product.join(into_z), o * (1 - tanh_n * tanh_n), f * m_c

    read = steps.reader(
        coefficients,
        [S, G, N, shifted(c0, C)],
        [at.candidate, at.cell],
        fused,
    )
    dHs = steps.array(dH)

    def step(t, dh, dc, out):
        p, a, fc = read(t)
        m_h, k_h, k_c = (read(t) for read in reads)
        dh = dh + dHs.read(t)
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

    initial = (tf.zeros_like(c0), dc, steps.empty(dH.dtype))
    dh, dc, out = steps.loop(step, initial, backwards=True)
    return out.stack(), dh, dc


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

    @tf.custom_gradient
    def function(projected, kernel, bias, h0, *tensors):
        at = sites.with_tensors(list(tensors))
        product = Product(kernel, at.state, gates=3)
        H, *saved = _gru_forward(projected, product, bias, h0, at)

        def gradient(dH):
            outer, inner, dh = _gru_backward(dH, H, saved, product, h0, at)
            outer = tf.reshape(outer, tf.shape(projected))
            inner = tf.reshape(inner, tf.shape(projected))
            return (
                outer,
                product.kernel_gradient(shifted(h0, H), inner),
                product.bias_gradient(inner),
                dh,
                *([None] * len(tensors)),
            )

        return H, gradient

    return function(projected, kernel, bias, h0, *sites.tensors())


def _gru_forward(projected, product, bias, h0, at):
    """Returns all states, sigmoids, candidates and their recurrent parts."""
    steps = Steps(length(projected))
    zs = steps.array(projected)
    reads = [steps.read(m) for m in (at.state, at.candidate, at.keep_state)]
    bias = product.place(bias)

    def step(t, h, *saved):
        m_h, m_g, k_h = (read(t) for read in reads)
        inner_zr, inner_g = product.split(product.forward(h, m_h) + bias, 2, 1)
        z_zr, z_g = product.split(zs.read(t), 2, 1)
        s = tf.sigmoid(z_zr + inner_zr)
        z, r = map(product.one, product.split(s, 1, 1))
        a = product.one(inner_g)
        g = tf.tanh(product.one(z_g) + r * a)
        h = mix(k_h, h, z * h + (1 - z) * (g if m_g is None else g * m_g))
        return h, *_write(saved, t, (h, s, g, a))

    empty = [steps.empty(projected.dtype) for _ in range(4)]
    _, *saved = steps.loop(step, (h0, *empty))
    return [array.stack() for array in saved]


def _gru_backward(dH, H, saved, product, h0, at):
    """Returns the gradients of ``Z``, of ``(m_h h) U + b``, and of ``h0``."""
    S, G, A = saved
    z, r = map(product.one, product.split(S, 1, 1))
    m_g = _over_time(at.candidate)
    into_g = (1 - z) * m_g * (1 - G * G)
    into_z = (shifted(h0, H) - G * m_g) * z * (1 - z)
    into_r = into_g * A * r * (1 - r)
    # All of these are multiplied by the one gradient dq.
    coefficients = product.join([into_z, into_r, into_g * r])
    steps = Steps(length(dH))
    arrays = [steps.array(a) for a in (dH, coefficients, z)]
    reads = [steps.read(m) for m in (at.state, at.keep_state)]

    def step(t, dh, out):
        dH_t, p, z_t = (array.read(t) for array in arrays)
        m_h, k_h = (read(t) for read in reads)
        dh = dh + dH_t
        dq = dh if k_h is None else dh * (1 - k_h)
        old = product.backward(p * product.join([dq] * 3), m_h) + dq * z_t
        if k_h is not None:
            old += dh * k_h
        return old, out.write(t, dq)

    initial = (tf.zeros_like(h0), steps.empty(dH.dtype))
    dh, out = steps.loop(step, initial, backwards=True)
    dq = out.stack()
    inner = coefficients * product.join([dq] * 3)
    outer = product.join([into_z * dq, into_r * dq, into_g * dq])
    return outer, inner, dh


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

    @tf.custom_gradient
    def function(projected, kernel, h0, *tensors):
        at = sites.with_tensors(list(tensors))
        product = Product(kernel, at.state, gates=1)
        H, N = _simple_rnn_forward(projected, product, h0, at)

        def gradient(dH):
            dZ, dh = _simple_rnn_backward(dH, N, product, h0, at)
            dZ = tf.reshape(dZ, tf.shape(projected))
            dU = product.kernel_gradient(shifted(h0, H), dZ)
            return dZ, dU, dh, *([None] * len(tensors))

        return H, gradient

    return function(projected, kernel, h0, *sites.tensors())


def _simple_rnn_forward(projected, product, h0, at):
    """Returns all states, before and after what is kept."""
    steps = Steps(length(projected))
    zs = steps.array(projected)
    reads = [steps.read(m) for m in (at.state, at.keep_state)]

    def step(t, h, *saved):
        m_h, k_h = (read(t) for read in reads)
        new = tf.tanh(zs.read(t) + product.forward(h, m_h))
        h = mix(k_h, h, new)
        return h, *_write(saved, t, (h, new))

    empty = [steps.empty(projected.dtype) for _ in range(2)]
    _, *saved = steps.loop(step, (h0, *empty))
    return [array.stack() for array in saved]


def _simple_rnn_backward(dH, N, product, h0, at):
    """Returns the gradients of ``Z`` and ``h0``."""
    steps = Steps(length(dH))
    arrays = [steps.array(a) for a in (dH, 1 - N * N)]
    reads = [steps.read(m) for m in (at.state, at.keep_state)]

    def step(t, dh, out):
        dH_t, slope = (array.read(t) for array in arrays)
        m_h, k_h = (read(t) for read in reads)
        dh = dh + dH_t
        dz = slope * (dh if k_h is None else dh * (1 - k_h))
        old = product.backward(dz, m_h)
        if k_h is not None:
            old += dh * k_h
        return old, out.write(t, dz)

    initial = (tf.zeros_like(h0), steps.empty(dH.dtype))
    dh, out = steps.loop(step, initial, backwards=True)
    return out.stack(), dh
