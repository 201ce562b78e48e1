"""The check of VPP's message table, with tables made up."""

import pytest

from mag.dataplane.vpp.compatibility import (
    PLUGIN_MESSAGES,
    REQUIRED_MESSAGES,
    VPP_MESSAGES,
    check_messages,
)
from mag.dataplane.vpp.errors import VppIncompatibleError

COMPLETE = {f"{name}_{crc}" for name, crc in REQUIRED_MESSAGES.items()}


def offered(name: str) -> str:
    return f"{name}_{REQUIRED_MESSAGES[name]}"


def test_table_with_every_message_is_accepted() -> None:
    check_messages(COMPLETE | {"something_else_12345678"})


def test_missing_message_is_named() -> None:
    with pytest.raises(VppIncompatibleError, match="message ip_mroute_add_del is missing"):
        check_messages(COMPLETE - {offered("ip_mroute_add_del")})


def test_changed_message_is_named_with_both_checksums() -> None:
    changed = COMPLETE - {offered("show_version")} | {"show_version_deadbeef"}
    with pytest.raises(
        VppIncompatibleError,
        match=r"message show_version is different \(deadbeef, not 51077d14\)",
    ):
        check_messages(changed)


def test_every_fault_is_named_at_once() -> None:
    faulty = COMPLETE - {offered("ip_table_dump"), offered("mag_lma_dump")}
    with pytest.raises(VppIncompatibleError) as refusal:
        check_messages(faulty)
    assert "message ip_table_dump is missing" in str(refusal.value)
    assert "plugin mag: message mag_lma_dump is missing" in str(refusal.value)
    assert "needs VPP 26.06 and plugin mag 0.1.0" in str(refusal.value)


def test_absent_plugin_is_named_once_and_not_message_by_message() -> None:
    without = {message for message in COMPLETE if message.rpartition("_")[0] in VPP_MESSAGES}
    with pytest.raises(VppIncompatibleError, match="plugin mag is not loaded") as refusal:
        check_messages(without)
    assert not any(name in str(refusal.value) for name in PLUGIN_MESSAGES)


def test_refusal_is_one_line() -> None:
    with pytest.raises(VppIncompatibleError) as refusal:
        check_messages(())
    assert "\n" not in str(refusal.value)
