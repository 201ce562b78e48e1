"""What `mag lab` can be asked for."""

from enum import StrEnum
from pathlib import Path

from mag.frozen import frozen


class Scenario(StrEnum):
    """What to show."""

    ATTACH = "attach"
    HANDOVER = "handover"
    LMA_ADDRESSES = "lma-addresses"
    DATAPLANE_RESTART = "dataplane-restart"
    REJECT = "reject"
    FAULTS = "faults"
    STORM = "storm"
    LMA_RESTART = "lma-restart"
    RELOAD = "reload"
    AGENT_RESTART = "agent-restart"


class PacketPath(StrEnum):
    """What the gateways forward with."""

    KERNEL = "kernel"
    VPP = "vpp"


@frozen
class LabOptions:
    """One run of the lab."""

    scenario: Scenario = Scenario.HANDOVER
    dataplane: PacketPath = PacketPath.KERNEL
    as_json: bool = False
    """One document on standard output, everything else on standard error."""
    pcap: Path | None = None
    """Where to write what was on all links, as pcapng."""
    hold: bool = False
    """Leave everything running until SIGINT or SIGTERM."""
    nodes: int | None = None
    """Mobile nodes, those beside the usual ones being a crowd; None: as the scenario has it."""
    seed: int | None = None
    """Of all chance in the scenario and in its LMA; None takes any."""
