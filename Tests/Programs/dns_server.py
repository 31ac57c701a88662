"""A real name server, Knot, with zones that accept updates, and proxies that change its answers.

Prints the name server's port and those of the proxies: one that first sends answers nobody asked for, one that removes
signatures, one that spoils signatures, and one that does not answer. Ends when its standard input does.
"""
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0zMg=="
CONFIG = """
server:
    listen: [127.0.0.1@{port}, 127.0.0.2@{port}]
    rundir: "{folder}"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: "{folder}"
key:
  - id: hmac-sha256
    algorithm: hmac-sha256
    secret: {secret}
  - id: hmac-sha384
    algorithm: hmac-sha384
    secret: {secret}
  - id: hmac-sha512
    algorithm: hmac-sha512
    secret: {secret}
  - id: useless
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: signed
    key: [hmac-sha256, hmac-sha384, hmac-sha512]
    action: update
  - id: anybody
    address: 127.0.0.1
    action: update
template:
  - id: default
    storage: "{folder}"
    file: "%s"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: signed.test
    acl: signed
  - domain: open.test
    acl: anybody
"""
ZONE = """
$TTL 60
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns2
@ NS ns1
@ CAA 0 issue "ca.test"
@ CAA 128 IssueWild ";"
ns1 A 127.0.0.1
ns2 A 127.0.0.2
both A 192.0.2.1
both AAAA 2001:db8::1
alias CNAME second
second CNAME both
circle CNAME circle
text TXT "one " "and two" "\\195\\164"
text TXT "other"
"""


def ask(port, message):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(5)
        server.connect(("127.0.0.1", port))
        server.send(message)
        return server.recv(65535)


def question_end(message):
    position = 12
    while message[position]:
        position += 1 + message[position]
    return position + 5


def noisy(message, answer):
    other_id = bytes([message[0] ^ 1]) + answer[1:]
    other_question = answer[:13] + bytes([answer[13] ^ 1]) + answer[14:]
    return [b"", b"short", message, other_id, other_question, answer[:-1], answer]


def unsigned(message, answer):
    return [answer[:10] + b"\0\0" + answer[12:question_end(answer)]]


def spoiled(message, answer):
    # The last byte of the authentication code, which six bytes of other fields follow.
    return [answer[:-7] + bytes([answer[-7] ^ 1]) + answer[-6:]]


def meddle(port, change):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def run():
        while True:
            message, client = server.recvfrom(65535)
            for datagram in change(message, ask(port, message)) if change else []:
                server.sendto(datagram, client)

    threading.Thread(target=run, daemon=True).start()
    return server.getsockname()[1]


def start(folder):
    """Starts Knot at a port that was free a moment ago; if another process has taken that port, at the next one."""
    for zone in ["signed.test", "open.test"]:
        Path(folder, zone).write_text(ZONE)
    for _ in range(10):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        Path(folder, "knot.conf").write_text(CONFIG.format(port=port, folder=folder, secret=SECRET))
        # Knot ends with this program, even if the program is killed.
        knot = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "/usr/sbin/knotd", "-c", f"{folder}/knot.conf"], stdin=subprocess.DEVNULL)
        query = bytes.fromhex("0001 0000 0001 0000 0000 0000 04 6f70656e 04 74657374 00 0006 0001")
        while knot.poll() is None:
            try:
                answer = ask(port, query)
                # The first bit marks an answer: without it the message would be a question.
                if answer[2] & 0x80 and answer[3] & 15 == 0:
                    return knot, port
            except OSError:
                pass
        sys.stderr.write("knotd did not start\n")
    sys.exit(1)


with tempfile.TemporaryDirectory() as folder:
    knot, port = start(folder)
    print(port, *(meddle(port, change) for change in [noisy, unsigned, spoiled, None]), flush=True)
    sys.stdin.read()
    knot.terminate()
    knot.wait()
