"""The life of one binding: its states, what can happen in them, what follows (RFC 5213 §6.9.1).

The table is the whole truth of the machine; docs/state-machine.md is drawn from it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class RegistrationState(StrEnum):
    """Where a binding stands."""

    REGISTERING = "registering"
    """The initial PBU is out; no service yet."""
    ACTIVE = "active"
    """Accepted and within its lifetime."""
    REFRESHING = "refreshing"
    """Accepted and within its lifetime, a PBU that extends it is out."""
    SILENT = "silent"
    """Accepted and within its lifetime, but no PBU until an administrative action."""
    REJECTED = "rejected"
    """No service; another try is due."""
    HELD = "held"
    """No service and no PBU until an administrative action."""
    DEREGISTERING = "deregistering"
    """The PBU with lifetime 0 is out."""
    GONE = "gone"
    """Left the Binding Update List; final."""


class RegistrationInput(StrEnum):
    """What can happen to a binding."""

    ATTACH_SEEN = "attach_seen"
    """The node shows itself again without word of a handoff."""
    HANDOFF_REPORTED = "handoff_reported"
    """The access network says that the node has just arrived, or changed links."""
    ACCEPTED = "accepted"
    """A reply granted what was asked; for a de-registration any reply."""
    REJECTED_FOR_NOW = "rejected_for_now"
    """A reply refused; asking again makes sense."""
    REJECTED_FOR_GOOD = "rejected_for_good"
    """A reply refused; only an operator can change that."""
    OUT_OF_SEQUENCE = "out_of_sequence"
    """The LMA has seen a greater sequence number; one beyond it is sent at once (INT-05)."""
    UNSENDABLE = "unsendable"
    """What is to be asked fits into no message."""
    ECHO_MISMATCHED = "echo_mismatched"
    """A reply matched the request but did not echo its options (RFC 5213 §6.9.1.2(6))."""
    TIMER_DUE = "timer_due"
    """The binding's registration timer: its meaning is the state's."""
    LIFETIME_ENDED = "lifetime_ended"
    """The granted lifetime is over."""
    DETACH_SEEN = "detach_seen"
    """The node has left its access link."""
    ABSENCE_FOUND = "absence_found"
    """The node was asked for before its lifetime was to be extended, and did not answer."""
    CLEARED = "cleared"
    """An operator ends the binding."""
    SUPERSEDED = "superseded"
    """The LMA gave its prefixes to another binding of ours."""
    ADDRESS_CHANGED = "address_changed"
    """The gateway has taken another link-local address than the LMA gave (§6.9.1.2(15))."""


class LossReason(StrEnum):
    """Why a binding came to its end."""

    DETACHED = "detached"
    ABSENT = "absent"
    """It no longer answered (RFC 5213 §6.13)."""
    CLEARED = "cleared"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    """The LMA gave its prefixes to another of our bindings."""
    RECONFIGURED = "reconfigured"
    """The configuration was changed and has no place for it."""
    DRAINED = "drained"
    """The gateway gives up its nodes."""


LOSS_REASONS: Final[Mapping[RegistrationInput, LossReason]] = {
    RegistrationInput.DETACH_SEEN: LossReason.DETACHED,
    RegistrationInput.ABSENCE_FOUND: LossReason.ABSENT,
    RegistrationInput.CLEARED: LossReason.CLEARED,
    RegistrationInput.LIFETIME_ENDED: LossReason.EXPIRED,
    RegistrationInput.SUPERSEDED: LossReason.SUPERSEDED,
}
"""The inputs that begin the end of a binding."""


class BindingTimer(StrEnum):
    """The timers that one binding may have armed."""

    REGISTRATION = "registration"
    """Retransmission, refresh, next try, or the end of waiting: the state says which."""
    LIFETIME = "lifetime"
    ADVERTISEMENT = "advertisement"
    DISMISSAL = "dismissal"
    """An operator ends the binding, at the pace that was asked for."""
    PERMISSION_TO_SEND = "permission_to_send"
    """The rate limit lets the binding's next PBU pass."""
    PRESENCE = "presence"
    """The node has not answered a solicitation."""
    ADDRESS_DETECTION = "address_detection"
    """Nobody has answered for the link-local address that the gateway is about to take."""


