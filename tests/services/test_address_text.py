"""Text of addresses is what everybody else writes."""

from ipaddress import IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from mag.services.address_text import format_address, format_prefix


@given(st.integers(0x100000000, 2**128 - 1), st.integers(0, 128))
def test_text_is_that_of_the_library(value: int, length: int) -> None:
    """Above the addresses that have an IPv4 address in them."""
    prefix = IPv6Network((value, length), strict=False)
    assert format_address(IPv6Address(value)) == str(IPv6Address(value))
    assert IPv6Network(format_prefix(prefix)) == prefix
