"""A local stand-in for Cloudflare's certificate API, as documentation and clients describe it, over real HTTPS.

It checks credentials, parses and verifies certificate signing requests, issues with its own CA, and refuses as Cloudflare
does: in its envelope, with its codes and a CF-Ray field.
"""

import itertools
import json
import re
import threading
import urllib.parse
import uuid

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cloudflare_ca import Authority, now, pem
from proxy import TLSServer

ZONE = "0123456789abcdef0123456789abcdef"
TOKEN = "planted-5ecret-t0ken"
VALIDITIES = (7, 30, 90, 365, 730, 1095, 5475)
PACK_VALIDITIES = (14, 30, 90, 365)
STEPS = ("initializing", "pending_validation", "pending_issuance", "pending_deployment", "active")


class Refusal(Exception):
    """An answer that reports a failure."""

    def __init__(self, status, code, message, pointer=None, **fields):
        self.status, self.code, self.message, self.pointer = status, code, message, pointer
        self.fields = {name.replace("_", "-"): value for name, value in fields.items()}


class Call:
    """One call of the API. A fault is a function of a call."""

    def __init__(self, handler, cloudflare, body):
        self._handler, self._cloudflare, self._body = handler, cloudflare, body
        self.method = handler.command
        self.path, _, query = handler.path.removeprefix("/client/v4").partition("?")
        self.query = dict(urllib.parse.parse_qsl(query))

    @property
    def body(self):
        return json.loads(self._body)

    def carry_out(self):
        """Performs the call: status, header fields and envelope of the answer."""
        try:
            self._cloudflare.authenticate(self._handler.headers)
            result, info = self._cloudflare.route(self)
            return 200, {}, {"success": True, "errors": [], "messages": [], "result": result, **info}
        except Refusal as refusal:
            error = {"code": refusal.code, "message": refusal.message}
            if refusal.pointer:
                error["source"] = {"pointer": refusal.pointer}
            envelope = {"success": False, "errors": [error], "messages": [], "result": None}
            return refusal.status, refusal.fields, envelope

    def answer(self, status, fields, envelope):
        self.send(status, json.dumps(envelope).encode(), **fields)

    def send(self, status, body, **fields):
        """Sends exactly these bytes as the answer."""
        handler = self._handler
        handler.send_response(status)
        for name, value in {"CF-Ray": "8f2c1ab34cd5-TXL", "Content-Type": "application/json", **fields}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        self._cloudflare.calls.append((self.method, self.path, status))

    def send_without_end(self, piece):
        """Sends an answer for as long as the client reads it."""
        handler = self._handler
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        while True:
            handler.wfile.write(piece)

    def hang_up(self):
        """Closes the connection without an answer."""
        self._cloudflare.calls.append((self.method, self.path, None))
        self._handler.close_connection = True


# Faults.


def lose(call):
    """A fault: performs the call and loses the answer."""
    call.carry_out()
    call.hang_up()


def ends_with(process, *, after):
    """A fault that kills a process at a call: before the call is performed, or after."""
    def fault(call):
        if after:
            call.carry_out()
        process().kill()
        process().wait()
        call.hang_up()

    return fault


