"""`mag lab`: the whole domain in private namespaces, with real kernels as mobile nodes."""

from pathlib import Path
from typing import Annotated

import typer

from mag.cli import lab_tell
from mag.lab.anchor.local_mobility_anchor import run as run_local_mobility_anchor
from mag.lab.options import LabOptions, PacketPath, Scenario
from mag.lab.run import exec_in_lab, run_lab

app = typer.Typer(
    help="A PMIPv6 domain in private namespaces, with real kernels as mobile nodes.",
    invoke_without_command=True,
)

app.add_typer(lab_tell.app, name="tell")


@app.callback()
def lab(
    context: typer.Context,
    scenario: Annotated[Scenario, typer.Option(help="What to show.")] = Scenario.HANDOVER,
    dataplane: Annotated[
        PacketPath,
        typer.Option(
            help="The gateways' packet path; VPP_PREFIX and MAG_VPP_PLUGIN_PATH say where VPP and "
            "our plugin are, if not in the usual places."
        ),
    ] = PacketPath.KERNEL,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on standard output.")
    ] = False,
    pcap: Annotated[
        Path | None, typer.Option(help="Write every packet of the lab to this pcapng file.")
    ] = None,
    hold: Annotated[bool, typer.Option("--hold", help="Leave it running until Ctrl-C.")] = False,
    nodes: Annotated[
        int | None,
        typer.Option(min=3, max=1000, help="How many, where the scenario leaves it open."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of all chance; the run says which it took.")
    ] = None,
) -> None:
    """Run a scenario; exit 0 only if every step held. Needs root."""
    if context.invoked_subcommand is not None:
        return
    options = LabOptions(
        scenario=scenario,
        dataplane=dataplane,
        as_json=as_json,
        pcap=pcap,
        hold=hold,
        nodes=nodes,
        seed=seed,
    )
    raise typer.Exit(run_lab(options))


@app.command("exec", context_settings={"ignore_unknown_options": True})
def exec_(
    node: Annotated[str, typer.Argument(help="mn1, mn2, mn3, mag1, mag2, lma, cn …")],
    command: Annotated[list[str], typer.Argument(metavar="COMMAND…")],
    lab_name: Annotated[
        str | None, typer.Option("--lab", help="If several are held; else the newest.")
    ] = None,
) -> None:
    """Run a command in a node of a held lab."""
    raise typer.Exit(exec_in_lab(node, command, lab_name))


@app.command()
def lma(
    config: Annotated[Path, typer.Option(help="Such as configs/lab-lma.yaml.")],
    control: Annotated[
        Path | None, typer.Option(help="Socket for `mag lab tell lma`; none without it.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all chance in what it does wrong.")] = None,
) -> None:
    """Run the reference LMA in the current network namespace."""
    raise typer.Exit(run_local_mobility_anchor(config, control=control, seed=seed))
