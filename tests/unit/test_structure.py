"""The shape of the house: floors, no cycles, small files, a true `__all__`, a light import."""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "launchpad_lite"
ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 400

# A module imports from its own floor or lower. A package stands for all that is in it, unless a
# longer name says otherwise. The package root, and `python -m`, are above the last floor.
FLOORS = (
    (
        "errors",
        "clock",
        "stop_token",
        "validation",
        "config",
        "resources",
        "python_process",
        "flags",
        "launch_type",
        "metrics",
        "version",
        "forks",
        "frames",
        "owner",
        "sigterm",
        "importable",
        "tables",
    ),
    (
        *("address", "handle", "context", "node", "program", "payload", "source", "planning"),
        "compiling",
        *("credentials", "endpoint", "groups", "lint", "references", "scope", "typecheck", "walk"),
    ),
    ("courier", "replay.core"),
    ("replay", "runtime"),
    ("nodes",),
    ("launchers",),
    ("launching", "connecting", "dashboard", "graph"),
    ("cli", "testing", "compat"),
)
FLOOR_OF = {f"{PACKAGE}.{name}": floor for floor, names in enumerate(FLOORS) for name in names}
TOP = {PACKAGE: len(FLOORS), f"{PACKAGE}.__main__": len(FLOORS)}

# Loaded on first use, never by `import launchpad_lite`.
HEAVY = (
    *("cryptography", "grpc", "jax", "numpy", "optree", "ray", "rich", "sklearn", "ssl"),
    *("starlette", "tensorflow", "torch"),
)


@dataclass(frozen=True, kw_only=True)
class Import:
    """One module's import of another.

    `name` is what it takes out of it, None for the module itself; `bound` is what it calls it.
    """

    target: str
    name: str | None
    bound: str
    line: int


