"""The life of a host from start to end: at each step plan, status and served certificates agree."""

import hashlib
import json
import signal

import pytest

from client import Client, tls_context
from gateway import Gateway, eventually
from hosts import aegis_apply, host, nothing_is_left, rows, shown
from pebble import Pebble
from reporting import parts
from test_apply import aegis

OTHER = {"domain": "other.test", "respond": {"body": "other"}}


class Life:
    """A running gateway, and what is expected of it."""

    def __init__(self, gateway, cas):
        self.gateway, self.cas = gateway, cas

    def step(self, planned, served, problems=None, gone=(), kept=()):
        """Plans and applies what the file says now.

        `planned`: the changes in words; `served`: the CA of each host's certificate, None for a fallback; `gone`: names that
        nobody answers to.
        """
        assert self.plan() == planned
        self.gateway.reload()
        self.agrees(served, problems, gone, kept)

    def plan(self):
        (self.gateway.folder / "aegis.yaml").write_text(json.dumps(self.gateway.config))
        changes = json.loads(aegis_apply(self.gateway, "--dry-run", "--format", "json"))["changes"]
        return [f"{change['action']} {change['kind']} {change['name']}" for change in changes]

    def status(self):
        done = aegis(self.gateway, "status", "--check", "--format", "json")
        return done.returncode, json.loads(done.stdout)

    def agrees(self, served, problems=None, gone=(), kept=(), planned=()):
        """Checks that a plan has exactly the changes in `planned`, and that status and clients agree."""
        problems = problems or {}
        assert self.plan() == list(planned)
        code, status = self.status()
        assert code == (3 if problems else 0)
        assert status["has_problem"] == bool(problems)
        hosts = {entry["host"]: entry for entry in status["hosts"]}
        enabled = {name for name, entry in hosts.items() if entry["enabled"]}
        assert enabled == set(served)
        assert {name for name, entry in hosts.items() if entry["note"]} == hosts.keys() - enabled
        told = {name: entry["problem"] for name, entry in hosts.items() if entry["problem"]}
        assert told.keys() == problems.keys()
        assert all(told[name].startswith(problem) for name, problem in problems.items())
        assert [entry["certificate"] for entry in status["kept_certificates"]] == list(kept)
        assert status["failing"] == []
        for name, ca in served.items():
            status, body, leaf = self.visit(name)
            assert (status, body) == (200, name)
            certificate = hosts[name]["certificate"]
            assert (certificate is None) == (ca is None)
            if ca is not None:
                assert [(leaf,)] == rows(
                    self.gateway, "SELECT fingerprint FROM certificates WHERE name = ?", certificate)
                assert shown(self.gateway, ca, name) == name
        for name in gone:
            status, _, leaf = self.visit(name)
            assert status in (404, 421)
            assert (leaf,) not in rows(self.gateway, "SELECT fingerprint FROM certificates")
            assert (leaf,) not in rows(self.gateway, "SELECT fingerprint FROM kept_certificates")
        assert nothing_is_left(self.gateway)

    def visit(self, name):
        with Client(self.gateway.https, tls_context(), name) as client:
            leaf = hashlib.sha256(client.socket.getpeercert(True)).hexdigest()
            response = client.get(name)
            return response.status, response.body.decode(), leaf

    @property
    def issued(self):
        return [len(ca.issued) for ca in self.cas]


@pytest.fixture
def life(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [{**OTHER, "respond": {"body": "other.test"}}])
    cas = [Pebble(tmp_path / name, gateway.http, gateway.https) for name in ("one", "two")]
    gateway.config["issuers"] = {"letsencrypt": cas[0].issuer, "second": cas[1].issuer, "lan": {"type": "local_ca"}}
    made = [gateway, *cas]
    parts.extend(made)
    gateway.apply()
    gateway.start()
    yield Life(gateway, cas)
    for part in made:
        parts.remove(part)
        part.stop()


