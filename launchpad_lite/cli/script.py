"""Runs a file that launches its program by itself, as `python file.py` would."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import sys
import types
from typing import TYPE_CHECKING, Any

from launchpad_lite.cli.user_code import calling

if TYPE_CHECKING:
    import ast
    from collections.abc import Sequence

    from launchpad_lite.cli.target import Target

_MAIN = "__main__"


def run(target: Target, tree: ast.Module, arguments: Sequence[str], *, call_main: bool) -> None:
    """Run a script; it finds its own arguments in `sys.argv`.

    Args:
      target: the script.
      tree: its syntax.
      arguments: what it is given.
      call_main: whether its function `main` must be called, since it does not do so itself.

    Raises:
      SystemExit: the script ended like this.
      LaunchpadError: its run failed, or could not be launched.
      UserCodeError: it raised anything else.
    """
    module = types.ModuleType(_MAIN)
    module.__file__ = target.path
    module.__loader__ = importlib.machinery.SourceFileLoader(_MAIN, target.path)
    module.__package__ = None
    if target.module is not None:
        module.__spec__ = importlib.util.find_spec(target.module)
        module.__package__ = module.__spec__.parent if module.__spec__ else None
    sys.modules[_MAIN] = module
    sys.argv[:] = [target.path if target.module else target.shown, *arguments]
    with calling(target.shown, may_exit=True):
        code = compile(tree, target.path, "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - the user named it
        if call_main:
            _call(module.main)


def _call(main: Any) -> None:
    """Call `main` in one of the two usual ways: with the command line, and without it."""
    if inspect.signature(main).parameters:
        from absl import app  # it defines flags: only where they are wanted

        app.run(main)
    else:
        sys.exit(main())
