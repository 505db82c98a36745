"""`lp-launch` as people use it: real commands, files and exit codes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import launchpad_lite
from launchpad_lite.errors import ExitCode
from tests.integration.warm_command import Result, WarmCommand

COMMAND = [sys.executable, "-m", "launchpad_lite.cli.main"]
LAUNCHERS = ("thread", "process")
PACKAGE = Path(launchpad_lite.__file__).parent
TIMEOUT_SECONDS = 60.0

_warm: WarmCommand

both = pytest.mark.parametrize("launcher", LAUNCHERS)


@pytest.fixture(scope="session", autouse=True)
def warm_command() -> Iterator[None]:
    global _warm  # noqa: PLW0603 - one for all tests
    _warm = WarmCommand()
    yield
    _warm.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", "local")  # without the runs of a cluster of this machine
    return tmp_path


def write(place: Path, name: str, text: str) -> str:
    path = place / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return name


def run(*arguments: str) -> Result:
    return _warm.run(arguments)


def run_well(*arguments: str) -> Result:
    result = run(*arguments)
    assert result.code == 0, result
    return result


def fails(*arguments: str, code: ExitCode) -> str:
    """Run what fails with one message, without a traceback of ours; return the message."""
    result = run(*arguments)
    assert result.code == code, result
    assert f"{PACKAGE}/" not in result.err, result
    assert len(re.findall(r"lp-launch: (?!run \S+ has started)", result.err)) == 1, result
    return result.err


HELLO = """
    import sys
    import launchpad_lite as lp

    def hello(greeting, times):
        print(greeting * times, flush=True)

    def make_program(greeting: str = "hello", times: int = 1):
        program = lp.Program("hello")
        program.add_node(lp.PyNode(hello, greeting, times), label="greeter")
        return program
"""


# --- targets ---


@both
@pytest.mark.parametrize(
    "flags",
    [
        ("--launcher={}", "--greeting=hi", "--times=2"),
        ("-launcher", "{}", "-greeting", "hi", "--times", "2"),
        ("--lp_launcher={}", "--greeting", "hi", "-times=2"),
    ],
    ids=["equals", "spaces", "mixed"],
)
def test_a_file_is_launched(place: Path, launcher: str, flags: tuple[str, ...]) -> None:
    write(place, "hello.py", HELLO)
    result = run_well("hello.py", *(flag.format(launcher) for flag in flags))
    assert result.out.endswith("hihi\n")
    (run_id,) = re.findall(r"run (\S+) has started", result.err)
    assert f"lp-launch status {run_id}" in result.err


def test_flags_of_another_launcher_have_no_effect_and_say_so(place: Path) -> None:
    write(place, "hello.py", HELLO)
    told = run_well("hello.py", "--slurm_partition=gpu", "--detach", "--ray_address=auto").err
    assert (
        "warning: --lp_slurm_partition has no effect with the launcher thread: it is for "
        "--launcher=slurm"
    ) in told
    assert "warning: --lp_detach has no effect" in told
    assert "warning: --lp_ray_address has no effect" in told
    assert told.count("has no effect") == 3


def test_our_flags_may_come_before_the_target(place: Path) -> None:
    write(place, "hello.py", HELLO)
    assert run_well("--launcher", "process", "hello.py").out == "[greeter/0] hello\n"


def test_a_module_is_launched_from_the_working_directory(place: Path) -> None:
    write(place, "package/__init__.py", "")
    write(place, "package/hello.py", HELLO)
    result = run_well("package.hello:make_program", "--launcher=process", "--times=2")
    assert result.out == "[greeter/0] hellohello\n"


@both
def test_a_file_finds_the_modules_beside_it(place: Path, launcher: str) -> None:
    write(place, "sub/hello_parts.py", HELLO)
    write(
        place,
        "sub/program.py",
        """
        import sys
        import launchpad_lite as lp
        from hello_parts import make_program as base

        def build(times: int = 2) -> "lp.Program":
            assert sys.argv[1:] == ["--times=3"], sys.argv
            return base("ho", times)
        """,
    )
    result = run_well("sub/program.py", "--times=3", f"--launcher={launcher}")
    assert result.out.endswith("hohoho\n")


def test_a_target_named_like_a_command(place: Path) -> None:
    write(place, "ps.py", HELLO)
    assert run_well("./ps").out == "hello\n"
    assert "no runs; 1 ended" in run_well("ps").err


# --- flags ---

FLAGGED = """
    import enum
    from typing import Literal, Optional
    from absl import flags
    import launchpad_lite as lp

    class Mode(enum.Enum):
        FAST = "fast"
        SLOW = "slow"

    SIZE = flags.DEFINE_integer("size", 3, "How large.")
    MODE = flags.DEFINE_enum_class("mode", Mode.FAST, Mode, "How.")

    def node(*given):
        print("node", SIZE.value, MODE.value is Mode.SLOW, *given)

    def make_program(
        size,
        name: str,
        rate: float = 1,
        verbose: bool = True,
        colour: Mode = Mode.FAST,
        level: Literal["low", 2] = "low",
        words: list[str] = ("a", "b"),
        limit: "int | None" = None,
        other: dict = {},
    ) -> lp.Program:
        \"\"\"Declare it.

        Args:
          size: Ignored.
          rate (float): How often,
            each second.
          verbose: Say more.
        \"\"\"
        program = lp.Program("flagged")
        given = (size, name, rate, verbose, colour.name, level, words, limit)
        program.add_node(lp.PyNode(node, *given), label="node")
        return program
