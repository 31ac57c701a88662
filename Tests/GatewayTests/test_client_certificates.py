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
from clocks import clock, needs_faketime
from client import BrokenTransfer, Client, tls_context
from gateway import PATIENCE, PROGRAMS, eventually
from records import client_hello, record, records

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
SIGNS = ["key_cert_sign", "crl_sign"]

root = Holder("clients", is_ca=True, usages=SIGNS)
issuing = Holder("issuing", root, is_ca=True, usages=SIGNS)
stranger = Holder("stranger", is_ca=True, usages=SIGNS)
twin = Holder("clients", is_ca=True, usages=SIGNS)
silent = Holder("silent", root, is_ca=True, usages=["crl_sign"])
former = Holder("former", root, is_ca=True, usages=SIGNS)
late = Holder("late", is_ca=True, usages=SIGNS)


def leaf(issuer=root, **options):
    return Holder("client", issuer, **{"purposes": [CLIENT], "names": ["a.clients.test"], **options})


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
    "below another client's certificate": Case(
        leaf(mate := Holder("mate", root, purposes=[CLIENT])), (mate,), reason="not_an_authority"),
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


def context(holder=None, above=(), folder=None, version=None):
    settings = tls_context(versions=version)
    # The client must be able to send the weakest certificates too: the gateway is to refuse them.
    settings.set_ciphers("DEFAULT:@SECLEVEL=0")
    if holder:
        settings.load_cert_chain(holder.write(folder / "shown.pem", *above))
    return settings


def connect(gateway, settings, name, session=None):
    """A connection over TLS on which no request has been sent yet."""
    client = Client(gateway.https)
    try:
        client.socket = settings.wrap_socket(client.socket, server_hostname=name, session=session)
    except BaseException:
        client.close()
        raise
    return client


def ask(gateway, settings, name, host=None, session=None):
    """Sends a request to a host. Returns the status, whether the session was resumed, and the session; or else the
    error's text."""
    try:
        with connect(gateway, settings, name, session) as client:
            response = client.get(host or name)
            return response.status, client.socket.session_reused, client.socket.session
    except (ssl.SSLError, BrokenTransfer, ConnectionError) as fault:
        return str(fault), False, None


def refusals(gateway, host, reason):
    try:
        return gateway.metric(
            f'aegis_client_certificates_total{{host="{host}",result="refused",reason="{reason}"}}')
    except AssertionError:
        return 0


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


# Attempts to get around the rules.


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


# Rules that change while connections are open.


LOCAL = {
    "issuers": {"lan": {"type": "local_ca"}},
    "certificates": {"all": {"issuer": "lan", "domains": ["any.test", "open.test"]}},
}


def certified(domain, **settings):
    return {"domain": domain, "ssl_mode": "custom", "certificate": "all", **settings}


@pytest.fixture
def changing(run, make_origin, tmp_path):
    """A gateway with one host that asks for certificates of `root`, by files and rules that a test changes."""
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    (tmp_path / "root.crl").write_bytes(revocation_list(root))
    return run([certified("any.test", upstreams=[make_origin().url], client_auth={
        "ca_file": str(tmp_path / "ca.pem"), "crl_files": [str(tmp_path / "root.crl")]})], **LOCAL)


def replace(path, content):
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").rename(path)


def in_force(gateway, settings, expected):
    """Waits until a new connection gets the expected result: a status, or an alert (None)."""
    def is_so():
        status = ask(gateway, settings, "any.test")[0]
        return status == expected if expected else isinstance(status, str)

    eventually(f"new connections get {expected or 'an alert'}", is_so)


CHANGES = {
    "another authority": ("ca.pem", lambda holder: pem(stranger.certificate), False),
    "one authority more": ("ca.pem", lambda holder: pem(root.certificate, stranger.certificate), True),
    "the same file again": ("ca.pem", lambda holder: pem(root.certificate), True),
    "a list that revokes it": ("root.crl", lambda holder: revocation_list(root, holder, number=2), False),
    "a list that revokes another": ("root.crl", lambda holder: revocation_list(root, mate, number=2), True),
}


