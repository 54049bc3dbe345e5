"""The machine that figures belong to: its name, its clock, its buffers, who else was using it."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What a maser with CAP_NET_ADMIN has: it asks for 8 MiB, and the kernel doubles what is asked.
RAISED_BYTES = 16 << 20
BUFFER_SETTINGS = ("rmem_default", "rmem_max", "wmem_default", "wmem_max")
# Beyond this, what others left over was measured, not the servers.
BUSY_PERCENT = 10
CAP_SYS_TIME = 25  # capability.h
STA_UNSYNC = 0x40  # timex.h: nobody keeps this clock


def describe() -> str:
    """Processor, cores, kernel, and whether the machine is somebody's share of one."""
    info = Path("/proc/cpuinfo").read_text()
    facts = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    processor = facts.get("model name", os.uname().machine)
    shared = ", virtual, shared" if "hypervisor" in facts.get("flags", "").split() else ""
    return f"{processor}, {os.cpu_count()} cores, Linux {os.uname().release}{shared}"


def may_set_clock() -> bool:
    """Whether this process could: root usually, others by a capability."""
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> CAP_SYS_TIME & 1)


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), on a 64-bit machine; the fields before those that are read, and room."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        *[(name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")],
        ("status", ctypes.c_int),
        *[
            (name, ctypes.c_long)
            for name in ("constant", "precision", "tolerance", "sec", "usec", "tick")
        ],
        ("rest", ctypes.c_char * 256),
    ]


@dataclass(frozen=True)
class ClockSettings:
    """What a program sets when it steers the kernel's clock; not what changes by itself."""

    offset: int
    freq: int
    constant: int
    tick: int
    kept: bool

    @classmethod
    def read(cls) -> "ClockSettings":
        """By adjtimex with no mode, which sets nothing."""
        timex = _Timex(modes=0)
        if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
            raise OSError(ctypes.get_errno(), "adjtimex")
        kept = not timex.status & STA_UNSYNC
        return cls(timex.offset, timex.freq, timex.constant, timex.tick, kept)


def clock_verdict(before: ClockSettings, after: ClockSettings) -> tuple[bool, str]:
    """Whether the servers have left the clock alone, and the sentence that says so."""
    told = f"freq {after.freq / 65536:+.3f} ppm, tick {after.tick}, offset {after.offset}"
    if before == after:
        return True, f"the kernel's clock is as it was: {told}"
    changed = f"the kernel's clock was {before}, is {after}"
    if before.kept:
        return (
            True,
            f"{changed}; a time daemon of this machine keeps it, the servers had no right to",
        )
    return False, f"{changed}: SOMETHING HAS SET IT"


@contextlib.contextmanager
def buffers(raised: bool) -> Iterator[str]:
    """Kernel socket buffers for all servers alike; says which. They are the machine's, in no namespace."""
    files = {name: Path("/proc/sys/net/core") / name for name in BUFFER_SETTINGS}
    before = {name: int(file.read_text()) for name, file in files.items()}
    if not raised:
        yield f"as each server asks for; the kernel's default is {before['rmem_default'] >> 10} KiB"
        return
    try:
        for file in files.values():
            file.write_text(str(RAISED_BYTES))
        yield f"{RAISED_BYTES >> 20} MiB by default, for all"
    finally:
        for name, file in files.items():
            file.write_text(str(before[name]))


@dataclass(frozen=True)
class Spent:
    """Seconds of all processors since the machine's start: used, of that ours, the host's, all."""

    used: float
    ours: float
    stolen: float
    whole: float

    @classmethod
    def so_far(cls) -> "Spent":
        """From /proc/stat (proc(5)) and the children that have ended."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        seconds = [tick / os.sysconf("SC_CLK_TCK") for tick in ticks]
        _user, _nice, _system, idle, iowait, _irq, _softirq, steal = seconds
        own = os.times()
        return cls(
            used=sum(seconds) - idle - iowait - steal,
            ours=own.user + own.system + own.children_user + own.children_system,
            stolen=steal,
            whole=sum(seconds),
        )

    def since(self, before: "Spent") -> str:
        """Whether the figures are worth anything. The kernel's own threads are among the others."""
        whole = self.whole - before.whole or 1.0
        others = self.used - before.used - (self.ours - before.ours)
        stolen = self.stolen - before.stolen
        others, stolen = (max(0.0, seconds * 100 / whole) for seconds in (others, stolen))
        told = f"others took {others:.1f} % of the processors meanwhile, the host {stolen:.1f} %"
        return told if others + stolen <= BUSY_PERCENT else f"{told}: TOO MUCH FOR ANY FIGURE HERE"
