"""Sharing: which entries of a tensor get the same draw.

Two spellings of one idea: the names of the shared axes, and Keras's
``noise_shape``, in which a 1 shares one draw along that axis.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import tensorflow as tf

NoiseShape = tuple[int | None, ...]
Axes = str | int | Sequence[str | int]


def check_axes(shared_axes: Axes | None) -> tuple[str | int, ...]:
    """Returns ``shared_axes`` as a tuple of names and ints.

    Args:
        shared_axes: ``"batch"``, ``"time"``, ``"features"``, an int, or a
            sequence of these. None means that nothing is shared.
    Returns:
        Tuple of names and ints, in the given order.
    Raises:
        ValueError: for an unknown name or an axis given twice.
        TypeError: for anything else that is no axis.
    Example:
        >>> check_axes("time")
        ('time',)
    """
    if shared_axes is None:
        return ()
    if isinstance(shared_axes, str) or not isinstance(shared_axes, Sequence):
        shared_axes = (shared_axes,)
    axes = []
    for axis in shared_axes:
        if isinstance(axis, str):
            if axis not in ("batch", "time", "features"):
                raise ValueError(
                    "Invalid value received for argument `shared_axes`. "
                    "Expected names from 'batch', 'time', 'features', or "
                    f"integers. Received: shared_axes={shared_axes!r}"
                )
        elif isinstance(axis, bool) or not hasattr(axis, "__index__"):
            raise TypeError(
                "Invalid value received for argument `shared_axes`. Expected "
                "names from 'batch', 'time', 'features', or integers (a tuple "
                "with None is a `noise_shape`). "
                f"Received: shared_axes={shared_axes!r}"
            )
        else:
            axis = operator.index(axis)
        if axis in axes:
            raise ValueError(
                "Invalid value received for argument `shared_axes`. Expected "
                f"each axis once. Received: shared_axes={shared_axes!r}"
            )
        axes.append(axis)
    return tuple(axes)


def to_noise_shape(shared_axes: Axes | None, rank: int) -> NoiseShape:
    """Returns the ``noise_shape`` that shares the given axes.

    Args:
        shared_axes: See :func:`check_axes`. ``"time"`` is the middle axis of
            ``(batch, time, features)`` and needs ``rank == 3``; name the
            axes of images by number.
        rank: Number of axes of the input, the batch axis included.
    Returns:
        Tuple of length ``rank`` with 1 for a shared axis, None otherwise.
    Raises:
        ValueError: if an axis does not exist at that rank, or two names
            mean the same axis.
    Example:
        >>> to_noise_shape("time", rank=3)
        (None, 1, None)
        >>> to_noise_shape((1, 2), rank=4)
        (None, 1, 1, None)
    """
    axes = check_axes(shared_axes)
    numbers = {"batch": 0, "features": rank - 1}
    if rank < 2:
        del numbers["features"]
    if rank == 3:
        numbers["time"] = 1
    found = []
    for axis in axes:
        number = numbers.get(axis, axis)
        if isinstance(number, str) or not -rank <= number < rank:
            raise ValueError(
                "Invalid value received for argument `shared_axes`. "
                f"Axis {axis!r} does not exist in an input of rank {rank} "
                "('time' needs rank 3, (batch, time, features)). "
                f"Received: shared_axes={shared_axes!r}"
            )
        found.append(number % rank)
    if len(set(found)) < len(found):
        raise ValueError(
            "Invalid value received for argument `shared_axes`. Expected "
            f"each axis once; in an input of rank {rank} two of these are "
            f"the same axis. Received: shared_axes={shared_axes!r}"
        )
    return tuple(1 if axis in found else None for axis in range(rank))


def to_shared_axes(noise_shape: Sequence[int | None]) -> tuple[str | int, ...]:
    """Returns the axes that a ``noise_shape`` shares, by name at rank 3.

    Args:
        noise_shape: See :func:`check_noise_shape`.
    Returns:
        Names at rank 3, axis numbers otherwise.
    Example:
        >>> to_shared_axes((None, 1, None))
        ('time',)
        >>> to_shared_axes((None, 1, 1, None))
        (1, 2)
    """
    entries = check_noise_shape(noise_shape)
    names = range(len(entries))
    if len(entries) == 3:
        names = ("batch", "time", "features")
    return tuple(
        n for n, entry in zip(names, entries, strict=True) if entry == 1
    )


def check_noise_shape(
    noise_shape: Sequence[int | None] | None,
) -> NoiseShape | None:
    """Returns ``noise_shape`` as a tuple of positive ints and None.

    Args:
        noise_shape: Sequence of positive integers (NumPy's too) and None, or
            None.
    Returns:
        The same as a tuple of Python ints and None.
    Raises:
        ValueError: if it is no sequence, or an entry is not positive.
    Example:
        >>> check_noise_shape([None, 1, 4])
        (None, 1, 4)
    """
    if noise_shape is None:
        return None
    expected = (
        "Invalid value received for argument `noise_shape`. Expected a tuple "
        "of positive integers and None, one entry for each axis of the input. "
        f"Received: noise_shape={noise_shape!r}"
    )
    if isinstance(noise_shape, str):
        raise ValueError(expected)
    try:
        entries = tuple(noise_shape)
    except TypeError:
        raise ValueError(expected) from None
    checked = []
    for entry in entries:
        if entry is not None:
            if isinstance(entry, bool) or not hasattr(entry, "__index__"):
                raise ValueError(expected)
            entry = operator.index(entry)
            if entry < 1:
                raise ValueError(expected)
        checked.append(entry)
    return tuple(checked)


def fit_noise_shape(
    noise_shape: NoiseShape, input_shape: Sequence[int | None]
) -> NoiseShape:
    """Returns ``noise_shape`` if it fits the input, with known sizes filled.

    Keras lets a ``noise_shape`` of another rank broadcast in silence, and one
    that is too large enlarge the output. Here both are errors.

    Args:
        noise_shape: Tuple of positive ints and None.
        input_shape: Static shape of the input; None where unknown.
    Returns:
        Tuple of ints, with None only where the input's size is unknown.
    Raises:
        ValueError: if the ranks differ, or an entry is neither 1, nor None,
            nor the input's size.
    Example:
        >>> fit_noise_shape((None, 1, 4), (None, 5, 4))
        (None, 1, 4)
    """
    if len(noise_shape) != len(input_shape):
        raise ValueError(
            "Invalid value received for argument `noise_shape`. Expected "
            f"{len(input_shape)} entries, one for each axis of the input of "
            f"shape {tuple(input_shape)}. Received: noise_shape={noise_shape}"
        )
    for entry, size in zip(noise_shape, input_shape, strict=True):
        if entry not in (None, 1) and size is not None and entry != size:
            raise ValueError(
                "Invalid value received for argument `noise_shape`. Each entry "
                "must be 1 (share), None (the input's size) or equal to the "
                f"input's size, and the input has shape {tuple(input_shape)}; "
                "None also fits a smaller last batch. "
                f"Received: noise_shape={noise_shape}"
            )
    return tuple(
        size if entry is None else entry
        for entry, size in zip(noise_shape, input_shape, strict=True)
    )


def draw_shape(noise_shape: NoiseShape, inputs: tf.Tensor) -> tf.Tensor | tuple:
    """Returns the shape to draw for ``inputs``, with no unknown size left.

    Args:
        noise_shape: Tuple of positive ints and None, of the input's rank.
        inputs: The tensor to be multiplied.
    Returns:
        A tuple of ints, or a tensor where a size is known only at run time.
        A fixed entry that meets another size at run time raises
        ``tf.errors.InvalidArgumentError``.
    Raises:
        ValueError: as :func:`fit_noise_shape`.
    Example:
        >>> draw_shape((None, 1, None), tf.ones((2, 3, 4)))
        (2, 1, 4)
    """
    fitted = fit_noise_shape(noise_shape, inputs.shape)
    if None not in inputs.shape:
        return fitted
    sizes = tf.shape(inputs)
    checks = [
        tf.debugging.assert_equal(
            sizes[axis],
            entry,
            message=f"`noise_shape` {noise_shape} does not fit the input.",
        )
        for axis, entry in enumerate(fitted)
        if inputs.shape[axis] is None and entry not in (None, 1)
    ]
    with tf.control_dependencies(checks):
        return tf.stack(
            [
                sizes[a] if entry is None else entry
                for a, entry in enumerate(fitted)
            ]
        )
