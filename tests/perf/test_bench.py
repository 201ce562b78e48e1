"""The bench on a VPP: every path forwards every packet, by its own nodes."""

import os
from dataclasses import replace

import pytest
from perf.dataplane.bench import Effort, measure_size
from perf.dataplane.churn import measure_churn
from perf.dataplane.frames import MobileNodes
from perf.dataplane.measure import Visit
from perf.dataplane.programming import measure_programming
from perf.dataplane.vpp_process import VppSettings

from mag.lab.errors import LabError
from mag.lab.packet_path.vpp_installation import find_vpp

pytestmark = [
    pytest.mark.vpp,
    pytest.mark.filterwarnings("ignore:open_text is deprecated:DeprecationWarning"),
]

LEAST_CORES = 2
NODES = MobileNodes(40, correspondents=3)
EFFORT = Effort(slice_s=0.01, pairs=1, longest_s=1.0)
COMPOSED = {
    "composed-up": {"svs-ip6", "ip6-midchain"},
    "composed-down": {"ipip6-input", "ip6-rewrite"},
    "plain-route": {"ip6-lookup", "ip6-midchain"},
    "forwarding": {"ip6-lookup", "ip6-rewrite"},
}
OWN = {
    "own-up": {"mag-uplink-ip6"},
    "own-down": {"mag-downlink-ip6"},
    "own-down-limit": {"mag-downlink-ip6"},
}


@pytest.fixture
def without_plugin() -> VppSettings:
    try:
        installation = find_vpp(with_plugin=False)
    except LabError as error:
        pytest.skip(str(error))
    if (os.cpu_count() or 1) < LEAST_CORES:
        pytest.skip("VPP's main thread and worker need a core each")
    return VppSettings(installation, has_plugin=False, bindings=NODES.count)


@pytest.fixture
def with_plugin(without_plugin: VppSettings) -> VppSettings:
    try:
        installation = find_vpp()
    except LabError as error:
        pytest.skip(str(error))
    return replace(without_plugin, installation=installation, has_plugin=True)


def assert_all_delivered(visit: Visit, nodes: dict[str, set[str]]) -> None:
    for arm, passed in nodes.items():
        assert visit[arm].cost.delivered == visit[arm].cost.generated > 0
        assert passed <= visit[arm].cost.nodes.keys()


def test_paths_composed_of_vpps_own_features_forward_every_packet(without_plugin):
    result = measure_size(without_plugin, NODES, EFFORT, lambda _: None)
    assert set(result.arms) == {*COMPOSED, "forwarding-again", "forwarding-in-small-frames"}
    assert_all_delivered(result.visits[0], COMPOSED)


def test_own_path_forwards_every_packet_beside_the_others(with_plugin):
    result = measure_size(with_plugin, NODES, EFFORT, lambda _: None)
    assert_all_delivered(result.visits[0], COMPOSED | OWN)


def test_bindings_are_programmed_and_take_memory(with_plugin):
    result = measure_programming(replace(with_plugin, bindings=5000))
    assert min(result.rates.added, result.rates.replaced, result.rates.deleted) > 0
    assert result.octets_per_binding > 0


def test_churn_costs_other_bindings_no_packet(with_plugin):
    result = measure_churn(with_plugin, seconds=1.5)
    assert result.generated > 0
    assert result.lost == 0
    assert result.bound > 0