"""


@both
@pytest.mark.parametrize("target", ["flagged.py", "flagged"])
def test_flags_reach_the_factory_and_every_worker(place: Path, launcher: str, target: str) -> None:
    write(place, "flagged.py", FLAGGED)
    chosen = f"--launcher={launcher}"
    given = ("--size=5", "--mode=slow", "--name=x", "--rate=2", "--noverbose", "--colour=slow")
    more = ("--level=2", "--words=c,d", "--limit", "7")
    result = run_well(target, chosen, *given, *more)
    assert "node 5 True 5 x 2.0 False SLOW 2 ['c', 'd'] 7\n" in result.out


@both
def test_flags_of_a_module_that_a_node_imports_late(place: Path, launcher: str) -> None:
    write(place, "late.py", "from absl import flags\nRATE = flags.DEFINE_float('rate', 0.5, '')\n")
    write(
        place,
        "program.py",
        """
        import os
        import launchpad_lite as lp

        def work():
            import late
            print("rate", late.RATE.value)

        def make_program():
            program = lp.Program("late")
            program.add_node(lp.PyNode(work), label="worker")
            return program

        if "LP_IMPORTED" not in os.environ:  # in the launching process only
            os.environ["LP_IMPORTED"] = "1"
            import late
        """,
    )
    result = run_well("program.py", f"--launcher={launcher}", "--rate=0.25")
    assert result.out.endswith("rate 0.25\n")


def test_parameters_keep_their_defaults(place: Path) -> None:
    write(place, "flagged.py", FLAGGED)
    result = run_well("flagged.py", "--name", "x")
    assert result.out == "node 3 False 3 x 1 True FAST low ('a', 'b') None\n"


def test_help_shows_both_kinds_of_flags(place: Path) -> None:
    write(place, "flagged.py", FLAGGED)
    for option in ("--help", "-h"):
        text = " ".join(run_well("flagged.py", option, "--launcher=process").out.split())
        assert "--size=INT How large. (default: 3)" in text
        assert "--mode=fast|slow How. (default: fast)" in text
        assert "--name=TEXT (required)" in text
        assert "--rate=FLOAT How often, each second. (default: 1.0)" in text
        assert "--[no]verbose Say more. (default: true)" in text
        assert "--level=low|2 (default: low)" in text
        assert "--words=A,B,... (default: a,b)" in text
        assert "--limit=INT --" not in text
        assert "--launcher=TEXT, --lp_launcher" in text
        assert "--other" not in text
        for code in ExitCode:
            assert re.search(rf"\b{int(code)} \w", text), code


def test_help_without_a_target() -> None:
    for option in ("--help", "-h"):
        text = run_well(option).out
        assert text.startswith("usage: lp-launch TARGET")
        for word in ("list", "ps", "status", "logs", "stop", "--lp_seed=INT", "exit codes:"):
            assert word in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--nam=x"], "unknown flag --nam; did you mean 'name'?"),
        (["--name=x", "--lp_sed=1"], "unknown flag --lp_sed; did you mean 'lp_seed'?"),
        (["--name=x", "--limit=1.5"], "flag --limit=1.5: "),
        (["--name=x", "--verbose=perhaps"], "flag --verbose=perhaps: neither true nor false"),
        (["--name=x", "--colour=red"], "value should be one of <fast|slow>"),
        (["--name=x", "--level=3"], "value should be one of <low|2>"),
        (["--name=x", "--lp_seed=one"], "flag --lp_seed=one: "),
        (["--name=x", "--lp_grace_secs=-1"], "flag --lp_grace_secs=-1: "),
        (["--name"], "Missing value for flag --name"),
        (["--name=x", "--launcher"], "--launcher needs a value"),
        (["--name=x", "more"], "'more' is no flag"),
        ([], "make_program() needs --name=TEXT"),
        (["--name=x", "--launcher=proces"], "unknown launcher 'proces'; did you mean 'process'?"),
    ],
)
def test_a_wrong_flag(place: Path, flags: list[str], message: str) -> None:
    write(place, "flagged.py", FLAGGED)
    assert message in fails("flagged.py", *flags, code=ExitCode.USAGE)


def test_a_flag_of_the_program_that_is_called_like_a_short_one_of_ours(place: Path) -> None:
    write(
        place,
        "program.py",
        """
        from absl import flags
        import launchpad_lite as lp

        flags.DEFINE_string("launcher", "mine", "Of a rocket.")

        def make_program(launcher: str) -> lp.Program:
            program = lp.Program("rocket")
            program.add_node(lp.PyNode(print, launcher), label="node")
            return program
        """,
    )
    message = fails("program.py", "--launcher=process", code=ExitCode.USAGE)
    assert "--launcher could mean two things: program.py defines a flag of that name" in message
    assert "--lp_launcher" in message
    assert run_well("program.py", "--lp_launcher=process").out == "[node/0] mine\n"
    both_flags = ("--launcher", "theirs", "--lp_launcher=process")
    assert run_well("program.py", *both_flags).out == "[node/0] theirs\n"


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("dry_run: bool", "--dry_run could mean two things: make_program() defines"),
        ("lp_seed2: int", "names that begin with lp_ are lp-launch's own"),
        ("thing: dict", "parameter 'thing' has no default, and no flag can set it"),
        ("thing", "parameter 'thing' has no default, and no flag can set it"),
        ("thing: int, /", "it can only be given by position"),
        ("thing: int = 'x'", "the default of parameter 'thing' does not fit"),
    ],
)
def test_a_parameter_that_no_flag_can_set(place: Path, parameter: str, message: str) -> None:
    write(place, "program.py", f"def make_program({parameter}): ...")
    assert message in fails("program.py", code=ExitCode.USAGE)


def test_a_reserved_flag_of_the_program(place: Path) -> None:
    write(
        place,
        "program.py",
        """
        from absl import flags
        flags.DEFINE_bool("lp_mine", False, "")
        def make_program(): ...
        """,
    )
    message = fails("program.py", code=ExitCode.USAGE)
    assert "program.py defines the flag --lp_mine" in message


# --- scripts ---

SCRIPT = """
    import sys
    import launchpad_lite as lp

    class Word:
        def __init__(self, text):
            self.text = text

    def say(word):
        print(type(word).__module__, word.text, __name__ == "__main__")

    def main():
        program = lp.Program("script")
        program.add_node(lp.PyNode(say, Word(" ".join(sys.argv[1:]))), label="node")
        lp.launch(program).wait()
        print("after", sys.argv[0])
