"""Datasets: what learners iterate over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.nest import column_names, flatten, unflatten
from launchpad_lite.replay.core.spec import ArraySpec, Signature
from launchpad_lite.replay.service.as_torch import as_torch
from launchpad_lite.replay.service.batches import Naming
from launchpad_lite.replay.service.client import Client, table_info
from launchpad_lite.replay.service.elements import Single, Stacked
from launchpad_lite.replay.service.prefetch import Prefetch
from launchpad_lite.replay.service.sample_iterator import SampleIterator
from launchpad_lite.validation import boolean, integer, optional, within

if TYPE_CHECKING:
    from launchpad_lite.courier.client import Client as CourierClient
    from launchpad_lite.replay.core.info import ReplaySample
    from launchpad_lite.replay.service.elements import Elements
    from launchpad_lite.validation import Rule

UNSET = -1
"""Stands for no limit, or for a number that is found without the user."""

_IN_FLIGHT = 256  # items without a batch size; with one, it is so many batches:
_BATCHES_IN_FLIGHT = 2
_AT_ONCE = 128  # items that one call asks for where they are given one by one


def _or_unset(rule: Rule) -> Rule:
    return lambda name, value: value if value == UNSET else rule(name, value)


_positive = integer(1)
_RULES: dict[str, Rule] = {
    "max_in_flight_samples_per_worker": _or_unset(_positive),
    "num_workers_per_iterator": _or_unset(_positive),
    "max_samples_per_stream": _or_unset(_positive),
    "rate_limiter_timeout_ms": _or_unset(integer(0, unit="milliseconds")),
    "flexible_batch_size": _or_unset(_positive),
    "max_samples": _or_unset(_positive),
    "batch_size": optional(_positive),
    "drop_remainder": boolean,
}


class Dataset(Iterable["ReplaySample"]):
    """Samples of a table, asked for before they are needed; see its two kinds.

    Each `iter(dataset)` samples for itself, and may be used by one thread at a time. It ends what
    it has under way when it is closed (`close()`, or the end of a `with` block), or when nothing
    refers to it any more. A dataset may be pickled.

    A batch's arrays are the caller's: they may be kept, and written to. On the server's host they
    lie in shared memory that the server takes back when the last of them is gone.
    """

    _steps: ClassVar[bool]

    def __init__(  # noqa: PLR0917 - as in the original
        self,
        server_address: str | Client | CourierClient,
        table: str,
        dtypes: Any = None,
        shapes: Any = None,
        max_in_flight_samples_per_worker: int = UNSET,
        num_workers_per_iterator: int = UNSET,
        max_samples_per_stream: int = UNSET,
        rate_limiter_timeout_ms: int = UNSET,
        flexible_batch_size: int = UNSET,
        *,
        batch_size: int | None = None,
        drop_remainder: bool = False,
        max_samples: int = UNSET,
    ) -> None:
        """Describe what to sample; nothing is asked for yet.

        Args:
          server_address: of the replay server; or a client of it.
          table: the table's name.
          dtypes: a nest of dtypes, which each element's data must have; None to take what comes.
            The data is nested like this; without it like the table's signature; and without that
            it is a list of columns.
          shapes: the shapes in the same nest, None for a length that does not matter.
          max_in_flight_samples_per_worker: how many items may be under way, beside those in use.
            More of them wait less, but know less of the newest priorities: two or three times the
            batch size is good. With fewer than the batch size, a batch is put together of several
            answers. -1 for twice the batch size, or 256 items.
          num_workers_per_iterator: by how many to multiply that; -1 for 1. There are no threads.
            Where the table's sampler gives a certain order (Fifo, Lifo, heaps), calls never
            overtake, whatever this is.
          max_samples_per_stream: how many items one call asks for at most; -1 for no limit.
          rate_limiter_timeout_ms: how long the table's rate limiter may hold a call, in
            milliseconds. When one was held for so long, the iteration ends, after all that was
            sampled before. -1 for no limit.
          flexible_batch_size: the same as `max_samples_per_stream`.
          batch_size: of how many items, or timesteps, an element consists; None for elements
            without a leading axis of this kind.
          drop_remainder: drop the last batch where it is smaller than the others.
          max_samples: how many items each iterator samples before it ends; -1 for no end.

        Raises:
          UsageError: an argument is out of its range, or `dtypes` and `shapes` do not go together.
        """
        given = {
            "max_in_flight_samples_per_worker": max_in_flight_samples_per_worker,
            "num_workers_per_iterator": num_workers_per_iterator,
            "max_samples_per_stream": max_samples_per_stream,
            "rate_limiter_timeout_ms": rate_limiter_timeout_ms,
            "flexible_batch_size": flexible_batch_size,
            "max_samples": max_samples,
            "batch_size": batch_size,
            "drop_remainder": drop_remainder,
        }
        with within(type(self).__name__):
            self._options = {name: _RULES[name](name, value) for name, value in given.items()}
            self._signature = _signature(dtypes, shapes)
            self._client = (
                server_address if isinstance(server_address, Client) else Client(server_address)
            )
        self._table = table

    @classmethod
    def from_table_signature(  # noqa: PLR0917 - as in the original
        cls,
        server_address: str | Client | CourierClient,
        table: str,
        max_in_flight_samples_per_worker: int = UNSET,
        num_workers_per_iterator: int = UNSET,
        max_samples_per_stream: int = UNSET,
        rate_limiter_timeout_ms: int = UNSET,
        get_signature_timeout_secs: float | None = None,
        flexible_batch_size: int = UNSET,
        *,
        batch_size: int | None = None,
        drop_remainder: bool = False,
        max_samples: int = UNSET,
    ) -> Self:
        """Return a dataset of a table that has a signature, and make sure of that now.

        Args:
          server_address: as for the class, and so are the others.
          table: the table's name.
          max_in_flight_samples_per_worker: how many items may be under way.
          num_workers_per_iterator: by how many to multiply that.
          max_samples_per_stream: how many items one call asks for at most.
          rate_limiter_timeout_ms: how long the table's rate limiter may hold a call.
          get_signature_timeout_secs: seconds to wait for the server; None for no limit.
          flexible_batch_size: the same as `max_samples_per_stream`.
          batch_size: of how many items, or timesteps, an element consists.
          drop_remainder: drop the last batch where it is smaller than the others.
          max_samples: how many items each iterator samples before it ends.

        Raises:
          UsageError: there is no such table, or it has no signature; or an argument is wrong.
          DeadlineExceeded: the server did not answer in time.
        """
        dataset = cls(
            server_address,
            table,
            None,
            None,
            max_in_flight_samples_per_worker,
            num_workers_per_iterator,
            max_samples_per_stream,
            rate_limiter_timeout_ms,
            flexible_batch_size,
            batch_size=batch_size,
            drop_remainder=drop_remainder,
            max_samples=max_samples,
        )
        with within(f"{cls.__name__}.from_table_signature"):
            info = table_info(dataset._client, table, get_signature_timeout_secs)
            if info.signature is None:
                raise UsageError(
                    f"table {table!r} has no signature: give it one, as in Table(..., signature="
                    f"...), or make a {cls.__name__}(...) without it, whose data is a list of "
                    "columns unless you give dtypes and shapes."
                )
        return dataset

    def __repr__(self) -> str:
        what = f"{type(self).__name__}({self._client.server_address!r}, {self._table!r}"
        return f"{what}, batch_size={self._options['batch_size']})"

    def __iter__(self) -> SampleIterator:
        """Sample from now on.

        Raises:
          UsageError: there is no such table.
        """
        what = f"{type(self).__name__} of table {self._table!r}"
        with within(type(self).__name__):
            info = table_info(self._client, self._table)
        options = self._options
        size, timeout_ms = options["batch_size"], options["rate_limiter_timeout_ms"]
        window = options["max_in_flight_samples_per_worker"]
        if window == UNSET:
            window = _IN_FLIGHT if size is None else _BATCHES_IN_FLIGHT * size
        elements = self._elements(info.signature, what, window)
        max_samples = options["max_samples"]
        prefetch = Prefetch(
            self._client.courier,
            self._table,
            what,
            whole=elements.whole,
            timeout_s=None if timeout_ms == UNSET else timeout_ms / 1000,
            max_samples=None if max_samples == UNSET else max_samples,
            detached=True,
        )
        return SampleIterator(
            prefetch,
            elements,
            what,
            window=window * max(1, options["num_workers_per_iterator"]),
            ordered=info.sampler_options.is_deterministic,
            drop_remainder=options["drop_remainder"],
        )

    def torch(self) -> Any:
        """Return the same as a `torch.utils.data.IterableDataset`.

        Its elements are the same `ReplaySample`s, with tensors in place of arrays; in pinned memory
        where there is a GPU. With `batch_size`, give a `DataLoader` `batch_size=None`, or iterate
        without one. Of a loader's `num_workers`, each samples for itself; so does `max_samples`
        count for each.

        Raises:
          UsageError: torch is not installed.
        """
        return as_torch(self)

    def _elements(self, table_signature: Any, what: str, window: int) -> Elements:
        signature = self._signature
        if signature is None and table_signature is not None:
            signature = Signature(table_signature)
        structure = None if signature is None else signature.structure
        naming = Naming(what, None if structure is None else column_names(structure))
        options, size = self._options, self._options["batch_size"]
        limits = [options["max_samples_per_stream"], options["flexible_batch_size"]]
        limits = [limit for limit in limits if limit != UNSET]
        if size is None:
            most = min(max(1, window // 2), _AT_ONCE, *limits)
            return Single(naming, structure, most=most, steps=self._steps, check=self._signature)
        return Stacked(
            naming,
            structure,
            size=size,
            most=min(window, size, *limits),
            steps=self._steps,
            check=self._signature,
        )


class TimestepDataset(Dataset):
    """Timesteps of sampled items.

    The timesteps of an item follow each other, and then come those of the next item. Nothing tells
    where an item ends; where that matters, a `TrajectoryDataset` is what you want.

    Each element is a `ReplaySample`: without `batch_size` one timestep, its info plain numbers;
    with it arrays `[batch_size, *shape]`, its info arrays `[batch_size]`.

    Example:
      ```
      dataset = reverb.TimestepDataset.from_table_signature(client, "replay", batch_size=256)
      for info, data in dataset:
          ...
      ```
    """

    _steps = True


class TrajectoryDataset(Dataset):
    """Sampled items as a whole.

    Each element is a `ReplaySample`: without `batch_size` one item, whose columns are `[T, *shape]`
    (`[*shape]` if they are squeezed) and whose info are plain numbers; with it columns
    `[batch_size, T, *shape]`, and arrays `[batch_size]` in its info. The items of a batch must have
    the same lengths.

    Example:
      ```
      dataset = reverb.TrajectoryDataset.from_table_signature(client, "queue", batch_size=32)
      for info, data in dataset:
          ...
      ```
    """

    _steps = False


def _signature(dtypes: Any, shapes: Any) -> Signature | None:
    """Return what two nests say of each column.

    Raises:
      UsageError: only one of them is given, or they do not have the same structure.
    """
    if dtypes is None and shapes is None:
        return None
    if dtypes is None or shapes is None:
        raise UsageError("give both dtypes and shapes, or neither.")
    leaves, structure = flatten(dtypes)
    try:
        of_leaves: list[Any] = structure.flatten_up_to(shapes)
    except (TypeError, ValueError) as error:
        raise UsageError(f"shapes and dtypes are not nested alike: {error}") from None
    specs = [ArraySpec(shape, dtype) for shape, dtype in zip(of_leaves, leaves, strict=True)]
    return Signature(unflatten(structure, specs))
