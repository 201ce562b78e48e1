"""What must be the same on all gateways and LMAs of a domain (RFC 5213 §9.3), to be compared."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from mag.config.model import Configuration
from mag.config.plain import plain

DOMAIN_VARIABLES: Final = (
    "timestamp_based_approach_in_use",
    "mobile_node_generated_timestamp_in_use",
    "fixed_mag_link_local_address",
    "fixed_mag_link_layer_address",
)
"""Keys of the protocol section."""
_DIGEST_OCTETS: Final = 6


def domain_variables(configuration: Configuration) -> dict[str, Any]:
    """The variables of the domain with values of JSON."""
    section = plain(configuration.protocol, with_defaults=True)
    return {key: section[key] for key in DOMAIN_VARIABLES}


def domain_digest(variables: Mapping[str, Any]) -> str:
    """Twelve hex digits; two gateways that show the same have the same values."""
    text = json.dumps(dict(variables), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[: 2 * _DIGEST_OCTETS]


def disagreements(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The variables of the domain in which two gateways differ, with both values."""
    return {key: (one[key], other[key]) for key in DOMAIN_VARIABLES if one[key] != other[key]}
