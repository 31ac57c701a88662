"""The admin listener: a certificate that clients can verify by whatever name they use for it."""

import datetime
import ipaddress
import socket
import stat
import subprocess

import cryptography.x509
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import eventually

def curl(gateway, *arguments):
    """curl's output, or the exit code with which it fails."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--cacert", gateway.root, *arguments],
        capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else done.returncode


def test_the_admin_listener_is_trusted_by_its_address_and_names(run):
    gateway = run([])
    port, name = gateway.admin, socket.gethostname()
    assert "aegis_requests_total" in curl(gateway, f"https://127.0.0.1:{port}/metrics")
    assert curl(gateway, f"https://localhost:{port}/healthz") == "ok\n"
    for there in {"[::1]", name, name.split(".")[0]}:
        answer = curl(gateway, "--connect-to", f"{there}:{port}:127.0.0.1:{port}", f"https://{there}:{port}/healthz")
        assert answer == "ok\n", there
    # The certificate does not have another machine's name, so curl fails with CURLE_PEER_FAILED_VERIFICATION.
    assert curl(gateway, "--connect-to", f"other.test:{port}:127.0.0.1:{port}", f"https://other.test:{port}/healthz") == 60
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert certificate(shown.stdout) == certificate((gateway.folder / "ca/admin-ui-self-signed.crt").read_bytes())


def certificate(pem):
    """The first certificate in a text."""
    return cryptography.x509.load_pem_x509_certificate(pem[pem.index(b"-----BEGIN"):])


def test_the_admin_listeners_certificate_has_the_address_that_the_file_says(run):
    gateway = run([])
    former = gateway.admin
    gateway.config["gateway"]["admin"] = f"127.0.0.7:{former}"
    gateway.apply()
    eventually("it listens there", lambda: curl(gateway, f"https://127.0.0.7:{former}/healthz") == "ok\n")
    # The names that the certificate had before are still in it.
    assert curl(gateway, "--connect-to", f"localhost:{former}:127.0.0.7:{former}", f"https://localhost:{former}/healthz") == "ok\n"


@pytest.mark.parametrize("what", ["missing", "near its end", "another CA's", "without the machine's name"])
def test_an_unsuitable_admin_certificate_is_made_again(run, what):
    gateway = run([])
    file = gateway.folder / "ca" / "admin-ui-self-signed.crt"
    good = certificate(file.read_bytes())
    gateway.stop()
    key = gateway.folder / "ca" / "admin-ui-self-signed.key"
    if what == "missing":
        file.unlink()
    else:
        write_leaf(gateway, file, key, what)
    gateway.start()
    new = certificate(file.read_bytes())
    assert new.serial_number != good.serial_number
    days = (new.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)).days
    assert 360 < days <= 366
    assert curl(gateway, f"https://127.0.0.1:{gateway.admin}/healthz") == "ok\n"
    # A certificate that has all the names is kept.
    gateway.stop()
    gateway.start()
    assert certificate(file.read_bytes()).serial_number == new.serial_number
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def write_leaf(gateway, file, key, what):
    """Replaces the listener's certificate."""
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    root = certificate(gateway.root.read_bytes())
    root_key = serialization.load_pem_private_key((gateway.root.with_suffix(".key")).read_bytes(), None)
    if what == "another CA's":
        root_key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.timezone.utc)
    days = 20 if what == "near its end" else 300
    names = [cryptography.x509.DNSName("localhost"), cryptography.x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
             cryptography.x509.IPAddress(ipaddress.ip_address("::1"))]
    if what != "without the machine's name":
        names += [cryptography.x509.DNSName(socket.gethostname())]
    leaf = (
        cryptography.x509.CertificateBuilder()
        .subject_name(cryptography.x509.Name([])).issuer_name(root.subject).public_key(leaf_key.public_key())
        .serial_number(4711).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(cryptography.x509.SubjectAlternativeName(names), critical=True)
        .sign(root_key, hashes.SHA256()))
    file.write_bytes(leaf.public_bytes(serialization.Encoding.PEM) + gateway.root.read_bytes())
    key.write_bytes(leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
