"""Clients of nodes in a run that another process has launched."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from launchpad_lite import forks, validation
from launchpad_lite.config import ClientConfig, RunConfig, with_settings
from launchpad_lite.courier.client import client_in_run
from launchpad_lite.errors import (
    CallError,
    ContextError,
    ControllerLost,
    Stopped,
    UsageError,
    nearest,
)
from launchpad_lite.launchers.ray import finding
from launchpad_lite.launchers.reach import Reach
from launchpad_lite.runtime import rundir
from launchpad_lite.runtime.control import RunViewer
from launchpad_lite.runtime.scope import RunScope
from launchpad_lite.runtime.supervisor import Phase
from launchpad_lite.stop_token import StopToken

if TYPE_CHECKING:
    from typing import Unpack

    from launchpad_lite.config import ClientSettings
    from launchpad_lite.runtime.rundir import Rendezvous
    from launchpad_lite.scope import HasName


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Connection:
    """What all clients of a run share in this process."""

    scope: RunScope
    viewer: RunViewer


_lock = threading.Lock()
_connections: dict[str, _Connection] = {}


def connect(run: str, target: str, index: int = 0, **client_kwargs: Unpack[ClientSettings]) -> Any:
    """Return a client of a node of a run that another process has launched.

    It may be called anywhere on the machine that has launched the run. In a Ray cluster it may also
    be called in tasks and actors on other machines.

    Args:
      run: the run's name, or the beginning of it.
      target: the label of the node's group.
      index: its place in the group.
      **client_kwargs: settings of the client, as in `courier.Client`.

    Raises:
      UsageError: there is no such run, node or setting, or the node offers no service.
      ControllerLost: the run's controller does not answer.
    """
    validation.text("lp.connect(run)", run)
    validation.text("lp.connect(target)", target)
    run_id, rendezvous = _find(run)
    with _lock:
        connection = _connections.get(run_id)
        if connection is None:
            connection = _connections[run_id] = _connect(run_id, rendezvous)
    try:
        services = connection.viewer.services()
        nodes = connection.viewer.status().nodes
    except CallError as error:
        message = f"{run_id}: its controller does not answer: {error}"
        raise ControllerLost(message) from error
    name = f"{target}/{index}"
    if name not in services:
        message = f"{run_id} has no node {name!r} that can be called{nearest(name, services)}"
        raise UsageError(message)
    places = [place for node in nodes for place in node.endpoints]
    if places and all(place.startswith("inproc:") for place in places):
        message = (
            f"{run_id}: its nodes are threads of one process, which others cannot call. Launch it "
            "with --launcher=process, or with --lp_transport=unix."
        )
        raise UsageError(message)
    return client_in_run(connection.scope, name, with_settings(ClientConfig(), client_kwargs))


def _find(word: str) -> tuple[str, Rendezvous]:
    found = {
        each.run_id: rendezvous
        for each in rundir.list_runs()
        if each.run_id.startswith(word) and each.is_alive()
        if (rendezvous := each.rendezvous()) is not None
    }
    found = found or finding.find(word)
    if word in found:
        return word, found[word]
    if len(found) == 1:
        return found.popitem()
    shown = ", ".join(sorted(found)) or "none"
    message = (
        f"lp.connect needs a run that lives, of this user on this machine or in the Ray cluster "
        f"that this process has joined; {word!r} begins: {shown}. `lp-launch ps` lists them."
    )
    raise UsageError(message)


def _connect(run_id: str, rendezvous: Rendezvous) -> _Connection:
    viewer = RunViewer(rendezvous.endpoint, rendezvous.credentials)
    stop = StopToken()
    who = f"({socket.gethostname()}, {os.getpid()}, {secrets.token_hex(4)})"
    reach = Reach(run_id, viewer.stop, who)
    reach.found(rendezvous)
    scope = RunScope(
        run_id=run_id,
        stop=stop,
        config=RunConfig(),
        credentials=rendezvous.credentials,
        schemes=(),
        socket_dir=None,
        incarnation=0,
        directory=reach.services,
        follow=reach.follow,
        control=reach,
        names=_no_name,
    )

    def await_end() -> None:
        while _is_there(viewer):
            with contextlib.suppress(CallError, Stopped):
                for _ in viewer.changes():
                    pass
        with _lock:
            _connections.pop(run_id, None)
        reach.close()
        stop.close(reason="the run has ended")

    threading.Thread(target=await_end, name=f"lp-connect {run_id}", daemon=True).start()
    return _Connection(scope=scope, viewer=viewer)


def _is_there(viewer: RunViewer) -> bool:
    """Whether a run goes on, as far as can be heard; its controller may be busy for a while."""
    for pause in (0.0, 1.0, 2.0):
        time.sleep(pause)
        with contextlib.suppress(CallError, Stopped):
            return viewer.status().phase != Phase.ENDED.value
    return False


def _after_fork() -> None:
    """Forget the parent's connections, whose threads a child that it forked has not."""
    global _lock  # noqa: PLW0603 - the parent's may be taken for ever
    _lock = threading.Lock()
    _connections.clear()


forks.forget(_after_fork)


def _no_name(address: HasName) -> str:
    message = f"{address!r} is of a program; lp.connect takes the label of a group."
    raise ContextError(message)