"""


@both
@pytest.mark.parametrize("guard", ['if __name__ == "__main__":\n    main()\n', ""])
def test_a_file_that_only_has_a_main(place: Path, launcher: str, guard: str) -> None:
    write(place, "script.py", textwrap.dedent(SCRIPT) + guard)
    result = run_well("script.py", "a", "--own", f"--launcher={launcher}", "--lp_seed=3", "b")
    in_process = launcher == "thread"
    module = "__main__" if in_process else "__lp_main__"
    assert f"{module} a --own b {in_process}\n" in result.out
    assert result.out.endswith("after script.py\n")
    assert "has started" in result.err


def test_a_module_that_only_has_a_main(place: Path) -> None:
    write(place, "package/__init__.py", "")
    write(place, "package/parts.py", "def emphasise(text): return text + '!'")
    write(
        place,
        "package/script.py",
        """
        import launchpad_lite as lp
        from . import parts

        def say():
            print(parts.emphasise("hello"))

        if __name__ == "__main__":
            program = lp.Program("script")
            program.add_node(lp.PyNode(say), label="node")
            lp.launch(program)
        """,
    )
    assert run_well("package.script", "--launcher=process").out == "[node/0] hello!\n"


@both
def test_a_script_of_absl(place: Path, launcher: str) -> None:
    write(
        place,
        "script.py",
        """
        from absl import app, flags
        import launchpad_lite as lp

        SIZE = flags.DEFINE_integer("size", 1, "How large.")

        def say():
            print("size", SIZE.value)

        def main(argv):
            assert argv == ["script.py", "rest"], argv
            program = lp.Program("script")
            program.add_node(lp.PyNode(say), label="node")
            lp.launch(program)

        if __name__ == "__main__":
            app.run(main)
        """,
    )
    result = run_well("script.py", "-launcher", launcher, "--size=4", "rest")
    assert result.out.endswith("size 4\n")
    text = run_well("script.py", "--help").out
    assert "--size=INT                How large. (default: 1)" in text
    assert "script.py runs as a script" in text
    assert "program 'script', launcher process, 1 node" in (
        run_well("script.py", "--dry_run", "--launcher=process", "rest").out
    )


def test_a_script_with_a_parser_of_its_own(place: Path) -> None:
    write(
        place,
        "script.py",
        """
        import argparse

        if __name__ == "__main__":
            parser = argparse.ArgumentParser()
            parser.add_argument("--launcher", default="mine")
            parser.add_argument("--size", type=int)
            print(parser.parse_args())
            raise SystemExit(7)
        """,
    )
    result = run("script.py", "--size=2", "--lp_launcher=process")
    assert result.code == 7, result
    assert result.out == "Namespace(launcher='mine', size=2)\n"
    message = fails("script.py", "--launcher=process", code=ExitCode.USAGE)
    assert "--launcher could mean two things: script.py defines" in message


def test_a_script_that_raises(place: Path) -> None:
    write(place, "script.py", "def main():\n    [][0]\n\nmain()\n")
    message = fails("script.py", code=ExitCode.PROGRAM)
    assert message.startswith("Traceback (most recent call last):\n  File")
    assert 'script.py", line 2, in main' in message
    assert message.endswith("lp-launch: script.py raised IndexError.\n")


def test_a_script_whose_node_fails(place: Path) -> None:
    write(
        place,
        "script.py",
        """
        import launchpad_lite as lp

        def fail():
            raise ValueError("no luck")

        if __name__ == "__main__":
            program = lp.Program("script")
            program.add_node(lp.PyNode(fail), label="node")
            lp.launch(program).wait()
        """,
    )
    message = fails("script.py", code=ExitCode.NODE_FAILED)
    assert "lp-launch: node node/0 failed: ValueError: no luck" in message


# --- exit codes, bad input ---


@pytest.mark.parametrize(
    ("name", "text", "code", "message"),
    [
        ("empty.py", " \n", ExitCode.USAGE, "empty.py is empty."),
        ("notes.txt", "hello", ExitCode.USAGE, "notes.txt is not a Python file."),
        ("null.py", "x = 1\0", ExitCode.USAGE, "null.py is not Python source"),
        ("none.py", "x = 1\ndef f(): ...\n", ExitCode.USAGE, "declares no program (its functions:"),
        ("syntax.py", "x = 1\ndef f(:\n", ExitCode.PROGRAM, "SyntaxError: invalid syntax"),
        ("raises.py", "def make_program(): ...\n1 / 0\n", ExitCode.PROGRAM, "line 2, in <module>"),
        ("exits.py", "def make_program(): ...\nexit(3)\n", ExitCode.PROGRAM, "SystemExit(3)"),
        ("imports.py", "import nowhere\nmake_program = 1", ExitCode.PROGRAM, "named 'nowhere'"),
    ],
)
def test_a_bad_file(place: Path, name: str, text: str, code: ExitCode, message: str) -> None:
    write(place, name, text)
    assert message in fails(name, code=code)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.py", "there is no file 'nowhere.py'."),
        ("programm.py", "there is no file 'programm.py'; did you mean 'program.py'?"),
        ("nowhere", "there is no file and no module 'nowhere'."),
        ("./", "./ is a directory."),
        ("program.py:make_progam", "has no function 'make_progam'; did you mean 'make_program'?"),
        ("program.py:", "'' is not the name of a function"),
        ("--num=3", "A program's flags come after its target"),
        ("several.py", "several.py has several functions that return a Program: first, second."),
        ("several.py:number", "number is not a function but 3."),
    ],
)
def test_a_bad_target(place: Path, target: str, message: str) -> None:
    write(place, "program.py", HELLO)
    write(
        place,
        "several.py",
        """
        from launchpad_lite import Program

        number = 3
        def first() -> Program: ...
        def second() -> "Program": ...
        """,
    )
    assert message in fails(target, code=ExitCode.USAGE)


def test_no_arguments_at_all() -> None:
    message = fails(code=ExitCode.USAGE)
    assert "usage: lp-launch TARGET" in message


FACTORIES = """
    import threading
    import launchpad_lite as lp

    class Server:
        def ping(self):
            return 1

    def raises():
        raise RuntimeError("boom")

    def nothing(size: int = 1):
        return None

    def calls_a_handle():
        program = lp.Program("wrong")
        program.add_node(lp.CourierNode(Server), label="server").ping()

    def empty_label():
        lp.Program("wrong").add_node(lp.PyNode(print), label="")

    def nested_group():
        program = lp.Program("wrong")
        with program.group("a"), program.group("b"):
            pass

    def no_nodes():
        return lp.Program("wrong")

    def unpicklable():
        lock = threading.Lock()
        program = lp.Program("wrong")
        program.add_node(lp.PyNode(lambda: lock), label="node")
        return program

    def launches():
        lp.launch(unpicklable(), launcher="thread")
