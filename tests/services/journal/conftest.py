from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from mag.protocol.attachment import Attachment, HandoffHint
from mag.protocol.registration import LossReason, RegistrationState
from mag.protocol.stored_binding import StoredBinding
from mag.wire.iana import AccessTechnologyType

OWNER = IPv6Address("2001:db8:0:a::1")
LMA = IPv6Address("2001:db8:0:b::1")


def binding(number: int = 1, **changes: Any) -> StoredBinding:
    values: dict[str, Any] = {
        "binding_id": number,
        "mn_id": b"mn%d@example.net" % number,
        "lma_address": LMA,
        "attachment": Attachment(
            "access1",
            number.to_bytes(6, "big"),
            AccessTechnologyType.IEEE_802_11,
            HandoffHint.BETWEEN_GATEWAYS,
        ),
        "state": RegistrationState.ACTIVE,
        "requested_prefixes": (),
        "home_network_prefixes": (IPv6Network((0x20010DB8 << 96 | number << 64, 64)),),
        "lifetime_s": 3600,
        "expires_at": 1.7e9 + 3600.25,
        "refresh_at": 1.7e9 + 2880.25,
        "last_sequence": 65535,
        "last_status": 0,
        "hold": None,
        "loss_reason": LossReason.DETACHED,
        "node_address": IPv6Address("fe80::1"),
        **changes,
    }
    return StoredBinding(**values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mag" / "journal.db"
