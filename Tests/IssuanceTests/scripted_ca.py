"""A CA whose answers a test determines: ACME over HTTPS, which neither checks signatures nor validates names.

Unless told otherwise it follows the protocol. `twist` changes answers: a function of the kind of answer and the answer,
which it may modify in place.
"""

import base64
import collections
import dataclasses
import datetime
import json
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import PATIENCE, free_port
from proxy import TLSServer

DAY = datetime.timedelta(days=1)


@dataclasses.dataclass
class Answer:
    """The answer to one request. A `body` that is a dictionary is sent as JSON."""
    body: object = b""
    status: int = 200
    fields: dict = dataclasses.field(default_factory=dict)
    links: list = dataclasses.field(default_factory=list)
    hangs_up: bool = False
    stalls: bool = False

    def problem(self, kind, detail="said the CA", status=400):
        self.status = status
        self.body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}


class Authority:
    """A CA's key and its certificate, self-signed or signed by another CA."""

    def __init__(self, name, issuer=None, key=None):
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.certificate = (issuer or self).sign(self.name, self.key.public_key(), [
            (x509.BasicConstraints(ca=True, path_length=None), True)])

    def sign(self, name, key, extensions, days=90):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key)
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now - DAY / 24).not_valid_after(now + days * DAY)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                                  critical=False))
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, is_critical)
        return builder.sign(self.key, hashes.SHA256())


def pem(*certificates):
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


