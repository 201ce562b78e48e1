"""What holds for one local mobility anchor: its pace, and how it departs from the RFCs."""

from mag.frozen import frozen


@frozen
class LmaQuirks:
    """What is done for the sake of an LMA that reads the RFCs otherwise; all off by default.

    Each use of one is counted under the name of its field in `LmaPeer.quirks_applied`.
    """

    no_home_registration_flag: bool = False
    """Send PBUs with H=0 (INT-01 in docs/interpretations.md)."""
    all_zero_prefix_length: int = 0
    """Length beside the all-zero prefix that asks the LMA to assign, 0 to 128 (INT-02)."""
    padded_mn_identifier: bool = False
    """Replies bring the MN-Identifier with zero octets behind it."""
    no_handoff_indicator_echo: bool = False
    """Replies may come without the option; a different one never passes (§6.9.1.2(6))."""
    no_access_technology_type_echo: bool = False
    """Likewise."""
    no_link_layer_identifier_echo: bool = False
    """Likewise."""
    no_timestamp_echo: bool = False
    """Likewise, in accepting replies."""


@frozen
class LmaSettings:
    """What an operator sets for one LMA."""

    quirks: LmaQuirks = LmaQuirks()
    updates_per_s: int = 1000
    """PBUs of all bindings with it, of whatever kind (INT-08)."""
    update_burst: int = 200
    """So many may go at once."""
