"""The typed ways to use a client's method: `lp.submit`, `lp.aio`, `lp.stream`.

A handle is to type checkers the object itself, so these take `client.method` as they see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from launchpad_lite.courier.given import remote_method

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from concurrent.futures import Future

    from launchpad_lite.courier.stream import Stream

P = ParamSpec("P")
R = TypeVar("R")


@overload
def submit(
    method: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> Future[R]: ...
@overload
def submit(method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
def submit(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Call a method of a client and return a future of its result at once.

    Args:
      method: a client's method, `client.method`; a client, for its `__call__`.
      *args: its arguments.
      **kwargs: its keyword arguments.

    Raises:
      TypeError: `method` is not a client's.
    """
    return remote_method(method, "lp.submit").submit(*args, **kwargs)


@overload
def aio(
    method: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs
) -> Coroutine[Any, Any, R]: ...
@overload
def aio(method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]: ...
def aio(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
    """Call a method of a client and await its result: `await lp.aio(client.work, 3)`.

    It needs no thread, and runs in any event loop of asyncio. The call begins when it is awaited,
    or when a task is made of it. Cancelling that task cancels the call.

    Args:
      method: a client's method, `client.method`; a client, for its `__call__`. Whether it is async
        on the server makes no difference.
      *args: its arguments.
      **kwargs: its keyword arguments.

    Raises:
      TypeError: `method` is not a client's.
    """
    from launchpad_lite.courier.aio_bridge import result_of  # asyncio takes a moment to import

    called = remote_method(method, "lp.aio")
    return result_of(lambda: called.submit_now(*args, **kwargs))


@overload
def stream(method: Callable[P, Iterator[R]], *args: P.args, **kwargs: P.kwargs) -> Stream[R]: ...
@overload
def stream(
    method: Callable[P, AsyncIterator[R]], *args: P.args, **kwargs: P.kwargs
) -> Stream[R]: ...
def stream(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Stream[Any]:
    """Call a method that is a generator, and return what it yields, one after the other.

    Example:
      ```
      with lp.stream(reader.samples, "train") as samples:
          for sample in samples:  # or: async for
              ...
      ```

    Args:
      method: a client's method, `client.method`, which is a generator, an async generator, or
        returns an iterator.
      *args: its arguments.
      **kwargs: its keyword arguments.

    Raises:
      TypeError: `method` is not a client's. A method that is no generator raises it when the first
        value is asked for.
      CallError: the server cannot be reached, or has no such method.
    """
    return remote_method(method, "lp.stream").stream(*args, **kwargs)
