"""Several nodes as processes that are added, and fail, as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from launchpad_lite.errors import ContextError, UsageError
from launchpad_lite.nodes.colocation import Colocation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launchpad_lite.context import Context
    from launchpad_lite.node import Node


class MultiProcessingColocation(Colocation):
    """Runs several nodes on one machine, each in a process; one that fails is started again.

    The launcher runs the members as workers of their own: under `thread` they are threads.
    """

    kind: ClassVar[str] = "MultiProcessingColocation"
    members_are_workers: ClassVar[bool] = True

    def __init__(self, nodes: Iterable[Node[Any]] = (), num_retries_on_failure: int = 0) -> None:
        """Make a colocation of nodes.

        Args:
          nodes: its members; none of them is added to the program itself.
          num_retries_on_failure: how often members that raise or die are started again, all
            together. The failure after that ends the program.

        Raises:
          ProgramError: one of them is no node.
          UsageError: the number is negative, or none.
        """
        super().__init__(nodes)
        number = num_retries_on_failure
        if type(number) is not int or number < 0:
            message = (
                f"{self.place}: {self.kind}: num_retries_on_failure must be an integer of at "
                f"least 0, not {number!r}."
            )
            raise UsageError(message)
        self._retries = number

    @property
    def max_restarts(self) -> int:
        """How often its members, all together, are started again after a failure."""
        return self._retries

    def run(self) -> NoReturn:
        """Refuse: its processes are a launcher's.

        Raises:
          UsageError: always.
        """
        message = (
            f"a {self.kind} does not run by itself: launch a program that holds it, or run its "
            "nodes."
        )
        raise UsageError(message)

    def run_in(self, context: Context) -> NoReturn:
        """Refuse: each member has a worker of its own.

        Raises:
          ContextError: always.
        """
        message = f"{context.name}: the nodes of a {self.kind} are workers of their own."
        raise ContextError(message)
