"""Files of checkpoints: damage, full disks, deaths, and which are kept."""

from __future__ import annotations

import grp
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launchpad_lite import replay
from launchpad_lite.errors import CheckpointError
from launchpad_lite.replay.checkpointers import DefaultCheckpointer, TempDirCheckpointer
from launchpad_lite.replay.core.checkpoint import sections
from launchpad_lite.replay.core.rows import RowStore
from launchpad_lite.replay.core.table import Table
from tests.unit.replay_items import Episode

PATIENCE_S = 60.0


def table() -> Table:
    return Table.queue("queue", 10)


def filled(number: int = 0) -> Table:
    made = table()
    made.try_insert(Episode(made.store, first=number).items([0]))
    return made


def save(path: Path, number: int = 0, keep: int = 2) -> Path:
    made = filled(number)
    return Path(DefaultCheckpointer(path, keep=keep).save([made], made.store))


def load(path: Path) -> tuple[Table, RowStore]:
    made = table()
    DefaultCheckpointer(path).load([made], made.store)
    return made, made.store


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


# Damage.


def refused(path: Path) -> str:
    made = table()
    with pytest.raises(CheckpointError) as caught:
        DefaultCheckpointer(path).load([made], made.store)
    assert len(made) == made.store.nbytes == 0
    return str(caught.value)


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = save(tmp_path)
    whole = path.read_bytes()
    for index in range(len(whole)):
        flipped = bytearray(whole)
        flipped[index] ^= 1 << index % 8
        path.write_bytes(flipped)
        assert refused(tmp_path).startswith(f"{path} is ")


def test_every_truncation_is_found(tmp_path: Path) -> None:
    path = save(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert "it ends too early" in refused(tmp_path)
    path.write_bytes(whole + b"\0")
    assert "is damaged" in refused(tmp_path)
    path.write_bytes(whole)
    assert len(load(tmp_path)[0]) == 1


def test_a_newer_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "VERSION", 2)
    save(tmp_path)
    monkeypatch.undo()
    assert "has format 2, and this version of launchpad_lite reads formats up to 1" in refused(
        tmp_path
    )


def test_a_damaged_one_says_how_to_go_on(tmp_path: Path) -> None:
    path = save(tmp_path)
    path.write_bytes(b"something else entirely")
    assert refused(tmp_path) == (
        f"{path} is not a checkpoint of a replay buffer, or is damaged. "
        "To begin with empty tables, move this file away."
    )
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        replay.Server([table()], checkpointer=DefaultCheckpointer(tmp_path))
    later = save(tmp_path)
    later.write_bytes(later.read_bytes()[:-1])
    assert refused(tmp_path).endswith(f"To load the one before it, {path}, move this file away.")


# Which are kept.


@pytest.mark.parametrize("keep", [1, 2])
def test_the_latest_are_kept_and_the_last_one_is_loaded(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a" / "b"
    for number in range(4):
        save(path, number, keep)
    assert names(path) == [f"checkpoint-{number:08}.replay" for number in range(5 - keep, 5)]
    restored, store = load(path)
    (saved,) = restored.state().items
    assert saved.batch.layout.gather(store, saved.batch.rows)[1].tolist() == [3]


def test_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-x.replay").touch()
    for path in (tmp_path, tmp_path / "nowhere"):
        assert DefaultCheckpointer(path).load([table()], RowStore()) is None


def test_a_group_may_read(tmp_path: Path) -> None:
    made = filled()
    group = os.getgid()
    checkpointer = DefaultCheckpointer(tmp_path, grp.getgrgid(group).gr_name)
    found = Path(checkpointer.save([made], made.store)).stat()
    assert (found.st_gid, found.st_mode & 0o777) == (group, 0o640)
    assert save(tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_a_server_has_a_checkpointer_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert TempDirCheckpointer().path != TempDirCheckpointer().path
    assert not names(tmp_path)
    with replay.Server([table()]) as server:
        server.localhost_client().insert(1, {"queue": 1.0})
        path = Path(server.checkpoint())
    assert path.parent.parent == tmp_path
    again = replay.Server([table()], checkpointer=DefaultCheckpointer(path.parent))
    with again as server:
        assert next(server.localhost_client().sample("queue"))[0].data == [1]


# A process that dies, a disk that is full.

DIES = """
import sys, time, os
from launchpad_lite.replay.checkpointers import DefaultCheckpointer
from tests.unit.test_replay_checkpoint_files import filled

def wait(file):
    print("written", flush=True)
    time.sleep(60)

os.fsync = wait
made = filled()
DefaultCheckpointer(sys.argv[1]).save([made], made.store)
"""


def test_a_process_that_is_killed_leaves_the_last_one(tmp_path: Path) -> None:
    save(tmp_path, 7)
    command = [sys.executable, "-c", DIES, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == "written\n"
        save(tmp_path)  # what is being written is no leftover
        assert len(names(tmp_path)) == 3
        dying.send_signal(signal.SIGKILL)
        dying.wait(PATIENCE_S)
    assert len(names(tmp_path)) == 3
    assert len(load(tmp_path)[0]) == 1
    save(tmp_path)
    assert names(tmp_path) == ["checkpoint-00000002.replay", "checkpoint-00000003.replay"]


FULL = """
import os, sys
import numpy as np
from launchpad_lite import replay

place = sys.argv[1]
table = replay.Table.queue("queue", 100)
checkpointer = replay.checkpointers.DefaultCheckpointer(place)
with replay.Server([table], checkpointer=checkpointer) as server:
    client = server.localhost_client()
    client.insert(1, {"queue": 1.0})
    client.checkpoint()
    client.insert(np.zeros(1 << 21, np.uint8), {"queue": 1.0})
    try:
        client.checkpoint()
    except OSError as error:
        assert error.filename == place, error
        print(type(error).__name__, error.strerror)
    assert os.listdir(place) == ["checkpoint-00000001.replay"]
    assert next(client.sample("queue"))[0].data == [1]
    client.reset("queue")
    assert client.checkpoint().endswith("checkpoint-00000002.replay")
print("goes on")
"""

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_a_file_that_may_not_become_so_large(tmp_path: Path) -> None:
    result = run(sys.executable, "-c", LIMIT + FULL, str(tmp_path))
    assert result.stdout == "OSError File too large\ngoes on\n", result.stderr


def test_a_full_disk(tmp_path: Path) -> None:
    in_namespace = ("unshare", "--mount", "--map-root-user", "sh", "-c")
    mount = f"mount -t tmpfs -o size=1m none {tmp_path}"
    if run(*in_namespace, mount).returncode:
        pytest.skip("no file system can be mounted here")
    result = run(
        *in_namespace, f'{mount} && exec "$@"', "sh", sys.executable, "-c", FULL, str(tmp_path)
    )
    assert result.stdout == "OSError No space left on device\ngoes on\n", result.stderr
