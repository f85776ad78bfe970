"""TFRecord files written by TensorBoard's writer, checksums compared with its own and with RFC 3720's."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow
from tensorboard.summary.writer.record_writer import RecordWriter

from prioritycut.preprocessing.tfrecord import (
    Record,
    count_records,
    crc32c,
    masked_crc32c,
    read_byte_features,
    read_records,
)
from wire_format import feature, field

CONTENTS = [b"first", b"", b"third" * 1000, bytes(700), b"fifth"]


def write_records(path: Path, contents: list[bytes] = CONTENTS) -> Path:
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for content in contents:
            writer.write(content)
    return path


def start_of(number: int) -> int:
    """Where a record of CONTENTS begins in its file."""
    return sum(16 + len(content) for content in CONTENTS[:number])


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_checksums_are_those_of_rfc_3720(data, checksum):
    assert crc32c(data) == checksum


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 255, 256, 257, 511, 512, 513, 768, 1025, 20_001])
def test_checksums_agree_with_another_implementation_at_every_length(length):
    data = np.random.default_rng(length).bytes(length)
    assert masked_crc32c(data) == pywrap_tensorflow.masked_crc32c(data)


def test_records_of_another_writer_are_read(tmp_path):
    path = write_records(tmp_path / "a.tfrecords")
    assert list(read_records(path)) == [Record(content) for content in CONTENTS]
    assert count_records(path) == 5


def test_a_file_without_records_has_none(tmp_path):
    path = write_records(tmp_path / "a.tfrecords", [])
    assert list(read_records(path)) == []
    assert count_records(path) == 0


def test_after_damaged_content_the_rest_goes_on(tmp_path):
    path = write_records(tmp_path / "a.tfrecords")
    content = bytearray(path.read_bytes())
    content[start_of(2) + 12 + 700] ^= 1
    path.write_bytes(content)
    records = list(read_records(path))
    assert [record.fault is None for record in records] == [True, True, False, True, True]
    assert (records[2].data, "checksum" in records[2].fault) == (b"", True)
    assert records[3] == Record(CONTENTS[3])
    assert count_records(path) == 5


@pytest.mark.parametrize("place", [0, 3, 7, 8, 11])
def test_after_a_damaged_length_nothing_is_guessed(tmp_path, place):
    path = write_records(tmp_path / "a.tfrecords")
    content = bytearray(path.read_bytes())
    content[start_of(2) + place] ^= 0x40
    path.write_bytes(content)
    records = list(read_records(path))
    assert [record.fault is None for record in records] == [True, True, False]
    assert "length" in records[2].fault
    assert count_records(path) == 3


@pytest.mark.parametrize("kept", [1, 11, 12, 13, 700, 5011, 5015])
def test_of_a_truncated_file_the_records_before_are_read(tmp_path, kept):
    path = write_records(tmp_path / "a.tfrecords")
    path.write_bytes(path.read_bytes()[: start_of(2) + kept])
    records = list(read_records(path))
    assert [record.data for record in records[:2]] == CONTENTS[:2]
    assert [record.fault for record in records] == [None, None, "the file was cut off within it"]
    assert count_records(path) == 3


def test_a_length_beyond_the_file_is_not_believed(tmp_path):
    header = struct.pack("<Q", 1 << 60)
    path = tmp_path / "a.tfrecords"
    path.write_bytes(header + struct.pack("<I", pywrap_tensorflow.masked_crc32c(header)) + b"little")
    assert [record.fault for record in read_records(path)] == ["the file was cut off within it"]
    assert count_records(path) == 1


# Examples


def test_byte_features_are_found_among_numbers():
    action = feature("0/action", 2, field(1, struct.pack("<4f", 1, 2, 3, 4)))
    steps = feature("steps", 3, b"\x0a\x02\x03\x04")
    images = feature("0/image", 1, field(1, b"\x00\xff" * 5000)) + feature("note", 1, field(1, b"a") + field(1, b"b"))
    nothing = feature("nothing", 1, b"")
    example = field(1, action + images + steps + nothing)
    assert read_byte_features(example) == {"0/image": b"\x00\xff" * 5000, "note": b"a"}


def test_an_example_without_features_has_none():
    assert read_byte_features(b"") == {}


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x7fshort", bytes([255] * 40)])
def test_what_is_no_example_is_refused(data):
    with pytest.raises(ValueError, match="Example"):
        read_byte_features(data)


def test_another_message_holds_no_byte_features():
    summary = Summary(value=[Summary.Value(tag="loss", simple_value=1.0)]).SerializeToString()
    with pytest.raises(ValueError, match="Example"):
        read_byte_features(summary)
