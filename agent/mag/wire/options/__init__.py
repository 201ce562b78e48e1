"""Mobility options: the TLV walk, alignment, and one small class for each option.

A new option is one class with the `register` decorator, in the module of its RFC, exported here.
"""

from mag.wire.options.base import (
    CarriesOptions,
    MobilityOption,
    UnknownOption,
    decode_options,
    encode_options,
    register,
)
from mag.wire.options.heartbeat import RestartCounterOption
from mag.wire.options.mobile_ipv6 import (
    AlternateCareOfAddressOption,
    BindingAuthorizationDataOption,
    BindingRefreshAdviceOption,
    MobileNodeIdentifierOption,
    VendorSpecificOption,
)
from mag.wire.options.proxy_mobile_ipv6 import (
    AccessTechnologyTypeOption,
    HandoffIndicatorOption,
    HomeNetworkPrefixOption,
    LinkLocalAddressOption,
    MobileNodeLinkLayerIdentifierOption,
    TimestampOption,
)

__all__ = [
    "AccessTechnologyTypeOption",
    "AlternateCareOfAddressOption",
    "BindingAuthorizationDataOption",
    "BindingRefreshAdviceOption",
    "CarriesOptions",
    "HandoffIndicatorOption",
    "HomeNetworkPrefixOption",
    "LinkLocalAddressOption",
    "MobileNodeIdentifierOption",
    "MobileNodeLinkLayerIdentifierOption",
    "MobilityOption",
    "RestartCounterOption",
    "TimestampOption",
    "UnknownOption",
    "VendorSpecificOption",
    "decode_options",
    "encode_options",
    "register",
]
