"""`codec="data"`, fuzzed: what goes in comes out, and no bytes do any harm."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from launchpad_lite import courier
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.data_codec import DataCodec
from launchpad_lite.courier.data_marks import Mark
from launchpad_lite.errors import CodecError

DATA = DataCodec()

fixed = settings(derandomize=True, deadline=None, database=None, max_examples=300)


@courier.register_dataclass(name="fuzz")
@dataclasses.dataclass(frozen=True)
class Fuzz:
    a: Any
    b: Any = None


DTYPES = [
    *("|b1", "|i1", "<i2", ">i4", "<u8", "<f2", "<f4", ">f8", "<c8", "|S3", "<U2", "<M8[s]", "<m8"),
]


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    count = int(np.prod(shape, dtype=int))
    content = draw(st.binary(min_size=count, max_size=count))
    array = np.frombuffer(content, np.uint8).astype((dtype.kind == "b" and "b1") or "u1")
    flat = array.astype(str).astype(dtype) if dtype.kind in "SU" else array.astype(dtype)
    made: np.ndarray[Any, Any] = flat.reshape(shape)
    if draw(st.booleans()):
        made = np.asfortranarray(made)
    return made.transpose(draw(st.permutations(range(made.ndim))))


hashables = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.dates()
    | st.times()
    | st.timedeltas(),
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.frozensets(inner, max_size=4)
        | st.builds(Fuzz, inner, inner)
    ),
    max_leaves=8,
)
values = st.recursive(
    hashables | arrays() | st.binary().map(bytearray) | st.sets(hashables, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.builds(Fuzz, inner, inner)
    ),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape) == (other.dtype, other.shape) and np.array_equal(
            one, other, equal_nan=one.dtype.kind in "fcmM"
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, Fuzz):
        return same((one.a, one.b), (other.a, other.b))
    equal: bool = one == other
    return equal


@fixed
@given(values)
def test_what_goes_in_comes_out(value: Any) -> None:
    payload = DATA.encode(value, copy=True)
    assert same(DATA.decode(payload), value)
    args, kwargs = DATA.decode_arguments(DATA.encode_arguments((value,), {"k": 1}, None, "t"))
    assert same(args, (value,))
    assert kwargs == {"k": 1}


def tried(payload: Payload) -> None:
    """Decode; the codec's error is the only one."""
    try:
        DATA.decode(payload)
    except CodecError:
        return


@fixed
@given(st.binary(max_size=200), st.lists(st.binary(max_size=20), max_size=3))
def test_any_bytes(content: bytes, buffers: list[bytes]) -> None:
    tried(Payload(content, buffers))
    DATA.decode_failure(Payload(content), None)
    try:
        DATA.decode_arguments(Payload(content, buffers))
    except CodecError:
        return


@fixed
@given(values, st.data())
def test_values_with_a_few_bytes_changed(value: Any, data: st.DataObject) -> None:
    payload = DATA.encode(value, copy=True)
    content = bytearray(payload.pickled)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    tried(Payload(bytes(content), payload.buffers))


marks = st.sampled_from([msgspec.msgpack.Ext(int(mark), b"") for mark in Mark])
words = st.sampled_from(["fuzz", "a", "b", "|u1", "<f8", "<M8[s]", "|O", "C", "F", "2024-01-01"])
parts = st.recursive(
    st.none() | st.integers(-2, 9) | st.just(2**62) | st.floats() | words | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(marks, inner).map(list)
        | st.tuples(marks, words, inner).map(list)
        | st.tuples(marks, words, st.lists(st.integers(-1, 9), max_size=3), words).map(list)
        | st.dictionaries(words, inner, max_size=3)
    ),
    max_leaves=20,
)


@fixed
@given(parts, st.lists(st.integers(0, 80).map(bytes), max_size=3))
def test_marks_where_they_do_not_belong(taken: Any, buffers: list[bytes]) -> None:
    tried(Payload(msgspec.msgpack.encode(taken), buffers))
