"""Takes the link to a single node down when its session ends (RFC 5213 §6.9.1.4), and up again.

Only where nobody else is on the link, as the configuration says. The node then drops what it had
configured there, which no Router Advertisement can make it do at once (RFC 4862 §5.5.3).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from mag.config.model import AccessLinkSection
from mag.protocol.events import (
    Binding,
    BindingLost,
    BindingRejected,
    Event,
    ForwardingWanted,
    ProxyBindingUpdateSent,
)
from mag.protocol.registration import RegistrationState
from mag.services.event_log import Level, LogEntry

ENDED: Final = "session_ended"
REFUSED: Final = "refused"


class LinkReset:
    """Watches the sessions on access links of single nodes."""

    KINDS: ClassVar[tuple[type[Event], ...]] = (
        ProxyBindingUpdateSent,
        ForwardingWanted,
        BindingRejected,
        BindingLost,
    )
    """Of events that are of interest here."""

    def __init__(
        self,
        *,
        links: Mapping[str, AccessLinkSection],
        is_up: Callable[[str], bool],
        set_up: Callable[[str, bool], None],
        note: Callable[[LogEntry], None],
    ) -> None:
        """links: those that take nodes, by interface. set_up: takes an interface down or up."""
        self._links = links
        self._is_up = is_up
        self._set_up = set_up
        self._note = note
        self._link_of: dict[int, str] = {}
        """Where each binding is that is on a link of a single node, by binding id."""
        self._in_use: Counter[str] = Counter()
        """How many bindings are on each such link."""
        self._refused: set[int] = set()
        self._down: dict[str, asyncio.TimerHandle] = {}

    def take(self, event: Event) -> None:
        """Something happened to a session."""
        match event:
            case ProxyBindingUpdateSent(binding=binding) | ForwardingWanted(binding=binding):
                self._locate(binding)
            case BindingRejected(binding=binding) if binding.state is RegistrationState.HELD:
                self._refuse(binding)
            case BindingLost(binding=binding):
                self._end(binding)

    def is_down(self, interface: str) -> bool:
        """Whether it has been taken down, for a while."""
        return interface in self._down

    def close(self) -> None:
        """Give up; whoever takes the links back brings them up."""
        for timer in self._down.values():
            timer.cancel()

    def _locate(self, binding: Binding) -> None:
        self._leave(binding)
        link = self._links.get(binding.access_interface)
        if link is not None and link.single_node:
            self._link_of[binding.binding_id] = binding.access_interface
            self._in_use[binding.access_interface] += 1

    def _leave(self, binding: Binding) -> str | None:
        interface = self._link_of.pop(binding.binding_id, None)
        if interface is not None:
            self._in_use[interface] -= 1
        return interface

    def _refuse(self, binding: Binding) -> None:
        """Once: that a refused node comes back is no reason to take the link from it again."""
        link = self._links.get(self._link_of.get(binding.binding_id, ""))
        if link is None or not link.down_after_rejection or binding.binding_id in self._refused:
            return
        self._refused.add(binding.binding_id)
        self._take_down(binding.access_interface, REFUSED)

    def _end(self, binding: Binding) -> None:
        self._refused.discard(binding.binding_id)
        interface = self._leave(binding)
        if interface is not None and not self._in_use[interface]:
            self._take_down(interface, ENDED)

    def _take_down(self, interface: str, why: str) -> None:
        link = self._links.get(interface)
        if link is None or interface in self._down or not self._is_up(interface):
            return
        facts = {"access_interface": interface, "reason": why, "down_s": link.down_s}
        self._note(LogEntry("access_link_reset", Level.INFO, facts))
        self._set_up(interface, False)
        loop = asyncio.get_running_loop()
        self._down[interface] = loop.call_later(link.down_s, self._bring_up, interface)

    def _bring_up(self, interface: str) -> None:
        del self._down[interface]
        if interface in self._links:
            self._set_up(interface, True)
