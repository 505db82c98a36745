"""Batched handlers: calls that wait for each other and run as one."""

from __future__ import annotations

import collections
import contextlib
import functools
import inspect
import threading
import time
import types
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, cast

from launchpad_lite import context as node_context
from launchpad_lite import validation
from launchpad_lite.courier import running_call, stacking, threads
from launchpad_lite.courier.batch_call import running_for
from launchpad_lite.errors import BatchError, ContextError, ResourceExhausted, UsageError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_TIMEOUT_S = 0.2
"""Seconds that a batch's first call waits for others; the original's default."""
LINGER_S = 0.1
"""Seconds that a thread without calls waits for more."""


class Options(NamedTuple):
    """The arguments of `batched_handler`, with the timeout in seconds."""

    batch_size: int
    max_parallelism: int
    timeout: float
    pad_batch: bool


class _Call(NamedTuple):
    arguments: dict[str, Any]
    structure: stacking.Structure
    came: float
    future: Future[Any]
    origin: running_call.RunningCall | None


class BatchedMethod:
    """A function, or a bound method, whose calls run in batches.

    In a class it is a method: the calls of each object make batches of their own. A server starts a
    call with `submit` and keeps no thread waiting for it.
    """

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        """Make it without any calls; batches run in the node of the calling thread."""
        functools.update_wrapper(cast("Any", self), function)
        self._function = function
        self._options = options
        self._title: str = getattr(function, "__qualname__", type(function).__qualname__)
        self._signature = _signature(function)
        self._context: node_context.Context | None = None
        with contextlib.suppress(ContextError):
            self._context = node_context.get_context()
        self._changed = threading.Condition()
        self._batches: collections.deque[list[_Call]] = collections.deque()  # only the last grows
        self._threads: set[threading.Thread] = set()
        self._idle = 0  # threads that wait for a batch
        self._known: stacking.Structure = None  # of the last batch that succeeded

    def __get__(self, instance: object | None, owner: type | None = None) -> BatchedMethod:
        """Return the method of one object, which keeps it, so that its calls meet.

        Raises:
          UsageError: the object can keep nothing.
        """
        if instance is None:
            return self
        key = f"_lp_batched_{self._title}"
        try:
            kept = vars(instance)
            mine: BatchedMethod | None = kept.get(key)
            if mine is not None and mine.belongs_to(instance):
                return mine
            kept.pop(key, None)  # it came with a copy of its object
            bound = types.MethodType(self._function, instance)
            mine = BatchedMethod(bound, self._options)
            return cast("BatchedMethod", kept.setdefault(key, mine))
        except (AttributeError, TypeError):
            message = (
                f"{self._title} is batched, and {type(instance).__qualname__} objects have no "
                "__dict__ to keep its calls in. Do without __slots__ or @classmethod."
            )
            raise UsageError(message) from None

    def belongs_to(self, instance: object) -> bool:
        """Whether it is a method of this very object."""
        return isinstance(self._function, types.MethodType) and self._function.__self__ is instance

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it without the calls that wait."""
        function: Any = self._function
        if isinstance(function, types.MethodType):
            found = inspect.getattr_static(type(function.__self__), function.__name__, None)
            if isinstance(found, BatchedMethod):  # which makes it anew
                return getattr, (function.__self__, function.__name__)
        return BatchedMethod, (function, self._options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make a call from this process, and wait for its result.

        Raises:
          BatchError: the call does not fit its batch, or the result does not.
          RuntimeError: the handler calls itself, which would wait for ever.
        """
        if self.runs_here():
            message = f"{self._title} calls itself, and would wait for a batch behind its own."
            raise RuntimeError(message)
        return self.submit(*args, **kwargs).result()

    def runs_here(self) -> bool:
        """Whether the calling thread runs a batch."""
        return threading.current_thread() in self._threads

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Add a call to the batch that fills, and return its future at once.

        Raises:
          BatchError: the call does not fit the batch.
          ResourceExhausted: there can be no thread to run it.
          TypeError: these are not the method's arguments.
        """
        try:
            arguments = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            message = f"{self._title}: {error}"
            raise TypeError(message) from None
        structure = stacking.structure_of(arguments)
        call = _Call(arguments, structure, time.monotonic(), Future(), running_call.current.get())
        outdone: list[_Call] = []
        exhausted: ResourceExhausted | None = None
        with self._changed:
            batches, size = self._batches, self._options.batch_size
            if not batches or len(batches[-1]) == size:
                batches.append([])
            elif structure != (first := batches[-1][0]).structure:
                if structure != self._known:
                    raise self._misfit(call, first)
                outdone = batches.pop()  # it is these that differ from what went well before
                batches.append([])
            batches[-1].append(call)
            if len(batches[-1]) in {1, size}:
                exhausted = self._wake()
                if exhausted is not None:  # without a thread there is no other batch
                    batches.clear()
        for other in outdone:
            if other.future.set_running_or_notify_cancel():
                other.future.set_exception(self._misfit(other, call))
        if exhausted is not None:
            raise exhausted
        return call.future

    def _misfit(self, call: _Call, other: _Call) -> BatchError:
        here, there = call.structure.parts, other.structure.parts
        if here.keys() == there.keys():
            found = (stacking.difference(here[name], there[name], name) for name in here)
            what = next(filter(None, found))
        else:
            names = [", ".join(parts) or "none" for parts in (here, there)]
            what = f"it gives the arguments {names[0]}, the others give {names[1]}"
        return BatchError(
            f"a call of {self._title} does not fit its batch: {what}. Calls that run together need "
            "the same arguments, with the same keys, lengths, shapes and dtypes."
        )

    def _wake(self) -> ResourceExhausted | None:
        """See to it that a thread looks at the batches, unless as many as may are busy.

        Returns:
          Why no thread ever will; None if one does.
        """
        if self._idle > 0:
            self._changed.notify()
        elif len(self._threads) < self._options.max_parallelism:
            try:  # it waits for the lock
                self._threads.add(threads.start(f"lp-batch {self._title}", self._run))
            except ResourceExhausted as error:
                return None if self._threads else error
        return None

    def _run(self) -> None:
        if self._context is not None:
            node_context.adopt(self._context)
        try:
            while batch := self._next():
                self._execute(batch)
                del batch
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _next(self) -> list[_Call] | None:
        """Wait for a batch that is full or whose time has come; None when there are no calls."""
        with self._changed:
            idle_until = time.monotonic() + LINGER_S
            while (left := self._due(idle_until) - time.monotonic()) > 0:
                self._idle += 1
                try:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                finally:
                    self._idle -= 1
            if not self._batches:
                # under this lock, so that the next call starts one
                self._threads.discard(threading.current_thread())
                return None
            batch = self._batches.popleft()
            if self._batches:
                self._wake()
            return batch

    def _due(self, without: float) -> float:
        """Return when the first batch is to run; `without` when there is none."""
        if not self._batches:
            return without
        batch = self._batches[0]
        full = len(batch) == self._options.batch_size
        return batch[0].came + (0.0 if full else self._options.timeout)

    def _execute(self, batch: list[_Call]) -> None:
        rest = [call for call in batch if _is_wanted(call)]
        if not rest:
            return
        values = [call.arguments for call in rest]
        if self._options.pad_batch:
            values += values[:1] * (self._options.batch_size - len(values))
        try:
            stacked = inspect.BoundArguments(self._signature, stacking.stack(values))
            with running_for([call.origin for call in rest]):
                result = self._function(*stacked.args, **stacked.kwargs)
            rows = stacking.unstack(result, len(values), f"the result of {self._title}")
        except BaseException as error:
            for call in rest:
                call.future.set_exception(error)
        else:
            self._known = rest[0].structure
            for call, row in zip(rest, rows, strict=False):  # not for what was added as padding
                call.future.set_result(row)


def _is_wanted(call: _Call) -> bool:
    """Whether somebody still waits for a call that is about to run; from now on it runs."""
    if call.origin is not None and call.origin.cancelled:
        call.future.cancel()
    return call.future.set_running_or_notify_cancel()


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # a builtin without one
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        names = ("args", "kwargs")
        return inspect.Signature(list(map(inspect.Parameter, names, kinds)))


def batched_handler(
    batch_size: int,
    max_parallelism: int = 1,
    timeout: float | dt.timedelta = DEFAULT_TIMEOUT_S,
    pad_batch: bool = False,  # noqa: FBT001, FBT002 - as in the original
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run a function or method once for many calls that come at about the same time.

    What is decorated gets the arguments of a whole batch, and returns the results of all: arrays
    have a new first axis, as long as the batch; members of dicts and tuples are batched each for
    itself; None stays None; everything else becomes a list. The result is divided among the callers
    in the same way, arrays and lists by their first axis.

    Callers pass one item and get one result, so the annotations are those of one item.

    Example:
      ```
      class Policy:
          @lp.batched_handler(batch_size=32)
          def act(self, observation: np.ndarray) -> np.ndarray:
              return self._network(observation)  # [batch, features] to [batch]
      ```

    Args:
      batch_size: the most calls in a batch.
      max_parallelism: batches that run at a time. They run in threads of their own, which do not
        count against a server's `thread_pool_size`.
      timeout: how long a batch's first call waits for the batch to fill, as a timedelta or in
        seconds. While as many batches run as may, a batch goes on filling. With 0, whatever waits
        when the handler is free makes the next batch.
      pad_batch: fill up a batch that is not full with repetitions of its first call; their results
        are dropped.

    Returns:
      A decorator for functions, for methods in a class, and for bound methods:
      `self.act = lp.batched_handler(32)(self.act)`.

    Raises:
      UsageError: an argument is out of range; the decorator raises it for what cannot be batched.
    """
    with validation.within("lp.batched_handler"):
        options = Options(
            _COUNT("batch_size", batch_size),
            _COUNT("max_parallelism", max_parallelism),
            _seconds(timeout),
            validation.boolean("pad_batch", pad_batch),
        )

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        _check(function)
        return cast("Callable[P, R]", BatchedMethod(function, options))

    return decorate


_COUNT = validation.integer(1)


def _seconds(timeout: object) -> float:
    seconds = validation.real(timeout)
    if not seconds >= 0:
        validation.refuse("timeout", timeout, "a number of seconds, or a timedelta, of 0 or more")
    return seconds


def _check(function: object) -> None:
    """Refuse what cannot be batched.

    Raises:
      UsageError: it is not a plain function or method.
    """
    title = getattr(function, "__qualname__", repr(function))
    problem: str | None = None
    if isinstance(function, staticmethod | classmethod):
        problem = "decorate what is below @staticmethod or @classmethod"
    elif isinstance(function, BatchedMethod):
        problem = "it is batched already"
    elif not callable(function) or isinstance(function, type):
        problem = "it is not a function or a method"
    elif inspect.iscoroutinefunction(function):
        problem = "it is an async def"
    elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        problem = "it is a generator, and would return no results"
    if problem is not None:
        message = f"{title} cannot be a batched handler: {problem}."
        raise UsageError(message)
