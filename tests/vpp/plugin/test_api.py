"""The binary API: mag.api, as clients meet it."""

import pytest

from vpp.plugin.gateway import (
    ALICE_MAC,
    ANY_INTERFACE,
    LMA,
    MOBILITY_TABLE,
    OTHER_LMA,
    PROXY_CARE_OF_ADDRESS,
    Binding,
    Gateway,
    deletion,
    stream,
)
from vpp.plugin.vpp_process import VppRefused

pytestmark = pytest.mark.vpp

INVALID_SW_IF_INDEX = -2
NO_SUCH_FIB = -3
NO_SUCH_ENTRY = -6
INVALID_VALUE = -7
VALUE_EXIST = -81
ENTRY_ALREADY_EXISTS = -116
LIMIT_EXCEEDED = -162
N_MANY = 100_000
N_PER_MESSAGE = 500


def many(gateway: Gateway, numbers: range) -> list[dict[str, object]]:
    """Entries of bindings with a /64 each."""
    return [
        {
            "binding_id": n + 1,
            "operation": 0,
            "flags": 0,
            "sw_if_index": gateway.access.sw_if_index,
            "mac": ALICE_MAC,
            "lma_address": LMA,
            "prefix": f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::/64",
        }
        for n in numbers
    ]


def test_plugin_tells_version_and_capacity(gateway: Gateway) -> None:
    """What a client checks before it begins."""
    reply = gateway.vpp.api.mag_plugin_get()
    assert (reply.version, reply.max_bindings, reply.n_lmas) == ("0.1.0", 1000, 2)
    assert (reply.n_workers, reply.n_bindings) == (0, 0)
    assert reply.vpp_version in gateway.vpp.cli("show version")


def test_binding_is_dumped_as_it_was_given(gateway: Gateway) -> None:
    """BUL: the agent finds what it programmed."""
    prefixes = ["2001:db8:1:11::/64", "2001:db8:aa::/48", "2001:db8:1:12::7/128"]
    alice = gateway.alice(prefixes=prefixes, local_routing=True, lma=OTHER_LMA)
    alice.binding_id = 0xFFFF_FFFF_0000_0001
    gateway.bind(alice)
    [details] = gateway.bindings()
    assert details.binding_id == alice.binding_id
    assert details.sw_if_index == gateway.access.sw_if_index
    assert (str(details.mac), str(details.lma_address)) == (ALICE_MAC, OTHER_LMA)
    assert [str(p) for p in details.prefixes] == prefixes
    assert int(details.flags) == 1


def test_prefix_bits_beyond_length_are_ignored(gateway: Gateway) -> None:
    """2001:db8:1:11::5/64 is 2001:db8:1:11::/64."""
    gateway.bind(Binding(17, ["2001:db8:1:11::5/64"], gateway.access.sw_if_index))
    [details] = gateway.bindings()
    assert str(details.prefixes[0]) == "2001:db8:1:11::/64"


def test_failed_entries_leave_the_others_alone(gateway: Gateway) -> None:
    """One message, several faults: each is told with its position and reason."""
    alice, bob = gateway.alice(), gateway.bob()
    good = alice.entries()[0]
    entries = [
        good | {"binding_id": 0},
        good,
        bob.entries()[0] | {"prefix": good["prefix"]},
        good | {"binding_id": 30, "prefix": "2001:db8:7::/64", "lma_address": "2001:db8::9"},
        good | {"binding_id": 31, "prefix": "2001:db8:7::/64", "sw_if_index": 0},
        good | {"binding_id": 32, "prefix": "::/0"},
        good | {"binding_id": 33, "prefix": "2001:db8:7::/64"},
        good | {"binding_id": 33, "prefix": "2001:db8:7::1/64"},
        good | {"binding_id": 34, "prefix": "2001:db8:8::/64"},
        good | {"binding_id": 34, "prefix": "2001:db8:9::/64", "mac": "02:00:00:00:00:99"},
        good | {"binding_id": 35, "prefix": "fe80::/64"},
        good | {"binding_id": 36, "prefix": "ff0e::/16"},
        deletion(999),
        bob.entries()[0],
    ]
    reply = gateway.update(*entries)
    assert {f.index: f.retval for f in reply.failures} == {
        0: INVALID_VALUE,
        2: ENTRY_ALREADY_EXISTS,
        3: NO_SUCH_ENTRY,
        4: INVALID_SW_IF_INDEX,
        5: INVALID_VALUE,
        6: ENTRY_ALREADY_EXISTS,
        8: INVALID_VALUE,
        10: INVALID_VALUE,
        11: INVALID_VALUE,
    }
    assert reply.n_bindings == 2
    assert {d.binding_id for d in gateway.bindings()} == {alice.binding_id, bob.binding_id}


