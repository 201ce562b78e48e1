"""`mag plan`, `mag reload` and SIGHUP: a file, what it would change, and its application."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mag.config.difference import Change, differences
from mag.config.loader import load, parse
from mag.config.messages import ConfigError, ConfigUnreadable
from mag.config.model import Configuration
from mag.config.reloading import takes_effect
from mag.daemon.gateway import Gateway
from mag.daemon.reconfiguration import Reconfiguration, ReconfigurationError
from mag.daemon.session_effects import SessionEffects
from mag.services.event_log import Facts, Level, LogEntry, text_of_mn_id
from mag.services.gateway_control import ControlError, Document
from mag.steps import in_steps
from mag.wire.ethernet import format_link_layer_address

MAX_SESSIONS_TOLD: Final = 10_000
"""Of one plan, by name; all of them are counted."""


class Reload:
    """Compares files with the running configuration of one gateway, and takes its own anew."""

    def __init__(self, gateway: Gateway, file: Path) -> None:
        """file: what the gateway was started with, and takes again."""
        self.file = file.absolute()
        self._gateway = gateway
        self._reconfiguration = Reconfiguration(gateway)
        self._turn = asyncio.Lock()
        gateway.on_binding_lost = lambda binding, _: self._reconfiguration.binding_lost(binding)

    async def plan(self, octets: bytes, source: str) -> Document:
        """What taking this text would change; nothing is. Raises ControlError for its faults."""
        try:
            new = await asyncio.to_thread(parse, octets, source)
        except ConfigError as error:
            raise ControlError(str(error)) from None
        changes = await asyncio.to_thread(differences, self._gateway.configuration, new)
        effects = [each async for each in self._reconfiguration.effects(new)]
        return await self._document(changes, effects, await _tally(effects))

    async def reload(self) -> Document:
        """Take the gateway's own file again, and say what that changed.

        Raises ControlError, and nothing has changed, when the file has faults, changes what needs
        a restart, or names what cannot be had. All of it is logged.
        """
        if not self._gateway.is_open.is_set() or self._gateway.attachments.is_closed:
            raise ControlError("the gateway is starting or stopping")
        if self._gateway.attachments.is_draining:
            raise ControlError("the gateway is being drained; `mag undrain` first")
        async with self._turn:
            try:
                changes, effects = await self._take()
            except ControlError as error:
                self._gateway.reloads["refused"] += 1
                facts = {"file": str(self.file), "reason": str(error)}
                self._gateway.log.note(LogEntry("reload_refused", Level.ERROR, facts))
                raise
            self._gateway.reloads["applied"] += 1
            tally = await _tally(effects)
            self._log(changes, tally)
            return await self._document(changes, effects, tally)

    async def _take(self) -> tuple[tuple[Change, ...], list[SessionEffects]]:
        try:
            new = await asyncio.to_thread(load, self.file)
            running = self._gateway.configuration
            changes = await asyncio.to_thread(differences, running, new)
            _refuse_what_needs_a_restart(changes)
            return changes, await self._apply(changes, new)
        except (ConfigError, ConfigUnreadable, ReconfigurationError) as error:
            raise ControlError(f"nothing is changed: {error}") from None

    async def _apply(self, changes: tuple[Change, ...], new: Configuration) -> list[SessionEffects]:
        return await self._reconfiguration.apply(new) if changes else []

    def _log(self, changes: tuple[Change, ...], tally: Counter[str]) -> None:
        """One line for each change and one for the whole: the cause of what follows."""
        note = self._gateway.log.note
        for change in changes:
            facts: Facts = {"path": change.path, "kind": change.kind.value}
            note(LogEntry("configuration_changed", Level.INFO, facts))
        facts = {"file": str(self.file), "changes": len(changes), "sessions": dict(tally)}
        note(LogEntry("configuration_reloaded", Level.INFO, facts))

    async def _document(
        self, changes: Iterable[Change], effects: list[SessionEffects], tally: Counter[str]
    ) -> Document:
        rows = [_change_row(change) for change in changes]
        touched = [each for each in effects if each.effects]
        told = touched[:MAX_SESSIONS_TOLD]
        return {
            "can_apply": not any(row["obstacle"] for row in rows),
            "changes": rows,
            "bindings": len(self._gateway.core.binding_update_list),
            "effects": dict(tally),
            "sessions": [_session_row(each, self._gateway) async for each in in_steps(told)],
            "sessions_left_off": max(0, len(touched) - MAX_SESSIONS_TOLD),
        }


def _refuse_what_needs_a_restart(changes: Iterable[Change]) -> None:
    obstacles = [f"{each.path}: {each.obstacle}" for each in changes if each.obstacle]
    if obstacles:
        raise ReconfigurationError(f"a restart is needed for {'; '.join(obstacles)}")


async def _tally(effects: Iterable[SessionEffects]) -> Counter[str]:
    """How many sessions each effect is on."""
    return Counter([effect.value async for each in in_steps(effects) for effect in each.effects])


def _change_row(change: Change) -> Document:
    return {
        "path": change.path,
        "kind": change.kind.value,
        "old": change.old,
        "new": change.new,
        "takes_effect": takes_effect(change.location),
        "obstacle": change.obstacle,
    }


def _session_row(session: SessionEffects, gateway: Gateway) -> Document:
    entry = session.entry
    return {
        "mn_id": text_of_mn_id(entry.mn_id),
        "access_interface": entry.attachment.access_interface,
        "link_layer_address": format_link_layer_address(entry.attachment.mn_link_layer_id),
        "lma": gateway.lma_name(entry.lma_address),
        "effects": {effect.value: why for effect, why in session.effects.items()},
    }
