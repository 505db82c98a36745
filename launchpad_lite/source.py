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
from typing import TYPE_CHECKING, Any, ClassVar

from launchpad_lite import flags
from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    import types
    from collections.abc import Generator, Mapping, Sequence

    from launchpad_lite.python_process import PythonProcess

MAIN = "__lp_main__"
"""The name under which the program's file is imported, by `lp-launch` and by every worker."""

_IMPORTABLE = str(pathlib.Path(__file__).parent / "importable")
"""Where a process that a node spawns finds that name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramSource:
    """What a worker needs in order to import the user's code.

    Relative paths are below the directory that the worker is started in.

    Attributes:
      main_file: the program's file; None when all of the program is in importable modules.
      main_module: the module that the file is, when it was run as one (`python -m`).
      sys_path: the import path.
      own_packages: the worker's interpreter brings packages of its own; they follow `sys_path`.
      cwd: the working directory.
      argv: the command line.
      flags: absl flags that differ from their defaults, as parsed values.
      preparations: what to call before the user's code is imported, `module:function`.
    """

    main_file: str | None
    main_module: str | None
    sys_path: tuple[str, ...]
    cwd: str
    argv: tuple[str, ...]
    flags: Mapping[str, Any]
    preparations: tuple[str, ...] = ()
    own_packages: bool = False

    def for_worker(self, process: PythonProcess) -> ProgramSource:
        """Return the same for a worker that is started in its own way."""
        source = dataclasses.replace(
            self,
            argv=(*self.argv, *process.argv()),
            flags={**self.flags, **process.args},
        )
        if process.interpreter is None:
            return source
        return dataclasses.replace(source, sys_path=users_path(self.sys_path), own_packages=True)

    def below(self, root: pathlib.Path) -> ProgramSource:
        """Return the same for machines that have the files of a directory, and have it elsewhere.

        Args:
          root: the directory.

        Raises:
          UsageError: the program's file is not in it.
        """
        root = root.resolve()
        main = None if self.main_file is None else _below(self.main_file, root)
        if main is None and self.main_file is not None:
            message = (
                f"the program {self.main_file} is not in {root}, of which the cluster gets a copy. "
                "Launch it from a directory that it is in."
            )
            raise UsageError(message)
        path = [_below(entry, root) for entry in users_path(self.sys_path)]
        return dataclasses.replace(
            self,
            main_file=main,
            sys_path=tuple(entry for entry in path if entry is not None),
            cwd=_below(self.cwd, root) or ".",
            own_packages=True,
        )

    def lack(self) -> str:
        """Return what of it this machine lacks, for people; empty if nothing."""
        wanted = [(self.main_file or "", os.R_OK), (self.cwd, os.X_OK)]
        missing = [path for path, how in wanted if path and not os.access(path, how)]
        if not missing:
            return ""
        return (
            f"{os.uname().nodename} has no {missing[0]}. Put the program, and the directory that "
            "it is launched from, on a file system that all machines share."
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, for pickling: a flag's class may be the program's own."""
        return vars(self) | {"flags": flags.pickled(self.flags)}


def users_path(path: Sequence[str]) -> tuple[str, ...]:
    """Return an import path without what belongs to this interpreter."""
    keys = ("stdlib", "platstdlib", "purelib", "platlib")
    installed = [pathlib.Path(sysconfig.get_path(key)).resolve() for key in keys]
    return tuple(
        entry
        for entry in path
        if not any(pathlib.Path(entry).resolve().is_relative_to(place) for place in installed)
        and not entry.endswith(".zip")  # of the standard library, whether there or not
    )


def _below(path: str, root: pathlib.Path) -> str | None:
    """Return a path as it is from a directory; None if it is not in it."""
    resolved = pathlib.Path(path).resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else None


class _State:
    refusal: str | None = None
    by_reference = False
    preparations: ClassVar[dict[str, None]] = {}


def add_preparation(place: str) -> None:
    """Have workers call a function before they import the user's code.

    Args:
      place: `module:function`.
    """
    _State.preparations[place] = None


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


def _main() -> tuple[str | None, str | None]:
    loaded = sys.modules.get(MAIN)
    if loaded is not None and loaded.__file__:  # what lp-launch was told is the program
        return str(pathlib.Path(loaded.__file__).resolve()), _module_name(loaded)
    main = sys.modules["__main__"]
    return _is_program(main), _module_name(main)


def _module_name(main: types.ModuleType) -> str | None:
    spec = main.__spec__
    return spec.name if spec is not None else None


def working_directory() -> str:
    """Return the working directory.

    Raises:
      UsageError: it has been removed.
    """
    try:
        return str(pathlib.Path.cwd())
    except FileNotFoundError:
        message = "the working directory has been removed; change to one that is there."
        raise UsageError(message) from None


def capture() -> ProgramSource:
    """Describe this process's program, and let its `__main__` be found under the stable name.

    Raises:
      UsageError: the working directory has been removed.
    """
    cwd = working_directory()
    file, module = _main()
    _State.by_reference = file is not None
    if file is not None:
        sys.modules.setdefault(MAIN, sys.modules["__main__"])
    return ProgramSource(
        main_file=file,
        main_module=module,
        sys_path=tuple(os.path.abspath(entry) for entry in sys.path),  # noqa: PTH100 - no symlinks
        cwd=cwd,
        argv=tuple(sys.argv),
        flags=flags.snapshot(),
        preparations=tuple(_State.preparations),
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


def load_main(path: str, module: str | None = None) -> types.ModuleType:
    """Import the program's file, once, as this process's main module.

    What nodes send to processes that `multiprocessing` spawns refers to the file as `MAIN`. Such a
    process imports the file that its parent's `__main__` says, and finds the name on its path.

    Args:
      path: the file.
      module: the module that it is, inside whose package it imports; None for a script.

    Raises:
      Exception: what reading the file, compiling it, or its own code raises.
    """
    if _IMPORTABLE not in sys.path:
        sys.path.append(_IMPORTABLE)
    package = (module or "").rpartition(".")[0]
    if package:
        importlib.import_module(package)
    loader = importlib.machinery.SourceFileLoader(MAIN, path)  # whatever the file's suffix
    spec = importlib.machinery.ModuleSpec(MAIN, loader, origin=path)
    spec.has_location = True
    main = importlib.util.module_from_spec(spec)
    # the specification of a main module says how to import it again
    main.__spec__ = None
    if module is not None:
        main.__spec__ = importlib.machinery.ModuleSpec(module, loader, origin=path)
        main.__package__ = package
    sys.modules[MAIN] = main
    try:
        loader.exec_module(main)
    except BaseException:
        del sys.modules[MAIN]
        raise
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main  # as multiprocessing does
    return main


def install(source: ProgramSource) -> None:
    """Make this process, a worker, able to import the user's code."""
    path = [os.path.abspath(entry) for entry in source.sys_path]  # noqa: PTH100 - no symlinks
    main_file = source.main_file and str(pathlib.Path(source.main_file).absolute())
    os.chdir(source.cwd)
    others = [entry for entry in sys.path if entry not in path]
    sys.path[:] = [*path, *(others if source.own_packages else [])]
    sys.argv[:] = source.argv
    flags.apply(source.flags)
    _State.by_reference = main_file is not None
    for place in source.preparations:
        module, _, function = place.partition(":")
        getattr(importlib.import_module(module), function)()
    if main_file is not None:
        reason = (
            f"{main_file} calls lp.launch() when it is imported, and every worker imports "
            "it. Put the call under `if __name__ == '__main__':`."
        )
        with refusing_launch(reason):
            load_main(main_file, source.main_module)


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
