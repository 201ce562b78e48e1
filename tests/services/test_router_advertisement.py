"""RFC 5213 §6.9.2, RFC 4861 §4.2: what a node is told."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag.protocol.events import AdvertisePrefixes, Binding, WithdrawPrefixes
from mag.protocol.policy_profile import AddressConfiguration
from mag.protocol.registration import RegistrationState
from mag.protocol.settings import ProtocolSettings
from mag.services.router_advertisement import (
    Advertisements,
    advertised_mtu,
    advertisement,
    withdrawal,
)
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS
from mag.wire.ipv6 import IPv6Packet
from mag.wire.neighbor_discovery import PrefixInformation, RouterAdvertisement

SETTINGS = ProtocolSettings(IPv6Address("2001:db8:0:a::1"))
PREFIXES = (IPv6Network("2001:db8:1::/64"), IPv6Network("2001:db8:2::/64"))
BINDING = Binding(
    1,
    b"mn1@example.net",
    "access1",
    bytes.fromhex("020000000001"),
    IPv6Address("2001:db8:0:b::1"),
    RegistrationState.ACTIVE,
    PREFIXES,
    gateway_link_local_address=SETTINGS.fixed_mag_link_local_address,
)
DUE = AdvertisePrefixes(BINDING, 2592000, 604800)


@pytest.mark.requirement("CFG-09")
def test_link_without_link_layer_addresses_is_told_none() -> None:
    """CFG-09: there the gateway's is ALL_ZERO, and no option says so."""
    due = replace(DUE, binding=BINDING._replace(mn_link_layer_id=NO_LINK_LAYER_ADDRESS))
    packets = (
        advertisement(SETTINGS, due, tunnel_mtu_octets=1460, access_mtu_octets=1500),
        withdrawal(SETTINGS, WithdrawPrefixes(due.binding, PREFIXES, ends_service=True)),
    )
    for packet in packets:
        assert RouterAdvertisement.decode(packet).source_link_layer_address is None


@pytest.mark.requirement(
    "ROLE-03",
    "HNE-02",
    "LLA-05",
    "PBA-30",
    "RA-03",
    "RA-07",
    "RA-08",
    "DR-01",
    "DR-02",
    "DR-03",
    "DR-04",
    "ND-03",
    "ND-12",
)
def test_advertisement_tells_prefixes_router_and_mtu() -> None:
    """RA-03, RA-07, RA-08, DR-02, DR-03, ND-03, IID-01, IID-02."""
    packet = advertisement(SETTINGS, DUE, tunnel_mtu_octets=1460, access_mtu_octets=1500)
    header = IPv6Packet.decode(packet)
    assert header.source == IPv6Address("fe80::200:5eff:fe00:5213")
    assert header.destination == IPv6Address("ff02::1")
    assert header.hop_limit == 255
    told = RouterAdvertisement.decode(packet)
    assert told.mtu == 1460
    assert told.router_lifetime_s == 1800
    assert told.cur_hop_limit == 64
    assert told.source_link_layer_address == bytes.fromhex("00005e005213")
    assert told.prefixes == tuple(PrefixInformation(p, 2592000, 604800) for p in PREFIXES)
    assert all(prefix.on_link and prefix.autonomous for prefix in told.prefixes)
    assert not told.managed


class TestAdvertisements:
    """What is encoded once for many is, octet by octet, what each would have been."""

    @given(
        prefixes=st.lists(
            st.tuples(st.integers(0, 2**128 - 1), st.sampled_from([48, 64, 128])), min_size=1
        )
    )
    def test_each_is_as_if_it_had_been_made_alone(self, prefixes: list[tuple[int, int]]) -> None:
        many = Advertisements()
        for address, length in prefixes:
            prefix = IPv6Network((address >> 128 - length << 128 - length, length))
            due = replace(DUE, binding=BINDING._replace(home_network_prefixes=(prefix,)))
            mtus = {"tunnel_mtu_octets": 1460, "access_mtu_octets": 1500}
            assert many.packet(SETTINGS, due, **mtus) == advertisement(SETTINGS, due, **mtus)

    @pytest.mark.parametrize(
        "other",
        [
            replace(DUE, valid_lifetime_s=3600, preferred_lifetime_s=1800),
            replace(DUE, node_address=IPv6Address("fe80::1")),
            replace(DUE, binding=BINDING._replace(home_network_prefixes=PREFIXES[1:])),
            replace(DUE, binding=BINDING),
            replace(
                DUE,
                binding=BINDING._replace(
                    home_network_prefixes=PREFIXES[:1],
                    gateway_link_local_address=IPv6Address("fe80::a"),
                ),
            ),
            replace(
                DUE,
                binding=BINDING._replace(
                    home_network_prefixes=PREFIXES[:1],
                    address_configuration=AddressConfiguration.STATEFUL,
                ),
            ),
            replace(
                DUE,
                binding=BINDING._replace(
                    home_network_prefixes=PREFIXES[:1], mn_link_layer_id=NO_LINK_LAYER_ADDRESS
                ),
            ),
        ],
        ids=["lifetimes", "solicited", "prefix", "two prefixes", "router", "flags", "link"],
    )
    @pytest.mark.parametrize("mtu", [1460, 1400])
    @pytest.mark.parametrize("hop_limit", [64, 32])
    def test_what_is_shared_is_only_what_is_equal(
        self, other: AdvertisePrefixes, mtu: int, hop_limit: int
    ) -> None:
        many = Advertisements()
        first = replace(DUE, binding=BINDING._replace(home_network_prefixes=PREFIXES[:1]))
        many.packet(SETTINGS, first, tunnel_mtu_octets=1460, access_mtu_octets=1500)
        ra = replace(SETTINGS.router_advertisement, cur_hop_limit=hop_limit)
        settings = replace(SETTINGS, router_advertisement=ra)
        mtus = {"tunnel_mtu_octets": mtu, "access_mtu_octets": 1500}
        assert many.packet(settings, other, **mtus) == advertisement(settings, other, **mtus)

    def test_routers_of_their_own_do_not_pile_up(self) -> None:
        many = Advertisements()
        for number in range(1000):
            binding = BINDING._replace(
                home_network_prefixes=PREFIXES[:1],
                gateway_link_local_address=IPv6Address((0xFE80 << 112) + number + 1),
            )
            due = replace(DUE, binding=binding)
            many.packet(SETTINGS, due, tunnel_mtu_octets=1460, access_mtu_octets=1500)
        assert len(many._templates) < 100


