"""The command line that both scripts take."""

import argparse
import os
from pathlib import Path

from contest import figures, machine, places

ROOT = Path(__file__).resolve().parent.parent.parent
LADDER = "10k-400k:x1.5"
QUICK_LADDER = "2k-4k:x2"


def parser(about: str, name: str) -> argparse.ArgumentParser:
    """What both scripts take."""
    taken = argparse.ArgumentParser(prog=name, description=about.partition("\n")[0])
    plan = taken.add_mutually_exclusive_group()
    plan.add_argument("--ladder", metavar="FROM-TO:xFACTOR", help=f"rate after rate ({LADDER})")
    plan.add_argument(
        "--knee",
        metavar="FROM-TO:xFACTOR",
        nargs="?",
        const="1k-2M:x2",
        help="look for the highest rate within --loss",
    )
    plan.add_argument("--in-flight", metavar="N", type=int, help="closed loop")
    taken.add_argument(
        "--loss",
        metavar="PERCENT",
        type=float,
        default=0.1,
        help="what a held rate may lose (%(default)s)",
    )
    taken.add_argument(
        "--rate",
        metavar="N",
        type=float,
        help="the latencies' rate, one of the plan's (the highest that all hold)",
    )
    taken.add_argument(
        "--then",
        metavar="RATE,…",
        type=_then,
        default=[],
        help="rates offered after the plan: 10k, or 3x the server's own knee",
    )
    taken.add_argument(
        "--gather",
        metavar="US",
        type=float,
        default=0.0,
        help="requests due within this time leave together, as cards moderate interrupts",
    )
    taken.add_argument(
        "--rounds", metavar="N", type=int, default=5, help="%(default)s; every second one backwards"
    )
    taken.add_argument(
        "--duration", metavar="S", type=float, default=2.0, help="of each rate (%(default)s)"
    )
    taken.add_argument(
        "--warmup", metavar="S", type=float, default=0.5, help="before that (%(default)s)"
    )
    taken.add_argument(
        "--clients", metavar="N", type=int, default=256, help="source addresses (%(default)s)"
    )
    taken.add_argument(
        "--signed", action="store_true", help="also signed requests, for those that sign"
    )
    taken.add_argument(
        "--servers", metavar="NAME,…", type=_names, help="of null, maser, chronyd, ntpd-rs (all)"
    )
    taken.add_argument(
        "--node-cpus", metavar="LIST", type=_cpus, help="the server's cores (the last)"
    )
    taken.add_argument(
        "--load-cpus", metavar="LIST", type=_cpus, help="the harness's, a thread each (the first)"
    )
    taken.add_argument(
        "--rmem",
        choices=("default", "raised"),
        default="default",
        help="kernel socket buffers: what each server asks for, or much for all (root)",
    )
    taken.add_argument(
        "--maser",
        metavar="FILE",
        type=Path,
        help="the program to run (target/release/maser, built first)",
    )
    taken.add_argument(
        "--out",
        metavar="FOLDER",
        type=Path,
        default=ROOT / "target" / name,
        help=f"for figures and logs (target/{name})",
    )
    taken.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    taken.add_argument(
        "--quick", action="store_true", help="see that it works: one round of two low rates"
    )
    return taken


def _then(text: str) -> list[figures.Then]:
    try:
        return [figures.Then.read(word) for word in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no rate: {error}") from error


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - {"null", "maser", "chronyd", "ntpd-rs"}
    if unknown:
        raise argparse.ArgumentTypeError(f"no such server: {', '.join(sorted(unknown))}")
    return names


def _cpus(text: str) -> list[int]:
    """A list of cores, with ranges.

    >>> _cpus("0,2-4")
    [0, 2, 3, 4]
    """
    cpus: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus


def finish(asked: argparse.Namespace) -> None:
    """Fills in what hangs on the machine, and makes quick what shall be."""
    allowed = sorted(os.sched_getaffinity(0))
    asked.node_cpus = asked.node_cpus or [allowed[-1]]
    asked.load_cpus = asked.load_cpus or [allowed[0]]
    if asked.quick:
        asked.rounds, asked.duration, asked.warmup = 1, 0.3, 0.1
        asked.ladder, asked.knee, asked.in_flight = QUICK_LADDER, None, None


def cannot(asked: argparse.Namespace) -> str | None:
    """Why nothing can be measured here."""
    for program in ("taskset", "setpriv"):
        if places.find(program) is None:
            return f"{program} is not installed"
    if asked.rmem == "raised" and os.geteuid() != 0:
        return "--rmem raised takes root"
    if machine.may_set_clock() and os.geteuid() != 0:
        return "this user may set the clock, and only root can take that right from a server"
    return None
