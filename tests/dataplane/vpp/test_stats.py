"""The stats segment where there is none; the contract suite reads a real one."""

import pytest

from mag.dataplane.base import DataplaneError
from mag.dataplane.vpp.stats import StatsSegment


def test_absent_stats_socket_is_told_with_its_path() -> None:
    with pytest.raises(DataplaneError, match="/nonexistent/stats: there is no such socket"):
        StatsSegment("/nonexistent/stats").open()


async def test_reading_before_open_is_an_error() -> None:
    with pytest.raises(DataplaneError, match="not open"):
        await StatsSegment("/nonexistent/stats").drops()
