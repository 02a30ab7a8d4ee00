"""The engine: recurrent loops with multipliers, forward and backward.

All samples and steps go through one projection of the inputs; the loop does
one matrix product a step in each direction. What does not depend on the
recurrence is computed for all steps at once. Layouts: :mod:`dropkit.loops`.

Each cell is two functions: the loop forward, which returns what the loop
backward needs. Both are written for Keras's default activations. Others go
through :mod:`dropkit.generic`, by automatic differentiation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from dropkit.loops import (
    Product,
    Projection,
    Steps,
    length,
    mix,
    read,
    stack,
    write,
)
from dropkit.sites import Sites


@dataclasses.dataclass(frozen=True)
class Cell:
    """A recurrent cell.

    Args:
        gates: Number of gates.
        forward: Function of the groups of the projected inputs ``Z``, the
            recurrent product, the biases, the initial states, and the sites.
            Returns a list: for each state all its values, the initial one in
            front, ``(T + 1, B, U)``; then what else the backward loop needs.
        backward: Function of the gradient of all ``h_t``, those of the other
            last states, the list of `forward`, the recurrent product and the
            sites. Returns the gradients of ``Z`` and of the recurrent
            product's result, both in groups, and of each initial state.
    """

    gates: int
    forward: Callable
    backward: Callable


def function(cell: Cell, sites: Sites, compiled: bool = False) -> Callable:
    """Makes the function of a whole loop, with its hand-written gradient.

    Args:
        cell: `LSTM`, `GRU` or `SIMPLE_RNN`.
        sites: What is multiplied.
        compiled: Whether XLA compiles each direction.
    Returns:
        A function of the inputs ``(T, B, F)``, the weights (kernel, recurrent
        kernel, bias, and the recurrent bias of a GRU), the initial states
        ``(B, U)``, and the tensors of the sites. It returns all ``h_t``,
        ``(T, B, U)``, and a list of the last states.
    """

    def products(weights, at):
        apart = at.state is not None and at.state.gates
        return (
            Projection(weights[0], at.input, cell.gates, apart),
            Product(weights[1], at.state, cell.gates),
        )

    def forward(x, weights, states, noise):
        at = sites.with_tensors(noise)
        projection, product = products(weights, at)
        biases = map(product.place, weights[2:])
        return cell.forward(
            projection.forward(x), product, *biases, *states, at
        )

    def backward(x, weights, noise, saved, upstream):
        at = sites.with_tensors(noise)
        projection, product = products(weights, at)
        dz, inner, *states = cell.backward(*upstream, saved, product, at)
        dx, kernel = projection.backward(x, dz)
        recurrent_kernel = product.kernel_gradient(saved[0][:-1], inner)
        biases = [product.bias_gradient(d) for d in (dz, inner)]
        return [
            *(dx, kernel, recurrent_kernel),
            *biases[: len(weights) - 2],
            *states,
        ]

    if compiled:
        forward, backward = (
            tf.function(loop, jit_compile=True, autograph=False)
            for loop in (forward, backward)
        )

    def run(x, weights, states, noise):
        inputs = (x, weights, states, noise)

        @tf.custom_gradient
        def differentiable(*flat):
            x, weights, states, noise = tf.nest.pack_sequence_as(inputs, flat)
            saved = forward(x, weights, states, noise)

            def gradient(*upstream):
                found = backward(x, weights, noise, saved, list(upstream))
                return *found, *([None] * len(noise))

            last = [values[-1] for values in saved[1 : len(states)]]
            return (saved[0][1:], *last), gradient

        outputs, *last = differentiable(*tf.nest.flatten(inputs))
        return outputs, [outputs[-1], *last]

    return run


def _over_time(multiplier):
    return 1 if multiplier is None else multiplier.over_time()


def _lstm_forward(projected, product, bias, h0, c0, at):
    r"""Runs an LSTM over time; gates in the order i, f, o, g.

    .. math::

        i, f, o &= \sigma(Z_t + (m_h \odot h_{t-1}) U + b) \qquad
        g = \tanh(Z_t + (m_h \odot h_{t-1}) U + b) \\
        c &= m_c \odot (f c_{t-1} + i\,(m_g \odot g)) \\
        c_t &= k_c c_{t-1} + (1 - k_c) c \qquad
        h_t = k_h h_{t-1} + (1 - k_h)\, o \tanh(c)

    Saves the gates, where ``Z`` was, and ``c`` where some of it is not kept.
    """
    steps = Steps(length(projected[0]))
    sites = (at.state, at.candidate, at.cell, at.keep_state, at.keep_cell)
    reads = [steps.read(m) for m in sites]
    both = at.keep_cell is not None or at.keep_state is not None

    def step(t, h, c, states, gates, saved):
        m_h, m_g, m_c, k_h, k_c = (site(t) for site in reads)
        z = product.pack(read(gates, t)) + bias + product.forward(h, m_h)
        sigmoid, tanh = product.split(z, 3, 1)
        s, g = tf.sigmoid(sigmoid), product.one(tf.tanh(tanh))
        i, f, o = map(product.one, product.split(s, 1, 1, 1))
        new = f * c + i * (g if m_g is None else g * m_g)
        if m_c is not None:
            new = new * m_c
        h = mix(k_h, h, o * tf.tanh(new))
        c = mix(k_c, c, new)
        states = write(states, t + 1, [h, c])
        gates = write(gates, t, product.groups([i, f, o, g]))
        return h, c, states, gates, write(saved, t, [new] * both)

    states = [steps.after(h0), steps.after(c0)]
    saved = [steps.empty(h0.dtype)] * both
    initial = (h0, c0, states, steps.arrays(projected), saved)
    _, _, states, gates, saved = steps.loop(step, initial)
    return stack([*states, *saved, *gates])


def _lstm_backward(dH, dc, saved, product, at):
    both = at.keep_cell is not None or at.keep_state is not None
    C, *gates = saved[1:]
    new = (gates.pop(0), 0) if both else (C, 1)
    steps = Steps(length(dH))
    reads = [steps.read(m) for m in (at.state, at.keep_state, at.keep_cell)]

    def coefficients(new, before, *gates_and_sites):
        """Of (dc, dc, dh, dc) in dz; of dh in dc; of dc in the old dc."""
        *gates, m_g, m_c = gates_and_sites
        m_g, m_c = (1 if m is None else m for m in (m_g, m_c))
        i, f, o, g = product.gates(gates)
        tanh_n = tf.tanh(new)
        into_z = [
            g * m_g * i * (1 - i) * m_c,
            before * f * (1 - f) * m_c,
            tanh_n * o * (1 - o),
            i * (1 - g * g) * m_g * m_c,
        ]
        return product.join(into_z), o * (1 - tanh_n * tanh_n), f * m_c

    factors = steps.reader(
        coefficients,
        [new, (C, 0), *((gate, 0) for gate in gates)],
        [at.candidate, at.cell],
    )
    dHs = steps.array(dH)

    def step(t, dh, dc, out):
        p, a, fc = factors(t)
        m_h, k_h, k_c = (site(t) for site in reads)
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
        return old_h, old_c, write(out, t, product.unpack(dz))

    out = [steps.empty(dH.dtype) for _ in gates]
    initial = (tf.zeros_like(dc), dc, out)
    dh, dc, out = steps.loop(step, initial, backwards=True)
    dz = stack(out)
    return dz, dz, dh, dc


LSTM = Cell(4, _lstm_forward, _lstm_backward)


def _gru_forward(projected, product, bias, recurrent_bias, h0, at):
    r"""Runs a GRU (``reset_after=True``) over time; gates in order z, r, h.

    .. math::

        A &= (m_h \odot h_{t-1}) U + b' \qquad
        z, r = \sigma(Z_t + b + A) \qquad g = \tanh(Z_t + b + r A) \\
        q &= z h_{t-1} + (1 - z)\,(m_g \odot g) \qquad
        h_t = k_h h_{t-1} + (1 - k_h)\, q

    The carry ``z * h_{t-1}`` is not multiplied by ``m_h``, as in Keras.
    Saves the gates, where ``Z`` was, and the part of ``A`` of ``g``.
    """
    steps = Steps(length(projected[0]))
    reads = [steps.read(m) for m in (at.state, at.candidate, at.keep_state)]

    def step(t, h, hs, gates, parts):
        m_h, m_g, k_h = (site(t) for site in reads)
        inner = product.forward(h, m_h) + recurrent_bias
        inner_zr, inner_g = product.split(inner, 2, 1)
        outer = product.pack(read(gates, t)) + bias
        z_zr, z_g = product.split(outer, 2, 1)
        s = tf.sigmoid(z_zr + inner_zr)
        z, r = map(product.one, product.split(s, 1, 1))
        a = product.one(inner_g)
        g = tf.tanh(product.one(z_g) + r * a)
        h = mix(k_h, h, z * h + (1 - z) * (g if m_g is None else g * m_g))
        gates = write(gates, t, product.groups([z, r, g]))
        return h, hs.write(t + 1, h), gates, parts.write(t, a)

    arrays = steps.after(h0), steps.arrays(projected), steps.empty(h0.dtype)
    _, hs, gates, parts = steps.loop(step, (h0, *arrays))
    return stack([hs, parts, *gates])


def _gru_backward(dH, saved, product, at):
    H, A, *gates = saved
    z, r, g = product.gates(gates)
    m_g = _over_time(at.candidate)
    into_g = (1 - z) * m_g * (1 - g * g)
    into_z = (H[:-1] - g * m_g) * z * (1 - z)
    into_r = into_g * A * r * (1 - r)
    # All of these are multiplied by the one gradient dq.
    coefficients = product.join([into_z, into_r, into_g * r])
    steps = Steps(length(dH))
    arrays = steps.arrays([dH, coefficients, z])
    reads = [steps.read(m) for m in (at.state, at.keep_state)]

    def step(t, dh, out):
        dH_t, p, z_t = read(arrays, t)
        m_h, k_h = (site(t) for site in reads)
        dh = dh + dH_t
        dq = dh if k_h is None else dh * (1 - k_h)
        old = product.backward(p * product.join([dq] * 3), m_h) + dq * z_t
        if k_h is not None:
            old += dh * k_h
        return old, out.write(t, dq)

    initial = (tf.zeros_like(H[0]), steps.empty(dH.dtype))
    dh, out = steps.loop(step, initial, backwards=True)
    dq = out.stack()
    dz, dr, dg = into_z * dq, into_r * dq, into_g * dq
    return product.groups([dz, dr, dg]), product.groups([dz, dr, dg * r]), dh


GRU = Cell(3, _gru_forward, _gru_backward)


def _simple_rnn_forward(projected, product, bias, h0, at):
    r"""Runs a simple recurrent layer over time.

    .. math::

        h_t = k_h h_{t-1} +
        (1 - k_h) \tanh(Z_t + (m_h \odot h_{t-1}) U + b)

    Saves the tanh, where ``Z`` was, if some of it is not kept.
    """
    steps = Steps(length(projected[0]))
    reads = [steps.read(m) for m in (at.state, at.keep_state)]
    both = at.keep_state is not None

    def step(t, h, hs, zs):
        m_h, k_h = (site(t) for site in reads)
        new = tf.tanh(zs.read(t) + bias + product.forward(h, m_h))
        h = mix(k_h, h, new)
        return h, hs.write(t + 1, h), zs.write(t, new) if both else zs

    initial = (h0, steps.after(h0), *steps.arrays(projected))
    _, hs, zs = steps.loop(step, initial)
    return stack([hs, zs] if both else [hs])


def _simple_rnn_backward(dH, saved, product, at):
    H, *N = saved
    new = (N[0], 0) if N else (H, 1)
    steps = Steps(length(dH))
    slopes = steps.reader(lambda new: [1 - new * new], [new], [])
    dHs = steps.array(dH)
    reads = [steps.read(m) for m in (at.state, at.keep_state)]

    def step(t, dh, out):
        (slope,) = slopes(t)
        m_h, k_h = (site(t) for site in reads)
        dh = dh + dHs.read(t)
        dz = slope * (dh if k_h is None else dh * (1 - k_h))
        old = product.backward(dz, m_h)
        if k_h is not None:
            old += dh * k_h
        return old, out.write(t, dz)

    initial = (tf.zeros_like(H[0]), steps.empty(dH.dtype))
    dh, out = steps.loop(step, initial, backwards=True)
    dz = [out.stack()]
    return dz, dz, dh


SIMPLE_RNN = Cell(1, _simple_rnn_forward, _simple_rnn_backward)
