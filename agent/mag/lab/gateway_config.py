"""The configuration files of the lab's daemons, written as an operator would write them."""

from pathlib import Path
from typing import Any, Final

import yaml

from mag.lab.held import gateway_socket
from mag.lab.packet_path.base import GatewayPacketPath
from mag.lab.plan import USUAL, LabPlan
from mag.lab.world import topology
from mag.lab.world.private_namespaces import GATEWAY_RUN_DIRECTORY

UPDATES_PER_S: Final = 200
"""Slow enough to see that a pace is kept."""
_TIMESTAMP_VALIDITY_WINDOW_MS: Final = 5000
"""All of the lab has one clock, and on a busy machine a message is on its way for a second."""


def write_gateway_config(
    gateway: topology.Gateway, packet_path: GatewayPacketPath, plan: LabPlan = USUAL
) -> Path:
    """configs/mag.yaml's shape for one gateway of the lab; returns the file."""
    document = {
        "identity": gateway.name,
        "proxy_care_of_address": gateway.proxy_care_of_address,
        "lmas": {"lma": {"address": topology.LMA_ADDRESS, "updates_per_s": UPDATES_PER_S}},
        "access_links": {packet_path.access_interface: {}},
        "policy": {
            "nodes": {
                node.mn_id: {"link_layer_addresses": [node.link_layer_address], "lma": "lma"}
                for node in plan.nodes
            }
        },
        "protocol": {"clock": "ignore", **plan.protocol},  # all of the lab share one
        "dataplane": packet_path.gateway_section(gateway.name),
        "admin": {"socket": gateway_socket(gateway.name)},
        "journal": {"path": GATEWAY_RUN_DIRECTORY / f"{gateway.name}.journal"},
    }
    return _write(gateway.name, document)


def write_anchor_config(plan: LabPlan = USUAL) -> Path:
    """configs/lab-lma.yaml's shape for the lab's LMA; returns the file."""
    document = {
        "address": topology.LMA_ADDRESS,
        "core_interface": topology.CORE_INTERFACE,
        "prefix_pool": topology.PREFIX_POOL,
        "timestamp_validity_window_ms": _TIMESTAMP_VALIDITY_WINDOW_MS,
        "nodes": [{"mn_id": node.mn_id} for node in plan.nodes],
        "gateways": [gateway.proxy_care_of_address for gateway in topology.GATEWAYS],
    }
    return _write(topology.LOCAL_MOBILITY_ANCHOR, document)


def gateway_config_file(name: str) -> Path:
    """Where a gateway of the lab has its file."""
    return GATEWAY_RUN_DIRECTORY / f"{name}.yaml"


def _write(name: str, document: dict[str, Any]) -> Path:
    path = gateway_config_file(name)
    path.write_text(yaml.safe_dump(_plain(document), sort_keys=False), encoding="utf-8")
    return path


def _plain(value: Any) -> Any:
    """Addresses and paths as the text they are in YAML."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, float, bool)) else str(value)
