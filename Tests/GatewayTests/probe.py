"""Measures, in its own process, the time from a certificate's commit to the first handshake that shows it.

probe.py STATE PORT NAME: reads a line with the expected fingerprint, prints a line with the milliseconds.
"""

import sqlite3
import sys
import time

from gateway import eventually
from handshake import served


def main(path, port, name):
    with sqlite3.connect(path) as state:
        for line in sys.stdin:
            expected = line.strip()
            eventually("the commit", lambda: state.execute(
                "SELECT 1 FROM certificates WHERE fingerprint LIKE ?", (f"%{expected}%",)).fetchone(), pause=0.001)
            committed = time.monotonic()
            eventually("a handshake that shows it", lambda: served(int(port), name) == expected, pause=0)
            print((time.monotonic() - committed) * 1000, flush=True)


main(*sys.argv[1:])
