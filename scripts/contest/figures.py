"""What the steps of `maser bench` come to: medians over the rounds, ratios within them, one table."""

import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# Beyond this share of requests not sent in time, `maser bench` ends: the harness is at its limit.
UNSENT_MAX = 0.01
# Two rates are one where they differ by less than this share.
SAME_RATE = 0.01
# Counters of replies that came and were no valid answer.
WRONG = (
    "forged",
    "bad_length",
    "bad_mode",
    "bad_version",
    "bad_stratum",
    "unsynchronised",
    "kiss_rate",
    "kiss_other",
)


@dataclass(frozen=True)
class Step:
    """One rate for one while. Rates are per second, times microseconds, loss and unsent shares."""

    offered: float | None
    replies: float
    loss: float
    unsent: float
    good: int
    wrong: int
    p50: float
    p99: float
    error_mean: float
    error_p99: float

    @classmethod
    def read(cls, line: str) -> "Step":
        """From a line of `maser bench --json`."""
        told = json.loads(line)
        counts, latency, error = told["counts"], told["latency_ns"], told["transmit_error_ns"]
        return cls(
            offered=told["offered_per_s"],
            replies=told["replies_per_s"],
            loss=told["loss"],
            unsent=told["unsent"],
            good=counts["good"],
            wrong=sum(counts[name] for name in WRONG),
            p50=latency["p50"] / 1e3,
            p99=latency["p99"] / 1e3,
            error_mean=error["mean"] / 1e3,
            error_p99=error["p99"] / 1e3,
        )

    @property
    def driven(self) -> bool:
        """Whether the harness sent what it was to send: else the step says nothing of a rate."""
        return self.unsent <= UNSENT_MAX

    def held(self, loss_max: float) -> bool:
        """Whether the server held this rate."""
        return self.driven and self.loss <= loss_max


# One server's steps in one round.
Run = list[Step]


@dataclass(frozen=True)
class Then:
    """A rate that a server is offered after the plan: so many a second, or times its own knee."""

    told: str
    rate: float
    of_knee: bool

    @classmethod
    def read(cls, word: str) -> "Then":
        """From a word of the command line.

        >>> Then.read("10k").rate, Then.read("0.5x").of_knee
        (10000.0, True)
        """
        units = {"k": 1e3, "M": 1e6, "x": 1.0}
        number, unit = (word[:-1], units[word[-1]]) if word[-1:] in units else (word, 1.0)
        rate = float(number) * unit
        if not 0 < rate < 1e8:
            raise ValueError(word)
        return cls(word, rate, word.endswith("x"))

    def at(self, knee: float | None) -> float | None:
        """The rate for a server of this knee; none where it has none."""
        if not self.of_knee:
            return self.rate
        return self.rate * knee if knee else None


# What one server did in one round when it was offered those rates.
Afterwards = dict[str, Step]


def peak(run: Run) -> float | None:
    """The most replies a second of any step."""
    return max((step.replies for step in run), default=None)


def knee(run: Run, loss_max: float) -> float | None:
    """The highest rate that was held, below the lowest that was not; 0 where the lowest was not held."""
    rated = [(step.offered, step.held(loss_max)) for step in run if step.offered and step.driven]
    if not rated:
        return None
    broken = min((rate for rate, held in rated if not held), default=float("inf"))
    return max((rate for rate, held in rated if held and rate < broken), default=0.0)


def limit_seen(rounds: list[Run], loss_max: float) -> bool:
    """Whether most rounds went beyond what the server holds: else its peak and knee are at least what was seen.

    A closed loop always offers more.
    """
    seen = [
        any(step.offered is None or (step.driven and step.loss > loss_max) for step in run)
        for run in rounds
    ]
    return 2 * sum(seen) > len(rounds)


def at(run: Run, rate: float | None) -> Step | None:
    """The first step of this rate; of a closed loop, which has no rate, the only one."""
    if rate is None:
        return run[0] if run and run[0].offered is None else None
    near = (step for step in run if step.offered and abs(step.offered / rate - 1) < SAME_RATE)
    return next(near, None)


def unsent(run: Run) -> float | None:
    """The greatest share of requests that did not leave in time, of any step."""
    return max((step.unsent for step in run), default=None)


def common_rate(runs: dict[str, list[Run]], loss_max: float) -> float | None:
    """The highest rate that every server holds in most rounds; the lowest tried where there is none."""
    every = [step for rounds in runs.values() for run in rounds for step in run]
    rates = {step.offered for step in every if step.offered is not None}
    held = [
        rate
        for rate in rates
        if all(_mostly_holds(rounds, rate, loss_max) for rounds in runs.values())
    ]
    return max(held, default=min(rates, default=None))


def _mostly_holds(rounds: list[Run], rate: float, loss_max: float) -> bool:
    steps = [at(run, rate) for run in rounds]
    return 2 * sum(step is not None and step.held(loss_max) for step in steps) > len(rounds)


