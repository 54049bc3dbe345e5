"""Medians, knees, ratios and tables, of steps made up here."""

import json
import unittest
from typing import ClassVar

from contest import figures
from contest.figures import Run, Step


def step(
    offered: float | None, replies: float, loss: float = 0.0, unsent: float = 0.0, p50: float = 50.0
) -> Step:
    return Step(
        offered=offered,
        replies=replies,
        loss=loss,
        unsent=unsent,
        good=int(replies),
        wrong=0,
        p50=p50,
        p99=2 * p50,
        error_mean=4.0,
        error_p99=8.0,
    )


def holds(limit: float, p50: float = 50.0) -> Run:
    """A ladder against a server that answers so many a second."""
    return [
        step(rate, min(rate, limit), loss=max(0.0, 1 - limit / rate), p50=p50)
        for rate in (10e3, 20e3, 40e3, 80e3)
    ]


class Afterwards(unittest.TestCase):
    def test_rates_are_fixed_or_times_the_knee(self) -> None:
        fixed, times = figures.Then.read("10k"), figures.Then.read("0.5x")
        self.assertEqual((fixed.at(None), fixed.at(80e3)), (10e3, 10e3))
        self.assertEqual((times.at(None), times.at(0.0), times.at(80e3)), (None, None, 40e3))
        for word in ("", "x", "k", "-1k", "0x", "fast"):
            self.assertRaises(ValueError, figures.Then.read, word)

    def test_replies_are_told_as_a_share_of_the_rounds_own_peak(self) -> None:
        runs = {"maser": [holds(40e3), holds(80e3)]}
        then = {"maser": [{"3x": step(120e3, 30e3, 0.75)}, {"3x": step(240e3, 40e3, 0.8, 0.3)}]}
        (row,) = figures.then_table(runs, then).rows
        self.assertEqual(row[:5], ["maser", "3x", "≤ 180", "35.0", "0.62"])


class Reading(unittest.TestCase):
    def test_a_line_of_the_harness(self) -> None:
        counts = dict.fromkeys(figures.WRONG, 0) | {"good": 990, "forged": 3, "kiss_rate": 2}
        line = {
            "offered_per_s": 1000.0,
            "replies_per_s": 990.0,
            "loss": 0.005,
            "unsent": 0.002,
            "counts": counts,
            "latency_ns": {"p50": 51_000, "p99": 102_000},
            "transmit_error_ns": {"mean": -250.0, "p99": 4_000},
        }
        read = Step.read(json.dumps(line))
        self.assertEqual(
            (read.offered, read.replies, read.good, read.wrong), (1000.0, 990.0, 990, 5)
        )
        self.assertEqual(
            (read.p50, read.p99, read.error_mean, read.error_p99), (51.0, 102.0, -0.25, 4.0)
        )
        closed = Step.read(json.dumps(line | {"offered_per_s": None}))
        self.assertIsNone(closed.offered)


class Knees(unittest.TestCase):
    def test_the_highest_rate_below_the_lowest_broken(self) -> None:
        self.assertEqual(figures.knee(holds(45e3), 0.001), 40e3)
        stalled = [step(10e3, 10e3), step(20e3, 19e3, loss=0.05), step(40e3, 40e3)]
        self.assertEqual(figures.knee(stalled, 0.001), 10e3)

    def test_a_search_comes_back_to_rates_it_had_left(self) -> None:
        # Up, broken, between, and a rate that was held once and not when it was confirmed.
        search = [
            step(rate, rate, loss=loss)
            for rate, loss in ((1e4, 0), (2e4, 0.1), (1.5e4, 0), (1.5e4, 0.01), (1.4e4, 0))
        ]
        self.assertEqual(figures.knee(search, 0.001), 1.4e4)

    def test_none_held_is_zero_and_no_rate_is_none(self) -> None:
        self.assertEqual(figures.knee(holds(1e3), 0.001), 0.0)
        self.assertIsNone(figures.knee([step(None, 1e5)], 0.001))

    def test_a_rate_that_was_not_driven_is_neither_held_nor_broken(self) -> None:
        run = [step(10e3, 10e3), step(20e3, 11e3, unsent=0.45)]
        self.assertEqual(figures.knee(run, 0.001), 10e3)
        run = [step(10e3, 9e3, loss=0.1, unsent=0.45), step(20e3, 20e3)]
        self.assertEqual(figures.knee(run, 0.001), 20e3)
        self.assertIsNone(figures.knee(run[:1], 0.001))

    def test_the_bound_itself_is_held(self) -> None:
        self.assertEqual(figures.knee([step(10e3, 9990, loss=0.001)], 0.001), 10e3)