def test_failed_replacement_leaves_binding_as_it_was(gateway: Gateway) -> None:
    """Nothing is taken away before all is known to fit."""
    alice, bob = gateway.alice(), gateway.bob()
    gateway.bind(alice, bob)
    reply = gateway.update(
        *gateway.alice(prefixes=["2001:db8:1:33::/64", bob.prefixes[0]]).entries()
    )
    assert [f.retval for f in reply.failures] == [ENTRY_ALREADY_EXISTS]
    frame = gateway.uplink(alice.address())
    gateway.send_and_expect(gateway.access, stream(frame), gateway.core)


def test_prefix_moves_between_bindings_in_one_message(gateway: Gateway) -> None:
    """Entries are carried out in order: delete, then another binding takes the prefix."""
    alice = gateway.alice()
    gateway.bind(alice)
    heir = gateway.alice(mac="02:00:00:00:00:77")
    heir.binding_id = 99
    reply = gateway.update(deletion(alice.binding_id), *heir.entries())
    assert reply.count == 0
    frame = gateway.uplink(alice.address(), mac="02:00:00:00:00:77")
    gateway.send_and_expect(gateway.access, stream(frame), gateway.core)


def test_capacity_is_a_limit_not_a_crash(gateway: Gateway) -> None:
    """startup.conf: max-bindings; what is there may still be replaced."""
    reply = gateway.update(*many(gateway, range(1001)))
    assert [(f.index, f.retval) for f in reply.failures] == [(1000, LIMIT_EXCEEDED)]
    assert gateway.update(*many(gateway, range(1000))).count == 0
    assert len(gateway.bindings()) == 1000


def test_more_prefixes_than_allowed_are_refused(gateway: Gateway) -> None:
    """mag_plugin_get tells how many a binding may have."""
    limit = gateway.vpp.api.mag_plugin_get().max_prefixes_per_binding
    prefixes = [f"2001:db8:6:{n:x}::/64" for n in range(limit + 1)]
    gateway.bind(gateway.alice(prefixes=prefixes[:limit]))
    reply = gateway.update(*gateway.alice(prefixes=prefixes).entries())
    assert [f.retval for f in reply.failures] == [INVALID_VALUE]


def test_dump_filters_by_id_interface_and_lma(gateway: Gateway) -> None:
    """Filters are joined by and."""
    alice, bob = gateway.alice(), gateway.bob(lma=OTHER_LMA)
    gateway.bind(alice, bob)

    def ids(**filters: object) -> list[int]:
        return [d.binding_id for d in gateway.bindings(**filters)]

    assert ids(binding_id=alice.binding_id) == [alice.binding_id]
    assert ids(sw_if_index=gateway.other_access.sw_if_index) == [bob.binding_id]
    assert ids(lma_address=OTHER_LMA) == [bob.binding_id]
    assert ids(lma_address=OTHER_LMA, binding_id=alice.binding_id) == []
    assert ids(lma_address="2001:db8::9") == []
    assert ids(idle_at_least=3600) == []
    assert sorted(ids()) == [alice.binding_id, bob.binding_id]


