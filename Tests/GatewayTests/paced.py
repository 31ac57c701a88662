"""An honest client in its own process, so that only the gateway and the machine can delay it.

paced.py PORT HOST: sends request after request on one connection, and prints the milliseconds of each answer on a line.
"""

import sys
import time

from client import Client


def main(port, host):
    with Client(int(port)) as client:
        while True:
            started = time.monotonic()
            assert client.get(host).body == b"ok"
            print(f"{(time.monotonic() - started) * 1000:.3f}", flush=True)
            time.sleep(0.001)  # the pace of the client


main(*sys.argv[1:])
