"""What operators read: every event has a name and flat JSON facts; identifiers can be hidden."""

import json
from ipaddress import IPv6Address, IPv6Network

import pytest

from mag.protocol.events import (
    AdvertisePrefixes,
    AttachmentRefused,
    Binding,
    BindingErrorReceived,
    BindingEstablished,
    BindingLost,
    BindingRefreshed,
    BindingRejected,
    DetectDuplicateAddress,
    Event,
    ForwardingInstalled,
    ForwardingResumed,
    ForwardingUnwanted,
    ForwardingWanted,
    GatewayAddressCollided,
    MessageDiscarded,
    OptionReportedMissing,
    PeerReachable,
    PeerRemoved,
    PeerRestarted,
    PeerUnable,
    PeerUnreachable,
    ProbeNode,
    ProxyBindingAcknowledgementReceived,
    ProxyBindingUpdateSent,
    QuirkApplied,
    RefusalReason,
    TunnelUnwanted,
    TunnelWanted,
    WithdrawPrefixes,
)
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.request import RequestKind
from mag.services.event_log import (
    LogEntry,
    MobileNodeIdentifierForm,
    describe,
    name_of,
    obscured,
    text_of_mn_id,
)

LMA = IPv6Address("2001:db8:0:b::1")
BINDING = Binding(
    binding_id=1,
    mn_id=b"mn1@example.net",
    access_interface="access1",
    mn_link_layer_id=bytes.fromhex("020000000001"),
    lma_address=LMA,
    state=RegistrationState.ACTIVE,
    home_network_prefixes=(IPv6Network("2001:db8:100:1::/64"),),
)
ABOUT_BINDINGS: list[tuple[Event, str]] = [
    (ProxyBindingUpdateSent(BINDING, RequestKind.REFRESH, 7, 2), "proxy_binding_update_sent"),
    (
        ProxyBindingAcknowledgementReceived(BINDING, RequestKind.REFRESH, 0, 0.0123),
        "proxy_binding_acknowledgement_received",
    ),
    (BindingEstablished(BINDING, 3600, 0.5), "binding_established"),
    (BindingRefreshed(BINDING, 3600), "binding_refreshed"),
    (BindingRejected(BINDING, 152, "PROXY_REG_NOT_ENABLED (152)", None), "binding_rejected"),
    (OptionReportedMissing(BINDING, 160), "lma_reports_missing_option"),
    (BindingLost(BINDING, LossReason.EXPIRED), "binding_lost"),
    (ForwardingWanted(BINDING), "forwarding_wanted"),
    (ForwardingInstalled(BINDING, 0.5), "forwarding_installed"),
    (ForwardingResumed(BINDING), "forwarding_resumed"),
    (ForwardingUnwanted(BINDING), "forwarding_unwanted"),
    (AdvertisePrefixes(BINDING, 7200, 3600), "router_advertisement_due"),
    (WithdrawPrefixes(BINDING, BINDING.home_network_prefixes, True), "prefix_withdrawal_due"),
    (ProbeNode(BINDING, IPv6Address("fe80::1"), 1), "node_asked_for"),
    (DetectDuplicateAddress(BINDING, IPv6Address("fe80::1")), "gateway_address_asked_for"),
    (GatewayAddressCollided(BINDING, IPv6Address("fe80::1")), "gateway_address_collided"),
]
OTHERS: list[tuple[Event, str]] = [
    (TunnelWanted(LMA), "tunnel_wanted"),
    (TunnelUnwanted(LMA), "tunnel_unwanted"),
    (AttachmentRefused(b"mn1@example.net", RefusalReason.TABLE_FULL), "attachment_refused"),
    (MessageDiscarded("bad_checksum", LMA), "message_discarded"),
    (BindingErrorReceived(LMA, 2), "binding_error_received"),
    (QuirkApplied(LMA, "no_home_registration_flag"), "lma_quirk_applied"),
    (PeerUnable(LMA, 32.0), "lma_unable"),
    (PeerUnreachable(LMA, 4), "lma_unreachable"),
    (PeerReachable(LMA), "lma_reachable"),
    (PeerRemoved(LMA), "lma_removed"),
    (PeerRestarted(LMA, 100), "lma_restarted"),
]


@pytest.mark.parametrize(("event", "name"), ABOUT_BINDINGS + OTHERS, ids=str)
def test_every_event_is_told_by_name_with_flat_json_facts(event: Event, name: str) -> None:
    entry = describe(event, {LMA: "lma1"})
    assert entry.name == name_of(type(event)) == name
    assert json.loads(json.dumps(entry.facts)) == entry.facts


def test_every_kind_of_event_is_described_here() -> None:
    assert {type(event) for event, _ in ABOUT_BINDINGS + OTHERS} == set(Event.__args__)


@pytest.mark.parametrize("event", [event for event, _ in ABOUT_BINDINGS], ids=str)
def test_entries_about_a_binding_identify_it(event: Event) -> None:
    facts = describe(event, {LMA: "lma1"}).facts
    assert (facts["mn_id"], facts["lma"], facts["access_interface"]) == (
        "mn1@example.net",
        "lma1",
        "access1",
    )
    assert facts["link_layer_address"] == "02:00:00:00:00:01"
    assert facts["home_network_prefixes"] == ["2001:db8:100:1::/64"]


def test_times_are_milliseconds() -> None:
    facts = describe(BindingEstablished(BINDING, 3600, 0.0124567), {}).facts
    assert facts["setup_ms"] == 12.457


def test_identifier_is_hidden_as_configured() -> None:
    entry = LogEntry("x", describe(*_lost()).level, {"mn_id": "mn1@example.net", "lma": "l"})
    assert obscured(entry, MobileNodeIdentifierForm.PLAIN) is entry
    assert obscured(entry, MobileNodeIdentifierForm.OFF).facts == {"lma": "l"}
    hashed = obscured(entry, MobileNodeIdentifierForm.HASHED).facts
    assert hashed["lma"] == "l"
    assert len(hashed["mn_id"]) == 12
    assert "mn1" not in hashed["mn_id"]
    assert hashed == obscured(entry, MobileNodeIdentifierForm.HASHED).facts


def test_identifier_that_is_no_text_is_shown_escaped() -> None:
    assert text_of_mn_id(b"a\xff@b") == r"a\xff@b"


def _lost() -> tuple[Event, dict[IPv6Address, str]]:
    return BindingLost(BINDING, LossReason.DETACHED), {}