"""


@pytest.mark.parametrize(
    ("factory", "code", "message"),
    [
        ("raises", ExitCode.PROGRAM, "lp-launch: raises() in program.py raised RuntimeError."),
        ("nothing", ExitCode.PROGRAM, "nothing() in program.py returned None, not an lp.Program."),
        ("calls_a_handle", ExitCode.PROGRAM, "\nat /"),
        ("empty_label", ExitCode.PROGRAM, "a label must be a non-empty string"),
        ("nested_group", ExitCode.PROGRAM, "group('b') is inside group('a')"),
        ("no_nodes", ExitCode.PROGRAM, "has no nodes"),
        ("unpicklable", ExitCode.PROGRAM, "node/0"),
        ("launches", ExitCode.USAGE, "launches() calls lp.launch()"),
    ],
)
def test_a_bad_factory(place: Path, factory: str, code: ExitCode, message: str) -> None:
    write(place, "program.py", FACTORIES)
    assert message in fails(f"program.py:{factory}", "--launcher=process", code=code)


NODES = """
    import threading
    import launchpad_lite as lp

    class Server:
        def __init__(self):
            raise ValueError("no luck")

    def make(node):
        program = lp.Program("nodes")
        program.add_node(node, label="node")
        return program

    def constructor():
        return make(lp.CourierNode(Server))

    def hang():
        threading.Lock().acquire() and threading.Event().wait()

    def stuck():
        program = make(lp.PyNode(hang))
        program.add_node(lp.PyNode(lp.stop), label="stopper")
        return program
