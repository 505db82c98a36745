"""Objects to bytes and back."""

from __future__ import annotations

import enum
import mmap
import resource
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from launchpad_lite.courier import codec, codecs
from launchpad_lite.courier.client import Client
from launchpad_lite.courier.codec import Codec
from launchpad_lite.courier.data_codec import DataCodec
from launchpad_lite.errors import PayloadTooLarge, ProgramError
from launchpad_lite.handle import receiving_scope
from launchpad_lite.nodes.courier import CourierNode
from tests.unit.fake_scope import FakeScope

MEGABYTE = 2**20
GIGABYTE = 2**30
Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - not typed, as users' often are


class Color(enum.Enum):
    RED = 1
    LIST = [1]  # noqa: RUF012 - a member with a value that can change


class Bits(enum.Flag):
    A = 1
    B = 2


class Count(int):
    pass


class Plain:
    def __init__(self, value: Any = None) -> None:
        self.value = value


class Producer:
    def work(self) -> int:
        return 1


class Refusing:
    def __reduce__(self) -> Any:
        raise ValueError("not now")


def roundtrip(value: Any, *, copy: bool = False, direct: bool = False) -> Any:
    return codec.decode(codec.encode(value, copy=copy, direct=direct))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**100,
        1.5,
        1j,
        "text",
        b"bytes",
        Color.RED,
        Color.LIST,
        Bits.A | Bits.B,
        (),
        (1, ("a", (None,))),
        frozenset({"a"}),
    ],
    ids=repr,
)
def test_immutable_atoms_pass_as_they_are(value: Any) -> None:
    payload = codec.encode(value, direct=True)
    assert payload.direct == (value,)
    assert codec.decode(payload) is value
    assert payload.size == 0


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {1},
        bytearray(b"a"),
        Plain(),
        Count(3),
        np.float64(1),
        Pair(1, 2),
        (1, []),
        Plain,
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_else_is_encoded(value: Any) -> None:
    payload = codec.encode(value, direct=True)
    assert payload.direct is None
    assert type(codec.decode(payload)) is type(value)


def test_mutable_values_are_copied() -> None:
    value = [1, {"a": [2]}]
    result = roundtrip(value, direct=True)
    value.append(3)
    assert result == [1, {"a": [2]}]


def test_arrays_are_not_copied_into_the_pickle() -> None:
    array = np.zeros(MEGABYTE, np.uint8)
    payload = codec.encode([array, array[: MEGABYTE // 2].reshape(2, -1)])
    assert len(payload.pickled) < 1000
    assert [memoryview(buffer).nbytes for buffer in payload.buffers] == [MEGABYTE, MEGABYTE // 2]
    assert payload.size == len(payload.pickled) + MEGABYTE * 3 // 2


def test_buffers_are_views_unless_they_are_to_be_copied() -> None:
    array = np.zeros(MEGABYTE, np.uint8)
    view, copy = codec.encode(array), codec.encode(array, copy=True)
    array[0] = 9
    assert bytes(view.buffers[0][:2]) == b"\x09\0"
    assert bytes(copy.buffers[0][:2]) == b"\0\0"


def test_the_receiver_owns_the_buffers() -> None:
    array = np.zeros(4)
    result = roundtrip(array, copy=True)
    result += 1
    assert array.sum() == 0


def test_classes_travel_by_reference() -> None:
    payload = codec.encode(Plain([1]))
    assert __name__.encode() in bytes(payload.pickled)
    assert type(codec.decode(payload)) is Plain


def test_what_has_no_name_travels_by_value() -> None:
    offset = 10

    class Local:
        def shifted(self, value: int) -> int:
            return value + offset

    array = np.arange(3)
    function, local, same = roundtrip((lambda: array.sum() + offset, Local(), array))
    assert function() == 13
    assert local.shifted(1) == 11
    assert same.tolist() == [0, 1, 2]


def test_classes_of_a_script_without_a_file_travel_by_value() -> None:
    script = (
        "import sys, numpy\n"
        "from launchpad_lite.courier import codec\n"
        "class Mine:\n"
        "    def __init__(self, value): self.value = value\n"
        "    def double(self): return 2 * self.value\n"
        "payload = codec.encode([Mine(numpy.arange(3)), Mine], copy=True)\n"
        "sys.stdout.write(repr((payload.pickled, [bytes(b) for b in payload.buffers])))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    pickled, buffers = eval(output)
    mine, kind = codec.decode(codec.Payload(pickled, buffers))
    assert mine.double().tolist() == [0, 2, 4]
    assert kind(4).double() == 8


def test_what_cannot_be_pickled_says_so() -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        codec.encode([threading.Lock()])
    with pytest.raises(ValueError, match="not now"):
        codec.encode(Refusing())


def test_a_handle_becomes_a_client_of_the_receiver_s_run() -> None:
    node = CourierNode(Producer)
    handle: Any = node.create_handle()
    sender = FakeScope("run", {handle.address: "producer/0"})
    receiver = FakeScope("run")
    payload = codec.encode({"deep": [(handle, Plain(handle))]}, sender)
    ((client, plain),) = codec.decode(payload, receiver)["deep"]
    assert isinstance(client, Client)
    assert client.address == "producer/0"
    assert isinstance(plain.value, Client)
    assert receiving_scope() is None


def test_a_client_becomes_a_client_of_the_receiver_s_run() -> None:
    handle: Any = CourierNode(Producer).create_handle()
    sender = FakeScope("run", {handle.address: "producer/0"})
    client = codec.decode(codec.encode(handle, sender), sender)
    again = codec.decode(codec.encode([client], sender), FakeScope("run"))[0]
    assert isinstance(again, Client)
    assert again.address == "producer/0"


def test_a_handle_has_no_name_outside_a_run() -> None:
    handle: Any = CourierNode(Producer).create_handle()
    with pytest.raises(ProgramError, match="no name outside a run"):
        codec.encode(handle)
    scope = FakeScope("run", {handle.address: "producer/0"})
    with pytest.raises(ValueError, match="not now"):
        codec.encode([handle, Refusing()], scope)
    with pytest.raises(ProgramError, match="no name outside a run"):
        codec.encode(handle)  # the failure before has left no scope behind


def test_sizes_are_checked() -> None:
    payload = codec.encode(np.zeros(100, np.uint8))
    assert codec.check_size(payload, payload.size, "this") is payload
    with pytest.raises(PayloadTooLarge, match=rf"^this: {payload.size} bytes exceed the limit of"):
        codec.check_size(payload, payload.size - 1, "this")


def read_only() -> Any:
    return np.frombuffer(mmap.mmap(-1, 5 * GIGABYTE, prot=mmap.PROT_READ), np.uint8)


def in_pieces() -> Any:
    return np.broadcast_to(np.zeros((2**20, 2))[:, :1], (2**20, 2**18))


@pytest.mark.parametrize("made", [codecs.PICKLE, DataCodec()], ids=["pickle", "data"])
@pytest.mark.parametrize("kind", [read_only, in_pieces])
def test_what_is_too_large_is_refused_before_it_is_copied(
    made: Codec, kind: Callable[[], Any]
) -> None:
    """There may be no memory for it: of these, nothing has been touched."""
    array = kind()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        PayloadTooLarge, match=r"a call to a\.b: [\d,]+ bytes exceed the limit of 5,"
    ):
        made.encode_arguments((array,), {}, None, "a.b", copy=True, limit=5000)
    with pytest.raises(PayloadTooLarge, match=r"^[\d,]+ bytes exceed the limit"):
        made.encode([array], limit=5000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < GIGABYTE // 1024
