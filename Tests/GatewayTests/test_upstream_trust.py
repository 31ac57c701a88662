"""Which upstream certificates are accepted: what a `ca_file` makes trusted, and for which names."""

import pathlib
import signal
from dataclasses import dataclass, field

import pytest

from cryptography.hazmat.primitives.asymmetric import ec

from authority import CLIENT, SERVER, Holder, pem
from client import Client
from gateway import eventually
from origin import Origin

HOST = "up.two.test"


@dataclass
class Case:
    """What a server shows, and what the `ca_file` contains. `place`: the host of the upstream's URL."""

    leaf: Holder
    above: tuple = ()
    trusted: object = ()
    place: str = HOST
    refusal: str = ""

    def file(self):
        if isinstance(self.trusted, bytes):
            return self.trusted
        return pem(*(holder.certificate for holder in self.trusted))


root = Holder("root", is_ca=True)
issuing = Holder("issuing", root, is_ca=True)
leaf = Holder("leaf", issuing, names=[HOST], purposes=[SERVER])
other_root = Holder("other root", is_ca=True)
weak = Holder("weak", root, is_ca=True, key=ec.generate_private_key(ec.SECP224R1()))
no_authority = Holder("no authority", root, names=["elsewhere.test"])


def named(*names, common_name="leaf"):
    return Holder(common_name, issuing, names=names or None)


def renewed(holder, issuer=None, **options):
    """Another certificate of an authority, for the same key."""
    return Holder(holder.subject.rfc4514_string().removeprefix("CN="), issuer, is_ca=True, key=holder.key, **options)


def system():
    return pathlib.Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()


TRUSTED = {
    "a root": Case(leaf, (issuing,), [root]),
    "an issuing authority": Case(leaf, (issuing,), [issuing]),
    "an issuing authority that is not shown": Case(leaf, (), [issuing]),
    "an issuing authority below a root that is shown": Case(leaf, (issuing, root), [issuing]),
    "the server's certificate itself": Case(leaf, (), [leaf]),
    "the server's certificate, shown with its chain": Case(leaf, (issuing, root), [leaf]),
    "a certificate that signs itself": Case(alone := Holder("alone", names=[HOST]), (), [alone]),
    "an authority whose older certificate is over": Case(leaf, (), [renewed(issuing, root, days=(-9, -1)), issuing]),
    "an authority whose newer certificate is over": Case(leaf, (), [issuing, renewed(issuing, root, days=(-9, -1))]),
    "a root, though a cross-signature that is shown is over": Case(
        leaf, (issuing, renewed(root, other_root, days=(-9, -1))), [root]),
    "a hundred others too": Case(leaf, (issuing,), system() + b"Bag Attributes\n\xff\r\n" + pem(issuing.certificate)),
    "a wildcard": Case(named("*.two.test"), (issuing,), [root]),
    "a name in capitals": Case(named("UP.Two.TEST"), (issuing,), [root]),
    "an address": Case(named("127.0.0.1"), (issuing,), [root], "127.0.0.1"),
}

UNTRUSTED = {
    "another server of the same authority": Case(
        named(HOST), (issuing,), [leaf], refusal="by an authority that is trusted"),
    "an issuer that is no authority": Case(
        Holder("leaf", no_authority, names=[HOST]), (no_authority,), [no_authority], refusal="is not allowed to"),
    "an authority that is over": Case(
        leaf, (issuing,), [renewed(issuing, root, days=(-9, -1))], refusal="has expired"),
    "a root that is over": Case(
        leaf, (issuing,), [renewed(root, days=(-9, -1))], refusal="has expired"),
    "a certificate itself that is over": Case(
        past := Holder("past", issuing, names=[HOST], days=(-9, -1)), (), [past], refusal="has expired"),
    "a name in the subject alone": Case(
        named(common_name=HOST), (issuing,), [root], refusal="not for the server's name"),
    "a name in the subject beside an address": Case(
        named("127.0.0.1", common_name=HOST), (issuing,), [root], refusal="not for the server's name"),
    "an address in the subject alone": Case(
        named(common_name="127.0.0.1"), (issuing,), [root], "127.0.0.1", "not for the server's name"),
    "an address as a name": Case(
        Holder("leaf", issuing, names=["127.0.0.1 "]), (issuing,), [root], "127.0.0.1", "not for the server's name"),
    "a name only in the subject of a certificate that is trusted itself": Case(
        only := named(common_name=HOST), (), [only], refusal="not for the server's name"),
    "part of a label as a wildcard": Case(
        named("u*.two.test"), (issuing,), [root], refusal="not for the server's name"),
    "the end of a label as a wildcard": Case(
        named("*p.two.test"), (issuing,), [root], refusal="not for the server's name"),
    "a wildcard for two labels": Case(named("*.test"), (issuing,), [root], refusal="not for the server's name"),
    "a NUL behind the name": Case(
        named(f"{HOST}\0.evil.test"), (issuing,), [root], refusal="not for the server's name"),
    "an issuer with a weak key": Case(
        Holder("leaf", weak, names=[HOST]), (weak,), [root], refusal="has a key that is too weak"),
    "a trusted issuer with a weak key": Case(
        Holder("leaf", weak, names=[HOST]), (weak,), [weak], refusal="has a key that is too weak"),
    "a certificate for clients": Case(
        Holder("leaf", issuing, names=[HOST], purposes=[CLIENT]), (issuing,), [issuing],
        refusal="not meant for this end"),
    "a certificate for clients itself": Case(
        mine := Holder("leaf", issuing, names=[HOST], purposes=[CLIENT]), (), [mine], refusal="not meant for this end"),
}

