"""Asks the nodes of a link to speak up: an MLD General Query, which every IPv6 node answers.

A node that lost its prefix and its router has no reason to send anything; without a frame from it,
nobody attaches it again.
"""

from ipaddress import IPv6Address
from typing import Final

from mag.wire.multicast_listener import MulticastListenerQuery

ALL_NODES_LINK_LAYER_ADDRESS: Final = bytes.fromhex("333300000001")
"""RFC 2464 §7: the Ethernet form of ff02::1."""
_ANSWER_WITHIN_MS: Final = 200
"""Nodes spread their answers over this time."""


def wake_up(gateway_link_local_address: IPv6Address) -> bytes:
    """The query as a whole IPv6 packet."""
    return MulticastListenerQuery(_ANSWER_WITHIN_MS).encode(gateway_link_local_address)
