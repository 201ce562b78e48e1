"""The command `mag` and its verbs."""

from pathlib import Path
from typing import Annotated

import typer

from mag import __version__
from mag.cli import actions, explain, journal, lab, operation, show
from mag.cli.exit_codes import INVALID
from mag.cli.files import ConfigurationFile, load_valid
from mag.config.domain import disagreements, domain_variables
from mag.daemon.run import run_gateway

app = typer.Typer(
    name="mag",
    help="Mobile Access Gateway for Proxy Mobile IPv6 (RFC 5213).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(show.app, name="show")
app.add_typer(actions.clear_app, name="clear")
app.add_typer(lab.app, name="lab")
app.add_typer(journal.app, name="journal")
actions.add_to(app)
explain.add_to(app)
operation.add_to(app)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"mag {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Mobile Access Gateway for Proxy Mobile IPv6 (RFC 5213)."""


@app.command()
def check(
    file: ConfigurationFile,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Of another gateway of the domain: what must be alike is compared."),
    ] = None,
) -> None:
    """Check a configuration file: exit 0 if valid, 1 if not, 2 if it cannot be read."""
    configuration = load_valid(file)
    others = {other: load_valid(other) for other in against or ()}
    ours = domain_variables(configuration)
    faults = [
        f"{file}: protocol.{key}: {_text(own)}, but {_text(theirs)} in {other}"
        for other, each in others.items()
        for key, (own, theirs) in disagreements(ours, domain_variables(each)).items()
    ]
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(INVALID)
    nodes = len(configuration.policy.nodes)
    typer.echo(
        f"{file}: valid: gateway {configuration.identity}, {len(configuration.lmas)} LMAs, "
        f"{len(configuration.access_links)} access links, {nodes} nodes"
    )


@app.command()
def run(file: ConfigurationFile) -> None:
    """Run the gateway until SIGTERM."""
    raise typer.Exit(run_gateway(load_valid(file), file))


def _text(value: object) -> str:
    return str(value).lower()


def main() -> None:
    """Entry point."""
    app()
