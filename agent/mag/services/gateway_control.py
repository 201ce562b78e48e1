"""What an operator or an access point may ask of a running gateway."""

from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mag.protocol.attachment import HandoffHint

Document = dict[str, Any]
"""JSON with stable keys."""


DEFAULT_DRAIN_RATE_PER_S: Final = 100.0
"""100,000 sessions in 17 minutes."""


DEFAULT_CLEAR_RATE_PER_S: Final = 100.0
"""A hundred registrations a second are no storm to an LMA that has just been mended."""


class ControlError(Exception):
    """The request cannot be met; the text is for the one who asked."""


class NotFoundError(ControlError):
    """There is no such node, binding or access link."""


class NodeSelector(BaseModel):
    """Which bindings of a node are meant; what is left out is not compared."""

    model_config = ConfigDict(extra="forbid")

    mn_id: str | None = None
    link_layer_address: str | None = None
    access_interface: str | None = None


class AttachRequest(BaseModel):
    """An access network reports a node on one of our links."""

    model_config = ConfigDict(extra="forbid")

    access_interface: str
    link_layer_address: str
    mn_id: str | None = Field(default=None, min_length=1)
    """The stable one, if the access network knows it."""
    identity: str | None = Field(default=None, min_length=1)
    """What the node was authenticated as, for the policy to resolve: a user name, or a temporary
    or private name. Without either the policy goes by the link-layer address."""
    handoff: HandoffHint = HandoffHint.UNKNOWN
    wait_s: float | None = Field(default=None, gt=0, le=60)
    """Answer only when the node's packets are forwarded, or after this long."""

    @model_validator(mode="after")
    def _is_named_once(self) -> Self:
        if self.mn_id is not None and self.identity is not None:
            raise ValueError("mn_id or identity, not both")
        return self


class ClearHeldRequest(BaseModel):
    """An operator lets nodes try again that an LMA has refused for good."""

    model_config = ConfigDict(extra="forbid")

    lma: str | None = None
    """Only those held by the LMA of this name."""
    reason: str | None = None
    """Only those whose reason has this in it, in any case."""
    rate_per_s: float = Field(default=DEFAULT_CLEAR_RATE_PER_S, gt=0, le=10_000)
    """Nodes in a second."""


class DrainRequest(BaseModel):
    """An operator wants the gateway empty."""

    model_config = ConfigDict(extra="forbid")

    rate_per_s: float = Field(default=DEFAULT_DRAIN_RATE_PER_S, gt=0, le=10_000)
    """Sessions that end in a second."""


class GatewayControl(Protocol):
    """A running gateway, as the admin API sees it."""

    def status(self) -> Document:
        """Identity, version, uptime and how many bindings there are."""

    async def serving(self) -> None:
        """Wait until the gateway has taken up service: then it may be changed."""

    def configuration(self, *, with_defaults: bool) -> Document:
        """What the gateway runs with, as values and as a file."""

    async def plan(self, octets: bytes, source: str) -> Document:
        """What taking this configuration would change. Raises ControlError for its faults."""

    async def reload(self) -> Document:
        """Take the gateway's own file again. Raises ControlError, and nothing has changed."""

    async def drain(self, request: DrainRequest) -> Document:
        """Give up all nodes at this pace, and take no others."""

    async def undrain(self) -> Document:
        """Keep what is left, and take nodes again. Raises ControlError if not draining."""

    async def bindings(self) -> list[Document]:
        """A row for each Binding Update List entry."""

    def peers(self) -> list[Document]:
        """A row for each LMA."""

    async def explain(self, node: str) -> Document:
        """Why a node has or has not service.

        node: an MN-Identifier, a link-layer address, or an address within a home network prefix.
        """

    async def dataplane(self) -> Document:
        """The packet path, its limitations, and what of ours is in it."""

    async def counters(self) -> Document:
        """Signalling, discarded messages, drops."""

    async def metrics(self) -> bytes:
        """The same for Prometheus."""

    async def attach(self, request: AttachRequest) -> Document:
        """Raises ControlError when there is no such link or the node gets no service."""

    def detach(self, selector: NodeSelector) -> list[Document]:
        """End the bindings of a node that has left. Raises NotFoundError."""

    def clear(self, selector: NodeSelector) -> list[Document]:
        """End bindings as an operator, holds included. Raises NotFoundError."""

    def clear_held(self, request: ClearHeldRequest) -> Document:
        """Lift holds at a pace. Raises ControlError for an LMA that there is not."""

    def events(self) -> AsyncIterator[Document]:
        """Everything that happens from now on."""