@pytest.mark.requirement("ACFG-02")
@pytest.mark.parametrize(
    ("way", "is_managed", "is_autonomous"),
    [("stateless", False, True), ("stateful", True, False), ("both", True, True)],
)
def test_flags_tell_how_this_node_gets_addresses(
    way: str, is_managed: bool, is_autonomous: bool
) -> None:
    """ACFG-02: also while prefixes are withdrawn."""
    binding = BINDING._replace(address_configuration=AddressConfiguration(way))
    due = replace(DUE, binding=binding)
    packets = (
        advertisement(SETTINGS, due, tunnel_mtu_octets=1460, access_mtu_octets=1500),
        withdrawal(SETTINGS, WithdrawPrefixes(binding, PREFIXES, ends_service=False)),
    )
    for told in map(RouterAdvertisement.decode, packets):
        assert told.managed is is_managed
        assert [each.autonomous for each in told.prefixes] == [is_autonomous] * len(PREFIXES)


@pytest.mark.requirement("ND-06")
def test_answer_to_a_solicitation_goes_to_the_node() -> None:
    """ND-06: to the address it asked from."""
    due = replace(DUE, node_address=IPv6Address("fe80::77"))
    packet = advertisement(SETTINGS, due, tunnel_mtu_octets=1460, access_mtu_octets=1500)
    assert IPv6Packet.decode(packet).destination == IPv6Address("fe80::77")


@pytest.mark.requirement("ND-13", "RENUM-01")
def test_withdrawal_ends_prefixes_and_router() -> None:
    """ND-13, RENUM-01: flags as before, lifetimes zero."""
    packet = withdrawal(SETTINGS, WithdrawPrefixes(BINDING, PREFIXES, ends_service=True))
    told = RouterAdvertisement.decode(packet)
    assert told.router_lifetime_s == 0
    assert told.prefixes == tuple(PrefixInformation(prefix, 0, 0) for prefix in PREFIXES)


@pytest.mark.requirement("RENUM-01")
def test_withdrawal_in_mid_session_leaves_the_node_its_router() -> None:
    packet = withdrawal(SETTINGS, WithdrawPrefixes(BINDING, PREFIXES, ends_service=False))
    told = RouterAdvertisement.decode(packet)
    assert told.router_lifetime_s == 1800
    assert told.prefixes == tuple(PrefixInformation(prefix, 0, 0) for prefix in PREFIXES)


class TestAddressOfTheLma:
    """Without a fixed address each binding has its own."""

    settings = replace(SETTINGS, fixed_mag_link_local_address=IPv6Address("::"))
    router = IPv6Address("fe80::6d61:1")

    @pytest.mark.requirement("LLA-02", "PBA-31", "DR-05")
    def test_advertisement_comes_from_it(self) -> None:
        due = replace(DUE, binding=BINDING._replace(gateway_link_local_address=self.router))
        packet = advertisement(self.settings, due, tunnel_mtu_octets=1460, access_mtu_octets=1500)
        assert IPv6Packet.decode(packet).source == self.router

    @pytest.mark.requirement("ND-14")
    def test_withdrawal_comes_from_it(self) -> None:
        binding = BINDING._replace(gateway_link_local_address=self.router)
        packet = withdrawal(self.settings, WithdrawPrefixes(binding, (), ends_service=True))
        assert IPv6Packet.decode(packet).source == self.router
        assert RouterAdvertisement.decode(packet).router_lifetime_s == 0

    def test_withdrawal_without_one_makes_nobody_a_router(self) -> None:
        binding = BINDING._replace(gateway_link_local_address=IPv6Address("::"))
        due = WithdrawPrefixes(binding, PREFIXES, ends_service=False)
        assert RouterAdvertisement.decode(withdrawal(self.settings, due)).router_lifetime_s == 0


@pytest.mark.requirement("MTU-15", "RA-09", "ND-15")
@pytest.mark.parametrize(
    ("tunnel", "access", "advertised"),
    [(1460, 1500, 1460), (1460, 1400, 1400), (1240, 1500, 1280), (1460, 1000, 1280)],
)
def test_mtu_is_the_smaller_one_but_one_that_hosts_heed(
    tunnel: int, access: int, advertised: int
) -> None:
    """MTU-15, ND-15, INT-13."""
    assert advertised_mtu(tunnel, access) == advertised
