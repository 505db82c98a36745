"""Programs on machines with networks of their own, and what becomes of them when one is lost."""

from __future__ import annotations

import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from launchpad_lite.errors import ExitCode
from launchpad_lite.testing.conformance.launcher_parts.base import eventually
from tests.helpers import require_backend
from tests.machines.directory import remove_abandoned
from tests.ray.lab import ADDRESSES, HEAD, Lab, missing

pytestmark = pytest.mark.ray

PREFIX = "lp-ray-"
DIRECTORY = Path("/tmp")  # a short path: sockets are in it


@pytest.fixture(scope="module")
def booted_lab() -> Iterator[Lab]:
    """The cluster, as the tests before left it."""
    require_backend("ray", missing())
    remove_abandoned(DIRECTORY.glob(f"{PREFIX}*"))
    with Lab.boot(Path(tempfile.mkdtemp(prefix=PREFIX, dir=DIRECTORY))) as lab:
        yield lab


@pytest.fixture
def lab(booted_lab: Lab) -> Iterator[Lab]:
    """The cluster, with all machines up and nothing in it; so it is left, too."""
    yield booted_lab
    booted_lab.reset()


@pytest.fixture
def spared(booted_lab: Lab) -> Callable[[], set[psutil.Process]]:
    """Daemons that a test started again are not its leftovers."""
    return booted_lab.processes


def test_calls_between_machines_are_encrypted(lab: Lab) -> None:
    run = lab.launch(HEAD, "--mode=arrays")
    assert run.end() == 0, run.text()
    assert "machines: [('side0', None), ('side0', None), ('side1', None)" in run.text()
    assert "ways: ['TlsStream']" in run.text()
    assert "twice: True" in run.text()


def test_logs_come_from_machines_that_share_no_files(lab: Lab) -> None:
    run = lab.launch(HEAD, "--main=side1", "--mode=raise", shares=False)
    assert run.end() == 1
    assert run.text().count("[main/0] machines: [('side0', None)") == 1
    assert "node main/0 failed: ValueError: on purpose" in run.text()
    assert "ways: ['TlsStream'" in (run.run / "logs" / "main-0.log").read_text()
    assert not list(lab.state("side1").rglob("*.log"))


def test_a_node_is_called_from_outside_of_the_program(lab: Lab) -> None:
    run = lab.launch(HEAD, "--mode=wait", shares=False)
    run.await_text("waiting")
    answers = "here: ('side0', None) in a task: ('side0', None)\n"
    assert lab.call("side0", run.run.name, "side0", "side1") == answers
    run.interrupt()
    assert run.end() == 130


def test_any_machine_may_launch_see_and_stop(lab: Lab) -> None:
    run = lab.launch("side0", "--mode=wait")
    run.await_text("waiting")
    status = lab.lp_launch("side1", "status", run.run.name).stdout
    for name, where in ADDRESSES.items():
        assert re.search(rf"tcp:{re.escape(where)}:\d+", status), (name, status)
    stopped = lab.lp_launch("side1", "stop", run.run.name)
    assert stopped.returncode == 0, stopped.stderr
    assert run.end() == 0, run.text()
    assert "told to stop: True" in run.text()


def test_any_machine_may_see_and_stop_what_it_has_no_files_of(lab: Lab) -> None:
    run = lab.launch(HEAD, "--mode=wait", "--detach", shares=False)
    run.await_text("has started")
    run.send(signal.SIGKILL)
    assert run.end() == -signal.SIGKILL
    name = run.run.name
    follower = lab.follow("side1", name)
    follower.await_text("[main/0] waiting")
    for machine in ("side1", HEAD):
        listed = lab.lp_launch(machine, "ps", shares=False)
        assert listed.stderr == ""
        assert re.findall(rf"{name} .* running +5/5", listed.stdout), listed
        assert listed.stdout.count(name) == 1
    status = lab.lp_launch("side1", "status", name[:-1], shares=False).stdout
    assert f"directory  head:{lab.directory}/ray/state/launchpad_lite/runs/{name}" in status
    calls = lab.lp_launch("side1", "status", name, "--calls", shares=False).stdout
    assert "side0/0.where" in calls
    logs = lab.lp_launch(HEAD, "logs", "spread", "main", "--ray_address=auto", shares=False)
    assert logs.stdout.startswith("machines: [('side0', None)"), logs
    assert logs.stdout.endswith("waiting, restored 0\n")
    impatient = lab.follow("side0", name)
    impatient.await_text("waiting")
    impatient.interrupt()
    assert impatient.end() == ExitCode.INTERRUPTED
    assert impatient.text().endswith("waiting, restored 0\n")
    stopped = lab.lp_launch("side1", "stop", name, shares=False)
    assert stopped.returncode == 0
    assert stopped.stderr.endswith(f"{name}: ended\n")
    assert follower.end() == 0, follower.text()
    assert follower.text().endswith("[main/0] told to stop: True\n")
    unknown = f"launchpad_lite/runs, nor in the Ray cluster at {ADDRESSES[HEAD]}"

    def is_unknown() -> bool:  # its actor is there for a moment more
        status = lab.lp_launch("side1", "status", name, shares=False)
        return status.returncode == ExitCode.USAGE and unknown in status.stderr

    assert eventually(is_unknown)


