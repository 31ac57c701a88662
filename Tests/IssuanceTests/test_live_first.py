"""What needs no provider is live before a provider has answered, whether it refuses, is silent or is slow.

A silent or slow provider waits for the test, which lets it go on when the change is served. So no time is asserted; the
measured times are shown with the results.
"""

import re
import signal
import subprocess
import time

import pytest

from gate import Delays, Gate
from gateway import PATIENCE, eventually
from hosts import age, host
from reporting import figures
from test_sick_cas import applying, plain, record, shown_by

PERIOD = 5


@pytest.fixture
def gates():
    made = []

    def make(port=None):
        made.append(Gate(port))
        return made[-1]

    yield make
    for gate in made:
        gate.stop()


def through(gate, url):
    """The URL of a provider, at the gate's port."""
    return re.sub(r"^(https://[^:/]+):\d+", rf"\1:{gate.port}", url)


def port(url):
    return int(re.match(r"https://[^:/]+:(\d+)", url)[1])


# MARK: What waits for a provider. Each returns the gateway, the gate, and the options of the apply.


def new_certificates(make):
    """13 hosts are new that need certificates of an ACME CA."""
    gateway, ca = make.odd()
    gate = make.gate(port(ca.issuer["directory"]))
    issuer = {**ca.issuer, "directory": through(gate, ca.issuer["directory"])}
    gateway.config["issuers"]["letsencrypt"] = issuer
    gateway.config["hosts"] = []
    yield gateway, gate
    gateway.config["hosts"] += [host(f"new{number}.test") for number in range(13)]
    yield ()


def due_certificate(make):
    """A certificate of an ACME CA is due."""
    gateway, ca = make.odd()
    gate = make.gate(port(ca.issuer["directory"]))
    gateway.config["issuers"]["letsencrypt"] = {**ca.issuer, "directory": through(gate, ca.issuer["directory"])}
    yield gateway, gate
    age(gateway, "app.test")
    yield ()


def origin_certificate(make):
    """A certificate of Cloudflare's Origin CA is new."""
    gateway, gate = behind_gate(make)
    certificates = gateway.config.pop("certificates")
    site = gateway.config["hosts"].pop(0)
    yield gateway, gate
    gateway.config.update(certificates=certificates)
    gateway.config["hosts"].append(site)
    yield ()


def edge_certificate(make):
    """A pack of Cloudflare's edge is new."""
    gateway = make.edge_site()
    gate = make.gate(port(make.cloudflare.base_url))
    [edge] = packs = gateway.config.pop("edge_certificates")
    edge["base_url"] = through(gate, edge["base_url"])
    yield gateway, gate
    gateway.config["edge_certificates"] = packs
    yield ()


def refresh(make):
    """Cloudflare is asked whether it still has its certificate."""
    yield behind_gate(make)
    yield ("--refresh",)


def revocation(make):
    """A certificate that the file no longer has is revoked."""
    gateway, gate = behind_gate(make, on_removal="revoke")
    yield gateway, gate
    del gateway.config["certificates"]
    gateway.config["hosts"] = [one for one in gateway.config["hosts"] if one["domain"] != "app.example.test"]
    yield ()


def vault_certificate(make):
    """A certificate of a Vault is new."""
    gateway, _ = make.odd()
    gate = make.gate()
    gateway.config["hosts"] = []
    (gateway.folder / "token").write_text("a-token\n")
    gateway.config["vaults"] = {"main": {
        "address": f"https://127.0.0.1:{gate.port}", "auth": {"method": "token", "token": {"file": "token"}}}}
    yield gateway, gate
    gateway.config["issuers"]["internal"] = {"type": "vault_pki", "vault": "main", "role": "web"}
    gateway.config["certificates"] = {"site": {"issuer": "internal", "domains": ["app.test"]}}
    yield ()


def behind_gate(make, **settings):
    gateway = make.behind(**settings)
    gate = make.gate(port(make.cloudflare.base_url))
    issuer = gateway.config["issuers"]["origin"]
    issuer["base_url"] = through(gate, issuer["base_url"])
    return gateway, gate