def test_a_host_with_a_ca_certificate_through_all_changes(life):
    gateway, (one, two) = life.gateway, life.cas
    hosts = gateway.config["hosts"]
    # The host is added.
    hosts.append(host("app.test"))
    life.step(
        ["issue certificate app.test", "create host app.test"], {"other.test": None, "app.test": one},
        gone=["new.test"])
    # The host is renamed.
    hosts[1] = host("new.test")
    life.step(
        ["issue certificate new.test", "create host new.test", "delete host app.test", "delete certificate app.test"],
        {"other.test": None, "new.test": one}, gone=["app.test"], kept=["app.test"])
    # The host is disabled: its certificate stays in the state, and the host is not served.
    hosts[1]["enabled"] = False
    life.step(["update host new.test"], {"other.test": None}, kept=["app.test"])
    assert life.visit("new.test")[0] in (404, 421)
    hosts[1]["enabled"] = True
    life.step(["update host new.test"], {"other.test": None, "new.test": one}, kept=["app.test"])
    # The host is removed, and brought back.
    leaf = life.visit("new.test")[2]
    kept = hosts.pop()
    life.step(
        ["delete host new.test", "delete certificate new.test"], {"other.test": None}, gone=["new.test"],
        kept=["app.test", "new.test"])
    hosts.append(kept)
    life.step(
        ["create certificate new.test", "create host new.test"], {"other.test": None, "new.test": one},
        kept=["app.test"])
    assert life.visit("new.test")[2] == leaf
    assert life.issued == [2, 0]
    # The host moves to another issuer. The former certificate is kept for the way back.
    hosts[1]["issuer"] = "second"
    former = f"new.test@{leaf[:8]}"
    life.step(
        ["issue certificate new.test", "update host new.test"], {"other.test": None, "new.test": two},
        kept=["app.test", former])
    # The host is brought back under its first name, with the certificate that was kept since then.
    hosts.append(host("app.test"))
    life.step(
        ["create certificate app.test", "create host app.test"],
        {"other.test": None, "new.test": two, "app.test": one}, kept=[former])
    assert life.issued == [2, 1]
    # The certificate is revoked while the gateway is stopped, since the gateway would replace it at once.
    revoked = life.visit("new.test")[2]
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        done = aegis(gateway, "certificates", "revoke", "new.test", "--reason", "key-compromise")
        assert done.returncode == 0, done.stderr
        code, status = life.status()
        problems = [entry["problem"] for entry in status["hosts"] if entry["problem"]]
        assert code == 3
        assert len(problems) == 1 and problems[0].startswith("its certificate was revoked on 20")
        assert life.plan() == ["issue certificate new.test"]
    finally:
        gateway.process.send_signal(signal.SIGCONT)
    gateway.reload()
    eventually("another one", lambda: life.visit("new.test")[2] != revoked)
    life.agrees({"other.test": None, "new.test": two, "app.test": one}, kept=[former])
    # The host moves back to its former certificate, and nothing is ordered.
    del hosts[1]["issuer"]
    issued = life.issued
    life.step(
        ["update certificate new.test", "update host new.test"],
        {"other.test": None, "new.test": one, "app.test": one}, kept=[f"new.test@{life.visit('new.test')[2][:8]}"])
    assert life.visit("new.test")[2] == leaf and life.issued == issued


def test_a_host_with_a_local_ca_certificate_through_all_changes(life):
    """The same changes with a named certificate of the local CA. Such a certificate is not kept, since making it costs
    nothing."""
    gateway = life.gateway
    hosts = gateway.config["hosts"]
    gateway.config["certificates"] = {"site": {"issuer": "lan", "domains": ["app.test", "new.test"]}}
    local = {"domain": "app.test", "respond": {"body": "app.test"}, "ssl_mode": "custom", "certificate": "site"}
    lan = Local(gateway)
    hosts.append(local)
    life.step(["issue certificate site", "create host app.test"], {"other.test": None, "app.test": lan})
    hosts[1] = {**local, "domain": "new.test", "respond": {"body": "new.test"}}
    life.step(["create host new.test", "delete host app.test"], {"other.test": None, "new.test": lan})
    hosts[1]["enabled"] = False
    life.step(["update host new.test"], {"other.test": None})
    hosts[1]["enabled"] = True
    life.step(["update host new.test"], {"other.test": None, "new.test": lan})
    site = gateway.config["certificates"].pop("site")
    own = hosts.pop()
    life.step(["delete host new.test", "delete certificate site"], {"other.test": None}, gone=["new.test"])
    gateway.config["certificates"]["site"] = site
    hosts.append(own)
    life.step(["issue certificate site", "create host new.test"], {"other.test": None, "new.test": lan})
    # The host moves to another CA, with a certificate of its own.
    hosts[1] = host("new.test")
    del gateway.config["certificates"]["site"]
    life.step(
        ["issue certificate new.test", "update host new.test", "delete certificate site"],
        {"other.test": None, "new.test": life.cas[0]})
    # The host moves back.
    gateway.config["certificates"]["site"] = site
    hosts[1] = own
    life.step(
        ["issue certificate site", "update host new.test", "delete certificate new.test"],
        {"other.test": None, "new.test": lan}, kept=["new.test"])


class Local:
    """The local CA, with the methods that `shown` needs."""

    def __init__(self, gateway):
        self._gateway = gateway

    def root(self):
        return self._gateway.root
