"""Logs of machines that share no file system with the controller."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from launchpad_lite.errors import Unavailable, UsageError
from launchpad_lite.runtime.shipping import CHUNK_BYTES, LogShipper, LogTaker

NEVER_S = 3600.0


@pytest.fixture
def there(tmp_path: Path) -> Path:
    path = tmp_path / "there"
    path.mkdir()
    return path


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / "here"
    path.mkdir()
    return path / "actor-0.log"


def test_what_is_added_arrives_once(there: Path, here: Path) -> None:
    log = there / "actor-0.log"
    shipper = LogShipper([log], LogTaker([here]).take_log, NEVER_S)
    shipper.ship()
    assert not here.exists()
    parts = [b"first\n", b"\xff" * (2 * CHUNK_BYTES + 1), b"last"]
    for number, part in enumerate(parts):
        with log.open("ab") as file:
            file.write(part)
        shipper.ship()
        assert here.read_bytes() == b"".join(parts[: number + 1])
    shipper.ship()
    assert here.read_bytes() == b"".join(parts)


def test_what_another_has_passed_on_is_not_passed_on_again(there: Path, here: Path) -> None:
    log = there / "actor-0.log"
    log.write_bytes(b"before\n")
    shipper = LogShipper([log], LogTaker([here]).take_log, NEVER_S)
    with log.open("ab") as file:
        file.write(b"after\n")
    shipper.ship()
    assert here.read_bytes() == b"after\n"


def test_a_thread_looks_by_itself(there: Path, here: Path) -> None:
    came = threading.Event()
    taker = LogTaker([here])

    def take(name: str, data: bytes) -> None:
        taker.take_log(name, data)
        came.set()

    shipper = LogShipper([there / "actor-0.log"], take, 0.001)
    (there / "actor-0.log").write_bytes(b"here")
    shipper.start()
    assert came.wait(30.0)
    with (there / "actor-0.log").open("ab") as file:
        file.write(b" and at the end")
    shipper.stop()
    assert here.read_bytes() == b"here and at the end"


def test_a_controller_that_is_gone(there: Path) -> None:
    def take(name: str, data: bytes) -> None:
        raise Unavailable(f"{name}, {len(data)}", maybe_executed=False)

    shipper = LogShipper([there / "new.log"], take, NEVER_S)
    (there / "new.log").write_bytes(b"abc")
    with pytest.raises(Unavailable, match=r"new.log, 3"):
        shipper.ship()


def test_a_disk_that_is_full_there(there: Path, caplog: pytest.LogCaptureFixture) -> None:
    full = [True]
    came: list[tuple[str, bytes]] = []

    def take(name: str, data: bytes) -> None:
        if full:
            raise OSError(28, "No space left on device")
        came.append((name, data))

    log = there / "new.log"
    shipper = LogShipper([log, there / "other.log"], take, NEVER_S)
    log.write_bytes(b"abc")
    shipper.ship()
    shipper.ship()
    log.write_bytes(b"abcdef")
    shipper.ship()
    assert caplog.text.count("is not passed on") == 1
    full.clear()
    (there / "other.log").write_bytes(b"other")
    shipper.ship()
    assert came == [("other.log", b"other")]


@pytest.mark.parametrize("name", ["other-0.log", "../here/actor-0.log", ""])
def test_logs_that_no_node_has(here: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no node of the run has a log"):
        LogTaker([here]).take_log(name, b"data")