def median(values: Iterable[float | None]) -> float | None:
    """Of the values there are."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


Figure = Callable[[Run], float | None]


def ratio(part: list[Run], whole: list[Run], figure: Figure) -> float | None:
    """Median of the ratios within each round: the noise that both shared falls out."""
    pairs = [(figure(ours), figure(theirs)) for ours, theirs in zip(part, whole, strict=True)]
    return median(ours / theirs for ours, theirs in pairs if ours is not None and theirs)


@dataclass(frozen=True)
class Table:
    """A head and rows of texts; the first column is names."""

    head: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """For the README."""
        rule = "|---" * len(self.head) + "|"
        return "\n".join([_piped(self.head), rule, *map(_piped, self.rows)])

    def plain(self) -> str:
        """For a terminal: numbers stand under each other."""
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(_aligned(line, widths) for line in lines)


def _piped(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _aligned(cells: list[str], widths: list[int]) -> str:
    name, *numbers = cells
    right = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join([name.ljust(widths[0]), *right])


HEAD = ["server", "peak, k/s", "knee, k/s", "p50 / p99, µs", "TX error mean / p99, µs", "unsent, %"]


def table(runs: dict[str, list[Run]], loss_max: float, rate: float | None) -> Table:
    """The medians: rates in thousands a second, times in microseconds. `rate` is that of the times."""
    rows = []
    for name, rounds in runs.items():
        steps = [at(run, rate) for run in rounds]
        limits = [median(map(peak, rounds)), median(knee(run, loss_max) for run in rounds)]
        beyond = "" if limit_seen(rounds, loss_max) else "≥ "
        row = [
            name,
            *(beyond * (limit is not None) + _number(limit, 1e-3) for limit in limits),
            _pair(steps, lambda step: (step.p50, step.p99)),
            _pair(steps, lambda step: (step.error_mean, step.error_p99)),
            _number(median(map(unsent, rounds)), 1e2),
        ]
        rows.append(row)
    return _without_blanks(Table(HEAD, rows))


def _without_blanks(table: Table) -> Table:
    """Leaves out columns in which nobody has a figure: a closed loop has no knee."""
    kept = [at for at in range(len(table.head)) if any(row[at] != "-" for row in table.rows)]
    return Table([table.head[at] for at in kept], [[row[at] for at in kept] for row in table.rows])


THEN_HEAD = [
    "server",
    "offered",
    "k/s",
    "replies, k/s",
    "of the peak",
    "p50 / p99, µs",
    "TX error mean / p99, µs",
]


def then_table(runs: dict[str, list[Run]], then: dict[str, list[Afterwards]]) -> Table:
    """The medians of the rates that were offered after the plan; replies also as a share of the round's peak."""
    rows = []
    for name, rounds in then.items():
        for told in dict.fromkeys(word for after in rounds for word in after):
            steps = [after.get(told) for after in rounds]
            shares = [
                step.replies / (peak(run) or step.replies)
                for step, run in zip(steps, runs[name], strict=True)
                if step and step.replies
            ]
            driven = all(step.driven for step in steps if step)
            row = [
                name,
                told,
                "≤ " * (not driven) + _number(median(step.offered for step in steps if step), 1e-3),
                _number(median(step.replies for step in steps if step), 1e-3),
                _number(median(shares), 1.0),
                _pair(steps, lambda step: (step.p50, step.p99)),
                _pair(steps, lambda step: (step.error_mean, step.error_p99)),
            ]
            rows.append(row)
    return Table(THEN_HEAD, rows)


def caption(loss_max: float, rate: float | None) -> str:
    """What the columns of the table are."""
    if rate is None:
        return "Medians over the rounds."
    return (
        f"Medians over the rounds. knee: the highest rate with at most {loss_max * 100:g} % lost; ≥: plan or "
        "harness ended before the server's limit;\n"
        f"times: at {rate / 1e3:.3g} k/s; unsent: requests that did not leave in time, at the worst rate."
    )


def _pair(steps: list[Step | None], of: Callable[[Step], tuple[float, float]]) -> str:
    pairs = [of(step) for step in steps if step is not None]
    return " / ".join(_number(median(pair[at] for pair in pairs), 1) for at in (0, 1))


def _number(value: float | None, unit: float) -> str:
    """Three digits, as many as such figures are worth."""
    if value is None:
        return "-"
    scaled = value * unit
    digits = 0 if abs(scaled) >= 100 else 1 if abs(scaled) >= 10 else 2
    return f"{scaled:.{digits}f}"


# By whether the limits of ours and of theirs were seen.
BOUNDS = {(True, True): "", (False, True): "at least ", (True, False): "at most "}


def ratios(runs: dict[str, list[Run]], loss_max: float) -> list[str]:
    """A line for each peer of maser's, signed to signed and unsigned to unsigned."""
    lines = []
    for peer, theirs in runs.items():
        name = "maser signed" if peer.endswith(" signed") else "maser"
        if peer == name or name not in runs:
            continue
        ours = runs[name]
        bound = BOUNDS.get((limit_seen(ours, loss_max), limit_seen(theirs, loss_max)))
        told = [
            ("peak", ratio(ours, theirs, peak)),
            ("knee", ratio(ours, theirs, lambda run: knee(run, loss_max))),
        ]
        known = [f"{figure} {bound}{value:.2f}" for figure, value in told if value is not None]
        if bound is None:
            known = ["not known, the limit of neither was seen"]
        lines.append(f"{name} to {peer}: {', '.join(known)}")
    return lines


def remarks(runs: dict[str, list[Run]]) -> list[str]:
    """What the table does not show and its reader must know."""
    lines = []
    for name, rounds in runs.items():
        limited = sum(not all(step.driven for step in run) for run in rounds)
        wrong = sum(step.wrong for run in rounds for step in run)
        if limited:
            lines.append(
                f"{name}: in {limited} of {len(rounds)} rounds the harness was at its limit before the server"
            )
        if wrong:
            lines.append(f"{name}: {wrong} replies were wrong, not synchronised, or kisses")
    return lines
