"""Nodes without a program: each runs in whatever thread calls its `run`, mostly in a test.

There is no run that could stop such a node. What stops all of them is the end of the process, or
`lp.stop()` in one of them.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import math
import threading
from typing import TYPE_CHECKING

from launchpad_lite import context as node_context
from launchpad_lite import forks
from launchpad_lite.address import Address, get_port_from_address
from launchpad_lite.config import RunConfig
from launchpad_lite.courier import names
from launchpad_lite.courier.auth import user_credentials
from launchpad_lite.endpoint import EndpointRecord, host_id
from launchpad_lite.errors import ContextError
from launchpad_lite.runtime.directory import Directory
from launchpad_lite.runtime.scope import RunScope
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    from collections.abc import Generator

    from launchpad_lite.scope import HasName

RUN_ID = "standalone"
"""What such nodes have in place of a run's name."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Alive:
    """A node that runs, and whether the end of the process waits for it."""

    stop: StopToken
    awaited: bool
    ended: threading.Event = dataclasses.field(default_factory=threading.Event)


_alive: set[_Alive] = set()
forks.forget(_alive.clear)


@contextlib.contextmanager
def running(title: str, *, has_run: bool) -> Generator[node_context.Context]:
    """Make the calling thread run a node without a program inside this block.

    Args:
      title: what to call the node.
      has_run: whether it does something of its own; otherwise it serves the others until they end.
    """
    stop = StopToken()
    context = node_context.Context(
        program=title,
        label=title,
        index=0,
        group_size=1,
        run_id=RUN_ID,
        incarnation=0,
        seed=0,
        checkpoint=None,
        scope=_scope(stop),
    )
    alive = _Alive(stop, awaited=has_run and not threading.current_thread().daemon)
    _alive.add(alive)
    try:
        with node_context.running(context, whole_process=False), context.cleanup:
            yield context
    finally:
        stop.close()
        _alive.discard(alive)
        alive.ended.set()


def port_of(address: Address, context: node_context.Context) -> int | None:
    """Return the port that the server of an address must listen on; None if any will do.

    Raises:
      ContextError: the node runs without a program, and its address was not bound.
    """
    return get_port_from_address(address.place()) if context.run_id == RUN_ID else None


def _scope(stop: StopToken) -> RunScope:
    config = RunConfig()
    directory = Directory()

    def follow(name: str) -> None:
        endpoints = names.endpoints_of(name)
        directory.learn(EndpointRecord(RUN_ID, name, 0, host_id(), endpoints))

    return RunScope(
        run_id=RUN_ID,
        stop=stop,
        config=config,
        credentials=user_credentials(),
        schemes=("grpc",),
        socket_dir=None,
        incarnation=0,
        directory=directory,
        follow=follow,
        control=_Control(config.notice_s),
        names=_name_of,
    )


def _name_of(address: HasName) -> str:
    """Return the place of an address: without a run, that is its name."""
    if address.name is not None:
        return address.name
    if isinstance(address, Address):
        return address.place()
    message = f"{address!r} has no place outside a run."
    raise ContextError(message)


class _Control:
    """Stands in for a run's controller."""

    def __init__(self, notice_s: float) -> None:
        self._notice_s = notice_s

    def publish(self, record: EndpointRecord) -> None:
        """Tell nobody: the place was known before."""

    def retire(self, name: str, reason: str) -> None:
        """Tell nobody: whoever calls the place finds nobody there."""

    def run_ended(self, worker: str) -> None:
        """Tell nobody: it ends with the others."""

    def note(self, worker: str, incarnation: int, text: str) -> None:
        """Tell nobody: there is no run to look at."""

    def request_stop(self, reason: str) -> None:
        """Stop all nodes that run without a program."""
        arguments = (reason, self._notice_s)
        threading.Thread(target=_stop_all, args=arguments, name="lp-stop", daemon=True).start()


def _stop_all(reason: str, seconds: float | None) -> None:
    """Give notice to all; close them once those that do something of their own have ended.

    Args:
      reason: why they stop.
      seconds: how long to wait for them; None for no limit.
    """
    nodes = list(_alive)
    for node in nodes:
        node.stop.notice(math.inf if seconds is None else seconds, reason)
    for node in nodes:
        if node.awaited:
            node.ended.wait(seconds)
    for node in nodes:
        node.stop.close()


# Before the interpreter joins the threads, which would wait for a stop that does not come.
getattr(threading, "_register_atexit", atexit.register)(_stop_all, "the process ends", None)
