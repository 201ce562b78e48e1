"""Where mobile nodes' policy profiles come from (RFC 5213 §6.2)."""

from typing import Protocol

from mag.config.policy_directory import PolicyDirectory
from mag.protocol.policy_profile import PolicyProfile


class PolicyStore(Protocol):
    """Identifies nodes and knows their profiles; answers may take their time."""

    async def identify(self, mn_link_layer_address: bytes) -> bytes | None:
        """The MN-Identifier behind a link-layer address; None: this node gets no service."""

    async def resolve(
        self, name: bytes, mn_link_layer_address: bytes | None, *, is_mn_id: bool
    ) -> bytes:
        """The stable MN-Identifier behind a name (§6.6), which may be temporary or private.

        is_mn_id: whoever gives the name holds it for an MN-Identifier.
        Raises UnknownIdentityError, saying why the name leads to no node.
        """

    async def profile(
        self, mn_id: bytes, mn_link_layer_address: bytes | None
    ) -> PolicyProfile | None:
        """The node's profile for one of its interfaces; None: no service (RFC 5213 §6.2)."""

    def reconfigure(self, directory: PolicyDirectory) -> None:
        """What the configuration says of nodes is now this."""


class ConfiguredPolicyStore:
    """The `policy` part of the configuration file."""

    def __init__(self, directory: PolicyDirectory) -> None:
        self._directory = directory

    def reconfigure(self, directory: PolicyDirectory) -> None:
        """Answer from this one from now on."""
        self._directory = directory

    async def identify(self, mn_link_layer_address: bytes) -> bytes | None:
        """From the nodes' addresses, else by the default rule."""
        return self._directory.mn_id_for(mn_link_layer_address)

    async def resolve(
        self, name: bytes, mn_link_layer_address: bytes | None, *, is_mn_id: bool
    ) -> bytes:
        """From the nodes' identities; one that nodes share says nothing, their address does."""
        return self._directory.mn_id_behind(name, mn_link_layer_address, is_mn_id=is_mn_id)

    async def profile(
        self, mn_id: bytes, mn_link_layer_address: bytes | None
    ) -> PolicyProfile | None:
        """Per interface, else per node, else per realm, else the default."""
        return self._directory.profile_for(mn_id, mn_link_layer_address)
