"""The files of one gateway's VPP in the lab: where they are, and what the lab writes into them."""

from ipaddress import IPv6Interface
from typing import Final

from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.lab.packet_path.vpp_startup import VppFolder, VppStartup
from mag.lab.world import topology
from mag.lab.world.private_namespaces import GATEWAY_RUN_DIRECTORY

# vxlan is there for its API only: VPP 26.06 sends no event whose message number lies above those
# of all requests, and its requests come after our plugin's.
_PLUGINS: Final = ("af_packet_plugin.so", "ping_plugin.so", "vxlan_plugin.so")
_MAX_BINDINGS: Final = 1024

# Without VPP's own offloads: a segment larger than the MTU blocks its transmit ring for good. With
# the queueing discipline: captures see what VPP sends. With the link-layer address of the kernel's
# end: as with a NIC, neighbours find a VPP that was started again where they knew it.
_COMMANDS = """\
create host-interface name {core} hw-addr {core_mac} qdisc-bypass-disable cksum-gso-disable
set interface mtu packet {mtu} host-{core}
set interface ip address host-{core} {core_address}
set interface state host-{core} up
create host-interface name {access} qdisc-bypass-disable cksum-gso-disable
set interface mtu packet {mtu} host-{access}
set interface state host-{access} up
"""


def vpp_interface(name: str) -> str:
    """What VPP calls its end of an interface of the kernel."""
    return f"host-{name}"


def files_of(gateway: str) -> VppFolder:
    """Where the files of its VPP are, inside the lab."""
    return VppFolder(GATEWAY_RUN_DIRECTORY / f"{gateway}-vpp")


def write_files(
    files: VppFolder, installation: VppInstallation, core_address: IPv6Interface, core_mac: str
) -> None:
    """Make the folder, start-up configuration and start-up commands.

    core_mac: link-layer address of the kernel's core interface.
    """
    files.path.mkdir()
    commands = files.path / "interfaces.vpp"
    startup = VppStartup(
        folder=files,
        plugin_folders=installation.plugin_folders,
        plugins=_PLUGINS,
        max_bindings=_MAX_BINDINGS,
        commands=commands,
    )
    files.startup.write_text(startup.render(), encoding="utf-8")
    text = _COMMANDS.format(
        core=topology.CORE_INTERFACE,
        core_mac=core_mac,
        core_address=core_address,
        access=topology.ACCESS_INTERFACE,
        mtu=topology.LINK_MTU,
    )
    commands.write_text(text, encoding="utf-8")