"""


@both
def test_exit_code_of_a_node_that_fails(place: Path, launcher: str) -> None:
    write(place, "nodes.py", NODES)
    result = run("nodes.py:constructor", f"--launcher={launcher}")
    assert result.code == ExitCode.NODE_FAILED
    assert "lp-launch: node node/0 failed: ValueError: no luck\n" in result.err
    place_in_file = 'nodes.py", line 7, in __init__'
    assert (result.out + result.err).count(place_in_file) == 1  # once is enough
    if launcher == "process":
        assert "[node/0] ValueError: no luck\n" in result.out
        assert result.err.endswith("\nIts output is above.\n")


def test_exit_code_of_threads_that_hang(place: Path) -> None:
    write(place, "nodes.py", NODES)
    given = ("--lp_grace_secs=0.1", "--lp_termination_notice_secs=0.1")
    result = run("nodes.py:stuck", *given)
    assert result.code == ExitCode.NODES_STUCK, result
    assert "lp-launch: node/0 did not end in time, and could not be ended." in result.err
    assert "in hang" in result.err


LAUNCHER = """
    from launchpad_lite.launchers.base import Launcher

    class Moon(Launcher):
        name = "moon"
        summary = "each node a rover"

        def unavailable(self):
            return "it is too far away."

        def capabilities(self):
            raise NotImplementedError

        def launch(self, plan, options):
            raise NotImplementedError