@VERSIONS
@pytest.mark.parametrize("what", CHANGES)
def test_open_connections_follow_changed_files(changing, tmp_path, what, version):
    file, content, stays = CHANGES[what]
    holder = leaf()
    settings = context(holder, folder=tmp_path, version=version)
    with connect(changing, settings, "any.test") as client:
        assert client.get("any.test").status == 200
        session = client.socket.session
        replace(tmp_path / file, content(holder))
        if stays and what != "the same file again":
            # A second client shows that the change is in force.
            other = (leaf(stranger), False) if "authority" in what else (mate, True)
            in_force(changing, context(other[0], folder=tmp_path, version=version), None if other[1] else 200)
        elif not stays:
            in_force(changing, settings, None)
        response = client.get("any.test")
        assert response.status == (200 if stays else 421)
        if not stays:
            assert response["Connection"] == "close" and client.is_closed()
    if not stays:
        assert isinstance(ask(changing, settings, "any.test", session=session)[0], str)


@VERSIONS
def test_a_session_that_can_not_be_verified_again_leads_to_a_full_handshake(changing, tmp_path, version):
    """A resumed session has only the client's own certificate; a new handshake has its intermediates again."""
    settings = context(leaf(issuing), (issuing,), tmp_path, version)
    _, _, session = ask(changing, settings, "any.test")
    with connect(changing, settings, "any.test", session) as client:
        assert client.socket.session_reused and client.get("any.test").status == 200
        replace(tmp_path / "root.crl", revocation_list(root, mate, number=2))
        in_force(changing, context(mate, folder=tmp_path, version=version), None)
        counted = refusals(changing, "any.test", "unknown_authority")
        assert client.get("any.test").status == 421 and client.is_closed()
    assert ask(changing, settings, "any.test", session=session)[:2] == (200, False)
    assert refusals(changing, "any.test", "unknown_authority") == counted


@VERSIONS
def test_open_connections_follow_changed_rules(changing, tmp_path, version):
    settings = context(leaf(names=["a.clients.test"]), folder=tmp_path, version=version)
    with connect(changing, settings, "any.test") as client:
        assert client.get("any.test").status == 200
        changing.config["hosts"][0]["client_auth"]["required_sans"] = ["*.clients.test"]
        changing.reload()
        assert client.get("any.test").status == 200
        changing.config["hosts"][0]["client_auth"]["required_sans"] = ["*.others.test"]
        changing.reload()
        assert client.get("any.test").status == 421 and client.is_closed()
    del changing.config["hosts"][0]["client_auth"]
    changing.reload()
    bare = context(version=version)
    with connect(changing, bare, "any.test") as client:
        assert client.get("any.test").status == 200
        session = client.socket.session
        changing.config["hosts"][0]["client_auth"] = {"ca_file": str(tmp_path / "ca.pem")}
        changing.reload()
        assert client.get("any.test").status == 421 and client.is_closed()
    assert isinstance(ask(changing, bare, "any.test", session=session)[0], str)
    changing.config["hosts"][0]["client_auth"]["mode"] = "optional"
    changing.reload()
    with connect(changing, bare, "any.test") as client:
        assert client.get("any.test").status == 200
        changing.config["hosts"][0]["client_auth"]["mode"] = "require"
        changing.reload()
        assert client.get("any.test").status == 421 and client.is_closed()