def test_lma_settings_are_dumped_as_given(gateway: Gateway) -> None:
    """Every setting of mag_lma_add_del."""
    settings = {
        "tunnel_mtu": 1452,
        "hop_limit": 9,
        "dscp_mode": 1,
        "dscp": 0,
        "flow_label_mode": 2,
        "flow_label": 0,
        "add_encapsulation_limit": True,
        "encapsulation_limit": 7,
    }
    gateway.set_lma(**settings)
    lma = gateway.lma(LMA)
    assert {name: getattr(lma, name) for name in settings} == settings
    assert str(lma.proxy_care_of_address) == PROXY_CARE_OF_ADDRESS


@pytest.mark.parametrize(
    ("settings", "retval"),
    [
        ({"lma_address": PROXY_CARE_OF_ADDRESS}, INVALID_VALUE),
        ({"lma_address": "::"}, INVALID_VALUE),
        ({"lma_address": "ff02::1"}, INVALID_VALUE),
        ({"proxy_care_of_address": "fe80::1"}, INVALID_VALUE),
        ({"tunnel_mtu": 1239}, INVALID_VALUE),
        ({"tunnel_mtu": 65496}, INVALID_VALUE),
        ({"hop_limit": 0}, INVALID_VALUE),
        ({"dscp": 64}, INVALID_VALUE),
        ({"dscp_mode": 2}, INVALID_VALUE),
        ({"flow_label": 1 << 20}, INVALID_VALUE),
        ({"core_table_id": 77}, NO_SUCH_FIB),
    ],
)
def test_impossible_lma_is_refused(
    gateway: Gateway, settings: dict[str, object], retval: int
) -> None:
    """T2473-07 among others: nothing is changed."""
    with pytest.raises(VppRefused) as refused:
        gateway.set_lma(**{"lma_address": "2001:db8:b::9"} | settings)
    assert refused.value.retval == retval
    assert len(gateway.vpp.api.mag_lma_dump()) == 2


def test_interface_has_one_role(gateway: Gateway) -> None:
    """Access and core exclude each other; what is not enabled cannot be disabled."""
    api = gateway.vpp.api
    for call, port in (
        (api.mag_core_interface_enable_disable, gateway.access),
        (api.mag_access_interface_enable_disable, gateway.core),
    ):
        with pytest.raises(VppRefused) as refused:
            call(sw_if_index=port.sw_if_index, enable=True)
        assert refused.value.retval == VALUE_EXIST
    with pytest.raises(VppRefused) as refused:
        api.mag_access_interface_enable_disable(sw_if_index=gateway.loopback, enable=False)
    assert refused.value.retval == NO_SUCH_ENTRY
    with pytest.raises(VppRefused) as refused:
        api.mag_access_interface_enable_disable(sw_if_index=4242, enable=True)
    assert refused.value.retval == INVALID_SW_IF_INDEX


def test_interfaces_and_tables_are_dumped(gateway: Gateway) -> None:
    """What a restarted agent finds."""
    gateway.bind(gateway.alice())
    interfaces = {d.sw_if_index: d for d in gateway.vpp.api.mag_interface_dump()}
    assert set(interfaces) == {*gateway.access_links, gateway.core.sw_if_index}
    assert interfaces[gateway.access.sw_if_index].n_bindings == 1
    assert int(interfaces[gateway.core.sw_if_index].role) == 1
    [table] = gateway.vpp.api.mag_mobility_table_dump()
    assert (table.table_id, table.loopback_sw_if_index) == (MOBILITY_TABLE, gateway.loopback)


def test_mobility_table_keeps_its_loopback(gateway: Gateway) -> None:
    """Again with the same loopback is success, with another is refused."""
    call = gateway.vpp.api.mag_mobility_table_add_del
    call(is_add=True, table_id=MOBILITY_TABLE, loopback_sw_if_index=gateway.loopback)
    with pytest.raises(VppRefused) as refused:
        call(is_add=True, table_id=MOBILITY_TABLE, loopback_sw_if_index=ANY_INTERFACE)
    assert refused.value.retval == VALUE_EXIST
    with pytest.raises(VppRefused) as refused:
        call(is_add=True, table_id=4242, loopback_sw_if_index=ANY_INTERFACE)
    assert refused.value.retval == NO_SUCH_FIB


