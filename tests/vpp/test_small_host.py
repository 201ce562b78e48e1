"""A gateway on the small VPP of configs/vpp, as an operator has it without NICs and root."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from scapy.layers.inet6 import ICMPv6ND_RS, IPv6
from scapy.layers.l2 import Ether

from dataplane.conftest import needs_root, needs_vpp, vpp_installation
from dataplane.contract.bench import LINKS, LMA_A, PROXY_COA
from dataplane.contract.kernel_bench import CORE, WireBench, silence, tap_of
from dataplane.contract.vpp_bench import start_up_commands
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.lab.packet_path.vpp_process import VppProcess
from mag.lab.packet_path.vpp_startup import VppFolder
from mag.wire.ethernet import EthernetFrame
from mag.wire.iana import IP_PROTOCOL_MOBILITY_HEADER
from support.namespaces import in_namespace, namespace_pair
from support.waiting import PATIENCE_S, wait_for

pytestmark = [pytest.mark.vpp, needs_root, needs_vpp]

SMALL = Path(__file__).parents[2] / "configs" / "vpp" / "small.conf"
ACCESS = LINKS[0]
NODE = "02:00:00:00:00:0a"
NEXT_HEADER = 6
GATEWAY = f"""
proxy_care_of_address: {PROXY_COA}
lmas: {{lma1: {{address: "{LMA_A}"}}}}
access_links: {{{ACCESS}: {{}}}}
policy:
  nodes: {{mn1@example.net: {{lma: lma1, link_layer_addresses: ["{NODE}"]}}}}
dataplane:
  kind: vpp
  core_interfaces: [{CORE}]
  vpp: {{api_socket: FOLDER/api.sock, stats_socket: FOLDER/stats.sock,
         punt_socket: FOLDER/mag-punt.sock}}
admin: {{socket: FOLDER/mag.sock}}
journal: {{path: FOLDER/journal.db}}
"""
WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


@dataclass(frozen=True)
class SmallStartup:
    """The file as it is committed, but for whose sockets and plugins those are."""

    folder: VppFolder
    plugin_folders: tuple[Path, ...]

    def render(self) -> str:
        changes = {
            "/run/vpp": str(self.folder.path),
            "/var/log/vpp": str(self.folder.path),
            "/etc/vpp": str(self.folder.path),
            "gid vpp": "gid root",
            "api-segment {": f"api-segment {{ prefix {self.folder.path.name}",
            "plugins {\n": f"plugins {{\n  path {':'.join(map(str, self.plugin_folders))}\n",
        }
        text = SMALL.read_text()
        for before, after in changes.items():
            assert before in text
            text = text.replace(before, after)
        return text


@pytest.fixture
def small_vpp() -> Iterator[tuple[VppFolder, WireBench]]:
    """It runs in the gateway's namespace and has done what its gateway.cli says."""
    assert isinstance(vpp_installation, VppInstallation)
    with TemporaryDirectory(prefix="mag-vpp-") as path, namespace_pair() as (gateway, world):
        folder = VppFolder(Path(path))
        (folder.path / "gateway.cli").write_text(start_up_commands())
        startup = SmallStartup(folder, vpp_installation.plugin_folders)
        wires = WireBench(gateway, world)
        in_namespace(gateway, silence)
        vpp = VppProcess(vpp_installation, startup)
        try:
            vpp.start(lambda call: in_namespace(gateway, call))
            shown = f"show interface address {CORE}"
            wait_for(lambda: str(PROXY_COA) in vpp.cli(shown), "gateway.cli is carried out")
            yield folder, wires
        finally:
            vpp.stop()
            wires.close()


def test_gateway_without_privileges_registers_a_node(
    small_vpp: tuple[VppFolder, WireBench],
) -> None:
    """Only VPP's sockets: no capability is left to the process that runs as their owner."""
    folder, wires = small_vpp
    file = folder.path / "mag.yaml"
    file.write_text(GATEWAY.replace("FOLDER", str(folder.path)))
    core, access = in_namespace(wires.world, lambda: (tap_of(CORE), tap_of(ACCESS)))
    output = folder.path / "mag-output"
    with core, access, output.open("wb") as said:
        gateway = subprocess.Popen(
            [*WITHOUT_PRIVILEGES, sys.executable, "-m", "mag", "run", str(file)],
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(lambda: "gateway_started" in output.read_text(), "the gateway serves")
            solicitation = IPv6(src="fe80::a", dst="ff02::2", hlim=255) / ICMPv6ND_RS()
            access.send(bytes(Ether(src=NODE, dst="33:33:00:00:00:02") / solicitation))
            wait_for(lambda: is_proxy_binding_update(core), "a Proxy Binding Update on the core")
        finally:
            gateway.send_signal(signal.SIGTERM)
            assert gateway.wait(PATIENCE_S) == 0, output.read_text()


def is_proxy_binding_update(tap: socket.socket) -> bool:
    """Whether the next frame that is there is one, to the LMA."""
    try:
        packet = EthernetFrame.decode(tap.recv(2048)).payload
    except BlockingIOError:
        return False
    return packet[NEXT_HEADER] == IP_PROTOCOL_MOBILITY_HEADER and packet[24:40] == LMA_A.packed
