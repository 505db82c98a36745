"""What goes in comes out: arguments, results, arrays, buffers."""

from __future__ import annotations

import enum
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from launchpad_lite.courier.call_context import get_call_context
from launchpad_lite.testing.conformance.transport_parts.base import (
    CALLER,
    PATIENCE_S,
    Lab,
    TransportSuite,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTE = 2**20
_BASE = np.arange(24, dtype=np.float32)
ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "vector": _BASE,
    "matrix": _BASE.reshape(4, 6),
    "0-d": np.array(3.5),
    "empty": np.empty(0),
    "empty matrix": np.empty((0, 3), np.int8),
    "no columns": np.empty((3, 0), np.int64),
    "Fortran": np.asfortranarray(_BASE.reshape(4, 6)),
    "every other": _BASE[::2],
    "backwards": _BASE[::-1],
    "columns": _BASE.reshape(4, 6)[:, 1:3],
    "transposed": _BASE.reshape(2, 3, 4).transpose(2, 0, 1),
    "broadcast": np.broadcast_to(np.float64(7), (3, 4)),
    "big-endian": np.arange(5, dtype=">i4"),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "text": np.array(["a", "bcd"]),
    "bytes": np.array([b"a", b"bcd"]),
    "dates": np.array(["2020-01-01", "NaT"], "datetime64[D]"),
    "records": np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
    "objects": np.array([None, "x", (1, 2)], object),
    "large": np.arange(MEGABYTE, dtype=np.uint16),
}


def _read_only() -> Any:
    array = np.arange(MEGABYTE)
    array.flags.writeable = False
    return array


LARGE_ARRAYS: dict[str, Callable[[], Any]] = {
    "vector": lambda: np.arange(MEGABYTE),
    "Fortran": lambda: np.asfortranarray(np.arange(MEGABYTE).reshape(1024, 1024)),
    "every other": lambda: np.arange(2 * MEGABYTE)[::2],
    "transposed": lambda: np.arange(MEGABYTE).reshape(16, 256, 256).transpose(2, 0, 1),
    "broadcast": lambda: np.broadcast_to(np.arange(1024), (1024, 1024)),
    "read-only": _read_only,
    "of bytes": lambda: np.frombuffer(bytes(MEGABYTE), np.uint8),
}


class Color(enum.Enum):
    """An enumeration."""

    RED = 1


def echo(*args: Any, **kwargs: Any) -> Any:
    """Return what came."""
    if kwargs:
        return args, kwargs
    return args[0] if len(args) == 1 else args


def _shifted(offset: int) -> Callable[[int], int]:
    return lambda value: value * 2 + offset


def add_one(array: Any) -> Any:
    """Change an array in place."""
    array += 1
    return array


class Keeper:
    """Keeps an array."""

    def __init__(self) -> None:
        self.kept: Any = None

    def keep(self, array: Any) -> None:
        self.kept = array

    def give(self) -> Any:
        return self.kept

    def total(self) -> int:
        return int(self.kept.sum())


