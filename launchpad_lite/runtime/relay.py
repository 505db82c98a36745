"""Between an agent and a controller on another host: passes on what they say to each other.

An agent must fork safely, so it has no threads and no TLS. Its parent, this process, has both: what
the controller says comes in a stream and goes to the agent's socket; what the agent says goes to
the controller in calls. When either end is gone, the other is hung up on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from launchpad_lite.runtime import link
from launchpad_lite.runtime.pulse import BEAT_S

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Sequence

    from launchpad_lite.credentials import Credentials
    from launchpad_lite.runtime.fleet import Place


def fork_agent(preload: Sequence[str]) -> tuple[int, socket.socket]:
    """Fork an agent; return its process and the socket to it.

    It must be done before this process has threads. The agent ends when the socket closes, and with
    this process; SIGTERM is its parent's to hear.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    try:
        ours.close()
        os.dup2(theirs.fileno(), 0)
        theirs.close()
        from launchpad_lite.runtime import agent

        agent.main(preload, hears_term=False)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def pass_on(
    agent: str,
    sock: socket.socket,
    place: Place,
    endpoint: str,
    credentials: Credentials,
    *,
    told_to_end: str,
    logs: Sequence[pathlib.Path] = (),
) -> bool:
    """Introduce an agent to its controller, and pass on until either is gone.

    Return whether that was in order: False if the controller is gone without a word.

    Args:
      agent: its name.
      sock: to it.
      place: where it is.
      endpoint: where the controller listens.
      credentials: of the run.
      told_to_end: what the controller is told at SIGTERM, upon which it ends the run.
      logs: those of its workers, if the controller cannot see them: what is written there is passed
        on too.
    """
    from launchpad_lite.config import ClientConfig
    from launchpad_lite.courier.client import client_at
    from launchpad_lite.courier.typed import stream
    from launchpad_lite.errors import CallError
    from launchpad_lite.runtime.shipping import INTERVAL_S, LogShipper

    controller: Any = client_at(endpoint, credentials, ClientConfig(), internal=True)
    told = stream(controller.arrive, agent, place)

    def on_term(*_: object) -> None:
        controller.futures.told_to_end(told_to_end)  # no call here, which could wait for ever

    signal.signal(signal.SIGTERM, on_term)
    lost = threading.Event()
    threading.Thread(target=_tell, args=(told, sock, lost), name="lp-relay", daemon=True).start()
    threading.Thread(target=_beat, args=(controller, agent), name="lp-beat", daemon=True).start()
    present = ClientConfig(wait_for_ready=False)  # it has answered: once gone, it is gone for good
    listening: Any = client_at(endpoint, credentials, present, internal=True)
    shipper = None
    if logs:
        shipper = LogShipper(logs, listening.take_log, INTERVAL_S)
        shipper.start()
    reader = link.Reader(sock)
    try:
        while True:
            for frame in reader.frames():
                if shipper is not None:
                    shipper.ship()  # who hears of a node's end wants to see its last words
                listening.hear(agent, frame)
    except CallError:
        lost.set()
    except (EOFError, OSError):
        pass  # the agent has ended
    finally:
        if shipper is not None:
            shipper.stop()
    return not lost.is_set()


def _beat(controller: Any, agent: str) -> None:
    """Say again and again that this host is there."""
    from launchpad_lite.errors import CallError

    while True:
        with contextlib.suppress(CallError):  # that the controller is gone, others notice
            controller.beat(agent)
        time.sleep(BEAT_S)


def _tell(told: Any, sock: socket.socket, lost: threading.Event) -> None:
    """Tell an agent what its controller says; hang up when that says no more."""
    try:
        for frame in told:
            sock.sendall(frame)
    except Exception as error:
        sys.stderr.write(f"the controller is gone: {error}\n")
        lost.set()
    finally:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
