"""A stream as its reader sees it, over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from launchpad_lite import forks
from launchpad_lite.courier import frame
from launchpad_lite.courier.stream_window import Readings
from launchpad_lite.courier.transport import ReplyStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.courier.messages import Reply


class GrpcStream(ReplyStream):
    """Reads a stream, and tells the server how much of it was read."""

    def __init__(
        self,
        call: Any,
        read: Callable[[bytes], Reply],
        tell: Callable[[int], object],
        translate: Callable[[Exception], Exception],
    ) -> None:
        """Read a stream that has begun.

        Args:
          call: gRPC's.
          read: returns the reply in a message.
          tell: tells the server that so many values more were read.
          translate: returns what the reader is told of an error.
        """
        self._call = call
        forks.track(self)
        self._read = read
        self._tell = tell
        self._readings = Readings()
        self._translate = translate

    def begin(self) -> None:
        """Leave the stream to the parent of a forked process; see `forks`."""
        forks.abandon(self._call)

    def __next__(self) -> Reply:
        """See the base class."""
        if self.closed:
            raise StopIteration
        try:
            reply = self._read(next(self._call))
        except (grpc.RpcError, frame.ProtocolError) as error:
            if self.closed:
                raise StopIteration from None
            self.close()
            raise self._translate(error) from None
        count = self._readings.note(reply.content.size)
        if count:
            self._tell(count)
        return reply

    def close(self) -> None:
        """See the base class."""
        self.closed = True
        self._call.cancel()
