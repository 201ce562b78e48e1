"""Telling an LMA what was wrong with a message of its (RFC 6275 §9.2)."""

from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from mag.protocol.outgoing_message import OutgoingMessage
from mag.protocol.rate_limit import TokenBucket
from mag.protocol.settings import IPV6_HEADER_OCTETS
from mag.wire import mobility_header
from mag.wire.binding_error import BindingError
from mag.wire.buffer import (
    BadPayloadProtocol,
    HeaderTooShort,
    UnknownMobilityHeaderType,
    WireError,
)
from mag.wire.iana import (
    IP_PROTOCOL_ICMPV6,
    IP_PROTOCOL_MOBILITY_HEADER,
    BindingErrorStatus,
)
from mag.wire.icmpv6_error import ParameterProblem, ParameterProblemCode
from mag.wire.ipv6 import IPv6Packet

ERRORS_PER_S: Final = 10.0
ERROR_BURST: Final = 10
"""RFC 6275 §9.3.3 limits Binding Errors as ICMPv6 errors are; RFC 4443 suggests 10 a second."""


class ErrorAnswers:
    """Binding Errors and Parameter Problems, all under one limit."""

    def __init__(self, ours: IPv6Address, send: Callable[[OutgoingMessage], None]) -> None:
        """ours: the address that the messages were sent to."""
        self._ours = ours
        self._send = send
        self._pace = TokenBucket(per_s=ERRORS_PER_S, burst=ERROR_BURST)

    def answer(self, error: WireError, data: bytes, source: IPv6Address, now: float) -> None:
        """Answer a message that could not be read where the RFC says so; else keep silent.

        data: the message as it came. source: of its IPv6 header.
        """
        if isinstance(error, UnknownMobilityHeaderType):
            binding_error = BindingError(BindingErrorStatus.UNRECOGNIZED_MH_TYPE)
            answer = OutgoingMessage(
                mobility_header.encode(binding_error, self._ours, source), self._ours, source
            )
        elif isinstance(error, BadPayloadProtocol | HeaderTooShort):
            answer = self._parameter_problem(error.offset, data, source)
        else:
            return
        if self._pace.take(now):
            self._send(answer)

    def _parameter_problem(self, offset: int, data: bytes, source: IPv6Address) -> OutgoingMessage:
        """offset: of the Mobility Header.

        The IPv6 header is not handed to us: the packet is quoted as if it had no others.
        """
        packet = IPv6Packet(source, self._ours, IP_PROTOCOL_MOBILITY_HEADER, data)
        problem = ParameterProblem(
            ParameterProblemCode.ERRONEOUS_HEADER_FIELD,
            IPV6_HEADER_OCTETS + offset,
            packet.encode(),
        )
        octets = problem.encode(self._ours, source)
        return OutgoingMessage(octets, self._ours, source, IP_PROTOCOL_ICMPV6)
