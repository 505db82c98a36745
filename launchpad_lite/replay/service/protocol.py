"""What travels between a replay server and its clients: batches, in plain tuples and arrays.

The methods of a server, as a Courier client calls them:

| method | arguments | result |
|---|---|---|
| `write` | a `Frame` | how many of its items have to wait to be inserted |
| `await_items` | the numbers of a stream and a frame, `at_most` | how many have to wait |
| `close_stream` | the stream's number | None |
| `insert` | the columns of one step, priorities by table | None, once inserted |
| `sample` | table, `count`, `at_least`, `timeout_s` or None | `list[SampledBatch]` |
| `mutate_priorities` | table, `uint64[n]`, `float64[n]`, `uint64[m]` (deletes) | None |
| `reset` | table | None |
| `server_info` | | `dict[str, TableInfo]` |
| `checkpoint` | | the path of the checkpoint |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from launchpad_lite.errors import CallError

if TYPE_CHECKING:
    from launchpad_lite.replay.core.info import SampleInfo
    from launchpad_lite.replay.core.types import AnyArray, FloatArray, IntArray


class Block(NamedTuple):
    """Consecutive steps of one column of a stream.

    Attributes:
      column: the column's number in its stream, from 0.
      first: the index of the first of these steps among all of the column.
      values: `[n, *shape]`.
    """

    column: int
    first: int
    values: AnyArray


class ItemColumn(NamedTuple):
    """One column of some items.

    Attributes:
      column: which column of the stream its steps are from.
      length: how many steps it has.
      squeezed: whether it is its only step, without an axis of steps.
    """

    column: int
    length: int
    squeezed: bool


class ItemRun(NamedTuple):
    """Items of one table that are alike, in the order of their creation.

    Attributes:
      table: the table's name.
      episode: how many episodes of the stream have ended before theirs.
      columns: what each item consists of.
      priorities: `float64[n]`.
      steps: the index of each step in its column, column after column; `int64[n, width]`, where
        `width` is the sum of the columns' lengths.
    """

    table: str
    episode: int
    columns: tuple[ItemColumn, ...]
    priorities: FloatArray
    steps: IntArray


class Frame(NamedTuple):
    """What a writer sends at once. The next one follows when the items of this one are inserted.

    A server that has done a frame before, and is sent it again, only answers. So whoever does not
    know whether a frame has arrived sends it again.

    Attributes:
      stream: a number of 63 bits that the writer has drawn at random.
      sequence: the frame's number in the stream, from 0; or, where the stream begins anew because
        the server has lost it, any number. Such a frame brings along all steps that it refers to.
      begins: whether the server need not know the stream yet.
      blocks: steps that the server does not have.
      runs: items of them, and of steps of frames before. Of one table's items, the earlier ones
        come first; items of different tables are inserted independently of each other.
      drop: pairs of a column and an index: no item will refer to the steps before the index.
    """

    stream: int
    sequence: int
    begins: bool
    blocks: list[Block]
    runs: list[ItemRun]
    drop: list[tuple[int, int]]


class SampledBatch(NamedTuple):
    """Sampled items that are alike.

    Attributes:
      places: where they are in the order in which they were sampled; `int64[n]`.
      info: what is known of each; an array `[n]` in each field.
      squeezed: of each column, whether it has no axis of steps.
      columns: of each column an array: `[n, *shape]` if it is squeezed, else `[n, length, *shape]`.
    """

    places: IntArray
    info: SampleInfo
    squeezed: tuple[bool, ...]
    columns: list[AnyArray]


class StreamLost(CallError):
    """The server does not know a stream: it was restarted, or the stream was idle for long.

    The writer begins the stream anew, with all steps that its items refer to.
    """
