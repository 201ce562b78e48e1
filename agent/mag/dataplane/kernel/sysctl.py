"""IPv6 settings of interfaces, in the network namespace of the calling thread."""

from pathlib import Path
from typing import Final

from mag.dataplane.base import DataplaneError

_ROOT: Final = Path("/proc/sys/net/ipv6/conf")


def read_setting(interface: str, name: str) -> int:
    """The value now; `interface` may be `all` or `default`."""
    try:
        return int((_ROOT / interface / name).read_text())
    except OSError as error:
        raise _failure("read", interface, name, error) from error


def write_setting(interface: str, name: str, value: int) -> None:
    """Set the value, only if it is another one: some settings act on being written."""
    if read_setting(interface, name) == value:
        return
    try:
        (_ROOT / interface / name).write_text(str(value))
    except OSError as error:
        raise _failure("write", interface, name, error) from error


def _failure(verb: str, interface: str, name: str, error: OSError) -> DataplaneError:
    target = f"net.ipv6.conf.{interface}.{name}"
    return DataplaneError(f"{verb} sysctl", error.strerror or str(error), target=target)
