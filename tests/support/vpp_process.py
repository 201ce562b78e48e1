"""A VPP of the tests' own: small, private sockets, our plugin, gone with its fixture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mag.lab.errors import LabError
from mag.lab.packet_path import vpp_installation, vpp_process
from mag.lab.packet_path.vpp_installation import VppInstallation
from mag.lab.packet_path.vpp_startup import VppFolder, VppStartup

PLUGINS: Final = ("af_packet_plugin.so", "ping_plugin.so")


def find_vpp() -> VppInstallation | str:
    """VPP and our plugin; in words what is missing."""
    try:
        return vpp_installation.find_vpp()
    except LabError as error:
        return str(error)


class VppProcess(vpp_process.VppProcess):
    """One VPP; `start` again after `kill` brings it back with the same start-up commands."""

    def __init__(
        self,
        installation: VppInstallation,
        folder: Path,
        *,
        commands: str = "",
        has_plugin: bool = True,
        sections: tuple[str, ...] = (),
    ) -> None:
        """folder: for sockets and logs; its path must be short. commands: of VPP's CLI.

        sections: of startup.conf, beside the usual ones.
        """
        startup = VppStartup(
            folder=VppFolder(folder),
            plugin_folders=installation.plugin_folders,
            plugins=PLUGINS,
            max_bindings=131_072 if has_plugin else None,
            main_heap_mebibytes=256,
            stats_segment_mebibytes=32,
            buffers=8192,
            sections=sections,
        )
        super().__init__(installation, startup)
        self.api_socket = str(self.files.api_socket)
        self.stats_socket = str(self.files.stats_socket)
        self.commands = commands

    def start(self, spawn: Callable[[Callable[[], object]], object] | None = None) -> None:
        """Start and wait until it has done its start-up commands; see VppProcess of the lab."""
        super().start(spawn)
        commands = self.files.path / "commands"
        commands.write_text(self.commands)
        # Not by `unix { exec }`, for which VPP waits two seconds.
        self.cli(f"exec {commands}")


@contextmanager
def running_vpp(
    installation: VppInstallation, folder: Path, *, commands: str = "", has_plugin: bool = True
) -> Iterator[VppProcess]:
    """Started, and gone in the end."""
    vpp = VppProcess(installation, folder, commands=commands, has_plugin=has_plugin)
    try:
        vpp.start()
        yield vpp
    finally:
        vpp.stop()
