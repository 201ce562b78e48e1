"""From a sign of life on an access link to an attachment in the core: who is it, may it?"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Final

import structlog

from mag.config.model import AccessLinkSection, AttachTrigger
from mag.config.policy_directory import UnknownIdentityError
from mag.daemon.gateway_log import GatewayLog
from mag.daemon.pump import Pump
from mag.protocol.anycast_address import is_anycast_address
from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.events import RefusalReason
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.policy_profile import MAX_MN_ID_OCTETS
from mag.services.access_link import AccessLinkPort
from mag.services.anycast_answer import anycast_answer
from mag.services.event_log import Facts, Level, LogEntry, text_of_mn_id
from mag.services.gateway_control import ControlError
from mag.services.node_signal import NodeSignal
from mag.services.policy_store import PolicyStore
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS, format_link_layer_address

MUTE_S: Final = 5.0
"""Frames of a node without profile are not looked at again for so long."""
MAX_MUTED: Final = 4096
MAX_BEING_IDENTIFIED: Final = 20_000
"""Those that wait for their turn, and those that the policy store has not answered for. Who would
have to wait longer than some four seconds has asked again by then (RFC 4861 §6.3.7)."""
NEWCOMERS_PER_TURN: Final = 32
"""Taken in one turn of the loop. In the same turn everything that is under way for those before
goes on: however many want service, they get it at the pace at which it can be given."""

_log = structlog.get_logger()

_REFUSALS: Final[Mapping[RefusalReason, str]] = {
    RefusalReason.TABLE_FULL: "the binding update list is full",
    RefusalReason.UNKNOWN_LMA: "its LMA is no longer configured",
    RefusalReason.NODE_HELD: "the LMA has refused the node: `mag clear binding` lets it try again",
}


class Attachments:
    """Identifies nodes with the policy store and tells the core."""

    def __init__(
        self,
        *,
        core: MobileAccessGateway,
        pump: Pump,
        policy: PolicyStore,
        ports: Mapping[str, AccessLinkPort],
        links: Mapping[str, AccessLinkSection],
        log: GatewayLog,
        on_refusal: Callable[[str, bytes, str, float], None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """on_refusal: takes access interface, link-layer address, reason and time of day."""
        self.refused: Counter[str] = Counter()
        self.is_closed = False
        self.is_draining = False
        """Nodes that are bound are served on; no other is taken."""
        self._core = core
        self._pump = pump
        self._policy = policy
        self._ports = ports
        self._links = links
        self._gateway_address = core.settings.fixed_mag_link_layer_address
        self._log = log
        self._on_refusal = on_refusal
        self._tasks = tasks
        self._being_identified: set[tuple[str, bytes]] = set()
        self._newcomers: deque[NodeSignal] = deque()
        """Those of them that nobody has looked at yet."""
        self._is_admitting = False
        self._muted: dict[tuple[str, bytes], asyncio.TimerHandle] = {}
        self._waiting: dict[int, asyncio.Event] = {}

    @property
    def waiting(self) -> int:
        """Nodes that have asked for service and have not been looked at yet."""
        return len(self._newcomers)

    def signal(self, signal: NodeSignal) -> None:
        """A node was heard on an access link."""
        if self.is_closed or signal.access_interface not in self._links:
            return
        entry = self._core.binding_update_list.by_link(
            signal.access_interface, signal.mn_link_layer_address
        )
        if entry is None:
            if self._may_attach(signal):
                self._identify_later(signal)
            return
        now = self._pump.now()
        # As it registered: its access technology may be configured otherwise since.
        attachment = replace(entry.attachment, handoff_hint=HandoffHint.UNKNOWN)
        self._core.attach(attachment, entry.profile, now)
        self._heard(entry.binding_id, signal)
        if signal.is_router_solicitation:
            self._core.router_solicited(entry.binding_id, now, source=signal.source)
        if signal.solicited is not None:
            self._answer_for_anycast(entry, signal.source, signal.solicited)
        self._pump.wake()

    async def attach(
        self,
        access_interface: str,
        mn_link_layer_address: bytes,
        *,
        trigger: AttachTrigger,
        mn_id: bytes | None = None,
        handoff_hint: HandoffHint = HandoffHint.UNKNOWN,
        signal: NodeSignal | None = None,
    ) -> int:
        """Attach a node that policy admits; the answer is its binding id.

        signal: by which the node was noticed, if it was.
        Raises ControlError with the reason why the node gets no service.
        """
        if self.is_closed:
            raise ControlError("the gateway is stopping")
        if access_interface not in self._links:
            raise ControlError(f"{access_interface} is no access link of this gateway")
        if mn_link_layer_address == self._gateway_address:
            raise ControlError("the link-layer address is the gateway's own")
        link = self._links[access_interface]
        mn_id = mn_id or await self._identity(link, mn_link_layer_address)
        if not link.may_have(mn_id, mn_link_layer_address):
            raise ControlError(_not_there(access_interface, link))
        if mn_id is None:
            raise ControlError(
                f"policy knows no node with address "
                f"{format_link_layer_address(mn_link_layer_address)}"
            )
        profile = await self._policy.profile(mn_id, mn_link_layer_address)
        if profile is None:
            raise ControlError(f"policy has no profile for {text_of_mn_id(mn_id)}")
        attachment = self._attachment(access_interface, mn_link_layer_address, handoff_hint)

        def facts() -> Facts:
            return {
                "mn_id": text_of_mn_id(mn_id),
                **_where(access_interface, mn_link_layer_address),
                "trigger": trigger.value,
                "handoff": handoff_hint.value,
            }

        if self._log.is_of_interest(Level.DEBUG):
            self._log.note(LogEntry("attachment_detected", Level.DEBUG, facts()))
        before = self._core.binding_update_list.by_interface(mn_id, attachment)
        if before is None and self.is_draining:
            raise ControlError("the gateway is being drained")
        if before is not None and before.attachment.access_interface != access_interface:
            self.lost(before.attachment.access_interface, mn_link_layer_address)
            moved = facts() | {"from": before.attachment.access_interface}
            self._log.note(LogEntry("node_moved", Level.INFO, moved))
        refusal = self._core.attach(attachment, profile, self._pump.now())
        self._pump.wake()
        entry = self._core.binding_update_list.by_interface(mn_id, attachment)
        if entry is None:
            raise ControlError(_REFUSALS[refusal] if refusal else "the binding has ended already")
        if signal is not None:
            self._heard(entry.binding_id, signal)
        self._unmute((access_interface, mn_link_layer_address))
        self._ports[access_interface].know(mn_link_layer_address)
        return entry.binding_id

    def known(self, attachment: Attachment) -> None:
        """The node is bound: what it sends on this link is no news."""
        if port := self._ports.get(attachment.access_interface):
            port.know(attachment.mn_link_layer_id)

    async def identify(self, mn_link_layer_address: bytes) -> bytes | None:
        """The MN-Identifier behind a link-layer address, if policy knows it."""
        return await self._policy.identify(mn_link_layer_address)

    async def resolve(
        self, name: str, mn_link_layer_address: bytes | None, *, is_mn_id: bool
    ) -> bytes:
        """The stable MN-Identifier behind what somebody calls the node; see PolicyStore.

        Raises ControlError.
        """
        octets = name.encode()
        if len(octets) > MAX_MN_ID_OCTETS:
            raise ControlError(f"a name has at most {MAX_MN_ID_OCTETS} octets")
        try:
            return await self._policy.resolve(octets, mn_link_layer_address, is_mn_id=is_mn_id)
        except UnknownIdentityError as error:
            raise ControlError(f"{name}: {error}") from None

    async def has_profile(self, mn_id: bytes) -> bool:
        """Whether policy would serve the node."""
        return await self._policy.profile(mn_id, None) is not None

    def lost(self, access_interface: str, mn_link_layer_address: bytes) -> None:
        """The node is no longer bound on this link; what it sends there next is news."""
        if port := self._ports.get(access_interface):
            port.forget(mn_link_layer_address)

    def known_on(self, access_interface: str) -> set[bytes]:
        """Link-layer addresses whose frames are no news there: of bound nodes and of strangers."""
        bound = {
            entry.attachment.mn_link_layer_id
            for entry in self._core.binding_update_list
            if entry.attachment.access_interface == access_interface
        }
        return bound | {address for link, address in self._muted if link == access_interface}

    def look_again(self) -> None:
        """Those who got no service may get it now: their next frame is news."""
        for key in list(self._muted):
            self._end_of_mute(key)

    def settled(self, binding_id: int) -> None:
        """The node's packets flow, or its binding is gone: whoever waits may look again."""
        if waiter := self._waiting.pop(binding_id, None):
            waiter.set()

    async def wait_until_served(self, binding_id: int, timeout_s: float) -> None:
        """Return when the node's packets flow. Raises ControlError when they do not in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while (entry := self._core.binding_update_list.by_id(binding_id)) is not None:
                    if entry.is_forwarding:
                        return
                    await self._waiting.setdefault(binding_id, asyncio.Event()).wait()
        state = entry.state.value if entry is not None else "gone"
        raise ControlError(f"no service within {timeout_s:g} s: the binding is {state}")

    def link_down(self, access_interface: str) -> None:
        """Nobody can be on a link that is down, if the link tells."""
        link = self._links.get(access_interface)
        if link is None or AttachTrigger.LINK_STATE not in link.attach_triggers:
            return
        now = self._pump.now()
        for entry in list(self._core.binding_update_list):
            if entry.attachment.access_interface == access_interface:
                self._core.detach(entry.binding_id, now)
        self._pump.wake()

    def close(self) -> None:
        """Take no more attachments."""
        self.is_closed = True
        for timer in self._muted.values():
            timer.cancel()

    async def _identity(
        self, link: AccessLinkSection, mn_link_layer_address: bytes
    ) -> bytes | None:
        """Whose link it is, else whose address."""
        if link.mn_id is not None:
            return link.mn_id.encode()
        return await self._policy.identify(mn_link_layer_address)

    def _answer_for_anycast(
        self, entry: BindingUpdateListEntry, asker: IPv6Address, target: IPv6Address
    ) -> None:
        if entry.is_forwarding and is_anycast_address(target, entry.home_network_prefixes):
            settings, node = self._core.settings, entry.attachment.mn_link_layer_id
            answer = anycast_answer(
                asker,
                target,
                source=settings.source_towards(entry.gateway_link_local_address),
                link_layer_address=settings.link_layer_address_towards(node),
            )
            self._ports[entry.attachment.access_interface].send(answer, node)

    def _heard(self, binding_id: int, signal: NodeSignal) -> None:
        now = self._pump.now()
        self._core.node_heard(binding_id, signal.source, now, claimed=signal.claimed)

    def _attachment(
        self,
        access_interface: str,
        mn_link_layer_address: bytes,
        handoff_hint: HandoffHint = HandoffHint.UNKNOWN,
    ) -> Attachment:
        return Attachment(
            access_interface=access_interface,
            mn_link_layer_id=mn_link_layer_address,
            access_technology_type=self._links[access_interface].access_technology_type,
            handoff_hint=handoff_hint,
        )

    def _may_attach(self, signal: NodeSignal) -> bool:
        triggers = self._links[signal.access_interface].attach_triggers
        return AttachTrigger.ANY_FRAME in triggers or (
            signal.is_router_solicitation and AttachTrigger.ROUTER_SOLICITATION in triggers
        )

    def _identify_later(self, signal: NodeSignal) -> None:
        key = (signal.access_interface, signal.mn_link_layer_address)
        if key in self._being_identified or key in self._muted:
            return
        if len(self._being_identified) >= MAX_BEING_IDENTIFIED:
            self.refused["too_many_at_once"] += 1
            return
        self._being_identified.add(key)
        self._newcomers.append(signal)
        if not self._is_admitting:
            self._is_admitting = True
            asyncio.get_running_loop().call_soon(self._admit)

    def _admit(self) -> None:
        """Once in each turn of the loop, while there are newcomers."""
        self._is_admitting = bool(self._newcomers) and not self.is_closed
        if self._is_admitting:
            self._tasks.create_task(self._identify_some())
            asyncio.get_running_loop().call_soon(self._admit)

    async def _identify_some(self) -> None:
        """One after the other; where the policy store takes its time, the next turn's task goes on
        with those behind."""
        for _ in range(NEWCOMERS_PER_TURN):
            if not self._newcomers:
                return
            await self._identify(self._newcomers.popleft())

    async def _identify(self, signal: NodeSignal) -> None:
        key = (signal.access_interface, signal.mn_link_layer_address)
        try:
            await self.attach(*key, trigger=_trigger_of(signal), signal=signal)
        except ControlError as error:
            self.refused["draining" if self.is_draining else "no_service"] += 1
            self._on_refusal(*key, str(error), time.time())
            self._mute(key)
            where = _where(*key)
            refusal = where | {"reason": str(error)}
            self._log.note(LogEntry("attachment_refused", Level.INFO, refusal))
        except Exception as error:
            # One node's trouble, of whatever kind, is nobody else's.
            self.refused["internal_error"] += 1
            _log.error("attachment_failed", exc_info=error, **_where(*key))
        finally:
            self._being_identified.discard(key)

    def _mute(self, key: tuple[str, bytes]) -> None:
        """Spare the agent, and the log, a stranger's every frame."""
        if self.is_closed or len(self._muted) >= MAX_MUTED:
            return
        access_interface, address = key
        if (port := self._ports.get(access_interface)) is None:
            return
        port.know(address)
        timer = asyncio.get_running_loop().call_later(MUTE_S, self._end_of_mute, key)
        self._muted[key] = timer

    def _end_of_mute(self, key: tuple[str, bytes]) -> None:
        if self._unmute(key):
            self.lost(*key)

    def _unmute(self, key: tuple[str, bytes]) -> bool:
        timer = self._muted.pop(key, None)
        if timer is not None:
            timer.cancel()
        return timer is not None


def _where(access_interface: str, mn_link_layer_address: bytes) -> Facts:
    return {
        "access_interface": access_interface,
        "link_layer_address": format_link_layer_address(mn_link_layer_address),
    }


def _not_there(access_interface: str, link: AccessLinkSection) -> str:
    if link.mn_id is None:
        return f"on {access_interface} nodes have link-layer addresses"
    none = format_link_layer_address(NO_LINK_LAYER_ADDRESS)
    return f"{access_interface} is the link of {link.mn_id} alone, whose address there is {none}"


def _trigger_of(signal: NodeSignal) -> AttachTrigger:
    if signal.is_router_solicitation:
        return AttachTrigger.ROUTER_SOLICITATION
    return AttachTrigger.ANY_FRAME
