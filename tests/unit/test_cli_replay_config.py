"""What a TOML file says of a replay server, and what is told of a wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from launchpad_lite import replay
from launchpad_lite.cli import replay_config
from launchpad_lite.errors import UsageError

GOOD = """
port = 8000
host = "127.0.0.1"
credentials = "secret"
checkpoint_dir = "saved"

[tables.replay]
sampler = { type = "Prioritized", priority_exponent = 0.8 }
remover = "Fifo"
max_size = 1_000
max_times_sampled = 3

[tables.replay.rate_limiter]
type = "SampleToInsertRatio"
samples_per_insert = 4
min_size_to_sample = 10
error_buffer = [0, 100]

[tables.replay.signature]
action = ["int32[]", "<U20[2]"]
observation.image = "uint8[84, ?]"

[tables.queue]
sampler = "Fifo"
remover = "Fifo"
max_size = 10
max_times_sampled = 1
rate_limiter = { type = "Queue", size = 10 }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text(GOOD)
    return path


def test_a_file_says_everything(path: Path) -> None:
    config = replay_config.read(str(path))
    assert (config.port, config.host, config.insecure) == (8000, "127.0.0.1", False)
    assert config.credentials == str(path.parent / "secret")
    assert config.checkpoint_dir == str(path.parent / "saved")
    first, queue = config.tables
    assert repr(queue) == repr(replay.Table.queue("queue", 10))
    assert repr(first) == repr(
        replay.Table(
            "replay",
            replay.selectors.Prioritized(0.8),
            replay.selectors.Fifo(),
            1000,
            replay.rate_limiters.SampleToInsertRatio(4, 10, (0, 100)),
            max_times_sampled=3,
        )
    )
    assert first.info.signature == {
        "action": [replay.ArraySpec((), np.int32), replay.ArraySpec((2,), "U20")],
        "observation": {"image": replay.ArraySpec((84, None), np.uint8)},
    }


@pytest.mark.parametrize(
    ("there", "instead", "problem"),
    [
        ("port =", "prot =", "there is no key 'prot'; did you mean 'port'"),
        ("port = 8000", "port = 80000", "port=80000: give a whole number from 0 to 65535"),
        ("port = 8000", "insecure = 'no'", "insecure='no': give True or False"),
        ("port = 8000", "port = = 1", r"is not TOML: .*line 2"),
        ("[tables.queue]", "[table.queue]", "there is no key 'table'; did you mean 'tables'"),
        ("[tables.queue]", "[tables]\nqueue = 1\n[tables.b]", "table 'queue': 1 is no section"),
        ('"Fifo"\nmax_size = 1_000', '"Fifo"\nmax_sise = 1', "table 'replay'.*'max_sise'.*'max_si"),
        ("max_size = 10\n", "", "table 'queue': max_size must be given"),
        ("max_size = 10\n", "max_size = 0\n", "Table 'queue': max_size=0"),
        ('sampler = "Fifo"', 'sampler = "Fivo"', "table 'queue': sampler: .*'Fivo'.*'Fifo'"),
        ('sampler = "Fifo"', 'sampler = "Selector"', "sampler: there is no 'Selector'"),
        ('sampler = "Fifo"', "sampler = 3", "sampler=3: give a name, or { type = NAME"),
        ("priority_exponent =", "exponent =", "Prioritized: .*'exponent'.*'priority_exponent'"),
        (", size = 10 }", " }", "table 'queue': rate_limiter: Queue: size must be given"),
        ("= [0, 100]", "= 1", "table 'replay': rate_limiter: SampleToInsertRatio: .*too small"),
        ('type = "Queue"', 'type = "Qeue"', "rate_limiter: there is no 'Qeue'.*'Queue'"),
        ("uint8[84, ?]", "uint8", r"'replay': signature.observation.image='uint8': .*float32\[84"),
        ("uint8[84, ?]", "uint8[x]", "signature.observation.image=.*whole numbers"),
        ("int32[]", "itn32[]", r"signature.action\[0\]: .*'itn32'"),
    ],
)
def test_what_is_wrong_is_told(path: Path, there: str, instead: str, problem: str) -> None:
    assert there in GOOD
    path.write_text(GOOD.replace(there, instead))
    with pytest.raises(UsageError, match=f"server.toml.* {problem}"):
        replay_config.read(str(path))


def test_a_file_needs_tables(path: Path) -> None:
    path.write_text("port = 8000")
    with pytest.raises(UsageError, match=r"has no tables.*\[tables\.NAME\]"):
        replay_config.read(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: No such file"):
        replay_config.read(str(tmp_path / "none.toml"))


def test_a_file_that_is_no_text(path: Path) -> None:
    path.write_bytes(b"\xff")
    with pytest.raises(UsageError, match=r"server\.toml is not TOML: .*utf-8"):
        replay_config.read(str(path))
