"""A binding as it outlasts the gateway: what is needed to go on with it, times in UTC."""

from ipaddress import IPv6Address, IPv6Network

from mag.frozen import frozen
from mag.protocol.attachment import Attachment
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.hold import Hold
from mag.protocol.registration import LossReason, RegistrationState


@frozen
class StoredBinding:
    """One Binding Update List entry, without what a running exchange or timer adds to it."""

    binding_id: int
    mn_id: bytes
    lma_address: IPv6Address
    attachment: Attachment
    state: RegistrationState
    requested_prefixes: tuple[IPv6Network, ...]
    home_network_prefixes: tuple[IPv6Network, ...]
    lifetime_s: int
    """As granted."""
    expires_at: float
    """Seconds since 1970; 0 while there are no home network prefixes."""
    refresh_at: float
    """Likewise."""
    last_sequence: int | None
    """Greatest sequence number of this session that may have been used."""
    last_status: int | None
    hold: Hold | None
    """Which is still the operator's to lift."""
    loss_reason: LossReason
    node_address: IPv6Address | None
    """Where the node is asked whether it is still there."""
    gateway_link_local_address: IPv6Address | None = None
    """The node's router; None while there is none."""


def stored(entry: BindingUpdateListEntry, now: float, utc: float) -> StoredBinding:
    """The entry as it is now; `now` and `utc` are the same moment."""
    ours = entry.gateway_link_local_address
    ahead = utc - now if entry.home_network_prefixes else 0.0
    return StoredBinding(
        binding_id=entry.binding_id,
        mn_id=entry.mn_id,
        lma_address=entry.lma_address,
        attachment=entry.attachment,
        state=entry.state,
        requested_prefixes=entry.requested_prefixes,
        home_network_prefixes=entry.home_network_prefixes,
        lifetime_s=entry.lifetime_s,
        expires_at=entry.expires_at + ahead if ahead else 0.0,
        refresh_at=entry.refresh_at + ahead if ahead else 0.0,
        last_sequence=(
            entry.last_sequence if entry.reserved_sequence is None else entry.reserved_sequence
        ),
        last_status=entry.last_status,
        hold=entry.hold,
        loss_reason=entry.loss_reason,
        node_address=entry.node_address,
        gateway_link_local_address=ours if not ours.is_unspecified else None,
    )
