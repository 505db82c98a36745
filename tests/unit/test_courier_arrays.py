"""Arrays keep all they are when they are pickled for a call, and arrive writable."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from launchpad_lite.courier import arrays

LARGE = 5000  # elements


def sent(value: Any) -> tuple[Any, int]:
    """What arrives, and how many buffers went beside the pickle."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = arrays.dumps(value, buffers.append)
    received = [bytearray(arrays.memory(buffer)) for buffer in buffers]
    assert [arrays.size(buffer) for buffer in buffers] == list(map(len, received))
    return pickle.loads(pickled, buffers=received), len(received)


def frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


ARRAYS = {
    "small": np.arange(84, dtype=np.float32),
    "small, two axes": np.arange(12).reshape(3, 4),
    "no axis": np.array(7.5),
    "nothing": np.zeros((0, 3)),
    "large": np.arange(LARGE, dtype=np.int64),
    "Fortran's order": np.asfortranarray(np.arange(2.0 * LARGE).reshape(2, LARGE)),
    "every other": np.arange(2 * LARGE)[::2],
    "backwards": np.arange(LARGE)[::-1],
    "broadcast": np.broadcast_to(np.float32(3), (2, LARGE)),
    "read-only": frozen(np.arange(LARGE)),
    "read-only, small": frozen(np.arange(3)),
    "read-only, Fortran's order": frozen(np.asfortranarray(np.ones((3, LARGE)))),
    "bools": np.arange(LARGE) % 2 == 0,
    "complex": np.arange(LARGE) * 1j,
    "halves": np.arange(LARGE, dtype=np.float16),
    "other byte order": np.arange(LARGE, dtype=">i4"),
    "dates": np.arange(LARGE).astype("M8[s]"),
    "read-only dates": frozen(np.arange(LARGE).astype("M8[s]")),
    "texts": np.array(["a", "bc"] * LARGE),
    "records": np.zeros(LARGE, [("a", np.int8), ("b", np.float64)]),
    "objects": np.array([{"a": 1}, None, "c"], dtype=object),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_arrive_as_they_were(array: Any) -> None:
    before = array.copy()
    found, _ = sent(array)
    assert type(found) is np.ndarray
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable
    found[...] = found[...].copy()
    found.fill(found.flat[0] if found.size else 0)
    np.testing.assert_array_equal(array, before)  # which is another


def test_fortrans_order_is_kept() -> None:
    for key in ("Fortran's order", "read-only, Fortran's order"):
        found, buffers = sent(ARRAYS[key])
        assert found.flags.f_contiguous
        assert buffers == 1


def test_the_memory_of_large_arrays_goes_beside_the_pickle() -> None:
    counts = {key: sent(array)[1] for key, array in ARRAYS.items()}
    assert counts["small"] == counts["no axis"] == counts["nothing"] == 0
    assert all(counts[key] for key in ("large", "every other", "read-only", "broadcast"))


def test_read_only_memory_is_not_copied() -> None:
    for key in ("read-only", "read-only, Fortran's order"):
        buffers: list[pickle.PickleBuffer] = []
        arrays.dumps(ARRAYS[key], buffers.append)
        (memory,) = map(arrays.memory, buffers)
        assert np.shares_memory(np.frombuffer(memory, np.uint8), ARRAYS[key])


def test_what_is_no_plain_array_is_left_to_numpy() -> None:
    masked = np.ma.MaskedArray([1, 2, 3], mask=[False, True, False])
    found, _ = sent({"masked": masked, "scalar": np.float32(1), "list": [1, "a"]})
    assert type(found["masked"]) is type(masked)
    assert found["masked"].mask.tolist() == [False, True, False]
    assert type(found["scalar"]) is np.float32
    assert found["list"] == [1, "a"]
    with_metadata = np.zeros(3, np.dtype(np.int32, metadata={"unit": "m"}))
    found, _ = sent(with_metadata)
    np.testing.assert_array_equal(found, with_metadata)


def test_one_array_twice_is_one_array() -> None:
    one = np.arange(3)
    found, _ = sent((one, one))
    assert found[0] is found[1]


def test_numpy_is_not_needed() -> None:
    code = (
        "import sys\n"
        "from launchpad_lite.courier import arrays\n"
        "assert arrays.dumps([1], print)\n"
        "assert 'numpy' not in sys.modules\n"
        "import numpy\n"
        "assert b'ndarray' in arrays.dumps(numpy.zeros(3), print)\n"
        "assert b'_frombuffer' not in arrays.dumps(numpy.zeros(3000), lambda _: None)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
