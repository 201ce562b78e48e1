"""What each rejecting status means for the next Proxy Binding Update (RFC 5213 §6.9.1.2)."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from mag.frozen import frozen
from mag.protocol.registration import RegistrationInput
from mag.wire.iana import BindingStatus


class Pace(Enum):
    """When to ask again."""

    BACK_OFF = "back_off"
    """After the exponential back-off."""
    AT_ONCE = "at_once"
    """Immediately the first time, after the back-off from then on."""
    SLOW = "slow"
    """After MAX_BINDACK_TIMEOUT."""
    IN_STEP = "in_step"
    """Likewise, but not before our clock is in step."""
    NEVER = "never"
    """Not before an administrative action."""


@frozen
class StatusReaction:
    """The reaction to one rejecting status."""

    pace: Pace
    forget_prefixes: bool = False
    """Ask with one ALL_ZERO prefix from now on."""
    is_of_node: bool = False
    """It concerns all interfaces of the node."""

    @property
    def registration_input(self) -> RegistrationInput:
        """What it is to the binding's machine."""
        if self.pace is Pace.NEVER:
            return RegistrationInput.REJECTED_FOR_GOOD
        return RegistrationInput.REJECTED_FOR_NOW


_AGAIN: Final = StatusReaction(Pace.BACK_OFF)
_HOLD: Final = StatusReaction(Pace.NEVER)

_REACTIONS: Final[Mapping[int, StatusReaction]] = {
    BindingStatus.INSUFFICIENT_RESOURCES: StatusReaction(Pace.SLOW),
    BindingStatus.NOT_AUTHORIZED_FOR_HOME_NETWORK_PREFIX: StatusReaction(
        Pace.AT_ONCE, forget_prefixes=True
    ),
    BindingStatus.BCE_PBU_PREFIX_SET_DO_NOT_MATCH: StatusReaction(
        Pace.AT_ONCE, forget_prefixes=True
    ),
    # 156 calls for clocks to be set right, which takes its time and is not ours to do
    # (§6.9.1.2(9)); 157 is a race that a newer timestamp wins.
    BindingStatus.TIMESTAMP_MISMATCH: StatusReaction(Pace.IN_STEP),
    BindingStatus.TIMESTAMP_LOWER_THAN_PREV_ACCEPTED: StatusReaction(Pace.AT_ONCE),
    BindingStatus.ADMINISTRATIVELY_PROHIBITED: _HOLD,
    BindingStatus.HOME_REGISTRATION_NOT_SUPPORTED: _HOLD,
    BindingStatus.NOT_HOME_SUBNET: _HOLD,
    BindingStatus.NOT_HOME_AGENT_FOR_THIS_MOBILE_NODE: _HOLD,
    BindingStatus.DUPLICATE_ADDRESS_DETECTION_FAILED: _HOLD,
    BindingStatus.EXPIRED_HOME_NONCE_INDEX: _HOLD,
    BindingStatus.EXPIRED_CARE_OF_NONCE_INDEX: _HOLD,
    BindingStatus.EXPIRED_NONCES: _HOLD,
    BindingStatus.REGISTRATION_TYPE_CHANGE_DISALLOWED: _HOLD,
    BindingStatus.MOBILE_ROUTER_OPERATION_NOT_PERMITTED: _HOLD,
    BindingStatus.INVALID_PREFIX: _HOLD,
    BindingStatus.NOT_AUTHORIZED_FOR_PREFIX: _HOLD,
    BindingStatus.FORWARDING_SETUP_FAILED: _HOLD,
    BindingStatus.MIPV6_ID_MISMATCH: _HOLD,
    BindingStatus.MIPV6_MESG_ID_REQD: _HOLD,
    BindingStatus.MIPV6_AUTH_FAIL: _HOLD,
    BindingStatus.PERMANENT_HOME_KEYGEN_TOKEN_UNAVAILABLE: _HOLD,
    BindingStatus.CGA_AND_SIGNATURE_VERIFICATION_FAILED: _HOLD,
    BindingStatus.PERMANENT_HOME_KEYGEN_TOKEN_EXISTS: _HOLD,
    BindingStatus.NON_NULL_HOME_NONCE_INDEX_EXPECTED: _HOLD,
    BindingStatus.SERVICE_AUTHORIZATION_FAILED: _HOLD,
    BindingStatus.PROXY_REG_NOT_ENABLED: StatusReaction(Pace.NEVER, is_of_node=True),
    BindingStatus.NOT_LMA_FOR_THIS_MOBILE_NODE: _HOLD,
    BindingStatus.MAG_NOT_AUTHORIZED_FOR_PROXY_REG: _HOLD,
    BindingStatus.MISSING_HOME_NETWORK_PREFIX_OPTION: _HOLD,
    BindingStatus.MISSING_MN_IDENTIFIER_OPTION: _HOLD,
    BindingStatus.MISSING_HANDOFF_INDICATOR_OPTION: _HOLD,
    BindingStatus.MISSING_ACCESS_TECH_TYPE_OPTION: _HOLD,
    BindingStatus.GRE_KEY_OPTION_REQUIRED: _HOLD,
    BindingStatus.NOT_AUTHORIZED_FOR_IPV4_MOBILITY_SERVICE: _HOLD,
    BindingStatus.NOT_AUTHORIZED_FOR_IPV4_HOME_ADDRESS: _HOLD,
    BindingStatus.NOT_AUTHORIZED_FOR_IPV6_MOBILITY_SERVICE: _HOLD,
    BindingStatus.MULTIPLE_IPV4_HOME_ADDRESS_ASSIGNMENT_NOT_SUPPORTED: _HOLD,
    BindingStatus.INVALID_CARE_OF_ADDRESS: _HOLD,
    BindingStatus.REINIT_SA_WITH_HAC: _HOLD,
}

MISSING_OPTION_STATUSES: Final = frozenset(
    {
        BindingStatus.MISSING_MN_IDENTIFIER_OPTION,
        BindingStatus.MISSING_HANDOFF_INDICATOR_OPTION,
        BindingStatus.MISSING_ACCESS_TECH_TYPE_OPTION,
    }
)
"""What we always send is said to be missing: a broken LMA, or a broken gateway (INT-04)."""

_MULTIPLE_CARE_OF_ADDRESS_STATUSES: Final = range(164, 170)


def reaction_to(status: int) -> StatusReaction:
    """The reaction to a status of 128 or more; codes without a rule are tried again."""
    if status in _MULTIPLE_CARE_OF_ADDRESS_STATUSES:  # RFC 5648, never asked for
        return _HOLD
    return _REACTIONS.get(status, _AGAIN)
