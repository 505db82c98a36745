"""`lp-replay`: what it serves, what it prints, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launchpad_lite import replay
from launchpad_lite.cli.replay import main

COMMAND = [sys.executable, "-c", "import sys, lp_launch; sys.exit(lp_launch.replay())"]

PROGRAM = """
from launchpad_lite import replay

def tables():
    return [replay.Table.queue("queue", 3)]

def one():
    return tables()[0]

def twice():
    return 2 * tables()

def broken():
    raise KeyError("mine")
"""

TOML = """
[tables.queue]
sampler = "Fifo"
remover = "Fifo"
max_size = 3
max_times_sampled = 1
rate_limiter = { type = "Queue", size = 3 }
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "buffer.py").write_text(PROGRAM)
    (tmp_path / "buffer.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    for name in ("__lp_main__", "__mp_main__", "__main__"):  # put back, as far as there were any
        monkeypatch.setitem(sys.modules, name, sys.modules["__main__"])
    monkeypatch.delitem(sys.modules, "__lp_main__")


@pytest.mark.parametrize("target", ["buffer.toml", "buffer.py", "buffer:tables"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_serves_until_it_is_told(target: str, number: int) -> None:
    command = [*COMMAND, target, "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            title, table = (process.stdout.readline() for _ in range(2))
            assert table == f"  {replay.Table.queue('queue', 3)!r}\n"
            assert title.startswith("lp-replay: serving at localhost:")
            client = replay.Client(title.split()[-1])
            client.insert([1], {"queue": 1.0})
            assert client.server_info()["queue"].current_size == 1
            process.send_signal(number)
            assert process.wait(30) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()


def serve_until_interrupted(item: int, number: int) -> tuple[list[int], str]:
    """Serve the queue, insert an item, and end; return what it held before, and what is printed."""
    command = [*COMMAND, "buffer.toml", "--port=0", "--checkpoint_dir=saved/here"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            title, _ = (process.stdout.readline() for _ in range(2))
            client = replay.Client(title.split()[-1])
            size = client.server_info()["queue"].current_size
            samples = client.sample("queue", size, emit_timesteps=False) if size else ()
            held = [int(sample.data[0][0]) for sample in samples]
            client.insert([item], {"queue": 1.0})
            process.send_signal(number)
            printed = process.stdout.read()
            assert process.wait(30) == 0
        finally:
            process.kill()
    return held, printed


def test_a_server_begins_where_the_last_one_ended() -> None:
    first, second = (f"saved/here/checkpoint-{number:08}.replay" for number in (1, 2))
    assert serve_until_interrupted(5, signal.SIGTERM) == (
        [],
        f"lp-replay: the checkpoint is {first}\n",
    )
    loaded = f"lp-replay: the tables are those of the checkpoint {first}\n"
    assert serve_until_interrupted(6, signal.SIGINT) == (
        [5],
        f"{loaded}lp-replay: the checkpoint is {second}\n",
    )


def test_a_damaged_checkpoint_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "checkpoint-00000001.replay"
    path.write_bytes(b"nothing")
    assert main(["buffer.toml", f"--checkpoint_dir={tmp_path}"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(path) in printed.err
    assert "To begin with empty tables, move this file away." in printed.err


def test_a_target_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["buffer.toml", "--check"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("buffer.toml: nothing is wrong\n  Table(name='queue'")
    assert printed.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ([], 2, "TARGET. Usage: lp-replay"),
        (["buffer.toml", "--prot=3"], 2, "unrecognized arguments: --prot=3. Usage: lp-replay"),
        (["buffer.toml", "--port=99999"], 2, "port=99999: give a whole number from 0 to 65535"),
        (["bufer.toml"], 2, "bufer.toml cannot be read"),
        (["bufer.py"], 2, "no file 'bufer.py'; did you mean 'buffer.py'"),
        (["buffer.py:table"], 2, "no function 'table'; did you mean 'tables'"),
        (["buffer.py:one"], 2, "one() in buffer.py: a replay server needs a list of tables"),
        (["buffer.py:twice"], 2, "twice() in buffer.py: two tables have the name 'queue'"),
        (["buffer.py:broken"], 3, "KeyError: 'mine'\nlp-replay: broken() in buffer.py raised"),
        (["buffer.py", "--credentials=no.json"], 2, "no.json"),
        (["buffer.py", "--checkpoint_dir="], 2, "path='': give the path of a directory"),
        (["buffer.py", "--checkpoint_dir=buffer.py"], 2, "there: File exists"),
        (["buffer.py", "--checkpoint_dir=/proc/none"], 2, "checkpoint_dir='/proc/none': nothing"),
        (["buffer.py", "--host=0.0.0.0"], 2, "other hosts could reach this server"),
    ],
)
def test_what_is_wrong_is_told(
    arguments: list[str], code: int, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert problem in printed.err


def test_a_port_that_is_taken_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with replay.Server([replay.Table.queue("queue", 3)]) as server:
        assert main(["buffer.toml", f"--port={server.port}"]) == 2
    printed = capfd.readouterr()
    assert f"lp-replay: port {server.port} of 127.0.0.1 cannot be listened on" in printed.err


def test_help_tells_what_a_target_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "TARGET is a TOML file" in capsys.readouterr().out
