"""What the gateway answers to who asks for its address in a node's prefix (RFC 4861 §7.2.4)."""

from ipaddress import IPv6Address

from mag.wire.neighbor_solicitation import NeighborAdvertisement


def anycast_answer(
    asker: IPv6Address,
    anycast_address: IPv6Address,
    *,
    source: IPv6Address,
    link_layer_address: bytes | None,
) -> bytes:
    """A Neighbor Advertisement, as a whole IPv6 packet."""
    return NeighborAdvertisement(
        source,
        anycast_address,
        is_solicited=True,
        is_router=True,
        overrides=False,
        target_link_layer_address=link_layer_address,
    ).encode(asker)
