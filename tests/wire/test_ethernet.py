"""Ethernet framing and the text form of link-layer addresses."""

import pytest

from mag.wire.errors import Truncated
from mag.wire.ethernet import (
    ETHERTYPE_IPV6,
    EthernetFrame,
    format_link_layer_address,
    parse_link_layer_address,
)

GATEWAY = bytes.fromhex("00005e005213")
NODE = bytes.fromhex("02005e100001")
FRAME = EthernetFrame(GATEWAY, NODE, ETHERTYPE_IPV6, b"payload")


def test_frame_encodes_destination_first():
    assert FRAME.encode() == bytes.fromhex("00005e005213 02005e100001 86dd") + b"payload"


def test_frame_decodes_to_itself():
    assert EthernetFrame.decode(FRAME.encode()) == FRAME


@pytest.mark.parametrize(
    "tags", ["8100 0064", "88a8 0064 8100 00c8"], ids=["802.1Q", "802.1ad and 802.1Q"]
)
def test_vlan_tags_are_skipped(tags: str):
    untagged = FRAME.encode()
    assert EthernetFrame.decode(untagged[:12] + bytes.fromhex(tags) + untagged[12:]) == FRAME


@pytest.mark.parametrize("size", range(14))
def test_frame_below_its_header_is_truncated(size: int):
    with pytest.raises(Truncated):
        EthernetFrame.decode(FRAME.encode()[:size])


@pytest.mark.parametrize("size", [14, 15, 16, 17])
def test_frame_that_ends_in_a_tag_is_truncated(size: int):
    frame = FRAME.encode()[:12] + bytes.fromhex("8100 0064 86dd")
    with pytest.raises(Truncated):
        EthernetFrame.decode(frame[:size])


@pytest.mark.parametrize(("destination", "source"), [(NODE[:5], NODE), (NODE, NODE + b"\x00")])
def test_address_that_is_not_six_octets_raises_value_error(destination: bytes, source: bytes):
    with pytest.raises(ValueError, match="six octets"):
        EthernetFrame(destination, source, ETHERTYPE_IPV6, b"").encode()


def test_address_is_formatted_with_colons():
    assert format_link_layer_address(NODE) == "02:00:5e:10:00:01"


@pytest.mark.parametrize("text", ["02:00:5e:10:00:01", "02:00:5E:10:00:01"])
def test_address_is_parsed_in_either_case(text: str):
    assert parse_link_layer_address(text) == NODE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "02:00:5e:10:00",
        "02:00:5e:10:00:01:02",
        "2:0:5e:10:0:1",
        "02-00-5e-10-00-01",
        "02005e100001",
        "02:00:5e:10:00:0g",
        "02:00:5e:10:00:01\n",
        "٠٢:00:5e:10:00:01",
    ],
)
def test_other_forms_of_address_raise_value_error(text: str):
    with pytest.raises(ValueError, match="no link-layer address"):
        parse_link_layer_address(text)
