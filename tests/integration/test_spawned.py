"""What nodes spawn by `multiprocessing` can use the program's own file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import concurrent.futures
import multiprocessing

import launchpad_lite as lp


class Box:
    def __init__(self, value):
        self.value = value


class Bad(Exception):
    pass


def double(box):
    if box.value < 0:
        raise Bad(box.value)
    return Box(2 * box.value)


def child(queue, box):
    queue.put(double(box))


def work(method):
    processes = multiprocessing.get_context(method)
    queue = processes.SimpleQueue()
    process = processes.Process(target=child, args=(queue, Box(1)))
    process.start()
    box = queue.get()
    process.join()
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=processes) as pool:
        boxes = [box, *pool.map(double, [Box(2), Box(3)])]
        try:
            pool.submit(double, Box(-1)).result()
        except Bad as bad:
            print([box.value for box in boxes], all(type(box) is Box for box in boxes), bad)


def make_program(method: str):
    program = lp.Program("spawning")
    program.add_node(lp.PyNode(work, method), label="worker")
    return program
"""


@pytest.mark.parametrize("launcher", ["thread", "process"])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("target", ["prog.py", "package.prog"])
def test_functions_and_objects_of_the_program(
    tmp_path: Path, target: str, method: str, launcher: str
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "prog.py").write_text(PROGRAM)
    (tmp_path / "prog.py").write_text(PROGRAM)
    flags = [f"--method={method}", f"--launcher={launcher}"]
    result = subprocess.run(
        [sys.executable, "-m", "launchpad_lite.cli.main", target, *flags],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("[2, 4, 6] True -1\n"), result.stderr


def test_relative_imports_of_a_module_run_with_m(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("VALUE = 1\n")
    launch = "lp.launch(make_program('spawn'), launcher='process').wait()"
    guard = f"if __name__ == '__main__':\n    {launch}\n"
    (package / "prog.py").write_text(f"from .part import VALUE\n{PROGRAM}\n\n{guard}")
    result = subprocess.run(
        [sys.executable, "-m", "package.prog"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[worker/0] [2, 4, 6] True -1\n", result.stderr
