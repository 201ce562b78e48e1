"""The start-up configuration of a VPP of our own: the lab's, the tests', the measurements'."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mag.frozen import frozen
from mag.lab.packet_path.vpp_installation import PLUGIN_FILE

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where VPP makes its API segment


@frozen
class VppFolder:
    """All files of one VPP."""

    path: Path
    """Short: the address of a socket holds 107 octets. Its name is that of the API segment too."""

    @property
    def startup(self) -> Path:
        """For `vpp -c`."""
        return self.path / "startup.conf"

    @property
    def cli_socket(self) -> Path:
        """For `vppctl -s`."""
        return self.path / "cli.sock"

    @property
    def api_socket(self) -> Path:
        """Binary API."""
        return self.path / "api.sock"

    @property
    def stats_socket(self) -> Path:
        """Stats segment."""
        return self.path / "stats.sock"

    @property
    def punt_socket(self) -> Path:
        """VPP's end of the punt socket."""
        return self.path / "punt.sock"

    @property
    def agent_punt_socket(self) -> Path:
        """The gateway's end of it."""
        return self.path / "mag-punt.sock"

    @property
    def sockets(self) -> tuple[Path, ...]:
        """Those that VPP makes: it is up when all are there."""
        return self.cli_socket, self.api_socket, self.stats_socket, self.punt_socket

    @property
    def output(self) -> Path:
        """What it said."""
        return self.path / "output"

    @property
    def api_segment(self) -> Path:
        """Left behind by a VPP that was killed."""
        return _SHARED_MEMORY / f"{self.path.name}-vpe-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class VppStartup:
    """What one VPP of ours has that another has not."""

    folder: VppFolder
    plugin_folders: tuple[Path, ...]
    plugins: tuple[str, ...] | None
    """Files of the plugins to load, ours left out; None: VPP's own choice."""
    max_bindings: int | None
    """Room that our plugin has; None: it is not loaded."""
    main_heap_mebibytes: int = 512
    stats_segment_mebibytes: int = 64
    buffers: int = 16_384
    page_size: str = "4k"
    commands: Path | None = None
    """CLI commands for VPP to carry out two seconds after it has started."""
    sections: tuple[str, ...] = ()
    """Others, a line each."""

    def render(self) -> str:
        """startup.conf."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        files, page = self.folder, self.page_size
        commands = f" exec {self.commands}" if self.commands else ""
        yield (
            f"unix {{ nodaemon nosyslog runtime-dir {files.path} log {files.path}/vpp.log"
            f" cli-listen {files.cli_socket}{commands} }}"
        )
        yield f"api-segment {{ prefix {files.path.name} }}"
        yield f"socksvr {{ socket-name {files.api_socket} }}"
        size = f"{self.stats_segment_mebibytes}M"
        yield f"statseg {{ socket-name {files.stats_socket} size {size} page-size {page} }}"
        yield f"punt {{ socket {files.punt_socket} }}"
        size = f"{self.main_heap_mebibytes}M"
        yield f"memory {{ main-heap-size {size} main-heap-page-size {page} }}"
        yield f"buffers {{ buffers-per-numa {self.buffers} page-size {page} }}"
        if self.max_bindings is not None:
            yield f"mag {{ max-bindings {self.max_bindings} }}"
        yield from self.sections
        yield f"plugins {{ path {':'.join(map(str, self.plugin_folders))} {self._plugins()} }}"

    def _plugins(self) -> str:
        is_loaded = self.max_bindings is not None
        ours = f"plugin {PLUGIN_FILE} {{ {'enable' if is_loaded else 'disable'} }}"
        if self.plugins is None:
            return ours
        enabled = (f"plugin {plugin} {{ enable }}" for plugin in self.plugins)
        return " ".join(["plugin default { disable }", *enabled, ours])
