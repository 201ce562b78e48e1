"""Everything the core says; values only, so an event still holds when it is read later."""

from enum import StrEnum
from ipaddress import IPv6Address, IPv6Network
from typing import Final, NamedTuple

from mag.frozen import frozen
from mag.protocol.policy_profile import AddressConfiguration
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.request import RequestKind

_NONE_YET: Final = IPv6Address("::")


class Binding(NamedTuple):
    """One Binding Update List entry as it was when the event happened.

    A tuple: each attachment makes several, and a frozen dataclass takes four times as long.
    """

    binding_id: int
    mn_id: bytes
    access_interface: str
    mn_link_layer_id: bytes
    """Empty when the link has none."""
    lma_address: IPv6Address
    state: RegistrationState
    home_network_prefixes: tuple[IPv6Network, ...]
    local_routing: bool = False
    """Packets to other nodes of this gateway need not pass the LMA (RFC 5213 §6.10.3)."""
    gateway_link_local_address: IPv6Address = _NONE_YET
    """The node's router on its link; `::` while there is none."""
    address_configuration: AddressConfiguration = AddressConfiguration.STATELESS
    """What the node is told to do for addresses of its prefixes."""


class DiscardReason(StrEnum):
    """Why the core let a message pass without effect; codec errors add their own reasons."""

    UNKNOWN_PEER = "unknown_peer"
    UNEXPECTED_TYPE = "unexpected_type"
    NOT_PROXY = "not_proxy"
    MISSING_MN_IDENTIFIER = "missing_mn_identifier"
    NO_BINDING = "no_binding"
    UNMATCHED = "unmatched"
    LATE = "late"
    """Its request has been answered: normal after a retransmission (INT-10, INT-27)."""
    TIMESTAMP_MISMATCHED = "timestamp_mismatched"
    ECHO_MISMATCHED = "echo_mismatched"
    OPTION_REPORTED_MISSING = "option_reported_missing"
    """The LMA misses what we have sent, and echoes it as empty (INT-04)."""
    STARTING = "starting"
    """Too many had come before the bindings of an earlier run were restored."""


class RefusalReason(StrEnum):
    """Why an attachment was not taken."""

    TABLE_FULL = "table_full"
    UNKNOWN_LMA = "unknown_lma"
    """Its profile names an LMA that is no longer configured."""
    NODE_HELD = "node_held"
    """The LMA has refused the node as such; an operator has to lift that."""


@frozen
class ProxyBindingUpdateSent:
    """A PBU is on its way."""

    binding: Binding
    kind: RequestKind
    sequence: int
    attempt: int
    """1 for the first, more for retransmissions."""


@frozen
class ProxyBindingAcknowledgementReceived:
    """A PBA completed the outstanding request."""

    binding: Binding
    kind: RequestKind
    status: int
    round_trip_s: float
    """From the PBU that it answers."""


@frozen
class BindingEstablished:
    """The LMA accepted the initial registration."""

    binding: Binding
    lifetime_s: int
    setup_s: float
    """Since the attach event."""


@frozen
class BindingRefreshed:
    """The LMA extended the binding."""

    binding: Binding
    lifetime_s: int


@frozen
class BindingRejected:
    """Nothing was granted; `retry_in_s` None means no PBU before an administrative action.

    The node gets no service, unless its state is SILENT: then until its lifetime is over.
    """

    binding: Binding
    status: int | None
    """The LMA's, None where the fault is in what it granted or echoed."""
    reason: str
    retry_in_s: float | None


@frozen
class OptionReportedMissing:
    """The LMA says that a PBU lacked what every PBU has: it or we are at fault (INT-04)."""

    binding: Binding
    status: int
    """160, 161 or 162."""


@frozen
class BindingLost:
    """The entry has left the Binding Update List."""

    binding: Binding
    reason: LossReason


@frozen
class TunnelWanted:
    """The first binding with this LMA is accepted (RFC 5213 §5.6.1)."""

    lma_address: IPv6Address


@frozen
class TunnelUnwanted:
    """The last binding with this LMA is gone."""

    lma_address: IPv6Address


