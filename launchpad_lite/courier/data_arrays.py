"""NumPy arrays as a dtype, a shape and the bytes, checked before anything is made of them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from launchpad_lite.errors import CodecError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_MAX_DIMENSIONS = 64  # NumPy's own limit
_DTYPE = re.compile(r"[<>|][biufcSUmM][1-9][0-9]{0,9}(\[[0-9]*[A-Za-z]{1,7}\])?")
"""Numbers, text of one length, and times, as `numpy.dtype.str` spells them."""


def dtype_name(dtype: np.dtype[Any]) -> str | None:
    """Return how a dtype is spelled on the wire; None when it does not travel."""
    name: str = dtype.str
    return name if _DTYPE.fullmatch(name) and dtype.names is None else None


def read_dtype(name: object) -> np.dtype[Any]:
    """Return a dtype by its name.

    Raises:
      CodecError: it is none that travels; objects and structures do not.
    """
    import numpy as np

    if isinstance(name, str) and _DTYPE.fullmatch(name):
        try:
            return np.dtype(name)
        except (TypeError, ValueError, OverflowError) as error:
            message = f"an array has the dtype {name!r}, which NumPy does not know here"
            raise CodecError(message) from error
    message = f"an array's dtype is {name!r:.40}, not that of numbers, text or times"
    raise CodecError(message)


def make_array(name: object, shape: object, order: object, buffer: Any) -> Array:
    """Return the array whose memory a buffer is; writable.

    Args:
      name: of its dtype.
      shape: a list of lengths.
      order: `C` or `F`.
      buffer: the bytes; copied when they are read-only.

    Raises:
      CodecError: these do not describe so many bytes.
    """
    import numpy as np

    dtype = read_dtype(name)
    size = memoryview(buffer).nbytes
    if not is_shape(shape) or order not in ("C", "F"):
        message = "an array has no proper shape and order"
        raise CodecError(message)
    if math.prod(shape) * dtype.itemsize != size:
        message = (
            f"an array of shape {tuple(shape)} and dtype {dtype} needs "
            f"{math.prod(shape) * dtype.itemsize:,} bytes, not {size:,}"
        )
        raise CodecError(message)
    memory = bytearray(buffer) if memoryview(buffer).readonly else buffer
    try:
        return np.ndarray(shape, dtype, memory, order=order)
    except (TypeError, ValueError, OverflowError) as error:
        message = f"an array cannot be made of shape {tuple(shape)} and dtype {dtype}: {error}"
        raise CodecError(message) from error


def is_shape(shape: object) -> TypeGuard[list[int]]:
    """Whether this is a list of lengths."""
    if not isinstance(shape, list) or len(cast("list[Any]", shape)) > _MAX_DIMENSIONS:
        return False
    return all(type(length) is int and length >= 0 for length in cast("list[Any]", shape))


def make_scalar(name: object, content: object) -> np.generic:
    """Return a NumPy scalar from its bytes.

    Raises:
      CodecError: these are not its bytes.
    """
    dtype = read_dtype(name)
    if not isinstance(content, bytes) or len(content) != dtype.itemsize:
        message = f"a scalar of dtype {dtype} needs {dtype.itemsize} bytes"
        raise CodecError(message)
    import numpy as np

    scalar: np.generic = np.frombuffer(content, dtype)[0]
    return scalar
