"""Calls that run as one, called from Python and through a node."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

import cloudpickle
import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite.courier.batching import BatchedMethod, batched_handler
from launchpad_lite.errors import BatchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

LONG_S = 60.0  # no test waits so long


def submit(function: Any, *args: Any, **kwargs: Any) -> Future[Any]:
    assert isinstance(function, BatchedMethod)
    return function.submit(*args, **kwargs)


def results(calls: list[Future[Any]]) -> list[Any]:
    return [call.result(LONG_S) for call in calls]


def call_in_threads(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    found: dict[int, Any] = {}

    def call(index: int) -> None:
        found[index] = function(items[index])

    threads = [threading.Thread(target=call, args=(index,)) for index in range(len(items))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    return [found[index] for index in range(len(items))]


class Doubler:
    """Doubles a batch of numbers, and keeps the batches."""

    def __init__(self) -> None:
        self.batches: list[Any] = []

    @batched_handler(4, timeout=LONG_S)
    def double(self, item: Any) -> Any:
        self.batches.append(item)
        return [2 * each for each in cast("list[int]", item)]


class Wrapper:
    """In the original's way."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        wrapped: Any = self  # type checkers refuse to replace a method
        wrapped.compute = batched_handler(batch_size=3, timeout=LONG_S)(self.compute)

    def compute(self, item: Any) -> Any:
        self.batches.append(item)
        return item


class Held:
    """A function whose batches wait for the test."""

    def __init__(self, **options: Any) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.batches: list[list[int]] = []
        self.inside = 0
        self.most = 0
        self.lock = threading.Lock()
        self.work = batched_handler(**options)(self._work)

    def _work(self, item: Any) -> Any:
        with self.lock:
            self.batches.append(item)
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        assert self.go.acquire(timeout=LONG_S)
        with self.lock:
            self.inside -= 1
        return item


# --- which calls make a batch ---


def test_threads_that_call_directly_share_a_batch() -> None:
    doubler = Doubler()
    assert call_in_threads(doubler.double, [1, 2, 3, 4]) == [2, 4, 6, 8]
    assert [sorted(batch) for batch in doubler.batches] == [[1, 2, 3, 4]]


def test_a_function() -> None:
    batches: list[Any] = []

    @batched_handler(2, timeout=LONG_S)
    def add(a: Any, b: Any) -> Any:
        """Add."""
        batches.append((a, b))
        return a + b

    assert (add.__name__, add.__doc__) == ("add", "Add.")
    calls = [submit(add, np.full(3, 1), np.ones(3)), submit(add, np.full(3, 5), np.zeros(3))]
    assert [row.tolist() for row in results(calls)] == [[2.0] * 3, [5.0] * 3]
    assert [(a.shape, b.shape) for a, b in batches] == [((2, 3), (2, 3))]


def test_a_bound_method_that_is_wrapped_in_the_constructor() -> None:
    wrapper = Wrapper()
    array = np.arange(6).reshape(3, 2)
    assert np.array_equal(results([submit(wrapper.compute, row) for row in array]), array)
    assert [batch.shape for batch in wrapper.batches] == [(3, 2)]


def test_each_object_has_its_own_batches() -> None:
    one, other = Doubler(), Doubler()
    calls = [submit(each.double, item) for item in range(4) for each in (one, other)]
    assert results(calls) == [0, 0, 2, 2, 4, 4, 6, 6]
    assert one.batches == other.batches == [[0, 1, 2, 3]]
    assert one.double is one.double


def test_a_subclass_calls_the_method_that_it_overrides() -> None:
    class Counter(Doubler):
        @batched_handler(4, timeout=LONG_S)
        def double(self, item: Any) -> Any:
            return call_in_threads(super().double, item)

    counter = Counter()
    assert results([submit(counter.double, item) for item in range(4)]) == [0, 2, 4, 6]
    assert [sorted(batch) for batch in counter.batches] == [[0, 1, 2, 3]]


@pytest.mark.parametrize("timeout", [0.001, dt.timedelta(milliseconds=1)])
def test_a_batch_that_does_not_fill_runs_after_the_timeout(timeout: Any) -> None:
    @batched_handler(100, timeout=timeout)
    def echo(item: Any) -> Any:
        return item

    assert echo(7) == 7


