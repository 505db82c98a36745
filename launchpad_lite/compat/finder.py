"""Makes the original's modules importable: each name in them is the very object of this package."""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from launchpad_lite import flags, source
from launchpad_lite.compat import names
from launchpad_lite.courier import failures
from launchpad_lite.errors import UsageError, nearest

if TYPE_CHECKING:
    import types
    from collections.abc import Collection, Sequence

_REFUSING = ("launchpad", "courier")
"""Of these, an installed one is refused."""

_REVERB = "reverb"

_IMPORTABLE = str(pathlib.Path(__file__).parent / "importable")
"""Where processes that a node spawns find these names; they have this process's import path."""

_IMPORTABLE_REVERB = f"{_IMPORTABLE}_{_REVERB}"
"""Where they find that name, which is only taken over where that was asked for."""


def install(*, force: bool = False, reverb: bool = False) -> None:
    """Let `import launchpad` and `import courier` mean this package, here and in the run's workers.

    To be called before the program imports them; `lp-launch --compat` does. Exceptions that remote
    methods raise are then also the original's `StatusNotOk`, which is `CallError`.

    Args:
      force: do so even where other packages of these names are installed or imported.
      reverb: let `import reverb` mean `launchpad_lite.replay` as well.

    Raises:
      UsageError: one is.
    """
    if not force:
        for name in (*_REFUSING, _REVERB) if reverb else _REFUSING:
            _refuse_other(name)
    take_over()
    if reverb:
        take_over_reverb()


def take_over() -> None:
    """Do what `install` does, and ask nothing; workers do."""
    if any(map(_is_ours, sys.meta_path)):
        return
    _forget(_REFUSING)
    sys.meta_path.insert(0, _Finder())
    _make_importable(_IMPORTABLE)
    failures.set_also_call_error(True)
    if flags.value(flags.COLOR) == "auto":  # as in the original, whose names others' code parses
        flags.FLAGS.set_default(flags.COLOR.name, "always")
    source.add_preparation(f"{__name__}:{take_over.__name__}")


def take_over_reverb() -> None:
    """Do what `install(reverb=True)` does beyond `take_over`, and ask nothing."""
    take_over()
    finder = next(each for each in sys.meta_path if isinstance(each, _Finder))
    if _REVERB in finder.roots:
        return
    _forget((_REVERB,))
    finder.roots.add(_REVERB)
    _make_importable(_IMPORTABLE_REVERB)
    source.add_preparation(f"{__name__}:{take_over_reverb.__name__}")


def _forget(roots: Collection[str]) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in roots]:
        del sys.modules[name]


def _make_importable(directory: str) -> None:
    if directory not in sys.path:
        sys.path.append(directory)


def _refuse_other(name: str) -> None:
    loaded = sys.modules.get(name)
    if loaded is not None and isinstance(loaded.__loader__, _Loader):
        return
    specs = [finder.find_spec(name, None) for finder in sys.meta_path if not _is_ours(finder)]
    spec = next((each for each in specs if each is not None), None)
    if loaded is None and (spec is None or spec.origin is None):
        return  # a mere directory of that name is no package
    if spec is not None and spec.origin is not None and spec.origin.startswith(_IMPORTABLE):
        return
    place = loaded.__file__ if loaded is not None else spec.origin if spec is not None else None
    state = "imported" if loaded is not None else "installed"
    message = (
        f"a package {name!r} is {state} already, at {place}. Uninstall it, or rename it if it is "
        "yours; or let this package stand in for it all the same: "
        f"launchpad_lite.compat.install({'reverb=True, ' if name == _REVERB else ''}force=True)."
    )
    raise UsageError(message)


def _is_ours(finder: object) -> bool:
    return isinstance(finder, _Finder)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self.roots: set[str] = set(names.ROOTS)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        root = fullname.partition(".")[0]
        if root not in self.roots or (root == names.OPTIONAL and _is_installed(root)):
            return None
        if fullname not in names.MODULES:
            message = f"No module named {fullname!r} in launchpad_lite.compat"
            if fullname in names.DROPPED:
                raise ModuleNotFoundError(f"{message}: {names.DROPPED[fullname]}.", name=fullname)
            end = nearest(fullname, names.modules_near(fullname))
            raise ModuleNotFoundError(f"{message}{end}", name=fullname)
        return importlib.machinery.ModuleSpec(
            fullname, _Loader(), is_package=names.is_package(fullname)
        )


@functools.cache
def _is_installed(root: str) -> bool:
    return importlib.machinery.PathFinder.find_spec(root) is not None


class _Loader(importlib.abc.Loader):
    def exec_module(self, module: types.ModuleType) -> None:
        """Fill a module: with functions that find its names when they are asked for."""
        name = module.__name__
        table = names.MODULES[name]
        module.__doc__ = f"Stands in for {name}; see launchpad_lite.compat."
        module.__dict__.update(
            __file__=names.__file__,
            __all__=[*table, *names.submodules(name)],
            __getattr__=functools.partial(_find, module),
            __dir__=lambda: sorted({*vars(module), *table, *names.submodules(name)}),
        )
        for both in set(table) & set(names.submodules(name)):
            # importing the module sets the attribute: once, before it is set to what is meant
            importlib.import_module(f"{name}.{both}")
            module.__dict__[both] = _resolve(table[both])


def _find(module: types.ModuleType, name: str) -> Any:
    """Return what a name in a module means, and keep it there."""
    table = names.MODULES[module.__name__]
    if name in table:
        module.__dict__[name] = found = _resolve(table[name])
        return found
    if name in names.submodules(module.__name__):
        return importlib.import_module(f"{module.__name__}.{name}")
    if name.startswith("__"):
        raise AttributeError(name)
    if module.__name__ in names.WHOLE:
        ours = importlib.import_module(names.WHOLE[module.__name__])
        if name in ours.__all__:
            return getattr(ours, name)
    for dropped in (name, f"{module.__name__}.{name}"):
        if dropped in names.DROPPED:
            reason = names.DROPPED[dropped]
            raise AttributeError(f"{module.__name__}.{name} is not in launchpad_lite: {reason}.")
    message = f"module {module.__name__!r} (of launchpad_lite.compat) has no {name!r}"
    raise AttributeError(f"{message}{nearest(name, {*table, *names.submodules(module.__name__)})}")


def _resolve(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
