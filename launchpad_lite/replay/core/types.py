"""The arrays that the store's parts hand each other."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[np.generic]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
KeyArray: TypeAlias = npt.NDArray[np.uint64]
"""What identifies items of a table."""
Numbers: TypeAlias = npt.NDArray[np.int32]
"""Small numbers that are kept for each item: of rows, or of other things. Short to save memory."""
