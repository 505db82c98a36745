"""How a node's end is judged, in a thread or in a process."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import NodeFailed, Stopped, Unavailable
from launchpad_lite.frames import format_error
from launchpad_lite.runtime.events import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from launchpad_lite.context import Context
    from launchpad_lite.node import Node
    from launchpad_lite.stop_token import StopToken

_CUT_OFF = (Stopped, Unavailable)
_NOTICE_DELAY_S = 1.0

TAIL_LINES = 20
"""How many lines of a failed node's log are shown."""


def run_node(
    node: Node[Any], context: Context, leave: Callable[[], object]
) -> tuple[Failure | None, BaseException | None]:
    """Run a node to its end and close what it opened.

    Args:
      node: the node.
      context: its context.
      leave: called when the node's own code has ended and must not be interrupted any more.

    Returns:
      Why it failed, and the exception itself; None and None when it ended well.
    """
    failure: Failure | None = None
    cause: BaseException | None = None
    try:
        try:
            node.run_in(context)
        finally:
            leave()
            context.scope.stop.finish()
    except BaseException as error:
        leave()  # the interruption may have come just before the first time
        failure = _judge(error, stopping=_stops(error, context.scope.stop))
        cause = _cause(error) if failure else None
        if failure:
            _debug(error, context)
    if not context.instance.done():
        context.instance.set_exception(cause or Stopped("the node ended before it made an object"))
    try:
        context.cleanup.close()
    except BaseException as error:
        if failure is None:
            failure, cause = _judge(error, stopping=False), error
            if failure:
                _debug(error, context)
    return failure, cause


def _stops(error: BaseException, stop: StopToken) -> bool:
    """Whether the run stops; a call to a node that has ended may fail just before the notice."""
    if isinstance(error, _CUT_OFF):
        return stop.expect(_NOTICE_DELAY_S)
    return stop.stopping


def _debug(error: BaseException, context: Context) -> None:
    """Let the user look at the failure before anybody hears of it, if that was asked for."""
    debugger = context.scope.debugger
    if debugger is not None and not isinstance(error, NodeFailed):  # it was looked at there
        debugger(context.name, error, context.scope.stop)


def _cause(error: BaseException) -> BaseException:
    """Return the user's exception, where a node inside this one has failed with it."""
    return error.__cause__ or error if isinstance(error, NodeFailed) else error


def _judge(error: BaseException, *, stopping: bool) -> Failure | None:
    """Return why it is a failure; None for the ways in which a node may end."""
    if isinstance(error, SystemExit):
        if stopping or error.code in (None, 0):
            return None
        return Failure(f"SystemExit: {error.code}", format_error(error))
    if stopping and isinstance(error, _CUT_OFF):
        return None  # it was cut off in a call to a node that has ended already
    if isinstance(error, NodeFailed):  # one that runs inside this one
        return Failure(error.summary, error.remote_traceback, error.node)
    summary = "".join(traceback.format_exception_only(error)).strip()
    return Failure(summary, format_error(error))


def node_failed(name: str, failure: Failure, log: str, *, shown: bool) -> NodeFailed:
    """Return the error that a run ends with of which a node has failed.

    Args:
      name: the worker's.
      failure: why it failed.
      log: the end of its log.
      shown: whether the launching process shows the nodes' logs.
    """
    trace = failure.trace.rstrip()
    return NodeFailed(
        failure.node or name,
        failure.summary,
        remote_traceback=failure.trace,
        log_tail=_last_lines(log, trace),
        shown=shown and bool(log) and trace in log,
    )


def _last_lines(log: str, trace: str) -> str:
    """Return the last lines of a log but for the traceback, which is shown anyway."""
    before, _, after = log.rpartition(trace) if trace else (log, "", "")
    lines = [] if log.rstrip() in trace else (before.rstrip() + after).splitlines()
    return "\n".join(lines[-TAIL_LINES:])
