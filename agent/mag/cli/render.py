"""Tables for terminals; one line a row, so that they can also be read by a script."""

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from mag.config.domain import DOMAIN_VARIABLES
from mag.services.gateway_control import Document

_WIDTH_OFF_TERMINAL = 200
_PLAN_MARKS = {"created": "+", "changed": "~", "removed": "-"}


def print_all(renderables: Iterable[RenderableType]) -> None:
    """To standard output."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OFF_TERMINAL)
    for renderable in renderables:
        console.print(renderable)


def bindings(rows: list[Document]) -> Iterable[RenderableType]:
    """The Binding Update List."""
    table = _table(
        "gateway", "mobile node", "state", "home network prefixes", "lma", "access",
        "link-layer address", "router", "remaining s", "up packets", "down packets",
    )  # fmt: skip
    for row in rows:
        _add(
            table,
            row["gateway"],
            row["mn_id"],
            row["state"] if row["is_forwarding"] else f"{row['state']}, no service",
            ", ".join(row["home_network_prefixes"]) or "-",
            row["lma"],
            row["access_interface"],
            row["link_layer_address"],
            row["gateway_link_local_address"] or "-",
            f"{row['remaining_s']:.0f}/{row['lifetime_s']}",
            row["uplink_packets"],
            row["downlink_packets"],
        )
    yield table


def peers(rows: list[Document]) -> Iterable[RenderableType]:
    """The LMAs."""
    table = _table(
        "gateway", "lma", "address", "bindings", "waiting", "heartbeat", "heard s ago",
        "request", "sent", "retransmitted", "answered",
    )  # fmt: skip
    for row in rows:
        for kind, tally in row["requests"].items():
            answers = (f"{status}: {count}" for status, count in tally["answered"].items())
            _add(
                table,
                row["gateway"],
                row["lma"],
                row["lma_address"],
                row["serving_bindings"],
                _waiting(row),
                _heartbeat(row["heartbeat"]),
                "never" if row["last_heard_s"] is None else row["last_heard_s"],
                kind,
                tally["sent"],
                tally["retransmitted"],
                ", ".join(answers) or "-",
            )
    yield table


def _waiting(row: Document) -> str:
    held = f", held for {row['held_s']:.0f} s" if row["held_s"] else ""
    return f"{row['waiting_updates']}{held}"


def _heartbeat(liveness: Document) -> str:
    if liveness["is_refused"]:
        return "refused"
    restarts = liveness["restarts_seen"]
    return f"{liveness['state']}{f', {restarts} restarts' if restarts else ''}"


def dataplanes(documents: list[Document]) -> Iterable[RenderableType]:
    """The packet paths."""
    table = _table(
        "gateway", "packet path", "version", "state", "times lost", "nodes", "access links",
        "tunnels",
    )  # fmt: skip
    for document in documents:
        tunnels = (
            f"{tunnel['proxy_care_of_address']} > {tunnel['lma_address']} "
            f"({tunnel['lma']}, MTU {tunnel['mtu_octets']})"
            for tunnel in document["tunnels"]
        )
        _add(
            table,
            document["gateway"],
            document["name"],
            document["version"],
            "up" if document["is_up"] else f"lost: {document['fault']}",
            document["times_lost"],
            document["mobile_nodes"],
            ", ".join(document["access_links"]),
            "\n".join(tunnels) or "-",
        )
    yield table
    for document in documents:
        for text in (*document["missing"], *document["limitations"]):
            yield Text(f"{document['gateway']}: {text}")


def counters(documents: list[Document]) -> Iterable[RenderableType]:
    """Everything that counts and is not a binding."""
    table = _table("gateway", "counter", "value")
    for document in documents:
        for name, value in _flat(document):
            _add(table, document["gateway"], name, value)
    yield table
    yield from bindings(
        [
            {"gateway": document["gateway"], **row}
            for document in documents
            for row in document["bindings"]
        ]
    )


def domains(documents: list[Document]) -> Iterable[RenderableType]:
    """What must be alike, by gateway."""
    table = _table("gateway", "digest", *DOMAIN_VARIABLES)
    for document in documents:
        values = (str(document["variables"][key]).lower() for key in DOMAIN_VARIABLES)
        _add(table, document["gateway"], document["digest"], *values)
    yield table


def event(entry: Document) -> str:
    """One line for one thing that happened."""
    facts = " ".join(
        f"{key}={value}" for key, value in entry.items() if key not in ("at", "event", "gateway")
    )
    return f"{entry['event']:<40} {facts}"


def plan(document: Document) -> Iterable[str]:
    """What a reload changes or would change, a line for each thing."""
    if not document["changes"]:
        yield "no difference"
    for change in document["changes"]:
        yield f"{_PLAN_MARKS[change['kind']]} {change['path']}{_values(change)}"
        if change["obstacle"] is not None:
            yield f"    needs a restart: {change['obstacle']}"
        else:
            yield f"    {change['takes_effect']}"
    tally = ", ".join(f"{effect}: {count}" for effect, count in document["effects"].items())
    yield f"sessions: {document['bindings']}; {tally or 'none is touched'}"
    for row in document["sessions"]:
        effects = "; ".join(f"{effect}: {why}" for effect, why in row["effects"].items())
        yield f"  {row['mn_id']} on {row['access_interface']} at {row['lma']}: {effects}"
    if document["sessions_left_off"]:
        yield f"  and {document['sessions_left_off']} more"


def _values(change: Document) -> str:
    match change["kind"]:
        case "created":
            return f": {json.dumps(change['new'])}"
        case "removed":
            return f": {json.dumps(change['old'])}"
        case _:
            return f": {_value(change['old'])} -> {_value(change['new'])}"


def _value(value: Any) -> str:
    return "left open" if value is None else json.dumps(value)


def statuses(documents: list[Document]) -> Iterable[RenderableType]:
    """The gateways themselves."""
    table = _table(
        "gateway", "version", "state", "packet path", "proxy care-of address", "uptime s",
        "bindings", "clock", "drain", "journal",
    )  # fmt: skip
    for document in documents:
        drain = document["drain"]
        _add(
            table,
            document["gateway"],
            document["version"],
            "serving" if document["is_serving"] else "starting",
            document["dataplane"],
            document["proxy_care_of_address"],
            document["uptime_s"],
            document["bindings"],
            _clock(document["clock"]),
            f"{drain['remaining']} of {drain['sessions']} left" if drain["is_active"] else "-",
            _journal(document["journal"]),
        )
    yield table


def _clock(clock: Document) -> str:
    state = clock["state"].replace("_", " ")
    if clock["is_synchronized"] is None:
        return f"{state}: {clock['reason']}"
    return f"{state}, error {clock['estimated_error_s']:.3g} s"


def _journal(journal: Document | None) -> str:
    if journal is None:
        return "off"
    size = f"{journal['octets'] / 1024:.0f} KiB"
    failures = sum(journal["failures"].values())
    if journal["trouble"]:
        return f"FAILS for {journal['behind_s']:.0f} s: {journal['trouble']}"
    last = journal["last_written_s"]
    written = "not written since the start" if last is None else f"written {last:.0f} s ago"
    said = f"{size}, {written}"
    return f"{said}, {failures} failures" if failures else said


def _flat(document: Document) -> Iterable[tuple[str, int]]:
    signalling = document["signalling"]
    yield "mobility headers received", signalling["received"]
    yield "mobility headers lost before us", signalling["lost_before_us"]
    yield "mobility headers our host refused to send", signalling["send_failures"]
    for reason, count in document["discarded"].items():
        yield f"discarded: {reason}", count
    for reason, count in document["access"]["discarded"].items():
        yield f"access frame discarded: {reason}", count
    for reason, count in document["access"]["attachments_refused"].items():
        yield f"attachment refused: {reason}", count
    for reason, count in document["dataplane"]["drops"].items():
        yield f"packet dropped: {reason}", count
    for operation, count in document["dataplane"]["failures"].items():
        yield f"packet path failed: {operation}", count
    for fault, count in document["dataplane"]["faults"].items():
        yield f"between packet path and gateway: {fault}", count


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _add(table: Table, *values: Any) -> None:
    # Text, not str: rich would read `:b:` in an address as a picture and [..] as markup.
    table.add_row(*(Text(str(value)) for value in values))
