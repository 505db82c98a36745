"""The Courier client: calls a server's methods as if they were its own."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from launchpad_lite import context as node_context
from launchpad_lite import validation
from launchpad_lite.config import DEFAULT_MAX_IN_FLIGHT, ClientConfig, WhenFull, seconds
from launchpad_lite.courier import codecs, finalizers, metering
from launchpad_lite.courier.arguments import Arguments
from launchpad_lite.courier.auth import chosen_credentials
from launchpad_lite.courier.codec import check_size
from launchpad_lite.courier.deadline import Deadline
from launchpad_lite.courier.future_call import FutureCall
from launchpad_lite.courier.in_flight import Full
from launchpad_lite.courier.messages import Request
from launchpad_lite.courier.named_peer import NamedPeer
from launchpad_lite.courier.peer import AddressedPeer
from launchpad_lite.courier.stream import Stream
from launchpad_lite.courier.transport import ConnectOptions
from launchpad_lite.errors import Unavailable
from launchpad_lite.handle import receiving_scope

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from concurrent.futures import Future

    from launchpad_lite.config import CodecName
    from launchpad_lite.courier.aio_bridge import AioClient
    from launchpad_lite.courier.codec import Codec
    from launchpad_lite.courier.messages import Reply, ServerInfo
    from launchpad_lite.courier.remote import Remote
    from launchpad_lite.courier.transport import Channel, ReplyStream
    from launchpad_lite.credentials import Credentials
    from launchpad_lite.scope import Scope

P = ParamSpec("P")
T = TypeVar("T")


class RemoteMethod:
    """One method of a server: call it, or `submit` it for a future."""

    __slots__ = ("client", "name")

    def __init__(self, client: Client, name: str) -> None:
        """Remember whose method it is."""
        self.client = client
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method and wait for its result."""
        return self.client._call(self.name, args, kwargs)  # noqa: SLF001 - one of the pair

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the method; return a future of its result at once."""
        return self.client._submit(self.name, args, kwargs)  # noqa: SLF001 - one of the pair

    def submit_now(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the method for a future, as `submit` does.

        Raises:
          Full: too many calls are under way; this thread is not kept waiting for their ends.
        """
        return self.client._submit(self.name, args, kwargs, wait=False)  # noqa: SLF001 - one of the pair

    def stream(self, *args: Any, **kwargs: Any) -> Stream[Any]:
        """Begin the method, which is a generator; return what it yields."""
        return self.client._stream(self.name, args, kwargs)  # noqa: SLF001 - one of the pair

    def __repr__(self) -> str:
        """Show whose method it is."""
        return f"<method {self.name!r} of {self.client!r}>"


