"""What the initial Proxy Binding Update of a node asks for (§6.9.1.1)."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.binding_update_list import BindingUpdateListEntry
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.request import Request
from mag.wire.iana import HandoffIndicator

_HANDOFF_INDICATORS: Final[Mapping[HandoffHint, HandoffIndicator]] = {
    HandoffHint.UNKNOWN: HandoffIndicator.UNKNOWN,
    HandoffHint.NEW_INTERFACE: HandoffIndicator.ATTACHMENT_OVER_NEW_INTERFACE,
    HandoffHint.BETWEEN_INTERFACES: HandoffIndicator.HANDOFF_BETWEEN_INTERFACES,
    HandoffHint.BETWEEN_GATEWAYS: HandoffIndicator.HANDOFF_BETWEEN_GATEWAYS,
}


_request: Final = lru_cache(256)(Request)
"""All who ask for the same share one value."""


def initial_request(
    profile: PolicyProfile,
    attachment: Attachment,
    siblings: Iterable[BindingUpdateListEntry],
    default_lifetime_s: int,
) -> Request:
    """siblings: what the node has already, the interface itself included or not."""
    lifetime_s = profile.lifetime_s or default_lifetime_s
    return _request(lifetime_s, _handoff_indicator(attachment, siblings))


def _handoff_indicator(
    attachment: Attachment, siblings: Iterable[BindingUpdateListEntry]
) -> HandoffIndicator:
    """§6.9.1.1(5): a handoff is claimed only on the word of the access network."""
    is_another_interface = any(
        entry.attachment.mn_link_layer_id != attachment.mn_link_layer_id for entry in siblings
    )
    if attachment.handoff_hint is HandoffHint.UNKNOWN and is_another_interface:
        return HandoffIndicator.ATTACHMENT_OVER_NEW_INTERFACE
    return _HANDOFF_INDICATORS[attachment.handoff_hint]
