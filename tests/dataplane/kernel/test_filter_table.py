"""The nftables text: elements, their changes, and listings read back."""

import re
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from dataplane.contract.bench import ALICE
from mag.dataplane.base import Ensure, Remove
from mag.dataplane.kernel import filter_table, reassembly
from mag.dataplane.kernel.binding_batch import element_changes
from mag.dataplane.kernel.filter_table import Element

PREFIX = bytes.fromhex("20010db8000100010000000000000000")
LINK = b"acc1".ljust(16, b"\0")
UP = Element("uplink64", LINK + bytes.fromhex("02000000000a0000") + PREFIX)
DOWN = Element("downlink64", LINK + PREFIX)
LOCAL = Element("local64", PREFIX)


def test_binding_is_one_element_for_each_direction_and_prefix() -> None:
    prefixes = (*ALICE.home_network_prefixes, IPv6Network("2001:db8:30::/56"))
    both = list(filter_table.elements_of(replace(ALICE, home_network_prefixes=prefixes)))
    assert both[:2] == [UP, DOWN]
    assert [element.set_name for element in both[2:]] == ["uplink56", "downlink56"]


def test_binding_with_local_routing_has_an_element_more_for_each_prefix() -> None:
    """It marks what the node sends; it counts nothing and is dropped with the permission."""
    local = replace(ALICE, local_routing=True)
    assert list(filter_table.elements_of(local)) == [UP, DOWN, LOCAL]
    assert filter_table.length_of(LOCAL) == 64
    assert filter_table.is_of_bindings(LOCAL.set_name)
    changes = element_changes([Ensure(ALICE, replaces=local)])
    assert list(changes.deleted) == [LOCAL]


def test_elements_of_one_set_are_one_command() -> None:
    other = Element("uplink64", UP.key.replace(b"\x0a", b"\x0b"))
    assert filter_table.element_commands("add", [UP, DOWN, other, LOCAL]) == (
        'add element inet mag uplink64 { "acc1" . 02:00:00:00:00:0a . 2001:db8:1:1::,'
        ' "acc1" . 02:00:00:00:00:0b . 2001:db8:1:1:: }\n'
        'add element inet mag downlink64 { "acc1" . 2001:db8:1:1:: }\n'
        "add element inet mag local64 { 2001:db8:1:1:: }\n"
    )


def test_elements_of_links_and_lmas_are_commands_too() -> None:
    link = filter_table.access_interface("acc1")
    assert filter_table.element_commands("delete", [link]) == (
        'delete element inet mag access_interfaces { "acc1" }\n'
    )
    lma = filter_table.lma_address(IPv6Address("2001:db8:c::a"))
    assert filter_table.element_commands("add", [lma]) == (
        "add element inet mag lma_addresses { 2001:db8:c::a }\n"
    )


def test_lengths_in_use_are_those_that_have_sets() -> None:
    names = ["lma_addresses", "uplink56", "downlink56", "local56", "uplink64"]
    assert filter_table.lengths_in(names) == {56, 64}


def test_replacement_deletes_only_what_changed() -> None:
    """The downlink element, and with it its counter, stays when only the MAC changes."""
    after = replace(ALICE, mn_link_layer_address=bytes.fromhex("02000000000c"))
    changes = element_changes([Ensure(after, replaces=ALICE)])
    assert list(changes.deleted) == [UP]
    assert DOWN in changes.added


def test_element_that_goes_and_comes_in_one_batch_is_made_anew() -> None:
    """Its counter belongs to another binding now."""
    changes = element_changes([Remove(ALICE), Ensure(replace(ALICE, binding_id=7))])
    assert set(changes.deleted) == set(changes.added) == {UP, DOWN}


def test_element_that_comes_and_goes_in_one_batch_is_not_there() -> None:
    changes = element_changes([Ensure(ALICE), Remove(ALICE)])
    assert set(changes.deleted) == {UP, DOWN}
    assert not changes.added


def test_upper_layer_protocols_are_numbers() -> None:
    """Names of them are looked up in a file that not every machine has (Debian's netbase)."""
    address = IPv6Address("2001:db8:c0::11")
    commands = filter_table.base_commands(("core",), address, [64])
    for text in (commands, reassembly.commands(address), reassembly.PROBE):
        protocols = re.findall(r"(?:l4proto|nexthdr) (\S+)", text)
        assert protocols
        assert all(map(str.isdecimal, protocols))
