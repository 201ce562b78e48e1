"""The pcapng writer, judged by an independent reader."""

import io
import subprocess
from pathlib import Path

import pytest

from mag.lab.capture import PcapngWriter
from support.tshark import TSHARK

FRAME = bytes.fromhex("3333000000020200000001018 6dd".replace(" ", "")) + bytes(41)


def test_blocks_are_padded_to_four_octets_and_say_their_length_twice() -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file, ["mn1/eth0"])
    writer.packet(0, 1, FRAME)
    data, offset = file.getvalue(), 0
    while offset < len(data):
        length = int.from_bytes(data[offset + 4 : offset + 8], "little")
        assert length % 4 == 0
        assert data[offset + length - 4 : offset + length] == data[offset + 4 : offset + 8]
        offset += length
    assert offset == len(data)


@pytest.mark.tshark
@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
def test_tshark_reads_times_interfaces_and_frames(tmp_path: Path) -> None:
    path = tmp_path / "lab.pcapng"
    with path.open("wb") as file:
        writer = PcapngWriter(file, ["mn1/eth0", "lma/core"])
        writer.packet(1, 1_800_000_000_123_456_789, FRAME)
        writer.packet(0, 1_800_000_000_123_456_790, FRAME + b"\0\0")
    fields = ("frame.interface_name", "frame.time_epoch", "frame.len", "eth.dst")
    arguments = [each for field in fields for each in ("-e", field)]
    read = subprocess.run(
        [str(TSHARK), "-r", str(path), "-T", "fields", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split("\t") for line in read.stdout.splitlines()] == [
        ["lma/core", "1800000000.123456789", "55", "33:33:00:00:00:02"],
        ["mn1/eth0", "1800000000.123456790", "57", "33:33:00:00:00:02"],
    ]
