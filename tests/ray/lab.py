"""A real Ray cluster on this machine: each node in namespaces of its own.

It needs root and Debian's package `iproute2`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Self

import psutil

from tests.helpers import STATE_VARIABLE
from tests.machines import needed
from tests.machines.daemon import Machine
from tests.machines.directory import held
from tests.machines.launched import PATIENCE_S, Launched, start
from tests.machines.network import Network

HEAD, SIDE = "head", "side"
ADDRESSES = {HEAD: "10.78.0.1", "side0": "10.78.0.11", "side1": "10.78.0.12"}
ADDRESS = f"{ADDRESSES[HEAD]}:6379"
DASHBOARD = f"http://{ADDRESSES[HEAD]}:8265"
CLIENTS = f"ray://{ADDRESSES[HEAD]}:10001"
VISITOR = "visitor"

_HERE = Path(__file__).parent
_RAY_START = "ray.scripts.scripts"
_LP_LAUNCH = (sys.executable, "-P", "-m", "lp_launch")
_NODE_ID = "--node_id="
_POLL_S = 0.05
_STORE_BYTES = 80_000_000
_OWN = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")


def missing() -> str | None:
    """Returns why no cluster can be booted here, or None if one can."""
    return needed.missing() if importlib.util.find_spec("ray") else "it is not installed"


class Lab:
    """A cluster of a head and two machines, each of which has a resource of its name, and `side`.

    `with Lab.boot(directory) as lab` boots it and ends it. All of a lab ends at the latest together
    with the thread that booted it. All machines have the files of this one, but /dev/shm, Ray's
    temporary files, host names, process ids and networks of their own. The head keeps the cluster's
    metadata on its disk, so that it can be started again.

    Attributes:
      directory: Where its files are; removed at the end.
      env: The environment of programs, beside what a test sets.
    """

    def __init__(self, directory: Path, *, dashboard: bool = False) -> None:
        self.directory = directory
        self._dashboard = dashboard
        self._settings = {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "5",  # seconds that a lost client is waited for
            "RAY_gcs_rpc_server_reconnect_timeout_s": "120",  # a head takes long to come up again
        }
        # What Ray is told for a cluster on the loopback interface is none of this one's.
        others = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        self.env = others | self._settings
        self._machines: dict[str, Machine] = {}
        self._network: Network | None = None
        self._damaged: set[str] = set()
        self._launched: list[Launched] = []

    @classmethod
    @contextlib.contextmanager
    def boot(cls, directory: Path, *, dashboard: bool = False) -> Generator[Self]:
        """Boots a cluster, and ends it at the end of the block.

        Args:
          directory: A new or empty directory, whose path is short: sockets are in it.
          dashboard: Whether it has a dashboard, and a machine beside it that is none of its nodes.
        """
        lab = cls(directory, dashboard=dashboard)
        with held(directory), contextlib.ExitStack() as closing:
            closing.callback(lab._kill_machines)
            (directory / "log").mkdir()
            (directory / "ray").mkdir()
            hosts = [("127.0.0.1", "localhost"), *((at, name) for name, at in ADDRESSES.items())]
            (directory / "hosts").write_text("".join(f"{at} {name}\n" for at, name in hosts))
            for name in ADDRESSES:
                lab.power_on(name)
            if dashboard:
                lab._wire_visitor()
            lab.reset()
            yield lab

    # What a test does with it.

    def words(self, name: str, *command: str) -> list[str]:
        """Returns a command as this process starts it on a machine, in this directory."""
        first = self._machines[name].first.pid
        enter = ("nsenter", f"--target={first}", "--net", "--uts", "--mount", "--ipc", "--pid")
        return [*enter, f"--wdns={Path.cwd()}", *command]

    def lp_launch(
        self, name: str, *arguments: str, shares: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Runs `lp-launch` on a machine to its end, whatever its exit code; see `launch`."""
        return self._run(name, *_LP_LAUNCH[1:], *arguments, env=self._environment(shares=shares))

    def follow(self, name: str, run: str) -> Launched:
        """Follows a run's logs on a machine that shares no files with others."""
        output = self.directory / "log" / f"followed-{len(self._launched)}"
        words = self.words(name, *_LP_LAUNCH, "logs", "-f", run)
        process = start(words, self._environment(shares=False), output)
        self._launched.append(Launched(process, output, self.state(name)))
        return self._launched[-1]

    def call(self, name: str, run: str, group: str, machine: str) -> str:
        """Calls a node of a run from outside, on one machine and in a task on another."""
        caller = (str(_HERE / "caller.py"), ADDRESS, run, group, machine)
        done = self._run(name, *caller, env=self._environment(shares=False))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def state(self, name: str) -> Path:
        """Where this process sees the state directory of a launch with `shares=False`."""
        return self.directory / name / "state"

    def launch(self, name: str, *arguments: str, shares: bool = True) -> Launched:
        """Launches `programs.py` from a machine.

        Args:
          name: The machine.
          *arguments: Flags of the program.
          shares: Whether the other machines see the run directory.
        """
        state = Path(os.environ[STATE_VARIABLE])
        if not shares:
            state = self.state(name)
            for each in ADDRESSES:
                shutil.rmtree(self.state(each), ignore_errors=True)
            state.mkdir()
        words = self.words(
            name,
            *(*_LP_LAUNCH, str(_HERE / "programs.py")),
            *("--launcher=ray", f"--ray_address={ADDRESS}", *arguments),
        )
        output = self.directory / "log" / f"launched-{len(self._launched)}"
        process = start(words, self._environment(shares=shares), output)
        self._launched.append(Launched(process, output, state))
        return self._launched[-1]

    def cut(self, name: str) -> None:
        """Lets nothing through to a machine, or from it."""
        assert self._network is not None
        self._damaged.add(name)
        self._network.cut(name)

    def kill(self, name: str, daemon: str) -> None:
        """Kills one of Ray's daemons on a machine: "raylet", "gcs_server"."""
        self._damaged.add(name)
        (process,) = self._daemons(name, daemon)
        process.kill()

    def drain(self, name: str, seconds: int) -> None:
        """Announces the end of a machine, as whoever takes back a spot instance does."""
        self._damaged.add(name)
        (raylet,) = self._daemons(name, "raylet")
        (node,) = (word for word in raylet.cmdline() if word.startswith(_NODE_ID))
        done = self._run(
            HEAD,
            *("-m", _RAY_START, "drain-node", f"--address={ADDRESS}"),
            *("--node-id", node.removeprefix(_NODE_ID)),
            *("--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=spot"),
            f"--deadline-remaining-seconds={seconds}",
            env=self.env,
        )
        assert done.returncode == 0, done.stderr

    def power_off(self, name: str) -> None:
        """Takes a machine's power: its peers hear nothing more of it, not even that it is gone."""
        assert self._network is not None
        self._network.unwire(name)
        self._machines.pop(name).kill()

    def power_on(self, name: str) -> None:
        """Starts a machine that is off."""
        (self.directory / name).mkdir(exist_ok=True)
        machine = Machine(
            name,
            self.directory / "log" / f"{name}.out",
            *self._ray_start(name),
            mounts={
                "/etc/hosts": f"{self.directory}/hosts",
                f"{self.directory}/ray": f"{self.directory}/{name}",
            },
        )
        self._machines[name] = machine
        machine.await_namespaces()
        if self._network is None:
            self._network = Network(machine, ADDRESSES[name])
        else:
            self._network.wire(machine, ADDRESSES[name])
        machine.go()

    def visit(self, *arguments: str) -> Launched:
        """Runs `lp-launch` in this directory, on the machine that is none of the cluster's."""
        return self.visit_with(*_LP_LAUNCH, *arguments)

    def visit_with(self, *command: str) -> Launched:
        """Runs a command in this directory, on the machine that is none of the cluster's."""
        env = self._environment(shares=True)
        words = self.words(VISITOR, *command)
        output = self.directory / "log" / f"launched-{len(self._launched)}"
        self._launched.append(
            Launched(start(words, env, output), output, Path(os.environ[STATE_VARIABLE]))
        )
        return self._launched[-1]

    def start_ray(self, name: str) -> None:
        """Starts Ray again on a machine that is on, of which it holds nothing any more."""
        assert self._network is not None
        if name != HEAD:
            self._network.mend(name)
        machine = self._machines[name]
        for process in machine.first.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._until(lambda: not machine.first.children(), f"processes of {name} do not die")
        machine.start_again()
        self._damaged.discard(name)

    def await_raylets(self) -> None:
        """Waits until there is one on each machine."""
        self._until(lambda: len(self._nodes()) == len(ADDRESSES), "Ray does not start")

    def reset(self) -> None:
        """Ends what was launched, starts what is off, and waits until the cluster is as new.

        Raises:
          AssertionError: It is not; the message says what is wrong.
        """
        while self._launched:
            self._launched.pop().close()
        for name in ADDRESSES:
            if name not in self._machines:
                self.power_on(name)
            elif name in self._damaged:
                self.start_ray(name)
        self.await_raylets()
        self._until(lambda: not self._actors(), "actors are left")
        census = (str(_HERE / "census.py"), ADDRESS, str(PATIENCE_S), *self._nodes())
        done = self._run(HEAD, *census, env=self.env)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self._logs()}"

    def processes(self) -> set[psutil.Process]:
        """Returns the processes that are the lab itself, unlike those that a test has begun."""
        found: set[psutil.Process] = set()
        for machine in self._machines.values():
            waiting = psutil.Process(machine.pid)
            for process in (waiting, *waiting.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    if STATE_VARIABLE not in process.environ():
                        found.add(process)
        return found

    # How it comes up.

    def _wire_visitor(self) -> None:
        assert self._network is not None
        files = f"{self.directory}/{VISITOR}"
        Path(files).mkdir()
        log = self.directory / "log" / f"{VISITOR}.out"
        visitor = Machine(
            VISITOR, log, "sleep", "infinity", mounts={f"{self.directory}/ray": files}
        )
        self._machines[VISITOR] = visitor
        visitor.await_namespaces()
        self._network.wire(visitor, "10.78.0.99")
        visitor.go()

    def _ray_start(self, name: str) -> list[str]:
        variables = {
            **self._settings,
            "HOME": f"{self.directory}/ray",  # a job of Ray has run directories in it
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_raylet_start_wait_time_s": "120",  # on a machine that is busy
            "RAY_agent_register_timeout_ms": "120000",
            "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "120",
            "RAY_gcs_storage": "rocksdb",
            "RAY_gcs_storage_path": f"{self.directory}/gcs",
            # A daemon that was killed is missed after 7 s, a machine after 20 s.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_timeout_ms": "2000",
            "RAY_health_check_failure_threshold": "7",
        }
        dashboard = f"--include-dashboard={'true' if self._dashboard else 'false'}"
        head = ["--head", "--port=6379", dashboard, "--dashboard-host=0.0.0.0", "--no-monitor"]
        where = head if name == HEAD else [f"--address={ADDRESS}"]
        return [
            *("env", *(f"{key}={value}" for key, value in variables.items())),
            *(sys.executable, "-m", _RAY_START, "start", *where),
            f"--node-ip-address={ADDRESSES[name]}",
            f"--resources={json.dumps({name: 8} if name == HEAD else {name: 8, SIDE: 8})}",
            *("--block", "--num-cpus=2", f"--object-store-memory={_STORE_BYTES}"),
            *(f"--temp-dir={self.directory}/ray", "--include-log-monitor=false"),
        ]

    def _nodes(self) -> list[str]:
        """Returns the ids of the nodes that run; there is none while Ray is about to start one."""
        words: list[str] = []
        for name in ADDRESSES:
            for raylet in self._daemons(name, "raylet"):
                with contextlib.suppress(psutil.Error):  # it ends at this moment
                    words += raylet.cmdline()
        return [word.removeprefix(_NODE_ID) for word in words if word.startswith(_NODE_ID)]

    def _daemons(self, name: str, daemon: str) -> list[psutil.Process]:
        return [each for each in self._processes_on(name) if _name(each) == daemon]

    def _processes_on(self, name: str) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):  # its process 1 is about to come
            return self._machines[name].first.children(recursive=True)
        return []

    def _actors(self) -> list[str]:
        names = [_name(each) for name in ADDRESSES for each in self._processes_on(name)]
        return [name for name in names if name.startswith("ray::") and not name.startswith(_OWN)]

    def _environment(self, *, shares: bool) -> dict[str, str]:
        """What is mounted at Ray's directory is another one on each machine."""
        state = os.environ[STATE_VARIABLE] if shares else f"{self.directory}/ray/state"
        return self.env | {STATE_VARIABLE: state}

    def _run(
        self, name: str, *arguments: str, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(name, sys.executable, *arguments),
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )

    def _kill_machines(self) -> None:
        while self._machines:
            self._machines.popitem()[1].kill()

    def _until(self, condition: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{complaint}\n{self._logs()}"
            time.sleep(_POLL_S)

    def _logs(self) -> str:
        logs = sorted((self.directory / "log").iterdir())
        return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in logs)


def _name(process: psutil.Process) -> str:
    """Returns a process's name; none if it ends just now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name()
    return ""
