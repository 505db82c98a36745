"""What the kinds of nodes share that are made of something to call and its arguments."""

from __future__ import annotations

import abc
import contextvars
import functools
import os
import shutil
from typing import TYPE_CHECKING, Any, TypeVar

from launchpad_lite import references, typecheck, walk
from launchpad_lite.handle import DeferredConstruction, dereference
from launchpad_lite.node import Node, Problem, walk_arguments
from launchpad_lite.nodes import standalone

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from launchpad_lite.context import Context

T_co = TypeVar("T_co", covariant=True)


_worker: contextvars.ContextVar[tuple[Node[Any], Context] | None] = contextvars.ContextVar(
    "lp_worker", default=None
)
"""The node that the calling thread runs as a worker."""


class CallNode(Node[T_co]):
    """A node that calls a function or a constructor with arguments that may hold handles."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Remember what to call with what."""
        super().__init__()
        self._function = function
        self._args = args
        self._kwargs = kwargs

    @property
    def title(self) -> str:
        """The name of what is called."""
        function: Any = typecheck.unwrapped(self._function)
        name: str = getattr(function, "__qualname__", type(function).__qualname__)
        return name

    def arguments(self) -> dict[str, Any]:
        """Return the arguments by their names, and what is called."""
        named = typecheck.argument_names(self._function, self._args, self._kwargs)
        return {**named, "<function>": self._function}

    def check(self) -> Iterator[Problem]:
        """Yield what does not fit the signature, or those of deferred objects in the arguments."""
        if not callable(self._function):
            kind = type(self._function).__qualname__
            yield Problem(
                f"{self._function!r} cannot be called. Pass the class, {kind}, and its arguments: "
                "the object is made in the worker."
            )
            return
        yield from typecheck.check_call(self._function, self._args, self._kwargs)
        for path, leaf in walk.leaves(walk_arguments(self)):
            if isinstance(leaf, DeferredConstruction):
                for problem in typecheck.check_call(leaf.constructor, leaf.args, leaf.kwargs):
                    yield Problem(f"{path.removeprefix('.')}: {problem.text}", problem.fatal)

    def run(self) -> None:
        """Run the node by itself to its end, in the calling thread, as in a test.

        Its address must have been bound; see `address.bind_addresses`. In a program this is what
        the worker calls, so that a kind of node of the user's own may replace it.
        """
        worker = _worker.get()
        if worker is not None and worker[0] is self:
            self._work(worker[1])
            return
        with standalone.running(self.title, has_run=self.has_run) as alone:
            self._work(alone)

    def run_in(self, context: Context) -> None:
        """See the base class."""
        token = _worker.set((self, context))
        try:
            self.run()
        finally:
            _worker.reset(token)

    @abc.abstractmethod
    def _work(self, context: Context) -> None:
        """Do what this kind of node does."""

    def _call(self) -> Any:
        with references.within(f"{self.title} ({self.place})", self.arguments()):
            args, kwargs = dereference(self._args), dereference(self._kwargs)
        return self._function(*args, **kwargs)


def checkpoint(instance: object, context: Context) -> None:
    """Restore an instance that can be, and have it saved when the run gives notice.

    `save(path)` is given a path that does not exist yet, for a file or a directory; what it writes
    replaces the last checkpoint at once when it returns.
    """
    path = context.checkpoint
    save = getattr(instance, "save", None)
    restore = getattr(instance, "restore", None)
    if path is None or not (callable(save) and callable(restore)):
        return
    if path.exists():
        try:
            restore(str(path))
        except BaseException as error:
            error.add_note(f"while restoring {path}")
            raise
    save_at_notice(functools.partial(_replace, path, save), str(path), context)


def save_at_notice(save: Callable[[], object], what: str, context: Context) -> None:
    """Call `save` when the run gives notice; if that fails, the node has failed.

    Args:
      save: writes something; it may take as long as notice and grace together.
      what: what it writes, for messages.
      context: the node.
    """
    failed: list[BaseException] = []
    begun = False

    def on_notice() -> None:
        nonlocal begun
        begun = True
        try:
            save()
        except BaseException as error:
            error.add_note(f"while saving {what}")
            failed.append(error)

    def end() -> None:
        stop.unregister(on_notice)
        stop.finish()  # let a save that runs end
        if stop.requested and not begun:
            on_notice()  # the node stopped the run and did not wait for the notice
        if failed:
            raise failed[0]

    stop = context.scope.stop
    stop.register(on_notice)
    context.cleanup.callback(end)


def _replace(path: pathlib.Path, save: Callable[[str], object]) -> None:
    """Save beside the last checkpoint, and put the new one in its place once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    _remove(new)  # left by a save that failed
    try:
        save(str(new))
        if not new.exists():
            return  # nothing was saved, so the last checkpoint stays
        if path.is_dir() or (new.is_dir() and path.exists()):
            path.rename(old)
        new.replace(path)
    finally:
        _remove(new)
    _remove(old)


def _remove(path: pathlib.Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
