"""What a running node may know, and which node the calling thread belongs to.

A thread belongs to the node that started it: while nodes run as threads, `threading.Thread.start`
notes the starter's node. `bind` carries a node anywhere else (a callback in a foreign thread).
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import os
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from launchpad_lite.errors import ContextError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Generator

    from launchpad_lite.scope import HasName, Scope

P = ParamSpec("P")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """The node that is running.

    Attributes:
      program: the program's name.
      label: the node's group.
      index: its place in the group, from 0.
      group_size: how many nodes the group has.
      run_id: the run.
      incarnation: how often the node was started before.
      seed: 32 bits, the same in every run with the same `seed`, different for each node.
      checkpoint: where this node's `save` writes and its `restore` reads.
      launch_type: the value of the launch type that was asked for, where the flag does not say it.
      scope: how the node reaches the others.
      instance: the object that the node made, once it has made one.
      cleanup: what is closed after the node's own code has ended.
    """

    program: str
    label: str
    index: int
    group_size: int
    run_id: str
    incarnation: int
    seed: int
    checkpoint: pathlib.Path | None = dataclasses.field(repr=False)
    launch_type: str | None = dataclasses.field(default=None, repr=False)
    scope: Scope = dataclasses.field(repr=False)
    instance: futures.Future[Any] = dataclasses.field(
        default_factory=futures.Future[Any], repr=False
    )
    cleanup: contextlib.ExitStack = dataclasses.field(
        default_factory=contextlib.ExitStack, repr=False
    )

    @property
    def name(self) -> str:
        """The node's name, `label/index`."""
        return f"{self.label}/{self.index}"


_NODE = "_launchpad_lite_node"
"""The attribute of a thread that holds its node: so the two go together."""


def node_of(thread: threading.Thread) -> Context | None:
    """Return the node that a thread was started by, if it was noted."""
    node: Context | None = thread.__dict__.get(_NODE)
    return node


class _Threads:
    """Which node a thread that the user started belongs to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._start: Callable[[threading.Thread], None] = threading.Thread.start
        self._ours: object = None

    def follow(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._start = original = threading.Thread.start

                @functools.wraps(original)
                def start(thread: threading.Thread) -> None:
                    context = _own()
                    if context is not None and node_of(thread) is None:
                        thread.__dict__[_NODE] = context
                    original(thread)

                self._ours = start
                setattr(threading.Thread, "start", start)  # noqa: B010 - checkers see a method

    def unfollow(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and threading.Thread.start is self._ours:
                setattr(threading.Thread, "start", self._start)  # noqa: B010 - as above


_threads = _Threads()
_current: contextvars.ContextVar[Context | None] = contextvars.ContextVar("lp_node", default=None)
_entered: contextvars.ContextVar[Scope | None] = contextvars.ContextVar("lp_scope", default=None)
_process_node: Context | None = None
_runs: list[Scope] = []
_lock = threading.Lock()


def _own() -> Context | None:
    return _current.get() or node_of(threading.current_thread()) or _process_node


def own_name() -> str:
    """Return the name of the node that the calling thread belongs to; empty for none."""
    context = _own()
    return "" if context is None else context.name


def has_process() -> bool:
    """Whether the node that the calling thread belongs to has this process for itself."""
    return _process_node is not None


def threads_of(run_id: str) -> list[threading.Thread]:
    """Return the living threads that belong to a run's nodes, as far as they were started there."""
    nodes = [(thread, node_of(thread)) for thread in threading.enumerate()]
    return [thread for thread, node in nodes if node is not None and node.run_id == run_id]


def start_for_all(thread: threading.Thread) -> None:
    """Start a thread of ours that serves the whole process: it belongs to no node."""
    thread.start()
    thread.__dict__.pop(_NODE, None)


@contextlib.contextmanager
def running(context: Context, *, whole_process: bool) -> Generator[None]:
    """Make the calling thread run `context`'s node inside this block.

    Args:
      context: the node.
      whole_process: the process has no other node, so every thread in it belongs to this one.
    """
    global _process_node  # noqa: PLW0603 - one process, one node
    token = _current.set(context)
    thread = threading.current_thread()
    before = node_of(thread)
    if whole_process:
        _process_node = context
    else:
        thread.__dict__[_NODE] = context
        _threads.follow()
    try:
        yield
    finally:
        _current.reset(token)
        if whole_process:
            _process_node = None
        else:
            thread.__dict__[_NODE] = before
            _threads.unfollow()


def adopt(context: Context | None) -> None:
    """Make the calling thread, one of ours that serves a node, belong to that node for good."""
    _current.set(context)
    if context is not None:
        threading.current_thread().__dict__[_NODE] = context


def get_context() -> Context:
    """Return the node that the calling thread belongs to.

    Raises:
      ContextError: the thread belongs to none.
    """
    context = _own()
    if context is None:
        message = (
            "this thread belongs to no running node. Call it from a node, from a thread that a "
            "node started, or through lp.bind(function) made inside a node."
        )
        raise ContextError(message)
    return context


def process_title() -> str:
    """Return what to call this process where it runs no node, for people."""
    return f"process {os.getpid()} on {os.uname().nodename}"


def bind(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` made to run as the node that calls `bind`, whatever thread calls it.

    Raises:
      ContextError: the calling thread belongs to no node.
    """
    context = get_context()

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        token = _current.set(context)
        try:
            return function(*args, **kwargs)
        finally:
            _current.reset(token)

    return bound


@contextlib.contextmanager
def entered(scope: Scope) -> Generator[None]:
    """Resolve handles inside this block in `scope`."""
    token = _entered.set(scope)
    try:
        yield
    finally:
        _entered.reset(token)


def add_run(scope: Scope) -> None:
    """Note a run that this process launched: its handles can be dereferenced here."""
    with _lock:
        _runs.append(scope)


def remove_run(scope: Scope) -> None:
    """Forget a run that has ended."""
    with _lock:
        _runs.remove(scope)


def forget_runs() -> None:
    """Forget all runs and threads, in a child that was forked from their process."""
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    _runs.clear()


def _owns(scope: Scope, address: HasName) -> bool:
    try:
        scope.name_of(address)
    except ContextError:
        return False
    return True


def scope_for(
    address: HasName | None = None,
    *,
    what: str = "the call",
    through: str = "run.client(handle)",
) -> Scope:
    """Return where the calling thread resolves names.

    The node it belongs to, or else the one run of this process that has `address`.

    Args:
      address: what is called.
      what: without one, for messages: what belongs to a run.
      through: for messages: how to do the same with the run itself.

    Raises:
      ContextError: there is no such run, or more than one.
    """
    scope = _entered.get()
    if scope is not None:
        return scope
    context = _own()
    if context is not None:
        return context.scope
    with _lock:
        runs = [run for run in _runs if address is None or _owns(run, address)]
    if len(runs) == 1:
        return runs[0]
    if runs:
        message = f"{address or what} fits {len(runs)} runs of this process; say which: {through}."
    else:
        message = (
            f"{address or what} belongs to no run of this process. Launch the program first: "
            f"run = lp.launch(program), then {through}."
        )
    raise ContextError(message)
