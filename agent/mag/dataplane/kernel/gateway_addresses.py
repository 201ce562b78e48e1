"""Link-local addresses that single nodes know the gateway by (RFC 5213 §6.8): /128s on their link.

The link's own address is a /64 and brings the route to the nodes; the length tells the one from the
others. No duplicate address detection: whoever wants one of these has asked the node.
"""

import errno
import struct
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from typing import Final

from mag.dataplane.base import DataplaneError, Ensure, GatewayAddress, Operation
from mag.dataplane.kernel.layout import ROUTE_PROTOCOL
from mag.dataplane.kernel.netlink_channel import NetlinkChannel
from mag.dataplane.kernel.route_decoder import attributes
from mag.dataplane.kernel.route_encoder import (
    AF_INET6,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_REQUEST,
)

_NLM_F_EXCL: Final = 0x200
_RTM_NEWADDR: Final = 20
_RTM_DELADDR: Final = 21
_RTM_GETADDR: Final = 22
_IFA_ADDRESS: Final = 1
_IFA_FLAGS: Final = 8
_IFA_PROTO: Final = 11
_NO_DAD: Final = 0x02
_LINK_SCOPE: Final = 253
SINGLE_PREFIX_LENGTH: Final = 128

_REQUEST: Final = struct.Struct("=IHHIIBBBBI")
_ATTRIBUTES: Final = struct.Struct("=HH16sHHIHHB3x")
_MESSAGE: Final = struct.Struct("=BBBBI")
_SETTLED: Final = {
    _RTM_NEWADDR: (errno.EEXIST,),
    _RTM_DELADDR: (errno.EADDRNOTAVAIL, errno.ENODEV),
}


class GatewayAddresses:
    """Adds and removes them, many at a time."""

    def __init__(self, channel: NetlinkChannel) -> None:
        self._channel = channel

    def present(self, links: Mapping[int, str]) -> dict[tuple[str, IPv6Address], GatewayAddress]:
        """Those that are there. links: names of the access interfaces by index."""
        records = (
            GatewayAddress(links[index], address)
            for index, address in map(_decode, self._channel.dump(_dump()))
            if index in links and address is not None
        )
        return {record.key: record for record in records}

    def apply(
        self, operations: Sequence[Operation], interfaces: Mapping[str, int]
    ) -> list[DataplaneError | None]:
        """One outcome for each. interfaces: indices by name; one that has gone has no addresses."""
        outcomes: list[DataplaneError | None] = [None] * len(operations)
        sent: list[tuple[int, int, bytes]] = []
        for position, operation in enumerate(operations):
            record = operation.record
            if not isinstance(record, GatewayAddress):
                raise TypeError(f"not an operation on an address: {operation}")
            kind = _RTM_NEWADDR if isinstance(operation, Ensure) else _RTM_DELADDR
            index = interfaces.get(record.access_interface)
            if index is not None:
                sent.append((position, kind, _change(kind, record.address, index)))
            elif kind == _RTM_NEWADDR:
                outcomes[position] = DataplaneError(
                    "find interface", "no such interface", target=record.access_interface
                )
        failures = self._channel.execute([message for _, _, message in sent])
        for number, code in failures.items():
            position, kind, _ = sent[number]
            if code not in _SETTLED[kind]:
                outcomes[position] = _failure(operations[position], code)
        return outcomes


def _change(kind: int, address: IPv6Address, index: int) -> bytes:
    flags = NLM_F_REQUEST | (NLM_F_CREATE | _NLM_F_EXCL if kind == _RTM_NEWADDR else 0)
    length = _REQUEST.size + _ATTRIBUTES.size
    head = (AF_INET6, SINGLE_PREFIX_LENGTH, 0, _LINK_SCOPE, index)
    return _REQUEST.pack(length, kind, flags, 0, 0, *head) + _ATTRIBUTES.pack(
        *(20, _IFA_ADDRESS, address.packed),
        *(8, _IFA_FLAGS, _NO_DAD),
        *(5, _IFA_PROTO, ROUTE_PROTOCOL),
    )


def _dump() -> bytes:
    flags = NLM_F_REQUEST | NLM_F_DUMP
    return _REQUEST.pack(_REQUEST.size, _RTM_GETADDR, flags, 0, 0, AF_INET6, 0, 0, 0, 0)


def _decode(body: bytes) -> tuple[int, IPv6Address | None]:
    """Interface index and address; None for what is no such address of ours."""
    _, prefix_length, _, scope, index = _MESSAGE.unpack_from(body)
    if prefix_length != SINGLE_PREFIX_LENGTH or scope != _LINK_SCOPE:
        return index, None
    found = attributes(body, _MESSAGE.size)
    is_ours = found.get(_IFA_PROTO, b"")[:1] == bytes([ROUTE_PROTOCOL])
    return index, IPv6Address(found[_IFA_ADDRESS]) if is_ours else None


def _failure(operation: Operation, code: int) -> DataplaneError:
    what = "add address" if isinstance(operation, Ensure) else "delete address"
    record = operation.record
    target = str(record.address) if isinstance(record, GatewayAddress) else ""
    return DataplaneError(what, errno.errorcode.get(code, str(code)), target=target)