class Make:
    def __init__(self, odd, behind, edge_site, cloudflare, gate):
        self.odd, self.behind, self.edge_site, self.cloudflare, self.gate = odd, behind, edge_site, cloudflare, gate


@pytest.fixture
def make(odd, behind, edge_site, cloudflare, gates):
    return Make(odd, behind, edge_site, cloudflare, gates)


WAITING = [
    new_certificates, due_certificate, origin_certificate, edge_certificate, refresh, revocation, vault_certificate]


def begun(make, waiting):
    """A gateway that serves, with a provider that holds its clients; a change of a host and one that waits are to apply."""
    steps = waiting(make)
    gateway, gate = next(steps)
    gateway.config["hosts"] += [plain("a.test", "old"), plain("gone.test", "gone")]
    gateway.apply()
    gateway.start()
    assert shown_by(gateway, "a.test") == "old"
    gate.hold()
    options = next(steps)
    gateway.host("a.test")["respond"]["body"] = "new"
    gateway.config["hosts"].remove(gateway.host("gone.test"))
    return gateway, gate, options


def await_live(gateway, apply, waiting, kind, since):
    eventually("the change is live", lambda: shown_by(gateway, "a.test") == "new" or apply.poll() is not None)
    figures.append(f"{waiting.__name__}, {kind}: a change of another host was live {time.monotonic() - since:.2f} s "
                   "after the start of the apply")
    assert record(gateway, "gone.test") is None
    assert apply.poll() is None, apply.communicate()


@pytest.mark.parametrize("kind", ["refuses", "is silent"])
@pytest.mark.parametrize("waiting", WAITING)
def test_a_change_is_live_before_a_provider_has_answered(make, waiting, kind):
    gateway, gate, options = begun(make, waiting)
    if kind == "refuses":
        gate.refuse()
    since = time.monotonic()
    with applying(gateway, *options) as apply:
        await_live(gateway, apply, waiting, kind, since)
        if kind == "is silent":
            # The provider was called, and has not answered. So the change was not made after an answer.
            gate.await_client()
        apply.send_signal(signal.SIGINT)
        stdout, stderr = apply.communicate(timeout=PATIENCE * 2)
    assert apply.returncode == -signal.SIGINT, stderr
    assert re.search("^Applied generation 2: ", stdout, re.M), stdout + stderr
    # What the provider must do was not done when the signal came, and that was after the change.
    assert re.search("stopped by SIGINT; not (in force|refreshed): (edge_)?certificate ", stderr), stderr
    assert shown_by(gateway, "a.test") == "new"


@pytest.mark.parametrize("waiting", [new_certificates, origin_certificate, edge_certificate, refresh, revocation])
def test_a_slow_provider_answers_after_the_change_is_live(make, waiting):
    gateway, gate, options = begun(make, waiting)
    since = time.monotonic()
    with applying(gateway, *options) as apply:
        await_live(gateway, apply, waiting, "is slow", since)
        gate.await_client()
        gate.let_through()
        stdout, stderr = apply.communicate(timeout=PATIENCE * 3)
    assert apply.returncode == 0, stdout + stderr
    assert "No changes" in gateway.apply()


@pytest.mark.parametrize("waiting", [new_certificates, refresh, revocation, vault_certificate])
def test_what_waits_is_told_every_five_seconds(make, waiting):
    gateway, gate, options = begun(make, waiting)
    with Delays() as delays, applying(gateway, *options) as apply:
        lines = [apply.stderr.readline() for _ in range(3)]
    told = [int(re.search(r"still waiting for .*?(\d+) s", line)[1]) for line in lines]
    figures.append(f"{waiting.__name__}: waiting was told after {told} s; the machine was late by up to {delays.worst:.2f} s")
    # The program's own clock counts. It may be as late as this machine makes everybody.
    for number, (before, after) in enumerate(zip([0, *told], told)):
        assert before < after <= PERIOD * (number + 1) + 1 + 2 * delays.worst, (told, delays.worst)
