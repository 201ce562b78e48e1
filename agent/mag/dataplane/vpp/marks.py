"""How objects of ours are told from those of others that share the VPP."""

import re
from typing import Final, Self

from mag.frozen import frozen

TABLE_NAME: Final = "mag mobility"
"""Of the IPv6 table that mobile nodes live in."""
LOOPBACK_TAG: Final = "mag gateway"
"""On the loopback that gives ICMPv6 errors their source."""

_ACCESS_TAG: Final = re.compile(
    r"mag access (?P<mac>[0-9a-f]{12}) (?P<state>up|down)(?P<held> held)?", re.ASCII
)


@frozen
class AccessTag:
    """Written on an access interface: how it was before it became one."""

    link_layer_address: bytes
    was_up: bool
    is_held: bool = False
    """It is down, and for the gateway to bring up."""

    @classmethod
    def decode(cls, tag: str) -> Self | None:
        """None for a tag that is not ours."""
        match = _ACCESS_TAG.fullmatch(tag)
        if match is None:
            return None
        return cls(bytes.fromhex(match["mac"]), match["state"] == "up", bool(match["held"]))

    def encode(self) -> str:
        """At most 63 characters."""
        state = "up" if self.was_up else "down"
        held = " held" if self.is_held else ""
        return f"mag access {self.link_layer_address.hex()} {state}{held}"
