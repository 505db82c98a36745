"""Every error of this package, and the exit code each one ends a command with.

```
LaunchpadError
├── UsageError (ValueError)       exit 2   a command line, an option or a target is wrong
├── ProgramError (ValueError)     exit 3   the graph cannot be made into a plan
│   ├── HandleError (AttributeError)       a handle was used as if it were a client
│   └── UnpicklableError (RuntimeError)    something in a node, or in a call, cannot be sent
├── LauncherUnavailableError      exit 4   the launcher needs something that is not here
├── RunError (RuntimeError)                a run ended badly
│   ├── NodeFailed                exit 1   a node raised, or its process died
│   ├── NodesStuck                exit 5   nodes did not end when told to
│   └── ControllerLost            exit 6   the process that held the run together is gone
├── CheckpointError                        a checkpoint is damaged, or does not fit the tables
├── ContextError (RuntimeError)            called where no node, or no single run, is known
├── Stopped                                the run has stopped; the call was not made
├── UnresolvedReference (RuntimeError)     an object in Ray's store is lost, or out of reach
└── CallError                              a call between nodes failed
    ├── Unavailable                        the server is not there (see `maybe_executed`)
    ├── DeadlineExceeded (TimeoutError)
    ├── MethodNotFound (AttributeError)
    ├── NotAuthenticated
    ├── VersionMismatch
    ├── PayloadTooLarge
    ├── ResourceExhausted
    ├── CodecError (ValueError)            a value cannot travel with codec="data", or is none
    ├── BatchError (ValueError)            a call does not fit its batch, or a result does not
    └── RemoteError                        the method raised what cannot be rebuilt here
```

Exceptions that a called method raises arrive as their own type, not as one of these.
"""

from __future__ import annotations

import difflib
import enum
from typing import TYPE_CHECKING, Any, Self, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class ExitCode(enum.IntEnum):
    """What `lp-launch` exits with."""

    OK = 0
    NODE_FAILED = 1
    USAGE = 2
    PROGRAM = 3
    LAUNCHER_UNAVAILABLE = 4
    NODES_STUCK = 5
    CONTROLLER_LOST = 6
    INTERRUPTED = 130


class StatusCode(enum.IntEnum):
    """The canonical codes of gRPC and Abseil: what kind of trouble a call had.

    Source: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
    """

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


