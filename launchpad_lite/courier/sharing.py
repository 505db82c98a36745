"""What the framed protocol says of shared memory, on connections between processes of a host.

Two kinds of frames go before the one whose buffers lie in a segment:

- `PASSING` brings a new segment; its call id is the segment's number. One byte follows, and with it
  the descriptor (SCM_RIGHTS). A descriptor is lost when its byte is received by a call that does
  not ask for it, and readers read ahead; so the frame is longer than they do. Its pickle is the
  numbers, u32, of segments that the receiver may forget, filled up with zeros.
- `SHARED` says which buffers of the next frame lie in a segment; its call id is the segment's
  number. Its pickle is pairs of a buffer's index, u32, and its length, u64.

See `memfd`, `lending` and `borrowing` for what happens in the segments.
"""

from __future__ import annotations

import array
import socket
import struct
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.courier import frame
from launchpad_lite.courier.borrowing import Borrower
from launchpad_lite.courier.byte_stream import Marker
from launchpad_lite.courier.codec import Payload
from launchpad_lite.courier.frame_reader import BUFFER_BYTES, FrameReader, NotReceived
from launchpad_lite.courier.lending import PART_BYTES, SHARED_BYTES, Lender
from launchpad_lite.courier.memfd import Descriptor
from launchpad_lite.errors import PayloadTooLarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launchpad_lite.courier.byte_stream import Bytes

_PASSING = frame.Kind.PASSING
_PAIR = struct.Struct("<IQ")
_INT = array.array("i").itemsize
_SPACE = socket.CMSG_SPACE(_INT)


