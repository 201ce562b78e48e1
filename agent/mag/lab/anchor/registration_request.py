"""A Proxy Binding Update as the LMA reads it, and the answer to it (RFC 5213 §5.3.1, §5.3.6)."""

from ipaddress import IPv6Address, IPv6Network
from typing import Final, Self

from mag.frozen import frozen
from mag.protocol.ordering import TICKS_PER_S
from mag.wire.binding import ProxyBindingAcknowledgement, ProxyBindingUpdate
from mag.wire.iana import BindingStatus
from mag.wire.options import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeIdentifierOption,
    MobileNodeLinkLayerIdentifierOption,
    MobilityOption,
    TimestampOption,
)

_WRONG_CLOCK: Final = (
    BindingStatus.TIMESTAMP_MISMATCH,
    BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED,
)


@frozen
class RegistrationRequest:
    """The values of one PBU. What the message lacks is empty or zero; `defect` says so."""

    proxy_care_of_address: IPv6Address
    sequence: int
    lifetime_s: int
    mn_id: bytes
    home_network_prefixes: tuple[IPv6Network, ...]
    """Empty asks for assignment."""
    handoff_indicator: int
    access_technology_type: int
    mn_link_layer_id: bytes
    """Empty when the gateway does not know it."""
    timestamp_ticks: int | None
    """None: the sequence number orders requests (RFC 5213 §5.5)."""
    link_local_address: IPv6Address | None
    """`::` asks for one; None: the domain has a fixed one."""
    defect: BindingStatus | None
    """The status that answers a missing mandatory option."""

    @classmethod
    def of(cls, message: ProxyBindingUpdate, source: IPv6Address) -> Self:
        """Read the options of a PBU that came from `source`."""
        identifier = message.first(MobileNodeIdentifierOption)
        prefixes = message.all(HomeNetworkPrefixOption)
        handoff = message.first(HandoffIndicatorOption)
        technology = message.first(AccessTechnologyTypeOption)
        link_layer = message.first(MobileNodeLinkLayerIdentifierOption)
        timestamp = message.first(TimestampOption)
        link_local = message.first(LinkLocalAddressOption)
        return cls(
            proxy_care_of_address=source,
            sequence=message.sequence,
            lifetime_s=message.lifetime_s,
            mn_id=identifier.identifier if identifier else b"",
            home_network_prefixes=tuple(p.prefix for p in prefixes if not p.is_all_zero),
            handoff_indicator=handoff.handoff_indicator if handoff else 0,
            access_technology_type=technology.access_technology_type if technology else 0,
            mn_link_layer_id=link_layer.identifier if link_layer else b"",
            timestamp_ticks=timestamp.ticks if timestamp else None,
            link_local_address=link_local.address if link_local else None,
            defect=_defect(message),
        )

    def refusal(self, status: int, utc: float) -> ProxyBindingAcknowledgement:
        """The PBA that refuses; utc: our clock, seconds since 1970."""
        # §5.5(8)(9): these two carry the LMA's time of day.
        ticks = int(utc * TICKS_PER_S) if status in _WRONG_CLOCK else None
        return self.answer(status, timestamp_ticks=ticks)

    def answer(
        self,
        status: int,
        *,
        lifetime_s: int = 0,
        home_network_prefixes: tuple[IPv6Network, ...] | None = None,
        timestamp_ticks: int | None = None,
        link_local_address: IPv6Address | None = None,
    ) -> ProxyBindingAcknowledgement:
        """The PBA to this request; what is not given is what the request said (§5.3.6)."""
        prefixes = home_network_prefixes or self.home_network_prefixes or (IPv6Network("::/0"),)
        options: list[MobilityOption] = [
            MobileNodeIdentifierOption(self.mn_id),
            *(HomeNetworkPrefixOption.of(prefix) for prefix in prefixes),
            HandoffIndicatorOption(self.handoff_indicator),
            AccessTechnologyTypeOption(self.access_technology_type),
        ]
        if self.mn_link_layer_id:
            options.append(MobileNodeLinkLayerIdentifierOption(self.mn_link_layer_id))
        if self.timestamp_ticks is not None:
            ticks = self.timestamp_ticks if timestamp_ticks is None else timestamp_ticks
            options.append(TimestampOption(ticks))
        if self.link_local_address is not None:
            options.append(LinkLocalAddressOption(link_local_address or self.link_local_address))
        return ProxyBindingAcknowledgement(status, self.sequence, lifetime_s, tuple(options))


def _defect(message: ProxyBindingUpdate) -> BindingStatus | None:
    mandatory = (
        (MobileNodeIdentifierOption, BindingStatus.MISSING_MN_IDENTIFIER_OPTION),
        (HomeNetworkPrefixOption, BindingStatus.MISSING_HOME_NETWORK_PREFIX_OPTION),
        (HandoffIndicatorOption, BindingStatus.MISSING_HANDOFF_INDICATOR_OPTION),
        (AccessTechnologyTypeOption, BindingStatus.MISSING_ACCESS_TECH_TYPE_OPTION),
    )
    for option_class, status in mandatory:
        if message.first(option_class) is None:
            return status
    return None
