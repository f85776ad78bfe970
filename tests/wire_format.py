"""Examples of TensorFlow in the wire format of protocol buffers, by hand."""

from __future__ import annotations


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    length, prefix = len(content), bytearray([number << 3 | 2])
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    return bytes(prefix) + bytes([length]) + content


def feature(name: str, kind: int, values: bytes) -> bytes:
    """An entry of the map: its key, and a list of bytes (1), floats (2) or integers (3)."""
    return field(1, field(1, name.encode()) + field(2, field(kind, values)))
