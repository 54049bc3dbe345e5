"""The command line and the rounds: each server in turn, started anew, under the same load."""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contest import figures, machine, places, servers
from contest.figures import Run, Step
from contest.places import Command, Place
from contest.servers import KEY_ID, KEY_LINE, Server

ROOT = Path(__file__).resolve().parent.parent.parent
SKIPPED = 77
LADDER = "10k-400k:x1.5"
QUICK_LADDER = "2k-4k:x2"


def arguments(about: str, name: str) -> argparse.ArgumentParser:
    """What both scripts take."""
    parser = argparse.ArgumentParser(prog=name, description=about.split("\n\n")[0])
    plan = parser.add_mutually_exclusive_group()
    plan.add_argument("--ladder", metavar="FROM-TO:xFACTOR", help=f"rate after rate ({LADDER})")
    plan.add_argument(
        "--knee",
        metavar="FROM-TO:xFACTOR",
        nargs="?",
        const="1k-2M:x2",
        help="look for the highest rate within --loss",
    )
    plan.add_argument("--in-flight", metavar="N", type=int, help="closed loop")
    parser.add_argument("--loss", metavar="PERCENT", type=float, default=0.1, help="what a held rate may lose (%(default)s)")
    parser.add_argument("--rate", metavar="N", type=float, help="the latencies' rate, one of the plan's (the highest that all hold)")
    parser.add_argument("--rounds", metavar="N", type=int, default=5, help="%(default)s; every second one backwards")
    parser.add_argument("--duration", metavar="S", type=float, default=2.0, help="of each rate (%(default)s)")
    parser.add_argument("--warmup", metavar="S", type=float, default=0.5, help="before that (%(default)s)")
    parser.add_argument("--clients", metavar="N", type=int, default=256, help="source addresses (%(default)s)")
    parser.add_argument("--signed", action="store_true", help="also signed requests, for those that sign")
    parser.add_argument("--servers", metavar="NAME,…", type=_names, help="of null, maser, chronyd, ntpd-rs (all)")
    parser.add_argument("--node-cpus", metavar="LIST", type=_cpus, help="the server's cores (the last)")
    parser.add_argument("--load-cpus", metavar="LIST", type=_cpus, help="the harness's, a thread each (the first)")
    parser.add_argument("--rmem", choices=("default", "raised"), default="default", help="kernel socket buffers: what each server asks for, or much for all (root)")
    parser.add_argument("--maser", metavar="FILE", type=Path, help="the program to run (target/release/maser, built first)")
    parser.add_argument("--out", metavar="FOLDER", type=Path, default=ROOT / "target" / name, help=f"for figures and logs (target/{name})")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--quick", action="store_true", help="see that it works: one round of two low rates")
    return parser


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


def stop(why: str, code: int) -> int:
    """Says why, as the last line."""
    print(why)
    return code


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


def build(asked: argparse.Namespace) -> Path:
    """The program, built if it is not given."""
    if asked.maser:
        return Path(asked.maser).resolve()
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True, stdout=sys.stderr)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "maser"


