"""Values as other languages see them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import msgspec
import numpy as np
import pytest

from launchpad_lite import courier
from launchpad_lite.courier.plain_values import arguments, from_plain, to_plain
from launchpad_lite.errors import CodecError


@courier.register_dataclass(name="plain step")
@dataclasses.dataclass
class Step:
    reward: float
    done: bool = False


def through(value: Any, *, text: bool) -> Any:
    """What comes back of a value that goes to another language and returns."""
    codec: Any = msgspec.json if text else msgspec.msgpack
    return from_plain(codec.decode(codec.encode(to_plain(value, text=text))))


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize(
    "value",
    [None, True, -5, 2**64 - 1, 1.5, "ü", b"\0\xff", [1, [2]], {"a": {"b": []}}, Step(1.0, True)],
    ids=repr,
)
def test_what_comes_back_as_it_went(value: Any, text: bool) -> None:
    result = through(value, text=text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3).T, np.array(True), np.zeros((0, 2))]
)
def test_arrays_come_back(array: Any, text: bool) -> None:
    result = through([array], text=text)[0]
    np.testing.assert_array_equal(result, array)
    assert result.dtype == array.dtype
    assert result.flags.writeable


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, {2}), [1, [2]]),
        (dt.date(2024, 1, 2), "2024-01-02"),
        (dt.datetime(2024, 1, 2, tzinfo=dt.UTC), "2024-01-02T00:00:00+00:00"),
        (dt.time(1, 2), "01:02:00"),
        (dt.timedelta(minutes=1), 60.0),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.str_("a"), "a"),
        (bytearray(b"a"), {"$bytes": "YQ=="}),
        (Step(0.5), {"$type": "plain step", "reward": 0.5, "done": False}),
        (
            np.array([1, 2], "<i2"),
            {"$array": {"dtype": "<i2", "shape": [2], "data": "AQACAA=="}},
        ),
    ],
)
def test_how_values_look(value: Any, plain: Any) -> None:
    assert to_plain(value, text=True) == plain


@pytest.mark.parametrize("value", [1j, {1: 2}, {"$a": 1}, [{"a": 1j}], np.array([1j]), object()])
def test_what_has_no_form(value: Any) -> None:
    with pytest.raises(CodecError):
        to_plain(value, text=True)


@pytest.mark.parametrize(
    "text",
    [
        '{"$other": 1}',
        '{"$bytes": 5}',
        '{"$bytes": "a"}',
        '{"$bytes": "!!!!"}',
        '{"$bytes": "", "more": 1}',
        '{"$array": 5}',
        '{"$array": {"dtype": "<f4", "shape": [1]}}',
        '{"$array": {"dtype": "<f4", "shape": [1], "data": ""}}',
        '{"$array": {"dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="}}',
        '{"$array": {"dtype": "|u1", "shape": [99999999999999], "data": "AAAA"}}',
        '{"$type": "no such", "x": 1}',
        '{"$type": ["plain step"]}',
        '{"$type": "plain step"}',
        '{"$type": "plain step", "reward": 1, "extra": 2}',
    ],
)
def test_forms_that_are_wrong(text: str) -> None:
    with pytest.raises(CodecError):
        from_plain(json.loads(text))


def test_arguments() -> None:
    assert arguments([1, {"$bytes": "YQ=="}]) == ((1, b"a"), {})
    assert arguments({"a": [1]}) == ((), {"a": [1]})
    for wrong in (5, None, "a", {"$bytes": "YQ=="}, {1: 2}):
        with pytest.raises(CodecError):
            arguments(wrong)
