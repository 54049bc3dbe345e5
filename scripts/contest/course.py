"""The rounds: each server in turn, started anew, under the same load."""

import argparse
import contextlib
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from contest import figures, machine, places, servers
from contest.arguments import LADDER, ROOT
from contest.figures import Run, Step
from contest.places import Command, Place, Unavailable
from contest.servers import KEY_ID, KEY_LINE, Server

# How a check that cannot run ends (scripts/check).
SKIPPED = 77
# A few requests, which a server must answer before it is driven.
PROBE = "--rate 200 --duration 0.1 --warmup 0 --timeout 0.2 --late 1000".split()


def stop(why: str, code: int) -> int:
    """Says why, as the last line."""
    print(why)
    return code


def build(asked: argparse.Namespace) -> Path:
    """The program, built if it is not given."""
    if asked.maser:
        return Path(asked.maser).resolve()
    subprocess.run(
        ["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True, stdout=sys.stderr
    )
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "maser"


def contest(asked: argparse.Namespace, place: contextlib.AbstractContextManager[Place]) -> int:
    """Runs all of it; the exit code."""
    end_by_exception()
    maser = build(asked)
    with contextlib.ExitStack() as stack:
        try:
            here = stack.enter_context(place)
        except Unavailable as error:
            return stop(str(error), SKIPPED)
        buffers = stack.enter_context(machine.buffers(asked.rmem == "raised"))
        rounds = Rounds(asked, here, maser)
        for line in rounds.head(buffers):
            print(line)
        clock, spent = machine.ClockSettings.read(), machine.Spent.so_far()
        runs = rounds.run()
        told = [machine.Spent.so_far().since(spent)]
        untouched, verdict = machine.clock_verdict(clock, machine.ClockSettings.read())
        told.append(verdict)
        tell(asked, runs, rounds.then, [*rounds.buffers_told(), *told])
        rounds.plot()
    return 0 if untouched else 1


def end_by_exception() -> None:
    """A signal to end becomes an exception, so that everything is undone; a second one cannot stop that."""
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number: int, _frame: FrameType | None) -> None:
        for other in ending:
            signal.signal(other, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in ending:
        signal.signal(number, end)


def tell(
    asked: argparse.Namespace,
    runs: dict[str, list[Run]],
    then: dict[str, list[figures.Afterwards]],
    told: list[str],
) -> None:
    """Prints the table, the ratios and what must be known of them; writes them down too."""
    loss_max = asked.loss / 100
    rate = asked.rate or figures.common_rate(runs, loss_max)
    table = figures.table(runs, loss_max, rate)
    notes = [*figures.ratios(runs, loss_max), *figures.remarks(runs), *told]
    caption = figures.caption(loss_max, rate)
    tables = [table]
    if asked.then:
        tables.append(figures.then_table(runs, then))
    drawn = "\n\n".join(table.markdown() for table in tables)
    (asked.out / "table.md").write_text("\n".join([caption, "", drawn, "", *notes, ""]))
    plain = "\n\n".join(table.plain() for table in tables)
    print(f"\n{caption}\n\n{drawn if asked.markdown else plain}\n")
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
        self.absent: list[str] = []
        self.entries = list(self._entries())
        self.buffers: dict[str, int | None] = {}
        self.then: dict[str, list[figures.Afterwards]] = {
            entry.name: [] for entry in self.entries
        }
        asked.out.mkdir(parents=True, exist_ok=True)
        for entry in self.entries:
            for file in asked.out.glob(f"{entry.file}-[0-9]*.json"):
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
            f"{place.what}; server on core {cpus[0]}, harness on core {cpus[1]}",
            ", ".join(versions),
            f"{' '.join(self.plan())} from {asked.clients} addresses; {asked.rounds} rounds by turns, "
            f"{asked.duration:g} s a step"
            + (f", requests gathered for {asked.gather:g} us" if asked.gather else ""),
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
                print(
                    f"round {number}  {entry.name:<16} peak {best:7.1f} k/s",
                    file=sys.stderr,
                    flush=True,
                )
        return runs

    def turn(self, entry: Entry, number: int) -> Run:
        """One server's turn."""
        file = self.asked.out / f"{entry.file}-{number}.json"
        folder = self.asked.out / "servers" / entry.file
        probe = self.asked.out / "probe.json"
        try:
            ask = functools.partial(self.bench, entry, PROBE, probe)
            with servers.running(entry.server, self.place, folder, ask) as process:
                self.buffers.setdefault(entry.server.name, self.place.receive_buffer())
                told = self.bench(entry, [*self.load(), "--server-pid", str(process)], file)
                run = [Step.read(line) for line in told.splitlines()]
                self.then[entry.name].append(self.afterwards(entry, run, process))
        except OSError as error:
            raise SystemExit(f"{entry.name}: {error}") from error
        finally:
            probe.unlink(missing_ok=True)
        if not any(step.good for step in run):
            raise SystemExit(f"{entry.name}: no reply, or no figures: {file}")
        return run

    def afterwards(self, entry: Entry, run: Run, process: int) -> figures.Afterwards:
        """The rates that are offered after the plan; a server without a knee has no multiples of it."""
        after = {}
        knee = figures.knee(run, self.asked.loss / 100)
        for then in self.asked.then:
            rate = then.at(knee)
            if rate is None:
                continue
            load = ["--rate", f"{rate:.0f}", *self.spans(), "--server-pid", str(process)]
            file = self.asked.out / f"{entry.file}-{len(self.then[entry.name]) + 1}-{then.told}.json"
            after[then.told] = Step.read(self.bench(entry, load, file))
        return after

    def load(self) -> Command:
        """The load, and how long each step of it is."""
        return [*self.plan(), *self.spans()]

    def spans(self) -> Command:
        """How long each rate is offered, and how late a request may leave."""
        asked = self.asked
        spans = ["--duration", str(asked.duration), "--warmup", str(asked.warmup)]
        spans += ["--gather", str(asked.gather)] if asked.gather else []
        # Where it is only to be seen that all works, a busy machine may be late.
        return [*spans, *(["--late", "1000"] if asked.quick else [])]

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
            place.on_load(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        # 1: a rate was not held; 2: or not driven. The figures tell.
        if done.returncode not in (0, 1, 2) or not file.exists():
            raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
        return file.read_text()

    def buffers_told(self) -> list[str]:
        """What the kernel says of each server's socket."""
        known = [f"{name} {size >> 10}" for name, size in self.buffers.items() if size is not None]
        return [f"receive buffer, KiB, as the kernel counts: {', '.join(known)}"] if known else []

    def plot(self) -> None:
        """Draws all rounds: medians by rate, and how far they spread."""
        if self.asked.in_flight:
            return
        numbers = range(1, self.asked.rounds + 1)
        files = [
            str(self.asked.out / f"{entry.file}-{number}.json")
            for entry in self.entries
            for number in numbers
        ]
        picture = self.asked.out / "curves.svg"
        places.run([str(self.maser), "bench", "plot", *files, "--svg", str(picture)])
        print(f"curves: {picture}")
