"""What `codec="data"` carries, as what MessagePack has: the marks.

MessagePack has None, bools, integers of 64 bits, floats, text, bytes, lists, and maps. What else
travels is a list whose first element is a mark: an extension value without content, of the code
below. No value of a user's is an extension, so a mark cannot be mistaken. The bytes of arrays lie
beside, in the order in which the arrays come.
"""

from __future__ import annotations

import enum

import msgspec


class Mark(enum.IntEnum):
    """What a list that begins with this stands for, and what follows in it."""

    TUPLE = 1  # its elements
    SET = 2  # its elements
    FROZENSET = 3  # its elements
    MAP = 4  # keys that are not all text: key, value, key, value
    ARRAY = 5  # dtype, shape, order
    SCALAR = 6  # dtype, bytes
    TEXT = 7  # NumPy's: text or bytes
    COMPLEX = 8  # real part, imaginary part
    BYTEARRAY = 9  # bytes
    DATETIME = 10  # ISO 8601
    DATE = 11  # ISO 8601
    TIME = 12  # ISO 8601
    TIMEDELTA = 13  # days, seconds, microseconds
    DATACLASS = 14  # registered name, map of fields


EXTENSIONS = {mark: msgspec.msgpack.Ext(int(mark), b"") for mark in Mark}
"""The marks as they are encoded."""

PLAIN = frozenset({type(None), bool, float, bytes})
"""The types, but for numbers and text, whose values are the same on the wire."""


def read_mark(code: int, content: memoryview) -> Mark:
    """Return the mark of an extension value, for msgspec.

    Raises:
      ValueError: it is none.
    """
    if len(content):
        message = "an extension value has content"
        raise ValueError(message)
    return Mark(code)
