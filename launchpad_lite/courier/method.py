"""A method that a server offers, and what its dispatcher knows of it."""

from __future__ import annotations

import enum
import inspect
from typing import TYPE_CHECKING, Any

from launchpad_lite import validation
from launchpad_lite.courier.batching import BatchedMethod
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT_NAMES = frozenset({"futures", "aio", "address"})
"""What a client has of its own, so that a method cannot be called like it."""

INTERNAL = ":"
"""The end of the names of our own methods, which no attribute of a client can have."""

MAX_NAME = 255
"""The characters in a method's name, at most."""

NO_LIMIT = 2**62
_QUICK_S = 1e-4
_KNOWN_CALLS = 4  # before that, a method may be anything
_WEIGHT = 0.25  # of the newest call in the mean


class Lane(enum.IntEnum):  # dictionaries find numbers faster than members
    """Which calls a method shares the server's threads with."""

    ORDINARY = enum.auto()
    PRIORITY = enum.auto()
    LATER = enum.auto()
    """Those of methods that need no thread until they have their result."""


class Kind(enum.Enum):
    """What becomes of a function that is called."""

    PLAIN = enum.auto()
    BATCHED = enum.auto()
    ASYNC = enum.auto()
    STREAM = enum.auto()
    """A generator or an async generator."""


def _kind(function: Callable[..., Any]) -> Kind:
    if isinstance(function, BatchedMethod):
        return Kind.BATCHED
    for each in (function, type(function).__call__):  # the latter: of an object that is callable
        if inspect.iscoroutinefunction(each):
            return Kind.ASYNC
        if inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each):
            return Kind.STREAM
    return Kind.PLAIN


def _check(name: object, function: object) -> None:
    """Refuse what no client could call.

    Raises:
      UsageError: for this reason.
    """
    problem = ""
    if not isinstance(name, str) or not name:
        problem = "a method's name is a string, and not empty"
    elif not ((name.isidentifier() and len(name) <= MAX_NAME) or name.endswith(INTERNAL)):
        problem = (
            "no client can write client.name() with this. Bind the function to a name of letters, "
            f"digits and underscores, at most {MAX_NAME}"
        )
    elif name.startswith("_") and name != "__call__":
        problem = (
            "names with an underscore are private, and no client can call them. Bind the function "
            "to another name"
        )
    elif name in CLIENT_NAMES:
        problem = (
            f"clients have a {name!r} of their own, and could not call it. Bind the function to "
            "another name"
        )
    elif not callable(function):
        problem = (
            f"{function!r} cannot be called. Give a function; of an object, each of its methods: "
            f"Bind({name!r}, object.{name})"
        )
    if problem:
        message = f"{problem}."
        raise UsageError(message)


class Method:
    """One function, bound to a name.

    Attributes:
      name: what clients call it by.
      function: what is called.
      kind: what becomes of it.
      answers_later: whether a call gives its thread back before it has a result.
      lane: whose threads it uses.
      limit: calls of it that run at a time.
      running: calls of it that run; the dispatcher's.
      quick: whether its calls are over in less time than it takes to hand them to another thread.
    """

    __slots__ = (
        "_calls",
        "_mean",
        "answers_later",
        "function",
        "kind",
        "lane",
        "limit",
        "name",
        "quick",
        "running",
    )

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        priority: bool = False,
        limit: int | None = None,
    ) -> None:
        """Bind a function.

        Args:
          name: what clients call it by.
          function: what is called.
          priority: it does not wait for methods without.
          limit: calls of it that run at a time; None for as many as the server has threads.

        Raises:
          UsageError: see `Server.Bind`.
        """
        with validation.within(f"Bind({name!r})"):
            _check(name, function)
            priority = validation.boolean("priority", priority)
            limit = validation.optional(validation.integer(1))("limit", limit)
        self.name = name
        self.function = function
        self.kind = _kind(function)
        self.answers_later = self.kind in (Kind.BATCHED, Kind.ASYNC)
        self.limit = NO_LIMIT if limit is None else limit
        if self.answers_later:
            self.lane = Lane.LATER
        else:
            self.lane = Lane.PRIORITY if priority else Lane.ORDINARY
        self.running = 0
        self.quick = self.answers_later
        self._calls = 0
        self._mean = 0.0

    def note(self, seconds: float) -> None:
        """Learn how long a call took, of a method that does not answer later."""
        if self._calls < _KNOWN_CALLS:
            self._calls += 1
            self._mean = max(self._mean, seconds)
        else:
            self._mean += _WEIGHT * (seconds - self._mean)
        self.quick = self._calls == _KNOWN_CALLS and self._mean < _QUICK_S
