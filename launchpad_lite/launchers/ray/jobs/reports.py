"""What a job says of its run in its own log, which is all that comes out of a cluster over HTTP.

The log is for people too: nodes' lines begin with the node's name, as on a terminal, and reports
are lines of their own.
"""

from __future__ import annotations

import dataclasses
import io
import threading
from typing import TYPE_CHECKING, Any, cast

import msgspec

from launchpad_lite import errors
from launchpad_lite.errors import LaunchpadError, RunError
from launchpad_lite.runtime.status import NodeStatus, RunStatus
from launchpad_lite.runtime.supervisor import Phase

if TYPE_CHECKING:
    from typing import IO

_MARK = "@launchpad_lite "
_RETURN = "\N{SYMBOL FOR CARRIAGE RETURN}"


class _Failure(msgspec.Struct, frozen=True):
    """An error of this package, by its class's name; not pickled, for a log is anybody's."""

    kind: str
    args: list[Any]
    state: dict[str, Any]

    @classmethod
    def of(cls, error: LaunchpadError) -> _Failure:
        known = next(each for each in type(error).__mro__ if each.__module__ == errors.__name__)
        state = {name: value for name, value in vars(error).items() if _is_plain(value)}
        return cls(known.__name__, [str(each) for each in error.args], state)

    def error(self) -> LaunchpadError:
        kind = getattr(errors, self.kind, RunError)
        if not (isinstance(kind, type) and issubclass(kind, LaunchpadError)):
            kind = RunError
        error = kind.__new__(kind, *self.args)
        error.args = tuple(self.args)
        for name, value in self.state.items():
            setattr(
                error, name, tuple(cast("list[Any]", value)) if isinstance(value, list) else value
            )
        return error


class Where(msgspec.Struct, frozen=True, tag="status"):
    """Where the run is; of its nodes those that have changed."""

    status: RunStatus


class End(msgspec.Struct, frozen=True, tag="end"):
    """The run has ended."""

    failure: _Failure | None

    @property
    def error(self) -> LaunchpadError | None:
        """What it has failed of."""
        return None if self.failure is None else self.failure.error()


Report = Where | End

_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(cast("Any", Report))


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, cast("tuple[object, ...]", value)))
    return isinstance(value, str | int | float | bool)


class Escaping(io.TextIOWrapper):
    """The standard output of a job: Ray would read a carriage return in its log as a line's end."""

    def write(self, text: str) -> int:
        """See the base class."""
        return super().write(text.replace("\r", _RETURN))


class Reporter:
    """Writes reports."""

    def __init__(self, stream: IO[str]) -> None:
        """Begin without having said anything."""
        self._stream = stream
        self._lock = threading.Lock()
        self._nodes: dict[str, NodeStatus] = {}
        self._rest: RunStatus | None = None  # the last, without nodes

    def status(self, status: RunStatus) -> None:
        """Say where the run is, if that is new: what was asked for may come after the end."""
        with self._lock:
            if self._rest is not None and self._rest.phase == Phase.ENDED.value:
                return
            changed = tuple(node for node in status.nodes if self._nodes.get(node.name) != node)
            rest = dataclasses.replace(status, nodes=())
            if changed or rest != self._rest:
                self._nodes |= {node.name: node for node in changed}
                self._rest = rest
                self._say(Where(dataclasses.replace(status, nodes=changed)))

    def end(self, error: LaunchpadError | None) -> None:
        """Say that the run has ended."""
        self._say(End(None if error is None else _Failure.of(error)))

    def _say(self, report: Report) -> None:
        self._stream.write(f"{_MARK}{msgspec.json.encode(report).decode()}\n")
        self._stream.flush()


def read(line: str) -> Report | None:
    """Return what a line of the log reports; None if it is another."""
    if not line.startswith(_MARK):
        return None
    try:
        return _decoder.decode(line.removeprefix(_MARK))
    except msgspec.MsgspecError:  # somebody has printed what looks like one
        return None


def printed(line: str) -> str:
    """Return what a node has printed, as `Escaping` has written it."""
    return line.replace(_RETURN, "\r")


def merged(before: RunStatus, now: RunStatus) -> RunStatus:
    """Return a status with all of its nodes.

    Args:
      before: what was known.
      now: what was reported.
    """
    nodes = {node.name: node for node in (*before.nodes, *now.nodes)}
    return dataclasses.replace(now, nodes=tuple(nodes.values()))
