"""What an access link says of a mobile node that appeared on it."""

from enum import StrEnum

from mag.frozen import frozen
from mag.wire.iana import AccessTechnologyType


class HandoffHint(StrEnum):
    """What the access network knows of the move; PMIPv6 itself knows nothing (RFC 5213 §6.9.1.1).

    Only an outside source may claim a handoff, so UNKNOWN is what every packet trigger gives.
    """

    UNKNOWN = "unknown"
    NEW_INTERFACE = "new_interface"
    BETWEEN_INTERFACES = "between_interfaces"
    BETWEEN_GATEWAYS = "between_gateways"


@frozen
class Attachment:
    """A mobile node's interface on one of our access links."""

    access_interface: str
    """Name of the access link's interface: the if-id of RFC 5213 §6.1."""
    mn_link_layer_id: bytes
    """The node's link-layer identifier; empty when the link has none."""
    access_technology_type: AccessTechnologyType
    handoff_hint: HandoffHint = HandoffHint.UNKNOWN
