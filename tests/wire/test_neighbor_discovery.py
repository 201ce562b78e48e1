"""Router Solicitations and Advertisements: validity and layout (RFC 4861)."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.wire.checksum import checksum
from mag.wire.errors import (
    BadChecksum,
    BadCode,
    BadHopLimit,
    BadSource,
    MalformedOption,
    Truncated,
    UnexpectedPacket,
)
from mag.wire.iana import IP_PROTOCOL_ICMPV6
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_discovery import (
    PrefixInformation,
    RecursiveDnsServers,
    RouterAdvertisement,
    RouterSolicitation,
)

NODE = IPv6Address("fe80::5eff:fe10:1")
GATEWAY = IPv6Address("fe80::200:5eff:fe00:5213")
ALL_ROUTERS = IPv6Address("ff02::2")
ALL_NODES = IPv6Address("ff02::1")
UNSPECIFIED = IPv6Address("::")

RS = bytes((133,)) + bytes(7)
SLLA = bytes.fromhex("0101 02005e100001")
RA = bytes((134,)) + bytes(15)

ADVERTISEMENT = RouterAdvertisement(
    cur_hop_limit=64,
    router_lifetime_s=1800,
    reachable_time_ms=0,
    retrans_timer_ms=0,
    prefixes=(),
    source_link_layer_address=None,
    mtu=None,
)


def _packet(
    message: bytes,
    *,
    source: IPv6Address = NODE,
    destination: IPv6Address = ALL_ROUTERS,
    hop_limit: int = 255,
    next_header: int = IP_PROTOCOL_ICMPV6,
) -> bytes:
    """The message with the right checksum in an IPv6 packet."""
    value = checksum(message, source, destination, IP_PROTOCOL_ICMPV6)
    summed = message[:2] + value.to_bytes(2, "big") + message[4:]
    return IPv6Packet(source, destination, next_header, summed, hop_limit).encode()


class TestRouterSolicitation:
    def test_link_layer_address_is_read(self):
        solicitation = RouterSolicitation.decode(_packet(RS + SLLA))
        assert solicitation == RouterSolicitation(NODE, bytes.fromhex("02005e100001"))

    def test_without_options_is_valid(self):
        assert RouterSolicitation.decode(_packet(RS)) == RouterSolicitation(NODE, None)

    def test_from_unspecified_is_valid(self):
        packet = _packet(RS, source=UNSPECIFIED)
        assert RouterSolicitation.decode(packet) == RouterSolicitation(UNSPECIFIED, None)

    @pytest.mark.requirement("ND-02", "RA-01")
    def test_unknown_options_and_reserved_field_are_ignored(self):
        """ND-02."""
        nonce = bytes.fromhex("0e01 010203040506")
        unknown = bytes.fromhex("c802") + bytes(14)
        message = RS[:4] + b"\xff\xff\xff\xff" + nonce + unknown + SLLA
        assert RouterSolicitation.decode(_packet(message)).source_link_layer_address == SLLA[2:]

    def test_link_padding_behind_the_packet_is_ignored(self):
        assert RouterSolicitation.decode(_packet(RS) + bytes(6)) == RouterSolicitation(NODE, None)

    @pytest.mark.requirement("ND-01", "RA-01")
    @pytest.mark.parametrize("hop_limit", [0, 64, 254])
    def test_hop_limit_below_255_is_refused(self, hop_limit: int):
        """ND-01."""
        with pytest.raises(BadHopLimit):
            RouterSolicitation.decode(_packet(RS, hop_limit=hop_limit))

    @pytest.mark.requirement("ND-01")
    def test_wrong_checksum_is_refused(self):
        """ND-01."""
        packet = bytearray(_packet(RS + SLLA))
        packet[-1] ^= 1
        with pytest.raises(BadChecksum):
            RouterSolicitation.decode(bytes(packet))

    @pytest.mark.requirement("ND-01")
    def test_code_other_than_0_is_refused(self):
        """ND-01."""
        with pytest.raises(BadCode):
            RouterSolicitation.decode(_packet(RS[:1] + b"\x01" + RS[2:]))

    @pytest.mark.requirement("ND-01")
    @pytest.mark.parametrize("size", range(4, 8))
    def test_message_below_8_octets_is_refused(self, size: int):
        """ND-01."""
        with pytest.raises(Truncated):
            RouterSolicitation.decode(_packet(RS[:size]))

    @pytest.mark.requirement("ND-01")
    @pytest.mark.parametrize("options", ["0000", "010102005e100001c800000000000000"])
    def test_option_of_length_zero_is_refused(self, options: str):
        """ND-01."""
        with pytest.raises(MalformedOption):
            RouterSolicitation.decode(_packet(RS + bytes.fromhex(options)))

    @pytest.mark.requirement("ND-01")
    def test_link_layer_address_from_unspecified_is_refused(self):
        """ND-01."""
        with pytest.raises(BadSource):
            RouterSolicitation.decode(_packet(RS + SLLA, source=UNSPECIFIED))

    @pytest.mark.parametrize("options", ["01", "0101 02005e1000", "0102 02005e100001"])
    def test_option_crossing_the_end_is_refused(self, options: str):
        with pytest.raises(Truncated):
            RouterSolicitation.decode(_packet(RS + bytes.fromhex(options)))

    @pytest.mark.parametrize(
        "packet",
        [
            _packet(RA),
            _packet(RS, next_header=17),
            b"\x45" + _packet(RS)[1:],
            IPv6Packet(NODE, ALL_ROUTERS, IP_PROTOCOL_ICMPV6, b"", 255).encode(),
        ],
        ids=["another ICMPv6 type", "another next header", "IPv4", "nothing inside"],
    )
    def test_another_kind_of_packet_is_refused(self, packet: bytes):
        with pytest.raises(UnexpectedPacket):
            RouterSolicitation.decode(packet)

    def test_payload_length_beyond_the_packet_is_truncated(self):
        with pytest.raises(Truncated):
            RouterSolicitation.decode(_packet(RS)[:-1])


class TestRouterAdvertisementEncoder:
    @pytest.mark.requirement("ND-03")
    def test_source_that_is_not_link_local_raises_value_error(self):
        """ND-03."""
        with pytest.raises(ValueError, match="not link-local"):
            ADVERTISEMENT.encode(IPv6Address("2001:db8::1"), ALL_NODES)

    @pytest.mark.requirement("ND-03")
    def test_hop_limit_is_255(self):
        """ND-03."""
        assert IPv6Packet.decode(ADVERTISEMENT.encode(GATEWAY, ALL_NODES)).hop_limit == 255

    def test_without_options_is_16_octets(self):
        packet = ADVERTISEMENT.encode(GATEWAY, ALL_NODES)
        assert len(IPv6Packet.decode(packet).payload) == 16
        assert RouterAdvertisement.decode(packet) == ADVERTISEMENT

    @pytest.mark.parametrize(
        ("flags", "octet"),
        [({}, 0), ({"managed": True}, 0x80), ({"other": True}, 0x40)],
        ids=["none", "managed", "other"],
    )
    def test_flags_stand_in_the_sixth_octet(self, flags: dict[str, bool], octet: int):
        packet = replace(ADVERTISEMENT, **flags).encode(GATEWAY, ALL_NODES)
        assert IPv6Packet.decode(packet).payload[5] == octet

    @pytest.mark.requirement("ND-15")
    @pytest.mark.parametrize(
        ("field", "value", "complaint"),
        [
            ("mtu", 1279, "hosts ignore"),
            ("mtu", 1 << 32, "RouterAdvertisement"),
            ("router_lifetime_s", 65536, "RouterAdvertisement"),
            ("cur_hop_limit", -1, "RouterAdvertisement"),
            ("prefixes", (PrefixInformation(IPv6Network("::/0"), 0, 0),) * 2048, "Router"),
            ("source_link_layer_address", b"", "fills no option"),
            ("source_link_layer_address", bytes(5), "fills no option"),
            ("recursive_dns_servers", RecursiveDnsServers(60, ()), "without an address"),
        ],
    )
    def test_value_that_hosts_could_not_use_raises_value_error(self, field, value, complaint):
        """ND-15: never an MTU below 1280."""
        with pytest.raises(ValueError, match=complaint):
            replace(ADVERTISEMENT, **{field: value}).encode(GATEWAY, ALL_NODES)

    @pytest.mark.requirement("ND-11")
    def test_preferred_lifetime_above_valid_raises_value_error(self):
        """ND-11."""
        prefix = PrefixInformation(IPv6Network("2001:db8::/64"), 3600, 3601)
        with pytest.raises(ValueError, match="preferred lifetime"):
            replace(ADVERTISEMENT, prefixes=(prefix,)).encode(GATEWAY, ALL_NODES)

    def test_withdrawn_prefix_keeps_its_flags(self):
        """Valid and preferred lifetime 0, L and A as before."""
        prefix = PrefixInformation(IPv6Network("2001:db8::/64"), 0, 0)
        packet = replace(ADVERTISEMENT, prefixes=(prefix,)).encode(GATEWAY, ALL_NODES)
        assert IPv6Packet.decode(packet).payload[16:28].hex() == "030440c0" + "00" * 8


class TestRouterAdvertisementDecoder:
    def test_source_that_is_not_link_local_is_refused(self):
        with pytest.raises(BadSource):
            RouterAdvertisement.decode(_packet(RA, source=IPv6Address("2001:db8::1")))

    def test_message_below_16_octets_is_refused(self):
        with pytest.raises(Truncated):
            RouterAdvertisement.decode(_packet(RA[:12]))

    @pytest.mark.parametrize(
        "option",
        [
            "0501 0000 000005b4 0502 0000 000005b4 0000000000000000",
            "0301 40c0 00001c20",
            "0304 81c0 00001c20 00000e10 00000000 20010db8000000000000000000000000",
            "1901 0000 00000708",
            "1902 0000 00000708 20010db800000000",
        ],
        ids=["MTU", "prefix too short", "prefix length 129", "no DNS server", "half a DNS server"],
    )
    def test_option_that_cannot_be_is_malformed(self, option: str):
        with pytest.raises(MalformedOption):
            RouterAdvertisement.decode(_packet(RA + bytes.fromhex(option)))

    def test_unknown_options_are_skipped(self):
        packet = _packet(RA + bytes.fromhex("1801 40000000 0000") + SLLA, source=GATEWAY)
        assert RouterAdvertisement.decode(packet).source_link_layer_address == SLLA[2:]
