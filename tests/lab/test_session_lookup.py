"""RFC 5213 §5.4 in the reference LMA: which session a request is about, and its prefixes."""

from ipaddress import IPv6Network

import pytest

from lab.anchor_domain import (
    ALICE,
    ALICE_SECOND_MAC,
    BOB,
    MAG1,
    MAG2,
    Domain,
    prefixes_of,
    settings,
)
from mag.lab.anchor.core import LocalMobilityAnchor
from mag.wire.iana import BindingStatus, HandoffIndicator

FIRST = IPv6Network("2001:db8:100::/64")
SECOND = IPv6Network("2001:db8:100:1::/64")


class TestOtherInterfaceOfTheNode:
    """RFC 5213 §5.4.1.2, §5.4.1.3: the link-layer identifier is another one."""

    def test_new_interface_makes_a_session_of_its_own(self, domain: Domain) -> None:
        domain.request(MAG1)
        (answer,) = domain.request(MAG2, mac=ALICE_SECOND_MAC, handoff=1)
        assert prefixes_of(answer) == (SECOND,)
        assert len(domain.anchor.bindings) == 2

    def test_handoff_between_interfaces_keeps_the_session(self, domain: Domain) -> None:
        domain.request(MAG1)
        (answer,) = domain.request(MAG2, mac=ALICE_SECOND_MAC, handoff=2)
        assert prefixes_of(answer) == (FIRST,)
        (entry,) = domain.anchor.bindings
        assert entry.mn_link_layer_id == ALICE_SECOND_MAC

    def test_unknown_handoff_waits_for_the_old_gateways_word(self, domain: Domain) -> None:
        """INT-10: the answer takes up to MaxDelayBeforeNewBCEAssign."""
        domain.request(MAG1)
        assert domain.request(MAG2, mac=ALICE_SECOND_MAC, handoff=4) == []
        answers = domain.deregister(MAG1, (FIRST,))
        assert [(answer.lifetime_s, prefixes_of(answer)) for answer in answers] == [
            (0, (FIRST,)),
            (600, (FIRST,)),
        ]
        (entry,) = domain.anchor.bindings
        assert entry.proxy_care_of_address == MAG2
        assert not entry.is_deregistered

    @pytest.mark.requirement("CFG-10")
    def test_unknown_handoff_without_that_word_is_a_new_session(self, domain: Domain) -> None:
        """CFG-10: MaxDelayBeforeNewBCEAssign is 1.5 s."""
        domain.request(MAG1)
        domain.request(MAG2, mac=ALICE_SECOND_MAC, handoff=4)
        assert domain.pass_time(1.4) == []
        (answer,) = domain.pass_time(0.2)
        assert prefixes_of(answer) == (SECOND,)
        assert len(domain.anchor.bindings) == 2

    def test_retransmission_meanwhile_is_answered_once_and_as_the_newest(
        self, domain: Domain
    ) -> None:
        """INT-10: the first timer of a gateway is shorter than the delay."""
        domain.request(MAG1)
        domain.request(MAG2, mac=ALICE_SECOND_MAC, handoff=4)
        domain.pass_time(1.0)
        assert domain.request(MAG2, mac=ALICE_SECOND_MAC, handoff=4) == []
        newest = domain.sequence
        (answer,) = domain.pass_time(0.6)
        assert answer.sequence == newest


class TestOwnPrefixes:
    def test_node_with_prefixes_of_its_own_gets_all_of_them(self) -> None:
        own = (IPv6Network("2001:db8:a::/64"), IPv6Network("2001:db8:b::/64"))
        domain = Domain(LocalMobilityAnchor(settings(nodes={ALICE: own})))
        (answer,) = domain.request(MAG1)
        assert prefixes_of(answer) == own

    def test_gateway_may_name_them(self) -> None:
        """ATT-05."""
        own = (IPv6Network("2001:db8:a::/64"), IPv6Network("2001:db8:b::/64"))
        domain = Domain(LocalMobilityAnchor(settings(nodes={ALICE: own})))
        (answer,) = domain.request(MAG1, prefixes=own)
        assert (answer.status, prefixes_of(answer)) == (BindingStatus.ACCEPTED, own)

    def test_restarted_anchor_takes_back_the_prefix_a_gateway_names(self, domain: Domain) -> None:
        """A refresh that finds no session makes it again, and nobody else gets the prefix."""
        (answer,) = domain.request(MAG1, prefixes=(FIRST,), handoff=HandoffIndicator.NOT_CHANGED)
        assert (answer.status, prefixes_of(answer)) == (BindingStatus.ACCEPTED, (FIRST,))
        (bob,) = domain.request(MAG1, BOB, mac=ALICE_SECOND_MAC)
        assert prefixes_of(bob) == (SECOND,)
