"""A dataset as one of torch's; the only module that needs torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.info import ReplaySample, SampleInfo
from launchpad_lite.replay.core.nest import column_names, flatten, unflatten

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

_torch: Any = importlib.import_module("torch")  # unknown to type checkers: it need not be there
_data: Any = importlib.import_module("torch.utils.data")

if TYPE_CHECKING:
    _IterableDataset = object
else:
    _IterableDataset = _data.IterableDataset


class TorchDataset(_IterableDataset):
    """Gives a dataset's elements with tensors in place of arrays; see `Dataset.torch`."""

    def __init__(self, dataset: Iterable[Any]) -> None:
        """Wrap a dataset."""
        super().__init__()
        self.dataset = dataset

    def __iter__(self) -> Generator[Any]:
        """Sample from now on; in each of a loader's workers for itself."""
        # a worker's tensors go to the loader's process first, which pins them itself
        pin = _torch.cuda.is_available() and _data.get_worker_info() is None
        for element in self.dataset:
            if isinstance(element, ReplaySample):
                data = self._tensors(element.data, pin=pin)
                yield ReplaySample(_infos(element.info, pin=pin), data)
            else:
                yield self._tensors(element, pin=pin)

    def _tensors(self, data: Any, *, pin: bool) -> Any:
        leaves, structure = flatten(data)
        try:
            tensors = [_tensor(leaf, pin=pin) for leaf in leaves]
        except TypeError:
            raise UsageError(_no_tensor(self.dataset, data)) from None
        return unflatten(structure, tensors)

    def __repr__(self) -> str:
        return f"{self.dataset!r}.torch()"


def _tensor(leaf: Any, *, pin: bool) -> Any:
    tensor = _torch.from_numpy(np.asarray(leaf))  # shares the array's memory
    return tensor.pin_memory() if pin else tensor


def _infos(info: SampleInfo, *, pin: bool) -> SampleInfo:
    if not isinstance(info.key, np.ndarray):
        return info
    return SampleInfo(*(_tensor(field, pin=pin) for field in info))


def _no_tensor(dataset: Iterable[Any], data: Any) -> str:
    leaves, structure = flatten(data)
    for name, leaf in zip(column_names(structure), leaves, strict=True):
        try:
            _tensor(leaf, pin=False)
        except TypeError:
            return (
                f"{dataset!r}.torch: column {name!r} has dtype {np.asarray(leaf).dtype}, of which "
                "torch has no tensors. Iterate over the dataset itself, or leave the column out."
            )
    raise AssertionError
