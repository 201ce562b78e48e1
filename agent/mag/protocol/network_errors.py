"""What the network reports of Mobility Headers that we sent: ICMPv6 errors (RFC 6275 §11.3.5).

Anybody can make one up. So none ever makes or ends a binding, and only what quotes a PBU that is
out right now has an effect: the LMA is left alone for a while.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

from mag.protocol.binding_update_list import BindingUpdateList
from mag.protocol.events import Event, PeerUnable
from mag.protocol.lma_peer import LmaPeer
from mag.wire.iana import MobilityHeaderType
from mag.wire.icmpv6_error import ICMPv6ErrorType, ParameterProblemCode

_PROXY_BINDING_UPDATE: Final = Struct("!2xBx2xH")
"""MH Type and Sequence # of a Mobility Header."""
_NOT_CAPABLE: Final = (
    ICMPv6ErrorType.PARAMETER_PROBLEM,
    ParameterProblemCode.UNRECOGNIZED_NEXT_HEADER,
)


class NetworkErrors:
    """Counts errors by LMA, and acts on the one that says that an LMA is none."""

    def __init__(
        self, binding_update_list: BindingUpdateList, emit: Callable[[Event], None]
    ) -> None:
        self._list = binding_update_list
        self._emit = emit

    def receive(
        self,
        peer: LmaPeer,
        error: tuple[int, int],
        quoted: bytes,
        now: float,
        hold_s: float,
    ) -> None:
        """error: ICMPv6 type and code. quoted: the beginning of our Mobility Header.

        hold_s: for how long an LMA that is none gets no PBU.
        """
        peer.network_errors[error] += 1
        if error == _NOT_CAPABLE and self._is_out(peer, quoted) and not peer.updates.is_held(now):
            peer.updates.hold(now + hold_s)
            self._emit(PeerUnable(peer.address, hold_s))

    def _is_out(self, peer: LmaPeer, quoted: bytes) -> bool:
        """Whether it quotes a PBU to this LMA that waits for its answer."""
        if len(quoted) < _PROXY_BINDING_UPDATE.size:
            return False
        mh_type, sequence = _PROXY_BINDING_UPDATE.unpack_from(quoted)
        entry = self._list.by_id(peer.senders.get(sequence, 0))
        return (
            mh_type == MobilityHeaderType.BINDING_UPDATE
            and entry is not None
            and entry.lma_address == peer.address
            and any(request.sequence == sequence for request in entry.outstanding)
        )


def name_of(error: tuple[int, int]) -> str:
    """An error for people: the name of its type, and its code."""
    kind, code = error
    known = kind in set(ICMPv6ErrorType)
    return f"{ICMPv6ErrorType(kind).name.lower() if known else kind} ({code})"
