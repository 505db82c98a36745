"""How the launching process itself ends: exit codes, runs nobody waited for, missing guards."""

from __future__ import annotations

import signal
import textwrap
from pathlib import Path

import pytest

from tests.faults.bench import Bench

LAUNCHERS = ["thread", "process"]
PRELUDE = """
    import sys
    import launchpad_lite as lp
    from tests.faults import programs
    launcher = sys.argv[1]

"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return tmp_path / "script.py"


def write(script: Path, body: str) -> str:
    script.write_text(textwrap.dedent(PRELUDE) + textwrap.dedent(body))
    return str(script)


GUARDED = """
    if __name__ == "__main__":
        lp.launch(programs.{factory}(), launcher)
        print("the end of the script")
"""


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_run_nobody_waited_for_is_waited_for(launcher: str, script: Path, bench: Bench) -> None:
    bench.start(write(script, GUARDED.format(factory="make_good")), launcher)
    assert bench.ended() == 0, bench.output
    assert bench.notes == ["good"]
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_its_nodes_can_do_as_ever_meanwhile(launcher: str, script: Path, bench: Bench) -> None:
    bench.start(write(script, GUARDED.format(factory="make_pool")), launcher)
    bench.wait_for("is up")
    bench.wait_for_output("the end of the script")
    bench.note("go on")
    assert bench.ended() == 0, bench.output
    assert bench.notes[-1] == "pool: 6"
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_its_failure_is_the_exit_code(launcher: str, script: Path, bench: Bench) -> None:
    bench.start(write(script, GUARDED.format(factory="make_failing")), launcher)
    assert bench.ended() == 1, bench.output
    assert "the end of the script" in bench.output
    assert "node bad/0 failed: ValueError: boom" in bench.output
    assert "in fail" in bench.output
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_while_it_is_waited_for(
    launcher: str, number: signal.Signals, code: int, script: Path, bench: Bench
) -> None:
    bench.start(write(script, GUARDED.format(factory="make_patient")), launcher)
    bench.wait_for("is up", 2)
    bench.wait_for_output("the end of the script")
    bench.wait_for_output(": waiting for its end; Ctrl-C stops it\n")
    bench.interrupt(number)
    assert bench.ended() == code, bench.output
    assert sorted(bench.notes[-2:]) == ["returned", "stop handler"]
    assert bench.nothing_is_left()


def test_exit_functions_and_other_runs(script: Path, bench: Bench) -> None:
    body = """
    import atexit
    if __name__ == "__main__":
        atexit.register(print, "an exit function")
        lp.launch(programs.make_good(), launcher)
        lp.launch(programs.make_failing(), launcher)
        lp.launch(programs.make_good(), launcher)
    """
    bench.start(write(script, body), "thread")
    assert bench.ended() == 1, bench.output
    assert bench.notes.count("good") == 2
    assert bench.output.count("an exit function") == 1
    assert "RecursionError" not in bench.output
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_script_that_raises_in_the_block_stops_its_run(
    launcher: str, script: Path, bench: Bench
) -> None:
    body = """
    if __name__ == "__main__":
        with lp.launch(programs.make_patient(), launcher) as run:
            programs.wait_until_up(2)
            raise KeyError("mine")
    """
    bench.start(write(script, body), launcher)
    assert bench.ended() == 1, bench.output
    assert "KeyError: 'mine'" in bench.output
    assert sorted(bench.notes[-2:]) == ["returned", "stop handler"]
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_child_that_the_script_forks_leaves_the_run_alone(
    launcher: str, script: Path, bench: Bench
) -> None:
    body = """
    import os
    if __name__ == "__main__":
        run = lp.launch(programs.make_patient(), launcher)
        programs.wait_until_up(2)
        child = os.fork()
        if child == 0:
            sys.exit(7)
        programs.note(f"child {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
        programs.note(run.status().phase)
        run.stop()
    """
    bench.start(write(script, body), launcher)
    assert bench.ended() == 0, bench.output
    assert bench.notes[-4:-2] == ["child 7", "running"]
    assert sorted(bench.notes[-2:]) == ["returned", "stop handler"]
    assert bench.nothing_is_left()


UNGUARDED = """
    lp.launch(programs.make_good(), launcher).wait()
    print("the end of the script")
"""


def test_a_script_without_a_guard_is_told_to_have_one(script: Path, bench: Bench) -> None:
    bench.start(write(script, UNGUARDED), "process")
    assert bench.ended() == 1, bench.output
    assert "script.py calls lp.launch() when it is imported" in bench.output
    assert "Put the call under `if __name__ == '__main__':`" in bench.output
    assert "the end of the script" not in bench.output
    assert bench.notes == []
    assert bench.nothing_is_left()


def test_threads_need_no_guard(script: Path, bench: Bench) -> None:
    bench.start(write(script, UNGUARDED), "thread")
    assert bench.ended() == 0, bench.output
    assert "the end of the script" in bench.output
    assert bench.nothing_is_left()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_code_without_a_file(launcher: str, script: Path, bench: Bench) -> None:
    body = textwrap.dedent(PRELUDE) + textwrap.dedent(
        """
        class Local:
            def run(self):
                programs.note(f"ran with {lp.get_context().seed > 0}")
        lp.launch(lp.make_program(lp.PyClassNode(Local)), launcher)
        """
    )
    bench.start("-c", body, launcher)
    assert bench.ended() == 0, bench.output
    assert bench.notes == ["ran with True"]
    assert bench.nothing_is_left()


@pytest.mark.parametrize(("factory", "code"), [("make_failing", 1), ("make_good", 0)])
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_exit_codes_of_the_command(launcher: str, factory: str, code: int, bench: Bench) -> None:
    bench.lp_launch(factory, launcher)
    assert bench.ended() == code, bench.output
    assert ("node bad/0 failed: ValueError: boom" in bench.output) == (code == 1)
    assert bench.nothing_is_left()
