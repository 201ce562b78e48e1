"""The sweep over all prefixes against comparing each pair."""

from ipaddress import IPv6Network
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from mag.config.contradictions import find_contradictions

PREFIXES = st.builds(
    lambda bits, length: IPv6Network((0x20010DB8 << 96 | bits << 64, length), strict=False),
    st.integers(0, 2**6 - 1),
    st.integers(58, 64),
)


def tree(prefixes: list[IPv6Network]) -> dict[str, object]:
    nodes = {
        f"node{number}@example.net": {"lma": "lma1", "home_network_prefixes": [str(prefix)]}
        for number, prefix in enumerate(prefixes)
    }
    policy = {"nodes": nodes, "default": {"lma": "lma1"}}
    return {"lmas": {"lma1": {"address": "2001:db8:ffff::1"}}, "policy": policy}


@given(st.lists(PREFIXES, max_size=8))
def test_prefixes_have_a_fault_exactly_if_two_overlap(prefixes: list[IPv6Network]) -> None:
    overlapping = any(one.overlaps(other) for one, other in combinations(prefixes, 2))
    assert bool(find_contradictions(tree(prefixes))) == overlapping


@given(st.lists(PREFIXES, max_size=8, unique=True))
def test_prefix_fault_names_two_nodes_that_do_overlap(prefixes: list[IPv6Network]) -> None:
    for fault in find_contradictions(tree(prefixes)):
        later, _, earlier, *_ = fault.what.split()
        assert IPv6Network(later).overlaps(IPv6Network(earlier))
        assert prefixes.index(IPv6Network(earlier)) < prefixes.index(IPv6Network(later))
        assert fault.location[2] == f"node{prefixes.index(IPv6Network(later))}@example.net"
