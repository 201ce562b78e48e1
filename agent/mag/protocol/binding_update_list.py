"""The Binding Update List (RFC 5213 §6.1, RFC 6275 §11.1)."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from math import inf
from typing import Final

from mag.frozen import frozen
from mag.protocol.attachment import Attachment
from mag.protocol.hold import Hold
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.request import OutstandingRequest, Request

UNKNOWN_LINK_LAYER_ID = bytes(2)
"""RFC 5213 §6.1: an unknown link-layer identifier is kept as two octets of zero."""
_UNKNOWN_ADDRESS: Final = IPv6Address("::")


@frozen
class Dismissal:
    """The end of a binding that an operator has brought about."""

    reason: LossReason
    successor: PolicyProfile | None = None
    """With which the node is registered anew as soon as the entry is gone."""


@dataclass(slots=True, eq=False)
class BindingUpdateListEntry:
    """One mobility binding of one interface of a mobile node with its LMA."""

    binding_id: int
    profile: PolicyProfile
    attachment: Attachment
    state: RegistrationState
    attached_at: float
    """Monotonic seconds of the attach event: set-up times count from here."""
    request: Request
    """What the PBUs of the current exchange say."""
    requested_prefixes: tuple[IPv6Network, ...]
    """Asked for in the initial PBU; empty asks the LMA to assign."""
    home_network_prefixes: tuple[IPv6Network, ...] = ()
    """Assigned by the LMA; empty before the first acceptance."""
    lifetime_s: int = 0
    """As granted."""
    expires_at: float = 0.0
    """Monotonic; meaningful while home_network_prefixes is not empty."""
    refresh_at: float = 0.0
    """Monotonic; likewise."""
    outstanding: tuple[OutstandingRequest, ...] = ()
    """Sent since the last reply that counted, oldest first (interpretation INT-27)."""
    settled: tuple[int, ...] = ()
    """Sequence numbers of the last exchange that is over, but for the last of them, which is
    `last_sequence` until something is sent again: nearly always there is no other."""
    last_sequence: int | None = None
    """Greatest sequence number sent for this session, or learned from the LMA; None: none yet."""
    reserved_sequence: int | None = None
    """Without timestamps: where the block ends that its numbers are taken from. A gateway that
    starts again goes on behind it, so that not every PBU has to be remembered."""
    attempts: int = 0
    """PBUs sent for the current request; 2 and up are retransmissions."""
    backoff_s: float = 0.0
    """Wait before the next retransmission or retry."""
    loss_reason: LossReason = LossReason.DETACHED
    """Why the entry will have gone when it goes."""
    dismissal: Dismissal | None = None
    """An operator ends it for good, soon or since a moment ago."""
    is_dismissed: bool = False
    """The dismissal has begun: no sign of life calls it back."""
    rejections: int = 0
    """Rejecting PBAs in a row."""
    hold: Hold | None = None
    """Why nothing is sent until an operator acts; None while PBUs may go out."""
    last_status: int | None = None
    is_serving: bool = False
    """Accepted: forwarding is wanted. Precisely these bindings hold a share of the tunnel."""
    is_resumed: bool = False
    """Served since before the gateway started: the node has been told all that it need know."""
    is_forwarding: bool = False
    """The packet path has confirmed; only then is the node told of its prefixes."""
    advertisements_sent: int = 0
    """Router Advertisements since the prefixes or the link changed (RFC 4861 §6.2.4)."""
    advertised_to_all_at: float = -math.inf
    """Monotonic seconds of the last one to the all-nodes address."""
    solicited_by: IPv6Address | None = None
    """The address of the node that the next one goes to, as it asked for it; None: to all nodes."""
    last_heard_at: float = 0.0
    """Monotonic seconds of the node's last sign of life that we were told of."""
    node_address: IPv6Address | None = None
    """One of the node's addresses; its link-local one if we have seen that."""
    gateway_link_local_address: IPv6Address = _UNKNOWN_ADDRESS
    """The node's router: ours on its link (RFC 5213 §6.1); `::` while there is none."""
    tentative_link_local_address: IPv6Address | None = None
    """The next one, in duplicate address detection; `::`: the last one was not free."""
    collided_link_local_address: IPv6Address | None = None
    """Was to be ours, but the node has it."""
    solicitations: int = 0
    """Sent since the presence of the node came into doubt."""
    send_times: tuple[float, ...] = ()
    """Of the last MAX_UPDATE_RATE PBUs, oldest first."""
    # Written by BindingTimers only: when each of its timers is due, inf while it is not armed.
    registration_due: float = inf
    lifetime_due: float = inf
    advertisement_due: float = inf
    dismissal_due: float = inf
    permission_to_send_due: float = inf
    presence_due: float = inf
    address_detection_due: float = inf
    wakes_at: float = inf
    """Where it stands in the calendar: never after the earliest of them."""

    def is_settled(self, sequence: int) -> bool:
        """Whether the exchange of this number is over: replies to it are merely late."""
        return sequence in self.settled or (not self.outstanding and sequence == self.last_sequence)

    @property
    def may_be_advertised(self) -> bool:
        """The packet path forwards, and there is an address to advertise it from."""
        return self.is_forwarding and not self.gateway_link_local_address.is_unspecified

    @property
    def mn_id(self) -> bytes:
        """MN-Identifier."""
        return self.profile.mn_id

    @property
    def lma_address(self) -> IPv6Address:
        """The serving LMA."""
        return self.profile.lma_address

    @property
    def mn_link_layer_id(self) -> bytes:
        """Of the attached interface; UNKNOWN_LINK_LAYER_ID if the link has none."""
        return self.attachment.mn_link_layer_id or UNKNOWN_LINK_LAYER_ID

    @property
    def interface_identity(self) -> bytes | str:
        """One binding per interface of a node: its link-layer id, else the link it is on."""
        return _interface_identity(self.attachment)


