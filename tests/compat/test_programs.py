"""Programs in the original's style run unchanged, under each of its launch types."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LAUNCH_TYPES = ("local_mt", "local_mp", "test_mt", "test_mp")
TIMEOUT_S = 100.0

launch_types = pytest.mark.parametrize("launch_type", LAUNCH_TYPES)


def run_python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def run(program: str | Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ("-m", "launchpad_lite.cli.main", "--compat")
    return run_python(*command, PROGRAMS / program, *arguments)


def run_well(program: str | Path, *arguments: str) -> str:
    result = run(program, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@launch_types
def test_a_learner_and_actors_around_a_replay_buffer(launch_type: str) -> None:
    output = run_well("replay.py", "--compat_reverb", f"--lp_launch_type={launch_type}")
    assert "learned from 24 transitions, of which 0 are stale" in output
    assert "the table holds 24 of at most 100" in output


@launch_types
def test_constructors_handles_groups_and_errors(launch_type: str) -> None:
    output = run_well("pipeline.py", f"--lp_launch_type={launch_type}", "--num_sources=4")
    in_process = launch_type.endswith("mt")
    for line in (
        "good evening, None" if in_process else "hello, 3",
        # source i has counted to i + 1; twice that, and i
        f"sum {sum(2 * (i + 1) + i for i in range(4))}",
        "others [83, 105, 23]",  # function: (7 + 1) * 10 + 3, method: 100 + 5, partial
        "peer 13",  # the last one, the second time: 2 * (3 + 2) + 3
        "status True True",
        "missing True",
        "methods ['fail', 'get', 'peek']",
        f"type {launch_type}",
        "launched and ended",
    ):
        assert line in output, output


@launch_types
def test_everything_that_stops(launch_type: str) -> None:
    output = run_well("stopping.py", f"--lp_launch_type={launch_type}")
    for line in (
        "worker 0 is interrupted",
        "worker 1 is interrupted",
        "patient has finished",
        "stopper has seen the stop",
        "launcher is told",
    ):
        assert output.count(line) == 1, output


@launch_types
def test_kinds_of_nodes_of_their_own(launch_type: str) -> None:
    name = f"test-{os.getpid()}-{launch_type}"
    output = run_well("own_nodes.py", f"--lp_launch_type={launch_type}", f"--server_name={name}")
    for line in ("greetings", "store 1 None", f"slow {name}", "by name True"):
        assert line in output, output


@launch_types
def test_a_batched_method(launch_type: str) -> None:
    output = run_well("batching.py", f"--lp_launch_type={launch_type}")
    for number in range(4):
        assert f"client {number}! in a batch of [4]" in output, output


def test_a_hundred_nodes_on_threads() -> None:
    output = run_well("many.py")
    assert f"sum {sum(range(100))}" in output
    assert "passed 200" in output


def test_tests_of_programs() -> None:
    result = run("program_test.py")
    assert result.returncode == 0, result.stderr
    assert re.search(r"Ran \d+ tests", result.stderr)
    assert "OK" in result.stderr


@launch_types
@pytest.mark.parametrize(
    ("example", "says"),
    [
        ("hello_world", "from greeter, number 1 of"),
        ("consumer_producers", "produced [0, 1, 4"),
        ("program_wait", "seconds are over"),
    ],
)
def test_the_examples_of_the_original(
    tmp_path: Path, launch_type: str, example: str, says: str
) -> None:
    text = (EXAMPLES / f"{example}.py").read_text(encoding="utf-8")
    program = tmp_path / f"{example}.py"
    program.write_text(text.replace("import launchpad_lite as lp", "import launchpad as lp"))
    assert says in run_well(program, f"--lp_launch_type={launch_type}")


@pytest.mark.parametrize(("launcher", "launch_type"), [("thread", "mt"), ("process", "mp")])
def test_a_launcher_in_place_of_a_launch_type(launcher: str, launch_type: str) -> None:
    output = run_well("pipeline.py", f"--launcher={launcher}")
    assert f"type local_{launch_type}" in output


def test_the_names_before_the_output_are_as_in_the_original() -> None:
    lines = run_well("pipeline.py", "--lp_launch_type=local_mp").splitlines()
    sums = [line for line in lines if "sum " in line]
    assert len(sums) == 1
    assert re.fullmatch(r"\x1b\[1;3\dm\[sink/0\] \x1b\[0;0msum \d+", sums[0])


def test_a_program_that_installs_it_by_itself(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from launchpad_lite import compat\n"
        "compat.install()\n"
        "import launchpad as lp\n\n\n"
        "def hello():\n"
        "  print(lp.context.get_context().launch_type)\n\n\n"
        "if __name__ == '__main__':\n"
        "  lp.launch(lp.make_program(lp.PyNode(hello)), launch_type='local_mp')\n"
    )
    result = run_python(program)
    assert result.returncode == 0, result.stderr
    assert "LaunchType.LOCAL_MULTI_PROCESSING" in result.stdout


def test_processes_that_nodes_spawn(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing\n"
        "import courier\n"
        "import launchpad as lp\n\n\n"
        "def child(queue):\n"
        "  queue.put(f'{lp.CourierNode.__name__} {courier.Client.__name__}')\n\n\n"
        "def spawn():\n"
        "  context = multiprocessing.get_context('spawn')\n"
        "  queue = context.Queue()\n"
        "  process = context.Process(target=child, args=(queue,))\n"
        "  process.start()\n"
        "  print(f'the child says {queue.get(timeout=60)}')\n"
        "  process.join()\n\n\n"
        "if __name__ == '__main__':\n"
        "  lp.launch(lp.make_program(lp.PyNode(spawn)), launch_type='local_mp')\n"
    )
    assert "the child says CourierNode Client" in run_well(program)


def test_processes_that_nodes_spawn_find_reverb(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import subprocess\n"
        "import sys\n"
        "import launchpad as lp\n"
        "import reverb\n\n\n"
        "def spawn():\n"
        "  code = f'import sys; sys.path = {sys.path!r}; import reverb; print(reverb.Table)'\n"
        "  subprocess.run([sys.executable, '-c', code], check=True)\n\n\n"
        "if __name__ == '__main__':\n"
        "  lp.launch(lp.make_program(lp.PyNode(spawn)), launch_type='local_mp')\n"
    )
    assert "replay.core.table.Table" in run_well(program, "--compat_reverb")


def test_a_program_that_needs_reverb_is_told_how_to_get_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import launchpad_lite as lp\nimport reverb\n")
    result = run_python("-m", "launchpad_lite.cli.main", program)
    assert result.returncode == 3
    assert "google-deepmind/reverb runs with lp-launch --compat_reverb" in result.stderr


def test_a_failed_node_is_the_error(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import launchpad as lp\n\n\n"
        "def fail():\n"
        "  raise ValueError('on purpose')\n\n\n"
        "if __name__ == '__main__':\n"
        "  lp.launch(lp.make_program(lp.PyNode(fail)), launch_type='local_mp')\n"
    )
    result = run(program)
    assert result.returncode == 1
    assert "ValueError: on purpose" in result.stderr


def test_a_module_beside_the_program_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "courier.py").write_text("MINE = True\n")
    program = tmp_path / "program.py"
    program.write_text("import courier\n\nif __name__ == '__main__':\n  print(courier.MINE)\n")
    result = run(program)
    assert result.returncode == 2
    assert (
        f"a package 'courier' is installed already, at {tmp_path / 'courier.py'}" in result.stderr
    )


def test_the_flag_is_named_where_it_is_needed() -> None:
    result = run_python("-m", "launchpad_lite.cli.main", PROGRAMS / "many.py")
    assert result.returncode == 3
    assert "runs with lp-launch --compat" in result.stderr


def test_a_launch_type_that_is_left_out() -> None:
    result = run("stopping.py", "--lp_launch_type=vertex_ai")
    assert result.returncode == 4
    assert "has no launcher here" in result.stderr


def test_ctrl_c(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import launchpad as lp\n\n\n"
        "def wait():\n"
        "  print('up', flush=True)\n"
        "  lp.wait_for_stop()\n"
        "  print('finished', flush=True)\n\n\n"
        "if __name__ == '__main__':\n"
        "  lp.launch(lp.make_program(lp.PyNode(wait)), launch_type='local_mt')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "launchpad_lite.cli.main", "--compat", str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert output == "finished\n"
    assert process.returncode == 130