"""


def test_launchers_and_exit_code_of_one_that_is_not_available(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place, "moon.py", LAUNCHER)
    write(place, "moon-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: moon\nVersion: 1\n")
    points = "[launchpad_lite.launchers]\nmoon = moon:Moon\nmars = mars:Mars\n"
    write(place, "moon-1.dist-info/entry_points.txt", points)
    write(place, "hello.py", HELLO)
    monkeypatch.setenv("PYTHONPATH", str(place))
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in _table(run_well("list"))}
    assert lines["thread"] == ["yes", "each node a thread of this process (the default)"]
    assert lines["process"][0] == "yes"
    assert lines["moon"] == ["no", "each node a rover; but it is too far away."]
    assert lines["mars"][0] == "no"
    assert "cannot be imported: No module named 'mars'" in lines["mars"][1]
    message = fails("hello.py", "--launcher=moon", code=ExitCode.LAUNCHER_UNAVAILABLE)
    assert "launcher 'moon' cannot be used here: it is too far away." in message


def _table(result: Result) -> list[str]:
    return result.out.splitlines()[1:]


@both
def test_a_dry_run_starts_nothing(place: Path, launcher: str) -> None:
    write(place, "hello.py", HELLO)
    result = run_well("hello.py", "--dry_run", f"--launcher={launcher}")
    assert f"program 'hello', launcher {launcher}, 1 node" in result.out
    assert "greeter/0" in result.out
    assert result.err == ""
    assert "no runs\n" in run_well("ps", "--all").err


def test_a_state_directory_that_cannot_be_made(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place, "hello.py", HELLO)
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    for arguments in (["hello.py"], ["hello.py", "--launcher=process"], ["ps"]):
        message = fails(*arguments, code=ExitCode.USAGE)
        assert message.endswith(": /dev/null/launchpad_lite: Not a directory.\n")


@both
def test_a_working_directory_that_was_removed(place: Path, launcher: str) -> None:
    gone = place / "gone"
    gone.mkdir()
    write(place, "hello.py", HELLO)
    code = (
        "import os, sys; os.rmdir(os.getcwd()); "
        "from launchpad_lite.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(place / "hello.py"), f"--launcher={launcher}"],
        cwd=gone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == ExitCode.USAGE, process.stderr
    assert process.stderr == (
        "lp-launch: the working directory has been removed; change to one that is there.\n"
    )


def test_a_program_that_the_nodes_cannot_read(place: Path) -> None:
    leaves = """
        from pathlib import Path
        import launchpad_lite as lp
        def make_program():
            Path(__file__).unlink()
            program = lp.Program("leaves")
            program.add_node(lp.PyNode(print), label="main")
            return program
    """
    write(place, "leaves.py", leaves)
    message = fails("leaves.py", "--launcher=process", code=ExitCode.NODE_FAILED)
    assert f"node main/0 failed: {os.uname().nodename} has no {place}/leaves.py. Put" in message


def test_a_link_to_nothing(place: Path) -> None:
    (place / "link.py").symlink_to("nowhere.py")
    message = fails("link.py", code=ExitCode.USAGE)
    assert message == "lp-launch: link.py is a link to nowhere.py, which is not there.\n"


def test_output_that_cannot_be_written(place: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [*COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == ExitCode.USAGE
    assert process.stderr == "lp-launch: No space left on device.\n"


@both
def test_a_full_disk(place: Path, state_home: Path, launcher: str) -> None:
    write(place, "hello.py", HELLO)
    (state_home / "launchpad_lite" / "runs").mkdir(parents=True)
    code = (  # no file may grow
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)); "
        "from launchpad_lite.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "hello.py", f"--launcher={launcher}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == ExitCode.USAGE, process.stderr
    start = f"lp-launch: the run cannot be launched: {state_home}/launchpad_lite/runs/hello-"
    assert process.stderr.startswith(start), process.stderr
    assert process.stderr.endswith("/owner.json: File too large.\n"), process.stderr
    assert list((state_home / "launchpad_lite" / "runs").iterdir()) == []


CHECKPOINTED = """
    import launchpad_lite as lp

    class Counter:
        def run(self):
            print("ran")
        def save(self, path):
            raise ValueError("cannot save")
        def restore(self, path):
            raise ValueError("cannot restore")

    def make_program():
        program = lp.Program("checkpointed")
        program.add_node(lp.PyClassNode(Counter), label="counter")
        return program
