"""Where a server and the harness run: on loopback, or in two network namespaces of their own."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from pathlib import Path

Command = list[str]

# The servers', one after the other; no right is needed for it, and maser's own default is another.
PORT = 21123

# Where Debian keeps root's programs, which another user's path lacks.
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find(program: str, *folders: Path | str) -> str | None:
    """A program in these folders, on the path, or where root's are."""
    path = [*map(str, folders), os.environ.get("PATH", ""), *SBIN]
    return shutil.which(program, path=os.pathsep.join(path))


def run(command: Command) -> str:
    """Runs a program that must succeed; what it said."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Unavailable(Exception):
    """A place that cannot be had here, and why."""


@dataclass(frozen=True)
class Place:
    """Two sides: the node's, where a server runs, and the load's, where the harness does."""

    target: str
    # What a server binds: no one else must reach it.
    bind: str
    # What a server lets ask it.
    allow: str
    sources: str
    node_cpus: list[int]
    load_cpus: list[int]
    what: str
    node_prefix: Command = field(default_factory=list)
    load_prefix: Command = field(default_factory=list)
    # Arguments of `maser bench` that belong to the place.
    bench: Command = field(default_factory=list)

    @property
    def family(self) -> str:
        """4 or 6, as chronyd's and maser's option."""
        return "6" if ":" in self.target else "4"

    def socket(self, address: str) -> str:
        """An address of this place with the servers' port."""
        return f"[{address}]:{PORT}" if self.family == "6" else f"{address}:{PORT}"

    def on_node(self, command: Command) -> Command:
        """A server: on its cores, and without the right to set the clock, whatever it tries."""
        return [*self.node_prefix, *_pinned(self.node_cpus), *_clock_out_of_reach(), *command]

    def on_load(self, command: Command) -> Command:
        """The harness, on its cores."""
        return [*self.load_prefix, *_pinned(self.load_cpus), *command]

    def receive_buffer(self) -> int | None:
        """Bytes that the kernel keeps for the server's socket, by ss(8); `None` where it does not tell."""
        ss = find("ss")
        if ss is None:
            return None
        told = run([*self.node_prefix, ss, "-H", "-u", "-l", "-n", "-m", f"sport = :{PORT}"])
        found = re.search(r"\brb(\d+)", told)
        return int(found[1]) if found else None


def _pinned(cpus: list[int]) -> Command:
    return ["taskset", "--cpu-list", ",".join(map(str, cpus))]


def _clock_out_of_reach() -> Command:
    """Also for root: no program started so can get CAP_SYS_TIME back."""
    bounds = ["--bounding-set", "-sys_time", "--inh-caps", "-sys_time"]
    return ["setpriv", "--no-new-privs", *(bounds if os.geteuid() == 0 else [])]


@contextlib.contextmanager
def loopback(node_cpus: list[int], load_cpus: list[int]) -> Iterator[Place]:
    """This machine's own loopback: no right is needed, and nobody else is asked or answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Servers may share a port; one that does not share tells whether it is free.
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError as error:
            raise Unavailable(f"port {PORT} is taken") from error
    yield Place(
        target="127.0.0.1",
        bind="127.0.0.1",
        allow="127.0.0.0/8",
        sources="127.8.0.0/16",
        node_cpus=node_cpus,
        load_cpus=load_cpus,
        what="loopback",
    )


@dataclass(frozen=True)
class Addresses:
    """Of the link, and the network the harness's clients are of."""

    load: str
    node: str
    link_bits: int
    sources: str
    any: str


IPV4 = Addresses("10.76.0.1", "10.76.0.2", 30, "10.77.0.0/16", "0.0.0.0")
IPV6 = Addresses("fd76::1", "fd76::2", 64, "fd77::/64", "::")
NODE_LINK, LOAD_LINK = "node0", "load0"