def _rebuild(cls: type[LaunchpadError], args: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class LaunchpadError(Exception):
    """The root of every error this package raises on purpose."""

    exit_code: ExitCode = ExitCode.NODE_FAILED

    def __reduce__(self) -> tuple[Callable[..., Exception], tuple[Any, ...]]:
        """Pickle without calling the subclass's constructor again."""
        return _rebuild, (type(self), self.args, self.__dict__)


class UsageError(LaunchpadError, ValueError):
    """A command line, an option or a target is wrong."""

    exit_code = ExitCode.USAGE


class ProgramError(LaunchpadError, ValueError):
    """The program's graph cannot be made into a plan."""

    exit_code = ExitCode.PROGRAM


class HandleError(ProgramError, AttributeError):
    """A handle was used as if it were already a client."""


class UnpicklableError(ProgramError, RuntimeError):
    """Something that a node needs, or an argument of a call, cannot be pickled."""


class LauncherUnavailableError(LaunchpadError):
    """The launcher needs something that is not on this machine."""

    exit_code = ExitCode.LAUNCHER_UNAVAILABLE


class CheckpointError(LaunchpadError):
    """A checkpoint of a replay buffer is damaged, or does not fit its tables."""


class ContextError(LaunchpadError, RuntimeError):
    """Called where no node, or no single run, is known."""


class RunError(LaunchpadError, RuntimeError):
    """A run ended badly."""


class NodeFailed(RunError):
    """A node raised, or its process died.

    Attributes:
      node: the node's name, `label/index`.
      summary: why, in one line.
      remote_traceback: the node's own traceback, as text; empty when its process was killed.
      log_tail: the last lines of the node's log, as text; empty when it has none.
      shown: whether the launching process has shown both as the node's output.
    """

    def __init__(
        self,
        node: str,
        summary: str,
        *,
        remote_traceback: str = "",
        log_tail: str = "",
        shown: bool = False,
    ) -> None:
        """Build the message from what is known of the failure."""
        self.node = node
        self.summary = summary
        self.shown = shown
        self.remote_traceback = remote_traceback
        self.log_tail = log_tail
        text = f"node {node} failed: {summary}"
        if remote_traceback:
            text += f"\n\n{remote_traceback.rstrip()}"
        if log_tail:
            text += f"\n\nlast lines of the log of {node}:\n{log_tail.rstrip()}"
        super().__init__(text)


def brief(error: LaunchpadError) -> str:
    """Return an error's text for a terminal, without what has been shown there already."""
    if isinstance(error, NodeFailed) and error.shown:
        return f"node {error.node} failed: {error.summary}\nIts output is above."
    return str(error)


class NodesStuck(RunError):
    """Nodes did not end when told to, and could not be ended.

    Attributes:
      nodes: the names of the nodes that are still running.
    """

    exit_code = ExitCode.NODES_STUCK

    def __init__(self, nodes: Iterable[str], stacks: str) -> None:
        """Name the nodes and show where each one hangs."""
        self.nodes = tuple(nodes)
        super().__init__(
            f"{', '.join(self.nodes)} did not end in time, and could not be ended. {stacks}"
        )


class ControllerLost(RunError):
    """The process that held the run together is gone."""

    exit_code = ExitCode.CONTROLLER_LOST


class Stopped(LaunchpadError):
    """The run has stopped; what was asked for was not done."""


class UnresolvedReference(LaunchpadError, RuntimeError):
    """An object in Ray's store, given by reference, is lost or cannot be reached."""


class _Message:
    """An error's text; not a property, so that an attribute of the same name goes first."""

    @overload
    def __get__(self, error: None, kind: type) -> Self: ...
    @overload
    def __get__(self, error: BaseException, kind: type) -> str: ...
    def __get__(self, error: BaseException | None, kind: type) -> Self | str:
        return self if error is None else str(error)


class CallError(LaunchpadError):
    """A call between nodes failed before or after the method ran.

    Attributes:
      code: the canonical status code of the trouble.
      message: the text, as `str` gives it.
    """

    code: StatusCode = StatusCode.UNKNOWN
    message = _Message()


class Unavailable(CallError):
    """The server is not there.

    Attributes:
      maybe_executed: False when the method certainly did not start; True when nobody can tell.
    """

    code = StatusCode.UNAVAILABLE

    def __init__(self, message: str, *, maybe_executed: bool) -> None:
        """Keep the message and whether the method may have run."""
        self.maybe_executed = maybe_executed
        super().__init__(message)


class DeadlineExceeded(CallError, TimeoutError):
    """The call did not end within its time."""

    code = StatusCode.DEADLINE_EXCEEDED

    def __init__(self, message: str) -> None:
        """Add what this is called in gRPC and in the original Courier."""
        super().__init__(f"{message} (Deadline Exceeded)")


class MethodNotFound(CallError, AttributeError):
    """The server has no such method."""

    code = StatusCode.NOT_FOUND


class NotAuthenticated(CallError):
    """The server and the client do not belong to the same run, or to the same user."""

    code = StatusCode.UNAUTHENTICATED


class VersionMismatch(CallError):
    """The server runs another Python or another version of this package."""

    code = StatusCode.FAILED_PRECONDITION


class PayloadTooLarge(CallError):
    """The arguments or the result exceed the configured limit."""

    code = StatusCode.RESOURCE_EXHAUSTED


class ResourceExhausted(CallError):
    """The server or the client has as many calls, or its process as many threads, as it may."""

    code = StatusCode.RESOURCE_EXHAUSTED


class CodecError(CallError, ValueError):
    """A value cannot be sent with `codec="data"`, or what came is not one."""

    code = StatusCode.INVALID_ARGUMENT


class BatchError(CallError, ValueError):
    """Calls of a batched handler do not fit together, or its result cannot be divided."""

    code = StatusCode.INVALID_ARGUMENT


class RemoteError(CallError):
    """A method raised an exception that cannot be rebuilt in this process.

    Attributes:
      type_name: the exception's class, `module.QualifiedName`.
      summary: its text.
      remote_traceback: its traceback, as text; empty if the server does not tell.
    """

    def __init__(self, type_name: str, message: str, remote_traceback: str) -> None:
        """Carry all that is known of the remote exception."""
        self.type_name = type_name
        self.summary = message
        self.remote_traceback = remote_traceback
        trace = f"\n\n{remote_traceback.rstrip()}" if remote_traceback else ""
        super().__init__(f"{type_name}: {message}{trace}")


def describe_os_error(error: OSError) -> str:
    """Return what the system refused, and for which file, as a sentence."""
    what = error.strerror or str(error)
    return f"{error.filename}: {what}." if error.filename is not None else f"{what}."


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the likely spelling, and what there is.

    Args:
      word: what was given.
      known: what would have been valid.
    """
    names = sorted(known)
    matches = difflib.get_close_matches(word, names, n=1)
    hint = f"; did you mean {matches[0]!r}?" if matches else "."
    return f"{hint} Known: {', '.join(names) if names else 'none'}."
