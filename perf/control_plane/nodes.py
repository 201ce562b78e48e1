"""Mobile nodes by number, as an access link and a policy store would tell of them."""

from ipaddress import IPv6Address
from typing import Final

from mag.protocol.attachment import Attachment
from mag.protocol.policy_profile import PolicyProfile
from mag.wire.iana import AccessTechnologyType

PROXY_CARE_OF_ADDRESS: Final = IPv6Address("2001:db8:0:a::1")
LMA_ADDRESS: Final = IPv6Address("2001:db8:0:b::1")
ACCESS_INTERFACE: Final = "access"
_FIRST_MAC: Final = 0x02_00_00_00_00_00


def mac(number: int) -> bytes:
    """The node's link-layer address."""
    return (_FIRST_MAC + number).to_bytes(6, "big")


def mn_id(number: int) -> bytes:
    """The node's identifier, an NAI of common length."""
    return b"%015d@nai.epc.example.org" % number


def attachment(number: int) -> Attachment:
    """The node on our access link."""
    return Attachment(ACCESS_INTERFACE, mac(number), AccessTechnologyType.IEEE_802_11)


def profile(number: int) -> PolicyProfile:
    """Made anew for each node, as a policy store does."""
    return PolicyProfile(mn_id(number), LMA_ADDRESS)
