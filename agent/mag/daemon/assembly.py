"""From the configuration to the adapters of a gateway, for each packet path."""

from mag.config.model import AccessLinkSection, Configuration
from mag.daemon.gateway import Adapters
from mag.dataplane.kernel.backend import KernelDataplane
from mag.dataplane.vpp.shared_layout import TableId
from mag.services.access_link import PacketSocketPort
from mag.services.link_monitor import watch_links
from mag.services.mobility_transport import RawSocketTransport
from mag.services.policy_store import ConfiguredPolicyStore
from mag.services.vpp_adapters import VppAdapters, VppSettings


def assemble(configuration: Configuration) -> Adapters:
    """The adapters that the configured packet path takes; nothing is opened."""
    if configuration.dataplane.kind == "vpp":
        return _on_vpp(configuration)
    return _on_the_kernel(configuration)


def _on_the_kernel(configuration: Configuration) -> Adapters:
    address = configuration.proxy_care_of_address
    gateway_address = configuration.protocol.fixed_mag_link_layer_address

    def port(interface: str, link: AccessLinkSection) -> PacketSocketPort:
        return PacketSocketPort(
            interface,
            gateway_link_layer_address=link.gateway_link_layer_address(gateway_address),
            pass_unknown_sources=link.hears_unknown_sources,
        )

    dataplane = KernelDataplane(address, configuration.dataplane.core_interfaces)
    return Adapters(
        transport=RawSocketTransport(address),
        dataplane=dataplane,
        policy=ConfiguredPolicyStore(configuration.policy_directory),
        ports={each: port(each, link) for each, link in configuration.access_links.items()},
        make_port=port,
        link_states=watch_links,
        disturbances=dataplane.disturbances,
    )


def _on_vpp(configuration: Configuration) -> Adapters:
    vpp = configuration.dataplane.vpp
    adapters = VppAdapters(
        VppSettings(
            core_interfaces=configuration.dataplane.core_interfaces,
            api_socket=str(vpp.api_socket),
            stats_socket=str(vpp.stats_socket),
            punt_socket=str(vpp.punt_socket),
            mobility_table=TableId(vpp.mobility_table),
            core_table=TableId(vpp.core_table),
            hand_off=vpp.hand_off,
        ),
        proxy_care_of_address=configuration.proxy_care_of_address,
        lma_addresses=[lma.address for lma in configuration.lmas.values()],
        gateway_link_layer_address=configuration.protocol.fixed_mag_link_layer_address,
        access_links={
            interface: link.hears_unknown_sources
            for interface, link in configuration.access_links.items()
        },
    )
    return Adapters(
        transport=adapters.transport,
        dataplane=adapters.dataplane,
        policy=ConfiguredPolicyStore(configuration.policy_directory),
        ports=adapters.ports,
        make_port=lambda interface, link: adapters.port(interface, link.hears_unknown_sources),
        link_states=adapters.link_monitor.watch,
        keep_connected=adapters.keep_connected,
        idle_s=adapters.dataplane.idle_s,
    )
