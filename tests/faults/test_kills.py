"""Whoever is killed, nothing is left within seconds, and whoever lives says what happened."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.faults import programs
from tests.faults.bench import SOON_S, Bench


def test_the_launcher_is_killed(bench: Bench) -> None:
    bench.launch("make_family", "process")
    bench.wait_for("is up", programs.FAMILY_SIZE)
    assert len(bench.processes()) == programs.FAMILY_SIZE + 2  # and launcher and agent
    bench.kill(bench.process.pid)
    assert bench.nothing_is_left()


def test_the_launcher_of_threads_is_killed(bench: Bench) -> None:
    bench.launch("make_patient", "thread")
    bench.wait_for("is up", 2)
    bench.wait_for_rendezvous()
    bench.kill(bench.process.pid)
    bench.process.communicate()
    assert bench.processes() == []
    bench.launch("make_good", "thread")
    assert bench.ended() == 0
    assert bench.sockets_are_gone()  # the second run removed what the first could not


def test_the_launcher_is_killed_while_it_starts(bench: Bench) -> None:
    bench.launch("make_family", "process")
    bench.wait_for("is up")
    bench.kill(bench.process.pid)
    assert bench.nothing_is_left()


def test_the_agent_is_killed(bench: Bench) -> None:
    bench.launch("make_family", "process")
    bench.wait_for("is up", programs.FAMILY_SIZE)
    bench.kill(bench.agent)
    assert bench.ended() == 1
    assert "the agent that held it was killed" in bench.output
    assert "NodeFailed: node " in bench.output
    assert bench.nothing_is_left()


def test_launcher_and_agent_are_killed(bench: Bench) -> None:
    bench.launch("make_family", "process")
    bench.wait_for("is up", programs.FAMILY_SIZE)
    agent = psutil.Process(bench.agent)
    agent.suspend()  # it must not notice
    bench.kill(bench.process.pid, agent.pid)
    bench.process.communicate()
    assert psutil.wait_procs(bench.processes(), SOON_S)[1] == []
    bench.launch("make_good", "thread")  # removes what neither of them could
    assert bench.ended() == 0
    assert bench.sockets_are_gone()


def test_the_launcher_exits_hard(bench: Bench) -> None:
    bench.launch("make_family", "process")
    bench.wait_for("is up", programs.FAMILY_SIZE)
    bench.write("exit")
    assert bench.ended() == 9
    assert bench.nothing_is_left()


def test_the_launcher_is_killed_while_a_child_holds_its_descriptors(bench: Bench) -> None:
    bench.launch("make_family", "process")
    bench.wait_for("is up", programs.FAMILY_SIZE)
    bench.write("fork")
    bench.wait_for("fork is up")
    child = psutil.Process(bench.pid("fork"))
    bench.kill(bench.process.pid)
    others = [process for process in bench.processes() if process != child]
    assert psutil.wait_procs(others, SOON_S)[1] == []
    child.kill()
    assert bench.nothing_is_left()


@pytest.mark.parametrize("node", ["server/0", "server/1", "parent/0"])
def test_a_worker_is_killed(node: str, bench: Bench) -> None:
    bench.launch("make_family", "process", 1, 0.5)
    bench.wait_for("is up", programs.FAMILY_SIZE)
    bench.kill(bench.pid(node))
    assert bench.ended() == 1
    assert f"NodeFailed: node {node} failed: its process was killed by SIGKILL" in bench.output
    assert bench.nothing_is_left()


def descendants_of_parent(bench: Bench) -> list[psutil.Process]:
    return [psutil.Process(bench.pid(kind)) for kind in ("child", "daemon")]


def test_descendants_of_a_worker_die_with_it_while_others_live(bench: Bench) -> None:
    bench.launch("make_family", "process", 2, 0.5)
    bench.wait_for("is up", programs.FAMILY_SIZE)
    descendants = descendants_of_parent(bench)
    bench.kill(bench.pid("parent/0"))
    assert psutil.wait_procs(descendants, 10)[1] == []
    assert bench.ended() == 1, bench.output
    assert bench.nothing_is_left()


def test_a_worker_that_ignores_sigterm_is_killed_after_its_grace(bench: Bench) -> None:
    bench.launch("make_deaf", "process", 0.5, 0.5)
    bench.wait_for("is up")
    assert bench.ended() == 0, bench.output
    assert "main goes on" in bench.notes
    assert bench.nothing_is_left()


def test_a_colocated_worker_is_killed(bench: Bench) -> None:
    bench.launch("make_colocation", "process", 1, 0.5)
    bench.wait_for("is up", programs.COLOCATION_SIZE)
    bench.note("call 0")
    bench.wait_for("got 0")
    bench.kill(bench.pid("machine/0/0"))
    bench.wait_for("machine/0/0 is up", 2)
    bench.note("call 1")
    bench.wait_for("got 1")  # the caller has found it again
    bench.kill(bench.pid("machine/0/0"))
    bench.wait_for("machine/0/0 is up", 3)
    bench.kill(bench.pid("machine/0/1"))  # all of them together have been started again enough
    assert bench.ended() == 1
    assert "starting machine/0/0 again: it failed (its process was killed by SIG" in bench.output
    assert "restart 2 of 2 of machine/0" in bench.output
    assert "NodeFailed: node machine/0/1 failed: its process was killed by SIG" in bench.output
    assert bench.nothing_is_left()


def test_descendants_of_a_colocated_worker_die_before_it_is_started_again(bench: Bench) -> None:
    bench.launch("make_colocation", "process", 1, 0.5)
    bench.wait_for("is up", programs.COLOCATION_SIZE)
    descendants = descendants_of_parent(bench)
    bench.kill(bench.pid("machine/0/1"))
    bench.wait_for("machine/0/1 is up", 2)
    assert psutil.wait_procs(descendants, SOON_S)[1] == []
    bench.interrupt()
    assert bench.ended() == -signal.SIGINT
    assert bench.nothing_is_left()


def test_the_agent_of_a_colocation_is_killed(bench: Bench) -> None:
    bench.launch("make_colocation", "process", 1, 0.5)
    bench.wait_for("is up", programs.COLOCATION_SIZE)
    bench.kill(bench.agent)  # with it goes what could start them again
    assert bench.ended() == 1
    assert "starting" not in bench.output
    assert bench.nothing_is_left()
