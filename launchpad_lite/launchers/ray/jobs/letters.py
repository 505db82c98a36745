"""What the launching process leaves in a cluster for the job that holds its run.

The program, and words: that the process is there, or wants the run to end. A job that is waited
for has no other way to find out that nobody waits any more; nor has any job another way to find out
that its run is to end at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

import msgspec

from launchpad_lite.errors import UsageError
from launchpad_lite.launchers.ray import packing

if TYPE_CHECKING:
    from launchpad_lite.launchers.ray.options import RayOptions
    from launchpad_lite.planning import LaunchPlan

BEAT_S = 2.0
_ANSWER_S = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """What the job is to launch.

    Attributes:
      plan: the plan, below the directory that the job is started in.
      table: the plan for people.
      options: the user's, as far as the job heeds them.
      is_watched: whether the run ends when no more words come.
    """

    plan: LaunchPlan
    table: str
    options: RayOptions
    is_watched: bool


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What the launching process says every `BEAT_S` seconds.

    Attributes:
      number: another one each time.
      stop: why the run is to end; None while it is not.
      immediately: without notice and grace.
    """

    number: int
    stop: str | None = None
    immediately: bool = False


def program_name(run_id: str) -> str:
    """Return under which name a program is kept; Ray takes those of packages only."""
    return f"launchpad_lite_{run_id}_program.zip"


def word_name(run_id: str) -> str:
    """Return under which name the last word is kept."""
    return f"launchpad_lite_{run_id}_word.zip"


def last_word_name(run_id: str) -> str:
    """Return under which name a word is kept that another process than the launching one says."""
    return f"launchpad_lite_{run_id}_last_word.zip"


def names(run_id: str) -> tuple[str, str, str]:
    """Return all names of a run's letters."""
    return program_name(run_id), word_name(run_id), last_word_name(run_id)


class Box:
    """The letters, as a process of the cluster sees them."""

    def __init__(self, run_id: str, address: str) -> None:
        """Name the run, and the cluster's address."""
        module: Any = importlib.import_module("ray._raylet")
        self._gcs: Any = module.GcsClient(address=address)
        self._run_id = run_id

    def program(self) -> Program:
        """Take the program out.

        Raises:
          UsageError: it is not there, or of other versions.
        """
        data = self._get(program_name(self._run_id))
        if data is None:
            message = f"the cluster does not have the program of {self._run_id} any more"
            raise UsageError(message)
        self._remove(program_name(self._run_id))
        program: Program = packing.unpack(data)
        return program

    def word(self) -> Word | None:
        """Return the last word; None if there is none yet, or it cannot be had now."""
        with contextlib.suppress(Exception):  # the cluster may be about to lose its head
            data = self._get(last_word_name(self._run_id)) or self._get(word_name(self._run_id))
            return None if data is None else msgspec.json.decode(data, type=Word)
        return None

    def clear(self) -> None:
        """Remove all letters."""
        for name in names(self._run_id):
            self._remove(name)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(Exception):  # the cluster may be gone
            self._gcs.internal_kv_del(_key(name), False, None, timeout=_ANSWER_S)

    def _get(self, name: str) -> bytes | None:
        data: bytes | None = self._gcs.internal_kv_get(_key(name), None, timeout=_ANSWER_S)
        return data


def _key(name: str) -> bytes:
    return f"gcs://{name}".encode()
