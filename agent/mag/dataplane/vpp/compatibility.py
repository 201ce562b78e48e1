"""Which VPP we can work with: every message we send or read, with the checksum of its layout.

A checksum (CRC) covers the message and all types in it, so two messages of one name and CRC are
the same to the octet. VPP tells its table of them when a client connects.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from mag.dataplane.vpp.errors import VppIncompatibleError

SUPPORTED_RELEASES: Final = "26.06"
PLUGIN_VERSION: Final = "0.1.0"
PLUGIN: Final = "mag"

VPP_MESSAGES: Final[Mapping[str, str]] = {
    "control_ping": "51077d14",
    "control_ping_reply": "f6b0b8ca",
    "create_loopback": "42bb5d22",
    "create_loopback_reply": "5383d31f",
    "delete_loopback": "f9e6675e",
    "delete_loopback_reply": "e8d4e804",
    "get_api_json": "51077d14",
    "get_api_json_reply": "ea715b59",
    "ip_address_details": "ee29b797",
    "ip_address_dump": "2d033de4",
    "ip_mroute_add_del": "0dd7e790",
    "ip_mroute_add_del_reply": "1992deab",
    "ip_table_add_del": "0ffdaec0",
    "ip_table_add_del_reply": "e8d4e804",
    "ip_table_details": "c79fca0f",
    "ip_table_dump": "51077d14",
    "ip_unnumbered_details": "cc59bd42",
    "ip_unnumbered_dump": "f9e6675e",
    "punt_socket_register": "7875badb",
    "punt_socket_register_reply": "bd30ae90",
    "show_version": "51077d14",
    "show_version_reply": "c919bde1",
    "sw_interface_add_del_address": "5463d73b",
    "sw_interface_add_del_address_reply": "e8d4e804",
    "sw_interface_details": "6c221fc7",
    "sw_interface_dump": "aa610c27",
    "sw_interface_event": "2d3d95a7",
    "sw_interface_get_table": "2d033de4",
    "sw_interface_get_table_reply": "a6eb0109",
    "sw_interface_ip6_enable_disable": "ae6cfcfb",
    "sw_interface_ip6_enable_disable_reply": "e8d4e804",
    "sw_interface_ip6_get_link_local_address": "f9e6675e",
    "sw_interface_ip6_get_link_local_address_reply": "d16b7130",
    "sw_interface_ip6_set_link_local_address": "1c10f15f",
    "sw_interface_ip6_set_link_local_address_reply": "e8d4e804",
    "sw_interface_set_flags": "f5aec1b8",
    "sw_interface_set_flags_reply": "e8d4e804",
    "sw_interface_set_mac_address": "c536e7eb",
    "sw_interface_set_mac_address_reply": "e8d4e804",
    "sw_interface_set_table": "df42a577",
    "sw_interface_set_table_reply": "e8d4e804",
    "sw_interface_set_unnumbered": "154a6439",
    "sw_interface_set_unnumbered_reply": "e8d4e804",
    "sw_interface_tag_add_del": "426f8bc1",
    "sw_interface_tag_add_del_reply": "e8d4e804",
    "want_interface_events": "476f5a08",
    "want_interface_events_reply": "e8d4e804",
}

PLUGIN_MESSAGES: Final[Mapping[str, str]] = {
    "mag_address_claimed_event": "e8958c01",
    "mag_access_interface_enable_disable": "3eb1b003",
    "mag_access_interface_enable_disable_reply": "e8d4e804",
    "mag_binding_details": "67798279",
    "mag_binding_get": "1721a229",
    "mag_binding_get_reply": "53b48f5d",
    "mag_bindings_update": "6d355ba8",
    "mag_bindings_update_reply": "e9d1b29e",
    "mag_core_interface_enable_disable": "dcdf9d17",
    "mag_core_interface_enable_disable_reply": "e8d4e804",
    "mag_gateway_address_add_del": "474da71f",
    "mag_gateway_address_add_del_reply": "e8d4e804",
    "mag_gateway_address_details": "7b9431a3",
    "mag_gateway_address_dump": "51077d14",
    "mag_interface_details": "cec8d940",
    "mag_interface_dump": "51077d14",
    "mag_lma_add_del": "1e2c6a46",
    "mag_lma_add_del_reply": "e8d4e804",
    "mag_lma_details": "f6564035",
    "mag_lma_dump": "51077d14",
    "mag_mobility_table_add_del": "9cb4f1f7",
    "mag_mobility_table_add_del_reply": "e8d4e804",
    "mag_plugin_get": "51077d14",
    "mag_plugin_get_reply": "f5166413",
    "mag_unknown_source_event": "89b89afc",
    "want_mag_events": "3ec6d6c2",
    "want_mag_events_reply": "e8d4e804",
}

REQUIRED_MESSAGES: Final[Mapping[str, str]] = {**VPP_MESSAGES, **PLUGIN_MESSAGES}


def check_messages(offered: Collection[str]) -> None:
    """offered: `name_crc` of every message that this VPP knows.

    Raises VppIncompatibleError that names every message that is missing or different, or the
    plugin if nothing of it is there.
    """
    faults = [*_faults_of_vpp(offered), *_faults_of_plugin(offered)]
    if faults:
        wanted = f"needs VPP {SUPPORTED_RELEASES} and plugin {PLUGIN} {PLUGIN_VERSION}"
        raise VppIncompatibleError("connect", f"{'; '.join(faults)} ({wanted})")


def _faults_of_vpp(offered: Collection[str]) -> Iterator[str]:
    return _differences("message", VPP_MESSAGES, offered)


def _faults_of_plugin(offered: Collection[str]) -> Iterator[str]:
    names = {message.rpartition("_")[0] for message in offered}
    if names.isdisjoint(PLUGIN_MESSAGES):
        return iter([f"plugin {PLUGIN} is not loaded"])
    return _differences(f"plugin {PLUGIN}: message", PLUGIN_MESSAGES, offered)


def _differences(
    label: str, required: Mapping[str, str], offered: Collection[str]
) -> Iterator[str]:
    crcs = dict(_split(message) for message in offered)
    for name, crc in required.items():
        if name not in crcs:
            yield f"{label} {name} is missing"
        elif f"{name}_{crc}" not in offered:
            yield f"{label} {name} is different ({crcs[name]}, not {crc})"


def _split(message: str) -> tuple[str, str]:
    name, _, crc = message.rpartition("_")
    return name, crc
