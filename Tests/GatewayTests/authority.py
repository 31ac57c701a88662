"""Certificates of every kind, made to order: chains, names, lifetimes and keys that no honest CA would give."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
KEY_USAGES = [
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
    "crl_sign", "encipher_only", "decipher_only",
]


def pem(*certificates):
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


class Holder:
    """A certificate and its key.

    `issuer`: the holder that signs the certificate; without one it is self-signed. `names`: the subject alternative names:
    host names, addresses, or such as `URI:a://b/c` and `email:a@b.test`; None leaves the extension out. `days`: the days
    from now at which the validity begins and ends. `usages`: what a key usage extension allows; without any there is no
    such extension. `public_key`: the certificate's public key, where its private key is not at hand.
    """

    def __init__(
            self, common_name, issuer=None, *, is_ca=False, names=None, days=(-1, 30), purposes=(), usages=None, key=None,
            public_key=None):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        public_key = public_key or self.key.public_key()
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        signer = issuer or self
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder().subject_name(self.subject).issuer_name(signer.subject)
            .public_key(public_key).serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days[0])).not_valid_after(now + datetime.timedelta(days[1]))
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False))
        if names is not None:
            builder = builder.add_extension(_alternative_names(names), critical=False)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if usages is not None:
            builder = builder.add_extension(x509.KeyUsage(**{usage: usage in usages for usage in KEY_USAGES}), critical=True)
        self.certificate = builder.sign(signer.key, None if isinstance(signer.key, ed25519.Ed25519PrivateKey) else hashes.SHA256())

    @property
    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def write(self, path, *above, key=True):
        """Writes the certificate, the certificates in `above`, and the key into one file."""
        path.write_bytes(pem(self.certificate, *(holder.certificate for holder in above)) + (self.key_pem if key else b""))
        return path

    def server(self, path, *above):
        """TLS settings of a server that shows this certificate and those in `above`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.write(path, *above))
        return context


def _alternative_names(names):
    """The subject alternative names extension in DER. The library refuses names that no certificate should have.

    RFC 5280 section 4.2.1.6: an e-mail address has context tag 1, a host name 2, a URI 6, an address 7.
    """
    content = b""
    for name in names:
        kind, _, rest = name.partition(":")
        try:
            tag, value = 0x87, ipaddress.ip_address(name).packed
        except ValueError:
            tag, text = {"URI": (0x86, rest), "email": (0x81, rest)}.get(kind, (0x82, name))
            value = text.encode("latin-1")
        content += bytes([tag, len(value)]) + value
    assert len(content) < 128
    return x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes([0x30, len(content)]) + content)


def revocation_list(issuer, *revoked, days=(-1, 10), number=1):
    """A certificate revocation list (CRL) of `issuer` in PEM that revokes the certificates of the holders `revoked`."""
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
        .last_update(now + datetime.timedelta(days[0])).next_update(now + datetime.timedelta(days[1]))
        .add_extension(x509.CRLNumber(number), critical=False))
    for holder in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(holder.certificate.serial_number).revocation_date(now).build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