class Sharing:
    """The shared memory of one connection, both ways.

    Attributes:
      expects_marker: whether the next byte to be received is a marker.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.expects_marker = False
        self._lender = Lender()
        self._borrower = Borrower()
        self._received: list[Descriptor] = []

    def take_out(self, content: Payload) -> tuple[list[Bytes], Payload]:
        """Put the large buffers of a frame into shared memory, if there are any and it is there.

        Returns:
          What is to be sent before the frame, as pieces, and the content it then has.
        """
        views = [memoryview(buffer).cast("B") for buffer in content.buffers]
        large = [index for index, view in enumerate(views) if len(view) >= PART_BYTES]
        if sum(len(views[index]) for index in large) < SHARED_BYTES:
            return [], content
        loan = self._lender.lend([views[index] for index in large])
        if loan is None:
            return [], content
        ahead: list[Bytes] = []
        if loan.descriptor is not None:
            forgotten = struct.pack(f"<{len(loan.forgotten)}I", *loan.forgotten)
            passing = Payload(forgotten.ljust(BUFFER_BYTES, b"\0"))
            ahead += frame.pack(frame.Kind.PASSING, loan.number, passing)
            marker = Marker(1)
            marker.holder = loan.descriptor
            ahead.append(marker)
        pairs = b"".join([_PAIR.pack(index, len(views[index])) for index in large])
        ahead += frame.pack(frame.Kind.SHARED, loan.number, Payload(pairs))
        small = [view for view in views if len(view) < PART_BYTES]
        return ahead, Payload(content.pickled, small)

    def take_back(self, pieces: Sequence[Bytes]) -> None:
        """Note that a frame which was packed will not be sent."""
        kind, _, number, *_ = frame.HEAD.unpack_from(pieces[0])
        if kind in (frame.Kind.PASSING, frame.Kind.SHARED):
            self._lender.take_back(number, passed=kind == frame.Kind.SHARED)

    def send(self, sock: socket.socket, pieces: Sequence[Bytes], flags: int) -> int:
        """Send the beginning of some pieces, the descriptors of markers with them."""
        for index, piece in enumerate(pieces):
            if type(piece) is Marker:
                if index:
                    return sock.sendmsg(pieces[:index], (), flags)
                return self._pass(sock, piece, flags)
        return sock.sendmsg(pieces, (), flags)

    def _pass(self, sock: socket.socket, marker: Marker, flags: int) -> int:
        passed = array.array("i", [marker.holder.number])
        return sock.sendmsg([marker], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)], flags)

    def receive(self, sock: socket.socket, marker: memoryview, flags: int) -> int:
        """Receive a marker, and keep what comes with it."""
        flags |= socket.MSG_CMSG_CLOEXEC
        count, ancillary, _, _ = sock.recvmsg_into([marker], _SPACE, flags)
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                whole = len(data) // _INT * _INT
                self._received += map(Descriptor, array.array("i", data[:whole]))
        return count

    def add(self, passing: frame.Frame) -> None:
        """Take over the segment of a frame whose marker has been received.

        Raises:
          ProtocolError: none came, or something else.
        """
        received, self._received = self._received, []
        if len(received) != 1:
            message = (
                f"{len(received)} descriptors came with a shared segment instead of one; perhaps "
                "this process has as many open as it may (ulimit -n)"
            )
            raise frame.ProtocolError(message)
        self._borrower.forget(passing.ids())
        self._borrower.add(passing.call_id, received[0])

    def put_in(self, shared: frame.Frame, found: frame.Frame, limit: int) -> frame.Frame:
        """Return a frame with the buffers that lie in shared memory.

        Args:
          shared: the frame before it, which says so.
          found: the frame without them.
          limit: the most bytes of its pickle and buffers.

        Raises:
          ProtocolError: there are no such buffers.
          PayloadTooLarge: the frame exceeds the limit.
          NotReceived: there is no memory to copy them to.
        """
        pairs = _pairs(shared)
        lengths = [length for _, length in pairs]
        frame.check_lengths(found.content.size, lengths, limit)
        buffers: list[Bytes] = list(found.content.buffers)
        try:
            borrowed = self._borrower.borrow(shared.call_id, lengths)
        except PayloadTooLarge as error:
            raise NotReceived(error.with_traceback(None), found.call_id) from None
        for (index, _), buffer in zip(pairs, borrowed, strict=True):
            buffers.insert(index, buffer)
        content = Payload(found.content.pickled, buffers)
        return msgspec.structs.replace(found, content=content)

    def close(self) -> None:
        """Let go of all of it; the arrays that lie in it stay."""
        self._lender.close()
        self._borrower.close()


def _pairs(shared: frame.Frame) -> list[tuple[int, int]]:
    try:
        return list(_PAIR.iter_unpack(shared.content.pickled))
    except struct.error as error:
        message = "the peer speaks of shared buffers that are none"
        raise frame.ProtocolError(message) from error


class SharingReader(FrameReader):
    """Takes received bytes, gives frames with the buffers that lie in shared memory."""

    def __init__(self, limit: int, sharing: Sharing) -> None:
        """Begin a stream.

        Args:
          limit: see the base class.
          sharing: of the connection.
        """
        super().__init__(limit)
        self._sharing = sharing
        self._passing: frame.Frame | None = None
        self._shared: frame.Frame | None = None

    def next(self) -> frame.Frame | None:
        """See the base class.

        Raises:
          ProtocolError, PayloadTooLarge, NotReceived: also for what is said of shared memory.
        """
        try:
            found = super().next()
            if found is None or (found.kind < _PASSING and self._shared is None):
                return found
            return self._with_shared(found)
        except NotReceived:
            self._shared = None
            raise

    def _with_shared(self, found: frame.Frame | None) -> frame.Frame | None:
        while found is not None and found.kind >= _PASSING:
            if found.kind == frame.Kind.SHARED:
                self._shared = found
            elif found is self._passing:  # now with its marker
                self._passing = None
                self._sharing.add(found)
            else:
                self._passing = found
                self._apart = _AwaitedMarker(found, self._sharing)
            found = super().next()
        if found is not None and self._shared is not None:
            found = self._sharing.put_in(self._shared, found, self.limit)
            self._shared = None
        return found


class _AwaitedMarker:
    """The marker of a `PASSING` frame; the frame is given again when it has come."""

    def __init__(self, passing: frame.Frame, sharing: Sharing) -> None:
        if len(passing.content.pickled) < BUFFER_BYTES:
            message = "the peer announced a shared segment in a frame that is too short"
            raise frame.ProtocolError(message)
        self.frame: frame.Frame | None = None
        self.lost: PayloadTooLarge | None = None
        self._passing = passing
        self._sharing = sharing
        sharing.expects_marker = True

    def space(self) -> memoryview:
        return memoryview(bytearray(1))

    def received(self, count: int) -> None:
        if count:
            self._sharing.expects_marker = False
            self.frame = self._passing
