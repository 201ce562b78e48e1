"""The reference LMA's configuration file: a small YAML mapping, see configs/lab-lma.yaml."""

from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mag.lab.anchor.settings import AnchorSettings
from mag.lab.errors import LabError
from mag.protocol.settings import (
    LIFETIME_UNIT_S,
    MAX_LIFETIME_S,
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeConfig(_Model):
    """A mobile node that is served."""

    mn_id: Annotated[str, Field(min_length=1, max_length=253)]
    home_network_prefixes: tuple[IPv6Network, ...] = ()
    """The node's own; empty takes one from the pool."""


class AnchorConfig(_Model):
    """The whole file."""

    address: IPv6Address
    """LMAA, an address of core_interface."""
    core_interface: str
    prefix_pool: IPv6Network
    lifetime_s: Annotated[
        int, Field(ge=LIFETIME_UNIT_S, le=MAX_LIFETIME_S, multiple_of=LIFETIME_UNIT_S)
    ] = 3600
    timestamp_validity_window_ms: Annotated[int, Field(ge=1, le=60_000)] = 300
    """TimestampValidityWindow (RFC 5213 §9.1): how far a timestamp may be from our clock."""
    link_local_address: IPv6Address | None = None
    """Of gateways on the links of nodes, for those that ask (RFC 5213 §5.3.6); left out, each
    session gets its own."""
    nodes: tuple[NodeConfig, ...] | None = None
    """The only nodes that are served; left out, all are."""
    gateways: tuple[IPv6Address, ...] | None = None
    """The only Proxy-CoAs that may register; left out, all may."""

    def settings(self) -> AnchorSettings:
        """What the protocol core needs of it."""
        nodes = None
        if self.nodes is not None:
            nodes = {node.mn_id.encode(): node.home_network_prefixes for node in self.nodes}
        return AnchorSettings(
            address=self.address,
            prefix_pool=self.prefix_pool,
            nodes=nodes,
            gateways=None if self.gateways is None else frozenset(self.gateways),
            lifetime_s=self.lifetime_s,
            timestamp_validity_window_s=self.timestamp_validity_window_ms / 1000,
            link_local_address=self.link_local_address,
        )


def load_anchor_config(path: Path) -> AnchorConfig:
    """Read and check the file; raises LabError with one line that names every fault."""
    try:
        text = path.read_text(encoding="utf-8")
        # Every scalar as text: YAML 1.1 makes numbers of many things that are none.
        document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - BaseLoader makes text only
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LabError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    try:
        return AnchorConfig.model_validate(document)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise LabError(f"{path}: {'; '.join(faults)}") from error
