"""A file of sections, each with a checksum: whatever is changed or missing is found when read.

The file begins with a magic text, the version of the format, and the checksum of both, which is how
every version begins. A section is its length in bytes, a checksum, and the bytes. A checksum covers
all sections so far, so none can be missing or in another place. All numbers are little-endian; the
checksums are CRC-32 (ITU-T V.42; `zlib.crc32`), which finds every error of up to 32 bits in a row,
and any other but for one in 2**32.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from launchpad_lite.errors import CheckpointError

if TYPE_CHECKING:
    import io

    from launchpad_lite.replay.core.types import AnyArray

VERSION = 1
"""The version of the format that is written here. Older ones can be read, newer ones cannot."""

SECTION_BYTES = 2**20
"""About as much is read or written at once: other threads run meanwhile, and in between."""

_MAGIC = b"LPREPLAY"
_BEGINNING = struct.Struct("<8sI")
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_HEAD_BYTES = _LENGTH.size + _CHECKSUM.size


class SectionWriter:
    """Writes sections to a file."""

    def __init__(self, file: io.FileIO) -> None:
        """Write how a file begins.

        Args:
          file: it, empty and without a buffer.

        Raises:
          OSError: it cannot be written.
        """
        self._file = file
        beginning = _BEGINNING.pack(_MAGIC, VERSION)
        self._checksum = zlib.crc32(beginning)
        self._write(beginning + _CHECKSUM.pack(self._checksum))

    def write(self, content: bytes | memoryview) -> None:
        """Write a section.

        Raises:
          OSError: it cannot be written.
        """
        length = _LENGTH.pack(len(content))
        self._checksum = zlib.crc32(content, zlib.crc32(length, self._checksum))
        self._write(length + _CHECKSUM.pack(self._checksum))
        self._write(content)

    def write_array(self, array: AnyArray) -> None:
        """Write the elements of an array as a section, or as none if they have no bytes.

        Raises:
          OSError: it cannot be written.
        """
        if array.nbytes:
            self.write(_bytes_of(np.ascontiguousarray(array)))

    def _write(self, content: bytes | memoryview) -> None:
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]


class SectionReader:
    """Reads the sections of a file in the order in which they were written."""

    def __init__(self, file: io.FileIO, path: str) -> None:
        """Read how a file begins.

        Args:
          file: it, at its beginning.
          path: what it is called, for messages.

        Raises:
          CheckpointError: it is no checkpoint, or none that this version can read.
          OSError: it cannot be read.
        """
        self._file, self._path = file, path
        self._left = os.fstat(file.fileno()).st_size
        beginning = bytearray(_BEGINNING.size)
        self._fill(memoryview(beginning))
        magic, version = _BEGINNING.unpack(beginning)
        if magic != _MAGIC:
            raise CheckpointError(f"{path} is not a checkpoint of a replay buffer, or is damaged.")
        self._checksum = 0
        self._check(zlib.crc32(beginning), self._take(_CHECKSUM))
        if version > VERSION:
            raise CheckpointError(
                f"{path} has format {version}, and this version of launchpad_lite reads formats up "
                f"to {VERSION}. It was written by a newer one: use that."
            )

    def read(self) -> bytearray:
        """Return a section of any length.

        Raises:
          CheckpointError: it is not as it was written.
          OSError: it cannot be read.
        """
        length, checksum = self._head()
        self._require(length)
        content = bytearray(length)
        self._fill_section(memoryview(content), checksum)
        return content

    def read_array(self, out: AnyArray) -> None:
        """Read the elements of an array, which is contiguous.

        Raises:
          CheckpointError: they are not as they were written.
          OSError: they cannot be read.
        """
        if out.nbytes:
            length, checksum = self._head()
            if length != out.nbytes:
                raise self._damaged()
            self._fill_section(_bytes_of(out), checksum)

    def end(self) -> None:
        """Check that nothing follows.

        Raises:
          CheckpointError: something does.
        """
        if self._left:
            raise self._damaged()

    def _head(self) -> tuple[int, int]:
        return self._take(_LENGTH), self._take(_CHECKSUM)

    def _take(self, number: struct.Struct) -> int:
        content = bytearray(number.size)
        self._fill(memoryview(content))
        value: int = number.unpack(content)[0]
        return value

    def _fill_section(self, content: memoryview, checksum: int) -> None:
        self._fill(content)
        length = _LENGTH.pack(len(content))
        self._check(zlib.crc32(content, zlib.crc32(length, self._checksum)), checksum)

    def _check(self, found: int, written: int) -> None:
        if found != written:
            raise self._damaged()
        self._checksum = found

    def _fill(self, out: memoryview) -> None:
        self._require(len(out))
        while out:
            count = self._file.readinto(out)
            if not count:  # it has become shorter meanwhile
                raise self._cut_short()
            self._left -= count
            out = out[count:]

    def _require(self, length: int) -> None:
        if length > self._left:
            raise self._cut_short()

    def _damaged(self) -> CheckpointError:
        return CheckpointError(f"{self._path} is damaged: it is not what was written.")

    def _cut_short(self) -> CheckpointError:
        return CheckpointError(f"{self._path} is damaged: it ends too early.")


def _bytes_of(array: AnyArray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
