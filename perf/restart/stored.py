"""Bindings as a journal has them, without registering each: that takes longer than the rest."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Network

from mag.protocol.ordering import OrderingMarks
from mag.protocol.stored_binding import StoredBinding
from perf.control_plane.core import attach_all
from perf.control_plane.nodes import mac, mn_id
from perf.control_plane.template_lma import POOL

_FIRST_PREFIX = int(POOL.network_address)


def attached_at(utc: float, count: int) -> tuple[Iterator[StoredBinding], OrderingMarks | None]:
    """One that the core has registered at that moment, and others like it; the numbers reserved."""
    change = attach_all(1).core.changes_to_store(0.0, utc)
    (one,) = filter(None, change.bindings.values())
    return (_like(one, number) for number in range(count)), change.marks


def in_steady_state(utc: float, count: int) -> Iterator[StoredBinding]:
    """They came evenly and have been refreshed ever since: as many fall due in each second."""
    bindings, _ = attached_at(utc, count)
    for number, binding in enumerate(bindings):
        age_s = (binding.refresh_at - utc) * number / count
        yield replace(
            binding,
            refresh_at=binding.refresh_at - age_s,
            expires_at=binding.expires_at - age_s,
        )


def _like(one: StoredBinding, number: int) -> StoredBinding:
    prefix = IPv6Network((_FIRST_PREFIX + (number + 1 << 64), 64))
    return replace(
        one,
        binding_id=number + 1,
        mn_id=mn_id(number),
        attachment=replace(one.attachment, mn_link_layer_id=mac(number)),
        home_network_prefixes=(prefix,),
    )
