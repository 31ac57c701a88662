"""The chains that clients are shown when certificates begin and end at different times, in any order and number."""

import itertools
import json
import random
import socket
import ssl
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from authority import Holder, pem
from client import tls_context
from gateway import PATIENCE, PROGRAMS, Gateway

LONG, OVER, EARLY, FUTURE = (-400, 400), (-400, -1), (-400, 20), (10, 400)


def twin(name, issuer, key, days):
    """Another certificate of an authority's name and key."""
    return Holder(name, issuer, is_ca=True, days=days, key=key)


def verdicts(folder, given, root):
    """Whether `openssl verify` accepts the first certificate of each list, a leaf, with the others as intermediates."""
    (folder / "root").write_bytes(pem(root.certificate))
    commands = []
    for name, holders in given.items():
        leaf, *others = [holder.certificate for holder in holders]
        (folder / f"{name}.leaf").write_bytes(pem(leaf))
        (folder / f"{name}.others").write_bytes(pem(*others))
        beside = f"-untrusted {name}.others" if others else ""
        commands.append(f"openssl verify -trusted root {beside} {name}.leaf >/dev/null 2>&1; echo $?")
    script = folder / "script"
    script.write_text("\n".join(commands))
    done = subprocess.run(["sh", script], cwd=folder, capture_output=True, text=True, check=True)
    return dict(zip(given, (code == "0" for code in done.stdout.split()), strict=True))


def accepts(port, name, context):
    """Whether a client accepts the certificates it is shown."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            with context.wrap_socket(connection, server_hostname=name):
                return True
        except ssl.SSLCertVerificationError:
            return False


def sent(port, name):
    """The certificates that a client is sent."""
    context = tls_context()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with context.wrap_socket(connection, server_hostname=name) as tls:
            # The public method for this came with Python 3.13.
            chain = tls._sslobj.get_unverified_chain()
            return [x509.load_der_x509_certificate(ssl.PEM_cert_to_DER_cert(part.public_bytes())) for part in chain]


class Combinations:
    """Every set of a leaf, two intermediates, a cross-sign and a root without a gap, with different validities, each in an
    order of chance. A gap in a chain is refused; Swift's tests cover that, and every order of some sets.
    """

    # The last leaf ends after all its CAs, the one before it before all of them.
    LEAVES = {"usual": (-1, 90), "expired": (-100, -1), "short": (-1, 10), "long": (-1, 500)}

    def __init__(self):
        self.old = Holder("old", is_ca=True, days=LONG)
        self.root = root = Holder("root", is_ca=True, days=LONG)
        upper = Holder("upper", root, is_ca=True, days=LONG)
        lower = Holder("lower", upper, is_ca=True, days=LONG)
        self.cross = cross = {days: twin("root", self.old, root.key, days) for days in (LONG, OVER, EARLY)}
        expired_root = twin("root", None, root.key, OVER)
        uppers = [[], [upper], [twin("upper", root, upper.key, OVER), upper], [twin("upper", root, upper.key, OVER)]]
        lowers = [[], [lower], [twin("lower", upper, lower.key, OVER), twin("lower", upper, lower.key, EARLY)],
                  [twin("lower", upper, lower.key, OVER)], [twin("lower", upper, lower.key, FUTURE), lower]]
        tops = [[], [root], [expired_root], [cross[LONG]], [cross[OVER]], [cross[OVER], root], [cross[EARLY], root]]
        self.given = {}
        key = ec.generate_private_key(ec.SECP256R1())
        for number, (leaf, *sets) in enumerate(itertools.product(self.LEAVES, lowers, uppers, tops)):
            if any(sets[1]) and not sets[0] or any(sets[2]) and not (sets[0] and sets[1]):
                continue
            name = f"{leaf}{number}.test"
            holder = Holder(name, lower, names=[name], days=self.LEAVES[leaf], key=key)
            self.given[name] = [holder, *itertools.chain(*sets)]

    def gateway(self, folder):
        """A gateway that has each set as the certificate of a host."""
        gateway = Gateway(
            folder,
            [{"domain": name, "ssl_mode": "custom", "certificate": name, "respond": {"body": name}} for name in self.given],
            certificates={
                name: {"source": "custom", "cert": {"file": f"{name}.pem"}, "key": {"file": "leaf.key"},
                       "allow_expired": name.startswith("expired")} for name in self.given})
        mixer = random.Random(7)
        for name, holders in self.given.items():
            mixed = mixer.sample(holders, len(holders))
            (gateway.folder / f"{name}.pem").write_bytes(pem(*(holder.certificate for holder in mixed)))
            (gateway.folder / "leaf.key").write_bytes(holders[0].key_pem)
        return gateway


def test_a_client_accepts_the_sent_chain_if_openssl_accepts_the_given_certificates(tmp_path):
    made = Combinations()
    given = made.given
    assert len(given) > 300
    gateway = made.gateway(tmp_path / "gateway")
    gateway.apply()
    gateway.start()
    try:
        for trusted in (made.root, made.old):
            context = ssl.create_default_context(cadata=pem(trusted.certificate).decode())
            context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
            seen = {name: accepts(gateway.https, name, context) for name in given}
            told = verdicts(tmp_path, given, trusted)
            # The one exception: the gateway leaves out a cross-signed certificate that ends before the root in the same
            # chain, so a client that trusts only the older root may refuse what OpenSSL would accept.
            worse = {name for name in given if told[name] and not seen[name]}
            assert all(trusted is made.old and made.cross[EARLY] in given[name] for name in worse), worse
            for leaf in made.LEAVES:
                results = {seen[name] for name in given if name.startswith(leaf)}
                assert results == ({False} if leaf == "expired" else {True, False}), leaf
        # What is sent is in order, each certificate once, and `status` tells when its first one ends.
        said = subprocess.run(
            [PROGRAMS / "aegis-apply", "status", "--format", "json"], cwd=gateway.folder, capture_output=True, check=True)
        status = json.loads(said.stdout)
        ends = {one["host"]: one["expires_at"] for one in status["hosts"]}
        for name, holders in given.items():
            chain = sent(gateway.https, name)
            assert chain[0] == holders[0].certificate
            assert {part.fingerprint(hashes.SHA256()) for part in chain} <= {
                holder.certificate.fingerprint(hashes.SHA256()) for holder in holders}
            for lower, upper in itertools.pairwise(chain):
                lower.verify_directly_issued_by(upper)
            assert len(set(part.serial_number for part in chain)) == len(chain)
            first = min(part.not_valid_after_utc for part in chain)
            assert ends[name] == first.strftime("%Y-%m-%dT%H:%M:%SZ"), name
    finally:
        gateway.stop()
