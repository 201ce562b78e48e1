"""How the domain of one scenario differs from the usual one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mag.lab.world import topology


@dataclass(frozen=True, slots=True)
class LabPlan:
    """What a scenario wants of the lab before it is built."""

    protocol: Mapping[str, Any] = field(default_factory=dict)
    """`protocol:` of the gateways' configuration files: shorter timers, mostly."""
    crowd: int = 0
    """Nodes beside mn1, mn2 and mn3 that switch on together in cell1."""

    @property
    def nodes(self) -> tuple[topology.MobileNode, ...]:
        """All mobile nodes that gateways and LMA know."""
        return (*topology.MOBILE_NODES, *topology.crowd(self.crowd))


USUAL: Final = LabPlan()
"""The RFC's timers and no crowd."""
