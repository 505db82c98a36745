"""What a launcher owes: nodes that hold a replay buffer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from launchpad_lite.courier.client import Client as CourierClient
from launchpad_lite.errors import UsageError
from launchpad_lite.nodes.multi_processing import MultiProcessingColocation
from launchpad_lite.nodes.multi_threading import MultiThreadingColocation
from launchpad_lite.nodes.python import PyClassNode, PyNode
from launchpad_lite.nodes.reverb import ReverbNode
from launchpad_lite.program import Program
from launchpad_lite.replay.service.client import Client
from launchpad_lite.testing.conformance.launcher_parts import nodes
from launchpad_lite.testing.conformance.launcher_parts import replay_nodes as users
from launchpad_lite.testing.conformance.launcher_parts.base import LauncherSuite, eventually

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = 20


def replay_program() -> tuple[Program, Client]:
    """Return a program with a replay buffer, and its handle."""
    program = Program("replay")
    return program, program.add_node(ReverbNode(users.make_tables), label="replay")


class ReplayConformance(LauncherSuite):
    """Items get from node to node, nobody waits for them any more when the run stops."""

    def test_items_get_from_node_to_node(self, shared_dir: Path) -> None:
        program, replay = replay_program()
        program.add_node(PyNode(users.insert, replay, ITEMS), label="actor")
        sums = shared_dir / "sums"
        program.add_node(PyNode(users.sum_up, replay, ITEMS, sums), label="learner")
        with self.start(program) as t:
            assert t.wait(nodes.PATIENCE_S)
        assert sums.read_text() == f"{sum(range(ITEMS))}\n"

    @pytest.mark.parametrize("name", ["replay", "replay/0"])
    def test_a_buffer_is_found_by_its_name(self, name: str, shared_dir: Path) -> None:
        program, replay = replay_program()
        program.add_node(PyNode(users.insert_by_name, name, ITEMS), label="actor")
        sums = shared_dir / "sums"
        program.add_node(PyNode(users.sum_up, replay, ITEMS, sums), label="learner")
        with self.start(program) as t:
            assert t.wait(nodes.PATIENCE_S)
        assert sums.read_text() == f"{sum(range(ITEMS))}\n"

    def test_the_launching_process_has_clients_too(self) -> None:
        program, replay = replay_program()
        with self.start(program) as t:
            users.insert(t[replay], 1)
            assert users.read(t[replay]) == 0
            by_label = t["replay"]
            assert isinstance(by_label, CourierClient)
            assert list(Client(by_label).server_info()) == [users.QUEUE]
            with pytest.raises(UsageError, match="there is no table 'quue'; did you mean 'queue'"):
                t[replay].reset("quue")

    def test_nobody_waits_for_items_when_the_run_stops(self, shared_dir: Path) -> None:
        program, replay = replay_program()
        path = shared_dir / "said"
        program.add_node(PyClassNode(users.Reader, replay, path), label="reader")
        with self.start(program) as t:
            client = t[replay]
            assert eventually(lambda: _waiting(client) == 1)
        assert path.read_text().startswith("the replay server has stopped")

    def test_what_needs_no_waiting_is_done_while_the_run_stops(self, shared_dir: Path) -> None:
        program, replay = replay_program()
        path = shared_dir / "read"
        program.add_node(PyClassNode(users.LateWriter, replay, path), label="writer")
        with self.start(program):
            assert eventually(path.exists)
        assert path.read_text() == "waits\n7\n"

    @pytest.mark.parametrize("kind", [MultiThreadingColocation, MultiProcessingColocation])
    def test_a_replay_buffer_in_a_colocation(
        self, kind: type[MultiThreadingColocation | MultiProcessingColocation], shared_dir: Path
    ) -> None:
        program = Program("colocated")
        replay_node = ReverbNode(users.make_tables)
        replay = replay_node.create_handle()
        actor = PyNode(users.insert, replay, ITEMS)
        program.add_node(kind([replay_node, actor]), label="machine")
        sums = shared_dir / "sums"
        program.add_node(PyNode(users.sum_up, replay, ITEMS, sums), label="learner")
        with self.start(program) as t:
            assert t.wait(nodes.PATIENCE_S)
        assert sums.read_text() == f"{sum(range(ITEMS))}\n"

    def test_checkpoints(self, shared_dir: Path) -> None:
        program = Program("checkpoints")
        path = shared_dir / "notes"
        notebook = functools.partial(users.Notebook, path)
        node = ReverbNode(users.make_tables, notebook)
        replay = program.add_node(node, label="replay")
        with self.start(program) as t:
            assert t[replay].checkpoint() == str(path)
        assert path.read_text() == "loaded 0\nsaved\nsaved\n"

    def test_checkpoints_again_and_again(self, shared_dir: Path) -> None:
        program = Program("checkpoints")
        path = shared_dir / "notes"
        notebook = functools.partial(users.Notebook, path)
        node = ReverbNode(users.make_tables, notebook, checkpoint_time_delta_minutes=0.0005)
        program.add_node(node, label="replay")
        with self.start(program):
            assert eventually(lambda: path.exists() and path.read_text().count("saved") > 1)


def _waiting(client: Client) -> int:
    info = client.server_info()[users.QUEUE].rate_limiter_info
    assert info is not None
    return info.sample_stats.pending
