"""Heartbeats with the LMAs: who is there, and who has lost its bindings (RFC 5847)."""

from collections.abc import Callable, Mapping
from ipaddress import IPv6Address

from mag.protocol.events import Event, PeerReachable, PeerUnreachable
from mag.protocol.lma_peer import LmaPeer, PeerState
from mag.protocol.settings import HeartbeatSettings
from mag.protocol.timer_queue import TimerQueue
from mag.wire.heartbeat import Heartbeat
from mag.wire.iana import HeartbeatFlag
from mag.wire.options import RestartCounterOption

_SEQUENCE_MASK = 0xFFFFFFFF


class Heartbeats:
    """Asks, answers and compares; one timer for each LMA."""

    def __init__(
        self,
        settings: HeartbeatSettings,
        peers: Mapping[IPv6Address, LmaPeer],
        *,
        restart_counter: int,
        send: Callable[[Heartbeat, IPv6Address], None],
        emit: Callable[[Event], None],
        on_restart: Callable[[LmaPeer, float], None],
    ) -> None:
        """restart_counter: ours; another one than before says that we have lost our bindings.

        on_restart: called with an LMA that has lost its bindings, and the time.
        """
        self._settings = settings
        self._peers = peers
        self._restart_counter = RestartCounterOption(restart_counter & _SEQUENCE_MASK)
        self._send = send
        self._emit = emit
        self._on_restart = on_restart
        self._timers: TimerQueue[IPv6Address] = TimerQueue()
        self._new_counters: dict[IPv6Address, int] = {}

    def begin(self, now: float) -> None:
        """Tell every LMA whether we have started without bindings (§3.2), and begin to ask."""
        for address in self._peers:
            self.greet(address, now)

    def greet(self, address: IPv6Address, now: float) -> None:
        """Tell an LMA that holds no binding of ours how often we have started, and begin to ask."""
        flags = HeartbeatFlag.RESPONSE | HeartbeatFlag.UNSOLICITED
        if self._settings.is_enabled:
            self._send(Heartbeat(0, flags, (self._restart_counter,)), address)
            self._timers.set(address, now + self._settings.interval_s)

    def leave(self, address: IPv6Address) -> None:
        """Ask an LMA no more."""
        self._timers.cancel(address)

    def reconfigure(self, settings: HeartbeatSettings, now: float) -> None:
        """Go on at this pace; nobody is asked later than either pace would have it."""
        is_turned_on = settings.is_enabled and not self._settings.is_enabled
        self._settings = settings
        next_at = now + settings.interval_s
        for address, peer in self._peers.items():
            if not settings.is_enabled or peer.is_leaving:
                self._timers.cancel(address)
            elif (due := self._timers.deadline(address)) is not None:
                self._timers.set(address, min(due, next_at))
            elif is_turned_on and not peer.liveness.is_refused:
                self._timers.set(address, next_at)

    def take_new_counters(self) -> dict[IPv6Address, int]:
        """Restart counters that LMAs have said for the first time since the last call."""
        counters, self._new_counters = self._new_counters, {}
        return counters

    def get_timer(self) -> float | None:
        """When `handle_timer` is due next, None if never."""
        return self._timers.next_deadline()

    def handle_timer(self, now: float) -> None:
        """Ask every LMA whose turn it is."""
        for address in self._timers.pop_due(now):
            peer = self._peers[address]
            if not peer.liveness.is_refused:
                self._timers.set(address, now + self._settings.interval_s)
                self._ask(peer)

    def receive(self, heartbeat: Heartbeat, peer: LmaPeer, now: float) -> bool:
        """Take a request or a response; False if it answers nothing of ours."""
        if not heartbeat.is_response:
            response = (self._restart_counter,)
            answer = Heartbeat(heartbeat.sequence, HeartbeatFlag.RESPONSE, response)
            self._send(answer, peer.address)
            return True
        if not heartbeat.is_unsolicited and not self._is_answered(heartbeat, peer):
            return False
        self._compare(heartbeat, peer, now)
        return True

    def refused(self, peer: LmaPeer) -> None:
        """A Binding Error says that the LMA does not know this message: never again (§3)."""
        liveness = peer.liveness
        if liveness.state is PeerState.UNKNOWN:
            liveness.is_refused = True
            self._timers.cancel(peer.address)

    def _ask(self, peer: LmaPeer) -> None:
        liveness = peer.liveness
        if liveness.is_awaiting:
            self._missed(peer)
        liveness.is_awaiting = peer.serving_bindings > 0
        if liveness.is_awaiting:  # §3: an LMA that has none of our bindings is left alone
            liveness.sequence = (liveness.sequence + 1) & _SEQUENCE_MASK
            liveness.sent += 1
            self._send(Heartbeat(liveness.sequence), peer.address)

    def _missed(self, peer: LmaPeer) -> None:
        liveness = peer.liveness
        liveness.missed += 1
        is_over = liveness.missed > self._settings.missing_allowed
        if is_over and liveness.state is PeerState.REACHABLE:
            liveness.state = PeerState.UNREACHABLE
            self._emit(PeerUnreachable(peer.address, liveness.missed))

    def _is_answered(self, heartbeat: Heartbeat, peer: LmaPeer) -> bool:
        liveness = peer.liveness
        if not liveness.is_awaiting or heartbeat.sequence != liveness.sequence:
            return False
        liveness.is_awaiting = False
        liveness.missed = 0
        liveness.answered += 1
        if liveness.state is not PeerState.REACHABLE:
            liveness.state = PeerState.REACHABLE
            self._emit(PeerReachable(peer.address))
        return True

    def _compare(self, heartbeat: Heartbeat, peer: LmaPeer, now: float) -> None:
        option = heartbeat.first(RestartCounterOption)
        if option is None:
            return
        before, peer.liveness.restart_counter = peer.liveness.restart_counter, option.counter
        if before != option.counter:
            self._new_counters[peer.address] = option.counter
        if before not in (None, option.counter):
            peer.liveness.restarts_seen += 1
            self._on_restart(peer, now)
