"""Bindings are extended before they end, or end with their lifetime (RFC 5213 §6.9.1.3)."""

import pytest

from mag.protocol.events import (
    AdvertisePrefixes,
    BindingLost,
    BindingRefreshed,
    ForwardingUnwanted,
    ForwardingWanted,
    TunnelUnwanted,
    WithdrawPrefixes,
)
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.registration import LossReason
from mag.wire.options import HandoffIndicatorOption, HomeNetworkPrefixOption
from protocol.conftest import MN1, establish, of_type, run_until
from support.fake_lma import FakeLma, only_option


@pytest.mark.requirement("REREG-01", "REREG-02", "REREG-03", "REREG-04")
def test_refresh_asks_for_what_was_granted_without_change_of_handoff_state(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """REREG-01 to REREG-04."""
    establish(gateway, lma)
    initial_kinds = {type(option) for option in lma.received[0].options}
    gateway.handle_timer(2880.0)
    assert lma.serve(gateway, 2880.0) == 1
    refresh = lma.received[-1]
    assert {type(option) for option in refresh.options} == initial_kinds
    assert refresh.lifetime_s == 3600
    assert only_option(refresh, HandoffIndicatorOption).handoff_indicator == 5
    assert only_option(refresh, HomeNetworkPrefixOption).prefix == lma.assigned[MN1][0]
    (refreshed,) = of_type(gateway.events(), BindingRefreshed)
    assert refreshed.lifetime_s == 3600
    (entry,) = gateway.binding_update_list
    assert entry.expires_at == pytest.approx(2880.0 + 3600.0)


def test_refresh_leaves_forwarding_and_advertisements_alone(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    establish(gateway, lma)
    gateway.handle_timer(2880.0)
    gateway.events()
    lma.serve(gateway, 2880.0)
    assert not of_type(gateway.events(), ForwardingWanted, ForwardingUnwanted, AdvertisePrefixes)


@pytest.mark.requirement("BUL-13")
def test_binding_that_cannot_be_refreshed_ends_with_its_lifetime(
    gateway: MobileAccessGateway, lma: FakeLma
) -> None:
    """BUL-13: entry, forwarding and advertisements go; the node is told."""
    establish(gateway, lma, lifetime_s=40)
    run_until(gateway, 39.9)
    assert not of_type(gateway.events(), BindingLost)
    run_until(gateway, 40.0)
    events = gateway.events()
    (lost,) = of_type(events, BindingLost)
    assert lost.reason is LossReason.EXPIRED
    assert of_type(events, WithdrawPrefixes)
    assert of_type(events, ForwardingUnwanted)
    assert of_type(events, TunnelUnwanted)
    while (deadline := gateway.get_timer()) is not None:
        gateway.handle_timer(deadline)
    assert (
        of_type(gateway.events(), WithdrawPrefixes, ForwardingWanted)
        == of_type(events, WithdrawPrefixes) * 2
    )  # that the end is told again is all that is left
