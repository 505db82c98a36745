"""The framed protocol: how requests and replies look as bytes.

A connection begins with `MAGIC` and the token, from the client; nothing else is read before they
are right. Frames follow in both directions, the client's first saying who it is, for people (in
place of a method):

```
kind u8, pad, method length u16, call id u32, timeout f64 (0: none), pickle length u64, buffers u32,
detail u32 | method, utf-8 | length of each buffer, u64 | pickle | buffers
```

All numbers are little-endian. The detail of a failure is its status code. That of a call with a
timeout, and of the first frame, is when it was made, by the client's clock; see `TransitTimes`.

A server that stops says so in a last frame but for the replies: its pickle is the ids, u32, of the
calls that have begun; the others never will. A client that gives calls up may say so: the pickle of
such a frame is their ids. Who reads a stream tells from time to time, in place of an id, how many
values more were read; see `stream_window`. Between processes of a host, two more kinds of frames
speak of shared memory; see `sharing`.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, Protocol

import msgspec

from launchpad_lite.courier import transit
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.messages import Reply, Request
from launchpad_lite.errors import PayloadTooLarge, StatusCode

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from launchpad_lite.courier.byte_stream import Bytes

MAGIC = b"LPC1"
HEAD = struct.Struct("<BxHIdQII")
Head = tuple[int, int, int, float, int, int, int]
"""What `HEAD` unpacks: kind, bytes of the method, id, timeout, bytes of the pickle, buffers, and
detail."""

MAX_METHOD = 2**12
_ONE_PIECE = 2**12  # bytes; one piece costs less than two


class Kind(enum.IntEnum):
    """What a frame is."""

    WELCOME = 1
    REFUSED = 2
    CALL = 3
    STREAM = 4
    RESULT = 5
    FAILURE = 6
    END = 7
    STOPPING = 8
    CANCEL = 9
    CALLER = 10
    READ = 11
    PASSING = 12  # from here on they speak of shared memory
    SHARED = 13


_LEAST, _GREATEST = int(min(Kind)), int(max(Kind))
_CALL, _RESULT, _FAILURE = Kind.CALL, Kind.RESULT, Kind.FAILURE  # an enum is slow to ask
_DETAILED = (_CALL, Kind.STREAM, _FAILURE, Kind.CALLER)
_NUMBERS = {code.name: int(code) for code in StatusCode}
_NAMES = {number: name for name, number in _NUMBERS.items()}
_UNKNOWN = StatusCode.UNKNOWN.name


class Frame(msgspec.Struct, frozen=True):
    """One frame."""

    kind: int
    call_id: int
    timeout: float | None
    method: str
    content: Payload
    detail: int = 0

    def request(self) -> Request:
        """Return it as a request."""
        return Request(self.method, self.content, self.timeout)

    def reply(self) -> Reply:
        """Return it as a reply."""
        if self.kind == _RESULT:
            return Reply(True, self.content)
        return Reply(False, self.content, _NAMES.get(self.detail, _UNKNOWN))

    def ids(self) -> set[int]:
        """Return the ids in a frame that is about several calls.

        Raises:
          ProtocolError: it holds something else.
        """
        pickled = self.content.pickled
        try:
            return set(struct.unpack(f"<{len(pickled) // 4}I", pickled))
        except struct.error as error:
            message = "the peer sent numbers of calls that are none"
            raise ProtocolError(message) from error


class ProtocolError(Exception):
    """The peer does not speak this protocol."""


class Lends(Protocol):
    """What takes large buffers out of frames; see `sharing`."""

    def take_out(self, content: Payload) -> tuple[list[Bytes], Payload]:
        """Return the pieces to be sent before a frame, and the content it then has."""
        ...


def pack(
    kind: Kind,
    call_id: int,
    content: Payload,
    *,
    method: str = "",
    timeout: float | None = None,
    detail: int = 0,
    sharing: Lends | None = None,
) -> list[Bytes]:
    """Return a frame as pieces to be sent one after the other; array buffers are not copied.

    Except into shared memory, where there is some: then frames that say so go before it.
    """
    name = method.encode()
    pickled = content.pickled
    if not content.buffers:
        first = HEAD.pack(kind, len(name), call_id, timeout or 0.0, len(pickled), 0, detail) + name
        return [first + pickled] if len(pickled) < _ONE_PIECE else [first, pickled]
    ahead: list[Bytes] = []
    if sharing is not None:
        ahead, content = sharing.take_out(content)
    buffers = [memoryview(buffer).cast("B") for buffer in content.buffers]
    sizes = len(pickled), len(buffers)
    head = HEAD.pack(kind, len(name), call_id, timeout or 0.0, *sizes, detail)
    lengths = struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    before = ahead.pop() if ahead else b""
    first = b"".join((before, head, name, lengths))
    if len(pickled) < _ONE_PIECE:
        return [*ahead, first + pickled, *buffers]
    return [*ahead, first, pickled, *buffers]


def pack_request(
    request: Request, call_id: int, kind: Kind = _CALL, sharing: Lends | None = None
) -> list[Bytes]:
    """Return a request as a frame; see `pack`."""
    timeout = request.timeout
    return pack(
        kind,
        call_id,
        request.arguments,
        method=request.method,
        timeout=timeout,
        detail=0 if timeout is None else transit.now(),
        sharing=sharing,
    )


def pack_reply(reply: Reply, call_id: int, sharing: Lends | None = None) -> list[Bytes]:
    """Return a reply as a frame; see `pack`."""
    if reply.ok:
        return pack(_RESULT, call_id, reply.content, sharing=sharing)
    return pack(
        _FAILURE, call_id, reply.content, detail=_NUMBERS.get(reply.code, 0), sharing=sharing
    )


def pack_caller(name: str) -> list[Bytes]:
    """Return the frame that says who the client is; and what time it is there."""
    return pack(Kind.CALLER, 0, Payload(b""), method=name, detail=transit.now())


def pack_read(count: int) -> list[Bytes]:
    """Return the frame that says how many more values of a stream were read."""
    return pack(Kind.READ, count, Payload(b""))


def pack_ids(kind: Kind, ids: Iterable[int]) -> list[Bytes]:
    """Return a frame that is about several calls.

    Args:
      kind: `STOPPING`, about the connection's calls that run, and will be answered if they end in
        time; or `CANCEL`, about those that nobody waits for.
      ids: of the calls.
    """
    listed = list(ids)
    return pack(kind, 0, Payload(struct.pack(f"<{len(listed)}I", *listed)))


def check_head(head: Head, limit: int) -> Head:
    """Return a frame's unpacked head, unless it is refused before there is memory for it.

    Args:
      head: of the frame.
      limit: the most bytes of pickle and buffers.

    Raises:
      ProtocolError: this is no frame.
      PayloadTooLarge: it exceeds the limit.
    """
    kind, name, _, timeout, pickled, buffers, detail = head
    known = _LEAST <= kind <= _GREATEST and (not detail or kind in _DETAILED)
    if not known or name > MAX_METHOD or not timeout >= 0.0:  # nor is it a number
        message = "the peer sent something that is not a frame"
        raise ProtocolError(message)
    if pickled > limit or 8 * buffers > limit:
        message = (
            f"a message of {pickled:,} bytes and {buffers:,} buffers exceeds the limit of "
            f"{limit:,} bytes"
        )
        raise PayloadTooLarge(message)
    return head


def check_lengths(pickled: int, lengths: Sequence[int], limit: int) -> int:
    """Return the bytes of a frame's pickle and buffers.

    Raises:
      PayloadTooLarge: they exceed the limit.
    """
    total = pickled + sum(lengths)
    if total > limit:
        message = f"a message of {total:,} bytes exceeds the limit of {limit:,}"
        raise PayloadTooLarge(message)
    return total


def method_name(encoded: Bytes) -> str:
    """Return a method's name.

    Raises:
      ProtocolError: it is no text.
    """
    try:
        return str(encoded, "utf-8")
    except UnicodeDecodeError as error:
        message = "the peer sent a method's name that is not text"
        raise ProtocolError(message) from error


def assemble(head: Head, limit: int) -> Generator[int, bytearray | memoryview, Frame]:
    """Make a frame from its unpacked head and what follows, wherever that comes from.

    Yields:
      How many bytes come next; send them in, in memory that the frame takes over.

    Raises:
      ProtocolError: this is no frame.
      PayloadTooLarge: it exceeds the limit.
    """
    kind, name, call_id, timeout, pickled, count, detail = check_head(head, limit)
    first = memoryview((yield name + 8 * count + pickled))
    lengths = struct.unpack_from(f"<{count}Q", first, name)
    check_lengths(pickled, lengths, limit)
    method = method_name(first[:name])
    buffers: list[Bytes] = []
    for length in lengths:
        buffers.append((yield length))  # noqa: PERF401 - a comprehension cannot yield
    content = Payload(first[name + 8 * count :], buffers)
    return Frame(kind, call_id, timeout or None, method, content, detail)


def parse(message: bytes, limit: int) -> Frame:
    """Read one frame out of a message that holds nothing else.

    Raises:
      ProtocolError: it does not hold a frame.
      PayloadTooLarge: see `assemble`.
    """
    view = memoryview(message)
    place = 0

    def take(size: int) -> memoryview:
        nonlocal place
        if place + size > len(view):
            text = "a message ends in the middle of its frame"
            raise ProtocolError(text)
        place += size
        return view[place - size : place]

    parts = assemble(HEAD.unpack(take(HEAD.size)), limit)
    size = next(parts)
    try:
        while True:
            size = parts.send(bytearray(take(size)))
    except StopIteration as end:
        found: Frame = end.value
    if place != len(view):
        text = f"a message goes on after its frame, for {len(view) - place:,} bytes"
        raise ProtocolError(text)
    return found
