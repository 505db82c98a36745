"""The user's program file is imported by workers, once, by reference, without its main block."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launchpad_lite import source
from launchpad_lite.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 60

# A program that does what a launcher does: it describes itself, and sends objects of its own to
# another process, which sends them back.
PROGRAM = """
from __future__ import annotations

print("imported as", __name__)

import pickle
import subprocess
import sys

from absl import flags

from launchpad_lite import payload, source

STEPS = flags.DEFINE_integer("steps", 1, "")


class Thing:
    def __init__(self, number):
        self.number = number

    class Inner(Exception):
        pass


def double(number):
    return 2 * number


def main():
    flags.FLAGS(sys.argv)
    things = (Thing(3), double, Thing.Inner("why"), lambda number: number + STEPS.value)
    origin = source.capture()
    data = pickle.dumps((origin, payload.dumps(things)))
    command = [sys.executable, "-c", WORKER]
    child = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
    said, _, back = child.stdout.partition(b"BACK")
    thing, error, report = pickle.loads(back)
    assert type(thing) is Thing, type(thing)
    assert type(error) is Thing.Inner, type(error)
    print(said.decode(), end="")
    print("number", thing.number)
    print("error", error)
    for line in report:
        print(*line)


WORKER = '''
import os, pickle, sys
from launchpad_lite import payload, source

origin, data = pickle.load(sys.stdin.buffer)
source.install(origin)
thing, double, error, add = pickle.loads(data)
thing.number = double(thing.number)
names = sorted(name for name in sys.modules if "lp_main" in name)
report = [
    ("function of", double.__module__),
    ("lambda gives", add(10)),
    ("argv", *sys.argv[1:]),
    ("cwd", os.getcwd()),
    ("modules", *names),
    ("main is", sys.modules["__main__"].__name__),
]
sys.stdout.flush()
sys.stdout.buffer.write(b"BACK" + payload.dumps((thing, error, report)))
'''
"""

MAIN_BLOCK = """
if __name__ == "__main__":
    print("the main block runs")
    main()
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
    """What a program printed: lines by their first words."""

    text: str

    def after(self, head: str) -> list[str]:
        lines = self.text.splitlines()
        return [line.removeprefix(head).strip() for line in lines if line.startswith(head)]


def run(
    *arguments: str, cwd: Path, text: str | None = None, expected: int = 0, **env: str
) -> Output:
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        input=text or "",
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert result.returncode == expected, result.stdout
    return Output(text=result.stdout)


def check_by_reference(output: Output, name: str, cwd: Path) -> None:
    assert output.after("imported as") == ["__main__", name]
    assert len(output.after("the main block runs")) == 1
    assert output.after("number") == ["6"]
    assert output.after("error") == ["why"]
    assert output.after("function of") == [name]
    assert output.after("lambda gives") == ["17"]
    assert output.after("argv") == ["--steps=7"]
    assert output.after("cwd") == [str(cwd)]
    assert output.after("modules") == [name]
    assert output.after("main is") == [name]


