"""dns-01: TXT records set by a webhook, or by updates to a real name server."""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from gateway import PROGRAMS as BINARIES
from gateway import eventually
from hosts import host, nothing_is_left, rows, shown

TOKEN = "secret-of-the-webhook"
# The key that dns_server.py accepts.
TSIG_SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0zMg=="
PROGRAMS = pathlib.Path(__file__).parent.parent / "Programs"


class Webhook:
    """A webhook like one for a DNS provider: it sets the records of Pebble's DNS."""

    def __init__(self):
        self.calls = []
        self.status = 200
        self.names = None
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.calls.append((self.headers["Authorization"], call))
                if hook.status == 200:
                    action = "set-txt" if call["action"] == "present" else "clear-txt"
                    hook.names.tell(action, {"host": call["name"] + ".", "value": call["value"]})
                self.send_response(hook.status)
                self.end_headers()
                self.wfile.write(b"no such zone" if hook.status != 200 else b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/dns"


@pytest.fixture
def webhook():
    hook = Webhook()
    yield hook
    hook.server.shutdown()


def by_webhook(site, webhook, hosts, **dns):
    settings = {"provider": "webhook", "url": webhook.url, "token": {"file": "token"}, **dns}
    gateway, ca = site(hosts, issuer={"challenge": "dns-01", "dns": settings})
    settings.setdefault("resolvers", [f"127.0.0.1:{ca.names.port}"])
    gateway.config["issuers"]["letsencrypt"]["dns"] = settings
    (gateway.folder / "token").write_text(TOKEN + "\n")
    webhook.names = ca.names
    return gateway, ca


def test_a_wildcard_is_obtained_through_a_webhook(site, webhook):
    gateway, ca = by_webhook(site, webhook, [host("*.app.test", aliases=["app.test"])])
    gateway.apply()
    gateway.start()
    assert shown(gateway, ca, "any.app.test") == "*.app.test"
    assert shown(gateway, ca, "app.test") == "*.app.test"
    assert nothing_is_left(gateway)
    actions = [(call["action"], call["name"]) for _, call in webhook.calls]
    assert actions.count(("present", "_acme-challenge.app.test")) == 2
    assert actions.count(("cleanup", "_acme-challenge.app.test")) == 2
    assert {authorization for authorization, _ in webhook.calls} == {f"Bearer {TOKEN}"}


def test_a_refusing_webhook_is_quoted_without_its_token(site, webhook):
    gateway, ca = by_webhook(site, webhook, [host("app.test")])
    webhook.status = 403
    said = gateway.apply(expect=3, everything=True)
    assert "403" in said and "no such zone" in said
    assert TOKEN not in said
    content = b"".join(path.read_bytes() for path in gateway.folder.glob("state.db*"))
    assert TOKEN.encode() not in content
    # The order stays, and the next try completes it.
    assert rows(gateway, "SELECT certificate FROM orders") == [("app.test",)]
    webhook.status = 200
    gateway.apply()
    assert nothing_is_left(gateway)
    assert ca.log.count("Added order") == 1


def test_a_secret_in_the_file_serves_renewals_too(site, webhook):
    gateway, ca = by_webhook(site, webhook, [host("*.app.test")], token=TOKEN)
    gateway.apply()
    content = b"".join(path.read_bytes() for path in gateway.folder.glob("state.db*"))
    assert TOKEN.encode() not in content
    # A renewal with the state only, without the file.
    (gateway.folder / "aegis.yaml").unlink()
    done = subprocess.run(
        [BINARIES / "aegis-apply", "renew", "--state", "state.db", "--all", "--force"], cwd=gateway.folder,
        capture_output=True, text=True, timeout=60, env={**os.environ, "AEGIS_SSL_KEY": "5a" * 32})
    assert done.returncode == 0, done.stderr
    assert len(ca.issued) == 2
    assert {authorization for authorization, _ in webhook.calls} == {f"Bearer {TOKEN}"}


@pytest.fixture
def name_server():
    """A name server that accepts updates; see dns_server.py."""
    with subprocess.Popen([sys.executable, PROGRAMS / "dns_server.py"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline().split()[0])
        process.stdin.close()


def test_a_name_server_accepts_signed_updates(site, name_server):
    settings = {
        "provider": "rfc2136", "server": f"127.0.0.1:{name_server}", "zone": "signed.test",
        "tsig": {"name": "hmac-sha256", "algorithm": "hmac-sha256", "secret": {"file": "tsig"}},
        "resolvers": [f"127.0.0.1:{name_server}"],
    }
    gateway, ca = site(
        [host("app.signed.test", aliases=["*.app.signed.test"])], issuer={"challenge": "dns-01", "dns": settings},
        ca={"resolver": name_server})
    (gateway.folder / "tsig").write_text(TSIG_SECRET)
    gateway.apply()
    gateway.start()
    assert shown(gateway, ca, "app.signed.test") == "app.signed.test"
    assert shown(gateway, ca, "any.app.signed.test") == "app.signed.test"
    eventually("the end of the order", lambda: nothing_is_left(gateway))
