#!/usr/bin/env python3
"""Reads chrony's log files by their columns, as scripts of chrony's users do, and complains of what is not there.

Usage: columns.py FOLDER. Prints a line `NAME LINES BANNERS` for each log in it; ends with 1 at the first bad line.
Needs nothing but Python. Leaves nothing behind.
"""

import ipaddress
import re
import sys
from datetime import datetime
from pathlib import Path

SCIENTIFIC = r"-?\d\.\d{%d}e[-+]\d{2}"


def pattern(regex):
    """A check by a regular expression for the whole word."""
    return lambda word: re.fullmatch(regex, word) is not None


def moment(form):
    """A check by a form of date or time."""

    def check(word):
        datetime.strptime(word, form)
        return True

    return check


def between(low, high, base=10):
    """A check for a whole number in a range."""
    return lambda word: low <= int(word, base) <= high


def address(word):
    """An address, or the letters of a reference clock."""
    if re.fullmatch(r"[A-Z][A-Z0-9]{0,3}", word):
        return True
    return bool(ipaddress.ip_address(word))


DATE = (0, 10, moment("%Y-%m-%d"))
TIME = (11, 19, moment("%H:%M:%S"))
ADDRESS = (20, 35, address)
E3 = pattern(SCIENTIFIC % 3)
E4 = pattern(SCIENTIFIC % 4)
E6 = pattern(SCIENTIFIC % 6)
LEAP = pattern(r"[-N+?]")


def row(start, width, count, check):
    """Columns of one width, with a blank before each."""
    return [(start + 1 + at * (width + 1), start + (at + 1) * (width + 1), check) for at in range(count)]


# Of each log: where a column begins and ends in a line whose words all fit, and what may stand there.
LOGS = {
    "measurements": [
        DATE,
        TIME,
        ADDRESS,
        (36, 37, LEAP),
        (38, 40, between(0, 16)),
        (41, 44, pattern(r"[01]{3}")),
        (45, 48, pattern(r"[01]{3}")),
        (49, 53, pattern(r"[01]{4}")),
        (55, 57, between(-7, 24)),
        (58, 60, between(-7, 24)),
        (61, 65, pattern(r"-?\d\.\d\d")),
        *row(65, 10, 5, E3),
        (121, 129, pattern(r"[0-9A-F]{8}")),
        (130, 132, pattern(r"[1-5][BI]")),
        (133, 134, pattern(r"[DKH]")),
        (135, 136, pattern(r"[DKH]")),
    ],
    "statistics": [
        DATE,
        TIME,
        ADDRESS,
        *row(35, 10, 5, E3),
        (91, 98, pattern(SCIENTIFIC % 1)),
        (99, 102, between(1, 64)),
        (103, 106, between(0, 63)),
        (107, 110, between(0, 64)),
        (111, 116, pattern(r"-?0\.\d\d")),
    ],
    "selection": [
        DATE,
        TIME,
        ADDRESS,
        (36, 37, pattern(r"[NMsrd~wSOTxWPUDL+*]")),
        (38, 43, pattern(r"-[-N][-P][-T][-R]")),
        (44, 48, between(0, 255, 8)),
        (49, 54, pattern(r"\d+\.\d\d")),
        *row(54, 10, 3, E3),
    ],
    "tracking": [
        DATE,
        TIME,
        ADDRESS,
        (36, 38, between(0, 16)),
        *row(38, 10, 2, pattern(r"-?\d+\.\d{3}")),
        (61, 71, E3),
        (72, 73, LEAP),
        (74, 76, between(0, 64)),
        *row(76, 10, 5, E3),
    ],
    "rtc": [
        DATE,
        TIME,
        (20, 34, pattern(r"-?\d+\.\d{6}")),
        (35, 36, pattern(r"[01]")),
        (38, 52, pattern(r"-?\d+\.\d{6}")),
        (54, 66, pattern(r"-?\d+\.\d{3}")),
        (68, 70, between(0, 64)),
        (72, 74, between(0, 64)),
        (75, 79, between(0, 9999)),
    ],
    "refclocks": [
        DATE,
        (11, 26, moment("%H:%M:%S.%f")),
        (27, 32, pattern(r"[A-Z][A-Z0-9]{0,3}")),
        (33, 36, pattern(r"\d+|-")),
        (37, 38, LEAP),
        (39, 40, pattern(r"[01-]")),
        (41, 54, lambda word: word == "-" or E6(word)),
        (55, 68, E6),
        (69, 79, E3),
    ],
    "tempcomp": [DATE, TIME, (20, 31, E4), (32, 43, E4)],
}


def complain(place, what):
    """Ends with the file, the line and what is wrong with it."""
    sys.exit(f"{place}: {what}")


def read_line(place, line, columns):
    """Checks a line's words, and their places: a word that is too wide moves all that follow."""
    words = line.split()
    if len(words) != len(columns):
        complain(place, f"{len(words)} columns, not {len(columns)}: {line}")
    moved = 0
    for number, (word, (start, end, check)) in enumerate(zip(words, columns), 1):
        try:
            is_good = check(word)
        except ValueError:
            is_good = False
        if not is_good:
            complain(place, f"column {number} is {word!r}: {line}")
        wider = max(0, len(word) - (end - start))
        start, end = start + moved, end + moved + wider
        if line[start:end].strip() != word:
            complain(place, f"column {number} is not from {start} to {end}: {line}")
        moved += wider
    if len(line) != columns[-1][1] + moved:
        complain(place, f"something stands behind the columns: {line}")


def read_log(path, columns):
    """Checks a file; its lines and its banners."""
    lines = path.read_text().splitlines()
    counted = banners = at = 0
    while at < len(lines):
        place, line = f"{path}:{at + 1}", lines[at]
        if line.startswith("="):
            rule = "=" * columns[-1][1]
            if len(lines) < at + 3 or lines[at + 2] != line:
                complain(place, "a banner is a line between two rules")
            title = lines[at + 1]
            if line != rule or len(title) != len(rule) or not title.startswith("   Date (UTC) Time "):
                complain(place, "a banner is as wide as the columns")
            banners += 1
            at += 3
            continue
        read_line(place, line, columns)
        counted += 1
        at += 1
    return counted, banners


def main():
    """Reads all logs in the folder."""
    for name, columns in LOGS.items():
        path = Path(sys.argv[1]) / f"{name}.log"
        if path.exists():
            print(name, *read_log(path, columns))


main()
