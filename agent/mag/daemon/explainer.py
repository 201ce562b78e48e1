"""Finds out which node is meant and asks the gateway's parts why it has or has not service."""

import time
from collections.abc import Iterable
from dataclasses import asdict
from ipaddress import IPv6Address, IPv6Network

from mag.daemon.binding_explanation import Circumstances, explain_binding
from mag.daemon.explanation import (
    Explanation,
    explain_absence,
    explain_departure,
    explain_free_address,
    explain_refusal,
    explain_stranger,
)
from mag.daemon.gateway import Gateway
from mag.daemon.histories import Remark
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.registration import BindingTimer
from mag.services.event_log import text_of_mn_id
from mag.services.gateway_control import ControlError, Document
from mag.wire.ethernet import format_link_layer_address, parse_link_layer_address


class Explainer:
    """Answers `mag explain` for one gateway, at one moment."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._now = gateway.pump.now()
        self._utc = time.time()

    async def explain(self, query: str) -> Document:
        """query: an MN-Identifier, a link-layer address, or an address within a prefix."""
        if (mac := _link_layer_address(query)) is not None:
            return await self._explain_interface(query, mac)
        if (address := _address(query)) is not None:
            return self._explain_address(query, address)
        return await self._explain_node(query, await self._stable(query))

    async def _stable(self, name: str) -> bytes:
        """What policy resolves the name to; one that it cannot is explained as it is."""
        try:
            return await self._gateway.attachments.resolve(name, None, is_mn_id=True)
        except ControlError:
            return name.encode()

    async def _explain_interface(self, query: str, mac: bytes) -> Document:
        entries = [
            entry
            for entry in self._gateway.core.binding_update_list
            if entry.attachment.mn_link_layer_id == mac
        ]
        if entries:
            return self._bound(query, entries)
        if (refusal := self._gateway.histories.refusal_of(mac)) is not None:
            node = format_link_layer_address(mac)
            return _document(query, None, explain_refusal(node, refusal, self._utc))
        mn_id = await self._gateway.attachments.identify(mac)
        if mn_id is None:
            return _document(query, None, explain_stranger(query))
        return await self._explain_node(query, mn_id)

    def _explain_address(self, query: str, address: IPv6Address) -> Document:
        entries = self._gateway.core.binding_update_list.holders_of(IPv6Network(address))
        if entries:
            return self._bound(query, entries)
        return _document(query, None, explain_free_address(str(address)))

    async def _explain_node(self, query: str, mn_id: bytes) -> Document:
        gateway = self._gateway
        name = text_of_mn_id(mn_id)
        if entries := gateway.core.binding_update_list.by_mn_id(mn_id):
            return self._bound(query, entries)
        if (departure := gateway.histories.departure_of(mn_id)) is not None:
            explanation = explain_departure(departure, self._utc)
            return _document(query, name, explanation, outcomes=self._told(departure.remarks))
        if not await gateway.attachments.has_profile(mn_id):
            return _document(query, name, explain_stranger(name))
        links = ", ".join(gateway.ports)
        uptime_s = self._utc - gateway.started_at
        return _document(query, name, explain_absence(name, links, uptime_s))

    def _bound(self, query: str, entries: Iterable[BindingUpdateListEntry]) -> Document:
        """The node's own answer is that of its best binding."""
        pairs = [(entry, self._explanation_of(entry)) for entry in entries]
        rows = [self._row(*pair) for pair in pairs]
        best = max(range(len(pairs)), key=lambda each: pairs[each][1].has_service)
        entry, explanation = pairs[best]
        return _document(
            query, text_of_mn_id(entry.mn_id), explanation, rows, rows[best]["outcomes"]
        )

    def _explanation_of(self, entry: BindingUpdateListEntry) -> Explanation:
        gateway = self._gateway
        core, failure = gateway.core, gateway.forwarding.unresolved
        binding_id = entry.binding_id
        return explain_binding(
            Circumstances(
                entry=entry,
                lma=gateway.lma_names.get(entry.lma_address, str(entry.lma_address)),
                peer=core.peers[entry.lma_address],
                now=self._now,
                utc=self._utc,
                next_request_at=core.deadline(binding_id, BindingTimer.REGISTRATION),
                permitted_at=core.deadline(binding_id, BindingTimer.PERMISSION_TO_SEND),
                remarks=gateway.histories.of(binding_id),
                dataplane_failure=None if failure is None else str(failure),
                asked_again_at=core.deadline(binding_id, BindingTimer.PRESENCE),
                solicitations=core.settings.solicitations_by_link.get(
                    entry.attachment.access_interface, 0
                ),
            )
        )

    def _row(self, entry: BindingUpdateListEntry, explanation: Explanation) -> Document:
        due = self._gateway.core.deadline(entry.binding_id, BindingTimer.REGISTRATION)
        return {
            **asdict(explanation),
            "binding_id": entry.binding_id,
            "state": entry.state.value,
            "access_interface": entry.attachment.access_interface,
            "link_layer_address": format_link_layer_address(entry.attachment.mn_link_layer_id),
            "lma": self._gateway.lma_names.get(entry.lma_address, str(entry.lma_address)),
            "home_network_prefixes": [str(prefix) for prefix in entry.home_network_prefixes],
            "attempts": entry.attempts,
            "next_request_s": None if due is None else round(max(0.0, due - self._now), 1),
            "outcomes": self._told(self._gateway.histories.of(entry.binding_id)),
        }

    def _told(self, remarks: Iterable[Remark]) -> list[Document]:
        return [
            {
                "what": remark.what.value,
                "detail": remark.detail,
                "first_ago_s": round(self._utc - remark.first_at, 1),
                "last_ago_s": round(self._utc - remark.last_at, 1),
                "count": remark.count,
            }
            for remark in remarks
        ]


def _document(
    query: str,
    mn_id: str | None,
    explanation: Explanation,
    bindings: list[Document] | None = None,
    outcomes: list[Document] | None = None,
) -> Document:
    return {
        "query": query,
        "mn_id": mn_id,
        **asdict(explanation),
        "bindings": bindings or [],
        "outcomes": outcomes or [],
    }


def _link_layer_address(text: str) -> bytes | None:
    try:
        return parse_link_layer_address(text)
    except ValueError:
        return None


def _address(text: str) -> IPv6Address | None:
    try:
        return IPv6Address(text)
    except ValueError:
        return None
