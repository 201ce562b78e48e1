"""How the domain of one scenario differs from the usual one."""

from collections.abc import Mapping
from dataclasses import field
from ipaddress import IPv6Address
from typing import Any, Final

from mag.frozen import frozen
from mag.lab.world import topology
from mag.protocol.settings import RESERVED_LINK_LOCAL_ADDRESS


@frozen
class LabPlan:
    """What a scenario wants of the lab before it is built."""

    protocol: Mapping[str, Any] = field(default_factory=dict)
    """`protocol:` of the gateways' configuration files: shorter timers, mostly."""
    crowd: int = 0
    """Nodes beside mn1, mn2 and mn3 that switch on together in cell1."""

    @property
    def fixed_router(self) -> IPv6Address | None:
        """The link-local address of every gateway on every link; None where LMAs give it."""
        address = IPv6Address(
            self.protocol.get("fixed_mag_link_local_address", RESERVED_LINK_LOCAL_ADDRESS)
        )
        return None if address.is_unspecified else address

    @property
    def nodes(self) -> tuple[topology.MobileNode, ...]:
        """All mobile nodes that gateways and LMA know."""
        return (*topology.MOBILE_NODES, *topology.crowd(self.crowd))


USUAL: Final = LabPlan()
"""The RFC's timers and no crowd."""
