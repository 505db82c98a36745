"""Runs `lp-launch` in forks of one process that has imported it: as real, and much faster.

A request is one line of JSON on standard input, the answer one on standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MODULES = ("cli.launch", "cli.listing", "cli.node_logs", "cli.runs", "cli.usage", "launchers.local")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command ended with."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class WarmCommand:
    """The process that has imported the command."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments: Sequence[str]) -> Result:
        """Run a command in this process's working directory and environment."""
        request = {"arguments": arguments, "cwd": str(Path.cwd()), "env": dict(os.environ)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        return Result(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


def _serve() -> None:
    import importlib

    for name in MODULES:
        importlib.import_module(f"launchpad_lite.{name}")
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                _become_command(json.loads(line), out, err)
            _, status = os.waitpid(pid, 0)
            texts = {"out": _text(out), "err": _text(err)}
        answer = {"code": os.waitstatus_to_exitcode(status), **texts}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _become_command(request: dict[str, Any], out: IO[bytes], err: IO[bytes]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out.fileno(), 1)
    os.dup2(err.fileno(), 2)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[1:1] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    from launchpad_lite.cli.main import main

    sys.exit(main(request["arguments"]))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    _serve()
