"""Stored bindings as rows of the journal's table, and back."""

import functools
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, IPv6Network
from typing import Any, Final

from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.hold import Hold
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.stored_binding import StoredBinding
from mag.services.address_text import format_address, format_prefix
from mag.wire.iana import AccessTechnologyType

COLUMNS: Final = (
    "binding_id",
    "mn_id",
    "lma_address",
    "access_interface",
    "mn_link_layer_id",
    "access_technology_type",
    "handoff_hint",
    "state",
    "requested_prefixes",
    "home_network_prefixes",
    "lifetime_s",
    "expires_at",
    "refresh_at",
    "last_sequence",
    "last_status",
    "hold_reason",
    "hold_status",
    "hold_is_of_node",
    "loss_reason",
    "node_address",
    "gateway_link_local_address",
)

Row = tuple[Any, ...]


def row_of(binding: StoredBinding) -> Row:
    """Values in the order of COLUMNS. Addresses are text: an operator reads the file too."""
    attachment, hold = binding.attachment, binding.hold
    return (
        binding.binding_id,
        binding.mn_id,
        format_address(binding.lma_address),
        attachment.access_interface,
        attachment.mn_link_layer_id,
        int(attachment.access_technology_type),
        attachment.handoff_hint.value,
        binding.state.value,
        _prefixes_as_text(binding.requested_prefixes),
        _prefixes_as_text(binding.home_network_prefixes),
        binding.lifetime_s,
        binding.expires_at,
        binding.refresh_at,
        binding.last_sequence,
        binding.last_status,
        hold.reason if hold else None,
        hold.status if hold else None,
        hold.is_of_node if hold else False,
        binding.loss_reason.value,
        _text_or_none(binding.node_address),
        _text_or_none(binding.gateway_link_local_address),
    )


def binding_of(row: Row) -> StoredBinding:
    """A binding of a row. Raises ValueError or TypeError for what is none."""
    values = dict(zip(COLUMNS, row, strict=True))
    return StoredBinding(
        binding_id=_whole(values["binding_id"]),
        mn_id=bytes(values["mn_id"]),
        lma_address=_lma_address(values["lma_address"]),
        attachment=Attachment(
            access_interface=str(values["access_interface"]),
            mn_link_layer_id=bytes(values["mn_link_layer_id"]),
            access_technology_type=AccessTechnologyType(values["access_technology_type"]),
            handoff_hint=HandoffHint(values["handoff_hint"]),
        ),
        state=RegistrationState(values["state"]),
        requested_prefixes=_prefixes_of_text(values["requested_prefixes"]),
        home_network_prefixes=_prefixes_of_text(values["home_network_prefixes"]),
        lifetime_s=_whole(values["lifetime_s"]),
        expires_at=float(values["expires_at"]),
        refresh_at=float(values["refresh_at"]),
        last_sequence=_whole_or_none(values["last_sequence"]),
        last_status=_whole_or_none(values["last_status"]),
        hold=_hold(values),
        loss_reason=LossReason(values["loss_reason"]),
        node_address=_address_or_none(values["node_address"]),
        gateway_link_local_address=_address_or_none(values["gateway_link_local_address"]),
    )


def _hold(values: Mapping[str, Any]) -> Hold | None:
    if values["hold_reason"] is None:
        return None
    return Hold(
        str(values["hold_reason"]),
        _whole_or_none(values["hold_status"]),
        is_of_node=bool(values["hold_is_of_node"]),
    )


def _text_or_none(address: IPv6Address | None) -> str | None:
    return None if address is None else format_address(address)


def _address_or_none(text: str | None) -> IPv6Address | None:
    return IPv6Address(text) if text else None


def _prefixes_as_text(prefixes: Sequence[IPv6Network]) -> str:
    return " ".join([format_prefix(prefix) for prefix in prefixes]) if prefixes else ""


def _prefixes_of_text(text: str) -> tuple[IPv6Network, ...]:
    return tuple(map(_prefix, text.split()))


def _prefix(text: str) -> IPv6Network:
    address, _, length = text.partition("/")
    try:  # as the system reads it: a fifth of the time that IPv6Network takes for text
        packed = socket.inet_pton(socket.AF_INET6, address)
    except OSError:
        raise ValueError(f"{text!r} is no prefix") from None
    return IPv6Network((packed, int(length)))


@functools.lru_cache(maxsize=64)
def _lma_address(text: str) -> IPv6Address:
    """Few, and in every row."""
    return IPv6Address(text)


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _whole_or_none(value: Any) -> int | None:
    return None if value is None else _whole(value)