class ValueConformance(TransportSuite):
    """Values arrive as they were sent, and belong to whoever got them."""

    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            -(2**100),
            1.5,
            2j,
            "text \N{SNOWMAN}",
            b"bytes",
            (),
            ("a", (1, b"")),
            frozenset({1}),
            [1, [2]],
            {"a": {1, 2}},
            bytearray(b"x"),
            Color.RED,
            range(3),
            Color,
        ],
        ids=repr,
    )
    def test_values_arrive_with_their_types(self, lab: Lab, value: Any) -> None:
        result = lab.caller(echo).call("echo", value)
        assert result == value
        assert type(result) is type(value)

    def test_positional_and_keyword_arguments_arrive(self, lab: Lab) -> None:
        caller = lab.caller(echo)
        assert caller.call("echo", 1, "a", x=None, y=[2]) == ((1, "a"), {"x": None, "y": [2]})
        assert caller.call("echo") == ()
        assert caller.submit("echo", x=1).result(PATIENCE_S) == ((), {"x": 1})

    def test_functions_without_a_name_travel_by_value(self, lab: Lab) -> None:
        def apply(function: Any, value: int) -> Any:
            return function(value), lambda: value + offset

        offset = 10
        doubled, later = lab.caller(apply).call("apply", _shifted(offset), 4)
        assert (doubled, later()) == (18, 14)

    @pytest.mark.parametrize("name", ARRAYS)
    def test_arrays_arrive_equal_and_writable(self, lab: Lab, name: str) -> None:
        array = ARRAYS[name]
        result = lab.caller(echo).call("echo", array)
        assert result.dtype == array.dtype
        assert result.shape == array.shape
        np.testing.assert_array_equal(result, array)
        assert result.flags.writeable
        result[...] = result

    def test_arguments_arrive_writable(self, lab: Lab) -> None:
        array = np.zeros(3)
        result = lab.caller(add_one).call("add_one", array)
        assert result.tolist() == [1, 1, 1]
        assert array.tolist() == [0, 0, 0]

    @pytest.mark.parametrize("size", [3, MEGABYTE])
    def test_an_argument_is_the_server_s_own(self, lab: Lab, size: int) -> None:
        keeper = Keeper()
        caller = lab.caller(keeper.keep, keeper.total)
        array = np.zeros(size, np.int64)
        caller.call("keep", array)
        array += 1
        assert caller.call("total") == 0
        keeper.kept += 5
        assert array.sum() == size

    @pytest.mark.parametrize("size", [3, MEGABYTE])
    def test_a_result_is_the_caller_s_own(self, lab: Lab, size: int) -> None:
        keeper = Keeper()
        keeper.kept = np.zeros(size, np.int64)
        caller = lab.caller(keeper.give)
        first, second = caller.call("give"), caller.call("give")
        keeper.kept += 1
        first += 5
        assert not second.any()
        assert keeper.kept.sum() == size

    def test_lists_and_bytearrays_are_copied_too(self, lab: Lab) -> None:
        keeper = Keeper()
        caller = lab.caller(keeper.keep, keeper.give)
        value: list[Any] = [bytearray(b"ab"), {"x": [1]}]
        caller.call("keep", value)
        value.append(None)
        assert caller.call("give") == [bytearray(b"ab"), {"x": [1]}]
        assert caller.call("give") is not keeper.kept

    @pytest.mark.parametrize("size", [3, 4 * MEGABYTE])
    def test_an_array_may_change_when_submit_has_returned(self, lab: Lab, size: int) -> None:
        gate = lab.gate()
        caller = lab.caller(gate.enter, add_one, threads=1)
        first = caller.submit("enter")
        gate.wait_for(1)
        array = np.zeros(size, np.int8)
        future = caller.submit("add_one", array)
        array += 7
        gate.open()
        first.result(PATIENCE_S)
        assert np.array_equal(np.unique(future.result(PATIENCE_S)), [1])

    def test_an_array_that_occurs_twice_is_one(self, lab: Lab) -> None:
        array = np.zeros(2)
        first, second = lab.caller(echo).call("echo", [array, array])
        assert first is second

    def test_buffers_travel_beside_the_pickle(self, lab: Lab) -> None:
        result = lab.caller(echo).call("echo", pickle.PickleBuffer(bytearray(b"abcdef")))
        assert bytes(result) == b"abcdef"
        assert not memoryview(result).readonly

    @pytest.mark.parametrize("count", [1025, 2500])
    def test_many_buffers_arrive(self, lab: Lab, count: int) -> None:
        arrays = [np.full(number % 5, number) for number in range(count)]
        caller = lab.caller(echo)
        for result in (
            caller.call("echo", arrays),
            caller.submit("echo", arrays).result(PATIENCE_S),
        ):
            assert len(result) == count
            assert all(map(np.array_equal, result, arrays))

    def test_large_payloads_arrive(self, lab: Lab) -> None:
        array = np.arange(5 * MEGABYTE, dtype=np.int32)
        caller = lab.caller(echo)
        for value in (array, array.tobytes()):
            result = caller.call("echo", value)
            assert type(result) is type(value)
            assert bytes(result) == bytes(value)
        assert np.array_equal(caller.submit("echo", array).result(PATIENCE_S), array)

    @pytest.mark.parametrize("name", LARGE_ARRAYS)
    def test_large_arrays_arrive_equal_and_writable(self, lab: Lab, name: str) -> None:
        array = LARGE_ARRAYS[name]()
        before = array.copy()
        caller = lab.caller(echo)
        for _ in range(3):
            result = caller.call("echo", array)
            np.testing.assert_array_equal(result, before)
            result[...] = 0
            np.testing.assert_array_equal(array, before)

    def test_large_arrays_stay_as_they_are_while_others_come_and_go(self, lab: Lab) -> None:
        kept: list[Any] = []

        def keep(array: Any) -> Any:
            if array[0] % 3 == 0:
                kept.append(array)
            return array

        caller = lab.caller(keep)
        results = [caller.call("keep", np.full(MEGABYTE, number)) for number in range(12)]
        for number in range(0, 12, 2):
            results[number] += 100
        for number, result in enumerate(results):
            assert (result == (number if number % 2 else number + 100)).all()
        assert [array[0] for array in kept] == [0, 3, 6, 9]
        assert all((array == array[0]).all() for array in kept)

    def test_many_large_arrays_arrive_at_once(self, lab: Lab) -> None:
        caller = lab.caller(add_one)
        arrays = [np.full(MEGABYTE, number, np.int32) for number in range(24)]
        futures = [caller.submit("add_one", array) for array in arrays]
        results = [future.result(PATIENCE_S) for future in futures]
        for number, result in enumerate(results):
            assert (result == number + 1).all()

    def test_large_and_small_arrays_of_one_call_keep_their_order(self, lab: Lab) -> None:
        arrays = [np.full(size, size) for size in (3, MEGABYTE, 0, 600, 5, MEGABYTE // 4, 1000)]
        caller = lab.caller(echo)
        for _ in range(2):
            for result, array in zip(caller.call("echo", arrays), arrays, strict=True):
                np.testing.assert_array_equal(result, array)

    def test_large_arrays_outlive_channel_and_listener(self, lab: Lab) -> None:
        keeper = Keeper()
        served = lab.serve(keeper.keep, keeper.give)
        caller = lab.connect(served)
        caller.call("keep", np.arange(MEGABYTE))
        result = caller.call("give")
        caller.channel.close()
        served.stop()
        result += 1
        keeper.kept += 2
        np.testing.assert_array_equal(result, np.arange(MEGABYTE) + 1)
        np.testing.assert_array_equal(keeper.kept, np.arange(MEGABYTE) + 2)

    def test_large_arrays_stream(self, lab: Lab) -> None:
        def count(most: int) -> Any:
            for number in range(most):
                yield np.full(MEGABYTE, number)

        served = lab.serve(streams=(count,))
        arrays = list(lab.connect(served).stream("count", 5))
        assert [int(array[-1]) for array in arrays] == [0, 1, 2, 3, 4]
        assert all((array == array[0]).all() for array in arrays)

    def test_the_server_hears_who_calls(self, lab: Lab) -> None:
        def whose() -> str:
            return get_call_context().peer

        def whose_stream() -> Any:
            yield get_call_context().peer

        caller = lab.caller(whose, streams=(whose_stream,))
        assert caller.call("whose") == CALLER
        assert caller.submit("whose").result(PATIENCE_S) == CALLER
        assert list(caller.stream("whose_stream")) == [CALLER]