class ScriptedCA:
    """The CA. Orders are ready at once, unless `validates`: then a name is authorized when its challenge is answered.
    `advice`: the window for renewing any certificate, in seconds from now; None for no renewal information."""

    def __init__(self, folder, twist=None, validates=False, advice=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.twist = twist or (lambda kind, answer: None)
        self.validates = validates
        self.advice = advice
        self.port = free_port()
        self.root, self.other_root = Authority("Root A"), Authority("Root B")
        self.intermediate = Authority("Intermediate", self.root)
        self.alternate = Authority("Intermediate", self.other_root, self.intermediate.key)
        self.calls = collections.Counter()
        self.orders, self.issued = {}, []
        self.ending = threading.Event()
        self._lock = threading.Lock()
        self.ca_file = folder / "ca.pem"
        server = Authority("server")
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        leaf = server.sign(x509.Name([]), leaf_key.public_key(), [
            (x509.SubjectAlternativeName([x509.DNSName("localhost")]), True)])
        self.ca_file.write_bytes(pem(server.certificate, self.root.certificate))
        chain = folder / "server.pem"
        chain.write_bytes(pem(leaf) + leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self._server = TLSServer(self.port, self._take, chain)

    @property
    def new_orders(self):
        """How many orders were placed."""
        return self.calls["new-order"]

    @property
    def issuer(self):
        """The issuer's configuration for aegis.yaml."""
        return {"type": "acme", "directory": self.url("directory"), "ca_file": str(self.ca_file)}

    def url(self, path):
        return f"https://localhost:{self.port}/{path}"

    def stop(self):
        self.ending.set()
        self._server.stop()

    # MARK: Answers

    def answer(self, method, path, body):
        kind, *rest = path.split("?")[0].strip("/").split("/")
        payload = None
        if method == "POST":
            text = json.loads(body)["payload"]
            payload = json.loads(base64.urlsafe_b64decode(text + "==") or b"null")
        with self._lock:
            self.calls[kind] += 1
            answer = getattr(self, "_" + kind.replace("-", "_"))(*rest, payload=payload)
            self.twist(kind, answer)
        return answer

    def _directory(self, payload):
        advice = {"renewalInfo": self.url("renewal")} if self.advice else {}
        return Answer({
            **advice, "newNonce": self.url("nonce"), "newAccount": self.url("account"), "newOrder": self.url("new-order"),
            "revokeCert": self.url("revoke"), "keyChange": self.url("key"), "meta": {"website": self.url("")}})

    def _renewal(self, certificate, payload):
        now = datetime.datetime.now(datetime.timezone.utc)
        stamps = [(now + datetime.timedelta(seconds=offset)).strftime("%Y-%m-%dT%H:%M:%SZ") for offset in self.advice]
        return Answer({"suggestedWindow": dict(zip(("start", "end"), stamps))})

    def _silence(self, payload):
        """Has no meaning but what a twist gives it."""
        return Answer()

    def _nonce(self, payload):
        return Answer()

    def _account(self, payload):
        return Answer({"status": "valid"}, 201, {"Location": self.url("account/1")})

    def _key(self, payload):
        return Answer()

    def _revoke(self, payload):
        return Answer()

    def _new_order(self, payload):
        number = len(self.orders) + 1
        self.orders[number] = {
            "status": "pending" if self.validates else "ready", "identifiers": payload["identifiers"],
            "authorizations": [self.url(f"authorization/{number}/{place}")
                               for place in range(len(payload["identifiers"]))],
            "finalize": self.url(f"finalize/{number}"), "expires": "2099-01-01T00:00:00Z",
            **{name: payload[name] for name in payload.keys() & {"replaces"}}}
        return Answer(dict(self.orders[number]), 201, {"Location": self.url(f"order/{number}")})

    def _order(self, number, payload):
        if int(number) not in self.orders:
            return Answer({"type": "urn:ietf:params:acme:error:malformed", "detail": "no such order"}, 404)
        return Answer(dict(self.orders[int(number)]))

    def _authorization(self, number, place, payload):
        order = self.orders[int(number)]
        status = "pending" if order["status"] == "pending" else "valid"
        return Answer({
            "status": status, "identifier": order["identifiers"][int(place)],
            "challenges": [{"type": "http-01", "status": status, "token": "a" * 30,
                            "url": self.url(f"challenge/{number}/{place}")}]})

    def _challenge(self, number, place, payload):
        self.orders[int(number)]["status"] = "ready"
        return Answer(self._authorization(number, place, None).body["challenges"][0])

    def _finalize(self, number, payload):
        order = self.orders[int(number)]
        if order["status"] != "ready":
            return Answer({"type": "urn:ietf:params:acme:error:orderNotReady", "detail": "not ready"}, 403)
        request = x509.load_der_x509_csr(base64.urlsafe_b64decode(payload["csr"] + "=="))
        self.issue(order, int(number), request.public_key())
        return Answer(dict(order))

    def issue(self, order, number, key):
        names = [x509.DNSName(one["value"]) for one in order["identifiers"]]
        self.issued.append(self.intermediate.sign(
            x509.Name([]), key, [(x509.SubjectAlternativeName(names), True)]))
        order["status"] = "valid"
        order["certificate"] = self.url(f"certificate/{len(self.issued)}")

    def _certificate(self, number, payload):
        return Answer(pem(self.issued[int(number) - 1], self.intermediate.certificate),
                      fields={"Content-Type": "application/pem-certificate-chain"})

    def _alternate(self, number, payload):
        return Answer(pem(self.issued[int(number) - 1], self.alternate.certificate),
                      fields={"Content-Type": "application/pem-certificate-chain"})

    # MARK: Requests

    def _take(self, handler, body):
        answer = self.answer(handler.command, handler.path.split("?")[0], body)
        if answer.stalls:
            self.ending.wait(PATIENCE)
        if answer.hangs_up or answer.stalls:
            handler.close_connection = True
            return
        is_json = isinstance(answer.body, (dict, list))
        content = json.dumps(answer.body).encode() if is_json else answer.body
        fields = {"Content-Type": "application/json" if is_json else "text/plain",
                  "Replay-Nonce": f"nonce-{time.monotonic_ns()}", **answer.fields}
        handler.send_response(answer.status)
        for name, value in [*fields.items(), *(("Link", link) for link in answer.links)]:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)
