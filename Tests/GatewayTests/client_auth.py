"""Clients that show certificates, and hosts that ask for them (`client_auth`)."""

import ssl

import pytest

from authority import CLIENT, Holder, pem, revocation_list
from client import BrokenTransfer, Client, tls_context
from gateway import eventually

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
SIGNS = ["key_cert_sign", "crl_sign"]

root = Holder("clients", is_ca=True, usages=SIGNS)
issuing = Holder("issuing", root, is_ca=True, usages=SIGNS)
stranger = Holder("stranger", is_ca=True, usages=SIGNS)
mate = Holder("mate", root, purposes=[CLIENT])

LOCAL = {
    "issuers": {"lan": {"type": "local_ca"}},
    "certificates": {"all": {"issuer": "lan", "domains": ["any.test", "open.test"]}},
}


def leaf(issuer=root, **options):
    return Holder("client", issuer, **{"purposes": [CLIENT], "names": ["a.clients.test"], **options})


def certified(domain, **settings):
    return {"domain": domain, "ssl_mode": "custom", "certificate": "all", **settings}


def changing_gateway(run, make_origin, tmp_path):
    """A gateway with one host that asks for certificates of `root`, by files and rules that a test changes."""
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    (tmp_path / "root.crl").write_bytes(revocation_list(root))
    return run([certified("any.test", upstreams=[make_origin().url], client_auth={
        "ca_file": str(tmp_path / "ca.pem"), "crl_files": [str(tmp_path / "root.crl")]})], **LOCAL)


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


def replace(path, content):
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").rename(path)


def in_force(gateway, settings, expected):
    """Waits until a new connection gets the expected result: a status, or an alert (None)."""
    def is_so():
        status = ask(gateway, settings, "any.test")[0]
        return status == expected if expected else isinstance(status, str)

    eventually(f"new connections get {expected or 'an alert'}", is_so)
