"""The files of one gateway's VPP: sockets, start-up configuration, start-up commands."""

from dataclasses import dataclass
from ipaddress import IPv6Interface
from pathlib import Path

from mag.lab.packet_path.vpp_installation import PLUGIN_FILE, VppInstallation
from mag.lab.world import topology
from mag.lab.world.private_namespaces import GATEWAY_RUN_DIRECTORY

# vxlan is there for its API only: VPP 26.06 sends no event whose message number lies above those
# of all requests, and its requests come after our plugin's.
_STARTUP = """\
unix {{
  nodaemon
  nosyslog
  runtime-dir {folder}
  log {folder}/vpp.log
  cli-listen {cli_socket}
  exec {commands}
}}
api-segment {{ prefix {gateway} }}
socksvr {{ socket-name {api_socket} }}
statseg {{ socket-name {stats_socket} size 64m page-size 4k }}
punt {{ socket {folder}/punt.sock }}
memory {{ main-heap-size 512m main-heap-page-size 4k }}
buffers {{ buffers-per-numa 16384 page-size 4k }}
mag {{ max-bindings 1024 }}
plugins {{
  path {plugin_path}
  plugin default {{ disable }}
  plugin af_packet_plugin.so {{ enable }}
  plugin ping_plugin.so {{ enable }}
  plugin vxlan_plugin.so {{ enable }}
  plugin {plugin} {{ enable }}
}}
"""

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


@dataclass(frozen=True, slots=True)
class VppFiles:
    """All paths of one gateway's VPP, inside the lab."""

    gateway: str

    @property
    def folder(self) -> Path:
        """Everything lies here."""
        return GATEWAY_RUN_DIRECTORY / f"{self.gateway}-vpp"

    @property
    def startup(self) -> Path:
        """For `vpp -c`."""
        return self.folder / "startup.conf"

    @property
    def commands(self) -> Path:
        """CLI commands that VPP carries out two seconds after its start."""
        return self.folder / "interfaces.vpp"

    @property
    def cli_socket(self) -> Path:
        """For `vppctl -s`."""
        return self.folder / "cli.sock"

    @property
    def api_socket(self) -> Path:
        """Binary API."""
        return self.folder / "api.sock"

    @property
    def stats_socket(self) -> Path:
        """Stats segment."""
        return self.folder / "stats.sock"

    @property
    def agent_punt_socket(self) -> Path:
        """The gateway's end of the punt socket."""
        return self.folder / "mag-punt.sock"

    def write(
        self, installation: VppInstallation, core_address: IPv6Interface, core_mac: str
    ) -> None:
        """Make the folder, start-up configuration and start-up commands.

        core_mac: link-layer address of the kernel's core interface.
        """
        self.folder.mkdir()
        startup = _STARTUP.format(
            folder=self.folder,
            cli_socket=self.cli_socket,
            commands=self.commands,
            gateway=self.gateway,
            api_socket=self.api_socket,
            stats_socket=self.stats_socket,
            plugin_path=":".join(map(str, installation.plugin_folders)),
            plugin=PLUGIN_FILE,
        )
        self.startup.write_text(startup, encoding="utf-8")
        commands = _COMMANDS.format(
            core=topology.CORE_INTERFACE,
            core_mac=core_mac,
            core_address=core_address,
            access=topology.ACCESS_INTERFACE,
            mtu=topology.LINK_MTU,
        )
        self.commands.write_text(commands, encoding="utf-8")