class Tree:
    """The modules of the package by name, and how they import each other."""

    def __init__(self, sources: Mapping[str, str], packages: frozenset[str]) -> None:
        self.sources = sources
        self._packages = packages
        self._trees = {name: ast.parse(text) for name, text in sources.items()}
        self.imports = {name: list(self._find_imports(name)) for name in sources}

    @classmethod
    def read(cls) -> Tree:
        sources: dict[str, str] = {}
        packages: set[str] = set()
        for path in sorted((ROOT / PACKAGE).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
                packages.add(".".join(parts))
            sources[".".join(parts)] = path.read_text()
        return cls(sources, frozenset(packages))

    def docstring(self, module: str) -> str | None:
        return ast.get_docstring(self._trees[module])

    def cycle(self) -> list[str] | None:
        """The modules of one cycle, the first again at the end, or None."""
        graph = {
            module: {item.target for item in imports} for module, imports in self.imports.items()
        }
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            cycle: list[str] = error.args[1]
            return cycle[::-1]  # graphlib goes from the imported to the importer
        return None

    def violations(self) -> Iterator[str]:
        """Imports that go up, pass through the root, or name a module that only re-exports."""
        for module, imports in self.imports.items():
            if floor_of(module) is None:
                yield f"{module}: on no floor; add it to FLOORS in tests/unit/test_structure.py"
                continue
            for item in imports:
                if problem := self._problem(module, item):
                    yield f"{module}:{item.line}: {problem}"

    def _problem(self, module: str, item: Import) -> str | None:
        if item.target == PACKAGE and module not in TOP:
            return f"imports {item.name or 'it'} from the package root, not from where it is"
        mine, theirs = floor_of(module), floor_of(item.target)
        if mine is not None and theirs is not None and theirs > mine:
            return f"floor {mine} imports {item.target} from floor {theirs}"
        for origin in self.imports.get(item.target, ()):
            if item.name is not None and item.name == origin.bound:
                return f"imports {item.name} from {item.target}, but it is in {origin.target}"
        return None

    def _find_imports(self, module: str) -> Iterator[Import]:
        for node in ast.walk(self._trees[module]):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    yield from self._import(alias.name, None, bound, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(module, node)
                for alias in node.names:
                    bound = alias.asname or alias.name
                    yield from self._import(base, alias.name, bound, node.lineno)
            elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
                yield from self._import(name, None, "", node.lineno)

    def _import(self, target: str, name: str | None, bound: str, line: int) -> Iterator[Import]:
        if name is not None and f"{target}.{name}" in self.sources:
            target, name = f"{target}.{name}", None
        if target == PACKAGE or target.startswith(f"{PACKAGE}."):
            yield Import(target=target, name=name, bound=bound, line=line)

    def _base(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        drop = node.level - (module in self._packages)
        return ".".join(parts[: len(parts) - drop] + ([node.module] if node.module else []))


def floor_of(module: str) -> int | None:
    if module in TOP:
        return TOP[module]
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    return next((FLOOR_OF[name] for name in names if name in FLOOR_OF), None)


def _imported_by_call(node: ast.Call) -> str | None:
    """What `import_module("a.b")` or `__import__("a.b")` loads."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    match node.args:
        case [ast.Constant(value=str(target)), *_] if name in {"import_module", "__import__"}:
            return target
        case _:
            return None


def _tree(**sources: str) -> Tree:
    """A small package; `a__b` stands for the module a.b, `root` for the package root."""
    names = {
        name: PACKAGE if name == "root" else f"{PACKAGE}.{name.replace('__', '.')}"
        for name in sources
    }
    return Tree(
        {names[name]: text for name, text in sources.items()},
        frozenset({PACKAGE, f"{PACKAGE}.courier"}),
    )


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree.read()


# The package.


def test_each_module_imports_from_its_floor_or_lower(tree: Tree) -> None:
    assert "\n".join(tree.violations()) == ""


def test_there_are_no_cycles_not_even_lazy_ones(tree: Tree) -> None:
    cycle = tree.cycle()
    assert cycle is None, "import cycle: " + " -> ".join(cycle)


def test_files_are_small(tree: Tree) -> None:
    lengths = {module: len(text.splitlines()) for module, text in tree.sources.items()}
    long = {module: length for module, length in lengths.items() if length > MAX_LINES}
    assert not long, f"over {MAX_LINES} lines, so it has found two jobs: {long}"


def test_each_module_has_a_docstring(tree: Tree) -> None:
    assert [module for module in tree.sources if not tree.docstring(module)] == []


def test_all_is_sorted_and_complete(tree: Tree) -> None:
    public: list[str] = importlib.import_module(PACKAGE).__all__
    assert public == sorted(set(public))
    ours = {item.bound for item in tree.imports[PACKAGE]} - {"", PACKAGE}
    missing = {name for name in ours if not name.startswith("_")} - set(public)
    assert not missing, f"imported by the package root, but not in __all__: {sorted(missing)}"


def test_each_public_name_resolves_and_is_documented() -> None:
    package = importlib.import_module(PACKAGE)
    public: list[str] = package.__all__
    assert [name for name in public if not hasattr(package, name)] == []
    bare = [
        name
        for name in public
        if (inspect.isclass(value := getattr(package, name)) or inspect.isfunction(value))
        and not value.__doc__
    ]
    assert not bare, f"public, but without a docstring: {bare}"


def test_importing_the_package_is_light() -> None:
    code = f"import sys, {PACKAGE}; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [], f"`import {PACKAGE}` loads {result.stdout}"


def test_types_ship() -> None:
    assert (ROOT / PACKAGE / "py.typed").is_file()


# The rules themselves: each must be able to fail.


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import launchpad_lite.cli", "floor 1 imports launchpad_lite.cli from floor 7"),
        ("from launchpad_lite import cli", "floor 1 imports launchpad_lite.cli from floor 7"),
        ("def f():\n  from launchpad_lite.cli import main", ":2: floor 1 imports"),
        ("if TYPE_CHECKING:\n  import launchpad_lite.cli", ":2: floor 1 imports"),
        ("importlib.import_module('launchpad_lite.cli')", "floor 1 imports"),
        ("from .cli import main", "floor 1 imports launchpad_lite.cli from floor 7"),
        ("from launchpad_lite import Program", "imports Program from the package root"),
        ("import launchpad_lite as lp", "imports it from the package root"),
        ("from launchpad_lite.address import E", "but it is in launchpad_lite.errors"),
    ],
)
def test_a_bad_import_is_found(source: str, problem: str) -> None:
    tree = _tree(
        root="", errors="E = 1", address="from launchpad_lite.errors import E", cli="", node=source
    )
    (found,) = tree.violations()
    assert problem in found


def test_a_module_on_no_floor_is_found() -> None:
    (found,) = _tree(root="", attic="").violations()
    assert found.startswith("launchpad_lite.attic: on no floor")


def test_good_imports_pass() -> None:
    tree = _tree(
        root="from launchpad_lite.node import Node",
        errors="import os",
        node="from launchpad_lite import errors\nfrom launchpad_lite.errors import E",
        courier="from .server import Server",
        courier__server="from launchpad_lite.node import Node\nfrom . import codec",
        courier__codec="",
    )
    assert list(tree.violations()) == []
    assert tree.cycle() is None


def test_a_lazy_cycle_is_found() -> None:
    tree = _tree(
        node="import launchpad_lite.plan", plan="def f():\n  from launchpad_lite import node"
    )
    cycle = tree.cycle()
    assert cycle is not None
    assert set(cycle) == {"launchpad_lite.node", "launchpad_lite.plan"}
    assert cycle[0] == cycle[-1]


def test_a_part_of_a_package_may_live_on_another_floor() -> None:
    assert floor_of("launchpad_lite.replay.core.table") == 2
    assert floor_of("launchpad_lite.replay.service.server") == 3