SOCKET = (
    "GET /socket HTTP/1.1\r\nHost: any.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def echo(connection, request):
    """Agrees to the upgrade, then sends all bytes back."""
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    while connection.buffer or connection.more():
        data = bytes(connection.buffer)
        connection.buffer.clear()
        connection.send(data)
    return False


def open_socket(client):
    assert client.ask(SOCKET).status == 101
    return client


def is_passed_on(client):
    client.send(b"hello")
    return client.exactly(5) == b"hello"


@VERSIONS
@pytest.mark.parametrize("what", CHANGES)
def test_open_tunnels_follow_changed_files(run, make_origin, tmp_path, what, version):
    """Threat: a client that was accepted once keeps its tunnel after its certificate is no longer accepted."""
    origin = make_origin()
    origin.answers["/socket"] = echo
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    (tmp_path / "root.crl").write_bytes(revocation_list(root))
    gateway = run([certified("any.test", upstreams=[origin.url], client_auth={
        "ca_file": str(tmp_path / "ca.pem"), "crl_files": [str(tmp_path / "root.crl")]})], **LOCAL)
    file, content, stays = CHANGES[what]
    holder = leaf()
    settings = context(holder, folder=tmp_path, version=version)
    with open_socket(connect(gateway, settings, "any.test")) as client:
        assert is_passed_on(client)
        replace(tmp_path / file, content(holder))
        if not stays:
            assert client.is_closed()
            gateway.await_log("a client's certificate was refused", "host=any.test")
            return
        if what != "the same file again":
            gateway.await_log("verified by other CAs or revocation lists now")
            in_force(gateway, settings, 200)
        assert is_passed_on(client)


def test_open_tunnels_follow_changed_rules(run, make_origin, tmp_path):
    origin = make_origin()
    origin.answers["/socket"] = echo
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    gateway = run([certified("any.test", upstreams=[origin.url])], **LOCAL)
    host = gateway.config["hosts"][0]
    wanted, unwanted = (context(leaf(names=[f"{name}.clients.test"]), folder=tmp_path) for name in "ab")
    with open_socket(connect(gateway, context(), "any.test")) as bare, open_socket(Client(gateway.http)) as plain:
        assert is_passed_on(bare) and is_passed_on(plain)
        host["client_auth"] = {"ca_file": str(tmp_path / "ca.pem"), "mode": "optional"}
        gateway.reload()
        # A handshake that asked for no certificate is not enough for a host that asks for one.
        assert bare.is_closed() and is_passed_on(plain)
        host["client_auth"]["mode"] = "require"
        gateway.reload()
        assert plain.is_closed()
    with open_socket(connect(gateway, wanted, "any.test")) as kept, open_socket(connect(gateway, unwanted, "any.test")) as cut:
        assert is_passed_on(kept) and is_passed_on(cut)
        host["client_auth"]["required_sans"] = ["a.clients.test"]
        gateway.reload()
        assert cut.is_closed() and is_passed_on(kept)
        host["timeouts"] = {"read": "31s"}
        gateway.reload()
        assert is_passed_on(kept)


@needs_faketime
@pytest.mark.parametrize("what", ["the certificate", "the list", "nothing", "the certificate, which is accepted"])
def test_open_tunnels_end_when_their_proof_does(run, make_origin, clock, tmp_path, what):
    """Threat: a connection outlives the certificate by which it was opened."""
    minute = (-1, 60 / 86400)
    origin = make_origin()
    origin.answers["/socket"] = echo
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    (tmp_path / "root.crl").write_bytes(revocation_list(root, days=minute if what == "the list" else (-1, 9)))
    gateway = run([certified("any.test", upstreams=[origin.url], client_auth={
        "ca_file": str(tmp_path / "ca.pem"), "crl_files": [str(tmp_path / "root.crl")],
        "allow_expired": "accepted" in what})], gateway={"workers": 1}, **LOCAL)
    gateway.stop()
    gateway.start(*clock.wrapper)
    holder = leaf(days=minute if "certificate" in what else (-1, 9))
    with open_socket(connect(gateway, context(holder, folder=tmp_path), "any.test")) as client:
        assert is_passed_on(client)
        clock.set(62)
        if what in ("the certificate", "the list"):
            assert client.is_closed()
            gateway.await_log("a client's certificate was refused", "host=any.test")
        else:
            # The worker's report of this answer shows that the worker has noticed the new time.
            Client(gateway.http).get("any.test")
            eventually("the count", lambda: 'aegis_host_requests_total{host="any.test",class="4xx"}' in gateway.ask("/metrics")[1])
            assert is_passed_on(client)


@pytest.mark.parametrize("content", [b"", b"no PEM", None], ids=["empty", "no PEM", "missing"])
def test_unusable_cas_leave_the_last_good_ones_in_force(changing, tmp_path, content):
    settings = context(leaf(), folder=tmp_path)
    if content is None:
        (tmp_path / "ca.pem").unlink()
    else:
        replace(tmp_path / "ca.pem", content)
    changing.await_log("ca.pem")
    assert ask(changing, settings, "any.test")[0] == 200
    assert isinstance(ask(changing, context(), "any.test")[0], str)


BROKEN = {
    "CAs without PEM": ("ca.pem", lambda: b"no PEM"), "missing CAs": ("ca.pem", lambda: None),
    "a list that is none": ("root.crl", lambda: b"no list"), "a missing list": ("root.crl", lambda: None),
    "a list that the CA has not signed": ("root.crl", lambda: revocation_list(Holder("clients", is_ca=True))),
}


@pytest.mark.parametrize("what", BROKEN)
def test_narrower_rules_of_a_host_hold_though_its_files_are_broken(changing, tmp_path, what):
    """Threat: a permission that the file no longer gives is kept as the last good state."""
    wanted, unwanted = (context(leaf(names=[f"{name}.clients.test"]), folder=tmp_path) for name in "ab")
    file, content = BROKEN[what]
    with connect(changing, unwanted, "any.test") as client:
        assert client.get("any.test").status == 200
        if content() is None:
            (tmp_path / file).unlink()
        else:
            replace(tmp_path / file, content())
        changing.await_log("clients' certificates can't be verified", file)
        changing.config["hosts"][0]["client_auth"]["required_sans"] = ["a.clients.test"]
        changing.reload()
        assert client.get("any.test").status == 421 and client.is_closed()
    assert isinstance(ask(changing, unwanted, "any.test")[0], str)
    # The last good CAs and lists stay in use.
    assert ask(changing, wanted, "any.test")[0] == 200
    changing.await_log("the former ones are used on")


@pytest.mark.parametrize("file", ["ca.pem", "root.crl"])
def test_a_start_with_broken_files_lets_nobody_in_and_tells_everywhere(changing, tmp_path, file):
    """The last good content is in the memory of the process that read it. Without it a host answers no handshake."""
    settings = context(leaf(), folder=tmp_path)
    good = (tmp_path / file).read_bytes()
    replace(tmp_path / file, b"neither")
    changing.stop()
    changing.start()
    changing.await_log("error: clients' certificates can't be verified", file, "hosts that need it answer no handshake")
    for shown in (settings, context()):
        assert isinstance(ask(changing, shown, "any.test")[0], str)
    eventually("the clients are counted", lambda: changing.metric('aegis_tls_handshake_failures_total{reason="no_trust"}') >= 2)
    eventually("the problem is counted", lambda: changing.metric("aegis_state_problems") == 1)
    status = subprocess.run(
        [PROGRAMS / "aegis-apply", "status"], cwd=changing.folder, capture_output=True, text=True, timeout=PATIENCE)
    assert "answer no handshake" in status.stdout, status
    replace(tmp_path / file, good)
    in_force(changing, settings, 200)


@pytest.mark.parametrize("content", [b"", b"no PEM", None], ids=["empty", "no PEM", "missing"])
def test_a_host_whose_cas_were_never_usable_refuses_everybody(run, make_origin, tmp_path, content):
    """Threat: a gateway that can't read the file of CAs and then asks for no certificate, or accepts the system's CAs."""
    file = tmp_path / "ca.pem"
    hosts = [
        certified("any.test", upstreams=[make_origin().url], client_auth={"ca_file": str(file)}),
        certified("open.test", respond={"status": 200, "body": "open"}),
    ]
    gateway = run(hosts, **LOCAL)
    settings = context(leaf(), folder=tmp_path)
    gateway.await_log("ca.pem", "No such file")
    if content is not None:
        file.write_bytes(content)
        gateway.await_log("ca.pem", "no certificate found")
    assert isinstance(ask(gateway, settings, "any.test")[0], str)
    assert ask(gateway, settings, "open.test")[0] == 200
    assert ask(gateway, settings, "open.test", "any.test")[0] == 421
    replace(file, pem(root.certificate))
    in_force(gateway, settings, 200)