UNUSABLE = {
    "nothing": (b"", "no certificate found"),
    "a text": (b"this is no PEM\n", "no certificate found"),
    "a key": (leaf.key_pem, "no certificate found"),
    "a certificate that is cut off": (pem(issuing.certificate)[:-40], "does not end"),
    "a certificate that is none": (
        b"-----BEGIN CERTIFICATE-----\nYWVnaXM=\n-----END CERTIFICATE-----\n", "the certificate is malformed"),
    "a good one and a broken one": (
        pem(root.certificate) + b"-----BEGIN CERTIFICATE-----\nYWVnaXM=\n-----END CERTIFICATE-----\n",
        "the certificate is malformed"),
}


@dataclass
class Stand:
    gateway: object
    origins: dict
    domains: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def stand(run_once, tmp_path_factory, module_names):
    """A gateway with a host and an origin for each case."""
    folder, origins, hosts, domains = tmp_path_factory.mktemp("trust"), {}, [], {}
    cases = {**TRUSTED, **UNTRUSTED, **{title: Case(leaf, (issuing,), text) for title, (text, _) in UNUSABLE.items()}}
    for number, (title, case) in enumerate(cases.items()):
        origins[title] = Origin(tls=case.leaf.server(folder / f"server{number}.pem", *case.above))
        # An apply refuses an unusable file, so such a file is written afterwards.
        if title not in UNUSABLE:
            (folder / f"trusted{number}.pem").write_bytes(case.file())
        domains[title] = f"case{number}.test"
        hosts.append({
            "domain": domains[title], "upstream_tls": {"ca_file": str(folder / f"trusted{number}.pem")},
            "upstreams": [f"https://{case.place}:{origins[title].port}"]})
    gateway = run_once(hosts)
    for number, (title, case) in enumerate(cases.items()):
        if title in UNUSABLE:
            (folder / f"trusted{number}.pem").write_bytes(case.file())
    reloads = gateway.metric('aegis_reloads_total{result="ok"}')
    gateway.process.send_signal(signal.SIGHUP)
    eventually("a full reading", lambda: gateway.metric('aegis_reloads_total{result="ok"}') > reloads)
    yield Stand(gateway, origins, domains)
    for origin in origins.values():
        origin.stop()


def ask(stand, title):
    with Client(stand.gateway.http) as client:
        return client.get(stand.domains[title])


@pytest.mark.parametrize("title", TRUSTED)
def test_upstreams_of_a_ca_in_the_file_are_trusted(stand, title):
    answer = ask(stand, title)
    assert answer.status == 200, stand.gateway.await_log(answer["X-Request-Id"])


@pytest.mark.parametrize("title", UNTRUSTED)
def test_upstreams_of_other_cas_are_not_trusted(stand, title):
    answer = ask(stand, title)
    assert answer.status == 502
    stand.gateway.await_log("no answer from", answer["X-Request-Id"], UNTRUSTED[title].refusal)
    assert stand.origins[title].requests == []


@pytest.mark.parametrize("title", UNUSABLE)
def test_an_unreadable_ca_file_trusts_nobody(stand, title):
    answer = ask(stand, title)
    assert answer.status == 502
    stand.gateway.await_log("no answer from", answer["X-Request-Id"], "can't be used", UNUSABLE[title][1])
    assert stand.origins[title].requests == []


def test_health_checks_trust_the_same_cas_as_requests(run, make_origin, tmp_path):
    """One of two upstreams has its name only in the certificate's subject."""
    good = make_origin(tls=Holder("leaf", issuing, names=["127.0.0.1"]).server(tmp_path / "good.pem"))
    bad = make_origin(tls=Holder("127.0.0.1", issuing).server(tmp_path / "bad.pem"))
    (tmp_path / "ca.pem").write_bytes(pem(issuing.certificate))
    gateway = run([{
        "domain": "app.test", "upstreams": [good.url, bad.url], "upstream_tls": {"ca_file": str(tmp_path / "ca.pem")},
        "health_check": {"path": "/healthz", "interval": "1s"}}])
    gateway.await_log("is not well", bad.url, "not for the server's name")
    eventually("a check of the good one", lambda: any(request.target == "/healthz" for request in good.requests))
    assert not any("is not well" in line and good.url in line for line in gateway.log.splitlines())
    assert bad.requests == []


@pytest.mark.parametrize("trusted", ["root.pem", "issuing.pem"])
def test_the_systems_cas_are_those_of_openssl(run, make_origin, tmp_path, monkeypatch, trusted):
    """An intermediate among the system's CAs, which a server may show, is not trusted by itself."""
    origin = make_origin(tls=Holder("leaf", issuing, names=["127.0.0.1"]).server(tmp_path / "leaf.pem", issuing))
    (tmp_path / "root.pem").write_bytes(pem(root.certificate))
    (tmp_path / "issuing.pem").write_bytes(pem(issuing.certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / trusted))
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}])
    with Client(gateway.http) as client:
        assert client.get().status == (200 if trusted == "root.pem" else 502)