def _interface_identity(attachment: Attachment) -> bytes | str:
    return attachment.mn_link_layer_id or attachment.access_interface


class BindingUpdateList:
    """All entries, found by binding id, node, interface and prefix."""

    def __init__(self) -> None:
        self._by_id: dict[int, BindingUpdateListEntry] = {}
        self._by_mn_id: dict[bytes, BindingUpdateListEntry] = {}
        """The oldest of each node, nearly always its only one."""
        self._siblings: dict[bytes, tuple[BindingUpdateListEntry, ...]] = {}
        """All of each node that has several."""
        self._by_link: dict[str, dict[bytes, BindingUpdateListEntry]] = {}
        """By access interface and link-layer address; only interfaces with entries are there."""
        self._by_prefix: dict[IPv6Network, BindingUpdateListEntry] = {}
        self._per_lma: Counter[IPv6Address] = Counter()
        self._prefix_lengths: Counter[int] = Counter()
        """Prefixes of each length; only lengths in use are there."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[BindingUpdateListEntry]:
        return iter(self._by_id.values())

    def add(self, entry: BindingUpdateListEntry) -> None:
        """Take in a new entry; its interface must not have one yet."""
        self._by_id[entry.binding_id] = entry
        self._per_lma[entry.lma_address] += 1
        if entry.mn_id in self._by_mn_id:
            self._keep_siblings(entry.mn_id, (*self.by_mn_id(entry.mn_id), entry))
        else:
            self._by_mn_id[entry.mn_id] = entry
        self._index_link(entry)

    def remove(self, entry: BindingUpdateListEntry) -> None:
        """Forget an entry of this list, its prefixes included."""
        self.release_prefixes(entry)
        self._unindex_link(entry)
        del self._by_id[entry.binding_id]
        self._per_lma[entry.lma_address] -= 1
        siblings = tuple(each for each in self.by_mn_id(entry.mn_id) if each is not entry)
        self._keep_siblings(entry.mn_id, siblings)

    def move(self, entry: BindingUpdateListEntry, attachment: Attachment) -> None:
        """The node's interface is now on another link of ours, or said more of itself."""
        self._unindex_link(entry)
        entry.attachment = attachment
        self._index_link(entry)

    def assign_prefixes(
        self, entry: BindingUpdateListEntry, prefixes: tuple[IPv6Network, ...]
    ) -> None:
        """Replace the entry's prefixes; none of them may belong to another entry."""
        self.release_prefixes(entry)
        entry.home_network_prefixes = prefixes
        for prefix in prefixes:
            self._by_prefix[prefix] = entry
            self._prefix_lengths[prefix.prefixlen] += 1

    def release_prefixes(self, entry: BindingUpdateListEntry) -> None:
        """Take the prefixes off the entry."""
        if not entry.home_network_prefixes:
            return
        for prefix in entry.home_network_prefixes:
            del self._by_prefix[prefix]
            self._prefix_lengths[prefix.prefixlen] -= 1
        entry.home_network_prefixes = ()
        self._prefix_lengths = +self._prefix_lengths

    def by_id(self, binding_id: int) -> BindingUpdateListEntry | None:
        """The entry with this binding id."""
        return self._by_id.get(binding_id)

    def by_mn_id(self, mn_id: bytes) -> tuple[BindingUpdateListEntry, ...]:
        """All entries of a node, oldest first (one per attached interface)."""
        oldest = self._by_mn_id.get(mn_id)
        if oldest is None:
            return ()
        return (self._siblings and self._siblings.get(mn_id)) or (oldest,)

    def count_with(self, lma_address: IPv6Address) -> int:
        """How many entries this LMA has, in whatever state."""
        return self._per_lma[lma_address]

    def by_interface(self, mn_id: bytes, attachment: Attachment) -> BindingUpdateListEntry | None:
        """The entry of the node's interface, wherever on our links it was seen last."""
        identity = _interface_identity(attachment)
        for each in self.by_mn_id(mn_id):  # few: a node's interfaces that are attached
            if each.interface_identity == identity:
                return each
        return None

    def by_link(self, access_interface: str, link_layer_id: bytes) -> BindingUpdateListEntry | None:
        """The entry whose node sends with this link-layer address on this access link."""
        return self._by_link.get(access_interface, {}).get(link_layer_id)

    def holders_of(self, prefix: IPv6Network) -> list[BindingUpdateListEntry]:
        """The entries that hold this prefix, one it lies in, or one that lies in it."""
        lengths = self._prefix_lengths
        if lengths.keys() <= {prefix.prefixlen}:  # all have one length, as in most domains
            holder = self._by_prefix.get(prefix)
            return [] if holder is None else [holder]
        holders = [
            self._by_prefix.get(prefix.supernet(new_prefix=length))
            for length in lengths
            if length < prefix.prefixlen
        ]
        holders.append(self._by_prefix.get(prefix))
        if any(length > prefix.prefixlen for length in lengths):  # rare enough for a search
            holders += [
                entry
                for held, entry in self._by_prefix.items()
                if held.prefixlen > prefix.prefixlen and held.subnet_of(prefix)
            ]
        return list(dict.fromkeys(entry for entry in holders if entry is not None))

    def _keep_siblings(self, mn_id: bytes, siblings: tuple[BindingUpdateListEntry, ...]) -> None:
        """The node has these entries from now on, oldest first."""
        if siblings:
            self._by_mn_id[mn_id] = siblings[0]
        else:
            del self._by_mn_id[mn_id]
        if len(siblings) > 1:
            self._siblings[mn_id] = siblings
        else:
            self._siblings.pop(mn_id, None)

    def _index_link(self, entry: BindingUpdateListEntry) -> None:
        attachment = entry.attachment
        nodes = self._by_link.setdefault(attachment.access_interface, {})
        nodes[attachment.mn_link_layer_id] = entry

    def _unindex_link(self, entry: BindingUpdateListEntry) -> None:
        attachment = entry.attachment
        nodes = self._by_link.get(attachment.access_interface, {})
        # Two nodes may claim one address; the later claim owns the index and keeps it.
        if nodes.get(attachment.mn_link_layer_id) is entry:
            del nodes[attachment.mn_link_layer_id]
            if not nodes:
                del self._by_link[attachment.access_interface]
