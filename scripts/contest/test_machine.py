"""Verdicts on the clock and on the machine, of readings made up here; and readings of this machine."""

import doctest
import unittest
from dataclasses import replace

from contest import arguments, machine, places
from contest.machine import ClockSettings, Spent


class Clocks(unittest.TestCase):
    FREE = ClockSettings(offset=0, freq=0, constant=2, tick=10_000, kept=False)

    def test_a_clock_that_nobody_keeps_must_not_change(self) -> None:
        self.assertTrue(machine.clock_verdict(self.FREE, self.FREE)[0])
        for after in (
            replace(self.FREE, freq=65536),
            replace(self.FREE, tick=9_999),
            replace(self.FREE, kept=True),
        ):
            untouched, told = machine.clock_verdict(self.FREE, after)
            self.assertFalse(untouched)
            self.assertIn("SOMETHING HAS SET IT", told)

    def test_a_clock_that_a_daemon_keeps_may(self) -> None:
        kept = replace(self.FREE, kept=True)
        untouched, told = machine.clock_verdict(kept, replace(kept, freq=131_072))
        self.assertTrue(untouched)
        self.assertIn("a time daemon", told)

    def test_this_machines_is_read(self) -> None:
        read = ClockSettings.read()
        # adjtimex(2): tick is 10,000 and a tenth of that either way, at 100 ticks a second.
        self.assertTrue(9_000 <= read.tick <= 11_000, read)
        self.assertLessEqual(abs(read.freq), 500 * 65536)


class Processors(unittest.TestCase):
    BEFORE = Spent(100.0, 10.0, 5.0, 1000.0)

    def test_others_are_what_is_not_ours(self) -> None:
        told = Spent(120.0, 25.0, 6.0, 1100.0).since(self.BEFORE)
        self.assertEqual(told, "others took 5.0 % of the processors meanwhile, the host 1.0 %")

    def test_a_busy_machine_is_told(self) -> None:
        told = Spent(120.0, 20.0, 6.0, 1100.0).since(self.BEFORE)
        self.assertIn("others took 10.0 %", told)
        self.assertIn("TOO MUCH", told)


class Examples(unittest.TestCase):
    def test_they_hold(self) -> None:
        for module in (arguments, places):
            failed, tried = doctest.testmod(module)
            self.assertEqual(failed, 0)
            self.assertGreater(tried, 0)


if __name__ == "__main__":
    unittest.main()
