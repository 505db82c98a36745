"""Walks through nested arguments: what is found where, and what is copied."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import hypothesis
from hypothesis import strategies as st

from launchpad_lite import walk
from launchpad_lite.handle import DeferredConstruction, dereference


class Mark:
    """Stands for a handle: what `replace` changes."""

    def __repr__(self) -> str:
        return "MARK"


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Plain:
    first: Any
    second: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    first: Any
    second: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    first: Any
    second: Any = None


@dataclasses.dataclass(slots=True, kw_only=True)
class Slots:
    first: Any
    second: Any = None


@dataclasses.dataclass
class Derived:
    first: Any
    total: int = dataclasses.field(init=False, default=7)
    cache: Any = dataclasses.field(init=False, repr=False, compare=False)


class MyList(list[Any]):
    note = ""


class Ours(walk.Container):
    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def children(self) -> Mapping[str, Any]:
        return self.parts


MARK: Any = Mark()
DONE = "done"


def swap(value: object) -> object:
    return DONE if value is MARK else value


def paths(value: object) -> list[str]:
    return [path for path, leaf in walk.leaves(value) if leaf is MARK]


def test_leaves_have_paths_as_python_would_write_them() -> None:
    def function(*_: object, **__: object) -> None: ...

    found_at: dict[str, object] = {
        "": MARK,
        "[1]": [0, MARK],
        "[0][0]": ([MARK],),
        "['a'][2]": {"a": [0, 1, MARK]},
        "[(1, 'b')]": {(1, "b"): MARK},
        ".right": Pair(0, MARK),
        ".first.second": Plain(Frozen(0, MARK)),
        "[0].first": [FrozenSlots(MARK)],
        ".second": Slots(first=0, second=MARK),
        ".args[0]": functools.partial(function, MARK),
        ".key[0]": functools.partial(function, 0, key=[MARK]),
        "{...}": {MARK},
        ".name[0]": Ours(name=[MARK]),
        ".args[1].a": DeferredConstruction(function, 0, DeferredConstruction(function, a=MARK)),
    }
    assert {path: paths(value) for path, value in found_at.items()} == {
        path: [path] for path in found_at
    }
    assert paths({1, frozenset({MARK})}) == ["{...}{...}"]


def test_what_is_no_container_has_no_parts() -> None:
    for value in (1, "text", b"bytes", None, MARK, Plain, range(3), object(), len, Pair):
        assert list(walk.children(value)) == []


def test_an_object_held_twice_is_found_once_where_it_comes_first() -> None:
    assert paths({"a": [MARK], "b": MARK}) == ["['a'][0]"]


def test_leaves_are_found_in_the_order_in_which_they_are_written() -> None:
    marks = [Mark(), Mark(), Mark()]
    value = {"a": [marks[0], (marks[1],)], "b": marks[2]}
    assert [leaf for _, leaf in walk.leaves(value) if isinstance(leaf, Mark)] == marks


def examples(leaf: Any) -> list[Any]:
    """Each kind of container, with `leaf` in it."""
    return [
        [0, leaf],
        (leaf, [1]),
        {"a": leaf, "b": [leaf]},
        {leaf, 1},
        frozenset({leaf}),
        Pair(1, leaf),
        Plain(leaf, [leaf]),
        Frozen(first=leaf),
        FrozenSlots(leaf, 2),
        Slots(first=leaf),
        Derived(leaf),
        OrderedDict(b=1, a=leaf),
        defaultdict(list, a=leaf),
        Counter({"a": 2, "b": leaf}),
        MyList([leaf]),
        [Pair(FrozenSlots({"a": (leaf,)}), leaf)],
    ]


def test_parts_are_replaced_in_a_copy_of_the_same_class() -> None:
    for value, before, after in zip(examples(MARK), examples(MARK), examples(DONE), strict=True):
        result = walk.replace(value, swap)
        assert result == after
        assert type(result) is type(value)
        assert value == before, "the original was changed"
        assert result is not value


def test_a_copy_keeps_what_is_not_a_part() -> None:
    value = MyList([MARK])
    value.note = "kept"
    assert walk.replace(value, swap).note == "kept"
    derived = Derived(MARK)
    derived.total = 8
    assert walk.replace(derived, swap).total == 8
    assert not hasattr(walk.replace(derived, swap), "cache")
    lists: defaultdict[str, Any] = defaultdict(list, a=MARK)
    assert walk.replace(lists, swap)["new"] == []
    ordered: OrderedDict[str, Any] = OrderedDict(b=MARK, a=1)
    assert list(walk.replace(ordered, swap)) == ["b", "a"]


def test_a_partial_is_replaced_argument_by_argument() -> None:
    def function(*args: object, **kwargs: object) -> tuple[object, ...]:
        return (*args, *kwargs.items())

    partial = walk.replace(functools.partial(function, 1, MARK, key=MARK), swap)
    assert partial() == (1, DONE, ("key", DONE))
    assert partial.func is function


def test_what_does_not_change_is_not_copied() -> None:
    kept = {"a": [1, (2,)]}
    value = [kept, Plain(kept), {"mark": MARK}]
    result = walk.replace(value, swap)
    assert result[0] is kept
    assert result[1] is value[1]
    assert result[2] == {"mark": DONE}
    assert walk.replace(kept, swap) is kept


def test_what_is_held_twice_is_replaced_once() -> None:
    shared = [MARK]
    result: Any = walk.replace({"a": shared, "b": (shared, shared)}, swap)
    assert result["a"] == [DONE]
    assert result["a"] is result["b"][0] is result["b"][1]


def test_a_container_of_ours_is_changed_as_a_whole_or_not_at_all() -> None:
    ours = Ours(part=MARK)
    assert walk.replace([ours], swap)[0] is ours
    everything: list[Any] = [ours]
    assert walk.replace(everything, lambda leaf: DONE if leaf is ours else leaf) == [DONE]


def test_what_was_put_in_is_not_walked_through() -> None:
    assert walk.replace([MARK], lambda leaf: [MARK] if leaf is MARK else leaf) == [[MARK]]


def test_containers_that_hold_themselves_are_walked_through_once() -> None:
    looped: list[Any] = [MARK]
    looped.append(looped)
    table: dict[str, Any] = {"list": looped, "mark": MARK}
    table["self"] = table
    looped.append(table)
    plain = Plain(MARK)
    plain.second = plain
    assert paths(looped) == ["[0]"]
    assert paths(table) == ["['list'][0]"]
    assert paths(plain) == [".first"]
    assert walk.replace(looped, lambda leaf: leaf) is looped
    assert walk.replace(looped, swap)[0] == DONE
    assert walk.replace(plain, swap).first == DONE
    result: Any = walk.replace(table, swap)
    assert (result["mark"], result["list"][0]) == (DONE, DONE)
    assert looped[0] is MARK


def test_deferred_objects_are_made_once_with_their_parts_replaced() -> None:
    made: list[Plain] = []

    def make(first: object, second: object = None) -> Plain:
        made.append(Plain(first, second))
        return made[-1]

    inner = DeferredConstruction(make, 1)
    result = dereference({"a": DeferredConstruction(make, [inner], second=2), "b": [inner]})
    assert result == {"a": Plain([Plain(1)], 2), "b": [Plain(1)]}


# Any nesting of containers.

_KEYS = st.text("abc'\"", max_size=3)


def _containers(parts: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    lists = st.lists(parts, max_size=3)
    return st.one_of(
        lists,
        lists.map(tuple),
        st.dictionaries(_KEYS, parts, max_size=3),
        st.builds(Pair, parts, parts),
        st.builds(Plain, parts, parts),
        st.builds(FrozenSlots, parts, parts),
    )


ANYTHING = st.recursive(st.one_of(st.integers(), st.none(), st.builds(Mark)), _containers)
_settings = hypothesis.settings(derandomize=True, database=None, deadline=None)


@_settings
@hypothesis.given(ANYTHING)
def test_every_path_leads_to_its_leaf(value: object) -> None:
    for path, leaf in walk.leaves(value):
        assert eval(f"value{path}", {"value": value}) is leaf


@_settings
@hypothesis.given(ANYTHING)
def test_nothing_changes_nothing(value: object) -> None:
    assert walk.replace(value, lambda leaf: leaf) is value


@_settings
@hypothesis.given(ANYTHING)
def test_only_marks_are_replaced_and_the_original_is_left_alone(value: object) -> None:
    number = {id(leaf): n for n, (_, leaf) in enumerate(walk.leaves(value))}
    before = repr(value)

    def change(leaf: object) -> object:
        return ("done", number[id(leaf)]) if isinstance(leaf, Mark) else leaf

    result = walk.replace(value, change)
    assert repr(value) == before
    marks = [(path, leaf) for path, leaf in walk.leaves(value) if isinstance(leaf, Mark)]
    for path, mark in marks:
        assert eval(f"result{path}", {"result": result}) == change(mark)
    assert (result is value) == (not marks)
    assert "MARK" not in repr(result)
