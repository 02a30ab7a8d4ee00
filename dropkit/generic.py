"""The same loops for any activation, by automatic differentiation.

Slower than :mod:`dropkit.engine` and with the same meaning. Also the home of
the GRU with ``reset_after=False``.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from dropkit.loops import Product, Steps, length, mix, read
from dropkit.sites import Sites

Activation = Callable[[tf.Tensor], tf.Tensor]


def lstm(projected, kernel, h0, c0, sites: Sites, activation, gate_activation):
    """Runs the LSTM of :mod:`dropkit.engine` with any activations.

    Args:
        projected: Groups of the projected inputs with their bias; gates in the
            order i, f, o, g.
        kernel: Recurrent kernel.
        h0: Initial state.
        c0: Initial cell.
        sites: The multipliers.
        activation: Of the candidate and the output.
        gate_activation: Of the gates i, f and o.
    Returns:
        All ``h_t`` and the last ``c_t``.
    """
    product = Product(kernel, sites.state, gates=4)
    steps = Steps(length(projected[0]))
    zs = steps.arrays(projected)
    reads = [
        steps.read(m)
        for m in (
            sites.state,
            sites.candidate,
            sites.cell,
            sites.keep_state,
            sites.keep_cell,
        )
    ]

    def body(t, h, c, out):
        m_h, m_g, m_c, k_h, k_c = (site(t) for site in reads)
        z = product.pack(read(zs, t)) + product.forward(h, m_h)
        i, f, o, g = map(product.one, product.split(z, 1, 1, 1, 1))
        i, f, o = map(gate_activation, (i, f, o))
        g = activation(g)
        new = f * c + i * (g if m_g is None else g * m_g)
        if m_c is not None:
            new = new * m_c
        h = mix(k_h, h, o * activation(new))
        return h, mix(k_c, c, new), out.write(t, h)

    _, c, out = steps.loop(body, (h0, c0, steps.empty(h0.dtype)))
    return out.stack(), c


def gru(
    projected,
    kernel,
    bias,
    h0,
    sites: Sites,
    activation: Activation,
    gate_activation: Activation,
    reset_after: bool,
):
    """Runs the GRU of :mod:`dropkit.engine` with any activations.

    Args:
        projected: Groups of the projected inputs with their bias; gates in the
            order z, r, h.
        kernel: Recurrent kernel.
        bias: Recurrent bias; zeros for ``reset_after=False``.
        h0: Initial state.
        sites: The multipliers.
        activation: Of the candidate.
        gate_activation: Of the gates z and r.
        reset_after: Whether the reset gate acts after the matrix product.
    Returns:
        All ``h_t``.
    """
    product = Product(kernel, sites.state, gates=3)
    units = kernel.shape[0]
    candidate_kernel = kernel[:, 2 * units :]
    steps = Steps(length(projected[0]))
    zs = steps.arrays(projected)
    reads = [
        steps.read(m) for m in (sites.state, sites.candidate, sites.keep_state)
    ]
    placed = product.place(bias)

    def body(t, h, out):
        m_h, m_g, k_h = (site(t) for site in reads)
        inner = product.forward(h, m_h) + placed
        outer_z, outer_r, outer_g = map(
            product.one, product.split(product.pack(read(zs, t)), 1, 1, 1)
        )
        inner_z, inner_r, inner_g = map(
            product.one, product.split(inner, 1, 1, 1)
        )
        z = gate_activation(outer_z + inner_z)
        r = gate_activation(outer_r + inner_r)
        if reset_after:
            inner_g = r * inner_g
        else:
            masked = h
            if m_h is not None:
                masked = h * (m_h[2] if product.untied else m_h)
            inner_g = tf.matmul(r * masked, candidate_kernel)
        g = activation(outer_g + inner_g)
        new = z * h + (1 - z) * (g if m_g is None else g * m_g)
        h = mix(k_h, h, new)
        return h, out.write(t, h)

    _, out = steps.loop(body, (h0, steps.empty(h0.dtype)))
    return out.stack()


def simple_rnn(projected, kernel, h0, sites: Sites, activation: Activation):
    """Runs the simple layer of :mod:`dropkit.engine` with any activation.

    Args:
        projected: Groups of the projected inputs with their bias.
        kernel: Recurrent kernel.
        h0: Initial state.
        sites: The multipliers.
        activation: Of the state.
    Returns:
        All ``h_t``.
    """
    product = Product(kernel, sites.state, gates=1)
    steps = Steps(length(projected[0]))
    zs = steps.arrays(projected)
    reads = [steps.read(m) for m in (sites.state, sites.keep_state)]

    def body(t, h, out):
        m_h, k_h = (site(t) for site in reads)
        z = product.pack(read(zs, t)) + product.forward(h, m_h)
        h = mix(k_h, h, activation(z))
        return h, out.write(t, h)

    _, out = steps.loop(body, (h0, steps.empty(h0.dtype)))
    return out.stack()
