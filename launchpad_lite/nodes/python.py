"""Nodes that run Python and offer nothing to others."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from launchpad_lite.nodes.call import CallNode, checkpoint
from launchpad_lite.typecheck import made_class

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from launchpad_lite.context import Context

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)


class PyNode(CallNode[None]):
    """Calls a function, and ends when it returns."""

    kind: ClassVar[str] = "PyNode"

    def __class_getitem__(cls, _: object) -> type[Self]:
        """Return the class: the original's has parameters, for type checkers."""
        return cls

    def __init__(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Make a node.

        Args:
          function: what to call in the worker.
          *args: its arguments; handles in them arrive as clients.
          **kwargs: its keyword arguments.
        """
        super().__init__(function, args, kwargs)

    @property
    def has_run(self) -> bool:
        """Always."""
        return True

    def create_handle(self) -> None:
        """Return None: nothing can be asked of this kind of node."""

    def run_in(self, context: Context) -> None:
        """See the base class; calls the function, which may be a method `run` of the node."""
        self._work(context)

    def _work(self, context: Context) -> None:
        _finish(self._call())


def _finish(result: object) -> None:
    """Run what an `async def` has returned to its end."""
    if inspect.iscoroutine(result):
        import asyncio  # takes a moment to import

        asyncio.run(result)


class InstanceNode(CallNode[T_co]):
    """Makes an object in the worker and calls its `run` method."""

    _should_run = True

    def disable_run(self) -> Self:
        """Do not call the object's `run` method; return the node."""
        self._should_run = False
        return self

    def enable_run(self) -> Self:
        """Call the object's `run` method again; return the node."""
        self._should_run = True
        return self

    @property
    def instance_class(self) -> type | None:
        """The object's class, if it can be told before the object is made."""
        return made_class(self._function)

    @property
    def has_run(self) -> bool:
        """Whether a `run` method will be called; supposed where the class cannot be told."""
        cls = self.instance_class
        return self._should_run and (cls is None or callable(getattr(cls, "run", None)))

    def run_method(self, instance: object) -> Callable[[], object] | None:
        """Return what calls the object's `run` method, if it is to be called."""
        method = getattr(instance, "run", None)
        if not self._should_run or not callable(method):
            return None
        return lambda: _finish(method())


class PyClassNode(InstanceNode[None]):
    """Makes an object, calls its `run` method, and ends when it returns."""

    kind: ClassVar[str] = "PyClassNode"

    def __class_getitem__(cls, _: object) -> type[Self]:
        """Return the class, as that of `PyNode` does."""
        return cls

    def __init__(self, constructor: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Make a node.

        Args:
          constructor: a class, or what makes an object in the worker.
          *args: its arguments; handles in them arrive as clients.
          **kwargs: its keyword arguments.
        """
        super().__init__(constructor, args, kwargs)

    def create_handle(self) -> None:
        """Return None: nothing can be asked of this kind of node."""

    def _work(self, context: Context) -> None:
        instance: Any = self._call()
        context.instance.set_result(instance)
        checkpoint(instance, context)
        run = self.run_method(instance)
        if run is not None:
            run()
