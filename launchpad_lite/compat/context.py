"""The original's launch context and worker manager, as views of the node that is running."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from launchpad_lite import context, flags, launching
from launchpad_lite.launch_type import LaunchType

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

COURIER_PORT_NAME = "courier"

_LOCAL = (LaunchType.LOCAL_MULTI_THREADING, LaunchType.LOCAL_MULTI_PROCESSING)
_TEST = (LaunchType.TEST_MULTI_THREADING, LaunchType.TEST_MULTI_PROCESSING)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchContext:
    """What the original tells a node of how it was launched.

    Attributes:
      launch_type: of the run; a run that no launch type stands for says `LOCAL_MULTI_PROCESSING`.
      launch_config: always None.
      program_stopper: stops the program.
    """

    launch_type: LaunchType
    launch_config: Any
    program_stopper: Callable[..., None]


def get_context() -> LaunchContext:
    """Return the launch context of the node that the calling thread belongs to.

    Raises:
      ContextError: it belongs to none.
    """
    node = context.get_context()
    launch_type = (
        LaunchType.LOCAL_MULTI_PROCESSING
        if context.has_process()
        else LaunchType.LOCAL_MULTI_THREADING
    )
    asked = LaunchType(node.launch_type or flags.value(flags.LAUNCH_TYPE))
    if asked in _TEST and asked.launcher == launch_type.launcher:
        launch_type = asked
    return LaunchContext(
        launch_type=launch_type,
        launch_config=None,
        program_stopper=launching.make_program_stopper(launch_type),
    )


def set_context(given: LaunchContext) -> None:
    """Do nothing: a node always has its context."""
    del given


def is_local_launch(launch_type: LaunchType | str) -> bool:
    """Whether a launch type is on this machine, and no test."""
    return LaunchType(launch_type) in _LOCAL


def is_local_launch_or_test(launch_type: LaunchType | str) -> bool:
    """Whether a launch type is on this machine."""
    return LaunchType(launch_type) in (*_LOCAL, *_TEST)


class NodeManager:
    """What a node may ask of the original's worker manager."""

    def wait_for_stop(self, timeout_secs: float | None = None) -> bool:
        """Wait until the program stops; see `launching.wait_for_stop`."""
        return launching.wait_for_stop(timeout_secs)

    def stop_event(self) -> threading.Event:
        """Return an event that is set when the program stops."""
        return launching.stop_event()


def get_worker_manager() -> NodeManager:
    """Return the worker manager of the node that the calling thread belongs to.

    Raises:
      ContextError: it belongs to none.
    """
    context.get_context()
    return NodeManager()
