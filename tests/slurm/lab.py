"""A real SLURM cluster on this machine: each node in namespaces of its own.

It needs root and Debian's packages `slurmctld slurmd slurm-client munge iproute2`; a SLURM or munge
that the machine itself runs is neither used nor touched. By hand:

    python -m tests.slurm.lab DIRECTORY

boots a cluster, prints what a shell needs to use it, and stays until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import psutil

from tests.machines import needed
from tests.machines.daemon import Daemon, Machine
from tests.machines.directory import held
from tests.machines.network import Network
from tests.slurm.cluster import LOGIN, Cluster
from tests.slurm.files import CLIENTS, entering, write, write_clients

_SUBNET = "10.77.0"  # inside the lab's namespaces only: each lab may have the same
_POLL_SECONDS = 0.05


def missing() -> str | None:
    """Returns why no cluster can be booted here, or None if one can."""
    packages = "slurmctld slurmd slurm-client munge iproute2"
    return needed.missing(packages, ("slurmctld", "slurmd", "munged", *CLIENTS))


class Lab:
    """A cluster of a login node, which runs slurmctld too, and compute nodes `node0`, `node1`...

    `with Lab.boot(directory) as lab` boots it and ends it. All of a lab ends at the latest together
    with the thread that booted it. All nodes have the files of this machine, but /dev/shm, host
    names, process ids and (with "netns") networks of their own.

    Attributes:
      directory: Where its files are; removed at the end.
      nodes: The names of its compute nodes.
      env: The environment of clients, which may be run from anywhere: the clients on its PATH
        enter the login node.
    """

    def __init__(self, cluster: Cluster, *, own_networks: bool) -> None:
        self.directory = cluster.directory
        self.nodes = [node.name for node in cluster.nodes]
        self.env = {
            **os.environ,
            "SLURM_CONF": f"{self.directory}/slurm.conf",
            "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
        }
        self._cluster = cluster
        self._own_networks = own_networks
        self._login: Machine | None = None
        self._network: Network | None = None
        self._slurmctld: Daemon | None = None
        self._machines: dict[str, Machine] = {}
        self._started: dict[str, float] = {}  # when each slurmd was, by the epoch
        self._closing = contextlib.ExitStack()

    @classmethod
    def boot(
        cls,
        directory: Path,
        *,
        nodes: int = 3,
        cpus: int = 8,
        gpu_nodes: int = 2,
        network: Literal["netns", "loopback"] = "netns",
        hets: bool = True,
    ) -> Self:
        """Boots a cluster and waits until it takes jobs.

        Args:
          directory: A new or empty directory, whose path is short: sockets are in it.
          nodes: How many compute nodes.
          cpus: How many CPUs each claims to have.
          gpu_nodes: How many of them, the last ones, have four pretend GPUs.
          network: "netns" gives each node a network of its own. With "loopback" they share this
            machine's, so that this process can call what runs on them.
          hets: Whether heterogeneous jobs are taken.
        """
        own = network == "netns"
        cluster = Cluster.of(
            directory.absolute(),
            nodes=nodes,
            gpu_nodes=gpu_nodes,
            cpus=cpus,
            subnet=_SUBNET if own else "127.0.0",
            ports=[6817] + [6818] * nodes if own else _free_ports(nodes + 1),
            hets=hets,
        )
        lab = cls(cluster, own_networks=own)
        try:
            lab._boot()
        except BaseException:
            lab.close()
            raise
        return lab

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all that runs in it and removes its directory; also after half a boot, or twice."""
        self._closing.close()

    # What a test does with it.

    def words(self, *command: str) -> list[str]:
        """Returns a command as this process starts it on the login node, in this directory."""
        assert self._login is not None
        return [*entering(self._login.pid), f"--wdns={Path.cwd()}", *command]

    def words_on(self, node: str, *command: str) -> list[str]:
        """Returns a command as this process starts it on a compute node."""
        first = str(self._machines[node].first.pid)
        return ["nsenter", f"--target={first}", "--net", "--mount", *command]

    def run(
        self, *command: str, check: bool = True, env: Mapping[str, str] | None = None, **how: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command on the login node to its end.

        Args:
          command: The program and its arguments.
          check: Whether it must succeed.
          env: What its environment has beside `Lab.env`.
          how: More for `subprocess.run`.

        Raises:
          AssertionError: It failed; the message has its output.
        """
        settings: dict[str, Any] = {"timeout": 60.0, "stdin": subprocess.DEVNULL, **how}
        done: subprocess.CompletedProcess[str] = subprocess.run(
            self.words(*command),
            env=self.env | dict(env or {}),
            capture_output=True,
            text=True,
            check=False,
            **settings,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{shlex.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def queue(self) -> dict[int, str]:
        """Returns the jobs that have not ended, with their states: "PENDING", "RUNNING"..."""
        lines = self.run("squeue", "--noheader", "--format=%A %T").stdout.splitlines()
        return {int(job): state for job, state in (line.split() for line in lines)}

    def job(self, job: int) -> dict[str, str]:
        """Returns what SLURM says of a job, ended or not: `scontrol show job`."""
        return _fields(self._show("job", str(job)))

    def state(self, node: str) -> str:
        """Returns a node's state: "IDLE", "MIXED+DRAIN", "DOWN*"...; `*` means no answer."""
        return _fields(self._show("node", node))["State"]

    def address(self, node: str) -> str:
        """Returns a node's IPv4 address."""
        return next(known.address for known in self._cluster.nodes if known.name == node)

    def power_off(self, node: str) -> None:
        """Takes a node's power: its peers hear nothing more of it, not even that it is gone."""
        machine = self._machines.pop(node)
        if self._network is not None:
            self._network.unwire(node)
        machine.kill()

    def power_on(self, node: str) -> None:
        """Starts a node that is off."""
        self._wire(self._start_machine(node))

    def kill_slurmd(self, node: str) -> None:
        """Kills SLURM's daemon on a node, and nothing else there."""
        if slurmd := self._machines[node].child("slurmd"):
            slurmd.kill()
            self.until(lambda: not slurmd.is_running(), f"slurmd of {node} does not die")

    def start_slurmd(self, node: str) -> None:
        """Starts SLURM's daemon again on a node that is on."""
        self._started[node] = int(time.time())
        self._machines[node].start_again()

    def kill_slurmctld(self) -> None:
        """Kills the cluster's controller; what it saved stays."""
        if self._slurmctld is not None:
            self._slurmctld.kill()
            self._slurmctld = None

    def start_slurmctld(self) -> None:
        """Starts the cluster's controller; it goes on with what it saved."""
        command = self.words("slurmctld", "-D", "-i", "-f", self.env["SLURM_CONF"])
        self._slurmctld = Daemon(*command, log=self.directory / "log" / "slurmctld.out")

    def wait_ready(self) -> None:
        """Waits until every node that is on takes jobs."""
        self.until(self._is_ready, "the cluster does not come up")

    def reset(self) -> None:
        """Cancels all jobs and starts what is off: after that the lab is as after its boot."""
        if self._slurmctld is None or not self._slurmctld.is_running():
            self.start_slurmctld()
        for node in self.nodes:
            if node not in self._machines:
                self.power_on(node)
            elif self._machines[node].child("slurmd") is None:
                self.start_slurmd(node)
        self.wait_ready()
        if jobs := self.queue():
            self.run("scancel", "--quiet", *map(str, jobs), check=False)
            self.until(lambda: not self.queue(), "jobs do not end")

    def processes(self) -> set[psutil.Process]:
        """Returns the processes that are the lab itself, unlike those of jobs."""
        found: set[psutil.Process] = set()
        for daemon in (self._login, self._slurmctld):
            with contextlib.suppress(psutil.NoSuchProcess):
                if daemon is not None:
                    process = psutil.Process(daemon.pid)
                    found |= {process, *process.children()}
        for machine in self._machines.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                found |= machine.processes("slurmd")
        return found

    def until(self, condition: Callable[[], bool], complaint: str, seconds: float = 60) -> None:
        """Waits until something is so.

        Raises:
          TimeoutError: It is not; the message has the complaint and the ends of the logs.
          RuntimeError: munged or slurmctld ended by itself.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            self._check_daemons()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{complaint} (waited for {seconds:g} s)\n{self._logs()}")
            time.sleep(_POLL_SECONDS)

    # How it comes up.

    def _boot(self) -> None:
        self._closing.enter_context(held(self.directory))
        write(self._cluster)
        munge = self.directory / "munge"
        self._login = Machine(
            LOGIN,
            self._output(LOGIN),
            *("munged", "--foreground", f"--key-file={munge}/key", f"--socket={munge}/socket"),
            *(f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"),
            mounts=self._mounts,
            own_network=self._own_networks,
            is_node=False,
        )
        self._closing.callback(self._login.kill)
        self._login.await_namespaces()
        write_clients(self.directory, self._login.pid)
        if self._own_networks:
            self._network = Network(self._login, self._cluster.login_address)
        self._login.go()
        self._closing.callback(self.kill_slurmctld)
        self._closing.callback(self._kill_machines)
        machines = [self._start_machine(node) for node in self.nodes]
        self.until((munge / "socket").exists, "munged does not come up")
        self.start_slurmctld()
        for machine in machines:
            self._wire(machine)
        self.wait_ready()

    def _start_machine(self, node: str) -> Machine:
        conf = self.env["SLURM_CONF"]
        self._started[node] = int(time.time())
        machine = Machine(
            *(node, self._output(node), "slurmd", "-D", "-b", "-f", conf, "-N", node),
            mounts=self._mounts,
            own_network=self._own_networks,
        )
        self._machines[node] = machine
        return machine

    def _wire(self, machine: Machine) -> None:
        machine.await_namespaces()
        if self._network is not None:
            self._network.wire(machine, self.address(machine.name))
        machine.go()

    def _kill_machines(self) -> None:
        while self._machines:
            self._machines.popitem()[1].kill()

    @property
    def _mounts(self) -> dict[str, str]:
        """What machines see: inside, the lab's clients are the real ones."""
        here = str(self.directory)
        return {"/etc/hosts": f"{here}/hosts", f"{here}/bin": f"{here}/empty"}

    def _output(self, machine: str) -> Path:
        return self.directory / "log" / f"{machine}.out"

    def _is_ready(self) -> bool:
        known = map(_fields, self._show("node", check=False).splitlines())
        nodes = {fields["NodeName"]: fields for fields in known}
        return all(name in nodes and self._takes_jobs(nodes[name]) for name in self._machines)

    def _takes_jobs(self, node: Mapping[str, str]) -> bool:
        """Tells whether the slurmd that was started last has registered, and all is well."""
        started = node.get("SlurmdStartTime", "None")
        if started in {"None", "Unknown"}:
            return False
        since = time.mktime(time.strptime(started, "%Y-%m-%dT%H:%M:%S"))
        bad = ("*", "DOWN", "UNKNOWN", "DRAIN", "FAIL", "NOT_RESPONDING")
        return since >= self._started[node["NodeName"]] and not any(
            word in node["State"] for word in bad
        )

    def _check_daemons(self) -> None:
        for name, daemon in (("munged", self._login), ("slurmctld", self._slurmctld)):
            if daemon is not None and not daemon.is_running():
                raise RuntimeError(f"{name} ended by itself\n{self._logs()}")

    def _show(self, *what: str, check: bool = True) -> str:
        return self.run("scontrol", "--oneliner", "show", *what, check=check).stdout

    def _logs(self) -> str:
        logs = sorted((self.directory / "log").iterdir())
        return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in logs)


def _fields(line: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in line.split() if "=" in word)
    return {key: value for key, _, value in pairs}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def main() -> None:
    """Boots a cluster and keeps it until Ctrl-C."""
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, lambda *_: sys.exit())
    with Lab.boot(Path(sys.argv[1])) as lab:
        print(f"export SLURM_CONF={lab.env['SLURM_CONF']} PATH={lab.directory}/bin:$PATH")
        print(f"# a shell on the login node: {shlex.join(lab.words('bash'))}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