def test_without_a_timeout_whatever_waits_is_the_next_batch() -> None:
    held = Held(batch_size=4, timeout=0)
    calls = [submit(held.work, 0)]
    assert held.entered.acquire(timeout=LONG_S)
    calls += [submit(held.work, item) for item in range(1, 8)]
    held.go.release(3)
    assert results(calls) == list(range(8))
    assert held.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]
    assert held.most == 1


def test_batches_run_at_a_time() -> None:
    held = Held(batch_size=2, max_parallelism=3, timeout=LONG_S)
    calls = [submit(held.work, item) for item in range(10)]
    for _ in range(3):
        assert held.entered.acquire(timeout=LONG_S)
    held.go.release(5)
    assert results(calls) == list(range(10))
    assert held.most == 3


def test_padding_repeats_to_the_full_size() -> None:
    sizes: list[int] = []

    @batched_handler(8, timeout=0, pad_batch=True)
    def work(item: Any) -> Any:
        sizes.append(len(item))
        return item

    assert work(np.full(2, 3)).tolist() == [3, 3]
    assert work(np.full(2, 4)).tolist() == [4, 4]
    assert sizes == [8, 8]


def test_calls_that_were_cancelled_are_not_in_the_batch() -> None:
    doubler = Doubler()
    calls = [submit(doubler.double, item) for item in range(3)]
    assert calls[1].cancel()
    calls.append(submit(doubler.double, 3))
    assert results([calls[0], *calls[2:]]) == [0, 4, 6]
    assert doubler.batches == [[0, 2, 3]]


# --- what goes wrong ---


def pair() -> tuple[BatchedMethod, list[Any]]:
    batches: list[Any] = []

    def work(item: Any, scale: Any = 1) -> Any:
        batches.append((item, scale))
        return item

    return cast("BatchedMethod", batched_handler(2, timeout=LONG_S)(work)), batches


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ((1,), (1, 2), "it gives the arguments item, scale, the others give item"),
        (
            (np.zeros(3),),
            (np.zeros(4),),
            "item is an array of shape (4,) and dtype float64, and an array of shape (3,)",
        ),
        (({"a": 1},), ({"b": 1},), "item is a dict with the keys ['b'], and a dict with the keys"),
        (({"a": (1, 2)},), ({"a": (1,)},), "item['a'] is a tuple of 1, and a tuple of 2"),
        ((None,), (1,), "item is a value that is no array, dict, tuple or None, and None"),
    ],
)
def test_arguments_that_do_not_fit(first: Any, second: Any, text: str) -> None:
    method, batches = pair()
    call = method.submit(*first)
    with pytest.raises(BatchError) as caught:
        method.submit(*second)
    assert text in str(caught.value)
    assert ".work does not fit its batch: " in str(caught.value)
    assert method.submit(*first).exception(LONG_S) is call.exception(LONG_S) is None
    assert len(batches) == 1


def test_the_one_that_differs_from_what_went_well_is_at_fault() -> None:
    method, _ = pair()
    results([method.submit(np.zeros(3)) for _ in range(2)])
    wrong = method.submit(np.zeros(4))
    calls = [method.submit(np.zeros(3)) for _ in range(2)]
    with pytest.raises(BatchError, match=r"item is an array of shape \(4,\)"):
        wrong.result(LONG_S)
    assert len(results(calls)) == 2


def test_arguments_by_name_and_by_place_fit() -> None:
    method, batches = pair()
    assert results([method.submit(1, scale=2), method.submit(scale=3, item=4)]) == [1, 4]
    assert batches == [([1, 4], [2, 3])]


def test_arguments_that_the_method_does_not_take() -> None:
    method, _ = pair()
    with pytest.raises(TypeError, match=r"work: missing a required argument: 'item'"):
        method.submit()


def test_a_handler_that_raises() -> None:
    @batched_handler(3, timeout=LONG_S)
    def fail(item: Any) -> Any:
        raise KeyError(item)

    calls = [submit(fail, item) for item in range(3)]
    errors = [call.exception(LONG_S) for call in calls]
    assert [str(error) for error in errors] == [str(KeyError([0, 1, 2]))] * 3


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ([1], "has 1 rows for a batch of 2; return one for each call"),
        (np.zeros((3, 2)), "has 3 rows for a batch of 2"),
        ({"a": [1, 2], "b": [1]}, r"\['b'\] has 1 rows"),
        ((5, [1, 2]), r"\[0\] of a batch of 2 is one int"),
        ("ab", "is one str"),
    ],
)
def test_a_wrong_number_of_results(result: Any, text: str) -> None:
    @batched_handler(2, timeout=LONG_S)
    def work(item: Any) -> Any:
        return result

    for call in [submit(work, item) for item in range(2)]:
        with pytest.raises(BatchError, match=f"the result of .*work.*{text}"):
            call.result(LONG_S)


