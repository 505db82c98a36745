"""What finalizers leave to others.

The garbage collector runs wherever something is allocated, so also where its thread, or one that
waits for it, has a lock. A finalizer (`__del__`, `weakref.finalize`, the callback of a weak
reference) therefore takes no lock, not even one that is its own object's: who else has it cannot be
told. What needs one goes on in a thread of its own. To start that with `threading` would take locks
too; `_thread` takes none.
"""

from __future__ import annotations

import _thread
import collections
import contextlib
import logging
from typing import TYPE_CHECKING

from launchpad_lite import forks

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

_left: collections.deque[Callable[[], object]] = collections.deque()


def later(function: Callable[[], object]) -> None:
    """Call a function soon, in a thread that has no locks; from any finalizer."""
    _left.append(function)
    # Where there can be no thread, now or ever again, the next one does this too.
    with contextlib.suppress(RuntimeError):
        _thread.start_new_thread(_call_all, ())


def _call_all() -> None:
    while True:
        try:
            function = _left.popleft()
        except IndexError:  # perhaps another thread was faster
            return
        try:
            function()
        except Exception:
            _log.exception("a finalizer raised")
        del function


forks.forget(_left.clear)  # it is about the parent's connections
