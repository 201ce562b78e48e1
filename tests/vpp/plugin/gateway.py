"""A gateway to test: two access links, one VLAN on the first, one core link, two LMAs."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from scapy.layers.inet6 import UDP, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from vpp.plugin.generator import PACKETS_PER_STREAM, Port, send, wait_for_packets
from vpp.plugin.vpp_process import VppProcess

MOBILITY_TABLE = 10
VLAN = 100
PROXY_CARE_OF_ADDRESS = "2001:db8:a::1"
LMA = "2001:db8:b::1"
OTHER_LMA = "2001:db8:b::2"
GATEWAY_ADDRESS = "2001:db8:ff::1"
CORE_ADDRESS = "2001:db8:c::1"
NEXT_HOP = "2001:db8:c::2"
NEXT_HOP_MAC = "02:00:00:00:cc:02"
CORRESPONDENT = "2001:db8:dead::1"
ALICE_MAC = "02:00:00:00:00:11"
BOB_MAC = "02:00:00:00:00:22"
ANY_INTERFACE = 0xFFFFFFFF
ENTRY = struct.Struct("!QBBI6s16sIIQB")
"""mag_binding_entry; the prefix as two words and the rest."""


@dataclass
class Binding:
    """One binding as tests write it down."""

    binding_id: int
    prefixes: Sequence[str]
    sw_if_index: int
    mac: str = ALICE_MAC
    lma: str = LMA
    local_routing: bool = False

    def entries(self) -> list[dict[str, Any]]:
        """As mag_bindings_update has it."""
        return [
            {
                "binding_id": self.binding_id,
                "operation": 0,
                "flags": int(self.local_routing),
                "sw_if_index": self.sw_if_index,
                "mac": self.mac,
                "lma_address": self.lma,
                "prefix": prefix,
            }
            for prefix in self.prefixes
        ]

    def address(self, host: int = 5, prefix: int = 0) -> str:
        """An address of the node."""
        return str(IPv6Network(self.prefixes[prefix])[host])


def deletion(binding_id: int) -> dict[str, Any]:
    """The entry that deletes a binding."""
    return {
        "binding_id": binding_id,
        "operation": 1,
        "flags": 0,
        "sw_if_index": 0,
        "mac": "00:00:00:00:00:00",
        "lma_address": "::",
        "prefix": "::/1",
    }


@dataclass
class Gateway:
    """Builds the gateway in a running VPP; sends and expects."""

    vpp: VppProcess
    access: Port = field(init=False)
    other_access: Port = field(init=False)
    core: Port = field(init=False)
    loopback: int = field(init=False)
    vlan_sw_if_index: int = field(init=False)

    def build(self) -> None:
        """Interfaces, tables and routes: what stays between tests."""
        api = self.vpp.api
        api.ip_table_add_del(is_add=True, table={"table_id": MOBILITY_TABLE, "is_ip6": True})
        self.access, self.other_access, self.core = (Port(self.vpp, n) for n in range(3))
        self.loopback = api.create_loopback().sw_if_index
        vlan = api.create_vlan_subif(sw_if_index=self.access.sw_if_index, vlan_id=VLAN)
        self.vlan_sw_if_index = vlan.sw_if_index
        self._set_up(self.loopback, table=MOBILITY_TABLE)
        self._add_address(self.loopback, f"{GATEWAY_ADDRESS}/128")
        for sw_if_index in self.access_links:
            self.make_access_link(sw_if_index)
        self._set_up(self.core.sw_if_index)
        self._add_address(self.core.sw_if_index, f"{CORE_ADDRESS}/64")
        proxy = api.create_loopback().sw_if_index
        self._set_up(proxy)
        self._add_address(proxy, f"{PROXY_CARE_OF_ADDRESS}/128")
        self.add_neighbor()
        self.route("2001:db8:b::/64")
        self.route("2001:db8:dead::/48")

    @property
    def access_links(self) -> tuple[int, ...]:
        """Interface indices of the access links."""
        return (self.access.sw_if_index, self.other_access.sw_if_index, self.vlan_sw_if_index)

    @property
    def ports(self) -> tuple[Port, ...]:
        """All ports."""
        return (self.access, self.other_access, self.core)

    def make_access_link(self, sw_if_index: int) -> None:
        """In the mobility table, unnumbered to the loopback."""
        self._set_up(sw_if_index, table=MOBILITY_TABLE)
        self.vpp.api.sw_interface_set_unnumbered(
            sw_if_index=self.loopback, unnumbered_sw_if_index=sw_if_index, is_add=True
        )
        self.set_mtu(sw_if_index, 1500)

    def _set_up(self, sw_if_index: int, table: int = 0) -> None:
        api = self.vpp.api
        api.sw_interface_set_table(sw_if_index=sw_if_index, is_ipv6=True, vrf_id=table)
        api.sw_interface_set_flags(sw_if_index=sw_if_index, flags=1)
        api.sw_interface_ip6_enable_disable(sw_if_index=sw_if_index, enable=True)

    def _add_address(self, sw_if_index: int, prefix: str) -> None:
        self.vpp.api.sw_interface_add_del_address(
            sw_if_index=sw_if_index, is_add=True, prefix=prefix
        )

    def link_local(self) -> str:
        """The gateway's link-local address on the first access link."""
        lines = self.vpp.cli(f"show ip6 interface {self.access.name}").splitlines()
        [line] = [line for line in lines if "fe80::" in line]
        return line.split()[0].split("/")[0]

    def set_mtu(self, sw_if_index: int, octets: int) -> None:
        """L3 MTU of an interface."""
        self.vpp.api.sw_interface_set_mtu(sw_if_index=sw_if_index, mtu=[octets, 0, 0, 0])

    def add_neighbor(self, mac: str = NEXT_HOP_MAC, *, is_add: bool = True) -> None:
        """The next hop on the core link."""
        self.vpp.api.ip_neighbor_add_del(
            is_add=is_add,
            neighbor={
                "sw_if_index": self.core.sw_if_index,
                "mac_address": mac,
                "ip_address": NEXT_HOP,
                "flags": 1,
            },
        )

    def route(self, prefix: str, *, is_add: bool = True) -> None:
        """A route over the core link."""
        verb = "add" if is_add else "del"
        self.vpp.configure(f"ip route {verb} {prefix} via {NEXT_HOP} {self.core.name}")

    def enable(self, *, hand_off: bool = False) -> None:
        """Everything of the plugin but bindings."""
        api = self.vpp.api
        api.mag_mobility_table_add_del(
            table_id=MOBILITY_TABLE, loopback_sw_if_index=self.loopback, is_add=True
        )
        for sw_if_index in self.access_links:
            api.mag_access_interface_enable_disable(
                sw_if_index=sw_if_index, enable=True, regular_table_id=ANY_INTERFACE
            )
        api.mag_core_interface_enable_disable(
            sw_if_index=self.core.sw_if_index, enable=True, hand_off=hand_off
        )
        self.set_lma()
        self.set_lma(lma_address=OTHER_LMA)

    def disable(self) -> None:
        """Take back what enable and the test did; raises if anything is left."""
        api = self.vpp.api
        for details in api.mag_interface_dump():
            call = (
                api.mag_core_interface_enable_disable
                if details.role
                else api.mag_access_interface_enable_disable
            )
            call(sw_if_index=details.sw_if_index, enable=False)
        for lma in api.mag_lma_dump():
            self.delete_lma(lma.lma_address)
        api.mag_mobility_table_add_del(is_add=False, table_id=MOBILITY_TABLE)
        assert self.bindings() == []
        assert api.mag_lma_dump() == []
        self.vpp.forget_counters()

    def enable_access(self, sw_if_index: int) -> None:
        """One more access link, where only bound nodes may send."""
        self.make_access_link(sw_if_index)
        self.vpp.api.mag_access_interface_enable_disable(
            sw_if_index=sw_if_index, enable=True, regular_table_id=ANY_INTERFACE
        )

    def set_lma(self, **settings: Any) -> None:
        """Add or change an LMA; the settings are those of mag_lma_add_del."""
        defaults = {
            "is_add": True,
            "lma_address": LMA,
            "proxy_care_of_address": PROXY_CARE_OF_ADDRESS,
            "core_table_id": 0,
            "tunnel_mtu": 1460,
            "hop_limit": 64,
        }
        self.vpp.api.mag_lma_add_del(**defaults | settings)

    def delete_lma(self, address: str) -> None:
        """No binding may use it."""
        self.vpp.api.mag_lma_add_del(is_add=False, lma_address=address)

    def update(self, *entries: dict[str, Any]) -> Any:
        """Ensure and delete bindings in one message."""
        return self.vpp.api.mag_bindings_update(count=len(entries), entries=list(entries))

    def update_many(self, numbers: range, *, operation: int) -> Any:
        """Bindings of a /64 each on the first access link, packed here: papi takes its time."""
        mac = bytes.fromhex(ALICE_MAC.replace(":", ""))
        lma = IPv6Address(LMA).packed
        entries = b"".join(
            ENTRY.pack(n + 1, operation, 0, self.access.sw_if_index, mac, lma, 0x20010DB8, n, 0, 64)
            for n in numbers
        )
        return self.vpp.call_packed(
            "mag_bindings_update", struct.pack("!I", len(numbers)) + entries
        )

    def bind(self, *bindings: Binding) -> None:
        """Ensure bindings, all of them."""
        reply = self.update(*(entry for binding in bindings for entry in binding.entries()))
        assert reply.count == 0, reply.failures

    def bindings(self, **filters: Any) -> list[Any]:
        """Dump, following the cursor."""
        found = []
        cursor = 0
        arguments = {"sw_if_index": ANY_INTERFACE, "lma_address": "::"} | filters
        while cursor != ANY_INTERFACE:
            reply, details = self.vpp.api.mag_binding_get(cursor=cursor, **arguments)
            found += details
            cursor = reply.cursor
        return found

    def alice(self, **changes: Any) -> Binding:
        """A binding on the first access link."""
        values = {"prefixes": ["2001:db8:1:11::/64"], "sw_if_index": self.access.sw_if_index}
        return Binding(17, **values | changes)

    def bob(self, **changes: Any) -> Binding:
        """A binding on the second access link."""
        values = {
            "prefixes": ["2001:db8:1:22::/64"],
            "sw_if_index": self.other_access.sw_if_index,
            "mac": BOB_MAC,
        }
        return Binding(18, **values | changes)

    def uplink(self, source: str, destination: str = CORRESPONDENT, **fields: Any) -> Packet:
        """A frame from Alice's MAC on the first access link."""
        payload = fields.pop("payload", UDP(sport=1, dport=2) / Raw(b"u" * 40))
        mac = fields.pop("mac", ALICE_MAC)
        port = fields.pop("port", self.access)
        return Ether(src=mac, dst=port.mac) / IPv6(src=source, dst=destination, **fields) / payload

    def tunnelled(self, inner: Packet, **fields: Any) -> Packet:
        """A frame from the core: an outer header of the LMA's around what is given."""
        values = {"src": LMA, "dst": PROXY_CARE_OF_ADDRESS} | fields
        return Ether(src=NEXT_HOP_MAC, dst=self.core.mac) / IPv6(**values) / inner

    def to_node(self, destination: str, **fields: Any) -> Packet:
        """An inner packet from the correspondent."""
        payload = fields.pop("payload", UDP(sport=3, dport=4) / Raw(b"d" * 40))
        return IPv6(src=CORRESPONDENT, dst=destination, **fields) / payload

    def send_and_expect(
        self,
        port: Port,
        frames: Sequence[Packet],
        out: Port,
        count: int | None = None,
        worker: int | None = None,
    ) -> list[Packet]:
        """Send; as many frames come out of one port, and none of any other."""
        send(self.vpp, port, frames, self.ports, worker)
        count = len(frames) if count is None else count
        received = wait_for_packets(out, count)
        assert len(received) == count, self.explain(len(received), count)
        for other in self.ports:
            if other is not out:
                assert other.captured() == [], self.vpp.error_counters()
        return received

    def send_and_expect_nothing(
        self, port: Port, frames: Sequence[Packet], worker: int | None = None
    ) -> None:
        """Send; nothing comes out anywhere."""
        send(self.vpp, port, frames, self.ports, worker)
        for other in self.ports:
            assert other.captured() == [], self.vpp.error_counters()

    def send_and_expect_drop(
        self, port: Port, frames: Sequence[Packet], counter: str, worker: int | None = None
    ) -> None:
        """Send; nothing comes out, and the counter `node/name` grows by each frame."""
        before = self.vpp.error_counters().get(counter, 0)
        self.send_and_expect_nothing(port, frames, worker)
        counters = self.vpp.error_counters()
        assert counters.get(counter, 0) - before == len(frames), counters

    def send_whatever(self, port: Port, frames: Sequence[Packet | bytes]) -> None:
        """Send; VPP lives, that is all."""
        send(self.vpp, port, frames, self.ports, None)

    def lma(self, address: str) -> Any:
        """What VPP says about an LMA."""
        return next(d for d in self.vpp.api.mag_lma_dump() if str(d.lma_address) == address)

    def explain(self, received: int, expected: int) -> str:
        """For the report of a failed test."""
        return f"{received} of {expected} packets; {self.vpp.cli('show errors')}"


def stream(frame: Packet, count: int = PACKETS_PER_STREAM) -> list[Packet]:
    """The same frame often enough for every loop."""
    return [frame] * count


def tagged(frame: Packet, vlan: int = VLAN) -> Packet:
    """The frame with a VLAN tag."""
    return Ether(src=frame.src, dst=frame.dst) / Dot1Q(vlan=vlan) / frame.payload
