"""A node uses Ray's API inside itself, and is still a node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("address")]

PROGRAM = """
import time
import launchpad_lite as lp


class Pair:
    def __init__(self, first, second):
        self.first, self.second = first, second


def pair(value):
    return Pair(value, value * value)


class Main:
    def __init__(self):
        lp.register_stop_handler(lambda: print("told to stop"))

    def run(self):
        import ray

        ray.init(log_to_driver=False, logging_level="ERROR")
        task = ray.remote(num_cpus=0.1)(pair)
        pairs = ray.get([task.remote(value) for value in range(3)])
        print("pairs", [each.second for each in pairs], {type(each) for each in pairs} == {Pair})
        lp.stop()
        try:
            lp.stop_event().wait()
            time.sleep(60)
        finally:
            time.sleep(0.3)  # a node is interrupted once
            print("tidied up")


def make_program():
    program = lp.Program("inside")
    program.add_node(lp.CourierNode(Main), label="main")
    return program
"""


@pytest.mark.parametrize("launcher", ["ray", "process"])
def test_tasks_of_functions_of_the_program(launcher: str, tmp_path: Path) -> None:
    script = tmp_path / "inside.py"
    script.write_text(PROGRAM)
    command = [
        sys.executable,
        "-m",
        "launchpad_lite.cli.main",
        str(script),
        f"--launcher={launcher}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pairs [0, 1, 4] True" in done.stdout
    assert "told to stop" in done.stdout
    assert "tidied up" in done.stdout
    assert "*** SIGTERM" not in done.stdout + done.stderr