class Cloudflare:
    def __init__(self, folder):
        folder.mkdir()
        authority, self._origin = Authority("Cloudflare's API"), Authority("Origin CA")
        self.ca_file, self.origin_root = folder / "api.pem", folder / "origin.pem"
        self.ca_file.write_text(pem(authority.certificate))
        self.origin_root.write_text(pem(self._origin.certificate))
        authority.server(folder / "server.pem")
        self.tokens, self.service_keys = {TOKEN}, set()
        self.zones = {ZONE: "example.test"}
        self.without_manager = set()
        self.calls = []
        self.certificates, self.packs = {}, {}
        # The states of a pack; each time a pack is read it goes one step further.
        self.steps = STEPS
        self._faults = []
        self._numbers = itertools.count(40_000_000)
        self._lock = threading.RLock()
        self._server = TLSServer(
            0, lambda handler, body: self.take(Call(handler, self, body)), folder / "server.pem")
        self.base_url = f"https://localhost:{self._server.server_port}/client/v4"

    @property
    def place(self):
        """The members of aegis.yaml that say where the API is."""
        return {"base_url": self.base_url, "ca_file": str(self.ca_file)}

    def stop(self):
        self._server.stop()

    # Faults.

    def on_call(self, method, part, fault, times=1):
        """Gives the next calls of a method whose paths contain `part` to a fault."""
        self._faults += [(method, part, fault)] * times

    def refuse(self, method, part, status, code, message, times=1, **fields):
        """Refuses the next calls of a method whose paths contain `part`."""
        envelope = {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": None}
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        self.on_call(method, part, lambda call: call.answer(status, fields, envelope), times)

    def take(self, call):
        with self._lock:
            fault = next((fault for fault in self._faults if fault[0] == call.method and fault[1] in call.path), None)
            if fault:
                self._faults.remove(fault)
        if fault:
            fault[2](call)
        else:
            with self._lock:
                answer = call.carry_out()
            call.answer(*answer)

    def said(self, method, part=""):
        """The recorded calls of a method whose paths contain `part`."""
        return [call for call in self.calls if call[0] == method and part in call[1]]

    # The API.

    def authenticate(self, fields):
        kind, _, token = (fields.get("Authorization") or "").partition(" ")
        if kind == "Bearer" and token in self.tokens:
            return
        if fields.get("X-Auth-User-Service-Key") in self.service_keys:
            return
        raise Refusal(403, 10000, "Authentication error")

    def route(self, call):
        if call.path == "/certificates":
            return self._issue(call.body) if call.method == "POST" else self._list_certificates(call.query)
        if match := re.fullmatch("/certificates/([0-9]+)", call.path):
            return self._certificate(call.method, match[1])
        if match := re.fullmatch("/zones/([0-9a-f]{32})/ssl/certificate_packs(/[^/]+)?", call.path):
            if match[1] not in self.zones:
                raise Refusal(404, 7003, "Could not route to the zone")
            return self._pack_calls(call, match[1], (match[2] or "").removeprefix("/"))
        raise Refusal(404, 7003, "Could not route to that path")

    @staticmethod
    def _page(items, query):
        size, number = min(int(query.get("per_page", 20)), 50), int(query.get("page", 1))
        shown = items[(number - 1) * size:number * size]
        return shown, {"result_info": {
            "page": number, "per_page": size, "count": len(shown), "total_count": len(items),
            "total_pages": -(-len(items) // size)}}

    # Certificates of the Origin CA.

    def _issue(self, body):
        try:
            request = x509.load_pem_x509_csr(body["csr"].encode())
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, x509.ExtensionNotFound):
            raise Refusal(400, 1002, "Could not parse the certificate signing request", "/csr") from None
        if not request.is_signature_valid:
            raise Refusal(400, 1002, "The signing request is not signed with its key", "/csr")
        key = request.public_key()
        fits = {"origin-rsa": isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048,
                "origin-ecc": isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"}
        if not fits.get(body["request_type"]):
            raise Refusal(400, 1005, "The key is not of the requested type", "/request_type")
        if set(names.get_values_for_type(x509.DNSName)) != set(body["hostnames"]) or len(body["hostnames"]) > 200:
            raise Refusal(400, 1010, "The names are not those of the request", "/hostnames")
        if body["requested_validity"] not in VALIDITIES:
            raise Refusal(400, 1006, "The validity is none of those offered", "/requested_validity")
        return self._store(self._origin.issue(key, names, body["requested_validity"]), body), {}

    def _store(self, certificate, body):
        number = str(next(self._numbers))
        ends = certificate.not_valid_after_utc
        # Cloudflare writes times in both forms.
        form = "%Y-%m-%dT%H:%M:%SZ" if int(number) % 2 else "%Y-%m-%d %H:%M:%S +0000 UTC"
        self.certificates[number] = {**body, "id": number, "certificate": pem(certificate),
                                     "expires_on": ends.strftime(form)}
        return self.certificates[number]

    def issue_elsewhere(self, key, names, days=90):
        """A certificate, as text, like one that somebody else has requested."""
        return pem(self._origin.issue(key, x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), days))

    def _list_certificates(self, query):
        if query.get("zone_id") not in self.zones:
            raise Refusal(400, 1004, "A zone is needed", "/zone_id")
        apex = self.zones[query["zone_id"]]
        shown = [{**certificate, "requested_validity": certificate["requested_validity"] - 1}
                 for certificate in self.certificates.values()
                 if any(name == apex or name.endswith("." + apex) for name in certificate["hostnames"])]
        return self._page(shown, query)

    def _certificate(self, method, number):
        certificate = self.certificates.get(number)
        if not certificate:
            raise Refusal(404, 1101, "Failed to find the requested certificate")
        if method == "DELETE":
            if "revoked_at" in certificate:
                raise Refusal(400, 1014, "The certificate has been revoked")
            self.revoke(number)
            return {"id": number, "revoked_at": certificate["revoked_at"]}, {}
        return certificate, {}

    def revoke(self, number):
        self.certificates[number]["revoked_at"] = now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def expire(self, number):
        """Replaces a certificate by one that has expired."""
        certificate = self.certificates[number]
        request = x509.load_pem_x509_csr(certificate["csr"].encode())
        certificate["certificate"] = self.issue_elsewhere(request.public_key(), certificate["hostnames"], days=0)

    @property
    def valid(self):
        """The identifiers of the certificates that are not revoked."""
        return [number for number, certificate in self.certificates.items() if "revoked_at" not in certificate]

    # Certificate packs.

    def _pack_calls(self, call, zone, rest):
        if rest == "order":
            return self._order(zone, call.body), {}
        if not rest:
            # A request that does not ask for all packs lists those in force only.
            shown = [pack for pack in self.packs.values()
                     if pack["zone"] == zone and (call.query.get("status") == "all" or pack["status"] == "active")]
            return self._page(shown, call.query)
        pack = self.packs.get(rest)
        if not pack:
            raise Refusal(404, 1453, "The certificate pack does not exist")
        if call.method == "DELETE":
            del self.packs[rest]
            return {"id": rest}, {}
        if call.method == "PATCH":
            if pack["status"] != "validation_timed_out":
                raise Refusal(400, 1452, "Validation can't be restarted now")
            pack["status"] = "pending_validation"
        elif pack["status"] in self.steps[:-1]:
            pack["status"] = self.steps[self.steps.index(pack["status"]) + 1]
        if pack["status"] == "active":
            pack["certificates"] = [{"id": str(uuid.uuid4()), "hosts": pack["hosts"], "status": "active",
                                     "expires_on": "2027-05-01T00:00:00Z"}]
        return pack, {}

    def _order(self, zone, body):
        if zone in self.without_manager:
            raise Refusal(403, 1450, "The zone has no Advanced Certificate Manager subscription")
        if self.zones[zone] not in body["hosts"] or len(body["hosts"]) > 50:
            raise Refusal(400, 1436, "The hosts must have the zone's apex among them", "/hosts")
        if body["certificate_authority"] == "lets_encrypt" and body["validity_days"] != 90:
            raise Refusal(400, 1437, "Let's Encrypt issues for 90 days", "/validity_days")
        offered = {"type": ("advanced",), "certificate_authority": ("google", "lets_encrypt", "ssl_com"),
                   "validation_method": ("txt", "http", "email"), "validity_days": PACK_VALIDITIES}
        for field, values in offered.items():
            if body[field] not in values:
                raise Refusal(400, 1438, f"The {field} is none of those offered", f"/{field}")
        record = {"status": "pending", **self._record(body["validation_method"], self.zones[zone])}
        pack = {**body, "id": str(uuid.uuid4()), "zone": zone, "status": self.steps[0], "certificates": [],
                "validation_records": [record], "validation_errors": []}
        self.packs[pack["id"]] = pack
        return pack

    @staticmethod
    def _record(method, apex):
        """The record that the operator must set for a validation, or the addresses that get its e-mail."""
        return {"txt": {"txt_name": f"_acme-challenge.{apex}", "txt_value": "x-y_z"},
                "http": {"http_url": f"http://{apex}/.well-known/pki-validation/x.txt", "http_body": "x-y_z"},
                "email": {"emails": [f"admin@{apex}"]}}[method]
