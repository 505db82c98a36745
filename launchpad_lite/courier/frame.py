"""The framed protocol: how requests and replies look as bytes.

A connection begins with `MAGIC` and the token, from the client; nothing else is read before they
are right. Frames follow in both directions:

```
kind u8, pad, method length u16, call id u32, timeout f64 (0: none), pickle length u64, buffers u32,
reserved u32 | method, utf-8 | length of each buffer, u64 | pickle | buffers
```

All numbers are little-endian. A server that stops says so in a last frame but for the replies: its
pickle is the ids, u32, of the calls that have begun; the others never will.
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING, NamedTuple

from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.messages import Reply, Request
from launchpad_lite.errors import PayloadTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAGIC = b"LPC1"
HEAD = struct.Struct("<BxHIdQII")
MAX_METHOD = 2**12

Bytes = bytes | bytearray | memoryview


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


class Frame(NamedTuple):
    """One frame."""

    kind: int
    call_id: int
    timeout: float | None
    method: str
    content: Payload

    def request(self) -> Request:
        """Return it as a request."""
        return Request(self.method, self.content, self.timeout)

    def reply(self) -> Reply:
        """Return it as a reply."""
        return Reply(self.kind == Kind.RESULT, self.content)

    def begun(self) -> set[int]:
        """Return the ids in a frame of a server that stops."""
        pickled = self.content.pickled
        return set(struct.unpack(f"<{len(pickled) // 4}I", pickled))


class ProtocolError(Exception):
    """The peer does not speak this protocol."""


def pack(
    kind: Kind,
    call_id: int,
    content: Payload,
    *,
    method: str = "",
    timeout: float | None = None,
) -> list[Bytes]:
    """Return a frame as pieces to be sent one after the other; array buffers are not copied."""
    name = method.encode()
    buffers = [memoryview(buffer).cast("B") for buffer in content.buffers]
    head = HEAD.pack(
        kind, len(name), call_id, timeout or 0.0, len(content.pickled), len(buffers), 0
    )
    lengths = struct.pack(f"<{len(buffers)}Q", *[len(buffer) for buffer in buffers])
    first = b"".join((head, name, lengths))
    if len(content.pickled) < 2**12:  # one piece costs less than two
        return [first + content.pickled, *buffers]
    return [first, content.pickled, *buffers]


def pack_request(request: Request, call_id: int, kind: Kind = Kind.CALL) -> list[Bytes]:
    """Return a request as a frame."""
    return pack(kind, call_id, request.arguments, method=request.method, timeout=request.timeout)


def pack_reply(reply: Reply, call_id: int) -> list[Bytes]:
    """Return a reply as a frame."""
    return pack(Kind.RESULT if reply.ok else Kind.FAILURE, call_id, reply.content)


def pack_stopping(begun: Iterable[int]) -> list[Bytes]:
    """Return the frame with which a server says that it stops.

    Args:
      begun: the ids of the connection's calls that run, and will be answered if they end in time.
    """
    ids = list(begun)
    return pack(Kind.STOPPING, 0, Payload(struct.pack(f"<{len(ids)}I", *ids)))


def read(receive: Callable[[int], bytearray], limit: int, head: bytearray | None = None) -> Frame:
    """Read one frame.

    Args:
      receive: returns exactly so many bytes, in memory of their own.
      limit: the most bytes of pickle and buffers.
      head: the frame's first `HEAD.size` bytes, where they have been received already.

    Raises:
      ProtocolError: these are not frames.
      PayloadTooLarge: the frame exceeds the limit; it has not been read.
    """
    kind, name_length, call_id, timeout, pickle_length, count, reserved = HEAD.unpack(
        head or receive(HEAD.size)
    )
    if not Kind.WELCOME <= kind <= Kind.STOPPING or reserved or name_length > MAX_METHOD:
        message = "the peer sent something that is not a frame"
        raise ProtocolError(message)
    if pickle_length > limit or 8 * count > limit:
        message = (
            f"a message of {pickle_length:,} bytes and {count:,} buffers exceeds the limit of "
            f"{limit:,} bytes"
        )
        raise PayloadTooLarge(message)
    rest = memoryview(receive(name_length + 8 * count + pickle_length))
    lengths = struct.unpack_from(f"<{count}Q", rest, name_length)
    total = pickle_length + sum(lengths)
    if total > limit:
        message = f"a message of {total:,} bytes exceeds the limit of {limit:,}"
        raise PayloadTooLarge(message)
    try:
        method = str(rest[:name_length], "utf-8")
    except UnicodeDecodeError as error:
        message = "the peer sent a method's name that is not text"
        raise ProtocolError(message) from error
    pickled = rest[name_length + 8 * count :]
    buffers = [receive(length) for length in lengths]
    return Frame(kind, call_id, timeout or None, method, Payload(pickled, buffers))


def parse(message: bytes, limit: int) -> Frame:
    """Read one frame out of a message that holds nothing else.

    Raises:
      ProtocolError: it does not hold a frame.
      PayloadTooLarge: see `read`.
    """
    view = memoryview(message)
    position = 0

    def receive(size: int) -> bytearray:
        nonlocal position
        if position + size > len(view):
            text = "a message ends in the middle of its frame"
            raise ProtocolError(text)
        part = bytearray(view[position : position + size])
        position += size
        return part

    parsed = read(receive, limit)
    if position != len(view):
        text = f"a message goes on after its frame, for {len(view) - position:,} bytes"
        raise ProtocolError(text)
    return parsed