@contextlib.contextmanager
def namespaces(
    node_cpus: list[int], load_cpus: list[int], ipv6: bool, raw: bool, receive: str
) -> Iterator[Place]:
    """Two namespaces and a veth pair between them, gone at the end. It takes root.

    The node's end receives on the node's cores: by receive steering (`rps`), where each request may cost an
    interrupt from core to core, or in a thread of the kernel's that has those cores (`thread`). Without either a
    veth's receive path runs on the core that sends. So it does at the harness's end with whole frames: the node's
    core does all that a request costs. A harness with sockets receives on its own cores.
    """
    ip = find("ip")
    if ip is None:
        raise Unavailable("ip is not installed")
    addresses = IPV6 if ipv6 else IPV4
    node, load = (f"maser-{side}-{os.getpid()}" for side in ("node", "load"))
    inside = {name: [ip, "netns", "exec", name] for name in (node, load)}
    try:
        try:
            for name in (node, load):
                run([ip, "netns", "add", name])
        except OSError as error:
            raise Unavailable(f"no network namespace can be made: {error}") from error
        run(
            [
                ip,
                "link",
                "add",
                NODE_LINK,
                "netns",
                node,
                "type",
                "veth",
                "peer",
                LOAD_LINK,
                "netns",
                load,
            ]
        )
        _link_up(inside[node], NODE_LINK, f"{addresses.node}/{addresses.link_bits}")
        _link_up(inside[load], LOAD_LINK, f"{addresses.load}/{addresses.link_bits}")
        if receive == "thread":
            _receive_in_thread(inside[node], NODE_LINK, node_cpus)
        else:
            _steer(inside[node], NODE_LINK, node_cpus)
        if not raw:
            _steer(inside[load], LOAD_LINK, load_cpus)
        if not raw:
            # Clients of whole frames are nobody's: what comes for them is the harness's to read alone.
            run([*inside[load], "ip", "route", "add", "local", addresses.sources, "dev", "lo"])
        run([*inside[node], "ip", "route", "add", addresses.sources, "via", addresses.load])
        if ipv6:
            # A packet may leave with an IPv6 address that only a route makes ours.
            run([*inside[load], "sysctl", "--quiet", "--write", "net.ipv6.ip_nonlocal_bind=1"])
        yield Place(
            target=addresses.node,
            bind=addresses.any,
            allow="all",
            sources=addresses.sources,
            node_cpus=node_cpus,
            load_cpus=load_cpus,
            what=f"two network namespaces, a veth pair, IPv{6 if ipv6 else 4}, "
            f"received by {RECEIVE[receive]}{', raw frames' if raw else ''}",
            node_prefix=inside[node],
            load_prefix=inside[load],
            bench=_raw(inside[node], addresses.load) if raw else [],
        )
    finally:
        for name in (node, load):
            # With the namespace goes its end of the pair, and with that the other.
            subprocess.run([ip, "netns", "delete", name], capture_output=True, check=False)


# How the node's end receives, and how that is told.
RECEIVE = {"rps": "steering", "thread": "a thread of the kernel's"}


def _link_up(inside: Command, link: str, address: str) -> None:
    run([*inside, "ip", "link", "set", "lo", "up"])
    run(
        [
            *inside,
            "ip",
            "address",
            "add",
            address,
            "dev",
            link,
            *(["nodad"] if ":" in address else []),
        ]
    )
    run([*inside, "ip", "link", "set", link, "up"])


def _steer(inside: Command, link: str, cpus: list[int]) -> None:
    # The file is of the namespace that /sys was mounted in, which `ip netns exec` does.
    steering = f"/sys/class/net/{link}/queues/rx-0/rps_cpus"
    run([*inside, "sh", "-c", f"echo {cpu_mask(cpus)} > {steering}"])


def _receive_in_thread(inside: Command, link: str, cpus: list[int]) -> None:
    """A veth that merges packets has a queue of its own, which the kernel can empty in a thread."""
    ethtool = find("ethtool")
    if ethtool is None:
        raise Unavailable("ethtool is not installed")
    before = _kernel_threads(link)
    run([*inside, ethtool, "--features", link, "gro", "on"])
    run([*inside, "sh", "-c", f"echo 1 > /sys/class/net/{link}/threaded"])
    for thread in _kernel_threads(link) - before:
        run(["taskset", "--cpu-list", "--pid", ",".join(map(str, cpus)), str(thread)])


def _kernel_threads(link: str) -> set[int]:
    """Those that empty queues of an interface of this name, in any namespace."""
    threads = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text().startswith(f"napi/{link}-"):
                threads.add(int(folder.name))
    return threads


def cpu_mask(cpus: list[int]) -> str:
    """As the kernel writes sets of cores: words of 32, the highest first.

    >>> cpu_mask([0]), cpu_mask([1, 4]), cpu_mask([33])
    ('1', '12', '2,00000000')
    """
    mask, words = sum(1 << cpu for cpu in set(cpus)), []
    while mask >> 32:
        words.append(f"{mask & 0xFFFFFFFF:08x}")
        mask >>= 32
    return ",".join([f"{mask:x}", *reversed(words)])


# The hardware address of the harness's clients: not that of its interface, or the network stack would look
# at each reply too.
CLIENTS_MAC = "02:00:00:00:00:77"


def _raw(inside_node: Command, load_address: str) -> Command:
    """The harness builds its frames itself, so each side must know where they go."""
    neighbour = f"neighbour replace {load_address} lladdr {CLIENTS_MAC} dev {NODE_LINK} nud permanent"
    run([*inside_node, "ip", *neighbour.split()])
    mac = run([*inside_node, "cat", f"/sys/class/net/{NODE_LINK}/address"]).strip()
    return ["--raw", LOAD_LINK, "--dst-mac", mac, "--src-mac", CLIENTS_MAC]
