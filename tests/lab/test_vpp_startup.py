"""What is written for VPP to start with."""

import re
from pathlib import Path

from mag.lab.packet_path.vpp_startup import VppFolder, VppStartup

FOLDER = VppFolder(Path("/run/mag/mag1-vpp"))


def startup(plugins: tuple[str, ...] | None, max_bindings: int | None) -> str:
    return VppStartup(
        folder=FOLDER,
        plugin_folders=(Path("/usr/lib/vpp_plugins"), Path("/build/vpp_plugins")),
        plugins=plugins,
        max_bindings=max_bindings,
    ).render()


def test_every_socket_is_in_the_folder() -> None:
    text = startup(("ping_plugin.so",), 1024)
    named = re.findall(r"(?:cli-listen|socket-name|socket) (\S+)", text)
    assert set(map(Path, named)) == set(FOLDER.sockets)


def test_only_named_plugins_are_loaded_and_ours_only_with_room_for_bindings() -> None:
    text = startup(("ping_plugin.so",), 1024)
    assert "path /usr/lib/vpp_plugins:/build/vpp_plugins plugin default { disable }" in text
    assert re.findall(r"plugin (\S+) { enable }", text) == ["ping_plugin.so", "mag_plugin.so"]
    without = startup(("ping_plugin.so",), None)
    assert re.findall(r"plugin (\S+) { enable }", without) == ["ping_plugin.so"]
    assert "max-bindings" not in without


def test_vpps_own_choice_of_plugins_is_left_alone_but_for_ours() -> None:
    assert "plugin default" not in startup(None, 1024)
    assert "plugin mag_plugin.so { disable }" in startup(None, None)
