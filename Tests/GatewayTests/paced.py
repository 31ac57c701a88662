"""An honest client, in a process of its own so that nothing but the gateway and the machine holds it up.

paced.py PORT HOST: asks again and again on one connection; a line with the milliseconds of each answer goes out."""

import sys
import time

from client import Client


def main(port, host):
    with Client(int(port)) as client:
        while True:
            started = time.monotonic()
            assert client.get(host).body == b"ok"
            print(f"{(time.monotonic() - started) * 1000:.3f}", flush=True)
            time.sleep(0.001)  # its own pace


main(*sys.argv[1:])
