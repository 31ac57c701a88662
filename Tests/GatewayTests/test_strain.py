"""Everything at once: load, reloads, upgrades of the program, failing upstreams, clients that break off or are slow.

The test looks for what sanitizers report, so nothing in it checks how fast the gateway is.
"""

import ctypes
import os
import re
import signal
import socket
import subprocess
import threading

from client import Client, tls_context
from gateway import PATIENCE, eventually, free_port

# prctl(2): successors, whose parents have ended, become children of this process, which gets their exit codes.
PR_SET_CHILD_SUBREAPER = 36


class Strain:
    """Activities that run until they are stopped, each in a thread. Errors of their sockets are expected and
    ignored."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.ending = threading.Event()
        self.rounds = {}
        self.threads = []

    def go_on(self, deed):
        def loop():
            while not self.ending.is_set():
                try:
                    deed(self.gateway)
                except OSError:
                    pass
                self.rounds[deed.__name__] += 1

        self.rounds[deed.__name__] = 0
        self.threads.append(threading.Thread(target=loop))
        self.threads[-1].start()

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def break_off(gateway):
    for port, data in [
        (gateway.http, b"GET / HTTP/1.1\r\nHost: app.te"),
        (gateway.http, b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 9\r\n\r\nabc"),
        (gateway.http, b"GET /large HTTP/1.1\r\nHost: app.test\r\n\r\n"),
        (gateway.http, b"GET / HTTP/1.1\r\nHost: gone.test\r\n\r\n"),
        (gateway.http, b"GET /reset HTTP/1.1\r\nHost: app.test\r\n\r\n"),
        (gateway.http, b"GET / HTTP/9.9\r\n\r\n"),
        (gateway.https, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ]:
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        connection.sendall(data)
        connection.settimeout(0.01)
        try:
            connection.recv(100)
        except TimeoutError:
            pass
        reset(connection)


def dawdle(gateway):
    with Client(gateway.https, tls_context(), "app.test") as client:
        for byte in b"POST /slow HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n":
            client.send(bytes([byte]))
        client.response()


def look_on(gateway):
    gateway.ask("/metrics")


def change(gateway):
    hosts = gateway.config["hosts"]
    if len(hosts) > 8:
        del hosts[4:]
    number = len(hosts)
    hosts.append({"domain": f"more{number}.test", "upstreams": hosts[0]["upstreams"], "ssl_mode": "custom",
                  "certificate": "own"})
    gateway.config["certificates"]["own"]["domains"] = [host["domain"] for host in hosts]
    gateway.apply()
    os.kill(gateway.process.pid, signal.SIGHUP)


def load(gateway, seconds):
    """Load by other programs: connections that stay open, over TLS and without, and a new one for each request."""
    at = f"127.0.0.1:{gateway.http}"
    tls = f"127.0.0.1:{gateway.https}"
    return [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in [
            ["wrk", "-t1", "-c8", f"-d{seconds}s", "-H", "Host: app.test", f"http://{at}/"],
            ["wrk", "-t1", "-c4", f"-d{seconds}s", "-H", "Host: fixed.test", "-H", "Connection: close", f"http://{at}/"],
            ["h2load", "--h1", "-t1", "-c4", f"-D{seconds}", "--connect-to", tls, "https://fixed.test/"],
            ["h2load", "--h1", "-t1", "-c4", f"-D{seconds}", "--connect-to", tls, "https://app.test/large"],
        ]
    ]


def test_a_gateway_under_strain_ends_well(run, origin):
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    origin.answers["/reset"] = lambda connection, _: connection.reset()
    origin.answers["/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    gateway = run(
        [
            {"domain": "app.test", "upstreams": [origin.url], "ssl_mode": "custom", "certificate": "own"},
            {"domain": "fixed.test", "respond": {"body": "here"}},
            {"domain": "gone.test", "upstreams": [f"http://127.0.0.1:{free_port()}", f"http://localhost:{free_port()}"]},
            {"domain": "checked.test", "upstreams": [origin.url.replace("127.0.0.1", "localhost")],
             "health_check": {"path": "/health", "interval": "1s"}},
        ],
        gateway={"access_log": {"to": "access.log"}},
        issuers={"lan": {"type": "local_ca"}},
        certificates={"own": {"issuer": "lan", "domains": ["app.test"]}})
    seconds = int(os.environ.get("AEGIS_STRAIN_SECONDS", "8"))
    strain = Strain(gateway)
    tools = load(gateway, seconds)
    for deed in [break_off, dawdle, look_on, change]:
        strain.go_on(deed)
    try:
        eventually("every strain on the first process", lambda: min(strain.rounds.values()) >= 2)
        first = gateway.process
        first.send_signal(signal.SIGUSR2)
        line = gateway.await_log("started a successor")
        successor = int(re.search(r"process=(\d+)", line)[1])
        assert first.wait(PATIENCE * 3) == 0, gateway.log
        outputs = [tool.communicate(timeout=PATIENCE * 3)[0] for tool in tools]
    finally:
        strain.end()
        for tool in tools:
            tool.kill()
    # The fixture stops only gateways that it has started, and the successor is not one of them.
    gateway.process = None
    os.kill(successor, signal.SIGTERM)
    _, status = os.waitpid(successor, 0)
    assert os.waitstatus_to_exitcode(status) == 0, gateway.log
    print(strain.rounds, *outputs, sep="\n")
    assert all(count > 0 for count in strain.rounds.values()), strain.rounds
    for output in outputs:
        # wrk and h2load use different words for the number of answered requests.
        answered = re.search(r"(\d+) requests in|(\d+) succeeded", output)
        assert answered and int(answered[1] or answered[2]) > 0, output