"""


@both
def test_a_place_for_checkpoints_that_cannot_be_written(place: Path, launcher: str) -> None:
    write(place, "program.py", CHECKPOINTED)
    bad = "--lp_checkpoint_dir=/dev/null/x"
    message = fails("program.py", f"--launcher={launcher}", bad, code=ExitCode.USAGE)
    assert message == "lp-launch: checkpoints cannot be written to /dev/null/x: Not a directory.\n"


@both
def test_a_checkpoint_that_cannot_be_restored(place: Path, launcher: str) -> None:
    write(place, "program.py", CHECKPOINTED)
    write(place, "saved/counter-0", "")
    flags = [f"--launcher={launcher}", "--lp_checkpoint_dir=saved"]
    message = fails("program.py", *flags, code=ExitCode.NODE_FAILED)
    assert "ValueError: cannot restore\n" in message
    assert f"while restoring {place}/saved/counter-0\n" in message


def test_the_command_starts_light() -> None:
    heavy = ("grpc", "numpy", "rich", "absl.app", "absl.logging")
    code = (
        "import sys; from launchpad_lite.cli.main import main; code = main(['--help']); "
        f"print(*sorted(set({heavy!r}) & set(sys.modules))); sys.exit(code)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines()[-1] == ""


# --- from another terminal ---

SERVICE = """
    import launchpad_lite as lp

    class Server:
        def name(self):
            return lp.get_context().name

    def use(servers):
        print("served by", *(server.name() for server in servers), flush=True)
        lp.wait_for_stop()
        print("told to stop", flush=True)

    def make_program():
        program = lp.Program("service")
        with program.group("server"):
            servers = [program.add_node(lp.CourierNode(Server)) for _ in range(2)]
        program.add_node(lp.PyNode(use, servers), label="user")
        return program
