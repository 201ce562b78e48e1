"""Types of single configuration values: text in, typed value out, faults in operators' words.

Each type takes the text of the file and, for configurations built in Python, the typed value; in
pydantic's `json` mode it turns back into what an operator would write.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, core_schema

from mag.config.addresses import (
    global_unicast_address,
    home_network_prefix,
    link_layer_address,
    link_local_address_or_none,
)
from mag.config.refusal import refusal, shown
from mag.frozen import frozen
from mag.protocol.policy_profile import MAX_MN_ID_OCTETS
from mag.protocol.settings import LIFETIME_UNIT_S, MAX_LIFETIME_S
from mag.wire.ethernet import ADDRESS_OCTETS, format_link_layer_address
from mag.wire.iana import AccessTechnologyType

MAC_PLACEHOLDER: Final = "{mac}"

MAX_IDENTITY_OCTETS: Final = 253
"""Of what a node is called in access authentication: a User-Name of RADIUS (RFC 2865 §5)."""

_MAX_INTERFACE_NAME_OCTETS: Final = 63
_MAX_SOCKET_PATH_OCTETS: Final = 107

_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_REALM: Final = re.compile(r"[^\s@\x00-\x1f\x7f]+")
_MN_ID: Final = re.compile(r"[^\s\x00-\x1f\x7f]+")
_INTERFACE: Final = re.compile(r"[^\s\x00-\x1f\x7f]+")
_FILE_MODE: Final = re.compile(r"(?:0o?)?([0-7]{3})")


@frozen
class Expected:
    """Annotation: whatever pydantic has against a value, say `must be <words>`."""

    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Put these words around the type's own conversion."""
        return core_schema.no_info_wrap_validator_function(self.convert, handler(source))

    def convert(self, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        """Convert as the type does, with our words if it does not."""
        try:
            return handler(value)
        except ValidationError:
            raise refusal(f"must be {self.words}, not {shown(value)}") from None


@frozen
class Between:
    """Annotation of int and float: the value lies between two bounds, both allowed."""

    low: float
    high: float

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Put the bounds on the number's own conversion."""
        kind = "a whole number" if source is int else "a number"
        expected = Expected(f"{kind} from {self.low} to {self.high}")
        number = core_schema.no_info_after_validator_function(self._check, handler(source))
        return core_schema.no_info_wrap_validator_function(expected.convert, number)

    def _check(self, number: float) -> float:
        # Not `<` and `>`: NaN compares false with everything.
        if not self.low <= number <= self.high:
            raise ValueError(number)
        return number


def lifetime(seconds: int) -> int:
    """Refuse what the lifetime field cannot carry (RFC 6275 §6.1.7)."""
    if seconds % LIFETIME_UNIT_S:
        raise refusal(f"{seconds} is not a multiple of {LIFETIME_UNIT_S} (RFC 6275 §6.1.7)")
    return seconds


def access_technology_type(value: object) -> AccessTechnologyType:
    """`ieee_802_3` and the other names of the registry in lower case; not the reserved value."""
    known = {t.name.lower(): t for t in AccessTechnologyType if t is not t.RESERVED}
    name = value.name.lower() if isinstance(value, AccessTechnologyType) else str(value)
    if name not in known:
        raise refusal(f"must be one of: {', '.join(known)}; not {shown(value)}")
    return known[name]


def mn_id_rule(text: str) -> str:
    """A Network Access Identifier in which `{mac}` stands once, for twelve hex digits."""
    if text.count(MAC_PLACEHOLDER) != 1:
        raise refusal(f"must contain {MAC_PLACEHOLDER} once, not {shown(text)}")
    _mn_id(mn_id_by_rule(text, bytes(ADDRESS_OCTETS)))
    return text


def mn_id_by_rule(rule: str, link_layer_address: bytes) -> str:
    """The MN-Identifier that the rule makes of the link-layer address."""
    return rule.replace(MAC_PLACEHOLDER, link_layer_address.hex())


def _mn_id(text: str) -> str:
    if not _MN_ID.fullmatch(text) or len(text.encode()) > MAX_MN_ID_OCTETS:
        raise refusal(
            "must be a Network Access Identifier such as alice@example.net:"
            f" no spaces, at most {MAX_MN_ID_OCTETS} octets"
        )
    return text


def _interface_address(text: str) -> str:
    written = format_link_layer_address(link_layer_address(text))
    if text != written:
        raise refusal(f"must be written as {written}")
    return text


def _identity(text: str) -> str:
    if not _MN_ID.fullmatch(text) or len(text.encode()) > MAX_IDENTITY_OCTETS:
        raise refusal(
            "must be a name as access authentication gives it:"
            f" no spaces, at most {MAX_IDENTITY_OCTETS} octets"
        )
    return text


def _realm(text: str) -> str:
    if not _REALM.fullmatch(text) or text != text.lower():
        raise refusal("must be a realm in lower case such as example.net, without the @")
    return text


def _access_technology_name(value: AccessTechnologyType) -> str:
    return value.name.lower()


def _octal_digits(mode: int) -> str:
    return f"{mode:04o}"


def _as_written(write: Callable[[Any], str]) -> PlainSerializer:
    return PlainSerializer(write, return_type=str, when_used="json")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise refusal("must be a name of letters, digits and dashes, at most 63, such as lma1")
    return text


def _interface_name(text: str) -> str:
    if not _INTERFACE.fullmatch(text) or len(text.encode()) > _MAX_INTERFACE_NAME_OCTETS:
        raise refusal(
            f"must be an interface name: at most {_MAX_INTERFACE_NAME_OCTETS} octets, no spaces"
        )
    return text


def _file_path(value: object) -> Path:
    path = Path(str(value))
    if not path.is_absolute():
        raise refusal(f"must be an absolute path, not {shown(value)}")
    return path


def _socket_path(value: object) -> Path:
    path = _file_path(value)
    if len(str(path).encode()) > _MAX_SOCKET_PATH_OCTETS:
        raise refusal(f"must have at most {_MAX_SOCKET_PATH_OCTETS} octets (unix(7))")
    return path


def _file_mode(value: object) -> int:
    digits = _FILE_MODE.fullmatch(f"{value:03o}" if isinstance(value, int) else str(value))
    if digits is None:
        raise refusal(f"must be three octal digits such as 0660, not {shown(value)}")
    return int(digits[1], base=8)


Lifetime = Annotated[int, Between(LIFETIME_UNIT_S, MAX_LIFETIME_S), AfterValidator(lifetime)]
GlobalUnicastAddress = Annotated[IPv6Address, BeforeValidator(global_unicast_address)]
LinkLocalAddressOrNone = Annotated[IPv6Address, BeforeValidator(link_local_address_or_none)]
LinkLayerAddress = Annotated[
    bytes, BeforeValidator(link_layer_address), _as_written(format_link_layer_address)
]
HomeNetworkPrefix = Annotated[IPv6Network, BeforeValidator(home_network_prefix)]
AccessTechnology = Annotated[
    AccessTechnologyType,
    BeforeValidator(access_technology_type),
    _as_written(_access_technology_name),
]
Name = Annotated[str, AfterValidator(_name)]
InterfaceName = Annotated[str, AfterValidator(_interface_name)]
MnId = Annotated[str, AfterValidator(_mn_id)]
Realm = Annotated[str, AfterValidator(_realm)]
InterfaceAddress = Annotated[str, AfterValidator(_interface_address)]
"""A link-layer address as text, for the keys of a group."""
Identity = Annotated[str, AfterValidator(_identity)]
MnIdRule = Annotated[str, AfterValidator(mn_id_rule)]
FilePath = Annotated[Path, BeforeValidator(_file_path)]
SocketPath = Annotated[Path, BeforeValidator(_socket_path)]
FileMode = Annotated[int, BeforeValidator(_file_mode), _as_written(_octal_digits)]
Switch = Annotated[bool, Expected("true or false")]