@pytest.mark.parametrize("file", ["prog.py", "prog"])
def test_a_script_is_imported_by_its_workers(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(PROGRAM + MAIN_BLOCK)
    output = run(file, "--steps=7", cwd=tmp_path)
    check_by_reference(output, source.MAIN, tmp_path)


def test_a_script_finds_the_modules_beside_it_wherever_it_is_run(tmp_path: Path) -> None:
    code, elsewhere = tmp_path / "code", tmp_path / "elsewhere"
    code.mkdir()
    elsewhere.mkdir()
    (code / "beside.py").write_text("")
    (code / "prog.py").write_text(
        PROGRAM.replace("import sys\n", "import beside, sys\n", 1) + MAIN_BLOCK
    )
    output = run(str(code / "prog.py"), "--steps=7", cwd=elsewhere)
    check_by_reference(output, source.MAIN, elsewhere)


def test_a_module_run_with_m_is_imported_inside_its_package(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("VALUE = 1\n")
    program = PROGRAM.replace("import pickle\n", "import pickle\nfrom .part import VALUE\n", 1)
    (package / "mod.py").write_text(program + MAIN_BLOCK)
    output = run("-m", "pkg.mod", "--steps=7", cwd=tmp_path)
    check_by_reference(output, source.MAIN, tmp_path)


def test_what_is_in_importable_modules_is_imported_from_there(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "mine.py").write_text(PROGRAM)
    (tmp_path / "prog.py").write_text(
        "import sys\nsys.path.insert(0, 'lib')\nimport mine\n"
        "if __name__ == '__main__':\n    mine.main()\n"
    )
    output = run("prog.py", "--steps=7", cwd=tmp_path)
    assert output.after("imported as") == ["mine", "mine"]
    assert output.after("function of") == ["mine"]
    assert output.after("number") == ["6"]
    assert output.after("lambda gives") == ["17"]


@pytest.mark.parametrize("how", ["-c", "-"])
def test_a_program_without_a_file_travels_by_value(tmp_path: Path, how: str) -> None:
    # Flags of such a program are not there in a worker: nobody defines them.
    program = PROGRAM.replace("STEPS.value", "7") + MAIN_BLOCK
    if how == "-c":
        output = run("-c", program, "--steps=7", cwd=tmp_path)
    else:
        output = run("-", "--steps=7", cwd=tmp_path, text=program)
    assert output.after("imported as") == ["__main__"]
    assert output.after("number") == ["6"]
    assert output.after("error") == ["why"]
    assert output.after("lambda gives") == ["17"]
    assert output.after("modules") == [""]


LAUNCH = """
import launchpad_lite as lp

def work():
    print("the node runs")

program = lp.Program("unguarded")
program.add_node(lp.PyNode(work), label="work")
"""


def test_a_launch_without_a_guard_is_refused_in_the_worker(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(LAUNCH + "lp.launch(program, launcher='process').wait()\n")
    output = run("prog.py", cwd=tmp_path, expected=1)
    assert "node work/0 failed: " in output.text
    message = (
        f"{tmp_path}/prog.py calls lp.launch() when it is imported, and every worker imports it. "
        "Put the call under `if __name__ == '__main__':`."
    )
    assert message in output.text
    assert "the node runs" not in output.text


def test_a_launch_with_a_guard_runs(tmp_path: Path) -> None:
    guarded = "if __name__ == '__main__':\n    lp.launch(program, launcher='process').wait()\n"
    (tmp_path / "prog.py").write_text(LAUNCH + guarded)
    assert run("prog.py", cwd=tmp_path).text.count("the node runs") == 1


# In this process.


def test_launching_is_refused_inside_the_block_only() -> None:
    source.check_launch_allowed()
    with source.refusing_launch("outer"):
        with source.refusing_launch("inner"), pytest.raises(UsageError, match="inner"):
            source.check_launch_allowed()
        with pytest.raises(UsageError, match="outer"):
            source.check_launch_allowed()
    source.check_launch_allowed()


@pytest.fixture
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what `load_main` replaces."""
    for name in ("__main__", "__mp_main__", source.MAIN):
        monkeypatch.setitem(sys.modules, name, sys)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.usefixtures("main_module")
def test_a_file_that_raises_is_not_left_half_imported(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("VALUE = 1\nraise ZeroDivisionError\n")
    with pytest.raises(ZeroDivisionError):
        source.load_main(str(path))
    assert source.MAIN not in sys.modules
    assert sys.modules["__main__"] is sys


@pytest.mark.usefixtures("main_module")
def test_a_file_is_a_module_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "fine.txt"
    path.write_text("import dataclasses\n\n@dataclasses.dataclass\nclass A:\n    x: int\n")
    module = source.load_main(str(path))
    assert (module.__file__, module.__name__, module.A(1).x) == (str(path), source.MAIN, 1)
    assert sys.modules[source.MAIN] is sys.modules["__main__"] is module


def test_what_a_machine_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = dataclasses.replace(source.capture(), main_file="prog.py", cwd=str(tmp_path))
    assert f"{os.uname().nodename} has no prog.py. Put the program" in here.lack()
    Path("prog.py").touch()
    assert here.lack() == ""
    assert "has no /nowhere" in dataclasses.replace(here, cwd="/nowhere").lack()


def test_a_test_runner_is_not_the_program() -> None:
    captured = source.capture()
    assert captured.main_file is None
    assert captured.cwd == str(Path.cwd())
    assert captured.argv == tuple(sys.argv)
    assert all(Path(entry).is_absolute() for entry in captured.sys_path)
