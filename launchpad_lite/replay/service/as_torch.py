"""The way from a dataset to torch's, which need not be installed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from launchpad_lite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


def as_torch(dataset: Iterable[Any]) -> Any:
    """Return a dataset as a `torch.utils.data.IterableDataset`.

    Raises:
      UsageError: torch is not installed.
    """
    try:
        module = importlib.import_module("launchpad_lite.replay.service.torch_dataset")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError(
            f"{type(dataset).__name__}.torch: torch is not installed: pip install torch."
        ) from None
    return module.TorchDataset(dataset)
