"""The scenario as a person reads it: every step with its milliseconds and what was said."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mag.lab.document import is_ok
from mag.lab.event_feed import LabEvent
from mag.lab.scenarios.steps import Findings, ScenarioScript, StepResult
from mag.lab.scenarios.with_traffic import handover_gap_ms, lost_in_handover
from mag.lab.traffic.traffic_statistics import DirectionStatistics

_Facts = Mapping[str, Any]
_Words = Callable[[str, _Facts], str]


def _prefixes(facts: _Facts) -> str:
    return ", ".join(facts.get("home_network_prefixes", ())) or "no prefix yet"


_NOT_OURS: Final = (
    "Lost in a handover is what was sent between the radio's move and the new gateway's "
    "forwarding:\nRFC 5213 buffers nothing. The gap holds the radio's move itself, which is no "
    "gateway's doing."
)

_WORDS: Final[Mapping[str, _Words]] = {
    "attachment_detected": lambda source, facts: (
        f"{source} notices {facts.get('link_layer_address', 'the node')} on "
        f"{facts.get('access_interface', 'its access link')} ({facts.get('trigger', 'link')})"
    ),
    "proxy_binding_update_sent": lambda source, facts: (
        f"{source} → lma  Proxy Binding Update, {facts.get('kind', '')}"
    ),
    "binding_registered": lambda source, facts: (
        f"{source} assigns {_prefixes(facts)} and turns the tunnel to {facts.get('gateway')}"
    ),
    "binding_moved": lambda source, facts: (
        f"{source} keeps {_prefixes(facts)} and turns the tunnel to {facts.get('gateway')}"
    ),
    "binding_deregistered": lambda source, facts: (
        f"{source} takes {_prefixes(facts)} off the tunnel to {facts.get('gateway')}"
    ),
    "binding_extended": lambda source, facts: (
        f"{source} extends the binding to {facts.get('lifetime_s')} s"
    ),
    "message_ignored": lambda source, _: (
        f"{source} ignores a de-registration that comes too late, as it should (RFC 5213 §5.3.5)"
    ),
    "request_rejected": lambda source, facts: f"{source} rejects: {facts.get('status')}",
    "fault_applied": lambda source, facts: (
        f"{source} does wrong, as told, to a {facts.get('kind')}: {facts.get('fault')} "
        f"{facts.get('status', '')}".rstrip()
    ),
    "proxy_binding_acknowledgement_received": lambda source, facts: (
        f"lma → {source}  Proxy Binding Acknowledgement, {facts.get('status')}, "
        f"round trip {facts.get('round_trip_ms', 0):.1f} ms"
    ),
    "binding_rejected": lambda source, facts: f"{source} gives no service: {facts.get('reason')}",
    "binding_lost": lambda source, facts: f"{source} forgets the node ({facts.get('reason')})",
    "forwarding_installed": lambda source, _: f"{source} forwards the node's packets both ways",
    "router_advertisement_sent": lambda source, facts: (
        f"{source} → node  Router Advertisement, {_prefixes(facts)}"
    ),
}


def event_words(event: LabEvent) -> str | None:
    """What an operator would say of an event; None for what is not worth a line."""
    words = _WORDS.get(event.name)
    return None if words is None else words(event.source, event.facts)


class Timeline:
    """Prints a scenario as it runs."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def open(self, scenario: ScenarioScript, name: str) -> None:
        """Say what will be shown. name: the lab's."""
        line = Text.assemble((f"mag lab · {scenario.name}", "bold"), f" · {scenario.sentence}")
        self._print(line.append(f" ({name})", "dim"))

    def step(self, result: StepResult) -> None:
        """One step, and below it what gateways and LMA did meanwhile."""
        mark = ("✔", "green") if result.ok else ("✘", "bold red")
        line = Text.assemble(mark, (f"{result.ms:9.1f} ms  ", "cyan"), result.told.sentence)
        self._print(line)
        since = result.told.since
        for event in result.told.events:
            words = event_words(event)
            if words is not None and since is not None:
                offset = f"{(event.at - since) * 1000:+9.1f} ms  "
                self._print(Text.assemble("      ", (offset, "dim cyan"), (words, "dim")))

    def close(self, results: Sequence[StepResult], findings: Findings) -> None:
        """The summary of the traffic, and the verdict."""
        if findings.traffic is not None:
            self._console.print(_traffic_table(findings))
        if findings.traffic is not None and findings.handovers:
            self._console.print(_handover_table(findings))
            self._print(Text(_NOT_OURS, "dim"))
        if is_ok(results):
            self._console.print(Text("Every step held.", "bold green"))
        else:
            failed = ", ".join(each.name for each in results if not each.ok) or "no step was tried"
            self._console.print(Text(f"Did not hold: {failed}", "bold red"))

    def _print(self, line: Text) -> None:
        # Not cut to the width of a terminal that is none.
        self._console.print(line, soft_wrap=True)


def _traffic_table(findings: Findings) -> Table:
    table = _table("Probe traffic", ("sent", "received", "lost", "copies", "reordered", "gap"))
    for name, direction in _named_directions(findings):
        counts = (direction.sent, direction.received, direction.lost)
        rest = (direction.duplicates, direction.reordered)
        gap = f"{direction.longest_gap_ms:.1f} ms"
        table.add_row(name, *map(str, counts), *map(str, rest), gap)
    return table


def _handover_table(findings: Findings) -> Table:
    names = [name for name, _ in _named_directions(findings)]
    table = _table("Handovers", ("attach → forwarding", *names))
    for handover in findings.handovers:
        moves = (
            f"{handover_gap_ms(direction, handover):.1f} ms, "
            f"{lost_in_handover(direction, handover)} lost"
            for _, direction in _named_directions(findings)
        )
        name = f"{handover.from_gateway} → {handover.to_gateway}"
        table.add_row(name, f"{handover.signalling_ms:.1f} ms", *moves)
    return table


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _named_directions(findings: Findings) -> Iterator[tuple[str, DirectionStatistics]]:
    if findings.traffic is not None:
        yield "node → cn", findings.traffic.uplink
        yield "cn → node", findings.traffic.downlink
