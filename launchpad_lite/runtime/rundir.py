"""The run directory: what is left of a run, and how another terminal finds it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import os
import pathlib
import pickle
import re
import secrets
import shutil
import urllib.parse
from typing import TYPE_CHECKING

import msgspec

from launchpad_lite.courier import socket_dir
from launchpad_lite.courier.auth import state_dir
from launchpad_lite.credentials import Credentials
from launchpad_lite.errors import LaunchpadError, UsageError
from launchpad_lite.owner import Owner
from launchpad_lite.runtime.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEPT_RUNS = 50
"""How many run directories are kept; older ones go when a new run starts."""

TAIL_BYTES = 2**14

_PLAN = "plan.txt"

_MAX_LABEL = 180
"""Characters of a label in a file name, which has 255 at most, with what is put around it."""


class Rendezvous(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a run's controller; in a file of mode 0600 while the run lives.

    Attributes:
      endpoint: where the controller listens.
      credentials: what the controller wants to see.
      owner: the process that holds the run together.
    """

    endpoint: str
    credentials: Credentials
    owner: Owner


def new_run_id(program: str) -> str:
    """Return a name for a run: its program, the time, and something that makes it unique."""
    word = re.sub(r"[^A-Za-z0-9_.]+", "-", program).strip("-.") or "run"
    now = dt.datetime.now(tz=dt.UTC).astimezone()
    return f"{word[:40]}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def runs_root() -> pathlib.Path:
    """Return the directory that holds this user's run directories.

    Raises:
      UsageError: it is another user's.
    """
    try:
        root = state_dir() / "runs"
        root.mkdir(mode=0o700, exist_ok=True)
    except PermissionError as error:
        message = (
            f"{error.filename}: permission denied. Only the user who launched a run can see and "
            "stop it. For runs of yours, set XDG_STATE_HOME to a directory of yours, or unset it."
        )
        raise UsageError(message) from error
    return root


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """One run's directory.

    Attributes:
      path: the directory, of mode 0700.
    """

    path: pathlib.Path

    @classmethod
    def create(cls, run_id: str, root: pathlib.Path | None = None) -> RunDirectory:
        """Make the directory of a new run, and remove those of old ones.

        Args:
          run_id: the run.
          root: where; None for where this user's runs are.

        Raises:
          OSError: it cannot be made, or not be written to; nothing of it is left.
        """
        root = root or runs_root()
        ended = [run for run in _runs(root) if not run.is_alive()]
        for run in ended:
            run.remove_sockets()
        for old in ended[KEPT_RUNS - 1 :]:
            old.remove()
        run = cls(root / run_id)
        try:
            run.path.mkdir(mode=0o700)
            run.logs.mkdir()
            run.write_owner(Owner.this_process())
        except BaseException:
            run.remove()
            raise
        return run

    def remove(self) -> None:
        """Remove all of it, as far as that can be done."""
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def checkpoints(self) -> pathlib.Path:
        """Where nodes save, unless the run was given another place."""
        return self.path / "checkpoints"

    @property
    def rendezvous_file(self) -> pathlib.Path:
        """Where it is written how to reach the controller."""
        return self.path / "rendezvous.json"

    @property
    def owner_file(self) -> pathlib.Path:
        """Where it is written who holds the run together, until that has ended in order."""
        return self.path / "owner.json"

    def log(self, node: str) -> pathlib.Path:
        """Return a node's log file."""
        return self.logs / f"{file_name(node)}.log"

    @property
    def logs(self) -> pathlib.Path:
        """Where the nodes' logs are."""
        return self.path / "logs"

    def is_here(self) -> bool:
        """Whether this machine sees the directory that the launching one has made."""
        return (self.path / _PLAN).exists()

    def make_logs(self) -> None:
        """Make room for logs on a machine that shares no file system with the launching one.

        Raises:
          UsageError: it cannot be made.
        """
        mask = os.umask(0o077)
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = (
                f"{self.path} cannot be made on {os.uname().nodename}: {error.strerror}. "
                "Nodes write their logs there: set XDG_STATE_HOME to one that can be everywhere."
            )
            raise UsageError(message) from error
        finally:
            os.umask(mask)

    def remove_logs(self, logs: Iterable[pathlib.Path]) -> None:
        """Remove logs that were passed on to another machine; what nodes have saved stays."""
        for log in logs:
            log.unlink(missing_ok=True)
        for path in (self.logs, self.path):
            with contextlib.suppress(OSError):  # it is not empty
                path.rmdir()

    def write_private(self, name: str, data: bytes) -> None:
        """Replace a file at once, readable by this user alone.

        Raises:
          OSError: it cannot be written.
        """
        temporary = self.path / f".{name}.{secrets.token_hex(4)}"  # others may write it now, too
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            temporary.rename(self.path / name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            error.filename = error.filename or str(self.path / name)  # a full disk names none
            raise

    def write_plan(self, table: str) -> None:
        """Keep the plan, for people."""
        self.write_private(_PLAN, table.encode())

    def write_status(self, status: RunStatus) -> None:
        """Keep the status."""
        self.write_private("status.json", msgspec.json.encode(status))

    def status(self) -> RunStatus | None:
        """Return the status that was kept last."""
        try:
            return msgspec.json.decode((self.path / "status.json").read_bytes(), type=RunStatus)
        except (OSError, msgspec.MsgspecError):
            return None

    def write_owner(self, owner: Owner) -> None:
        """Say who holds the run together."""
        self.write_private(self.owner_file.name, msgspec.json.encode(owner))

    def _job(self) -> Owner | None:
        """Return who holds the run together, if it is no process."""
        owner = self.owner()
        return owner if owner is not None and owner.asks else None

    def write_outcome(self, error: LaunchpadError | None) -> None:
        """Keep how the run has ended, for a launching process on another host.

        Raises:
          OSError: it cannot be written.
        """
        self.write_private("outcome.pickle", pickle.dumps((error,)))

    def outcome(self) -> tuple[LaunchpadError | None] | None:
        """Return how the run has ended: what it failed of; None if nobody has written that."""
        try:
            data = (self.path / "outcome.pickle").read_bytes()
        except OSError:
            return None
        kept: tuple[LaunchpadError | None] = pickle.loads(data)
        return kept

    def write_rendezvous(self, endpoint: str, credentials: Credentials) -> None:
        """Let other terminals find the run's controller, in this process."""
        owner = self._job() or Owner.this_process()
        rendezvous = Rendezvous(endpoint=endpoint, credentials=credentials, owner=owner)
        self.write_private(self.rendezvous_file.name, msgspec.json.encode(rendezvous))

    def remove_rendezvous(self) -> None:
        """Forget how to reach the controller: the run has ended."""
        self.rendezvous_file.unlink(missing_ok=True)
        self.owner_file.unlink(missing_ok=True)

    def remove_sockets(self) -> None:
        """Remove the private directory of a run whose process was killed."""
        rendezvous = self.rendezvous()
        scheme, _, place = rendezvous.endpoint.partition(":") if rendezvous else ("", "", "")
        if scheme == "unix":
            socket_dir.remove(pathlib.Path(place).parent)

    def rendezvous(self) -> Rendezvous | None:
        """Return how to reach the controller; None when the run has ended."""
        try:
            return msgspec.json.decode(self.rendezvous_file.read_bytes(), type=Rendezvous)
        except (OSError, msgspec.MsgspecError):
            return None

    def owner(self) -> Owner | None:
        """Return the process that holds the run together; None when the run has ended."""
        rendezvous = self.rendezvous()
        if rendezvous is not None:
            return rendezvous.owner
        try:
            return msgspec.json.decode(self.owner_file.read_bytes(), type=Owner)
        except (OSError, msgspec.MsgspecError):
            return None

    def is_alive(self) -> bool:
        """Whether the process that holds the run together is still there."""
        owner = self.owner()
        return owner is not None and owner.is_alive()


def tail(log: pathlib.Path) -> str:
    """Return the end of a log, `TAIL_BYTES` at most; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines())
    except OSError:
        return ""


def file_name(node: str) -> str:
    """Return a node's name as a file name: `actor/3` is `actor-3`.

    A label that is too long for one is cut, and told from others by a hash of it.
    """
    label, _, index = node.rpartition("/")
    quoted = urllib.parse.quote(label, safe=" ")
    if len(quoted) > _MAX_LABEL:
        digest = hashlib.blake2b(label.encode(), digest_size=8).hexdigest()
        quoted = f"{quoted[:_MAX_LABEL]}~{digest}"
    return f"{quoted}-{index}"


def _runs(root: pathlib.Path) -> Iterator[RunDirectory]:
    """Yield the runs, the newest first."""
    found: list[tuple[float, pathlib.Path]] = []
    for path in root.iterdir():
        with contextlib.suppress(OSError):  # another run that starts has just removed it
            if path.is_dir():
                found.append((path.stat().st_mtime, path))
    for _, path in sorted(found, reverse=True):
        yield RunDirectory(path)


def list_runs() -> list[RunDirectory]:
    """Return this user's runs, the newest first."""
    return list(_runs(runs_root()))
