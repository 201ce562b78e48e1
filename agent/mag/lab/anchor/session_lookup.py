"""Which mobility session a registration is about (RFC 5213 §5.4.1)."""

from mag.frozen import frozen
from mag.lab.anchor.binding_cache import BindingCache, BindingCacheEntry
from mag.lab.anchor.registration_request import RegistrationRequest
from mag.wire.iana import BindingStatus, HandoffIndicator

_SAME_SESSION_MOVED = (
    HandoffIndicator.HANDOFF_BETWEEN_INTERFACES,
    HandoffIndicator.HANDOFF_BETWEEN_GATEWAYS,
    HandoffIndicator.NOT_CHANGED,
)


@frozen
class ExistingSession:
    """The registration updates this entry."""

    entry: BindingCacheEntry


@frozen
class NewSession:
    """The registration makes a new entry."""


@frozen
class WaitForDeregistration:
    """It may be a handoff: the answer waits for the old gateway's word (§5.4.1, HI = 4)."""

    entry: BindingCacheEntry
    """What it would be a handoff of."""


@frozen
class Refused:
    """The registration contradicts the Binding Cache."""

    status: BindingStatus


Found = ExistingSession | NewSession | WaitForDeregistration | Refused


def find_session(cache: BindingCache, request: RegistrationRequest) -> Found:
    """Apply the lookup rules; which of them depends on what the request knows."""
    if request.home_network_prefixes:
        return _by_prefixes(cache, request)
    sessions = cache.of_node(request.mn_id)
    same_interface = [entry for entry in sessions if _is_same_interface(entry, request)]
    if same_interface:
        return ExistingSession(same_interface[0])
    return _by_handoff_indicator(sessions, request)


def _by_prefixes(cache: BindingCache, request: RegistrationRequest) -> Found:
    """§5.4.1.1: a prefix names its session; owner and the whole set must agree."""
    for prefix in request.home_network_prefixes:
        entry = cache.with_prefix(prefix)
        if entry is None:
            continue
        if entry.mn_id != request.mn_id:
            return Refused(BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX)
        if set(entry.home_network_prefixes) != set(request.home_network_prefixes):
            return Refused(BindingStatus.BCE_PBU_PREFIX_SET_DO_NOT_MATCH)
        return ExistingSession(entry)
    return NewSession()


def _is_same_interface(entry: BindingCacheEntry, request: RegistrationRequest) -> bool:
    """§5.4.1.2: technology and a known link-layer identifier tell interfaces apart."""
    return (
        bool(request.mn_link_layer_id)
        and entry.mn_link_layer_id == request.mn_link_layer_id
        and entry.access_technology_type == request.access_technology_type
    )


def _by_handoff_indicator(
    sessions: tuple[BindingCacheEntry, ...], request: RegistrationRequest
) -> Found:
    """§5.4.1.2, §5.4.1.3: one other session of the node may be the one that moved."""
    if len(sessions) != 1:
        return NewSession()
    (entry,) = sessions
    if request.handoff_indicator in _SAME_SESSION_MOVED:
        return ExistingSession(entry)
    if request.handoff_indicator == HandoffIndicator.UNKNOWN:
        return ExistingSession(entry) if entry.is_deregistered else WaitForDeregistration(entry)
    return NewSession()