"""


@dataclass(frozen=True, kw_only=True)
class Live:
    """A command that runs a program."""

    process: subprocess.Popen[str]
    run_id: str
    launcher: str

    def end(self) -> Result:
        out, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
        return Result(code=self.process.returncode, out=out, err=err)


@contextlib.contextmanager
def living(place: Path, launcher: str) -> Generator[Live]:
    """Launch the service; wait until all of it is up."""
    write(place, "service.py", SERVICE)
    process = subprocess.Popen(
        [*COMMAND, "service.py", f"--launcher={launcher}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line.endswith("served by server/0 server/1\n"), line + "".join(process.communicate())
        line = process.stderr.readline()
        (run_id,) = re.findall(r"run (\S+) has started", line)
        assert "phase      running" in run_well("status", run_id).out
        yield Live(process=process, run_id=run_id, launcher=launcher)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(params=LAUNCHERS)
def live(place: Path, request: pytest.FixtureRequest) -> Iterator[Live]:
    with living(place, request.param) as service:
        yield service


def test_ps_status_logs_and_stop(live: Live) -> None:
    (line,) = _table(run_well("ps"))
    assert line.split()[:5] == [live.run_id, "service", live.launcher, "running", "3/3"]

    shown = run_well("status", "service").out
    assert f"run        {live.run_id}\nphase      running\n" in shown
    assert re.search(r"^server/1  running  Server +\w+:\S+", shown, re.MULTILINE)
    assert re.search(r"^user/0    running  use +-$", shown, re.MULTILINE)

    logs = run_well("logs", "service", "user")
    following = subprocess.Popen(
        [*COMMAND, "logs", live.run_id, "-f"], stdout=subprocess.PIPE, text=True
    )
    stopped = run_well("stop", live.run_id[:-1])
    followed, _ = following.communicate(timeout=TIMEOUT_SECONDS)
    assert following.returncode == 0
    assert stopped.err.endswith(f"{live.run_id}: ended\n")

    result = live.end()
    assert result.code == 0, result
    assert "told to stop" in result.out
    if live.launcher == "process":
        assert logs.out == "served by server/0 server/1\n"
        assert followed == "[user/0] served by server/0 server/1\n[user/0] told to stop\n"
    else:
        assert (logs.out, followed) == ("", "")
        assert "print on its terminal" in logs.err

    assert "no runs; 1 ended: lp-launch ps --all" in run_well("ps").err
    (line,) = _table(run_well("ps", "--all"))
    assert line.split()[3:5] == ["ended", "0/3"]
    assert "reason     lp-launch stop" in run_well("status", "service").out
    assert "has ended before" in run_well("stop", "service").err
    assert run_well("logs", "service", "-f").out == followed


def test_calls_are_counted(live: Live) -> None:
    rows = [line.split() for line in _table(run_well("status", "service", "--calls"))]
    names = [["server/0", "server", "server/0.name", "user/0", "1", "0", "0", "-"]]
    names += [["server/1", "server", "server/1.name", "user/0", "1", "0", "0", "-"]]
    names += [["user/0", "client", "server/0.name", "-", "1", "0", "-", "-"]]
    names += [["user/0", "client", "server/1.name", "-", "1", "0", "-", "-"]]
    assert [row[:8] for row in rows] == names
    run_well("stop", "service")


def test_stop_now(live: Live) -> None:
    result = run_well("stop", "service", "--now")
    assert "stopping" not in result.err
    assert live.end().code == 0


def test_wrong_names_of_runs_and_nodes(live: Live) -> None:
    unknown = fails("status", "x", code=ExitCode.USAGE)
    assert f"/launchpad_lite/runs. Runs: {live.run_id}." in unknown
    assert "no group 'servers'; did you mean 'server'?" in fails(
        "logs", "service", "servers", code=ExitCode.USAGE
    )
    assert "the following arguments are required: RUN" in fails("stop", code=ExitCode.USAGE)
    assert "unrecognized arguments: --al" in fails("ps", "--al", code=ExitCode.USAGE)
    run_well("stop", "service")


def test_ctrl_c_stops_the_run(live: Live) -> None:
    live.process.send_signal(signal.SIGINT)
    result = live.end()
    assert result.code == ExitCode.INTERRUPTED, result
    assert "told to stop" in result.out
    assert "Traceback" not in result.err
    assert "reason     SIGINT" in run_well("status", "service").out


def test_a_run_whose_process_was_killed_is_lost(live: Live) -> None:
    following = subprocess.Popen(
        [*COMMAND, "logs", live.run_id, "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if live.launcher == "process":
        assert following.stdout is not None
        assert following.stdout.readline() == b"[user/0] served by server/0 server/1\n"
    live.process.kill()
    live.end()
    following.communicate(timeout=TIMEOUT_SECONDS)
    lost = ExitCode.CONTROLLER_LOST if live.launcher == "process" else ExitCode.OK
    assert following.returncode == lost

    (line,) = _table(run_well("ps"))
    assert line.split()[3:5] == ["lost", "0/3"]
    assert "phase      lost" in run_well("status", "service").out
    message = fails("stop", "service", code=ExitCode.CONTROLLER_LOST)
    assert f"{live.run_id} is lost: process {live.process.pid}" in message


def test_a_reader_that_goes_away_is_no_error(place: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [*COMMAND, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert process.stderr == ""
    assert process.returncode == 128 + signal.SIGPIPE
