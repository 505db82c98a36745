"""The command `lp-replay`: a replay server that is used alone."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import signal
import sys
import tempfile
from typing import TYPE_CHECKING

from launchpad_lite.cli import factory, replay_config, shell, target
from launchpad_lite.cli.commands import Parser
from launchpad_lite.cli.replay_config import Config
from launchpad_lite.cli.user_code import calling
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import ExitCode, UsageError
from launchpad_lite.replay.core.checkpoint.checkpointers import DefaultCheckpointer
from launchpad_lite.replay.service.given import require_tables
from launchpad_lite.replay.service.server import Server
from launchpad_lite.validation import within

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence

    from launchpad_lite.replay.core.table import Table

_FACTORY = "tables"

_ABOUT = f"""\
Serves a replay buffer until Ctrl-C or SIGTERM. TARGET is a TOML file, or Python code whose function
returns the tables: file.py or module, with :function behind it unless that is called
{_FACTORY!r}."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
      arguments: the command line, without the command; None for this process's.

    Returns:
      The exit code, see `errors.ExitCode`.

    Raises:
      SystemExit: help was asked for.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    return shell.run("lp-replay", lambda: _run(given))


def _run(arguments: Sequence[str]) -> int:
    given = _parser().parse_args(arguments)
    config = _config(given)
    if given.check:
        _show(config.tables, f"{given.target}: nothing is wrong")
    else:
        _serve(config)
    return ExitCode.OK


def _parser() -> Parser:
    parser = Parser("lp-replay", _ABOUT)
    parser.add_argument("target", metavar="TARGET", help="what makes the tables")
    parser.add_argument("--port", type=int, help="the TCP port; any that is free if not given")
    parser.add_argument("--host", help="the address to listen on; if not given, the loopback")
    parser.add_argument("--credentials", metavar="FILE", help="what clients must have too")
    parser.add_argument(
        "--insecure", action="store_true", help="take calls from whoever reaches the port"
    )
    parser.add_argument(
        "--checkpoint_dir",
        metavar="DIR",
        help="begin with the latest checkpoint there, and write one at the end",
    )
    parser.add_argument("--check", action="store_true", help="only look whether all is right")
    return parser


def _config(given: argparse.Namespace) -> Config:
    """Return what to serve, and where; the command line goes before the file."""
    if given.target.endswith(".toml"):
        config = replay_config.read(given.target)
    else:
        config = Config(tables=_tables(given.target))
    names = [field.name for field in dataclasses.fields(Config) if field.name != "tables"]
    values = {name: getattr(given, name) for name in names}
    changes = {name: value for name, value in values.items() if value not in (None, False)}
    return dataclasses.replace(config, **changes)


def _tables(text: str) -> list[Table]:
    """Return the tables that a function of the user's makes."""
    where = target.resolve(text)
    where = dataclasses.replace(where, factory=where.factory or _FACTORY)
    name, function = factory.find(target.load(where), where)
    place = f"{name}() in {where.shown}"
    with calling(place):
        made: object = function()
    with within(place):
        return require_tables(made)


def _serve(config: Config) -> None:
    credentials = None if config.credentials is None else Credentials.load(config.credentials)
    checkpointer = None if config.checkpoint_dir is None else _checkpointer(config.checkpoint_dir)
    with _interruptible():
        loaded = checkpointer and checkpointer.latest()
        try:
            server = Server(
                config.tables,
                config.port,
                checkpointer,
                host=config.host,
                credentials=credentials,
                insecure=config.insecure,
            )
        except OSError as error:
            if error.errno is not None:
                raise
            raise UsageError(str(error)) from error  # the port is taken
        with server, contextlib.suppress(KeyboardInterrupt):
            _show(config.tables, f"lp-replay: serving at {server.address}")
            if loaded:
                _say(f"lp-replay: the tables are those of the checkpoint {loaded}")
            server.wait()
        if checkpointer:  # only now, so that nothing is inserted after it
            _say(f"lp-replay: the checkpoint is {server.checkpoint()}")


def _checkpointer(path: str) -> DefaultCheckpointer:
    """Return what writes to a directory, once something can be written there."""
    checkpointer = DefaultCheckpointer(path)
    try:
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        message = f"checkpoint_dir={path!r}: nothing can be written there: {error.strerror}."
        raise UsageError(message) from error
    return checkpointer


def _show(tables: Sequence[Table], title: str) -> None:
    _say("\n  ".join([title, *map(repr, tables)]))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _interruptible() -> Generator[None]:
    """Let SIGTERM do in this block what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
