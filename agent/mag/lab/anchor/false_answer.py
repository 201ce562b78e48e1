"""Acknowledgements that say something else than the LMA's core did."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from typing import Any, Final

from mag.lab.anchor.faults import Alter, Garble, Grant, Part
from mag.wire import mobility_header
from mag.wire.binding import ProxyBindingAcknowledgement
from mag.wire.iana import BindingAcknowledgementFlag
from mag.wire.options import (
    AccessTechnologyTypeOption,
    BindingRefreshAdviceOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
)

_MAX_FLIPPED_BITS: Final = 8
_HEADER_LEN: Final = 1
_CHECKSUM: Final = slice(4, 6)
_LARGEST: Final[Mapping[Part, int]] = {
    Part.SEQUENCE: 0xFFFF,
    Part.TIMESTAMP: 2**64 - 1,
    Part.HANDOFF_INDICATOR: 255,
    Part.ACCESS_TECHNOLOGY_TYPE: 255,
}
_OPTIONS: Final[Mapping[Part, type[MobilityOption]]] = {
    Part.MN_ID: MobileNodeIdentifierOption,
    Part.TIMESTAMP: TimestampOption,
    Part.HANDOFF_INDICATOR: HandoffIndicatorOption,
    Part.ACCESS_TECHNOLOGY_TYPE: AccessTechnologyTypeOption,
    Part.LINK_LAYER_ID: MobileNodeLinkLayerIdentifierOption,
    Part.LINK_LOCAL_ADDRESS: LinkLocalAddressOption,
    Part.HOME_NETWORK_PREFIX: HomeNetworkPrefixOption,
}


def altered(answer: ProxyBindingAcknowledgement, alter: Alter) -> ProxyBindingAcknowledgement:
    """Another value in one part; an option that is not there stays away."""
    if alter.part is Part.SEQUENCE:
        return replace(answer, sequence=_number(alter, answer.sequence))
    change, option_class = _CHANGES[alter.part], _OPTIONS[alter.part]
    options = tuple(
        change(option, alter) if type(option) is option_class else option
        for option in answer.options
    )
    return replace(answer, options=options)


def without(answer: ProxyBindingAcknowledgement, part: Part) -> ProxyBindingAcknowledgement:
    """The acknowledgement less one part."""
    if part is Part.PROXY_FLAG:
        return replace(answer, flags=answer.flags & ~BindingAcknowledgementFlag.PROXY_REGISTRATION)
    kept = tuple(option for option in answer.options if type(option) is not _OPTIONS[part])
    return replace(answer, options=kept)


def granting(answer: ProxyBindingAcknowledgement, grant: Grant) -> ProxyBindingAcknowledgement:
    """Another grant; a rejection grants nothing and is left as it is."""
    if not answer.is_accepted:
        return answer
    options = answer.options
    if grant.prefixes is not None:
        options = _with_prefixes(options, grant.prefixes)
    if grant.refresh_interval_s is not None:
        options = (*options, BindingRefreshAdviceOption(grant.refresh_interval_s))
    lifetime_s = answer.lifetime_s if grant.lifetime_s is None else grant.lifetime_s
    return replace(answer, options=options, lifetime_s=lifetime_s)


def garbled(
    data: bytes, garble: Garble, rng: random.Random, ends: tuple[IPv6Address, IPv6Address]
) -> bytes:
    """Flip a few bits, or cut the end off. ends: source and destination, for the checksum."""
    octets = bytearray(data)
    if rng.getrandbits(1):
        del octets[rng.randrange(len(octets)) :]
    for _ in range(rng.randint(1, _MAX_FLIPPED_BITS) if octets else 0):
        octets[rng.randrange(len(octets))] ^= 1 << rng.randrange(8)
    if garble.fix_checksum and len(octets) >= _CHECKSUM.stop:
        octets[_CHECKSUM] = bytes(2)
        covered = bytes(octets[: (octets[_HEADER_LEN] + 1) * 8])
        octets[_CHECKSUM] = mobility_header.checksum(covered, *ends).to_bytes(2, "big")
    return bytes(octets)


def _number(alter: Alter, said: int) -> int:
    """What is to stand there, or the number after the one that was said."""
    wanted = said + 1 if alter.value is None else int(alter.value)
    return wanted % (_LARGEST[alter.part] + 1)


def _other_mn_id(option: MobileNodeIdentifierOption, alter: Alter) -> MobilityOption:
    if alter.value is None:
        return MobileNodeIdentifierOption(b"not-" + option.identifier)
    return MobileNodeIdentifierOption(str(alter.value).encode())


def _other_link_layer_id(
    option: MobileNodeLinkLayerIdentifierOption, alter: Alter
) -> MobilityOption:
    if alter.value is None:
        other = bytes((*option.identifier[:-1], option.identifier[-1] ^ 1))
        return MobileNodeLinkLayerIdentifierOption(other)
    return MobileNodeLinkLayerIdentifierOption(bytes.fromhex(str(alter.value)))


def _other_link_local_address(option: LinkLocalAddressOption, alter: Alter) -> MobilityOption:
    if alter.value is None:
        return LinkLocalAddressOption(IPv6Address(int(option.address) ^ 1))
    return LinkLocalAddressOption(IPv6Address(str(alter.value)))


_CHANGES: Final[Mapping[Part, Callable[[Any, Alter], MobilityOption]]] = {
    Part.MN_ID: _other_mn_id,
    Part.TIMESTAMP: lambda option, alter: TimestampOption(_number(alter, option.ticks)),
    Part.HANDOFF_INDICATOR: lambda option, alter: HandoffIndicatorOption(
        _number(alter, option.handoff_indicator)
    ),
    Part.ACCESS_TECHNOLOGY_TYPE: lambda option, alter: AccessTechnologyTypeOption(
        _number(alter, option.access_technology_type)
    ),
    Part.LINK_LAYER_ID: _other_link_layer_id,
    Part.LINK_LOCAL_ADDRESS: _other_link_local_address,
}


def _with_prefixes(
    options: tuple[MobilityOption, ...], prefixes: tuple[IPv6Network, ...]
) -> tuple[MobilityOption, ...]:
    """Other prefixes where they belong, behind the MN-Identifier."""
    rest = tuple(option for option in options if type(option) is not HomeNetworkPrefixOption)
    return (*rest[:1], *map(HomeNetworkPrefixOption.of, prefixes), *rest[1:])
