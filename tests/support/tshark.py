"""Ask Wireshark's dissectors what they read in packets of ours."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from typing import Final

import pytest

TSHARK: Final = shutil.which("tshark")

requires_tshark = [
    pytest.mark.tshark,
    pytest.mark.skipif(TSHARK is None, reason="tshark is not installed"),
]
"""For `pytestmark`: the mark and, where there is no tshark, the skip."""

COMPLAINT_FIELDS: Final = ("_ws.malformed", "_ws.expert.message")
"""What tshark has to say against a packet; empty lists in `dissect` mean nothing."""

_SEPARATOR: Final = "\t"
_AGGREGATOR: Final = "\x1f"
_LINKTYPE_RAW: Final = 101
_FILE_HEADER: Final = Struct("<IHHiIII")
_RECORD_HEADER: Final = Struct("<IIII")
_SNAPSHOT_OCTETS: Final = 65535


def write_raw_ip_pcap(path: Path, packets: Sequence[bytes]) -> None:
    """Write a pcap of bare IP packets (DLT_RAW), a millisecond apart, from the epoch on."""
    with path.open("wb") as file:
        file.write(_FILE_HEADER.pack(0xA1B2C3D4, 2, 4, 0, 0, _SNAPSHOT_OCTETS, _LINKTYPE_RAW))
        for number, packet in enumerate(packets):
            seconds, milliseconds = divmod(number, 1000)
            size = len(packet)
            file.write(_RECORD_HEADER.pack(seconds, milliseconds * 1000, size, size) + packet)


def dissect(packets: Sequence[bytes], fields: Sequence[str]) -> list[dict[str, list[str]]]:
    """Every value of the given display fields, packet by packet, from one run of tshark.

    The fields of COMPLAINT_FIELDS are always there. A field that a packet lacks is an empty list.
    """
    names = (*COMPLAINT_FIELDS, *fields)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "packets.pcap"
        write_raw_ip_pcap(path, packets)
        output = _run(path, names)
    rows = [line.split(_SEPARATOR) for line in output.splitlines()]
    assert len(rows) == len(packets), f"{len(packets)} packets in, {len(rows)} lines out"
    return [
        {
            name: value.split(_AGGREGATOR) if value else []
            for name, value in zip(names, row, strict=True)
        }
        for row in rows
    ]


def _run(path: Path, names: Sequence[str]) -> str:
    assert TSHARK is not None, "guard the test with requires_tshark"
    arguments = [argument for name in names for argument in ("-e", name)]
    completed = subprocess.run(
        [
            *(TSHARK, "-n", "-r", str(path), "-T", "fields"),
            *("-E", f"separator={_SEPARATOR}", "-E", f"aggregator={_AGGREGATOR}"),
            *("-E", "occurrence=a", "-o", "ipv6.defragment:FALSE"),
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return completed.stdout