def test_any_machine_may_stop_a_run_that_waits_for_room(lab: Lab) -> None:
    run = lab.launch(HEAD, "--main=nowhere", "--ray_wait=600", shares=False)
    run.await_text("room")
    listed = lab.lp_launch("side1", "ps", shares=False).stdout
    assert re.findall(r"^spread.* starting +\?", listed, re.MULTILINE), listed
    stopped = lab.lp_launch("side1", "stop", "spread", shares=False)
    assert "an actor of Ray was told to stop it; it had not begun" in stopped.stderr
    run.end()
    assert "stopped while it waited for room in the cluster" in run.text()


def test_a_machine_loses_its_network(lab: Lab) -> None:
    run = lab.launch(HEAD, "--mode=call")
    run.await_text("calling")
    lab.cut("side1")
    assert run.end() == 1
    assert "side1 is gone: nothing has come from it for 10 s" in run.text()


@pytest.mark.timeout(240)  # Ray takes its time to miss a machine
def test_a_machine_that_lost_its_power_comes_back(lab: Lab) -> None:
    run = lab.launch(HEAD, "--mode=frail")
    run.await_text("incarnation 0 answers")
    lab.power_off("side1")
    run.await_text("starting frail/0/0 again: it failed (side1 is gone: nothing has come from it")
    lab.power_on("side1")
    run.await_text("incarnation 1 answers")
    assert run.end() == 0, run.text()


@pytest.mark.timeout(240)
def test_a_machine_is_drained_and_goes(lab: Lab) -> None:
    run = lab.launch(HEAD, "--mode=mobile")
    run.await_text("life 0 on side")
    drained, other = "side0", "side1"
    if "life 0 on side1" in run.text():
        drained, other = other, drained
    lab.drain(drained, 600)
    run.await_text(f"life 1 on {other}: told in time")
    assert re.search(rf"{drained} is drained by Ray and goes in \d+ s; to be started", run.text())
    lab.power_off(drained)
    status = lab.lp_launch(other, "status", run.run.name).stdout
    assert f"tcp:{ADDRESSES[other]}:" in status, status
    run.interrupt()
    assert run.end() == 128 + signal.SIGINT, run.text()
    assert not re.search("failed|refused", run.text())


def test_a_raylet_is_killed(lab: Lab) -> None:
    run = lab.launch(HEAD, "--mode=wait")
    run.await_text("waiting")
    lab.kill("side1", "raylet")
    assert run.end() == 1
    assert "side1" in run.text()


def test_the_driver_is_killed(lab: Lab) -> None:
    run = lab.launch(HEAD, "--mode=call")
    run.await_text("calling")
    run.send(signal.SIGKILL)
    assert run.end() == -signal.SIGKILL


@pytest.mark.timeout(240)
def test_the_head_is_lost_and_started_again(lab: Lab) -> None:
    run = lab.launch("side0", "--mode=call", "--main=side0")
    other = lab.launch(HEAD, "--mode=call")
    for each in (run, other):
        each.await_text("calling")
    lab.kill(HEAD, "gcs_server")
    assert other.end() == ExitCode.CONTROLLER_LOST
    assert "its controller, an actor of Ray, is gone" in other.text()
    lab.start_ray(HEAD)
    lab.await_raylets()
    run.interrupt()
    assert run.end() == 128 + signal.SIGINT, run.text()
    assert "failed" not in run.text()
