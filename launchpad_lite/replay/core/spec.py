"""What a table's columns look like, and the check that an item's columns do."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.nest import check_structure, column_names, flatten, unflatten
from launchpad_lite.validation import integer, optional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.replay.core.nest import Structure


_length = optional(integer(0))


class Typed(Protocol):
    """An array, or what describes one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        ...


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """The shape and the dtype of an array; a leaf of a table's signature.

    Attributes:
      shape: the length of each dimension; None where any length will do. In a table's signature
        these are the dimensions of an item's column: with a leading one for its steps, unless the
        column is squeezed; or, for all columns, those of a step.
      dtype: the type of the elements, or what `numpy.dtype` makes one of; in this machine's order
        of bytes, whatever is given.
      name: what the array is called; for people only.

    Raises:
      UsageError: the shape or the dtype is none, or the dtype is `object`.
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    name: str = ""

    def __init__(
        self, shape: Sequence[SupportsIndex | None], dtype: Any, name: str | None = ""
    ) -> None:
        object.__setattr__(self, "shape", _shape(shape))
        object.__setattr__(self, "dtype", _dtype(dtype))
        object.__setattr__(self, "name", name or "")

    def problem(self, column: Typed) -> str | None:
        """Return what of an array does not fit, in words, or None."""
        if column.dtype != self.dtype:
            return f"has dtype {column.dtype}, and must have {self.dtype}"
        fits = len(column.shape) == len(self.shape) and all(
            wanted is None or wanted == length
            for wanted, length in zip(self.shape, column.shape, strict=True)
        )
        if not fits:
            return f"has shape {show_shape(column.shape)}, and must have {show_shape(self.shape)}"
        return None

    def __str__(self) -> str:
        """Return the dtype and the shape, as in `float32[3, ?]`."""
        return f"{self.dtype}{show_shape(self.shape)}"


class Signature:
    """A nest of array specs, ready to check columns with.

    Attributes:
      structure: the structure of the nest.
      specs: its leaves, in order.
      names: the name of each column, in the same order.
    """

    def __init__(self, specs: Any) -> None:
        """Flatten the nest.

        Args:
          specs: a nest of `ArraySpec`, or of anything with a `shape` and a `dtype`: an array, or a
            spec of another library.

        Raises:
          UsageError: a leaf is none of these, or there is no leaf.
        """
        leaves, self.structure = flatten(specs)
        self.names = column_names(self.structure)
        if not leaves:
            raise UsageError("signature: it has no column. Give a nest of ArraySpec, or None.")
        self.specs = tuple(map(_spec, self.names, leaves))

    @property
    def nest(self) -> Any:
        """The nest of `ArraySpec`."""
        return unflatten(self.structure, list(self.specs))

    def check(self, structure: Structure, columns: Sequence[Typed], what: str) -> None:
        """Check that an item, or a step, is as the signature says.

        Args:
          structure: the structure of its nest.
          columns: its leaves, in order: arrays, or what describes them.
          what: what it is, to begin the message with.

        Raises:
          UsageError: it is not. The message names the column.
        """
        check_structure(self.structure, structure, what)
        check_columns(self, columns, what)

    def fits(self, columns: Sequence[Typed]) -> bool:
        """Return whether columns whose structure is known to be right are as it says."""
        return len(columns) == len(self.specs) and not any(
            spec.problem(column) for spec, column in zip(self.specs, columns, strict=True)
        )


def check_columns(signature: Signature, columns: Sequence[Typed], what: str) -> None:
    """Check the columns of an item whose structure is known to be right.

    Args:
      signature: what they must be.
      columns: the leaves, in order: arrays, or what describes them.
      what: what the item is, to begin the message with.

    Raises:
      UsageError: there are too many or too few, or one has another dtype or shape. The message
        names the column.
    """
    if len(columns) != len(signature.specs):
        raise UsageError(
            f"{what}: it has {len(columns)} columns, and must have {len(signature.specs)}: "
            f"{', '.join(signature.names)}."
        )
    for name, spec, column in zip(signature.names, signature.specs, columns, strict=True):
        if problem := spec.problem(column):
            raise UsageError(f"{what}: column {name!r} {problem}.")


def show_shape(shape: Sequence[int | None]) -> str:
    """Return a shape as text, as in `[3, ?]`."""
    return f"[{', '.join('?' if length is None else str(length) for length in shape)}]"


def _spec(name: str, leaf: Any) -> ArraySpec:
    if isinstance(leaf, ArraySpec):
        return leaf
    if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
        raise UsageError(
            f"signature: column {name!r} must be an ArraySpec(shape, dtype), not {leaf!r}."
        )
    try:
        return ArraySpec(leaf.shape, leaf.dtype, getattr(leaf, "name", ""))
    except UsageError as error:
        raise UsageError(f"signature: column {name!r}: {error}") from None


def _shape(shape: Sequence[SupportsIndex | None]) -> tuple[int | None, ...]:
    try:
        return tuple(_length("shape", each) for each in shape)
    except (TypeError, UsageError):
        raise UsageError(
            f"ArraySpec: shape must be a tuple of lengths, None where any will do, not {shape!r}."
        ) from None


def _dtype(dtype: Any) -> np.dtype[Any]:
    try:
        found: np.dtype[Any] = np.dtype(getattr(dtype, "as_numpy_dtype", dtype))  # TensorFlow's
    except TypeError:
        raise UsageError(f"ArraySpec: {dtype!r} is no dtype of NumPy.") from None
    if dtype is None or found.hasobject:
        raise UsageError(
            f"ArraySpec: dtype {dtype!r}: arrays of Python objects cannot be stored. For text give "
            "a dtype of fixed length, as in 'U20' or 'S20'."
        )
    return found if found.isnative else found.newbyteorder("=")  # as columns are stored
