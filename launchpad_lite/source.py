"""Where the user's code lives, and how a worker gets at it.

A worker imports the user's program file once, under a stable name and without its `__main__`
block, as multiprocessing does. Classes of the file then travel by reference between any number of
workers. Only what has no file (a notebook, `python -c`) travels by value.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import sysconfig
from typing import TYPE_CHECKING, Any

from launchpad_lite import flags
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    import types
    from collections.abc import Generator, Mapping

MAIN = "__lp_main__"
"""The name under which the program's file is imported, by `lp-launch` and by every worker."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramSource:
    """What a worker needs in order to import the user's code.

    Attributes:
      main_file: the program's file; None when all of the program is in importable modules.
      main_name: the module name it is imported under.
      sys_path: the import path.
      cwd: the working directory.
      argv: the command line.
      flags: absl flags that differ from their defaults, as parsed values.
    """

    main_file: str | None
    main_name: str
    sys_path: tuple[str, ...]
    cwd: str
    argv: tuple[str, ...]
    flags: Mapping[str, Any]

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, for pickling: a flag's class may be the program's own."""
        return vars(self) | {"flags": flags.pickled(self.flags)}


class _State:
    refusal: str | None = None
    by_reference = False


def _is_program(module: types.ModuleType) -> str | None:
    """Return the module's file if it is the user's own program rather than a tool's script."""
    path = getattr(module, "__file__", None)
    if path is None or not pathlib.Path(path).is_file():
        return None
    resolved = pathlib.Path(path).resolve()
    keys = ("stdlib", "purelib", "platlib", "scripts")
    tools = [*map(sysconfig.get_path, keys), str(pathlib.Path(__file__).parent)]
    inside = any(resolved.is_relative_to(pathlib.Path(tool).resolve()) for tool in tools if tool)
    return None if inside else str(resolved)


def _main() -> tuple[str | None, str]:
    loaded = sys.modules.get(MAIN)
    if loaded is not None and loaded.__file__:  # what lp-launch was told is the program
        return str(pathlib.Path(loaded.__file__).resolve()), MAIN
    main = sys.modules["__main__"]
    package = getattr(main, "__package__", None)
    return _is_program(main), f"{package}.{MAIN}" if package else MAIN


def capture() -> ProgramSource:
    """Describe this process's program, and let its `__main__` be found under the stable name."""
    file, name = _main()
    _State.by_reference = file is not None
    if file is not None:
        sys.modules.setdefault(name, sys.modules["__main__"])
    return ProgramSource(
        main_file=file,
        main_name=name,
        sys_path=tuple(os.path.abspath(entry) for entry in sys.path),  # noqa: PTH100 - no symlinks
        cwd=str(pathlib.Path.cwd()),
        argv=tuple(sys.argv),
        flags=flags.snapshot(),
    )


def parse_flags() -> None:
    """Read the command line of a script that has left it to us, as the original does.

    Only where the user's own script was started: a test runner's command line is its own.

    Raises:
      UsageError: a flag has a wrong value.
    """
    if flags.FLAGS.is_parsed() or _is_program(sys.modules["__main__"]) is None:
        return
    flags.parse_known(sys.argv)


def main_travels_by_reference() -> bool:
    """Whether objects of `__main__` can be imported by the other processes of a run."""
    return _State.by_reference


def load_file(path: str, name: str) -> types.ModuleType:
    """Import a file under a name, once.

    Raises:
      Exception: what reading the file, compiling it, or its own code raises.
    """
    parent = name.rpartition(".")[0]
    if parent:
        importlib.import_module(parent)
    loader = importlib.machinery.SourceFileLoader(name, path)  # whatever the file's suffix
    spec = importlib.machinery.ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def install(source: ProgramSource) -> None:
    """Make this process, a worker, able to import the user's code.

    Flags are set twice: before the user's code runs, where they are known already, and after it,
    where it defines them.
    """
    os.chdir(source.cwd)
    sys.path[:] = source.sys_path
    sys.argv[:] = source.argv
    flags.apply(source.flags)
    _State.by_reference = source.main_file is not None
    if source.main_file is not None:
        reason = (
            f"{source.main_file} calls lp.launch() when it is imported, and every worker imports "
            "it. Put the call under `if __name__ == '__main__':`."
        )
        with refusing_launch(reason):
            sys.modules["__main__"] = load_file(source.main_file, source.main_name)
        flags.apply(source.flags)


@contextlib.contextmanager
def refusing_launch(reason: str) -> Generator[None]:
    """Refuse `lp.launch` inside this block: where a program is imported or declared.

    Args:
      reason: the error's message.
    """
    before = _State.refusal
    _State.refusal = reason
    try:
        yield
    finally:
        _State.refusal = before


def check_launch_allowed() -> None:
    """Refuse `lp.launch` where a program is imported or declared.

    Raises:
      UsageError: it is.
    """
    if _State.refusal is not None:
        raise UsageError(_State.refusal)
