"""The client of a replay server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np

from launchpad_lite.config import ClientConfig
from launchpad_lite.context import scope_for
from launchpad_lite.courier import names
from launchpad_lite.courier.client import Client as CourierClient
from launchpad_lite.courier.client import client_in_run
from launchpad_lite.courier.deadline import deadline
from launchpad_lite.errors import ContextError, UsageError
from launchpad_lite.replay.core.arrays import native
from launchpad_lite.replay.core.nest import check_structure, column_names, flatten
from launchpad_lite.replay.service.priorities import as_keys, as_numbers, by_key, by_table
from launchpad_lite.replay.service.sampling import sample
from launchpad_lite.replay.service.signatures import Signatures, info_of
from launchpad_lite.validation import integer, text, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from launchpad_lite.credentials import Credentials
    from launchpad_lite.replay.core.info import ReplaySample, TableInfo
    from launchpad_lite.replay.core.nest import Structure
    from launchpad_lite.replay.core.types import AnyArray
    from launchpad_lite.replay.service.configs import Config
    from launchpad_lite.replay.service.structured_writer import StructuredWriter
    from launchpad_lite.replay.service.trajectory_writer import TrajectoryWriter
    from launchpad_lite.replay.service.writer import Writer

_count = integer(1)


class Client:
    """Inserts and samples items of a replay server's tables, and tells about them.

    A client is cheap, may be shared between threads, and may be sent to other nodes. It connects
    with the first call, and again after the server was restarted.

    Attributes:
      courier: the Courier client that it calls through.
    """

    def __init__(
        self,
        server_address: str | CourierClient,
        *,
        credentials: Credentials | None = None,
        insecure: bool = False,
    ) -> None:
        """Make a client.

        Args:
          server_address: `localhost:port`, what `Server.address` says; the name of a Reverb node,
            `label` or `label/index`, in the run of the calling thread; or a Courier client of a
            replay server.
          credentials: those of the server at `host:port`; None for a server of this host and user.
          insecure: of a server that was made with `insecure=True`.

        Raises:
          UsageError: an argument is wrong.
        """
        if isinstance(server_address, CourierClient):
            self.courier = server_address
        else:
            named = None if insecure or credentials is not None else _in_run(server_address)
            self.courier = named or CourierClient(
                server_address, credentials=credentials, insecure=insecure
            )
        self._signatures = Signatures(self.courier)

    @property
    def server_address(self) -> str:
        """The server's address, or its name in a run."""
        return self.courier.address

    def __reduce__(self) -> tuple[Callable[..., Client], tuple[Any, ...]]:
        return Client, (self.courier,)

    def __repr__(self) -> str:
        return f"Client(server_address={self.server_address!r})"

    def insert(self, data: Any, priorities: Mapping[str, float]) -> None:
        """Insert one step as an item of some tables, and wait until that is done.

        For more than a few items, a writer is much faster.

        Args:
          data: a nest of arrays and numbers, the step. Items have a leading axis of length 1.
          priorities: the item's priority in each of the tables, by their names.

        Raises:
          UsageError: there is no such table, a priority cannot be used, or the step does not fit
            a table's signature. Nothing is inserted then, in no table.
        """
        with within("insert"):
            given = by_table(priorities)
        if not given:
            raise UsageError(
                "insert: priorities is empty. Name the tables that the item is for, and its "
                "priority in each, as in {'my_table': 1.0}."
            )
        leaves, structure = flatten(data)
        if not leaves:
            raise UsageError("insert: data has no array in it.")
        columns = [native(np.asarray(leaf))[None] for leaf in leaves]
        for index, column in enumerate(columns):
            if column.dtype.hasobject:
                name = column_names(structure)[index]
                raise UsageError(
                    f"insert: column {name!r} is {leaves[index]!r}, which is no array of numbers."
                )
        self._check_names(given, structure)
        self.courier.insert(columns, given)

    def _check_names(self, tables: Iterable[str], structure: Structure) -> None:
        """Refuse a step whose columns have other names than a table's signature; see `insert`."""
        for table in tables:
            with within("insert"):
                signature = self._signatures.of(table)
            if signature is None or structure == signature.structure:
                continue
            if column_names(structure) != signature.names:
                check_structure(signature.structure, structure, f"insert for table {table!r}")

    def trajectory_writer(
        self,
        num_keep_alive_refs: int,
        validate_items: bool = True,  # noqa: FBT001, FBT002
    ) -> TrajectoryWriter:
        """Return a writer of steps in columns, whose items refer to any of them.

        Args:
          num_keep_alive_refs: how many of its latest steps each column keeps for items to refer
            to: the longest that an item can be.
          validate_items: check items against the signatures of their tables when they are created,
            not only when they are inserted.

        Raises:
          UsageError: num_keep_alive_refs is not a positive integer.
        """
        from launchpad_lite.replay.service.trajectory_writer import TrajectoryWriter

        return TrajectoryWriter(
            self.courier, num_keep_alive_refs, validate_items, signatures=self._signatures
        )

    def structured_writer(self, configs: Sequence[Config]) -> StructuredWriter:
        """Return a writer of steps that makes items of them by itself.

        Args:
          configs: what it makes items of; see `structured_writer.create_config`.

        Raises:
          UsageError: configs is empty, or one is something else.
        """
        from launchpad_lite.replay.service.structured_writer import StructuredWriter

        return StructuredWriter(self.courier, configs, signatures=self._signatures)

    def writer(
        self,
        max_sequence_length: int,
        delta_encoded: bool = False,  # noqa: FBT001, FBT002 - as in the original
        chunk_length: int | None = None,
        max_in_flight_items: int | None = 25,
    ) -> Writer:
        """Return a writer of whole steps, whose items are the latest ones of them.

        Args:
          max_sequence_length: how many of the latest steps it keeps: the longest that an item can
            be.
          delta_encoded: accepted and not needed.
          chunk_length: checked, and not needed.
          max_in_flight_items: checked, and not needed.

        Raises:
          UsageError: a number is not positive, or chunk_length exceeds max_sequence_length.
        """
        from launchpad_lite.replay.service.writer import Writer

        return Writer(
            self.courier,
            max_sequence_length,
            delta_encoded,
            chunk_length,
            max_in_flight_items,
            signatures=self._signatures,
        )

    @overload
    def sample(
        self,
        table: str,
        num_samples: int = ...,
        *,
        emit_timesteps: Literal[True] = ...,
        unpack_as_table_signature: bool = ...,
    ) -> Iterator[list[ReplaySample]]: ...
    @overload
    def sample(
        self,
        table: str,
        num_samples: int = ...,
        *,
        emit_timesteps: Literal[False],
        unpack_as_table_signature: bool = ...,
    ) -> Iterator[ReplaySample]: ...
    def sample(
        self,
        table: str,
        num_samples: int = 1,
        *,
        emit_timesteps: bool = True,
        unpack_as_table_signature: bool = False,
    ) -> Iterator[list[ReplaySample]] | Iterator[ReplaySample]:
        """Sample items, waiting for the table's rate limiter.

        Args:
          table: the table's name.
          num_samples: how many items.
          emit_timesteps: yield each item as the list of its steps; else as one `ReplaySample`,
            whose columns have a leading axis of steps.
          unpack_as_table_signature: nest the data like the table's signature; else, and without a
            signature, it is a list of columns, in the order in which a nest is flattened.

        Yields:
          The items, as they come.

        Raises:
          UsageError: there is no such table, or an item's columns have different lengths, and so no
            steps.
        """
        with within("sample"):
            text("table", table)
            count: int = _count("num_samples", num_samples)
        signature = self._signatures.of(table) if unpack_as_table_signature else None
        structure = None if signature is None else signature.structure
        return sample(self.courier, table, count, structure, steps=emit_timesteps)

    def mutate_priorities(
        self,
        table: str,
        updates: Mapping[int, float] | None = None,
        deletes: Sequence[int] | None = None,
    ) -> None:
        """Delete items, then change the priorities of others. Unknown keys are ignored.

        Args:
          table: the table's name.
          updates: the new priorities, by the items' keys.
          deletes: the keys of items to delete.

        Raises:
          UsageError: there is no such table, or a priority cannot be used, or a key is none.
        """
        with within("mutate_priorities"):
            text("table", table)
            keys, priorities = by_key({} if updates is None else updates)
            gone = as_keys("deletes", () if deletes is None else deletes)
        self.courier.mutate_priorities(table, keys, priorities, gone)

    def update_priorities(self, table: str, keys: AnyArray, priorities: AnyArray) -> None:
        """Change the priorities of items, of which a batch's `info.key` tells the keys.

        Args:
          table: the table's name.
          keys: `uint64[n]`; unknown ones are ignored, and of several for one item the last counts.
          priorities: `[n]`, any numbers.

        Raises:
          UsageError: there is no such table, or a priority cannot be used, or a key is none.
        """
        with within("update_priorities"):
            text("table", table)
            numbers = as_numbers("priorities", priorities)
        if np.shape(keys) != numbers.shape or numbers.ndim != 1:
            raise UsageError(
                f"update_priorities: keys have shape {np.shape(keys)} and priorities "
                f"{numbers.shape}; both must be [n]."
            )
        with within("update_priorities"):
            known = as_keys("keys", keys)
        self.courier.mutate_priorities(table, known, numbers, as_keys("deletes", ()))

    def reset(self, table: str) -> None:
        """Delete all items of a table, and count from 0 again.

        Raises:
          UsageError: there is no such table.
        """
        with within("reset"):
            text("table", table)
        self.courier.reset(table)

    def server_info(self, timeout: float | None = None) -> dict[str, TableInfo]:
        """Return what there is to know of each table, by its name.

        Args:
          timeout: seconds to wait for the server; None for no limit.

        Raises:
          DeadlineExceeded: the server did not answer in time.
        """
        if timeout is None:
            infos: dict[str, TableInfo] = self.courier.server_info()
            return infos
        with deadline(timeout):
            return self.server_info()

    def checkpoint(self) -> str:
        """Let the server write a checkpoint, and return its path on the server's host.

        Others go on meanwhile; what is confirmed to this client before is part of it.

        Raises:
          OSError: the checkpoint could not be written, as on a full disk. The last one stays, and
            the server goes on.
        """
        path: str = self.courier.checkpoint()
        return path


def _in_run(name: str) -> CourierClient | None:
    """Return a client of a node of the calling thread's run, if that is what is meant."""
    if not isinstance(cast("object", name), str) or not name or not names.is_name(name):
        return None
    try:
        scope = scope_for()
    except ContextError:
        return None
    config = ClientConfig(max_payload_bytes=scope.config.max_payload_bytes)
    return client_in_run(scope, name if "/" in name else f"{name}/0", config)


def table_info(client: Client, table: str, timeout: float | None = None) -> TableInfo:
    """Return what there is to know of a table.

    Args:
      client: of the table's server.
      table: its name.
      timeout: seconds to wait for the server; None for no limit.

    Raises:
      UsageError: there is no such table.
      DeadlineExceeded: the server did not answer in time.
    """
    return info_of(table, client.server_info(timeout))
