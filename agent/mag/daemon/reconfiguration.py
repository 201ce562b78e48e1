"""Applies another configuration to a gateway that serves: what may fail first, then all of it.

An access link may not be there, or not be given to us; whatever else changes cannot fail. So new
links are made before anything is touched, and if one cannot be had nothing has changed. Then, in
one turn of the loop: prune (links that go), create (LMAs, links, profiles), sync (values of what
stays); and after it, in steps, each session that was there then is looked at and follows.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Final

from mag.config.model import Configuration
from mag.daemon.gateway import Gateway
from mag.daemon.session_effects import Effect, SessionEffects, effects_on_sessions
from mag.dataplane.base import DataplaneError
from mag.protocol.events import Binding
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.turns import Turns
from mag.services.access_link import AccessLinkError, AccessLinkPort
from mag.services.log_setup import configure_logging

READVERTISEMENTS_PER_S: Final = 500.0
"""Router Advertisements to nodes after a change of what they say."""


class ReconfigurationError(Exception):
    """Something outside the configuration stands in the way; nothing has changed."""


class Reconfiguration:
    """Changes the configuration of one gateway; one change at a time, the caller sees to that."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._leaving_links: dict[str, set[int]] = {}
        """Access links that are given up, and the binding ids that are still on them."""

    def effects(self, new: Configuration) -> AsyncIterator[SessionEffects]:
        """What `apply` would do to sessions that are there now."""
        gateway = self._gateway
        return effects_on_sessions(gateway.core.binding_update_list, gateway.configuration, new)

    async def apply(self, new: Configuration) -> list[SessionEffects]:
        """Go over to this configuration, which must differ in nothing that needs a restart.

        Returns what happens to sessions. Raises ReconfigurationError.
        """
        records = [
            self._gateway.access_link(name, link)
            for name, link in new.access_links.items()
            if name not in self._gateway.links
        ]
        try:
            await self._gateway.forwarding.add_links(records)
        except DataplaneError as error:
            raise ReconfigurationError(str(error)) from None
        with ExitStack() as if_it_fails:
            for record in records:
                if_it_fails.callback(self._gateway.forwarding.unwant_link, record.interface)
            ports = self._open_ports(new, if_it_fails)
            self._change_hearing(new, if_it_fails)
            if_it_fails.pop_all()
        effects = self.effects(new)
        leaving = self._prune(new)
        self._create(new, ports)
        self._sync(new)
        changed = await self._change_sessions(effects)
        self._leave_links(leaving, changed)
        return changed

    def binding_lost(self, binding: Binding) -> None:
        """Give up a link when the last of its sessions has ended."""
        for interface, binding_ids in list(self._leaving_links.items()):
            binding_ids.discard(binding.binding_id)
            if not binding_ids:
                self._give_up_link(interface)

    # What may fail

    def _open_ports(self, new: Configuration, if_it_fails: ExitStack) -> dict[str, AccessLinkPort]:
        gateway = self._gateway
        ports: dict[str, AccessLinkPort] = {}
        for name, link in new.access_links.items():
            if name in gateway.ports:
                continue
            port = gateway.make_port(name, link)
            if_it_fails.callback(port.close)
            self._attempt(partial(port.open, gateway.attachments.signal))
            ports[name] = port
        return ports

    def _change_hearing(self, new: Configuration, if_it_fails: ExitStack) -> None:
        gateway = self._gateway
        for name, link in new.access_links.items():
            before = gateway.configuration.access_links.get(name)
            if before is None or before.hears_unknown_sources == link.hears_unknown_sources:
                continue
            known = gateway.attachments.known_on(name)
            hear = partial(gateway.ports[name].hear, known=known)
            self._attempt(partial(hear, unknown_sources=link.hears_unknown_sources))
            if_it_fails.callback(hear, unknown_sources=before.hears_unknown_sources)

    @staticmethod
    def _attempt(step: Callable[[], None]) -> None:
        try:
            step()
        except AccessLinkError as error:
            raise ReconfigurationError(str(error)) from None

    # What cannot fail

    def _prune(self, new: Configuration) -> set[str]:
        """No session begins on a link that goes; returns which those are."""
        leaving = set(self._gateway.links) - set(new.access_links)
        for name in leaving:
            del self._gateway.links[name]
        return leaving

    def _leave_links(self, leaving: set[str], changed: list[SessionEffects]) -> None:
        """Give up those without sessions now, others with their last."""
        for name in leaving:
            self._leaving_links[name] = set()
        for entry in (each.entry for each in changed):
            link = entry.attachment.access_interface
            if link in leaving and entry.state is not RegistrationState.GONE:
                self._leaving_links[link].add(entry.binding_id)
        for name in leaving:
            if not self._leaving_links[name]:
                self._give_up_link(name)

    def _give_up_link(self, interface: str) -> None:
        gateway = self._gateway
        del self._leaving_links[interface]
        gateway.forget_link(interface)

    def _create(self, new: Configuration, ports: dict[str, AccessLinkPort]) -> None:
        gateway, now = self._gateway, self._gateway.pump.now()
        for lma_name, lma in new.lmas.items():
            gateway.lma_names[lma.address] = lma_name
        gateway.ports.update(ports)
        gateway.links.update(new.access_links)
        for interface in new.access_links:  # one that was given up a moment ago may be back
            self._leaving_links.pop(interface, None)
        gateway.core.reconfigure(new.protocol_settings(), new.lma_settings(), now)
        gateway.transport.reach(gateway.core.peers)
        gateway.policy.reconfigure(new.policy_directory)
        gateway.clock.reconfigure(new.protocol)

    def _sync(self, new: Configuration) -> None:
        gateway, old = self._gateway, self._gateway.configuration
        gateway.configuration = new
        for lma in new.lmas.values():
            before = gateway.tunnel_mtus.get(lma.address)
            gateway.tunnel_mtus[lma.address] = lma.tunnel_mtu_octets
            if before is None or before == lma.tunnel_mtu_octets:
                continue
            if gateway.core.peers[lma.address].serving_bindings:
                gateway.forwarding.want_tunnel(lma.address)
        gateway.log.reconfigure(new.log)
        if (old.log.level, old.log.format) != (new.log.level, new.log.format):
            gateway.log.write_entry = configure_logging(new.log.level, new.log.format)
        if old.access_links.keys() != new.access_links.keys():
            gateway.link_watch.open()
        if (old.policy, old.access_links) != (new.policy, new.access_links):
            gateway.attachments.look_again()
            for interface in new.access_links:
                gateway.waker.wake(interface)
        gateway.pump.wake()

    async def _change_sessions(
        self, effects: AsyncIterator[SessionEffects]
    ) -> list[SessionEffects]:
        """Each at its own time, so that neither LMAs nor links get all of it at once."""
        core, pump = self._gateway.core, self._gateway.pump
        begun = pump.now()
        turns, tellings = Turns(core.peers), count()
        changed = []
        async for session in effects:
            changed.append(session)
            binding_id, lma_address = session.entry.binding_id, session.entry.lma_address
            now = pump.now()
            if session.profile is None:
                after_s = _left(begun + turns.next_s(lma_address), now)
                core.dismiss(binding_id, LossReason.RECONFIGURED, now, after_s=after_s)
            else:
                is_moving = Effect.REGISTERED_ANEW in session.effects
                after_s = _left(begun + turns.next_s(lma_address), now) if is_moving else 0.0
                core.change_profile(binding_id, session.profile, now, after_s=after_s)
            if Effect.ADVERTISED_AGAIN in session.effects:
                after_s = _left(begun + next(tellings) / READVERTISEMENTS_PER_S, now)
                core.advertise_again(binding_id, now, after_s=after_s)
            pump.wake()
        return changed


def _left(due: float, now: float) -> float:
    return max(0.0, due - now)
