"""What the storm of `faults` may do, so that afterwards every node can have its traffic."""

from ipaddress import IPv6Network

from mag.lab.scenarios.faults import GRANTS

LINUX_MAX_ADDRESSES = 16
"""net.ipv6.conf.*.max_addresses: on one interface, the link-local one among them."""
SLAAC_PREFIX_LENGTH = 64
LINK_LOCAL = IPv6Network("fe80::/10")


def test_false_grants_leave_nodes_room_for_addresses_of_their_own() -> None:
    """RFC 4862 §5.5.3: a withdrawn address goes on for two hours, and Linux counts it.

    The other half is for prefixes of the LMA's pool, of which a node has several in a storm, and
    for what garbling makes of them.
    """
    granted = {prefix for grant in GRANTS for prefix in grant.prefixes or ()}
    made = {
        prefix
        for prefix in granted
        if prefix.prefixlen == SLAAC_PREFIX_LENGTH and not prefix.subnet_of(LINK_LOCAL)
    }
    assert 1 < len(made) <= LINUX_MAX_ADDRESSES // 2
