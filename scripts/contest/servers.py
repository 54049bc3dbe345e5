"""How each server is started, asked whether it serves, and ended."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from contest.places import PORT, Command, Place, find

KEY_ID = 1
# No secret: it signs requests to a server that ends with the round.
KEY_LINE = f"{KEY_ID} AES128 HEX:2b7e151628aed2a6abf7158809cf4f3c\n"
START_S = 10.0
END_S = 10.0


@dataclass(frozen=True)
class Server:
    """A kind of server. `command` writes its configuration into a folder and says how to start it."""

    name: str
    signs: bool
    program: str | None
    missing: str
    command: Callable[[str, Place, Path], Command]

    def told_version(self) -> str:
        """The first line of what it says of itself."""
        done = subprocess.run(
            [str(self.program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = (done.stdout or done.stderr).splitlines()
        return lines[0].split(" (+")[0] if lines else self.name


def known(maser: Path, tools: Path) -> list[Server]:
    """All of them, whether they are here or not."""
    ours = str(maser)
    return [
        Server("null", False, ours, "", _null),
        Server("maser", True, ours, "", _maser),
        Server("chronyd", True, find("chronyd"), "it is not installed", _chronyd),
        Server(
            "ntpd-rs",
            False,
            find("ntp-daemon", tools / "bin"),
            "ntp-daemon is not installed (cargo install --locked --root target/tools ntpd)",
            _ntpd_rs,
        ),
    ]


def _null(program: str, place: Place, _folder: Path) -> Command:
    # It spins, and swaps fields: what the harness, the kernel and the cores carry.
    return [program, "bench", "--null", "--listen", place.socket(place.bind)]


def _chrony_lines(place: Place, folder: Path) -> list[str]:
    keys = folder / "keys"
    keys.touch(mode=0o600)
    keys.write_text(KEY_LINE)
    return [
        f"port {PORT}",
        f"bindaddress {place.bind}",
        f"allow {place.allow}",
        "local stratum 1",
        f"keyfile {keys}",
        f"pidfile {folder / 'pid'}",
        "cmdport 0",
        "bindcmdaddress /",
    ]


def _maser(program: str, place: Place, folder: Path) -> Command:
    cpus = ",".join(map(str, place.node_cpus))
    lines = [*_chrony_lines(place, folder), f"workers {len(place.node_cpus)}", f"cpus {cpus}"]
    return [program, "serve", f"-{place.family}", "-f", _written(folder, lines)]


def _chronyd(program: str, place: Place, folder: Path) -> Command:
    # -x: it leaves the clock alone. -U: it need not be root. No -u: it stays who it is.
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    lines = _chrony_lines(place, folder)
    return [
        program,
        f"-{place.family}",
        "-x",
        "-d",
        "-U",
        "-u",
        user,
        "-f",
        _written(folder, lines),
    ]


def _ntpd_rs(program: str, place: Place, folder: Path) -> Command:
    # Without sources it only reads the clock's state; stratum 1 is what makes it say that it has the time.
    # Its rate limit is off and its list of clients open by default.
    lines = [
        "[synchronization]",
        "local-stratum = 1",
        "[[server]]",
        f'listen = "{place.socket(place.bind)}"',
        "[observability]",
        'log-level = "warn"',
    ]
    return [program, "--config", _written(folder, lines)]


def _written(folder: Path, lines: list[str]) -> str:
    file = folder / "conf"
    file.write_text("\n".join([*lines, ""]))
    return str(file)


@contextlib.contextmanager
def running(server: Server, place: Place, folder: Path, ask: Callable[[], str]) -> Iterator[int]:
    """Starts a server, waits until it serves, gives its process, and ends it by that.

    `ask` gives the JSON line of a few requests: there must be replies, and all of them right.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = place.on_node(server.command(str(server.program), place, folder))
    log = folder / "log"
    with log.open("w") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        _wait_until_it_serves(process, ask, log)
        yield process.pid
        if process.poll() is not None:
            raise OSError(f"{server.name} ended ({process.returncode}):\n{log.read_text()}")
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_serves(
    process: subprocess.Popen[bytes], ask: Callable[[], str], log: Path
) -> None:
    deadline = time.monotonic() + START_S
    while True:
        told = ask()
        counts = json.loads(told)["counts"] if told else {}
        if counts.get("good") and counts["good"] == counts["sent"]:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            shown = {name: count for name, count in counts.items() if count}
            raise OSError(f"it does not serve: {shown or 'no figures'}\n{log.read_text()}")
        time.sleep(0.05)
