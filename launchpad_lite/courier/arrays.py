"""How NumPy arrays are pickled for a call: faster than NumPy's own way, and always writable.

NumPy's reduction of an array goes through several Python functions on either side; ours is the
constructor of `numpy.ndarray` with the shape, the dtype and the memory. Measured for 84 floats: 4.4
instead of 14 microseconds to pickle, 2 instead of 6.5 to unpickle. Subclasses, objects, records and
the dtypes of other packages are left to NumPy.

A pickle says of memory beside it whether it is read-only, and then so is the array that is made of
it; and takes none that does not lie in order. For such arrays it gets a stand-in: what they need is
known before any of it is copied, and that of a read-only array never is.
"""

from __future__ import annotations

import io
import pickle
import sys
from typing import TYPE_CHECKING, Any

from launchpad_lite import references

if TYPE_CHECKING:
    from collections.abc import Callable

PROTOCOL = 5
_SMALL_BYTES = 2**12
"""Up to here an array's memory lies in the pickle: one piece to send costs less than two."""


class _StandIn(bytearray):
    """Memory for the pickle to speak of, in place of an array's."""

    __slots__ = ("array",)

    array: Any


_table: dict[type, Callable[[Any], Any]] = {}
"""How arrays, and references to Ray's objects, are pickled, from when their package is loaded."""

_learned: set[str] = set()
"""The packages whose classes are in the table."""


def dumps(value: object, take_buffer: Callable[[pickle.PickleBuffer], object]) -> bytes:
    """Pickle an object as `pickle.dumps` does.

    Args:
      value: the object.
      take_buffer: takes what stands for the memory of large arrays, as a `buffer_callback`; see
        `size` and `memory`.

    Raises:
      Exception: whatever pickling the object raises.
    """
    for package in _kinds:
        if package not in _learned and package in sys.modules:
            _learn(package)
    if not _table:
        return pickle.dumps(value, PROTOCOL, buffer_callback=take_buffer)
    file = io.BytesIO()
    pickler: Any = pickle.Pickler(file, PROTOCOL, buffer_callback=take_buffer)
    pickler.dispatch_table = _table
    pickler.dump(value)
    return file.getvalue()


def _learn(package: str) -> None:
    name, reduce = _kinds[package]
    kind = getattr(sys.modules[package], name, None)
    if kind is not None:  # another thread may be loading the package
        _table[kind] = reduce
        _learned.add(package)


def _reduce(array: Any) -> Any:
    dtype = array.dtype
    flags = array.flags
    if dtype.isbuiltin != 1 or dtype.hasobject or dtype.metadata is not None:
        return (array if flags.writeable else array.copy("K")).__reduce_ex__(PROTOCOL)
    if array.nbytes <= _SMALL_BYTES:
        return type(array), (array.shape, dtype.str, bytearray(array.tobytes()))
    by_column = is_by_column(array)
    memory: Any = array
    if not (flags.writeable and (by_column or flags.c_contiguous)):
        memory = _StandIn()
        memory.array = array
    buffer = pickle.PickleBuffer(memory)
    if by_column:
        return type(array), (array.shape, dtype.str, buffer, 0, None, "F")
    return type(array), (array.shape, dtype.str, buffer)


_kinds: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "numpy": ("ndarray", _reduce),
    "ray": ("ObjectRef", references.reduce),
}
"""By package, the class that has a pickling of its own."""


def size(buffer: pickle.PickleBuffer) -> int:
    """Return the bytes of the memory that a buffer of `dumps` stands for."""
    view = buffer.raw()
    found: int = view.obj.array.nbytes if type(view.obj) is _StandIn else view.nbytes
    return found


def memory(buffer: pickle.PickleBuffer) -> memoryview:
    """Return the memory that a buffer of `dumps` stands for: a copy if it is in pieces."""
    view = buffer.raw()
    return raw(view.obj.array) if type(view.obj) is _StandIn else view


def is_by_column(array: Any) -> bool:
    """Whether an array's elements travel in Fortran's order, for they lie in it."""
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def raw(array: Any) -> memoryview:
    """Return an array's bytes, in the order in which they travel.

    They are the array's own memory unless its elements do not lie side by side.
    """
    import numpy as np

    flat = array.T if is_by_column(array) else np.ascontiguousarray(array)
    # datetimes and text have no format that memoryview knows
    view: Any = flat.reshape(-1).view(np.uint8)
    return memoryview(view)