def contest(asked: argparse.Namespace, place: contextlib.AbstractContextManager[Place]) -> int:
    """Runs all of it; the exit code. A signal to end is an exception, so that everything is undone."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    maser = build(asked)
    with place as here, machine.buffers(asked.rmem == "raised") as buffers:
        rounds = Rounds(asked, here, maser)
        for line in rounds.head(buffers):
            print(line)
        clock, spent = machine.ClockSettings.read(), machine.Spent.so_far()
        runs = rounds.run()
        told = [machine.Spent.so_far().since(spent)]
        untouched, verdict = machine.clock_verdict(clock, machine.ClockSettings.read())
        told.append(verdict)
        tell(asked, runs, [*rounds.buffers_told(), *told])
        rounds.plot()
    return 0 if untouched else 1


def tell(asked: argparse.Namespace, runs: dict[str, list[Run]], told: list[str]) -> None:
    """Prints the table, the ratios and what must be known of them; writes them down too."""
    loss_max = asked.loss / 100
    rate = asked.rate or figures.common_rate(runs, loss_max)
    table = figures.table(runs, loss_max, rate)
    notes = [*figures.ratios(runs, loss_max), *figures.remarks(runs), *told]
    (asked.out / "table.md").write_text("\n".join([table.markdown(), "", *notes, ""]))
    print(f"\n{table.markdown() if asked.markdown else table.plain()}\n")
    for line in notes:
        print(line)


@dataclass(frozen=True)
class Entry:
    """A row of the table: a server, and what it is asked."""

    server: Server
    signed: bool

    @property
    def name(self) -> str:
        """As the table says it."""
        return f"{self.server.name} signed" if self.signed else self.server.name

    @property
    def file(self) -> str:
        """The name for files."""
        return self.name.replace(" ", "-")


class Rounds:
    """Every server once a round."""

    def __init__(self, asked: argparse.Namespace, place: Place, maser: Path) -> None:
        self.asked, self.place, self.maser = asked, place, maser
        self.options = _options(maser)
        self.absent: list[str] = []
        self.entries = list(self._entries())
        self.buffers: dict[str, int | None] = {}
        asked.out.mkdir(parents=True, exist_ok=True)
        for file in asked.out.glob("*.json"):
            file.unlink()
        self.keys = asked.out / "keys"
        self.keys.touch(mode=0o600)
        self.keys.write_text(KEY_LINE)

    def _entries(self) -> Iterator[Entry]:
        for server in servers.known(self.maser, ROOT / "target" / "tools"):
            if self.asked.servers and server.name not in self.asked.servers:
                continue
            if server.program is None:
                self.absent.append(f"{server.name}: skipped, because {server.missing}")
                continue
            yield Entry(server, signed=False)
            if self.asked.signed and server.signs:
                yield Entry(server, signed=True)

    def head(self, buffers: str) -> list[str]:
        """What the figures belong to."""
        asked, place = self.asked, self.place
        versions = dict.fromkeys(entry.server.told_version() for entry in self.entries)
        cpus = [", ".join(map(str, cpus)) for cpus in (place.node_cpus, place.load_cpus)]
        return [
            machine.describe(),
            f"{place.what}; server on core {cpus[0]}, harness on core {cpus[1]}; {asked.clients} client addresses",
            f"{', '.join(versions)}; {asked.rounds} rounds by turns, {asked.duration:g} s a step; {' '.join(self.plan())}",
            f"receive buffers: {buffers}",
            *self.absent,
        ]

    def plan(self) -> Command:
        """The load, as `maser bench` takes it."""
        asked = self.asked
        if asked.in_flight:
            return ["--in-flight", str(asked.in_flight)]
        if asked.knee:
            return ["--knee", asked.knee, "--loss", str(asked.loss)]
        return ["--ladder", asked.ladder or LADDER]

    def run(self) -> dict[str, list[Run]]:
        """All rounds; every second one backwards, so that nobody is always first."""
        runs: dict[str, list[Run]] = {entry.name: [] for entry in self.entries}
        for number in range(1, self.asked.rounds + 1):
            for entry in self.entries if number % 2 else reversed(self.entries):
                run = self.turn(entry, number)
                runs[entry.name].append(run)
                best = (figures.peak(run) or 0) / 1e3
                print(f"round {number}  {entry.name:<16} peak {best:7.1f} k/s", file=sys.stderr, flush=True)
        return runs

    def turn(self, entry: Entry, number: int) -> Run:
        """One server's turn."""
        file = self.asked.out / f"{entry.file}-{number}.json"
        folder = self.asked.out / "servers" / entry.file
        probe = self.asked.out / "probe.json"
        few = ["--rate", "200", "--duration", "0.1", "--warmup", "0", "--timeout", "0.2", "--late", "1000"]
        try:
            ask = lambda: self.bench(entry, few, probe)  # noqa: E731
            with servers.running(entry.server, self.place, folder, ask) as process:
                self.buffers.setdefault(entry.server.name, self.place.receive_buffer())
                told = self.bench(entry, [*self.load(), *self.watching(process)], file)
        except OSError as error:
            raise SystemExit(f"{entry.name}: {error}") from error
        finally:
            probe.unlink(missing_ok=True)
        run = [Step.read(line) for line in told.splitlines()]
        if not any(step.good for step in run):
            raise SystemExit(f"{entry.name}: no reply, or no figures: {file}")
        return run

    def load(self) -> Command:
        """The load, and how long each step of it is."""
        return [*self.plan(), "--duration", str(self.asked.duration), "--warmup", str(self.asked.warmup)]

    def bench(self, entry: Entry, load: Command, file: Path) -> str:
        """Drives the server; the JSON lines. Nothing where the harness could not even start."""
        asked, place = self.asked, self.place
        cpus = ",".join(map(str, place.load_cpus))
        command = [str(self.maser), "bench", place.socket(place.target), *load, *place.bench]
        command += ["--source-net", place.sources, "--clients", str(asked.clients)]
        command += ["--threads", str(len(place.load_cpus)), "--cpus", cpus]
        command += ["--label", entry.name, "--json", str(file)]
        command += ["--key", f"{self.keys}:{KEY_ID}"] if entry.signed else []
        done = subprocess.run(
            place.on_load(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        # 1: a rate was not held; 2: or not driven. The figures tell.
        if done.returncode not in (0, 1, 2) or not file.exists():
            raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
        return file.read_text()

    def watching(self, process: int) -> Command:
        """Has the harness tell the server's share of the processors, where it can."""
        return ["--server-pid", str(process)] if "--server-pid" in self.options else []

    def buffers_told(self) -> list[str]:
        """What the kernel says of each server's socket."""
        known = [f"{name} {size >> 10}" for name, size in self.buffers.items() if size is not None]
        return [f"receive buffer, KiB, as the kernel counts: {', '.join(known)}"] if known else []

    def plot(self) -> None:
        """Draws the last round's curves, where the harness can."""
        if "--svg" not in self.options or self.asked.in_flight:
            return
        files = [str(self.asked.out / f"{entry.file}-{self.asked.rounds}.json") for entry in self.entries]
        picture = self.asked.out / "curves.svg"
        places.run([str(self.maser), "bench", "plot", *files, "--svg", str(picture)])
        print(f"curves: {picture}")


def _options(maser: Path) -> set[str]:
    """The options that this maser's harness has."""
    return set(re.findall(r"--[a-z-]+", places.run([str(maser), "bench", "--help"])))
