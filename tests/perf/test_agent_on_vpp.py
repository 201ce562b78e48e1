"""The measurement of the agent on VPP works: a few nodes get service, a few bindings come back."""

import pytest
from perf.agent_on_vpp.restore import measure_restore
from perf.agent_on_vpp.storm import measure_storm

from dataplane.conftest import needs_vpp, vpp_installation
from mag.lab.packet_path.vpp_installation import VppInstallation
from support.marks import needs_root

pytestmark = [pytest.mark.vpp, needs_root, needs_vpp]


def test_nodes_that_attach_are_served():
    assert isinstance(vpp_installation, VppInstallation)
    results = {each.name: each for each in measure_storm(vpp_installation, [20], 1)}
    assert results["attach_20_unserved"].median == 0
    assert results["attach_20_p50_ms"].median < 5000
    assert results["attach_20_served_per_s"].median > 1


def test_bindings_come_back():
    assert isinstance(vpp_installation, VppInstallation)
    results = {each.name: each for each in measure_restore(vpp_installation, 100, 1)}
    assert results["restore_100_s"].median > 0
