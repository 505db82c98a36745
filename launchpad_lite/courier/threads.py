"""Threads of ours, and what is said where a process can have no more of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from launchpad_lite import context as node_context
from launchpad_lite.errors import ResourceExhausted

if TYPE_CHECKING:
    from collections.abc import Callable


def start(
    name: str, function: Callable[..., object], *args: object, for_all: bool = False
) -> threading.Thread:
    """Start a daemon thread.

    Args:
      name: of the thread.
      function: what it runs.
      args: for the function.
      for_all: whether it serves the whole process, and belongs to no node.

    Raises:
      ResourceExhausted: this process can have no more.
    """
    thread = threading.Thread(target=function, args=args, name=name, daemon=True)
    try:
        if for_all:
            node_context.start_for_all(thread)
        else:
            thread.start()
    except RuntimeError as error:
        message = (
            f"{error}, for {name!r}. There are as many as there may be (ulimit -u, pids.max of the "
            "cgroup), or there is no memory for one more. Run fewer at a time, or raise the limit."
        )
        raise ResourceExhausted(message) from None
    return thread
