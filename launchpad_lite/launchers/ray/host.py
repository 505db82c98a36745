"""What runs inside of Ray: an actor, and the process of an agent that it holds.

Workers are forked, which an actor's own process, full of Ray's threads, must not do. So it starts
another, which ends with it.
"""

from __future__ import annotations

import collections
import dataclasses
import importlib
import os
import pathlib
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import ExitCode, LaunchpadError, brief
from launchpad_lite.launchers.ray import ray_logs
from launchpad_lite.launchers.ray.addresses import VARIABLE
from launchpad_lite.runtime import children, relay
from launchpad_lite.runtime.rundir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launchpad_lite.credentials import Credentials

THREADS = "OMP_NUM_THREADS"

_TAIL_LINES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Charge:
    """What an actor is to hold.

    Attributes:
      agent: the agent's name.
      preload: modules that are imported before workers are forked.
      endpoint: where the controller listens.
      credentials: of the run.
      directory: the path of the run's directory, where the controller is.
      workers: the names of those that the agent may have.
      path: where modules are, beyond what the machine's own Python knows; relative to what Ray
        makes the working directory.
      environment: the launching process's; what Ray sets on the machine itself is kept.
      sets_threads: whether the user has Ray set `OMP_NUM_THREADS`, in a runtime environment.
    """

    agent: str
    preload: Sequence[str]
    endpoint: str
    credentials: Credentials
    directory: str
    workers: Sequence[str]
    path: Sequence[str]
    environment: Mapping[str, str]
    sets_threads: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Here:
    """Where the actor is."""

    charge: Charge
    host: str
    address: str
    gpus: tuple[str, ...]
    machine: str
    actor: int  # its process
    logs: str  # Ray's directory of them


class Host:
    """The actor: it holds the agent of some workers, and answers when that has ended."""

    def hold(self, charge: bytes) -> str:
        """Run an agent to its end.

        Args:
          charge: the pickled `Charge`.

        Returns:
          What it has failed of; empty if it has ended in order.
        """
        import ray as module  # only where Ray has started this process

        ray: Any = module
        given: Charge = pickle.loads(charge)
        here = _Here(
            charge=given,
            host=os.uname().nodename,
            address=ray.util.get_node_ip_address(),
            gpus=tuple(str(gpu) for gpu in ray.get_gpu_ids()),
            machine=ray.get_runtime_context().get_node_id(),
            actor=os.getpid(),
            logs=_logs_of_ray(),
        )
        known = [entry for entry in sys.path if entry]
        path = known + [entry for entry in map(os.path.abspath, given.path) if entry not in known]
        code = (
            f"import sys; sys.path[:] = {path!r}; "
            "from launchpad_lite.launchers.ray.host import main; main()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(given, ray.get_runtime_context().gcs_address),
            # Ray kills the process group of an actor, and with it an agent that has yet to end what
            # its workers have started.
            start_new_session=True,
        )
        last: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        with process:
            if process.stdin is not None:
                process.stdin.write(pickle.dumps(here))
                process.stdin.close()
            for line in process.stderr or ():
                text = line.decode(errors="replace")
                sys.stderr.write(text)
                last.append(text.rstrip())
            status = process.wait()
        if status == ExitCode.OK:
            return ""
        return "\n  ".join([f"the agent's process ended with {status}", *last])


def _logs_of_ray() -> str:
    worker: Any = importlib.import_module("ray._private.worker")
    return str(worker._global_node.get_logs_dir_path())  # noqa: SLF001 - nothing else tells


def _environment(charge: Charge, address: str) -> dict[str, str]:
    """Return what the nodes have of the launching process's environment, and of Ray's.

    Args:
      charge: what the actor holds.
      address: the cluster's, for nodes that use Ray: a machine may have several.
    """
    environment = {**charge.environment, VARIABLE: address, **os.environ}
    if not charge.sets_threads:  # Ray sets what all nodes of the actor have together
        environment.pop(THREADS, None)
        if THREADS in charge.environment:
            environment[THREADS] = charge.environment[THREADS]
    return environment


def main() -> None:
    """Run an agent, told by standard input what and where, and end the process."""
    children.die_with_parent()
    here: _Here = pickle.loads(sys.stdin.buffer.read())
    if os.getppid() != here.actor:  # it has ended before this process could end with it
        sys.exit(ExitCode.OK)
    charge = here.charge
    run = RunDirectory(pathlib.Path(charge.directory))
    every = [run.log(worker) for worker in charge.workers]
    logs = [] if run.is_here() else every
    try:
        if logs:
            run.make_logs()
        ray_logs.show(every, run.run_id, pathlib.Path(here.logs))
        process, sock = relay.fork_agent(charge.preload)
        from launchpad_lite.courier import socket_dir
        from launchpad_lite.runtime.fleet import Place

        sockets = socket_dir.make()
        try:
            place = Place(
                host=here.host,
                address=here.address,
                socket_dir=sockets,
                gpus=here.gpus,
                machine=here.machine,
            )
            relay.pass_on(
                charge.agent,
                sock,
                place,
                charge.endpoint,
                charge.credentials,
                told_to_end="Ray told an actor to end (SIGTERM)",
                logs=logs,
            )
        finally:
            sock.close()
            os.waitpid(process, 0)
            socket_dir.remove(pathlib.Path(sockets))
            if logs:
                run.remove_logs(logs)
    except LaunchpadError as error:
        sys.stderr.write(f"{brief(error)}\n")
        sys.exit(error.exit_code)
