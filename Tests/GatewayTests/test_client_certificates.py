"""Hosts that ask clients for certificates: which certificates are accepted, and that no client gets around this."""

import base64
import socket
import ssl
import subprocess
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authority import CLIENT, SERVER, Holder, pem, revocation_list
from client import BrokenTransfer, Client
from client_auth import SIGNS, VERSIONS, ask, connect, context, issuing, leaf, mate, refusals, root, stranger
from gateway import PATIENCE, eventually
from records import client_hello, record, records

twin = Holder("clients", is_ca=True, usages=SIGNS)
silent = Holder("silent", root, is_ca=True, usages=["crl_sign"])
former = Holder("former", root, is_ca=True, usages=SIGNS)
late = Holder("late", is_ca=True, usages=SIGNS)


@dataclass
class Case:
    """The certificate that a client shows, to which host, and the reason for refusing it; empty where it is accepted."""

    holder: Holder
    above: tuple = ()
    host: str = "any.test"
    reason: str = ""


revoked, below_former, below_late = leaf(issuing), leaf(former), leaf(late)

CASES = {
    "of a root": Case(leaf()),
    "of an issuing authority": Case(leaf(issuing), (issuing,)),
    "an issuing authority that is not shown": Case(leaf(issuing), reason="unknown_authority"),
    "shown with the root": Case(leaf(issuing), (issuing, root)),
    "RSA 2048": Case(leaf(key=rsa.generate_private_key(65537, 2048))),
    "RSA 1024": Case(leaf(key=rsa.generate_private_key(65537, 1024)), reason="weak_key"),
    "P-384": Case(leaf(key=ec.generate_private_key(ec.SECP384R1()))),
    "P-521": Case(leaf(key=ec.generate_private_key(ec.SECP521R1()))),
    "Ed25519": Case(leaf(key=ed25519.Ed25519PrivateKey.generate())),
    "no extended key usage": Case(leaf(purposes=())),
    "for servers and clients": Case(leaf(purposes=[SERVER, CLIENT])),
    "for servers alone": Case(leaf(purposes=[SERVER]), reason="wrong_purpose"),
    "expired": Case(leaf(days=(-9, -1)), reason="expired"),
    "not valid yet": Case(leaf(days=(1, 9)), reason="not_yet_valid"),
    "of a stranger": Case(leaf(stranger), (stranger,), reason="self_signed"),
    "of a stranger that is not shown": Case(leaf(stranger), reason="unknown_authority"),
    "of an authority of the same name": Case(leaf(twin), reason="bad_signature"),
    "signed by itself": Case(Holder("client", names=["a.clients.test"], purposes=[CLIENT]), reason="self_signed"),
    "an authority that may not sign": Case(leaf(silent), (silent,), reason="not_an_authority"),
    "below another client's certificate": Case(leaf(mate), (mate,), reason="not_an_authority"),
    "revoked": Case(revoked, (issuing,), "listed.test", "revoked"),
    "not revoked": Case(leaf(issuing), (issuing,), "listed.test"),
    "below an authority that is revoked": Case(below_former, (former,), "listed.test", "revoked"),
    "of an authority whose list is overdue": Case(below_late, host="listed.test", reason="list_overdue"),
    "of an authority whose list is overdue, which is accepted": Case(below_late, host="patient.test"),
    "expired, which is accepted": Case(leaf(days=(-9, -1)), host="patient.test"),
    "a name that is wanted": Case(leaf(names=["a.clients.test"]), host="named.test"),
    "a name in capitals": Case(leaf(names=["A.Clients.TEST"]), host="named.test"),
    "another name": Case(leaf(names=["a.others.test"]), host="named.test", reason="missing_name"),
    "a name of one more label": Case(leaf(names=["b.a.clients.test"]), host="named.test", reason="missing_name"),
    "the name above": Case(leaf(names=["clients.test"]), host="named.test", reason="missing_name"),
    "a wildcard": Case(leaf(names=["*.clients.test"]), host="named.test", reason="missing_name"),
    "a name with NUL": Case(leaf(names=["a.clients.test\0.evil.test"]), host="named.test", reason="missing_name"),
    "a name in the subject alone": Case(
        Holder("a.clients.test", root, purposes=[CLIENT]), host="named.test", reason="missing_name"),
    "a URI that is wanted": Case(leaf(names=["URI:spiffe://clients.test/ns/x/sa/web"]), host="named.test"),
    "a URI of two segments more": Case(
        leaf(names=["URI:spiffe://clients.test/ns/x/y/sa/web"]), host="named.test", reason="missing_name"),
    "a URI as a host name": Case(
        leaf(names=["spiffe://clients.test/ns/x/sa/web"]), host="named.test", reason="missing_name"),
    "an e-mail address that is wanted": Case(leaf(names=["email:ops@clients.test"]), host="named.test"),
    "an address that is wanted": Case(leaf(names=["10.1.2.3"]), host="named.test"),
    "another address": Case(leaf(names=["10.1.2.4"]), host="named.test", reason="missing_name"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    (folder / "root.pem").write_bytes(pem(root.certificate))
    (folder / "both.pem").write_bytes(pem(root.certificate, late.certificate))
    (folder / "stranger.pem").write_bytes(pem(stranger.certificate))
    (folder / "root.crl").write_bytes(revocation_list(root, former))
    (folder / "issuing.crl").write_bytes(revocation_list(issuing, revoked))
    (folder / "late.crl").write_bytes(revocation_list(late, days=(-9, -1)))
    return folder


@pytest.fixture(scope="module")
def gateway(run_once, module_origin, folder):
    def host(domain, **client_auth):
        return {
            "domain": domain, "ssl_mode": "custom", "certificate": "all", "upstreams": [module_origin.url],
            "client_auth": {"ca_file": str(folder / "root.pem"), **client_auth}}

    lists = [str(folder / f"{name}.crl") for name in ("root", "issuing", "late")]
    return run_once(
        [
            {"domain": "open.test", "ssl_mode": "custom", "certificate": "all", "upstreams": [module_origin.url]},
            host("any.test", forward="client_cert"),
            host("optional.test", mode="optional", forward="xfcc"),
            host("listed.test", ca_file=str(folder / "both.pem"), crl_files=lists),
            host(
                "patient.test", ca_file=str(folder / "both.pem"), crl_files=lists, crl_expired="accept",
                allow_expired=True),
            host("named.test", required_sans=[
                "*.clients.test", "spiffe://clients.test/ns/*/sa/web", "ops@clients.test", "10.1.2.3"]),
            host("others.test", ca_file=str(folder / "stranger.pem")),
            host("*.wild.test"),
            host("tight.test", allow_expired=False, mode="require"),
        ],
        gateway={"limits": {"handshake_timeout": "60s"}},
        issuers={"lan": {"type": "local_ca"}},
        certificates={"all": {"issuer": "lan", "domains": [
            f"{name}.test" for name in "open any optional listed patient named others tight".split()] + ["*.wild.test"]}})


@VERSIONS
@pytest.mark.parametrize("what", CASES)
def test_a_certificate_is_good_or_refused_with_its_reason(gateway, folder, what, version):
    case = CASES[what]
    before = refusals(gateway, case.host, case.reason)
    settings = context(case.holder, case.above, folder, version)
    status, _, session = ask(gateway, settings, case.host)
    if not case.reason:
        assert status == 200
        status, is_resumed, _ = ask(gateway, settings, case.host, session=session)
        assert (status, is_resumed) == (200, True)
        return
    assert isinstance(status, str), status
    eventually("the refusal is counted", lambda: refusals(gateway, case.host, case.reason) == before + 1)
    gateway.await_log("client's certificate was refused", f"host={case.host}", f"reason={case.reason}")


@pytest.mark.parametrize("what", [what for what, case in CASES.items() if case.host == "any.test"])
def test_openssl_verify_agrees(folder, tmp_path, what):
    case = CASES[what]
    (tmp_path / "leaf.pem").write_bytes(pem(case.holder.certificate))
    (tmp_path / "above.pem").write_bytes(pem(*(holder.certificate for holder in case.above)))
    untrusted = ["-untrusted", tmp_path / "above.pem"] if case.above else []
    done = subprocess.run(
        ["openssl", "verify", "-purpose", "sslclient", "-auth_level", "2", "-partial_chain", "-CAfile", folder / "root.pem",
         *untrusted, tmp_path / "leaf.pem"], capture_output=True, text=True)
    assert (done.returncode == 0) == (case.reason == ""), done.stdout + done.stderr


@VERSIONS
def test_a_client_without_a_certificate_is_refused_where_one_is_required(gateway, folder, version):
    bare = context(version=version)
    status, _, _ = ask(gateway, bare, "any.test")
    assert "required" in status or "handshake failure" in status.lower()
    eventually("it is counted", lambda: refusals(gateway, "any.test", "no_certificate") > 0)
    assert ask(gateway, bare, "optional.test")[0] == 200
    assert ask(gateway, bare, "open.test")[0] == 200


@VERSIONS
def test_a_shown_certificate_must_be_good_even_if_none_is_required(gateway, folder, version):
    status, _, _ = ask(gateway, context(leaf(stranger), (stranger,), folder, version), "optional.test")
    assert isinstance(status, str)


def test_upstreams_get_the_certificate_in_the_configured_header(gateway, folder, origin):
    shown = leaf(names=["a.clients.test", "URI:spiffe://clients.test/x"])
    settings = context(shown, folder=folder)
    der = shown.certificate.public_bytes(serialization.Encoding.DER)
    forged = ["Client-Cert: :QUJD:", "Client_Cert: :QUJD:", "X-Forwarded-Client-Cert: Hash=1"]
    session = None
    for _ in range(2):  # the second time in a resumed session
        with connect(gateway, settings, "any.test", session) as client:
            assert client.get("any.test", "/", *forged).status == 200
            session = client.socket.session
        assert origin.last["Client-Cert"] == f":{base64.b64encode(der).decode()}:"
        assert origin.last["X-Forwarded-Client-Cert"] is None and origin.last["Client_Cert"] is None
    with connect(gateway, settings, "optional.test") as client:
        assert client.get("optional.test", "/", *forged).status == 200
    digest = shown.certificate.fingerprint(hashes.SHA256()).hex()
    assert origin.last["X-Forwarded-Client-Cert"] == (
        f'Hash={digest};Subject="CN=client";DNS=a.clients.test;URI=spiffe://clients.test/x')
    assert origin.last["Client-Cert"] is None
    for host, shows in [("optional.test", None), ("open.test", None), ("named.test", shown)]:
        with connect(gateway, settings if shows else context(), host) as client:
            assert client.get(host, "/", *forged).status == 200
        assert origin.last["Client-Cert"] is None and origin.last["X-Forwarded-Client-Cert"] is None


@VERSIONS
@pytest.mark.parametrize("name", [None, "open.test", "others.test", "unknown.example"])
@pytest.mark.parametrize("host", ["any.test", "optional.test", "ANY.test", "any.test.", "any.test:443", "a.wild.test"])
def test_no_other_server_name_reaches_a_host_with_client_auth(gateway, folder, version, name, host):
    settings = context(leaf(stranger), (stranger,), folder, version) if name == "others.test" else context(version=version)
    assert ask(gateway, settings, name, host)[0] == 421


@VERSIONS
def test_a_good_certificate_for_one_host_does_not_count_for_another(gateway, folder, version):
    settings = context(leaf(names=["x.others.test"]), folder=folder, version=version)
    assert ask(gateway, settings, "any.test")[0] == 200
    assert ask(gateway, settings, "any.test", "named.test")[0] == 421
    assert ask(gateway, settings, "any.test", "optional.test")[0] == 421


@VERSIONS
def test_no_session_is_resumed_at_another_host(gateway, folder, version):
    bare, certified = context(version=version), context(leaf(), folder=folder, version=version)
    _, _, of_open = ask(gateway, bare, "open.test")
    _, _, of_optional = ask(gateway, bare, "optional.test")
    for session in (of_open, of_optional):
        assert isinstance(ask(gateway, bare, "any.test", session=session)[0], str)
    _, _, of_any = ask(gateway, certified, "any.test")
    status, is_resumed, _ = ask(gateway, certified, "tight.test", session=of_any)
    assert (status, is_resumed) == (200, False)


def test_plain_http_never_reaches_a_host_that_requires_one(gateway, folder):
    with Client(gateway.http) as client:
        assert client.get("any.test").status in (301, 403)
        assert client.get("optional.test").status in (200, 301)


def split_hello(gateway, settings, name, cut):
    """Sends a client hello in two records, the first with `cut` bytes, and then a request. Returns the status of the
    answer, or the error's text."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = settings.wrap_bio(incoming, outgoing, server_hostname=name)
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def step(action):
            while True:
                try:
                    done = action()
                    raw.sendall(outgoing.read())
                    return done
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    received = raw.recv(65536)
                    if not received:
                        raise BrokenTransfer("ended")
                    incoming.write(received)

        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            hello = outgoing.read()
        (kind, body), = records(hello)
        for piece in (body[:cut], body[cut:]):
            raw.sendall(record(kind, piece, b"\x03\x01"))
        try:
            step(end.do_handshake)
            end.write(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            return int(step(lambda: end.read(100)).split()[1])
        except (ssl.SSLError, BrokenTransfer, ConnectionError) as fault:
            return str(fault)


@VERSIONS
def test_a_client_hello_split_anywhere_meets_the_same_rules(gateway, folder, version):
    """Threat: a gateway that looks for the server name in the first record alone applies its default rules instead."""
    bare, certified = context(version=version), context(leaf(), folder=folder, version=version)
    length = len(client_hello("any.test", context=context(version=version))) - 5
    for cut in range(1, length):
        assert isinstance(split_hello(gateway, bare, "any.test", cut), str), cut
    for cut in range(1, length, 16):
        assert split_hello(gateway, certified, "any.test", cut) == 200, cut
