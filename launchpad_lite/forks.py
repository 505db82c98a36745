"""What a process that was forked does not share with its parent.

Threads are not forked, while locks and connections are as they were: were both processes to use one
connection, each could get the other's replies. So whatever has any of these does without them in
the child, and either begins anew there or says that it cannot.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Protocol

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


class Forgetful(Protocol):
    """What is to forget its parent's threads, locks and connections."""

    def begin(self) -> None:
        """Be as new; called in the child, which has one thread then. Never raises."""
        ...


_number = 0
_tracked: weakref.WeakSet[Forgetful] = weakref.WeakSet()
_around: list[Callable[[], object]] = []
_forget: list[Callable[[], object]] = []


def number() -> int:
    """Return how many forks there were between this process and the first that had this module."""
    return _number


def track(one: Forgetful) -> None:
    """Call `begin` of an object in each child that is forked while the object lives."""
    _tracked.add(one)


def forget(function: Callable[[], object]) -> None:
    """Call a function that never raises in each child that is forked."""
    _forget.append(function)


def around(function: Callable[[], object]) -> None:
    """Call a function before each fork, and after it in both processes."""
    _around.append(function)


def check(born: int, what: str, instead: str) -> None:
    """Refuse to use in a child what belongs to its parent.

    Args:
      born: the `number` of the process that made it.
      what: it.
      instead: what to do, for the message.

    Raises:
      UsageError: this is another process.
    """
    if born != _number:
        message = f"{what} belongs to the process that this one was forked from. {instead}"
        raise UsageError(message)


def abandon(one: object) -> None:
    """Never free an object, in a child: to free it would act on a connection of the parent's."""
    import ctypes  # takes a moment to import

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def _call_around() -> None:
    for function in _around:
        function()


def _in_child() -> None:
    global _number  # noqa: PLW0603 - it is the process that is forked
    _number += 1
    _call_around()
    for one in list(_tracked):
        one.begin()
    for function in _forget:
        function()


os.register_at_fork(before=_call_around, after_in_parent=_call_around, after_in_child=_in_child)
