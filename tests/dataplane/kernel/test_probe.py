"""What is refused before anything is changed."""

import pytest

from mag.dataplane.base import DataplaneError
from mag.dataplane.kernel.probe import check_capability, check_release


@pytest.mark.parametrize("release", ["5.15.0-91-generic", "5.4.0"])
def test_kernel_without_reduced_encapsulation_is_refused_by_its_release(release: str) -> None:
    with pytest.raises(DataplaneError, match=rf"{release} is older than 6\.0"):
        check_release(release)


@pytest.mark.parametrize("release", ["6.0.0", "6.1.0-28-amd64", "6.18.44-fc", "7.0-rc1", "10.2"])
def test_newer_kernel_is_accepted(release: str) -> None:
    check_release(release)


@pytest.mark.parametrize("status", ["CapEff:\t0000000000002000\n", "Name:\tmag\n"])
def test_process_without_net_admin_is_refused(status: str) -> None:
    with pytest.raises(DataplaneError, match="CAP_NET_ADMIN"):
        check_capability(status)


def test_process_with_net_admin_is_accepted() -> None:
    check_capability("Name:\tmag\nCapEff:\t0000000000003000\nCapBnd:\t0\n")
