"""What a gateway that starts again sends in its first minute, in simulated time."""

import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from mag.protocol.events import ForwardingWanted, ProbeNode
from mag.protocol.lma_settings import LmaSettings
from mag.protocol.mobile_access_gateway import MobileAccessGateway
from mag.protocol.ordering import OrderingMarks
from mag.protocol.policy_profile import PolicyProfile
from mag.protocol.restoration import RememberedBinding
from mag.protocol.settings import HeartbeatSettings, ProtocolSettings
from mag.protocol.stored_binding import StoredBinding
from perf.control_plane.core import UTC
from perf.control_plane.measurement import Measurement
from perf.control_plane.nodes import LMA_ADDRESS, PROXY_CARE_OF_ADDRESS
from perf.control_plane.template_lma import TemplateLma
from perf.restart.stored import in_steady_state
from perf.restart.targets import UPDATES_AS_DUE

MINUTE_S: Final = 60.0
AWAY_S: Final = (5.0, 60.0)
"""How long no gateway ran."""


@dataclass(slots=True)
class _Minute:
    """What went out, by second of the minute."""

    updates: Counter[int] = field(default_factory=Counter)
    solicitations: int = 0


def measure_first_minute(bindings: int) -> Iterator[Measurement]:
    """PBUs sent against those that fell due until then, and the busiest second.

    Bindings are in their steady state; every node answers when it is asked for.
    """
    kept = list(in_steady_state(UTC, bindings))
    for away_s in AWAY_S:
        name = f"away_{away_s:g}_s"
        begun_at = UTC + away_s
        due = sum(each.refresh_at <= begun_at + MINUTE_S for each in kept)
        minute = _first_minute(kept, begun_at)
        sent = minute.updates.total()
        yield Measurement(f"{name}_pbus_due", "", [due])
        yield Measurement(f"{name}_pbus_sent", "", [sent])
        yield Measurement(f"{name}_pbus_sent_to_due", "", [sent / due], UPDATES_AS_DUE)
        yield Measurement(f"{name}_busiest_second", "1/s", [max(minute.updates.values())])


def _first_minute(kept: Sequence[StoredBinding], begun_at: float) -> _Minute:
    settings = ProtocolSettings(
        proxy_care_of_address=PROXY_CARE_OF_ADDRESS,
        heartbeat=HeartbeatSettings(is_enabled=False),
    )
    core = MobileAccessGateway(
        settings,
        {LMA_ADDRESS: LmaSettings()},
        random.Random(1),  # noqa: S311 - the same spread in every run
        marks=OrderingMarks(1, 0),
    )
    remembered = [RememberedBinding(each, PolicyProfile(each.mn_id, LMA_ADDRESS)) for each in kept]
    deque(core.restore(remembered, {}, 0.0, begun_at), maxlen=0)
    lma = TemplateLma()
    minute = _Minute()
    now = 0.0
    while now <= MINUTE_S:
        core.handle_timer(now)
        messages = core.messages_to_send(now, begun_at + now)
        minute.updates[int(now)] += len(messages)
        for message in messages:
            core.receive_message(lma.answer(message.data), LMA_ADDRESS, now)
        for event in core.events():
            if isinstance(event, ForwardingWanted):
                core.forwarding_ready(event.binding.binding_id, now)
            elif isinstance(event, ProbeNode):
                minute.solicitations += 1
                core.node_heard(event.binding.binding_id, None, now)
        deadline = core.get_timer()
        now = MINUTE_S + 1 if deadline is None else max(now, deadline)
    return minute