def test_show_commands_read_well(gateway: Gateway) -> None:
    """What an operator sees."""
    alice = gateway.alice(local_routing=True)
    gateway.bind(alice)
    show = gateway.vpp.cli
    assert "1 bindings of 1000, 2 LMAs, 0 workers, 0 event clients" in show("show mag")
    assert f"mobility table {MOBILITY_TABLE}, gateway addresses of loop0" in show("show mag")
    assert "access pg0: 1 bindings, MTU 1500, others dropped" in show("show mag")
    assert f"LMA {LMA} in table 0" in show("show mag lma")
    for command in (f"id {alice.binding_id}", f"address {alice.address()}", f"lma {LMA}", ""):
        text = show(f"show mag binding {command}")
        assert f"binding 17: {alice.prefixes[0]}" in text
        assert f"node {ALICE_MAC} on pg0" in text
        assert f"LMA {LMA}, local routing" in text
    assert "no such binding" in show("show mag binding id 4242")
    assert "unknown input" in show("show mag binding nonsense")


def test_trace_tells_what_became_of_a_packet(gateway: Gateway) -> None:
    """Binding, addresses, MAC, outcome and reason, without the source at hand."""
    alice = gateway.alice()
    gateway.bind(alice)
    gateway.vpp.cli("clear trace")
    gateway.vpp.cli("trace add pg-input 10")
    gateway.send_and_expect(gateway.access, [gateway.uplink(alice.address())], gateway.core)
    stranger = gateway.uplink("2001:db8:1:99::5")
    gateway.send_and_expect_nothing(gateway.access, [stranger])
    down = gateway.tunnelled(gateway.to_node(alice.address()))
    gateway.send_and_expect(gateway.core, [down], gateway.access)
    trace = gateway.vpp.cli("show trace")
    gateway.vpp.cli("clear trace")
    assert "encapsulated, next pg2-output" in trace
    assert f"from {ALICE_MAC} on pg0, binding 17" in trace
    assert "dropped or answered: unknown source: no binding (uplink), next ip6-drop" in trace
    assert "delivered to the node, next pg0-output" in trace


def test_packed_entries_are_those_that_papi_packs(gateway: Gateway) -> None:
    """The large test below and papi mean the same."""
    gateway.update(*many(gateway, range(70_000, 70_005)))
    by_papi = facts(gateway)
    assert gateway.update_many(range(70_000, 70_005), operation=1).n_bindings == 0
    assert gateway.update_many(range(70_000, 70_005), operation=0).n_bindings == 5
    assert facts(gateway) == by_papi


def facts(gateway: Gateway) -> list[tuple[object, ...]]:
    """What was given, in order of ids."""
    found = [(d.binding_id, d.sw_if_index, d.mac, d.prefixes) for d in gateway.bindings()]
    return sorted(found, key=lambda fact: fact[0])


def test_many_bindings_come_and_go_without_growth(large_gateway: Gateway) -> None:
    """100,000 added, dumped, replaced, deleted, three times: memory stays where it was."""
    gateway = large_gateway
    batches = [range(n, n + N_PER_MESSAGE) for n in range(0, N_MANY, N_PER_MESSAGE)]
    resident = []
    for turn in range(3):
        for numbers in batches * 2:
            assert gateway.update_many(numbers, operation=0).count == 0
        if turn == 0:
            assert len({d.binding_id for d in gateway.bindings()}) == N_MANY
        for numbers in batches:
            reply = gateway.update_many(numbers, operation=1)
        assert reply.n_bindings == 0
        assert gateway.bindings() == []
        resident.append(gateway.vpp.resident_kilobytes())
    assert resident[2] - resident[1] < 1024
