"""What a server offers: named methods, run in a node's context, so many at a time."""

from __future__ import annotations

import threading
import time
import types
from typing import TYPE_CHECKING, Any, cast

from launchpad_lite.courier import codecs, counting, messages, metering, running_call
from launchpad_lite.courier.batching import BatchedMethod
from launchpad_lite.courier.call import ReceivedCall
from launchpad_lite.courier.callers import Callers
from launchpad_lite.courier.codec import check_size, said
from launchpad_lite.courier.dispatcher import Dispatcher, Verdict
from launchpad_lite.courier.failures import shortened, untold
from launchpad_lite.courier.method import INTERNAL, Kind, Method
from launchpad_lite.courier.served_stream import ServedStream
from launchpad_lite.courier.transport import ReplyStream, Where
from launchpad_lite.errors import (
    DeadlineExceeded,
    MethodNotFound,
    PayloadTooLarge,
    ResourceExhausted,
    nearest,
)
from launchpad_lite.metrics import CallStats, of_stats
from launchpad_lite.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from concurrent.futures import Future

    from launchpad_lite.config import ServerConfig
    from launchpad_lite.context import Context
    from launchpad_lite.courier.async_methods import AsyncMethods
    from launchpad_lite.courier.call import ServerCall
    from launchpad_lite.courier.callers import Caller
    from launchpad_lite.courier.messages import Reply, Request, ServerInfo
    from launchpad_lite.credentials import Credentials
    from launchpad_lite.metrics import CallMetrics
    from launchpad_lite.scope import Scope


_FAILURE_BYTES = 2**16
"""A failure may have so many, even where results may not: errors of ours always arrive."""

_COROUTINE: type[object] = types.CoroutineType
_STREAM, _RUN = Kind.STREAM, Verdict.RUN  # each call asks for them, and to ask an enum takes long
_HERE, _HERE_IF_QUICK = Where.HERE, Where.HERE_IF_QUICK


