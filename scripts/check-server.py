#!/usr/bin/env python3
"""Ask one NTP server for the time, as a Python client does.

Prints `HOST NTP Active TIME` (UTC) and exits with 0, or `HOST NTP Deactivated` and exits with 1.
Needs ntplib. Leaves nothing behind.
"""

import argparse
import datetime
import sys

MISSING = 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ip", required=True, metavar="HOST", help="address or name of the server")
    parser.add_argument("--port", type=int, default=123, help="UDP port (default: %(default)s)")
    parser.add_argument(
        "--version",
        type=int,
        default=4,
        choices=(2, 3, 4),
        help="NTP version of the request (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=5.0,
        metavar="S",
        help="seconds to wait for the reply (default: %(default)s)",
    )
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    try:
        import ntplib
    except ImportError:
        print(
            "check-server.py: the Python module ntplib is missing; install it with\n"
            "    python3 -m venv ntp && ntp/bin/pip install ntplib\n"
            "and run this script with ntp/bin/python3",
            file=sys.stderr,
        )
        return MISSING
    try:
        reply = ntplib.NTPClient().request(
            asked.ip, version=asked.version, port=asked.port, timeout=asked.timeout
        )
    except (ntplib.NTPException, OSError) as error:
        print(f"{asked.ip} NTP Deactivated")
        print(f"check-server.py: {error}", file=sys.stderr)
        return 1
    # A server that says of itself that its clock is not set has no time to give.
    if reply.leap == 3 or reply.stratum == 0:
        print(f"{asked.ip} NTP Deactivated")
        print(f"check-server.py: not synchronised (stratum {reply.stratum})", file=sys.stderr)
        return 1
    time = datetime.datetime.fromtimestamp(reply.tx_time, tz=datetime.timezone.utc)
    print(f"{asked.ip} NTP Active {time.strftime('%Y-%m-%dT%H:%M:%SZ')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
