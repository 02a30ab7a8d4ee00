"""The specification: the package's equations as slow NumPy loops.

Nothing here is optimised or used by the layers. Tests compare the layers with
these functions, bit by bit where integers decide.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence

import numpy as np

WORD = 2**32


def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Returns the four 32-bit words of one Philox4x32-10 block.

    Args:
        counter: Four integers in ``[0, 2**32)``.
        key: Two integers in ``[0, 2**32)``.
    Returns:
        List of four integers in ``[0, 2**32)``.
    Example:
        >>> [hex(word) for word in philox([0, 0, 0, 0], [0, 0])]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']

    Reference:
        Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3";
        the example is the first known answer of the authors' test.
    """
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, b = (right // WORD) ^ b ^ k, right % WORD
        c, d = (left // WORD) ^ d ^ m, left % WORD
        k, m = (k + 0x9E3779B9) % WORD, (m + 0xBB67AE85) % WORD
    return [a, b, c, d]


def bits(
    shape: Sequence[int],
    seed: int,
    count: int = 0,
    role: str = "multiplier",
    replica: int = 0,
) -> np.ndarray:
    """Returns the bits that a stream gives for one role in one call.

    Args:
        shape: Shape of the result.
        seed: The stream's seed, in ``[0, 2**32)``.
        count: Number of the call, from 0.
        role: What the bits are for.
        replica: The replica's number.
    Returns:
        ``uint32`` array of shape ``shape``.
    Example:
        >>> bits((3,), seed=7).dtype
        dtype('uint32')

    Reference:
        ``tf.random.stateless_uniform(..., alg="philox")``, which first mixes
        its 128-bit seed into a key and a start of the counter.
    """
    name = [count, seed, replica, zlib.crc32(role.encode())]
    *key, high, highest = philox(name, [0x3EC8F720, 0x02461E29])
    blocks = -(-math.prod(shape) // 4)
    words = [philox([n, 0, high, highest], key) for n in range(blocks)]
    flat = list(itertools.chain.from_iterable(words))[: math.prod(shape)]
    return np.array(flat, "uint32").reshape(shape)


def bernoulli(
    random_bits: np.ndarray, rate: float, scale: str = "inverted"
) -> np.ndarray:
    """Returns Bernoulli multipliers for given bits.

    Args:
        random_bits: ``uint32`` array.
        rate: Float in ``[0, 1]``, the probability of dropping, or an array of
            floats that broadcasts against the bits.
        scale: ``"inverted"`` or ``"raw"``.
    Returns:
        ``float64`` array: 0, or 1 (raw), or ``1 / (1 - rate)`` (inverted).
    Example:
        >>> bernoulli(np.array([0, 2**31], "uint32"), 0.5)
        array([0., 2.])
    """
    rates = np.broadcast_to(rate, random_bits.shape)
    multiplier = np.zeros(random_bits.shape)
    for index, word in np.ndenumerate(random_bits):
        r = float(rates[index])
        if r < 1 and int(word) >= round(r * WORD):
            multiplier[index] = 1 / (1 - r) if scale == "inverted" else 1
    return multiplier


def gaussian(
    shape: Sequence[int], words: np.ndarray, rate: float
) -> np.ndarray:
    r"""Returns Gaussian multipliers by the Box-Muller transform.

    .. math::

        z = \sqrt{-2 \ln u}\,(\cos 2\pi v, \sin 2\pi v), \qquad
        m = 1 + z \sqrt{r / (1 - r)}

    Args:
        shape: Shape of the multipliers.
        words: ``uint32`` array of shape ``(2, ceil(size / 2))``: ``u`` and
            ``v`` times ``2**32``.
        rate: Float in ``[0, 1)``.
    Returns:
        ``float64`` array of shape ``shape``.
    Example:
        >>> gaussian((2,), np.array([[2**31], [0]], "uint32"), 0.5).round(4)
        array([2.1774, 1.    ])
    """
    cosines, sines = [], []
    for u, v in words.T.astype("float64") / WORD:
        radius = math.sqrt(-2 * math.log(u + 2.0**-33))
        cosines.append(radius * math.cos(2 * math.pi * v))
        sines.append(radius * math.sin(2 * math.pi * v))
    normal = np.array(cosines + sines)[: math.prod(shape)].reshape(shape)
    return 1 + math.sqrt(rate / (1 - rate)) * normal


def share(
    shape: Sequence[int], noise_shape: Sequence[int | None]
) -> np.ndarray:
    """Returns, for each entry, the number of the draw that it gets.

    Args:
        shape: Shape of the tensor to be multiplied.
        noise_shape: One entry for each axis: 1 shares one draw along it, None
            means the size in ``shape``.
    Returns:
        Integer array of shape ``shape``: flat indices into the draws.
    Example:
        >>> share((2, 3), (None, 1))
        array([[0, 0, 0],
               [1, 1, 1]])
    """
    draws = [
        size if entry is None else entry
        for size, entry in zip(shape, noise_shape, strict=True)
    ]
    numbers = np.zeros(shape, int)
    for index in np.ndindex(*shape):
        number = 0
        for position, size in zip(index, draws, strict=True):
            number = number * size + (0 if size == 1 else position)
        numbers[index] = number
    return numbers


def type_numbers(ids: np.ndarray) -> np.ndarray:
    """Returns, for each position, the rank of its word type in its row.

    Args:
        ids: Integer array ``(rows, positions)``.
    Returns:
        Integer array of the same shape: which draw of the row it gets.
    Example:
        >>> type_numbers(np.array([[5, 9, 5, 2]]))
        array([[1, 2, 1, 0]])
    """
    numbers = np.zeros(ids.shape, int)
    for row, words in enumerate(ids.tolist()):
        types = sorted(set(words))
        numbers[row] = [types.index(word) for word in words]
    return numbers


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Returns the logistic function.

    Args:
        x: Array of floats.
    Returns:
        Array of the same shape, in (0, 1).
    Example:
        >>> float(sigmoid(np.array(0.0)))
        0.5
    """
    return 1 / (1 + np.exp(-x))


def lstm(
    x: np.ndarray,
    kernel: np.ndarray,
    recurrent_kernel: np.ndarray,
    bias: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    *,
    m_x: np.ndarray | None = None,
    m_h: np.ndarray | None = None,
    m_g: np.ndarray | None = None,
    m_c: np.ndarray | None = None,
    keep_h: np.ndarray | None = None,
    keep_c: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Runs an LSTM with given multipliers, gate by gate and step by step.

    Args:
        x: Inputs ``(T, B, F)``.
        kernel: ``(F, 4U)``, gates in Keras's order i, f, c, o.
        recurrent_kernel: ``(U, 4U)``.
        bias: ``(4U,)``.
        h: Initial state ``(B, U)``.
        c: Initial cell ``(B, U)``.
        m_x: Multiplier of the inputs, of shape ``(T, 4, B, F)`` after
            broadcasting: step, gate, sample, feature.
        m_h: Multiplier of ``h_{t-1}``, ``(T, 4, B, U)`` (Gal).
        m_g: Multiplier of the candidate, ``(T, B, U)`` (Semeniuta).
        m_c: Multiplier of the new cell, ``(T, B, U)`` (Moon).
        keep_h: What is kept of the old state, ``(T, B, U)`` (Zoneout).
        keep_c: What is kept of the old cell, ``(T, B, U)`` (Zoneout).
    Returns:
        All states and all cells, each ``(T, B, U)``.
    Example:
        >>> zeros = np.zeros
        >>> states, cells = lstm(
        ...     zeros((2, 1, 3)), zeros((3, 8)), zeros((2, 8)), zeros(8),
        ...     zeros((1, 2)), np.ones((1, 2)))
        >>> cells[:, 0, 0]
        array([0.5 , 0.25])
    """
    steps, (batch, units) = len(x), h.shape
    m_x = _full(m_x, (steps, 4, batch, x.shape[-1]))
    m_h = _full(m_h, (steps, 4, batch, units))
    m_g = _full(m_g, (steps, batch, units))
    m_c = _full(m_c, (steps, batch, units))
    keep_h = _full(keep_h, (steps, batch, units), 0)
    keep_c = _full(keep_c, (steps, batch, units), 0)
    states, cells = [], []
    for t in range(steps):
        z = []
        for gate in range(4):
            columns = slice(gate * units, (gate + 1) * units)
            z.append(
                (x[t] * m_x[t, gate]) @ kernel[:, columns]
                + (h * m_h[t, gate]) @ recurrent_kernel[:, columns]
                + bias[columns]
            )
        i, f, o = sigmoid(z[0]), sigmoid(z[1]), sigmoid(z[3])
        g = np.tanh(z[2])
        new = m_c[t] * (f * c + i * (m_g[t] * g))
        h = keep_h[t] * h + (1 - keep_h[t]) * o * np.tanh(new)
        c = keep_c[t] * c + (1 - keep_c[t]) * new
        states.append(h)
        cells.append(c)
    return np.stack(states), np.stack(cells)


def gru(
    x: np.ndarray,
    kernel: np.ndarray,
    recurrent_kernel: np.ndarray,
    bias: np.ndarray,
    h: np.ndarray,
    *,
    reset_after: bool = True,
    m_x: np.ndarray | None = None,
    m_h: np.ndarray | None = None,
    m_g: np.ndarray | None = None,
    keep_h: np.ndarray | None = None,
) -> np.ndarray:
    """Runs a GRU with given multipliers, gate by gate and step by step.

    Args:
        x: Inputs ``(T, B, F)``.
        kernel: ``(F, 3U)``, gates in Keras's order z, r, h.
        recurrent_kernel: ``(U, 3U)``.
        bias: ``(2, 3U)``, input and recurrent bias; ``(3U,)`` without
            ``reset_after``.
        h: Initial state ``(B, U)``.
        reset_after: Whether the reset gate acts after the matrix product.
        m_x: Multiplier of the inputs, ``(T, 3, B, F)`` after broadcasting.
        m_h: Multiplier of ``h_{t-1}``, ``(T, 3, B, U)`` (Gal).
        m_g: Multiplier of the candidate, ``(T, B, U)`` (Semeniuta).
        keep_h: What is kept of the old state, ``(T, B, U)`` (Zoneout).
    Returns:
        All states, ``(T, B, U)``.
    Example:
        >>> zeros = np.zeros
        >>> gru(zeros((2, 1, 3)), zeros((3, 6)), zeros((2, 6)), zeros((2, 6)),
        ...     np.ones((1, 2)))[:, 0, 0]
        array([0.5 , 0.25])
    """
    steps, (batch, units) = len(x), h.shape
    m_x = _full(m_x, (steps, 3, batch, x.shape[-1]))
    m_h = _full(m_h, (steps, 3, batch, units))
    m_g = _full(m_g, (steps, batch, units))
    keep_h = _full(keep_h, (steps, batch, units), 0)
    b_x, b_h = bias if reset_after else (bias, np.zeros_like(bias))
    states = []
    for t in range(steps):
        outer, inner = [], []
        for gate in range(3):
            columns = slice(gate * units, (gate + 1) * units)
            outer.append((x[t] * m_x[t, gate]) @ kernel[:, columns])
            outer[gate] = outer[gate] + b_x[columns]
            inner.append((h * m_h[t, gate]) @ recurrent_kernel[:, columns])
            inner[gate] = inner[gate] + b_h[columns]
        z, r = sigmoid(outer[0] + inner[0]), sigmoid(outer[1] + inner[1])
        if reset_after:
            g = np.tanh(outer[2] + r * inner[2])
        else:
            g = np.tanh(
                outer[2] + (r * h * m_h[t, 2]) @ recurrent_kernel[:, columns]
            )
        new = z * h + (1 - z) * (m_g[t] * g)
        h = keep_h[t] * h + (1 - keep_h[t]) * new
        states.append(h)
    return np.stack(states)


def simple_rnn(
    x: np.ndarray,
    kernel: np.ndarray,
    recurrent_kernel: np.ndarray,
    bias: np.ndarray,
    h: np.ndarray,
    *,
    m_x: np.ndarray | None = None,
    m_h: np.ndarray | None = None,
    keep_h: np.ndarray | None = None,
) -> np.ndarray:
    """Runs a simple recurrent layer with given multipliers.

    Args:
        x: Inputs ``(T, B, F)``.
        kernel: ``(F, U)``.
        recurrent_kernel: ``(U, U)``.
        bias: ``(U,)``.
        h: Initial state ``(B, U)``.
        m_x: Multiplier of the inputs, ``(T, 1, B, F)`` after broadcasting.
        m_h: Multiplier of ``h_{t-1}``, ``(T, 1, B, U)`` (Gal).
        keep_h: What is kept of the old state, ``(T, B, U)`` (Zoneout).
    Returns:
        All states, ``(T, B, U)``.
    Example:
        >>> zeros = np.zeros
        >>> simple_rnn(zeros((1, 1, 3)), zeros((3, 2)), zeros((2, 2)),
        ...            zeros(2), np.ones((1, 2)))
        array([[[0., 0.]]])
    """
    steps, (batch, units) = len(x), h.shape
    m_x = _full(m_x, (steps, 1, batch, x.shape[-1]))
    m_h = _full(m_h, (steps, 1, batch, units))
    keep_h = _full(keep_h, (steps, batch, units), 0)
    states = []
    for t in range(steps):
        new = np.tanh(
            (x[t] * m_x[t, 0]) @ kernel
            + (h * m_h[t, 0]) @ recurrent_kernel
            + bias
        )
        h = keep_h[t] * h + (1 - keep_h[t]) * new
        states.append(h)
    return np.stack(states)


def _full(multiplier, shape, default=1):
    """A multiplier in its full shape; the default where it is None."""
    return np.broadcast_to(default if multiplier is None else multiplier, shape)