def _itself(coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    return coroutine


class MethodService:
    """Bound methods and streams, as the listeners see them; see `transport.Service`."""

    def __init__(
        self,
        name: str,
        credentials: Credentials,
        config: ServerConfig,
        context: Context | None,
        scope: Scope | None,
    ) -> None:
        """Make a service without methods."""
        self.credentials = credentials
        self.context = context
        self.max_payload_bytes = config.max_payload_bytes
        self.codec = codecs.of_server(config)
        self.internal = False
        self._streams = 0
        self._callers = Callers()
        self._name = name
        self._scope = scope
        self._config = config
        self._methods: dict[str, Method] = {}
        self._dispatcher = Dispatcher(f"lp-serve {name}", config, context, self._drop)
        self._async_methods: AsyncMethods | None = None
        self._lock = threading.RLock()  # streams may end in a garbage collection inside it
        metering.register(self)

    @property
    def run_id(self) -> str:
        """The run it belongs to; empty for a server used alone."""
        return self._scope.run_id if self._scope else ""

    def metrics(self) -> Iterator[CallMetrics]:
        """Yield what has been counted of the calls of each method."""
        waiting, node = self._dispatcher.waiting(), self.context.name if self.context else ""
        counted = self._callers.stats()
        known = {name for name in self._methods if not name.endswith(INTERNAL)}
        uncalled = known - {method for method, _, _ in counted}
        for method, caller, stats in [*counted, *((name, "", CallStats()) for name in uncalled)]:
            yield of_stats(
                stats,
                node=node,
                side="server",
                server=self._name,
                method=method,
                caller=caller,
                waiting=waiting[stats],
            )

    def caller(self, name: str) -> Caller:
        """Return who calls; see `transport.Service`."""
        return self._callers.of(name)

    def bind(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        priority: bool = False,
        limit: int | None = None,
    ) -> bool:
        """Serve a function; return whether the name had another before. See `Server.Bind`."""
        method = Method(name, function, priority=priority, limit=limit)
        before = self._methods.get(name)
        self._methods[name] = method
        return before is not None and before.function != function

    def unbind(self, name: str) -> str | None:
        """Serve a name no longer; return a hint at what was meant if nothing is bound to it."""
        if name not in self._methods:
            return nearest(name, self._methods)
        self._methods.pop(name, None)
        return None

    def info(self) -> ServerInfo:
        """Return what the handshake tells."""
        return messages.ServerInfo(
            run_id=self.run_id,
            name=self._name,
            incarnation=self.context.incarnation if self.context else 0,
            methods=tuple(sorted(self._methods)),
            thread_pool_size=self._config.thread_pool_size,
            max_payload_bytes=self.max_payload_bytes,
            codec=self.codec.name,
            python=messages.PYTHON,
            package=__version__,
        )

    def failure(self, error: BaseException) -> Reply:
        """Return an exception as a reply; see `transport.Service`."""
        try:
            content, code = self.codec.encode_failure(error, self._scope), counting.code_of(error)
        except (
            BaseException
        ):  # its class may do anything, and without a reply its call would not end
            other = untold(error)
            content, code = self.codec.encode_failure(other, self._scope), counting.FAILED
        limit = self.max_payload_bytes
        if content.size > max(limit, _FAILURE_BYTES):
            content = self.codec.encode_failure(shortened(error, limit), self._scope)
        return messages.Reply(False, content, code)

    def begin(self, call: ServerCall, where: Where) -> bool:
        """Take a call; see `transport.Service`."""
        method = self._methods.get(call.request.method)
        if method is None:
            call.answer(self.failure(self._unknown(call.request.method, self._methods)))
            return True
        if method.kind is _STREAM:
            message = (
                f"{self._name}.{method.name} is a generator: iterate over lp.stream(client."
                f"{method.name}, ...)."
            )
            call.answer(self.failure(TypeError(message)))
            return True
        call.method = method
        call.stats = call.origin.meter[method.name]
        verdict = self._dispatcher.offer(call)
        if verdict is _RUN:
            call.stats.begun += 1
            if where is _HERE or (where is _HERE_IF_QUICK and method.quick):
                self._run(call)
            else:
                self._dispatcher.run(self._run, call)
        elif verdict is Verdict.WAIT:
            call.stats.begun += 1
            call.watch()
        elif verdict is Verdict.CLOSED:
            call.refuse()
        else:
            if self._config.when_full == "block":
                call.waited = True  # outside, and its client may be gone when there is room
                return False
            call.answer(self.exhausted(call))
        return True

    def exhausted(self, call: ServerCall) -> Reply:
        """Return what a client is told for whose call there is no room."""
        message = (
            f"{self._name} has {self._config.max_waiting_calls} calls waiting, and takes no more: "
            f"{call.request.method!r} was not called. Call it less often, or raise "
            "max_waiting_calls."
        )
        reply = self.failure(ResourceExhausted(message))
        call.stats.begun += 1
        call.count(reply)
        return reply

    def _given_up(self, call: ServerCall) -> DeadlineExceeded:
        message = f"{self._name}.{call.title} was not called: its caller had given up"
        return DeadlineExceeded(message)

    def _drop(self, call: ServerCall) -> None:
        """End a call that has waited in vain."""
        if call.late:
            reply = self.failure(self._given_up(call))
            call.count(reply)
            call.answer(reply)
        else:  # nobody would hear it
            counting.note_end(call.stats, call.arrived, None, call.request.arguments)
            call.stats.fail(counting.CANCELLED)
            call.refuse()

    def answers_later(self, method: str) -> bool:
        """Whether a method's calls need no thread until they have their result."""
        bound = self._methods.get(method)
        return bound is not None and bound.answers_later

    def when_space(self, callback: Callable[[], object]) -> None:
        """Call a function once when there is room again; see `transport.Service`."""
        self._dispatcher.when_space(callback)

    def _run(self, call: ServerCall) -> None:
        """Run a call that the dispatcher let begin; never raises."""
        reply: Reply | None
        try:
            reply = self._execute(call)
        except BaseException as error:
            reply = self.failure(error)
        if reply is not None:
            self._end(call, reply)

    def _end(self, call: ServerCall, reply: Reply) -> None:
        call.ended()
        call.count(reply)
        # before the answer, so that the client's next call finds the slot free
        following = self._dispatcher.finish(call)
        if following is not None:
            self._dispatcher.run(self._run, following)
        call.answer(reply)

    def _execute(self, call: ServerCall) -> Reply | None:
        request, method = call.request, call.method
        if call.waited and call.cancelled:
            raise self._given_up(call)
        args, kwargs = self.codec.decode_arguments(request.arguments, self._scope)
        function = method.function
        token = running_call.current.set(call)
        try:
            if method.answers_later:
                if isinstance(function, BatchedMethod):
                    self._answer_later(call, function.submit(*args, **kwargs))
                else:
                    self._answer_later(call, self._tasks().submit(call, function, args, kwargs))
                return None
            start = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            finally:
                method.note(time.perf_counter() - start)
            if type(result) is _COROUTINE:  # of a function that does not look async
                self._answer_later(call, self._tasks().submit(call, _itself, (result,), {}))
                return None
        finally:
            running_call.current.reset(token)
        return self._reply(result, request)

    def _tasks(self) -> AsyncMethods:
        with self._lock:
            if self._async_methods is None:
                # to import asyncio takes a moment, and some memory
                from launchpad_lite.courier.async_methods import AsyncMethods

                self._async_methods = AsyncMethods(self._name, self.context)
            return self._async_methods

    def _answer_later(self, call: ServerCall, future: Future[Any]) -> None:
        future.add_done_callback(lambda done: self._end(call, self._outcome(done, call)))

    def _outcome(self, done: Future[Any], call: ServerCall) -> Reply:
        try:
            return self._reply(done.result(), call.request)
        except BaseException as error:
            late = call.late  # so it was cancelled, and the client need not know how
            return self.failure(call.request.late(self._name) if late else error)

    def is_calling(self) -> bool:
        """Whether the calling thread runs one of the methods."""
        call = running_call.current.get()
        if isinstance(call, ReceivedCall) and self._methods.get(call.title) is call.method:
            return True
        functions = [method.function for method in self._methods.values()]
        return any(isinstance(each, BatchedMethod) and each.runs_here() for each in functions)

    def refuse(self) -> None:
        """Begin no more calls; see `transport.Service`."""
        for call in self._dispatcher.close():
            call.refuse()

    def join(self, timeout: float) -> None:
        """Wait for the threads; see `transport.Service`."""
        self._dispatcher.join(timeout)

    def close(self) -> None:
        """Cancel the tasks of async methods that still run, after the listeners have stopped."""
        if self._async_methods is not None:
            self._async_methods.close()

    def _reply(self, result: object, request: Request) -> Reply:
        local, limit = request.local, self.max_payload_bytes
        what = ("the result of ", self._name, ".", request.method)
        try:
            content = self.codec.encode(result, self._scope, copy=local, direct=local, limit=limit)
        except PayloadTooLarge as error:
            raise said(error, *what) from None
        except Exception as error:
            message = f"the result of {self._name}.{request.method} cannot be sent: {error}"
            raise TypeError(message) from error
        if content.size > limit:
            check_size(content, limit, *what)
        return messages.Reply(True, content)

    def _unknown(self, method: str, known: dict[str, Any]) -> MethodNotFound:
        return MethodNotFound(f"method {method} not found on {self._name}{nearest(method, known)}")

    def open_stream(self, request: Request, caller: Caller) -> ReplyStream:
        """Prepare a stream; see `transport.Service`."""
        call = ReceivedCall(request, caller)
        call.stats = CallStats()  # nobody's, until the method is found
        with self._lock:
            self._streams += 1

        def encode(value: object) -> Reply:
            reply = self._reply(value, request)
            call.stats.sent += reply.content.size
            return reply

        def fail(error: BaseException) -> Reply:
            reply = self.failure(error)
            call.stats.sent += reply.content.size
            call.stats.fail(reply.code)
            return reply

        def end() -> None:
            with self._lock:
                self._streams -= 1
            counting.note_end(call.stats, call.arrived, None, request.arguments)

        return ServedStream(call, lambda: self._begin_stream(call), encode, fail, end)

    def _begin_stream(self, call: ReceivedCall) -> Iterator[object]:
        name = call.request.method
        method = self._methods.get(name)
        if method is None:
            raise self._unknown(name, self._methods)
        call.stats = call.origin.meter[name]
        call.stats.begun += 1
        if self._streams > self._config.max_streams:
            message = (
                f"{self._name} has {self._config.max_streams} streams open, and takes no more: "
                f"{name!r} was not called. Close some, or raise max_streams."
            )
            raise ResourceExhausted(message)
        call.method = method
        values: object = None
        if method.kind in (Kind.PLAIN, Kind.STREAM):
            args, kwargs = self.codec.decode_arguments(call.request.arguments, self._scope)
            values = method.function(*args, **kwargs)
        if hasattr(values, "__anext__"):
            from launchpad_lite.courier.async_values import AsyncValues  # it imports asyncio

            return AsyncValues(self._tasks(), call, cast("AsyncIterator[object]", values))
        if not hasattr(values, "__next__"):
            message = (
                f"{self._name}.{name} is no generator, and has no stream. Call it, or let it yield."
            )
            raise TypeError(message)
        return cast("Iterator[object]", values)
