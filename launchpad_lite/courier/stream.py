"""A stream as its client sees it: `for item in lp.stream(client.method)`."""

from __future__ import annotations

import contextlib
import queue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from launchpad_lite import forks
from launchpad_lite.courier import finalizers, threads
from launchpad_lite.courier.deadline import shown
from launchpad_lite.courier.deadlines import deadlines
from launchpad_lite.errors import DeadlineExceeded

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from launchpad_lite.courier.deadline import Deadline
    from launchpad_lite.courier.messages import Reply
    from launchpad_lite.courier.transport import ReplyStream

T = TypeVar("T")


class Stream(Generic[T]):
    """The values of a method that is a generator; `lp.stream` begins one.

    It is an iterator, an async iterator, and a context manager that closes it. Dropping it, or
    `close()`, ends the method: a generator is closed where it yields, an async one is cancelled.

    What the method raises is raised in the place of the next value. So is `Unavailable`, when the
    server goes away: a stream that ends without an error is complete.
    """

    def __init__(
        self,
        replies: ReplyStream,
        decode: Callable[[Reply], T],
        title: str,
        timeout: float | None,
        outer: Deadline,
    ) -> None:
        """Take over a stream of replies.

        Args:
          replies: the values as they come from the server.
          decode: returns a value, or raises the failure.
          title: the method, for messages.
          timeout: seconds to wait for each value.
          outer: when the whole stream must have ended.
        """
        self._replies = replies
        self._decode = decode
        self._title = title
        self._timeout = timeout
        self._outer = outer
        self._late = False
        self._closed = False
        self._asked: queue.SimpleQueue[_Ask | None] | None = None
        self._process = forks.number()

    def _check_process(self) -> None:
        advice = "Begin another one here, with lp.stream."
        forks.check(self._process, f"the stream of {self._title}", advice)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        """Wait for the next value.

        Raises:
          StopIteration: the method has ended, or the stream was closed here.
          DeadlineExceeded: the value did not come within the client's `call_timeout`, or the
            `lp.deadline` that the stream was begun in is over. The stream is closed then.
          Unavailable: the server went away.
          Stopped: the run has stopped.
          UsageError: the stream is that of a process which this one was forked from.
        """
        self._check_process()
        limit = self._limit()
        if limit is None:
            return self._decode(self._take())
        in_time = deadlines.call_later(limit, self._give_up)
        try:
            reply = self._take()
        except BaseException:
            if self._late:
                self._late = False
                raise self._too_late() from None
            raise
        finally:
            in_time()
        return self._decode(reply)

    def _take(self) -> Reply:
        try:
            return next(self._replies)
        except BaseException:  # it has ended, or this thread was interrupted with half of a value
            self.close()
            raise

    def _limit(self) -> float | None:
        """Return the seconds in which the next value must come; None for no limit."""
        limits = [each for each in (self._timeout, self._outer.left()) if each is not None]
        return min(limits, default=None)

    def _too_late(self) -> DeadlineExceeded:
        if self._outer.passed:
            return DeadlineExceeded(f"{self._title}: the stream did not end within {self._outer}")
        message = f"{self._title}: no value came within {shown(self._timeout)}"
        return DeadlineExceeded(message)

    def _give_up(self) -> None:
        self._late = True
        self._replies.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Wait for the next value in an event loop; a thread of the stream's own does the waiting.

        Raises:
          StopAsyncIteration: the method has ended, or the stream was closed here.
          Exception: what `__next__` raises.
        """
        import asyncio  # takes a moment to import

        self._check_process()
        if self._closed:
            raise StopAsyncIteration
        loop = asyncio.get_running_loop()
        if self._asked is None:
            asked: queue.SimpleQueue[_Ask | None] = queue.SimpleQueue()
            threads.start("lp-stream", _answer, asked, self._replies)
            self._asked = asked
        came: Future[None] = loop.create_future()
        ask = _Ask(loop, came)
        limit = self._limit()
        self._asked.put(ask)
        if self._closed:  # just now, so that the thread may have ended before it was asked
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(limit):
                await came
        except TimeoutError:
            self.close()
            raise self._too_late() from None
        except asyncio.CancelledError:
            self.close()
            raise
        if ask.reply is not None:
            return self._decode(ask.reply)
        if ask.error is None:
            self.close()
            raise StopAsyncIteration
        raise ask.error

    def close(self) -> None:
        """End the stream, from any thread; who waits in it gets its end."""
        self._closed = True
        if self._process != forks.number():  # it goes on in the process that it belongs to
            return
        self._replies.close()
        if self._asked is not None:
            self._asked.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # its constructor may have failed
            if not self._closed:
                if self._asked is not None:
                    self._asked.put(None)  # which takes no lock
                finalizers.later(self._replies.close)


class _Ask:
    """One value that a task waits for."""

    def __init__(self, loop: AbstractEventLoop, came: Future[None]) -> None:
        self._loop = loop
        self._came = came
        self.reply: Reply | None = None
        self.error: BaseException | None = None

    def take(self, replies: ReplyStream) -> None:
        try:
            self.reply = next(replies)
        except StopIteration:
            pass
        except BaseException as error:
            self.error = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._came.done():
            self._came.set_result(None)


def _answer(asked: queue.SimpleQueue[Any], replies: ReplyStream) -> None:
    """Take replies for a stream's tasks; does not keep the stream itself."""
    while (ask := asked.get()) is not None:
        ask.take(replies)
        del ask
