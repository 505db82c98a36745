"""Ray, where a node's own code uses it: it does not take the node's process over.

Ray lets a process that joins a cluster end at SIGTERM in its own way, and its tasks know nothing of
the name under which nodes import the program's file. What is done about it has to wait until the
user's code loads Ray, which few programs do.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from launchpad_lite import source

if TYPE_CHECKING:
    import types
    from collections.abc import Sequence

_RAY = "ray"


def expect() -> None:
    """Have Ray settle in when the user's code loads it; at once if it has done so.

    To be called in the main thread of a worker, which hears SIGTERM and has imported the program.
    """
    hears = signal.getsignal(signal.SIGTERM)
    if _RAY in sys.modules:
        _settle(hears)
    else:
        sys.meta_path.insert(0, _Finder(hears))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, hears: Any) -> None:
        self._hears = hears

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _RAY:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader: Any = None if spec is None else spec.loader
        if loader is not None:
            load = loader.exec_module

            def load_and_settle(module: types.ModuleType) -> None:
                load(module)
                sys.meta_path.remove(self)
                _settle(self._hears)

            loader.exec_module = load_and_settle
        return spec


def _settle(hears: Any) -> None:
    """Let the node hear SIGTERM, and what Ray runs have the functions of the program's file.

    Args:
      hears: the node's handler.
    """

    def put_back() -> None:
        if threading.current_thread() is threading.main_thread():  # elsewhere Ray sets none
            signal.signal(signal.SIGTERM, hears)

    constants: Any = importlib.import_module("ray._private.ray_constants")
    constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER = True  # it shows a stack at SIGTERM too
    worker: Any = importlib.import_module("ray._private.worker")
    worker._post_init_hooks.append(put_back)  # noqa: SLF001 - Ray's own libraries use it
    main = sys.modules.get(source.MAIN)
    if main is not None:
        pickling: Any = importlib.import_module("ray.cloudpickle")
        pickling.register_pickle_by_value(main)