@frozen
class ForwardingWanted:
    """Forward for this binding, as it is now, whatever was wanted for it before."""

    binding: Binding


@frozen
class ForwardingUnwanted:
    """Forward nothing more for this binding."""

    binding: Binding


@frozen
class ForwardingInstalled:
    """The packet path has confirmed: the node's packets flow."""

    binding: Binding
    setup_s: float
    """Since the attach event."""


@frozen
class ForwardingResumed:
    """The packet path has confirmed a binding from before the gateway started."""

    binding: Binding


@frozen
class AdvertisePrefixes:
    """Send the node a Router Advertisement with its prefixes now."""

    binding: Binding
    valid_lifetime_s: int
    """Of every prefix of the session."""
    preferred_lifetime_s: int
    """Not above the valid lifetime."""
    node_address: IPv6Address | None = None
    """Whose solicitation it answers; None: for all nodes of the link, which this one is."""


@frozen
class WithdrawPrefixes:
    """Tell a node that is on the link that prefixes are no more (RFC 5213 §6.12)."""

    binding: Binding
    prefixes: tuple[IPv6Network, ...]
    ends_service: bool
    """Neither is its router; else the node keeps what else it has."""


@frozen
class ProbeNode:
    """Ask for the node: its binding is to be extended (RFC 5213 §6.13)."""

    binding: Binding
    node_address: IPv6Address | None
    """One of the node's own, to solicit; None while none is known."""
    attempt: int


@frozen
class DetectDuplicateAddress:
    """Ask the node whether this link-local address is its own (RFC 4862 §5.4.2)."""

    binding: Binding
    address: IPv6Address


@frozen
class GatewayAddressCollided:
    """The node has the link-local address that was to be the gateway's; another one is sought."""

    binding: Binding
    address: IPv6Address


@frozen
class AttachmentRefused:
    """An attachment was not taken."""

    mn_id: bytes
    reason: RefusalReason


@frozen
class MessageDiscarded:
    """A message from a peer had no effect; `reason` is also the label of its counter."""

    reason: str
    source: IPv6Address


@frozen
class BindingErrorReceived:
    """An LMA of ours says that it does not know a message we sent (RFC 6275 §11.3.6)."""

    lma_address: IPv6Address
    status: int


@frozen
class QuirkApplied:
    """A configured quirk of an LMA made a difference, for the first time since it is set."""

    lma_address: IPv6Address
    quirk: str
    """A field of LmaQuirks."""


@frozen
class PeerUnreachable:
    """An LMA that used to answer heartbeats does not any more; its bindings are kept."""

    lma_address: IPv6Address
    missed: int


@frozen
class PeerReachable:
    """An LMA answers heartbeats, for the first time or again."""

    lma_address: IPv6Address


@frozen
class PeerUnable:
    """An LMA, or what has its address, does not know Mobility Headers (RFC 6275 §11.3.5)."""

    lma_address: IPv6Address
    retry_in_s: float
    """Nothing is asked of it until then, unless it shows that it does."""


@frozen
class PeerRemoved:
    """An LMA that is no longer configured has no binding of ours left."""

    lma_address: IPv6Address


@frozen
class PeerRestarted:
    """An LMA has lost its bindings; ours with it are registered again (RFC 5847 §3.2)."""

    lma_address: IPv6Address
    bindings: int


Event = (
    ProxyBindingUpdateSent
    | ProxyBindingAcknowledgementReceived
    | BindingEstablished
    | BindingRefreshed
    | BindingRejected
    | OptionReportedMissing
    | BindingLost
    | TunnelWanted
    | TunnelUnwanted
    | ForwardingWanted
    | ForwardingUnwanted
    | ForwardingInstalled
    | ForwardingResumed
    | AdvertisePrefixes
    | WithdrawPrefixes
    | ProbeNode
    | DetectDuplicateAddress
    | GatewayAddressCollided
    | AttachmentRefused
    | MessageDiscarded
    | BindingErrorReceived
    | QuirkApplied
    | PeerUnable
    | PeerUnreachable
    | PeerReachable
    | PeerRemoved
    | PeerRestarted
)
