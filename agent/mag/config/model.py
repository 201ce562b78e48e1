"""The configuration: what keys there are, what may stand there, and the defaults.

Defaults of protocol variables are those of mag.protocol.settings.
"""

from enum import StrEnum
from functools import cached_property
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mag.config.contradictions import find_contradictions
from mag.config.policy import Policy
from mag.config.policy_directory import PolicyDirectory
from mag.config.refusal import refusal
from mag.config.router_advertisement import RouterAdvertisementSection
from mag.config.section import Section
from mag.config.values import (
    AccessTechnology,
    Between,
    FileMode,
    FilePath,
    GlobalUnicastAddress,
    InterfaceName,
    Lifetime,
    LinkLayerAddress,
    LinkLocalAddressOrNone,
    MnId,
    Name,
    SocketPath,
    Switch,
)
from mag.config.wording import reworded
from mag.protocol.lma_settings import LmaQuirks, LmaSettings
from mag.protocol.settings import (
    IPV6_HEADER_OCTETS,
    MINIMUM_IPV6_MTU,
    HeartbeatSettings,
    ProtocolSettings,
)
from mag.wire.ethernet import NO_LINK_LAYER_ADDRESS
from mag.wire.iana import AccessTechnologyType

_DEFAULTS: Final = ProtocolSettings(proxy_care_of_address=IPv6Address(0))
_LMA: Final = LmaSettings()
_TimeoutSeconds = Annotated[float, Between(0.1, 3600)]


class AttachTrigger(StrEnum):
    """What makes the gateway notice a mobile node on an access link."""

    ROUTER_SOLICITATION = "router_solicitation"
    ANY_FRAME = "any_frame"
    LINK_STATE = "link_state"
    ADMIN = "admin"


class PresenceMethod(StrEnum):
    """How the gateway knows that a node is still on its access link (RFC 5213 §6.13)."""

    PROBE = "probe"
    """It asks the node."""
    LINK_LAYER = "link_layer"
    """The access network tells of every departure: it takes the link down, or `mag detach`."""


class ClockPolicy(StrEnum):
    """What is asked of the clock that timestamps are made with (RFC 5213 §5.5)."""

    REQUIRE = "require"
    """The gateway does not start while it is not in step."""
    WARN = "warn"
    IGNORE = "ignore"


class QuirksSection(Section):
    """How an LMA departs from the RFCs."""

    no_home_registration_flag: Switch = _LMA.quirks.no_home_registration_flag
    all_zero_prefix_length: Annotated[int, Between(0, 128)] = _LMA.quirks.all_zero_prefix_length
    padded_mn_identifier: Switch = _LMA.quirks.padded_mn_identifier
    no_handoff_indicator_echo: Switch = _LMA.quirks.no_handoff_indicator_echo
    no_access_technology_type_echo: Switch = _LMA.quirks.no_access_technology_type_echo
    no_link_layer_identifier_echo: Switch = _LMA.quirks.no_link_layer_identifier_echo
    no_timestamp_echo: Switch = _LMA.quirks.no_timestamp_echo


def _in_order(triggers: frozenset[AttachTrigger]) -> list[str]:
    return [trigger.value for trigger in AttachTrigger if trigger in triggers]


_AttachTriggers = Annotated[
    frozenset[AttachTrigger],
    Field(min_length=1),
    PlainSerializer(_in_order, return_type=list[str], when_used="json"),
]


