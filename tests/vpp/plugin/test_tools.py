"""What is built beside the plugin: the sanitizer harness, and the library for VPP's vat2."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from mag.lab.packet_path.vpp_installation import VppInstallation
from vpp.plugin.gateway import Gateway

pytestmark = pytest.mark.vpp

ROOT = Path(__file__).parents[3]
CANNOT_BE_BUILT = 3
FUZZING_SECONDS = "10"


def test_packet_reading_holds_under_sanitizers(installation: VppInstallation) -> None:
    """`make fuzz-plugin` for a few seconds; where it cannot be built it says what is missing."""
    environment = os.environ | {"VPP_PREFIX": str(installation.program.parents[1])}
    done = subprocess.run(
        [ROOT / "scripts" / "fuzz-plugin", FUZZING_SECONDS],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    if done.returncode == CANNOT_BE_BUILT:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr[-3000:]
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert executed is not None
    assert int(executed[1]) > 1000


def test_vat2_speaks_every_message(gateway: Gateway, installation: VppInstallation) -> None:
    """Clients without Python: requests and replies as JSON, by the library built beside it."""
    vat2 = installation.program.with_name("vat2")
    folder = installation.plugin_folders[-1].with_name("vat2_plugins")
    if not vat2.exists() or not folder.is_dir():
        pytest.skip("no vat2 beside VPP, or no library for it beside the plugin")

    def ask(*arguments: str) -> str:
        command = [vat2, "-p", folder, "-s", gateway.vpp.files.path.name, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, done
        return done.stdout

    names = set(ask("--dump-apis").split())
    requests = {
        "mag_plugin_get",
        "mag_mobility_table_add_del",
        "mag_mobility_table_dump",
        "mag_lma_add_del",
        "mag_lma_dump",
        "mag_access_interface_enable_disable",
        "mag_core_interface_enable_disable",
        "mag_interface_dump",
        "mag_bindings_update",
        "mag_binding_get",
        "want_mag_events",
    }
    assert requests <= names
    gateway.bind(gateway.alice())
    assert json.loads(ask("mag_plugin_get", "{}"))["n_bindings"] == 1
    answer = ask("mag_lma_dump", "{}")
    assert gateway.alice().lma in answer
