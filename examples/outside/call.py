"""Calls a Courier server as a program in another language would: gRPC and JSON, nothing of ours.

    python examples/outside/call.py ADDRESS METHOD ARGUMENTS < TOKEN

The token is 64 hexadecimal digits; command lines are no place for it. The program takes what
`courier.proto` says apart by hand. With generated code, or with `grpcurl`, it is shorter still; see
docs/other_languages.md.
"""

import sys
from typing import Any

import grpc

SERVICE = "/launchpad_lite.courier.v1.Courier"
METHOD, JSON = 1, 2  # the fields of CallRequest
REPLY_JSON = 1  # the field of CallReply
TIMEOUT_S = 30.0


def length(number: int) -> bytes:
    """Return a number as Protocol Buffers write it: seven bits in a byte, the low ones first."""
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + length(high) if high else bytes([low])


def field(number: int, text: str) -> bytes:
    content = text.encode()
    return bytes([number << 3 | 2]) + length(len(content)) + content


def content_of(message: bytes, number: int) -> str:
    """Return the text in a message that has one field."""
    assert message[0] == number << 3 | 2
    start = 1
    while message[start] & 0x80:
        start += 1
    return message[start + 1 :].decode()


def call(address: str, token: str, method: str, arguments: str) -> str:
    """Call a method with arguments in JSON; return its result in JSON."""
    channel: Any
    with grpc.insecure_channel(address) as channel:
        request = field(METHOD, method) + field(JSON, arguments)
        metadata = (("launchpad-lite-token", token),)
        stub = channel.unary_unary(f"{SERVICE}/Call")
        reply: bytes = stub(request, metadata=metadata, timeout=TIMEOUT_S)
        return content_of(reply, REPLY_JSON)


if __name__ == "__main__":
    try:
        address, method, arguments = sys.argv[1:]
        print(call(address, sys.stdin.read().strip(), method, arguments))
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}")
