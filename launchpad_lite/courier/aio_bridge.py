"""How the result of a call comes to whoever awaits it in an event loop."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from launchpad_lite.courier.deadline import Deadline, deadline
from launchpad_lite.courier.in_flight import Full

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

R = TypeVar("R")


class _Mailbox:
    """Wakes those who wait in one loop, all whose results have come meanwhile at once.

    To wake a loop from another thread takes a system call, and a turn of the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)  # which keeps this mailbox
        self._arrived: collections.deque[asyncio.Future[None]] = collections.deque()
        self._rung = False

    def put(self, waiter: asyncio.Future[None]) -> None:
        self._arrived.append(waiter)
        if not self._rung:  # otherwise the loop has not looked yet, and will find this one too
            self._rung = True
            loop = self._loop()
            with contextlib.suppress(RuntimeError):  # it is closed, and nobody waits
                if loop is not None:
                    loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        self._rung = False
        while self._arrived:
            waiter = self._arrived.popleft()
            if not waiter.done():  # it may have been cancelled
                waiter.set_result(None)


_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Mailbox] = (
    weakref.WeakKeyDictionary()
)


async def _place(full: Full, until: Deadline, mailbox: _Mailbox) -> None:
    """Wait until there may be a place for a call.

    Raises:
      DeadlineExceeded: there was none in time.
    """
    free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    leave = full.when_free(functools.partial(mailbox.put, free))
    try:
        async with asyncio.timeout(until.left()):
            await free
    except TimeoutError:
        leave()
        raise until.over(full.call) from None
    except asyncio.CancelledError:
        leave()
        raise


async def result_of(begin: Callable[[], Future[R]]) -> R:
    """Make a call, and wait for its result in the running loop, without a thread.

    Args:
      begin: makes the call, or raises `Full`. It is cancelled when the waiting task is.
    """
    loop = asyncio.get_running_loop()
    mailbox = _mailboxes.get(loop)
    if mailbox is None:
        mailbox = _mailboxes.setdefault(loop, _Mailbox(loop))
    future: Future[R] | None = None
    first: Deadline | None = None  # that of the first try, which the others keep
    while future is None:
        left = first.left() if first is not None else None
        try:
            with contextlib.nullcontext() if left is None else deadline(left):
                future = begin()
        except Full as full:
            first = first or full.deadline
            await _place(full, first, mailbox)
    waiter: asyncio.Future[None] = loop.create_future()
    future.add_done_callback(lambda _: mailbox.put(waiter))
    try:
        await waiter
    except asyncio.CancelledError:
        future.cancel()
        raise
    return future.result()


result_of.__qualname__ = "lp.aio"  # Python warns by this name of one that nobody awaited


class AioClient:
    """Calls a server's methods to be awaited: `await client.aio.method(...)`."""

    def __init__(self, submit: Callable[[str], Callable[..., Future[Any]]]) -> None:
        """Take what returns a method, by its name, that returns futures."""
        self._submit = submit

    def __getattr__(self, method: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return the method that is to be awaited; the call begins then."""
        submit = self._submit(method)
        return lambda *args, **kwargs: result_of(lambda: submit(*args, **kwargs))

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Call the server itself."""
        submit = self._submit("__call__")
        return result_of(lambda: submit(*args, **kwargs))
