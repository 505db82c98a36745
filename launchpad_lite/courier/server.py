"""The Courier server: binds functions to names and lets other processes call them."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from launchpad_lite import forks, validation
from launchpad_lite.config import DEFAULT_THREAD_POOL_SIZE, ServerConfig
from launchpad_lite.courier import names, socket_dir, threads, transports
from launchpad_lite.courier.auth import chosen_credentials, user_credentials
from launchpad_lite.courier.service import MethodService
from launchpad_lite.courier.transport import Listener, ListenOptions
from launchpad_lite.endpoint import LOOPBACK, is_loopback
from launchpad_lite.errors import ResourceExhausted, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launchpad_lite.config import CodecName
    from launchpad_lite.context import Context
    from launchpad_lite.credentials import Credentials
    from launchpad_lite.scope import Scope

_log = logging.getLogger(__name__)

_INSECURE = (
    "the server at %s is insecure: whoever reaches the port can call its methods%s, and can read "
    "what others send. Give it credentials= instead."
)
_UNPICKLES = ", which with pickles means to run any code here"

STOP_GRACE_S = 5.0
"""Seconds that `Stop` gives to the calls that run."""


class Server:
    """Serves functions by name.

    Used alone, it listens on a port of the loopback interface, for processes of the same user. A
    server is started at most once.

    Example:
      ```
      server = courier.Server("adder")
      server.Bind("add", lambda a, b: a + b)
      server.Start()
      courier.Client("adder").add(4, 7)  # 11, in any process of this user
      ```
    """

    _announce: Callable[[tuple[str, ...]], object] | None = None
    _withdraw: Callable[[], object] | None = None
    _danger: str | None = None  # for the log, when it is insecure
    _remove_directory: Callable[[], object] | None = None

    def __init__(
        self,
        name: str | None = None,
        port: int | None = None,
        thread_pool_size: int = DEFAULT_THREAD_POOL_SIZE,
        *,
        codec: CodecName = "pickle",
        tracebacks: bool = False,
        host: str | None = None,
        credentials: Credentials | None = None,
        insecure: bool = False,
        busy_poll_us: int = 0,
    ) -> None:
        """Make a server that is used alone.

        Args:
          name: what clients of the same host and user may find it by, once it is started.
          port: its TCP port; None for any that is free.
          thread_pool_size: calls that run at a time; more wait for their turn.
          codec: `data` for a server that others than its own user may reach: it never unpickles.
          tracebacks: with `data`, whether callers see the tracebacks of exceptions.
          host: the address of this host to listen on, `0.0.0.0` for all; None for the loopback
            interface.
          credentials: what clients must have too; calls are encrypted then, and may come from other
            hosts.
          insecure: take calls from whoever reaches the port, not encrypted.
          busy_poll_us: microseconds for which it looks for the next call before it sleeps; see
            `config.ServerConfig`.

        Raises:
          UsageError: an argument is out of its range, or does not go with another; or this cannot
            be a name.
        """
        with validation.within("courier.Server"):
            claim = names.Claim(name)
            config = ServerConfig(
                port=0 if port is None else port,
                thread_pool_size=thread_pool_size,
                codec=codec,
                tracebacks=tracebacks,
                busy_poll_us=busy_poll_us,
            )
            host = validation.optional(validation.text)("host", host)
            chosen = chosen_credentials(credentials, insecure=insecure)
            if chosen is None:
                _check_local(host)
        if chosen is None:
            schemes = list(dict.fromkeys((transports.between_processes(), "grpc")))
        else:
            schemes = ["grpc" if codec == "data" else "tcp"]  # which other languages speak too
        title = name or "courier"
        service = MethodService(title, chosen or user_credentials(), config, None, None)
        options = ListenOptions(
            host=host or LOOPBACK, port=config.port or 0, busy_poll_us=config.busy_poll_us
        )
        self._set_up(service, schemes, options)
        self._announce, self._withdraw = claim.take, claim.give_back
        if insecure:
            self._danger = "" if codec == "data" else _UNPICKLES

    def _set_up(
        self,
        service: MethodService,
        schemes: Sequence[str],
        options: ListenOptions,
    ) -> None:
        self._service = service
        self._options = options
        self._schemes = schemes
        self._listeners: list[Listener] | None = None
        self._lock = threading.Lock()
        self._started = False
        self._closed = False
        self._stopping = threading.Lock()
        self._ended = threading.Event()
        self._born = forks.number()

    def _check_process(self) -> None:
        """Refuse what needs the threads of the process that made the server.

        Raises:
          UsageError: this process was forked from that one.
        """
        forks.check(self._born, "this server", "Make another courier.Server here.")

    @classmethod
    def in_run(
        cls,
        name: str,
        scope: Scope,
        context: Context | None,
        config: ServerConfig,
        announce: Callable[[tuple[str, ...]], object] | None = None,
        *,
        internal: bool = False,
    ) -> Server:
        """Make a server of a run, on the scope's transports.

        Args:
          name: the service's name in the run.
          scope: of the run.
          context: the node whose methods it serves, if it is a node's.
          config: its settings; with a `port` it listens on gRPC too.
          announce: is told where it listens, once it serves.
          internal: whether its calls hold the run together, and are no user's.
        """
        server = cls.__new__(cls)
        service = MethodService(name, scope.credentials, config, context, scope)
        service.internal = internal
        schemes = [*scope.schemes, "grpc"] if config.port is not None else scope.schemes
        schemes = list(dict.fromkeys(schemes))
        options = ListenOptions(
            host=scope.host,
            port=config.port or 0,
            directory=scope.socket_dir,
            busy_poll_us=config.busy_poll_us or scope.config.busy_poll_us,
        )
        server._set_up(service, schemes, options)  # noqa: SLF001 - its second constructor
        server._announce = announce  # noqa: SLF001 - as above
        return server

    def _bound(self) -> list[Listener]:
        with self._lock:
            if self._listeners is None:
                listeners: list[Listener] = []
                self._make_directory()
                try:
                    for scheme in self._schemes:
                        transport = transports.get(scheme)
                        listeners.append(transport.listen(self._service, self._options))
                except BaseException:
                    for listener in listeners:
                        listener.stop(0.0)
                    self._clean_up()
                    raise
                self._listeners = listeners
            return self._listeners

    def _make_directory(self) -> None:
        """Make a directory for a socket where the run has none, because there is no run."""
        if "unix" in self._schemes and self._options.directory is None:
            directory = socket_dir.make()
            self._options = dataclasses.replace(self._options, directory=directory)
            self._remove_directory = functools.partial(_remove, directory, os.getpid())
            atexit.register(self._remove_directory)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it listens, `scheme:place`, the cheapest first."""
        return tuple(listener.endpoint for listener in self._bound())

    @property
    def port(self) -> int:
        """The TCP port it listens on.

        Raises:
          ValueError: it listens on none.
        """
        for endpoint in self.endpoints:
            scheme, _, place = endpoint.partition(":")
            if scheme in ("grpc", "tcp"):
                return int(place.rpartition(":")[2])
        message = "this server listens on no port; give it one with courier_kwargs={'port': 0}"
        raise ValueError(message)

    @property
    def address(self) -> str:
        """`localhost:port`, or `host:port` where it was given a host; for `Client`."""
        published = self.endpoints[-1].partition(":")[2]
        return f"localhost:{self.port}" if self._options.host == LOOPBACK else published

    @property
    def has_started(self) -> bool:
        """Whether `Start` was called."""
        return self._started

    def Bind(
        self,
        method_name: str,
        py_func: Callable[..., Any],
        *,
        priority: bool = False,
        limit: int | None = None,
    ) -> None:
        """Serve a function under a name; a function bound before is replaced.

        Args:
          method_name: what clients call it by.
          py_func: the function.
          priority: its calls have threads of their own, as many as the others, so they never wait
            for calls of methods without priority.
          limit: calls of it that run at a time, at most; others wait without keeping the calls of
            other methods waiting. None for as many as the server has threads.

        Raises:
          UsageError: it is no function, the limit is below 1, or no client could call it: names
            with an underscore are private, and some clients have themselves.
        """
        another = self._service.bind(method_name, py_func, priority=priority, limit=limit)
        if another and not self._started:
            _log.warning(
                "Bind(%r): %r takes the place of a function that nobody could call yet",
                method_name,
                py_func,
            )

    def Unbind(self, method_name: str) -> None:
        """Serve a name no longer; for one that nothing is bound to there is a warning only."""
        hint = self._service.unbind(method_name)
        if hint is not None:
            _log.warning("Unbind(%r): nothing is bound to this name%s", method_name, hint)

    def Start(self) -> None:
        """Begin to serve.

        Raises:
          UsageError: it was started before, its node has ended, or this process was forked from the
            one that made it.
          OSError: its port is taken.
          RuntimeError: there can be no threads for it.
          UsageError: another server has its name.
        """
        self._check_process()
        listeners = self._bound()
        with self._lock:
            if self._started or self._closed:
                state = "started" if self._started else "stopped"
                message = (
                    f"Server already {state}, and it starts once. Make another courier.Server, and "
                    "bind the functions to it."
                )
                raise UsageError(message)
            self._started = True
        try:
            for listener in listeners:
                listener.start()
            if self._danger is not None:
                _log.warning(_INSECURE, self.address, self._danger)
            if self._announce is not None:
                self._announce(self.endpoints)
        except BaseException:
            self._stop(0.0)
            raise

    def Stop(self, grace: float = STOP_GRACE_S) -> None:
        """Serve no longer; calls that run get `grace` seconds to end.

        A method that calls it goes on and gives its result; only `Join` waits for the end then.

        Args:
          grace: 0 or more.

        Raises:
          UsageError: it was not started, or not by this process but by one that this was forked
            from; or `grace` is no number of seconds.
        """
        if not self._started:
            message = "Server not started yet, so there is nothing to stop: call Start() before."
            raise UsageError(message)
        self._check_process()
        with validation.within("courier.Server.Stop"):
            grace = validation.wait("grace", grace)
        if self._service.is_calling():  # by a method of this very server, which may end first
            self._stop_beside(grace)
        else:
            self._stop(grace)

    def close(self, grace: float = STOP_GRACE_S) -> None:
        """Stop it if it was started; it cannot be started any more."""
        with self._lock:
            self._closed = True
        self._stop(grace)

    def _stop_beside(self, grace: float) -> None:
        name = f"lp-stop {self._service.info().name}"
        threads.start(name, self._stop, grace)

    def _stop(self, grace: float) -> None:
        with self._stopping:
            if self._ended.is_set():
                return
            if self._withdraw is not None:
                self._withdraw()
            stopping: list[threading.Thread] = []
            for listener in self._listeners or ():
                try:  # none may take calls while another waits for its own
                    stopping.append(threads.start("lp-stop", listener.stop, grace))
                except ResourceExhausted:
                    listener.stop(grace)
            for thread in stopping:
                thread.join()
            self._service.close()
            self._clean_up()
            self._ended.set()

    def _clean_up(self) -> None:
        if self._remove_directory is not None:
            self._remove_directory()
            atexit.unregister(self._remove_directory)

    def Join(self) -> None:
        """Wait until the server is stopped.

        Raises:
          UsageError: it was not started, or not by this process but by one that this was forked
            from.
        """
        if not self._started:
            message = "Server not started, so Join() would wait for ever: call Start() before."
            raise UsageError(message)
        self._check_process()
        self._ended.wait()


def _remove(directory: str, process: int) -> None:
    """Remove a directory for sockets; not in a process that was forked."""
    if os.getpid() == process:
        socket_dir.remove(directory)


def _check_local(host: str | None) -> None:
    """Refuse to listen to other hosts without a word about security.

    Raises:
      UsageError: the host is not the loopback interface.
    """
    if host is None or is_loopback(host):
        return
    message = (
        f"host={host!r}: other hosts could reach this server. Give it "
        "credentials=courier.Credentials.load(path), made once with "
        "courier.Credentials.create().save(path) and copied to them; or write insecure=True, and "
        "whoever reaches the port can run code here."
    )
    raise UsageError(message)