def test_a_handler_that_calls_itself() -> None:
    class Recursive:
        @batched_handler(1)
        def work(self, item: Any) -> Any:
            return self.work(item)

    with pytest.raises(RuntimeError, match="work calls itself, and would wait"):
        Recursive().work(1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch_size=0: give a whole number, 1 or more"),
        ({"batch_size": 2.0}, "batch_size=2.0: give a whole number, 1 or more"),
        ({"batch_size": True}, "batch_size=True: give a whole number"),
        ({"batch_size": 1, "max_parallelism": 0}, "max_parallelism=0: give a whole number"),
        (
            {"batch_size": 1, "timeout": -0.1},
            "timeout=-0.1: give a number of seconds",
        ),
        ({"batch_size": 1, "timeout": dt.timedelta(-1)}, "timeout=-86400.0: give a number"),
        ({"batch_size": 1, "timeout": float("nan")}, "timeout=nan: give a number"),
        ({"batch_size": 1, "timeout": None}, "timeout=None: give a number"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=f"^lp.batched_handler: {text}"):
        batched_handler(**options)


async def coroutine(item: Any) -> Any:
    return item


def generator(item: Any) -> Any:
    yield item


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (coroutine, "coroutine cannot be a batched handler: it is an async def"),
        (generator, "it is a generator"),
        (Doubler, "it is not a function or a method"),
        (3, "3 cannot be a batched handler: it is not a function"),
        (Doubler.double, "it is batched already"),
        (staticmethod(coroutine), "decorate what is below @staticmethod"),
    ],
)
def test_what_cannot_be_batched(function: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        batched_handler(2)(function)


def test_an_object_that_can_keep_nothing() -> None:
    class Slotted:
        __slots__ = ()

        @batched_handler(2)
        def work(self, item: Any) -> Any:
            return item

    with pytest.raises(UsageError, match="Slotted objects have no __dict__"):
        Slotted().work(1)


# --- copies ---


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_objects_with_batched_methods_can_be_pickled(module: Any) -> None:
    doubler, wrapper = Doubler(), Wrapper()
    waiting = submit(doubler.double, 9)
    for made in (module.loads(module.dumps((doubler, wrapper))), copy.deepcopy((doubler, wrapper))):
        assert results([submit(made[0].double, item) for item in range(4)]) == [0, 2, 4, 6]
        assert results([submit(made[1].compute, item) for item in range(3)]) == [0, 1, 2]
        assert made[1].batches == [[0, 1, 2]]
    assert doubler.batches == wrapper.batches == []
    assert not waiting.done()
    results([submit(doubler.double, item) for item in range(3)])


def test_a_shallow_copy_has_its_own_batches() -> None:
    doubler = Doubler()
    waiting = submit(doubler.double, 9)
    other = copy.copy(doubler)
    assert results([submit(other.double, item) for item in range(4)]) == [0, 2, 4, 6]
    assert not waiting.done()
    results([submit(doubler.double, item) for item in range(3)])


# --- in a node ---


class Policy:
    """Serves on one thread."""

    def __init__(self) -> None:
        self._sizes: list[int] = []

    @lp.batched_handler(batch_size=32, timeout=LONG_S)
    def act(self, observation: Any) -> Any:
        self._sizes.append(len(observation))
        label = lp.get_context().name
        return observation.sum(axis=1), [label] * len(observation)

    def sizes(self) -> list[int]:
        return self._sizes


@pytest.mark.parametrize("launcher", ["thread", "process"])
def test_full_batches_on_a_node_with_one_thread(launcher: str) -> None:
    program = lp.Program("batches")
    node = lp.CourierNode(Policy).options(thread_pool_size=1)
    handle = program.add_node(node, label="policy")
    with lp.launch(program, launcher=launcher) as run:
        policy = run.client(handle)
        calls = [lp.submit(policy.act, np.full(3, item)) for item in range(64)]
        expected = [(3 * item, "policy/0") for item in range(64)]
        assert results(calls) == expected
        assert policy.sizes() == [32, 32]
        run.stop()