class RegistrationAction(StrEnum):
    """What the core does on the way into the next state."""

    NONE = "none"
    """Nothing follows."""
    REGISTER = "register"
    """Send an initial PBU with a fresh back-off."""
    REFRESH = "refresh"
    """Send the PBU that extends the lifetime (RFC 5213 §6.9.1.3)."""
    DEREGISTER = "deregister"
    """Send the PBU with lifetime 0; service goes on until it is answered or a second has passed."""
    RETRANSMIT = "retransmit"
    """Send the request again, newer and after a longer wait (RFC 5213 §6.9.4)."""
    ESTABLISH = "establish"
    """Serve the node with what the PBA granted."""
    DENY = "deny"
    """Stop serving; the entry remains and its timer brings the next try."""
    HOLD = "hold"
    """Stop serving, send nothing more."""
    STOP_SENDING = "stop_sending"
    """Go on serving, send nothing more."""
    DISCARD_ENTRY = "discard_entry"
    """Clean up: forwarding, share of the tunnel, entry (RFC 5213 §6.9.1.4)."""


_State = RegistrationState
_Input = RegistrationInput
_Action = RegistrationAction

TRANSITIONS: Final[
    Mapping[tuple[RegistrationState, RegistrationInput], tuple[RegistrationState, _Action]]
] = {
    (_State.REGISTERING, _Input.ATTACH_SEEN): (_State.REGISTERING, _Action.NONE),
    (_State.REGISTERING, _Input.HANDOFF_REPORTED): (_State.REGISTERING, _Action.REGISTER),
    (_State.REGISTERING, _Input.ACCEPTED): (_State.ACTIVE, _Action.ESTABLISH),
    (_State.REGISTERING, _Input.REJECTED_FOR_NOW): (_State.REJECTED, _Action.DENY),
    (_State.REGISTERING, _Input.REJECTED_FOR_GOOD): (_State.HELD, _Action.HOLD),
    (_State.REGISTERING, _Input.OUT_OF_SEQUENCE): (_State.REGISTERING, _Action.RETRANSMIT),
    (_State.REGISTERING, _Input.ECHO_MISMATCHED): (_State.HELD, _Action.HOLD),
    (_State.REGISTERING, _Input.UNSENDABLE): (_State.HELD, _Action.HOLD),
    (_State.REGISTERING, _Input.TIMER_DUE): (_State.REGISTERING, _Action.RETRANSMIT),
    # The answer to the PBU that is out brings the next one.
    (_State.REGISTERING, _Input.ADDRESS_CHANGED): (_State.REGISTERING, _Action.NONE),
    # A node that came back while its old binding was being ended may still hold a lifetime.
    (_State.REGISTERING, _Input.LIFETIME_ENDED): (_State.REGISTERING, _Action.DENY),
    (_State.REGISTERING, _Input.DETACH_SEEN): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.REGISTERING, _Input.ABSENCE_FOUND): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.REGISTERING, _Input.CLEARED): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.REGISTERING, _Input.SUPERSEDED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.ACTIVE, _Input.ATTACH_SEEN): (_State.ACTIVE, _Action.NONE),
    (_State.ACTIVE, _Input.HANDOFF_REPORTED): (_State.REFRESHING, _Action.REGISTER),
    (_State.ACTIVE, _Input.TIMER_DUE): (_State.REFRESHING, _Action.REFRESH),
    (_State.ACTIVE, _Input.ADDRESS_CHANGED): (_State.REFRESHING, _Action.REFRESH),
    # Status 152 refuses the node, whichever of its interfaces asked.
    (_State.ACTIVE, _Input.REJECTED_FOR_GOOD): (_State.HELD, _Action.HOLD),
    (_State.ACTIVE, _Input.LIFETIME_ENDED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.ACTIVE, _Input.DETACH_SEEN): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.ACTIVE, _Input.ABSENCE_FOUND): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.ACTIVE, _Input.CLEARED): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.ACTIVE, _Input.SUPERSEDED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.REFRESHING, _Input.ATTACH_SEEN): (_State.REFRESHING, _Action.NONE),
    (_State.REFRESHING, _Input.HANDOFF_REPORTED): (_State.REFRESHING, _Action.REGISTER),
    (_State.REFRESHING, _Input.ACCEPTED): (_State.ACTIVE, _Action.ESTABLISH),
    (_State.REFRESHING, _Input.REJECTED_FOR_NOW): (_State.REJECTED, _Action.DENY),
    (_State.REFRESHING, _Input.REJECTED_FOR_GOOD): (_State.HELD, _Action.HOLD),
    (_State.REFRESHING, _Input.OUT_OF_SEQUENCE): (_State.REFRESHING, _Action.RETRANSMIT),
    (_State.REFRESHING, _Input.ECHO_MISMATCHED): (_State.SILENT, _Action.STOP_SENDING),
    (_State.REFRESHING, _Input.UNSENDABLE): (_State.SILENT, _Action.STOP_SENDING),
    (_State.REFRESHING, _Input.TIMER_DUE): (_State.REFRESHING, _Action.RETRANSMIT),
    (_State.REFRESHING, _Input.ADDRESS_CHANGED): (_State.REFRESHING, _Action.REFRESH),
    (_State.REFRESHING, _Input.LIFETIME_ENDED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.REFRESHING, _Input.DETACH_SEEN): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.REFRESHING, _Input.ABSENCE_FOUND): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.REFRESHING, _Input.CLEARED): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.REFRESHING, _Input.SUPERSEDED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.SILENT, _Input.ATTACH_SEEN): (_State.SILENT, _Action.NONE),
    (_State.SILENT, _Input.HANDOFF_REPORTED): (_State.SILENT, _Action.NONE),
    (_State.SILENT, _Input.ADDRESS_CHANGED): (_State.SILENT, _Action.NONE),
    (_State.SILENT, _Input.REJECTED_FOR_GOOD): (_State.HELD, _Action.HOLD),
    # The hold outlives the service, whatever ends that: it is the operator's to lift.
    (_State.SILENT, _Input.LIFETIME_ENDED): (_State.HELD, _Action.HOLD),
    (_State.SILENT, _Input.DETACH_SEEN): (_State.HELD, _Action.HOLD),
    (_State.SILENT, _Input.CLEARED): (_State.DEREGISTERING, _Action.DEREGISTER),
    (_State.SILENT, _Input.SUPERSEDED): (_State.HELD, _Action.HOLD),
    (_State.REJECTED, _Input.ATTACH_SEEN): (_State.REJECTED, _Action.NONE),
    (_State.REJECTED, _Input.HANDOFF_REPORTED): (_State.REGISTERING, _Action.REGISTER),
    (_State.REJECTED, _Input.REJECTED_FOR_GOOD): (_State.HELD, _Action.HOLD),
    (_State.REJECTED, _Input.TIMER_DUE): (_State.REGISTERING, _Action.RETRANSMIT),
    (_State.REJECTED, _Input.DETACH_SEEN): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.REJECTED, _Input.ABSENCE_FOUND): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.REJECTED, _Input.CLEARED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.HELD, _Input.ATTACH_SEEN): (_State.HELD, _Action.NONE),
    (_State.HELD, _Input.HANDOFF_REPORTED): (_State.HELD, _Action.NONE),
    (_State.HELD, _Input.REJECTED_FOR_GOOD): (_State.HELD, _Action.NONE),
    # A node that leaves and comes back is still held.
    (_State.HELD, _Input.DETACH_SEEN): (_State.HELD, _Action.NONE),
    (_State.HELD, _Input.CLEARED): (_State.GONE, _Action.DISCARD_ENTRY),
    # The node came back before the LMA had answered its de-registration.
    (_State.DEREGISTERING, _Input.ATTACH_SEEN): (_State.REGISTERING, _Action.REGISTER),
    (_State.DEREGISTERING, _Input.HANDOFF_REPORTED): (_State.REGISTERING, _Action.REGISTER),
    (_State.DEREGISTERING, _Input.ACCEPTED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.DEREGISTERING, _Input.REJECTED_FOR_NOW): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.DEREGISTERING, _Input.REJECTED_FOR_GOOD): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.DEREGISTERING, _Input.OUT_OF_SEQUENCE): (_State.DEREGISTERING, _Action.RETRANSMIT),
    (_State.DEREGISTERING, _Input.ECHO_MISMATCHED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.DEREGISTERING, _Input.UNSENDABLE): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.DEREGISTERING, _Input.TIMER_DUE): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.DEREGISTERING, _Input.LIFETIME_ENDED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.DEREGISTERING, _Input.DETACH_SEEN): (_State.DEREGISTERING, _Action.NONE),
    (_State.DEREGISTERING, _Input.ADDRESS_CHANGED): (_State.DEREGISTERING, _Action.NONE),
    (_State.DEREGISTERING, _Input.CLEARED): (_State.GONE, _Action.DISCARD_ENTRY),
    (_State.DEREGISTERING, _Input.SUPERSEDED): (_State.GONE, _Action.DISCARD_ENTRY),
}
"""A pair that is not listed cannot happen by any order of events (a test walks them)."""
