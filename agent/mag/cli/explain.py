"""`mag explain`: why a node has or has not service, and what was tried."""

import json
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from mag.cli.gateways import GatewayOption, SocketOption, ask, find_gateways
from mag.cli.show import JsonOption
from mag.services.admin_client import AdminClient
from mag.services.gateway_control import Document

OUTCOMES: Final = {
    "unanswered": "no answer to a Proxy Binding Update",
    "registered": "registered",
    "refreshed": "refreshed",
    "rejected": "not accepted",
    "forwarded": "the packet path confirmed",
}
"""Words for what the admin API calls an outcome."""


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command()(explain)


def explain(
    node: Annotated[
        str,
        typer.Argument(
            metavar="NODE",
            help="MN-Identifier, link-layer address, or an address within its prefix.",
        ),
    ],
    as_json: JsonOption = False,
    socket: SocketOption = None,
    gateway: GatewayOption = None,
) -> None:
    """Say in one sentence why a node has or has not service, then what was tried."""
    answers = []
    for address in find_gateways(socket, gateway):

        async def question(client: AdminClient) -> Document:
            identity = (await client.status())["identity"]
            return {"gateway": identity, **await client.explain(node)}

        answers.append(ask(address, question))
    if as_json:
        typer.echo(json.dumps({"gateways": answers}, indent=2))
        return
    for answer in answers:
        for line in _lines(answer):
            typer.echo(line)


def _lines(answer: Document) -> Iterator[str]:
    yield f"{answer['gateway']}: {answer['sentence']}"
    if answer["lifted_by"] is not None:
        yield f"  to lift it: {answer['lifted_by']}"
    for outcome in answer["outcomes"]:
        yield f"  {outcome['last_ago_s']:>8.1f} s ago  {_outcome(outcome)}"
    if len(answer["bindings"]) > 1:
        for binding in answer["bindings"]:
            where = f"{binding['link_layer_address']} on {binding['access_interface']}"
            yield f"  {where}: {binding['sentence']}"


def _outcome(outcome: Document) -> str:
    words = OUTCOMES[outcome["what"]]
    if outcome["detail"]:
        words += f": {outcome['detail']}"
    if outcome["count"] > 1:
        words += f" ({outcome['count']} times, the first {outcome['first_ago_s']:.1f} s ago)"
    return words
