"""What carries calls. A new transport is one new file with these three classes.

A *service* is what a server offers; a *listener* lets peers reach it over one transport; a
*channel* is a client's way to one listener. Requests and replies are bytes here: nothing is
decoded before the peer has proved with the token that it belongs to the run.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
from typing import TYPE_CHECKING, ClassVar, Protocol

from launchpad_lite.endpoint import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.config import CodecName
    from launchpad_lite.context import Context
    from launchpad_lite.courier.call import ServerCall
    from launchpad_lite.courier.callers import Caller
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo
    from launchpad_lite.credentials import Credentials
    from launchpad_lite.metrics import Meter


class ReplyStream(abc.ABC):
    """Replies that come one after the other; both ends have one.

    It ends with StopIteration after the last one, and where it was closed. A client's raises
    `Unavailable` when the server goes away, and `Stopped` when its channel is closed.

    Attributes:
      closed: it was ended by `close`, and not by its last reply.
    """

    closed: bool = False

    def __iter__(self) -> ReplyStream:
        """Return itself."""
        return self

    @abc.abstractmethod
    def __next__(self) -> Reply:
        """Wait for the next reply."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the stream, from any thread; who waits in it gets StopIteration.

        A server's thread that takes replies out of a stream closes it when it stops doing so.
        """


class Where(enum.Enum):
    """Which thread may run a call that a listener gives to its service."""

    HERE = enum.auto()
    """The one that gives it, however long it takes."""
    HERE_IF_QUICK = enum.auto()
    """The one that gives it, when the method has been quick so far."""
    ELSEWHERE = enum.auto()
    """One of the service's."""


class Service(Protocol):
    """What a server offers to its listeners."""

    @property
    def credentials(self) -> Credentials:
        """What peers must have too."""
        ...

    @property
    def max_payload_bytes(self) -> int:
        """The largest request to accept."""
        ...

    @property
    def context(self) -> Context | None:
        """The node that the calls run in."""
        ...

    def info(self) -> ServerInfo:
        """Return what the handshake tells."""
        ...

    def begin(self, call: ServerCall, where: Where) -> bool:
        """Take a call, which is answered or refused once, now or later; never raises.

        Args:
          call: the call.
          where: which thread may run it.

        Returns:
          Whether there was room for it. If not, the listener holds it, takes no more from its
          client, and offers it again after `when_space`; or it answers with `exhausted`.
        """
        ...

    def failure(self, error: BaseException) -> Reply:
        """Return an exception as a reply, in the service's own codec."""
        ...

    def caller(self, name: str) -> Caller:
        """Return who calls, by what a client says of itself."""
        ...

    def answers_later(self, method: str) -> bool:
        """Whether a method's calls need no thread until they have their result."""
        ...

    def when_space(self, callback: Callable[[], object]) -> None:
        """Call a quick function once, from any thread, when there is room for calls again."""
        ...

    def exhausted(self, call: ServerCall) -> Reply:
        """Return the failure of a call that there is no room for."""
        ...

    def refuse(self) -> None:
        """Begin no more calls, and refuse those that wait; every listener that stops asks for it.

        The calls that have begun go on.
        """
        ...

    def join(self, timeout: float) -> None:
        """Wait for the threads that ran calls, after `refuse`, for at most so many seconds."""
        ...

    def open_stream(self, request: Request, caller: Caller) -> ReplyStream:
        """Prepare a stream; the thread that takes its replies runs it. Never raises."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ListenOptions:
    """Where to listen, for the transports that care.

    Attributes:
      host: the address or name of this host to listen on, and to publish.
      port: the TCP port; 0 for any.
      directory: a private directory for sockets, with a short path.
      busy_poll_us: microseconds to look for the next call before sleeping.
    """

    host: str = LOOPBACK
    port: int = 0
    directory: str | None = None
    busy_poll_us: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ConnectOptions:
    """How to be a client, for the transports that care.

    Attributes:
      compress: ask for compression.
      busy_poll_us: microseconds to look for a reply before sleeping.
      caller: what the server is told about who calls.
      codec: what the server must have; see `config.ClientConfig`.
    """

    compress: bool = False
    busy_poll_us: int = 0
    caller: str = ""
    codec: CodecName = "pickle"


class Listener(abc.ABC):
    """Lets peers reach one service; made by `Transport.listen`, which binds its place."""

    endpoint: str
    """`scheme:place`, to be published."""

    @abc.abstractmethod
    def start(self) -> None:
        """Begin to serve."""

    @abc.abstractmethod
    def stop(self, grace: float) -> None:
        """Take no more calls, let those that run end within `grace` seconds, and hang up."""


DEFAULT_CONNECT_OPTIONS = ConnectOptions()


class Channel(abc.ABC):
    """A client's way to one listener; safe to use from many threads."""

    info: ServerInfo
    """What the server said of itself."""
    local: bool = False
    """Whether the server is in this process."""
    incarnation: int = 0
    """That of the record by which the server was found; whose peer it is sets it."""
    meter: Meter
    """Counts the calls that clients make on it; whose peer it is sets it."""

    @abc.abstractmethod
    def call(self, request: Request) -> Reply:
        """Make a call and wait for its reply.

        Raises:
          Unavailable: the server went away; when it stopped before the call began, or was not
            reached at all, its `maybe_executed` is False.
          DeadlineExceeded: the request's timeout passed.
          Stopped: the channel was closed while waiting.
          PayloadTooLarge: the server does not take so much.
        """

    @abc.abstractmethod
    def submit(
        self, request: Request, done: Callable[[Reply | None, Exception | None], object]
    ) -> Callable[[], object]:
        """Make a call and return at once, whatever it costs to send it.

        Args:
          request: the call.
          done: called once, in a thread of the channel's, with the reply or what `call` raises. It
            may make calls.

        Returns:
          A function that cancels the call; `done` is then not called.

        Raises:
          Exception: what `call` raises, when it is known at once; `done` is then not called.
        """

    @abc.abstractmethod
    def stream(self, request: Request) -> ReplyStream:
        """Begin a stream.

        Raises:
          Unavailable: the server is not there.
          Stopped: the channel was closed.
        """

    @abc.abstractmethod
    def refresh(self, timeout: float | None) -> ServerInfo:
        """Ask the server again what it says of itself."""

    @abc.abstractmethod
    def retire(self) -> None:
        """Begin nothing any more; let the calls that wait end, and hang up after the last."""

    @abc.abstractmethod
    def close(self) -> None:
        """Hang up; calls and streams that wait end with `Stopped`."""


class Transport(abc.ABC):
    """One way to carry calls."""

    scheme: ClassVar[str]

    @abc.abstractmethod
    def listen(self, service: Service, options: ListenOptions) -> Listener:
        """Bind a place where peers will reach `service`."""

    @abc.abstractmethod
    def connect(
        self,
        endpoint: str,
        credentials: Credentials,
        timeout: float | None,
        options: ConnectOptions = DEFAULT_CONNECT_OPTIONS,
    ) -> Channel:
        """Connect to a listener and shake hands.

        Args:
          endpoint: what the listener published.
          credentials: what the listener's service has too.
          timeout: seconds; None for no limit.
          options: what else there is to know.

        Raises:
          Unavailable: nobody listens there.
          NotAuthenticated: the listener does not accept the credentials, or the channel its.
          VersionMismatch: the listener shakes hands in another way.
          DeadlineExceeded: it took too long.
        """