class CommonRate(unittest.TestCase):
    def test_is_what_all_hold_in_most_rounds(self) -> None:
        runs = {"a": [holds(90e3)] * 3, "b": [holds(45e3), holds(1e3), holds(25e3)]}
        self.assertEqual(figures.common_rate(runs, 0.001), 20e3)

    def test_a_rate_that_one_was_not_asked_is_not_common(self) -> None:
        runs = {"a": [holds(90e3)], "b": [holds(90e3)[:2]]}
        self.assertEqual(figures.common_rate(runs, 0.001), 20e3)

    def test_where_none_is_held_it_is_the_lowest(self) -> None:
        self.assertEqual(figures.common_rate({"a": [holds(1e3)]}, 0.001), 10e3)
        self.assertIsNone(figures.common_rate({"a": [[step(None, 1e5)]]}, 0.001))


class Ratios(unittest.TestCase):
    def test_are_taken_within_a_round(self) -> None:
        # Both are slower in the second round; the ratio of the medians would be 2.5.
        ours = [[step(None, 300)], [step(None, 100)], [step(None, 250)]]
        theirs = [[step(None, 100)], [step(None, 50)], [step(None, 125)]]
        self.assertEqual(figures.ratio(ours, theirs, figures.peak), 2.0)

    def test_a_zero_is_left_out(self) -> None:
        ratio = figures.ratio([holds(45e3)], [holds(1e3)], lambda run: figures.knee(run, 0.001))
        self.assertIsNone(ratio)

    def test_signed_goes_with_signed(self) -> None:
        runs = {
            "maser": [holds(80e3)],
            "maser signed": [holds(40e3)],
            "chronyd signed": [holds(20e3)],
        }
        self.assertEqual(
            figures.ratios(runs, 0.001), ["maser signed to chronyd signed: peak 2.00, knee 2.00"]
        )


class Limits(unittest.TestCase):
    HARNESS: ClassVar = [step(10e3, 10e3), step(20e3, 15e3, unsent=0.25)]

    def test_a_harness_at_its_end_has_not_seen_the_servers(self) -> None:
        self.assertTrue(figures.limit_seen([holds(45e3)], 0.001))
        self.assertFalse(figures.limit_seen([holds(90e3)], 0.001))
        self.assertFalse(figures.limit_seen([self.HARNESS], 0.001))
        self.assertFalse(figures.limit_seen([self.HARNESS, holds(45e3)], 0.001))
        self.assertTrue(figures.limit_seen([[step(None, 1e5)]], 0.001))

    def test_ratios_say_what_they_are(self) -> None:
        runs = {"maser": [self.HARNESS], "chronyd": [holds(15e3)], "null": [self.HARNESS]}
        told = [
            "maser to chronyd: peak at least 1.00, knee at least 1.00",
            "maser to null: not known, the limit of neither was seen",
        ]
        self.assertEqual(figures.ratios(runs, 0.001), told)
        turned = {"maser": [holds(15e3)], "chronyd": [self.HARNESS]}
        self.assertIn("at most", figures.ratios(turned, 0.001)[0])

    def test_the_table_says_so(self) -> None:
        row = figures.table({"maser": [self.HARNESS]}, 0.001, 10e3).rows[0]
        self.assertEqual(row[1:3], ["≥ 15.0", "≥ 10.0"])


class Tables(unittest.TestCase):
    RUNS: ClassVar = {
        "maser": [holds(45e3), holds(90e3), holds(45e3)],
        "chronyd": [holds(25e3)] * 3,
    }

    def test_markdown(self) -> None:
        lines = figures.table(self.RUNS, 0.001, 20e3).markdown().splitlines()
        self.assertEqual(lines[1].count("---"), lines[0].count("|") - 1)
        self.assertEqual(lines[2], "| maser | 45.0 | 40.0 | 50.0 / 100 | 4.00 / 8.00 | 0.00 |")
        self.assertEqual(lines[3], "| chronyd | 25.0 | 20.0 | 50.0 / 100 | 4.00 / 8.00 | 0.00 |")

    def test_plain_has_numbers_under_each_other(self) -> None:
        lines = figures.table(self.RUNS, 0.001, 20e3).plain().splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)

    def test_a_closed_loop_has_no_knee(self) -> None:
        table = figures.table({"maser": [[step(None, 190_400)]]}, 0.001, None)
        self.assertNotIn("knee, k/s", table.head)
        self.assertEqual(table.rows, [["maser", "190", "50.0 / 100", "4.00 / 8.00", "0.00"]])

    def test_what_is_not_known_is_a_dash(self) -> None:
        table = figures.table({"maser": [holds(45e3)[:1]]}, 0.001, 40e3)
        self.assertEqual(table.rows[0][3], "- / -")


class Remarks(unittest.TestCase):
    def test_a_harness_at_its_limit_is_told(self) -> None:
        runs = {"maser": [holds(90e3), [step(10e3, 9e3, unsent=0.02)]], "chronyd": [holds(90e3)]}
        self.assertEqual(
            figures.remarks(runs),
            ["maser: in 1 of 2 rounds the harness was at its limit before the server"],
        )


if __name__ == "__main__":
    unittest.main()
