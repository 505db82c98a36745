"""The dataset that makes items of steps as a structured writer does, without a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from launchpad_lite.errors import UsageError
from launchpad_lite.replay.core.info import ReplaySample, SampleInfo
from launchpad_lite.replay.core.nest import unflatten
from launchpad_lite.replay.service.as_torch import as_torch
from launchpad_lite.replay.service.configs import Config, require_configs
from launchpad_lite.replay.service.matching import Matches
from launchpad_lite.replay.service.outgoing import Outgoing
from launchpad_lite.replay.service.steps import Steps
from launchpad_lite.validation import boolean, function, refuse, within

if TYPE_CHECKING:
    from launchpad_lite.replay.core.types import AnyArray
    from launchpad_lite.replay.service.trajectory_writer import Part


class PatternDataset(Iterable[Any]):
    """The trajectories that configs make of steps, as if these were appended and then sampled.

    It needs no server: the steps come from an iterable, such as a recorded data set. Tables and
    priorities of the configs are not looked at. Each `iter(dataset)` begins the steps anew.

    Example:
      ```
      dataset = replay.PatternDataset(
          steps,
          [config],
          respect_episode_boundaries=True,
          is_end_of_episode=lambda step: step["is_last"],
      )
      for trajectory in dataset:
          ...
      ```
    """

    def __init__(
        self,
        input_dataset: Iterable[Any],
        configs: Sequence[Config],
        respect_episode_boundaries: bool,  # noqa: FBT001 - as in the original
        is_end_of_episode: Callable[[Any], bool],
    ) -> None:
        """Make a dataset.

        Args:
          input_dataset: the steps of all episodes, one after the other: nests of arrays and
            numbers, as `StructuredWriter.append` takes them.
          configs: what trajectories are made of.
          respect_episode_boundaries: no trajectory has steps of two episodes.
          is_end_of_episode: takes a step, and returns whether it is the last one of its episode.

        Raises:
          UsageError: an argument is something else.
        """
        with within("PatternDataset"):
            if not isinstance(cast("object", input_dataset), Iterable):
                refuse("input_dataset", input_dataset, "an iterable of steps")
            self._configs = require_configs(configs)
            self._clear: bool = boolean("respect_episode_boundaries", respect_episode_boundaries)
            function(is_end_of_episode, "is_end_of_episode")
        self._steps = input_dataset
        self._is_end = is_end_of_episode

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the trajectories, nested like the patterns, whose arrays are the caller's.

        Yields:
          Arrays, with a leading axis of steps where the pattern has a slice.

        Raises:
          UsageError: a step is refused, as by `StructuredWriter.append`; or is_end_of_episode did
            not return whether it is the last one.
        """
        matches = Matches(self._configs)
        steps = Steps(Outgoing(), threading.Lock(), keep=1)
        for path, need in matches.needs.items():
            steps.configure(path, need)
        for step in self._steps:
            is_end = self._ends(step)
            steps.append(matches.needed(step), partial=False)
            if not matches.is_bound:
                matches.bind(steps.history)
            yield from _trajectories(matches, is_end=False)
            if is_end:
                yield from _trajectories(matches, is_end=True)
                steps.end_episode(clear=self._clear)
                matches.ended()

    def torch(self) -> Any:
        """Return the same as a `torch.utils.data.IterableDataset`.

        Its elements are the same nests, with tensors in place of arrays; see `TimestepDataset`.
        Of a loader's `num_workers`, each goes through all the steps.

        Raises:
          UsageError: torch is not installed.
        """
        return as_torch(self)

    def __repr__(self) -> str:
        return "PatternDataset(...)"

    def _ends(self, step: Any) -> bool:
        """Return whether a step is the last one of its episode."""
        is_end: Any = self._is_end(step)
        if np.shape(is_end) or np.asarray(is_end).dtype != np.bool_:
            raise UsageError(
                f"PatternDataset: is_end_of_episode returned {is_end!r}: let it return True or "
                "False."
            )
        return bool(is_end)


def pattern_dataset_with_info(
    input_dataset: Iterable[Any],
    configs: Sequence[Config],
    respect_episode_boundaries: bool,  # noqa: FBT001 - as in the original
    is_end_of_episode: Callable[[Any], bool],
) -> Iterable[ReplaySample]:
    """Return a `PatternDataset` of samples, each with an info of zeros.

    Args:
      input_dataset: see `PatternDataset`, as for the others.
      configs: what trajectories are made of.
      respect_episode_boundaries: no trajectory has steps of two episodes.
      is_end_of_episode: takes a step, and returns whether it is the last one of its episode.

    Raises:
      UsageError: an argument is something else.
    """
    return _WithInfo(
        PatternDataset(input_dataset, configs, respect_episode_boundaries, is_end_of_episode)
    )


class _WithInfo(Iterable[ReplaySample]):
    def __init__(self, dataset: PatternDataset) -> None:
        self._dataset = dataset

    def __iter__(self) -> Iterator[ReplaySample]:
        for trajectory in self._dataset:
            yield ReplaySample(SampleInfo.zeros(), trajectory)


def _trajectories(matches: Matches, *, is_end: bool) -> Iterator[Any]:
    for match, parts in matches.items(is_end=is_end):
        match.applied()
        yield unflatten(match.structure, list(map(_array, parts)))


def _array(part: Part) -> AnyArray:
    """Return the values of a column's steps."""
    column, steps, squeezed = part
    values = [column.value(step) for step in steps]
    return values[0] if squeezed else np.stack(values)
