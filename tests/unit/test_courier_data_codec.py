"""`codec="data"`: what it carries, what it refuses, and what it makes of bytes that lie."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import threading
from typing import Any

import msgspec
import numpy as np
import pytest

from launchpad_lite import courier
from launchpad_lite.courier.client import Client
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.data_apart import MAX_DEPTH
from launchpad_lite.courier.data_codec import DataCodec
from launchpad_lite.courier.data_marks import Mark
from launchpad_lite.courier.pickle_codec import PickleCodec
from launchpad_lite.errors import (
    BatchError,
    CodecError,
    DeadlineExceeded,
    MethodNotFound,
    PayloadTooLarge,
    RemoteError,
    Unavailable,
    UsageError,
)
from launchpad_lite.nodes.courier import CourierNode

DATA = DataCodec()
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))


@courier.register_dataclass
@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 0.0


@courier.register_dataclass(name="a leaf")
@dataclasses.dataclass(slots=True, kw_only=True)
class Leaf:
    points: list[Point]
    note: str = dataclasses.field(default_factory=str)
    count: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.note == "bad":
            raise ValueError("a bad note")
        self.count = len(self.points)


@dataclasses.dataclass
class Unregistered:
    x: int


class Color(enum.IntEnum):
    RED = 1


class Producer:
    def work(self) -> int:
        return 1


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024 - not typed, as users' often are


def roundtrip(value: Any) -> Any:
    return DATA.decode(DATA.encode(value, copy=True))


def ext(mark: int, content: bytes = b"") -> Any:
    return msgspec.msgpack.Ext(int(mark), content)


def lowered(*parts: Any, buffers: tuple[Any, ...] = ()) -> Payload:
    """A list as bytes, with buffers beside."""
    return Payload(msgspec.msgpack.encode(list(parts)), buffers)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 2**63, 2**64 - 1, -(2**63), 1.5, float("inf"), 1j),
        *("", "text", "über 𝄞", "a\0b", b"", b"bytes", bytearray(b"\0\xff")),
        *([], [1, [2, []]], (), (1, ("a", (None,))), set(), {1, 2.5, (2, 3)}),
        *(frozenset({frozenset({1})}), {}, {"a": {"b": [1]}}, {1: "a", None: 2, (1, 2): 3}),
        *({"a": 1, 2: "b"}, {True: 1}, {b"k": b"v"}),
        dt.datetime.fromisoformat("2024-02-29T12:30:01.999999"),
        dt.datetime(1, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 1, tzinfo=EAST),
        *(dt.date(9999, 12, 31), dt.time(23, 59, 59, 1), dt.time(1, tzinfo=EAST)),
        *(dt.timedelta(days=-1, microseconds=1), dt.timedelta.max, dt.timedelta.min),
        *(Point(1), Point((1, 2), {"z": Point(3)}), Leaf(points=[Point(1), Point(2)], note="n")),
    ],
    ids=repr,
)
def test_it_arrives_equal_and_of_the_same_types(value: Any) -> None:
    result = roundtrip(value)
    assert result == value
    assert type(result) is type(value)
    assert repr(result) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 1, 0),
        np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(10)[::-2],
        np.array(3.5),
        np.zeros((0, 3), np.uint8),
        np.zeros((2, 0, 4), np.complex64),
        np.array([True, False]),
        np.array(["", "ab", "𝄞"]),
        np.array([b"a", b"bc"]),
        np.array(["2024-01-01", "NaT"], "M8[ns]"),
        np.array([1, 2], "m8[25s]"),
        np.array([1, 2], np.float16),
        np.array([1, 2], np.longdouble),
        np.broadcast_to(np.int8(1), (3, 2)),
        np.zeros((1,) * 20),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_arrive_writable(array: Any) -> None:
    for payload in (DATA.encode([array], copy=True), DATA.encode([array])):
        owned = Payload(payload.pickled, [bytearray(each) for each in payload.buffers])
        (result,) = DATA.decode(owned)
        assert type(result) is np.ndarray
        assert (result.dtype, result.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(result, array)
        assert result.flags.writeable
        if array.flags.c_contiguous or array.flags.f_contiguous:
            assert result.flags.f_contiguous == array.flags.f_contiguous


@pytest.mark.parametrize(
    "value",
    [
        *(np.float32(1.5), np.int64(-1), np.bool_(True), np.complex128(1j), np.longdouble(2)),
        *(np.str_("ab"), np.str_(""), np.bytes_(b"ab"), np.datetime64("NaT"), np.uint8(255)),
        *(np.datetime64("2024-01-01", "D"), np.timedelta64(5, "s")),
    ],
    ids=repr,
)
def test_numpy_scalars_stay_what_they_are(value: Any) -> None:
    result = roundtrip(value)
    assert type(result) is type(value)
    assert result.dtype == value.dtype
    np.testing.assert_array_equal(result, value)


def test_arrays_lie_beside_and_are_not_copied() -> None:
    array = np.zeros((4, 4), np.uint8)
    payload = DATA.encode({"a": array, "b": [array.T]})
    assert len(payload.pickled) < 60
    array[:] = 7
    assert [bytes(each) for each in payload.buffers] == [b"\x07" * 16] * 2
    copied = DATA.encode(array, copy=True)
    array[:] = 8
    assert bytes(copied.buffers[0]) == b"\x07" * 16


def test_the_receiver_takes_over_writable_buffers_only() -> None:
    memory = bytearray(8)
    payload = lowered(ext(Mark.ARRAY), "|u1", [8], "C", buffers=(memory,))
    DATA.decode(payload)[0] = 1
    assert memory[0] == 1
    read_only = bytes(8)
    DATA.decode(msgspec.structs.replace(payload, buffers=(read_only,)))[0] = 1
    assert read_only[0] == 0


def cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


HANDLE: Any = CourierNode(Producer).create_handle()
REFUSED: dict[str, tuple[Any, str]] = {
    "a function": (
        [1, {"policy": Point(lambda: 0)}],
        r"args\[0\]\[1\]\['policy'\]\.x is a function",
    ),
    "a method": (Producer().work, r"args\[0\] is a function; code does not travel"),
    "a class": ({1: Producer}, r"args\[0\]\[1\] is a class; code does not travel"),
    "a builtin": ((len,), r"args\[0\]\[0\] is a function"),
    "in a set": ({len}, r"args\[0\]\{\.\.\.\} is a function"),
    "in a key": (
        {(1, Color.RED): 2},
        r"args\[0\]<key \(1, .*\)>\[1\] is a member of the enum Color",
    ),
    "a lock": (
        threading.Lock(),
        r"args\[0\] is of type _thread\.lock\. codec='data' carries None,",
    ),
    "an object": (Producer(), r"args\[0\] is of type .*Producer\. codec"),
    "a dataclass": (Unregistered(1), r"call courier\.register_dataclass\(Unregistered\) on both"),
    "a handle": ([HANDLE], r"args\[0\]\[0\] is a handle or a client, which reaches only into"),
    "a client": (Client("localhost:1"), r"args\[0\] is a handle or a client"),
    "an enum member": (Color.RED, r"is a member of the enum Color; send its value"),
    "a named tuple": (Pair(1, 2), r"Pair, not exactly a tuple; send tuple\(it\)"),
    "an ordered dict": (collections.OrderedDict(), r"not exactly a dict; send dict\(it\)"),
    "too many bits": (2**64, r"args\[0\] is an integer of more than 64 bits; send it as text"),
    "too few bits": (-(2**63) - 1, "more than 64 bits"),
    "a surrogate": ("\ud800", r"args\[0\] is text with half a surrogate pair"),
    "a surrogate key": ({"\ud800": 1}, "half a surrogate pair"),
    "a decimal": (decimal.Decimal(1), r"is of type decimal\.Decimal"),
    "a slice": (slice(1), r"is of type builtins\.slice"),
    "itself": (cyclic(), r"lies in more than 100 containers, or in itself"),
    "depth": (deep(MAX_DEPTH + 1), r"lies in more than 100 containers"),
    "objects": (np.array([None]), r"args\[0\] is an array of dtype object; only numbers"),
    "a structure": (np.zeros(2, "i4,f8"), r"is an array of dtype \[\('f0', '<i4'\)"),
    "void": (np.zeros(2, "V3"), r"is an array of dtype .*V3"),
    "a record": (np.zeros(2, "i4,f8")[0], r"is a NumPy scalar of dtype"),
    "a masked array": (np.ma.array([1]), r"MaskedArray; send numpy\.asarray\(it\)"),
    "a dtype": (np.dtype("f4"), r"args\[0\] is of type numpy"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_travel_is_told_with_its_place(what: str) -> None:
    value, message = REFUSED[what]
    with pytest.raises(
        CodecError, match=rf"^server/0\.work: {message}" if message.startswith("args") else message
    ):
        DATA.encode_arguments((value,), {}, None, "server/0.work")
    with pytest.raises(CodecError, match=r"^server/0\.work: kind"):
        DATA.encode_arguments((), {"kind": value}, None, "server/0.work")
    with pytest.raises(CodecError, match=r"^it"):
        DATA.encode(value)


def test_the_deepest_that_travels() -> None:
    assert roundtrip(deep(MAX_DEPTH)) == deep(MAX_DEPTH)


def test_arguments() -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        *(((), {}), ((1, [2]), {}), ((), {"a": 1}), ((np.zeros(2),), {"b": (1,)})),
    ]
    for args, kwargs in calls:
        encoded = DATA.encode_arguments(args, kwargs, None, "t")
        result = DATA.decode_arguments(encoded)
        assert repr(result) == repr((args, kwargs))


@pytest.mark.parametrize(
    "encoded", [lowered(), lowered(1, {}), lowered([], []), lowered([], {}, 1), lowered([1])]
)
def test_other_values_are_no_arguments(encoded: Payload) -> None:
    with pytest.raises(CodecError, match="what came are not a call's arguments"):
        DATA.decode_arguments(encoded)


BYTES = bytearray(8)
LIES: dict[str, Payload] = {
    "nothing": Payload(b""),
    "half": Payload(b"\x92\x01"),
    "more": Payload(b"\x01\x01"),
    "a pickle": Payload(b"\x80\x05K\x01."),
    "a huge list": Payload(b"\xdd\xff\xff\xff\xff\x01"),
    "huge lists in each other": Payload(b"\xdd\x10\xff\xff\xff" * 50),
    "a huge map": Payload(b"\xdf\xff\xff\xff\xff\x01\x01"),
    "a huge key": Payload(b"\x81\xdd\x10\x00\x00\x00\x01"),
    "huge bytes": Payload(b"\xc6\xff\xff\xff\xff\x01"),
    "depth": Payload(b"\x91" * 100_000),
    "depth of keys": Payload(b"\x81" * 100_000),
    "bad text": Payload(b"\xa1\xff"),
    "a timestamp": Payload(b"\xd6\xff\x00\x00\x00\x01"),
    "a bare mark": Payload(msgspec.msgpack.encode(ext(Mark.TUPLE))),
    "a mark with content": lowered(ext(Mark.TUPLE, b"x")),
    "an unknown mark": lowered(ext(99)),
    "a mark inside": lowered(1, ext(Mark.TUPLE)),
    "keys that are no text": Payload(msgspec.msgpack.encode({1: 2})),
    "half a pair": lowered(ext(Mark.MAP), 1),
    "a list as a key": lowered(ext(Mark.MAP), [1], 2),
    "a list in a set": lowered(ext(Mark.SET), [1]),
    "text in a complex": lowered(ext(Mark.COMPLEX), "1", 2.0),
    "no date": lowered(ext(Mark.DATE), "yesterday"),
    "a number as a date": lowered(ext(Mark.DATETIME), 5),
    "too long a time": lowered(ext(Mark.TIMEDELTA), 2**62, 0, 0),
    "a number as bytes": lowered(ext(Mark.BYTEARRAY), 2**40),
    "a number as text": lowered(ext(Mark.TEXT), 5),
    "bytes without array": lowered(1, buffers=(BYTES,)),
    "an array without bytes": lowered(ext(Mark.ARRAY), "|u1", [8], "C"),
    "too few bytes": lowered(ext(Mark.ARRAY), "|u1", [9], "C", buffers=(BYTES,)),
    "too many bytes": lowered(ext(Mark.ARRAY), "<i4", [1], "C", buffers=(BYTES,)),
    "a huge shape": lowered(ext(Mark.ARRAY), "|u1", [2**62, 2**62], "C", buffers=(BYTES,)),
    "huge and empty": lowered(ext(Mark.ARRAY), "|u1", [0, 2**63], "C", buffers=(b"",)),
    "a negative shape": lowered(ext(Mark.ARRAY), "|u1", [-1, -8], "C", buffers=(BYTES,)),
    "a shape of floats": lowered(ext(Mark.ARRAY), "|u1", [8.0], "C", buffers=(BYTES,)),
    "a shape of bools": lowered(ext(Mark.ARRAY), "|u1", [8, True], "C", buffers=(BYTES,)),
    "many dimensions": lowered(ext(Mark.ARRAY), "|u1", [8] + [1] * 64, "C", buffers=(BYTES,)),
    "no order": lowered(ext(Mark.ARRAY), "|u1", [8], "K", buffers=(BYTES,)),
    "objects": lowered(ext(Mark.ARRAY), "|O", [1], "C", buffers=(BYTES,)),
    "objects by name": lowered(ext(Mark.ARRAY), "object", [1], "C", buffers=(BYTES,)),
    "a structure": lowered(ext(Mark.ARRAY), "i4,i4", [1], "C", buffers=(BYTES,)),
    "a structure of objects": lowered(ext(Mark.ARRAY), "O,O", [1], "C", buffers=(BYTES,)),
    "void": lowered(ext(Mark.ARRAY), "|V8", [1], "C", buffers=(BYTES,)),
    "no size": lowered(ext(Mark.ARRAY), "|S0", [2**40], "C", buffers=(b"",)),
    "a huge size": lowered(ext(Mark.ARRAY), "|S9999999999", [0], "C", buffers=(b"",)),
    "a strange size": lowered(ext(Mark.ARRAY), "<i3", [0], "C", buffers=(b"",)),
    "a strange unit": lowered(ext(Mark.ARRAY), "<M8[x]", [1], "C", buffers=(BYTES,)),
    "a dtype that is no text": lowered(ext(Mark.ARRAY), 5, [1], "C", buffers=(BYTES,)),
    "an array of one part": lowered(ext(Mark.ARRAY), "|u1", buffers=(BYTES,)),
    "a short scalar": lowered(ext(Mark.SCALAR), "<f8", b"1234"),
    "a scalar of objects": lowered(ext(Mark.SCALAR), "|O", b"12345678"),
    "an unknown class": lowered(ext(Mark.DATACLASS), "Pint", {}),
    "a class of another kind": lowered(ext(Mark.DATACLASS), "builtins.object", {}),
    "a class that is no text": lowered(ext(Mark.DATACLASS), [1], {}),
    "fields that are a list": lowered(ext(Mark.DATACLASS), "Point", [1]),
    "an unknown field": lowered(ext(Mark.DATACLASS), "Point", {"x": 1, "__class__": 2}),
    "a missing field": lowered(ext(Mark.DATACLASS), "Point", {"y": 1}),
    "a field that is not given": lowered(ext(Mark.DATACLASS), "a leaf", {"points": [], "count": 3}),
    "a refused field": lowered(ext(Mark.DATACLASS), "a leaf", {"points": [], "note": "bad"}),
}


@pytest.mark.parametrize("lie", LIES)
def test_bytes_that_lie_are_an_error_and_nothing_else(lie: str) -> None:
    with pytest.raises(CodecError):
        DATA.decode(LIES[lie])


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ("an unknown class", r"no dataclass is registered as 'Pint' here; did you mean 'Point'\?"),
        ("an unknown field", r"Point has no field '__class__'.*Known: x, y"),
        ("a missing field", "Point needs x, which did not come with it"),
        ("a refused field", "a leaf cannot be made of what came: ValueError: a bad note"),
        ("too few bytes", r"shape \(9,\) and dtype uint8 needs 9 bytes, not 8"),
        ("objects", r"dtype is '\|O', not that of numbers, text or times"),
        ("a pickle", "not encoded by codec='data'"),
    ],
)
def test_the_error_says_what_is_wrong(lie: str, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        DATA.decode(LIES[lie])


def test_fields_that_did_not_come_take_their_defaults() -> None:
    assert DATA.decode(lowered(ext(Mark.DATACLASS), "Point", {"x": 1})) == Point(1, 0.0)


def test_what_can_be_registered() -> None:
    with pytest.raises(UsageError, match="is not a dataclass: put @register_dataclass above"):
        courier.register_dataclass(Producer)
    with pytest.raises(UsageError, match=r"the name 'Point' belongs to .*\.Point already"):
        courier.register_dataclass(Unregistered, "Point")
    constructor_only = dataclasses.make_dataclass("Init", [("x", dataclasses.InitVar[int])])
    with pytest.raises(UsageError, match=r"Init\.x is an InitVar"):
        courier.register_dataclass(constructor_only)


def test_a_class_that_is_defined_again_takes_the_place_of_the_first() -> None:
    def define() -> Any:
        @courier.register_dataclass(name="again")
        @dataclasses.dataclass
        class Again:
            x: int

        return Again

    first, second = define(), define()
    assert type(roundtrip(second(1))) is second
    with pytest.raises(CodecError, match="register_dataclass"):
        DATA.encode(first(1))


# Failures.


class OddError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def sent(error: BaseException, codec: DataCodec = DATA) -> Exception:
    def method() -> None:
        raise error

    try:
        method()
    except BaseException as caught:
        return DATA.decode_failure(codec.encode_failure(caught, None), None)
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [
        *(ValueError("text"), KeyError("key"), ZeroDivisionError(), OSError("a", "b")),
        *(TypeError("a", "b"), NotImplementedError("later"), TimeoutError("late")),
        *(MethodNotFound("no"), PayloadTooLarge("much"), BatchError("b"), CodecError("c")),
        DeadlineExceeded("late"),
    ],
    ids=repr,
)
def test_plain_exceptions_arrive_as_themselves(error: Exception) -> None:
    arrived = sent(error)
    assert type(arrived) is type(error)
    assert arrived.args == error.args
    assert str(arrived) == str(error)
    assert arrived.__cause__ is None


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (OddError(), f"{OddError.__module__}.OddError: (its __str__ raised)"),
        (KeyError(5), "builtins.KeyError: 5"),
        (ValueError(["a"]), "builtins.ValueError: ['a']"),
        (OSError(2, "no file"), "builtins.FileNotFoundError: [Errno 2] no file"),
        (SystemExit("out"), "builtins.SystemExit: out"),
        (KeyboardInterrupt(), "builtins.KeyboardInterrupt: "),
        (StopIteration("end"), "builtins.StopIteration: end"),
        (Unavailable("x", maybe_executed=False), "launchpad_lite.errors.Unavailable: x"),
        (ExceptionGroup("g", [ValueError()]), "builtins.ExceptionGroup: g (1 sub-exception)"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "y"), "builtins.UnicodeDecodeError: 'utf-8'"),
        (RemoteError("other.Error", "why", "its traceback"), "other.Error: why"),
        (ValueError("\ud800"), r"builtins.ValueError: '\ud800'"),
    ],
    ids=repr,
)
def test_others_arrive_as_remote_errors(error: BaseException, shown: str) -> None:
    arrived = sent(error)
    assert type(arrived) is RemoteError
    assert str(arrived).startswith(shown)
    assert arrived.remote_traceback == ""


def test_tracebacks_stay_at_home_unless_the_server_wants_to_show_them() -> None:
    codec = DataCodec(tracebacks=True)
    assert "in method" in str(sent(ValueError("x"), codec).__cause__)
    odd = sent(OddError(), codec)
    assert isinstance(odd, RemoteError)
    assert "in method" in odd.remote_traceback


@pytest.mark.parametrize(
    "parts",
    [
        ("os.system", "m", "", ("true",)),
        ("builtins.eval", "m", "", ("1",)),
        ("builtins.SystemExit", "m", "", ()),
        ("builtins.StopIteration", "m", "", ()),
        ("builtins.__import__", "m", "", ("os",)),
        ("builtins.UnicodeDecodeError", "m", "", ("a",)),
        ("", "m", "", ()),
    ],
)
def test_a_failure_names_no_other_class(parts: tuple[Any, ...]) -> None:
    encoded = Payload(msgspec.msgpack.encode(parts))
    assert type(DATA.decode_failure(encoded, None)) is RemoteError


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x91" * 5000, b"\x94\xa1\xff\xa0\xa0\xc0"])
def test_a_failure_that_is_none(content: bytes) -> None:
    error = DATA.decode_failure(Payload(content), None)
    assert type(error) is CodecError


def test_a_pickled_failure_is_not_read() -> None:
    pickled = PickleCodec().encode_failure(ValueError("x"), None)
    assert type(DATA.decode_failure(pickled, None)) is CodecError