class FuturesClient:
    """Calls a server's methods for futures: `client.futures.method(...)`."""

    def __init__(self, client: Client) -> None:
        """Remember the client."""
        self._client = client

    def __getattr__(self, method: str) -> Callable[..., Future[Any]]:
        """Return the method that returns a future."""
        return self._client._method(method).submit  # noqa: SLF001 - one of the pair

    def __call__(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the server itself for a future."""
        return self._client._method("__call__").submit(*args, **kwargs)  # noqa: SLF001


class Client:
    """Calls a server's methods.

    A client is cheap, may be shared between threads, and may be sent in calls. It connects with
    the first call, and again after the server was restarted.
    """

    _accepts_any_handle = True  # an annotation `courier.Client` takes a handle of any class

    def __init__(
        self,
        server_address: str,
        compress: bool = False,  # noqa: FBT001, FBT002 - as in the original
        call_timeout: float | dt.timedelta | None = None,
        wait_for_ready: bool = True,  # noqa: FBT001, FBT002 - as in the original
        chunk_tensors: bool = False,  # noqa: FBT001, FBT002 - as in the original
        *,
        credentials: Credentials | None = None,
        insecure: bool = False,
        busy_poll_us: int = 0,
        max_in_flight: int = DEFAULT_MAX_IN_FLIGHT,
        when_in_flight_full: WhenFull = "block",
        codec: CodecName = "pickle",
    ) -> None:
        """Make a client of a server that is used alone.

        Args:
          server_address: `localhost:port`, what `Server.address` says; or the name that a server
            of this host and user was given.
          compress: whether to compress what calls send, on gRPC, where only TLS encrypts it.
          call_timeout: seconds for each call; None or 0 for no limit.
          wait_for_ready: whether calls wait for a server that is not up yet.
          chunk_tensors: accepted and not needed.
          credentials: those of the server at `host:port`; None for a server of this host and user.
          insecure: of a server at `host:port` that was made with `insecure=True`.
          busy_poll_us: microseconds for which a call looks for its reply before it sleeps; see
            `config.ServerConfig`.
          max_in_flight: calls for futures that this client may have under way.
          when_in_flight_full: what becomes of one more: "block" waits for the end of another,
            "fail" fails with `ResourceExhausted`.
          codec: `data` to refuse servers with another codec, so that nothing that comes is ever
            unpickled; `pickle` for whatever codec the server has.

        Raises:
          UsageError: an argument is out of its range, or does not go with another.
        """
        with validation.within("courier.Client"):
            config = ClientConfig(
                compress=compress,
                call_timeout=seconds(call_timeout),
                wait_for_ready=wait_for_ready,
                busy_poll_us=busy_poll_us,
                max_in_flight=max_in_flight,
                when_in_flight_full=when_in_flight_full,
                codec=codec,
            )
            credentials = chosen_credentials(credentials, insecure=insecure)
            peer = AddressedPeer(server_address, credentials, _connect_options(config))
        self._set_up(peer, server_address, config, credentials)

    def _set_up(
        self,
        peer: Remote,
        address: str,
        config: ClientConfig,
        credentials: Credentials | None = None,
    ) -> None:
        self._peer = peer
        self._credentials = credentials
        self._address = address
        self._config = config
        if peer.scope is None:  # nobody else has this peer, and nobody else could close it
            weakref.finalize(self, finalizers.later, peer.close).atexit = False

    def __reduce__(self) -> tuple[Callable[..., Client], tuple[Any, ...]]:
        """Pickle as the address; a client of a run becomes one in the receiver's run."""
        in_run = self._peer.scope is not None
        return _revive, (self._address, self._config, in_run, self._credentials)

    def __repr__(self) -> str:
        """Show the server's name or address."""
        return f"<courier.Client of {self._address}>"

    @property
    def address(self) -> str:
        """The server's address, or its name in a run."""
        return self._address

    @property
    def futures(self) -> FuturesClient:
        """The same methods, returning futures."""
        return FuturesClient(self)

    @property
    def aio(self) -> AioClient:
        """The same methods, to be awaited."""
        from launchpad_lite.courier.aio_bridge import AioClient  # asyncio takes a moment to import

        return AioClient(lambda name: self._method(name).submit_now)

    def _method(self, name: str) -> RemoteMethod:
        if name.startswith("_") and name != "__call__":
            message = f"{self!r} has no attribute {name!r}: names with an underscore are private"
            raise AttributeError(message)
        return RemoteMethod(self, name)

    def __getattr__(self, name: str) -> RemoteMethod:
        """Return a method of the server; not kept, so that a client goes when its user lets go."""
        return self._method(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the server itself."""
        return self._call("__call__", args, kwargs)

    def _encode(
        self,
        codec: Codec,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        limit: int,
        copy: bool = False,
        direct: bool = False,
    ) -> Arguments:
        peer = self._peer
        scope, title = peer.scope, f"{peer.title}.{method}"
        encoded = codec.encode_arguments(
            args, kwargs, scope, title, copy=copy, direct=direct, limit=limit
        )
        size = encoded.size
        if size > limit:
            check_size(encoded, limit, "the arguments of a call to ", title)
        return Arguments(encoded, size, codec, scope, title)

    def _encode_for(
        self,
        channel: Channel,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        copy: bool = False,
    ) -> Arguments:
        info, local = channel.info, channel.local
        codec = codecs.of_peer(info.codec, self._config.codec)
        limit = min(self._config.max_payload_bytes, info.max_payload_bytes)
        copy = copy or local
        return self._encode(codec, method, args, kwargs, limit=limit, copy=copy, direct=local)

    def _decode(self, reply: Reply, info: ServerInfo) -> Any:
        codec, scope = codecs.of_peer(info.codec, self._config.codec), self._peer.scope
        if reply.ok:
            return codec.decode(reply.content, scope)
        raise codec.decode_failure(reply.content, scope)

    def _reach(
        self,
        function: Callable[Concatenate[Channel, Deadline, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Do something with the server; again, when its channel is found dead before it began."""
        peer, config = self._peer, self._config
        deadline = Deadline.of_call(config.call_timeout)
        failed = 0
        while True:
            channel = peer.channel(deadline, wait=config.wait_for_ready)
            try:
                return function(channel, deadline, *args, **kwargs)
            except Unavailable as error:
                peer.discard(channel)
                failed += 1
                again = config.wait_for_ready or failed <= peer.places
                if error.maybe_executed or not again:
                    raise

    def _call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._decode(*self._reach(self._call_on, method, args, kwargs))

    def _call_on(
        self,
        channel: Channel,
        deadline: Deadline,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Reply, ServerInfo]:
        if method not in self._peer.methods:
            self._peer.check_method(channel, method, deadline)
        content = self._encode_for(channel, method, args, kwargs)
        left = deadline.left()
        if left == 0.0:
            raise deadline.over(content.title)
        request = Request(method, content.payload, left, channel.local, deadline.timeout)
        reply = metering.call(channel, request)
        if left is not None and deadline.passed:  # kernels wake who waits some milliseconds late
            raise request.late(self._peer.title)
        return reply, channel.info

    def _submit(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], *, wait: bool = True
    ) -> Future[Any]:
        peer, config = self._peer, self._config
        deadline = Deadline.of_call(config.call_timeout)
        call = FutureCall(peer, method, deadline, self._decode, wait=config.wait_for_ready)
        most, fail = config.max_in_flight, config.when_in_flight_full == "fail"
        try:
            channel = peer.connected()
            if channel is not None:
                copy = channel.local or peer.places > 1  # where a second try likely helps
                content = self._encode_for(channel, method, args, kwargs, copy=copy)
                call.take_place(content.size, most, fail=fail, wait=wait)
                # arrays that were not copied may have changed when it is time to try again
                again = copy or not content.payload.buffers
                try:
                    call.begin(channel, content, again=again)
                except Unavailable as error:
                    peer.discard(channel)
                    if error.maybe_executed:
                        raise
                else:
                    return call.future
            limit = config.max_payload_bytes
            content = self._encode(codecs.PICKLE, method, args, kwargs, limit=limit, copy=True)
            call.take_place(content.size, most, fail=fail, wait=wait)
            call.begin_when_ready(content)
        except Full:
            raise
        except Exception as error:
            call.fail(error)
        return call.future

    def _stream(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Stream[Any]:
        outer = Deadline.of_call(None)
        title = f"{self._peer.title}.{method}"

        def begin(channel: Channel, deadline: Deadline) -> tuple[ReplyStream, ServerInfo]:
            if method not in self._peer.methods:
                self._peer.check_method(channel, method, deadline)
            content = self._encode_for(channel, method, args, kwargs)
            left = outer.left()
            if left == 0.0:
                raise outer.over(title)
            request = Request(method, content.payload, left, channel.local, outer.timeout)
            return metering.stream(channel, request), channel.info

        replies, info = self._reach(begin)
        timeout = self._config.call_timeout
        return Stream(replies, lambda reply: self._decode(reply, info), title, timeout, outer)


def _connect_options(config: ClientConfig, busy_poll_us: int = 0) -> ConnectOptions:
    return ConnectOptions(
        compress=config.compress,
        busy_poll_us=config.busy_poll_us or busy_poll_us,
        codec=config.codec,
    )


def client_in_run(scope: Scope, name: str, config: ClientConfig) -> Client:
    """Make a client of a service of a run.

    Args:
      scope: where the service is looked for.
      name: the service, such as `producer/3`.
      config: the client's settings.
    """
    client = Client.__new__(Client)
    options = _connect_options(config, scope.config.busy_poll_us)
    peer = scope.shared(("peer", name, options), lambda: NamedPeer(scope, name, options))
    client._set_up(peer, name, config)  # noqa: SLF001 - its second constructor
    return client


def client_at(
    address: str, credentials: Credentials | None, config: ClientConfig, *, internal: bool = False
) -> Client:
    """Make a client of a server at an address.

    Args:
      address: `localhost:port`, or an endpoint `scheme:place`.
      credentials: what the server has too; None for this user's.
      config: the client's settings.
      internal: whether its calls hold a run together, and are no user's.
    """
    client = Client.__new__(Client)
    peer = AddressedPeer(address, credentials, _connect_options(config))
    peer.internal = internal
    client._set_up(peer, address, config, credentials)  # noqa: SLF001 - its third constructor
    return client


def _revive(
    address: str,
    config: ClientConfig,
    in_run: bool,  # noqa: FBT001 - pickles give it by position
    credentials: Credentials | None,
) -> Client:
    if in_run:
        return client_in_run(receiving_scope() or node_context.scope_for(), address, config)
    return client_at(address, credentials, config)
