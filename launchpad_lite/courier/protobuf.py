"""As much of Protocol Buffers' wire format as a few small messages need.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES = 10


class ProtobufError(ValueError):
    """These bytes are no message."""


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(_MAX_VARINT_BYTES):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return value, position
    message = "a number does not end"
    raise ProtobufError(message)


def read_bytes_fields(message: bytes) -> dict[int, memoryview]:
    """Return a message's length-delimited fields by number; others are skipped.

    Of a field that comes more than once, the last counts.

    Raises:
      ProtobufError: these bytes are no message.
    """
    data = memoryview(message)
    fields: dict[int, memoryview] = {}
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            _, position = _read_varint(data, position)
            continue
        if kind == _BYTES:
            length, position = _read_varint(data, position)
        elif kind in _FIXED_BYTES:
            length = _FIXED_BYTES[kind]
        else:
            text = f"there is no wire type {kind}"
            raise ProtobufError(text)
        if length > len(data) - position or number == 0:
            text = "a field is longer than its message, or has the number 0"
            raise ProtobufError(text)
        if kind == _BYTES:
            fields[number] = data[position : position + length]
        position += length
    return fields


def read_text(field: memoryview | None) -> str:
    """Return a field of type string; one that did not come is empty.

    Raises:
      ProtobufError: it is not UTF-8.
    """
    try:
        return str(field or b"", "utf-8")
    except UnicodeDecodeError as error:
        message = "a text is not UTF-8"
        raise ProtobufError(message) from error


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits in each byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def bytes_field(number: int, content: bytes) -> bytes:
    """Return a field of type bytes or string."""
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def enum_field(number: int, value: int) -> bytes:
    """Return a field of type enum."""
    return _varint(number << 3 | _VARINT) + _varint(value)
