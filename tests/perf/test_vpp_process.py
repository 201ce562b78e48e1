"""Start-up configuration, and what is read about the process."""

import re
from pathlib import Path

import pytest
from perf.dataplane.memory import parse_used
from perf.dataplane.vpp_process import VppSettings, startup_of
from perf.dataplane.worker_time import LostTime, stolen_time_ns, waiting_time_ns

from mag.lab.packet_path.vpp_installation import VppInstallation

DIRECTORY = Path("/tmp/mag-perf-x")  # noqa: S108
STAT = "cpu  1 2 3 4 5 6 7 30 9 10\ncpu0 1 2 3 4 5 6 7 10 9 10\ncpu1 1 2 3 4 5 6 7 20 9 10\n"


def configuration(bindings, *, has_plugin=False):
    installation = VppInstallation(Path("/opt/vpp/bin/vpp"), (Path("/build/vpp_plugins"),))
    return startup_of(VppSettings(installation, has_plugin, bindings), DIRECTORY).render()


@pytest.mark.parametrize(
    ("bindings", "buckets"),
    [(1, 65_536), (32_768, 65_536), (100_000, 262_144), (1_000_000, 2_097_152)],
)
def test_hash_table_has_two_buckets_for_each_binding(bindings, buckets):
    assert f"hash-buckets {buckets} " in configuration(bindings)


def test_plugin_is_sized_only_where_there_is_one():
    assert "mag {" not in configuration(1000)
    with_plugin = configuration(1000, has_plugin=True)
    (capacity,) = re.findall(r"max-bindings (\d+)", with_plugin)
    assert int(capacity) > 1000


def test_memory_is_of_whole_pages_of_2_megabytes():
    """VPP ends before it begins where the stats segment is not: 257 for a thousand bindings."""
    sizes = re.findall(r"size (\d+)M", configuration(1000))
    assert len(sizes) >= 3
    assert all(int(size) % 2 == 0 for size in sizes)


def test_all_sockets_are_in_the_directory():
    for key in ("cli-listen", "socket-name"):
        for path in re.findall(rf"{key} (\S+)", configuration(1)):
            assert path.startswith(f"{DIRECTORY}/")


@pytest.mark.parametrize(
    ("shown", "octets"),
    [
        ("    total: 1.76G, used: 47.77M, free: 1.72G", round(47.77 * (1 << 20))),
        ("  total: 451.00M, used: 863.72K, free: 450.15M", round(863.72 * (1 << 10))),
        ("total: 8.00g, used: 1.26g, free: 6.74g", round(1.26 * (1 << 30))),
        ("total: 1024, used: 512, free: 512", 512),
    ],
)
def test_used_memory_is_read_in_octets(shown, octets):
    assert parse_used(shown) == octets


def test_memory_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="no use of memory"):
        parse_used("unknown heap")


def test_stolen_time_is_that_of_the_core():
    assert stolen_time_ns(STAT, 1) == 200_000_000
    with pytest.raises(ValueError, match="no core 2"):
        stolen_time_ns(STAT, 2)


def test_lost_time_is_waiting_and_stolen_since_before():
    before = LostTime(waiting_time_ns("100 5000 7\n"), 1000)
    assert LostTime(waiting_time_ns("900 8000 9\n"), 3000).since(before) == 5000
