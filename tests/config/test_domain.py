"""The variables of the domain (RFC 5213 §9.3), as gateways compare them."""

import pytest

from mag.config.domain import disagreements, domain_digest, domain_variables
from support.fake_adapters import CONFIGURATION, configuration

OURS = domain_variables(configuration())


def with_protocol(keys: str) -> dict[str, object]:
    text = CONFIGURATION + f"protocol: {{{keys}}}\n".encode()
    return domain_variables(configuration(text))


@pytest.mark.requirement("CFG-03")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timestamp_based_approach_in_use", "false"),
        ("fixed_mag_link_local_address", "fe80::1"),
        ("fixed_mag_link_layer_address", "02:00:00:00:52:13"),
    ],
)
def test_gateway_that_differs_in_a_variable_of_the_domain_is_seen(key: str, value: str) -> None:
    """CFG-03: in the digest, and in the comparison with both values."""
    theirs = with_protocol(f"{key}: '{value}'")
    assert domain_digest(theirs) != domain_digest(OURS)
    ((found, (own, other)),) = disagreements(OURS, theirs).items()
    assert found == key
    assert (str(own), str(other).lower()) == (str(OURS[key]), value)


@pytest.mark.requirement("CFG-03")
def test_gateways_that_differ_in_their_own_affairs_agree() -> None:
    theirs = with_protocol("lifetime_s: 600, max_bindings: 7")
    assert disagreements(OURS, theirs) == {}
    assert domain_digest(theirs) == domain_digest(OURS)


def test_digest_does_not_depend_on_the_order_of_the_values() -> None:
    assert domain_digest(dict(reversed(OURS.items()))) == domain_digest(OURS)
