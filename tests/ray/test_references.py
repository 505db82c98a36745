"""Objects in Ray's store are given by reference, and a node may use Ray itself."""

from __future__ import annotations

import collections
import gc
import importlib
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import launchpad_lite as lp
from launchpad_lite import payload, references
from launchpad_lite.courier import codec
from tests.faults.bench import eventually
from tests.ray.test_moves import SOON_S
from tests.ray.test_placement import options

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("joined")]

SIZE = 1_000_000


class Holder:
    """Has been given something by reference."""

    def __init__(self, given: Any = None) -> None:
        self._given = given

    def given(self) -> Any:
        return self._given

    def kinds(self) -> tuple[str, bool, float]:
        array = self._given["tables"][0]
        return type(array).__name__, bool(array.flags.writeable), float(array.sum())

    def total(self, array: Any) -> float:
        return float(array.sum())

    def make(self, size: int) -> Any:
        """A reference to what this node has put into the store."""
        ray: Any = importlib.import_module("ray")
        return ray.put(np.ones(size))

    def has_ray(self) -> bool:
        return "ray" in sys.modules


class Sender:
    """Sends another node what is in the store."""

    def __init__(self, other: Holder, address: str) -> None:
        self._other = other
        self._address = address

    def send(self) -> float:
        ray: Any = importlib.import_module("ray")
        ray.init(self._address, log_to_driver=False, ignore_reinit_error=True)
        return self._other.total(ray.put(np.ones(SIZE)))

    def send_later(self) -> float:
        """The reference is gone here when the other node takes it."""
        ray: Any = importlib.import_module("ray")
        futures = [lp.submit(self._other.total, ray.put(np.ones(SIZE))) for _ in range(4)]
        gc.collect()
        return sum(future.result() for future in futures)


def launched(program: lp.Program, launcher: str) -> lp.Run:
    given = options() if launcher == "ray" else lp.LaunchOptions(show_output=False)
    return lp.launch(program, launcher, options=given)


@pytest.fixture(params=["ray", "process", "thread"])
def launcher(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_argument_of_a_node(joined: Any, launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = lp.Program("given")
    array = np.arange(SIZE, dtype=np.float64)
    held = {"tables": [joined.put(array)], "n": 3}
    program.add_node(lp.CourierNode(Holder, held), label="holder")
    run = launched(program, launcher)
    del held, program
    monkeypatch.setattr(references, "_held", collections.deque())
    gc.collect()  # the run has it still
    assert run.client("holder").kinds() == ("ndarray", False, array.sum())
    run.stop()
    run.wait()


def test_calls_between_nodes(joined: Any, launcher: str) -> None:
    program = lp.Program("calls")
    holder = program.add_node(lp.CourierNode(Holder), label="holder")
    address = joined.get_runtime_context().gcs_address
    program.add_node(lp.CourierNode(Sender, holder, address), label="sender")
    run = launched(program, launcher)
    assert run.client("sender").send() == SIZE
    assert run.client("sender").send_later() == 4 * SIZE
    assert run.client("holder").make(SIZE).sum() == SIZE
    assert run.client("holder").total(joined.put(np.ones(SIZE))) == SIZE
    run.stop()
    run.wait()


class Owner:
    """An actor of Ray's that puts something into the store."""

    def put(self) -> list[Any]:
        ray: Any = importlib.import_module("ray")
        return [ray.put(np.ones(SIZE))]


@pytest.fixture
def lost(joined: Any) -> Any:
    """A reference whose owner has ended."""
    owner = joined.remote(num_cpus=0)(Owner).remote()
    (reference,) = joined.get(owner.put.remote())
    joined.kill(owner)

    def is_known() -> bool:
        try:
            joined.get(reference, timeout=SOON_S)
        except joined.exceptions.OwnerDiedError:
            return True
        return False

    assert eventually(is_known, SOON_S)
    return reference


def test_an_object_whose_owner_has_ended(lost: Any, launcher: str) -> None:
    program = lp.Program("lost")
    program.add_node(lp.CourierNode(Holder, {"tables": [lost]}), label="holder")
    run = launched(program, launcher)
    with pytest.raises(lp.NodeFailed) as caught:
        run.wait()
    assert "UnresolvedReference" in caught.value.summary
    assert "argument given['tables'][0]: the object in Ray's store is lost" in caught.value.summary
    assert "the process that has put it there has ended" in caught.value.summary


def test_a_call_with_an_object_whose_owner_has_ended(lost: Any) -> None:
    program = lp.Program("lost")
    program.add_node(lp.CourierNode(Holder), label="holder")
    run = launched(program, "thread")
    with pytest.raises(lp.UnresolvedReference, match="has put it there has ended"):
        run.client("holder").total(lost)
    assert run.client("holder").total(np.ones(2)) == 2.0
    run.stop()
    run.wait()


FAR = references.Found(
    title="argument table of node learner/0",
    object_id=bytes(28),
    owner=b"",
    status=b"",
    address="127.0.0.1:1",
    cluster="",
    namespace="",
)


def test_a_machine_that_is_not_in_the_cluster() -> None:
    code = f"""
import launchpad_lite as lp
from launchpad_lite import references
from launchpad_lite.references import Found
try:
    references.resolve({FAR!r})
except lp.UnresolvedReference as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "argument table of node learner/0: the object is in the store of the Ray" in done.stdout
    assert "of which no node is here" in done.stdout


def test_a_process_of_another_cluster() -> None:
    with pytest.raises(lp.UnresolvedReference, match="this process has joined another, at 127"):
        references.resolve(FAR)


def test_what_is_sent_is_held_for_a_while(joined: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held: Any = collections.deque()
    monkeypatch.setattr(references, "_held", held)
    first = joined.put(1)
    assert codec.decode(codec.encode([first])) == [1]
    assert [reference for _, reference in held] == [first]
    held[0] = (0.0, first)  # long ago
    assert payload.dumps({"again": joined.put(2)})
    assert first not in [reference for _, reference in held]


def test_ray_pickles_references_in_its_own_way(joined: Any) -> None:
    reference = joined.put(np.ones(3))
    assert joined.get(joined.put([reference])) == [reference]
    assert pickle.loads(pickle.dumps(reference)) == reference