class LmaSection(Section):
    """A Local Mobility Anchor and the way to it."""

    address: GlobalUnicastAddress
    path_mtu_octets: Annotated[int, Between(MINIMUM_IPV6_MTU, 65535)] = 1500
    """Largest IPv6 packet that reaches the LMA unfragmented."""
    updates_per_s: Annotated[int, Between(1, 1_000_000)] = _LMA.updates_per_s
    """Proxy Binding Updates to it, of all bindings and of whatever kind."""
    update_burst: Annotated[int, Between(1, 1_000_000)] = _LMA.update_burst
    """So many may go at once."""
    quirks: QuirksSection = QuirksSection()

    @property
    def tunnel_mtu_octets(self) -> int:
        """Largest packet that fits into the tunnel (RFC 2473 §6.7)."""
        return self.path_mtu_octets - IPV6_HEADER_OCTETS

    def settings(self) -> LmaSettings:
        """What the protocol core knows of the LMA beside its address."""
        return LmaSettings(
            quirks=LmaQuirks(**self.quirks.model_dump()),
            updates_per_s=self.updates_per_s,
            update_burst=self.update_burst,
        )


class AccessLinkSection(Section):
    """An interface that mobile nodes attach to."""

    access_technology_type: AccessTechnology = AccessTechnologyType.IEEE_802_3
    """Goes into the Access Technology Type option (RFC 5213 §8.5)."""
    attach_triggers: _AttachTriggers = frozenset(AttachTrigger)
    presence: PresenceMethod = PresenceMethod.PROBE
    presence_solicitations: Annotated[int, Between(1, 20)] = 5
    """Unanswered ones after which a node counts as gone; RFC 4861 §10 has 3, a second apart."""
    single_node: Switch = False
    """Nobody but one node is on the link: it goes down when the session ends (§6.9.1.4)."""
    down_s: Annotated[float, Between(0.1, 60)] = 1.0
    """How long it stays down."""
    mn_id: MnId | None = None
    """The node at the other end of a link without link-layer addresses, such as PPP or a tun
    device (RFC 5213 §9.3); None: frames say who sent them."""
    down_after_rejection: Switch = False
    """It goes down too when the LMA has refused the node for good (§6.9.1.2)."""

    @field_validator("down_after_rejection")
    @classmethod
    def _link_may_go_down(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("single_node") is False:
            raise refusal("has no effect without single_node")
        return value

    def gateway_link_layer_address(self, fixed: bytes) -> bytes:
        """The gateway's on this link. fixed: that of all links which have such addresses."""
        return fixed if self.mn_id is None else NO_LINK_LAYER_ADDRESS

    def may_have(self, mn_id: bytes | None, link_layer_address: bytes) -> bool:
        """Whether that node, or one that nobody knows, can be on the link with that address."""
        if self.mn_id is None:
            return link_layer_address != NO_LINK_LAYER_ADDRESS
        return link_layer_address == NO_LINK_LAYER_ADDRESS and mn_id == self.mn_id.encode()

    @property
    def hears_unknown_sources(self) -> bool:
        """Whether any frame of an unknown node is a sign of life."""
        return AttachTrigger.ANY_FRAME in self.attach_triggers


class ProtocolSection(Section):
    """Protocol variables that all bindings share (RFC 5213 §9.2 and §9.3, RFC 6275 §12)."""

    lifetime_s: Lifetime = _DEFAULTS.lifetime_s
    refresh_fraction: Annotated[float, Between(0.1, 0.95)] = _DEFAULTS.refresh_fraction
    initial_bindack_timeout_s: _TimeoutSeconds = _DEFAULTS.initial_bindack_timeout_s
    max_bindack_timeout_s: _TimeoutSeconds | None = None
    """None: the RFC's, or initial_bindack_timeout_s if that is longer."""
    timestamp_based_approach_in_use: Switch = _DEFAULTS.timestamp_based_approach_in_use
    mobile_node_generated_timestamp_in_use: Switch = False
    clock: ClockPolicy = ClockPolicy.WARN
    max_clock_error_s: Annotated[float, Between(0.001, 10)] = 0.15
    """Beyond it timestamps order nothing: half the time in which a node reconnects (§5.5)."""
    fixed_mag_link_local_address: LinkLocalAddressOrNone = _DEFAULTS.fixed_mag_link_local_address
    """`::`: LMAs give one to each session (RFC 5213 §6.8)."""
    fixed_mag_link_layer_address: LinkLayerAddress = _DEFAULTS.fixed_mag_link_layer_address
    max_bindings: Annotated[int, Between(1, 10_000_000)] = _DEFAULTS.max_bindings
    local_routing: Switch = False
    """EnableMAGLocalRouting (RFC 5213 §9.2): for nodes whose policy does not say."""

    @field_validator("mobile_node_generated_timestamp_in_use")
    @classmethod
    def _nodes_make_no_timestamps(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("timestamp_based_approach_in_use") is False:
            raise refusal("cannot be true without timestamp_based_approach_in_use (RFC 5213 §9.3)")
        if value:
            raise refusal("must be false: access links hand over no timestamps of nodes")
        return value

    @field_validator("max_bindack_timeout_s")
    @classmethod
    def _timeouts_grow(cls, value: float, info: ValidationInfo) -> float:
        initial = info.data.get("initial_bindack_timeout_s")
        if initial is not None and value < initial:
            raise refusal(f"{value:g} is less than initial_bindack_timeout_s ({initial:g})")
        return value

    @property
    def effective_max_bindack_timeout_s(self) -> float:
        """The upper bound of retransmission timeouts, if left open not below the first."""
        if self.max_bindack_timeout_s is not None:
            return self.max_bindack_timeout_s
        return max(_DEFAULTS.max_bindack_timeout_s, self.initial_bindack_timeout_s)


class HeartbeatSection(Section):
    """Liveness of the LMAs (RFC 5847 §5)."""

    enabled: Switch = _DEFAULTS.heartbeat.is_enabled
    """Ask; an LMA's own heartbeats are always answered."""
    interval_s: Annotated[float, Between(30, 3600)] = _DEFAULTS.heartbeat.interval_s
    missing_allowed: Annotated[int, Between(1, 100)] = _DEFAULTS.heartbeat.missing_allowed


class VppSection(Section):
    """Where FD.io VPP is, and what of it is the gateway's."""

    api_socket: SocketPath = Path("/run/vpp/api.sock")
    stats_socket: SocketPath = Path("/run/vpp/stats.sock")
    punt_socket: SocketPath = Path("/run/mag/punt.sock")
    """Of the agent, in a directory that VPP may write to: where VPP hands it signalling."""
    mobility_table: Annotated[int, Between(1, 2**32 - 2)] = 5213
    """IPv6 table for access interfaces; becomes the gateway's."""
    core_table: Annotated[int, Between(0, 2**32 - 2)] = 0
    """IPv6 table with the routes to the LMAs."""
    hand_off: Switch = False
    """Spread the tunnel packets of one LMA over VPP's workers."""


class DataplaneSection(Section):
    """The packet path."""

    kind: Literal["kernel", "vpp"] = "kernel"
    core_interfaces: Annotated[tuple[InterfaceName, ...], Field(min_length=1)]
    """Interfaces towards the LMAs."""
    verify_interval_s: Annotated[int, Between(1, 86400)] = 60
    """From one look at what others may have changed to the next."""
    vpp: VppSection = VppSection()

    @field_validator("vpp")
    @classmethod
    def _vpp_is_in_use(cls, value: VppSection, info: ValidationInfo) -> VppSection:
        if info.data.get("kind") == "kernel" and value != VppSection():
            raise refusal("has no effect with kind: kernel")
        return value


class AdminSection(Section):
    """The socket through which the other commands of `mag` talk to the gateway."""

    socket: SocketPath = Path("/run/mag/mag.sock")
    socket_mode: FileMode = 0o660


class JournalSection(Section):
    """The file through which bindings outlast the gateway."""

    enabled: Switch = True
    path: FilePath = Path("/var/lib/mag/journal.db")


class ShutdownPolicy(StrEnum):
    """What becomes of the sessions at SIGTERM."""

    DEREGISTER = "deregister"
    """Take them back at the LMAs and clean up."""
    KEEP = "keep"
    """Leave packet path and journal as they are: the next start goes on with them."""


class ShutdownSection(Section):
    """What happens at SIGTERM."""

    policy: ShutdownPolicy = ShutdownPolicy.DEREGISTER
    timeout_s: Annotated[float, Between(0, 60)] = 5.0
    """Longest wait for the LMAs' answers."""


class LogSection(Section):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """auto: console on a terminal, json elsewhere."""
    mn_id: Literal["plain", "hashed", "off"] = "plain"
    """How MN-Identifiers, which are personal data, appear."""


class Configuration(Section):
    """The whole file."""

    identity: Name = "mag"
    """Name of this gateway in logs and metrics."""
    proxy_care_of_address: GlobalUnicastAddress
    """Source of our signalling and our end of all tunnels (RFC 5213 §6.9.1.5, RFC 6275 §6.1.7)."""
    lmas: Annotated[dict[Name, LmaSection], Field(min_length=1)]
    access_links: Annotated[dict[InterfaceName, AccessLinkSection], Field(min_length=1)]
    """By interface."""
    policy: Policy
    protocol: ProtocolSection = ProtocolSection()
    router_advertisement: RouterAdvertisementSection = RouterAdvertisementSection()
    heartbeat: HeartbeatSection = HeartbeatSection()
    dataplane: DataplaneSection
    admin: AdminSection = AdminSection()
    journal: JournalSection = JournalSection()
    shutdown: ShutdownSection = ShutdownSection()
    log: LogSection = LogSection()

    @field_validator("shutdown")
    @classmethod
    def _what_is_kept_is_found_again(
        cls, value: ShutdownSection, info: ValidationInfo
    ) -> ShutdownSection:
        journal = info.data.get("journal")
        is_forgotten = journal is not None and not journal.enabled
        if value.policy is ShutdownPolicy.KEEP and is_forgotten:
            raise refusal("policy: keep needs the journal, and journal.enabled is false")
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _report_every_fault(cls, values: object, build: ModelWrapValidatorHandler[Self]) -> Self:
        """Look for contradictions between values even where some value is a fault by itself."""
        try:
            configuration = build(values)
        except ValidationError as error:
            raise reworded(cls, error.errors(), find_contradictions(values)) from None
        if contradictions := find_contradictions(configuration.model_dump()):
            raise reworded(cls, [], contradictions)
        return configuration

    def protocol_settings(self) -> ProtocolSettings:
        """What the protocol core is built with."""
        protocol = self.protocol
        return ProtocolSettings(
            proxy_care_of_address=self.proxy_care_of_address,
            lifetime_s=protocol.lifetime_s,
            refresh_fraction=protocol.refresh_fraction,
            initial_bindack_timeout_s=protocol.initial_bindack_timeout_s,
            max_bindack_timeout_s=protocol.effective_max_bindack_timeout_s,
            timestamp_based_approach_in_use=protocol.timestamp_based_approach_in_use,
            fixed_mag_link_local_address=protocol.fixed_mag_link_local_address,
            fixed_mag_link_layer_address=protocol.fixed_mag_link_layer_address,
            router_advertisement=self.router_advertisement.settings(),
            heartbeat=HeartbeatSettings(
                is_enabled=self.heartbeat.enabled,
                interval_s=self.heartbeat.interval_s,
                missing_allowed=self.heartbeat.missing_allowed,
            ),
            solicitations_by_link={
                interface: link.presence_solicitations
                for interface, link in self.access_links.items()
                if link.presence is PresenceMethod.PROBE
            },
            max_bindings=protocol.max_bindings,
        )

    def lma_settings(self) -> dict[IPv6Address, LmaSettings]:
        """The LMAs of the protocol core."""
        return {lma.address: lma.settings() for lma in self.lmas.values()}

    @cached_property
    def policy_directory(self) -> PolicyDirectory:
        """Look-ups in the policy, built at the first use."""
        return PolicyDirectory(
            self.policy,
            {name: lma.address for name, lma in self.lmas.items()},
            local_routing=self.protocol.local_routing,
        )
