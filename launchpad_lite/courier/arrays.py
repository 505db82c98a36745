"""How NumPy arrays are pickled for a call: faster than NumPy's own way, and always writable.

NumPy's reduction of an array goes through several Python functions on either side; ours is the
constructor of `numpy.ndarray` with the shape, the dtype and the memory. Measured for 84 floats: 4.4
instead of 14 microseconds to pickle, 2 instead of 6.5 to unpickle. Subclasses, objects, records and
the dtypes of other packages are left to NumPy.
"""

from __future__ import annotations

import io
import pickle
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL = 5
_SMALL_BYTES = 2**12
"""Up to here an array's memory lies in the pickle: one piece to send costs less than two."""


_table: dict[type, Callable[[Any], Any]] = {}
"""How arrays are pickled, from when NumPy is loaded; until then there are none."""


def dumps(value: object, take_buffer: Callable[[pickle.PickleBuffer], object]) -> bytes:
    """Pickle an object as `pickle.dumps` does.

    Args:
      value: the object.
      take_buffer: takes the memory of large arrays, as a `buffer_callback`.

    Raises:
      Exception: whatever pickling the object raises.
    """
    if not _table:
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return pickle.dumps(value, PROTOCOL, buffer_callback=take_buffer)
        _table[numpy.ndarray] = _reduce
    file = io.BytesIO()
    pickler: Any = pickle.Pickler(file, PROTOCOL, buffer_callback=take_buffer)
    pickler.dispatch_table = _table
    pickler.dump(value)
    return file.getvalue()


def _reduce(array: Any) -> Any:
    dtype = array.dtype
    flags = array.flags
    if dtype.isbuiltin != 1 or dtype.hasobject or dtype.metadata is not None:
        return (array if flags.writeable else array.copy("K")).__reduce_ex__(PROTOCOL)
    if array.nbytes <= _SMALL_BYTES:
        return type(array), (array.shape, dtype.str, bytearray(array.tobytes()))
    if flags.c_contiguous or not flags.f_contiguous:
        if not (flags.c_contiguous and flags.writeable):  # a copy's memory is in order, and its own
            array = array.copy("C")
        return type(array), (array.shape, dtype.str, pickle.PickleBuffer(array))
    if not flags.writeable:
        array = array.copy("F")
    memory = pickle.PickleBuffer(array)
    return type(array), (array.shape, dtype.str, memory, 0, None, "F")
