"""Which link-local address each node knows the gateway by (RFC 5213 §6.8, §6.9.1.2(15)).

In a domain without a fixed one the LMA makes it and gives it to every gateway of the session. It is
used at once, and the node is asked for it: if it is the node's own, the gateway takes another,
after duplicate address detection, and tells the LMA.
"""

import random
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from mag.protocol.binding_timers import BindingTimers
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.events import DetectDuplicateAddress, Event, GatewayAddressCollided
from mag.protocol.presence import RETRANS_TIMER_S
from mag.protocol.registration import BindingTimer, RegistrationInput
from mag.protocol.registration_machine import RegistrationMachine
from mag.protocol.request import OutstandingRequest
from mag.protocol.service import BindingService, snapshot
from mag.protocol.settings import ProtocolSettings
from mag.protocol.unstored_changes import UnstoredChanges

_UNKNOWN: Final = IPv6Address("::")
_PREFIX: Final = int(IPv6Address("fe80::"))
_INTERFACE_ID_BITS: Final = 64


class GatewayAddresses:
    """Takes what the LMA gives, and yields what is the node's."""

    def __init__(
        self,
        settings: ProtocolSettings,
        *,
        timers: BindingTimers,
        machine: RegistrationMachine,
        service: BindingService,
        unstored: UnstoredChanges,
        rng: random.Random,
        emit: Callable[[Event], None],
    ) -> None:
        self._are_given = settings.has_link_local_addresses_from_lma
        self._timers = timers
        self._machine = machine
        self._service = service
        self._unstored = unstored
        self._rng = rng
        self._emit = emit
        self.collisions = 0
        """Of nodes that had the address which was to be ours."""

    def granted(self, entry: BindingUpdateListEntry, given: IPv6Address | None, now: float) -> None:
        """An accepting PBA has this address, `::` or none."""
        if not self._are_given or entry.tentative_link_local_address is not None:
            return
        if given is None or given == _UNKNOWN:
            if entry.gateway_link_local_address == _UNKNOWN:
                self._look_for_another(entry, now)  # the LMA has none for us
        elif given == entry.gateway_link_local_address:
            return
        elif given in (entry.node_address, entry.collided_link_local_address):
            if entry.gateway_link_local_address == _UNKNOWN:
                self._yield(entry, given, now)
        else:
            self._take(entry, given, now)
            self._emit(DetectDuplicateAddress(snapshot(entry), given))

    def upload_unless_told(
        self,
        entry: BindingUpdateListEntry,
        outstanding: OutstandingRequest,
        given: IPv6Address | None,
        now: float,
    ) -> None:
        """The request that was answered had an older address than ours, and so has the LMA."""
        ours = entry.gateway_link_local_address
        if self._are_given and ours not in (_UNKNOWN, outstanding.link_local_address, given):
            self._machine.apply(entry, RegistrationInput.ADDRESS_CHANGED, now)

    def heard(
        self,
        entry: BindingUpdateListEntry,
        source: IPv6Address | None,
        claimed: IPv6Address | None,
        now: float,
    ) -> IPv6Address | None:
        """The node sent from an address, says that it has one, or from `::` that it will have it.

        What it is only about to take and is ours, it is told of by the packet path, and does not
        take (RFC 4862 §5.4.3). Returns what to remember as the node's.
        """
        if not self._are_given:
            return source
        is_about_to_take = source is not None and source.is_unspecified
        used = (source,) if is_about_to_take else (source, claimed)
        ours, tentative = entry.gateway_link_local_address, entry.tentative_link_local_address
        if tentative is not None and tentative in (source, claimed):
            self._give_up(entry)
        elif ours != _UNKNOWN and ours in used:
            self._yield(entry, ours, now)
            return ours
        return claimed if claimed is not None and claimed not in (ours, tentative) else source

    def not_asked(self, entry: BindingUpdateListEntry) -> None:
        """The last question could not be sent: its silence says nothing."""
        if entry.tentative_link_local_address is not None:
            self._give_up(entry)

    def time_is_up(self, entry: BindingUpdateListEntry, now: float) -> None:
        """The tentative address is ours if nobody has answered for it; the LMA is told."""
        address = entry.tentative_link_local_address
        if address is None or address == _UNKNOWN:
            self._look_for_another(entry, now)
            return
        entry.tentative_link_local_address = None
        self._take(entry, address, now)
        self._machine.apply(entry, RegistrationInput.ADDRESS_CHANGED, now)

    def _yield(self, entry: BindingUpdateListEntry, address: IPv6Address, now: float) -> None:
        self.collisions += 1
        entry.collided_link_local_address = address
        self._emit(GatewayAddressCollided(snapshot(entry), address))
        if entry.gateway_link_local_address == address:
            self._take(entry, _UNKNOWN, now)
        self._look_for_another(entry, now)

    @staticmethod
    def _give_up(entry: BindingUpdateListEntry) -> None:
        """The tentative address: another is sought when the time is up, not sooner, or a node that
        answers for every address would have us ask without end."""
        entry.tentative_link_local_address = _UNKNOWN

    def _look_for_another(self, entry: BindingUpdateListEntry, now: float) -> None:
        address = IPv6Address(_PREFIX | self._rng.getrandbits(_INTERFACE_ID_BITS))
        entry.tentative_link_local_address = address
        self._timers.set(entry, BindingTimer.ADDRESS_DETECTION, now + RETRANS_TIMER_S)
        self._emit(DetectDuplicateAddress(snapshot(entry), address))

    def _take(self, entry: BindingUpdateListEntry, address: IPv6Address, now: float) -> None:
        self._service.readdress(entry, address, now)
        self._unstored.note(entry)
