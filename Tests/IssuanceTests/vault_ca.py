"""An OpenBao server in development mode with its own CA, and a proxy before it that records calls."""

import collections
import http.client
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading

from authority import CLIENT, SERVER, Holder, pem
from gateway import PATIENCE, eventually, free_port

PROGRAM = pathlib.Path(os.environ.get("AEGIS_BAO", ".build/test-venv/bin/bao")).resolve()


class Call:
    """A call on its way to Vault. A fault is a function of a call."""

    def __init__(self, vault, handler):
        self._vault, self._handler = vault, handler
        self.method, self.path = handler.command, handler.path.removeprefix("/v1/")
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))

    @property
    def json(self):
        return json.loads(self.body)

    def pass_on(self):
        """Passes the call on. Returns Vault's answer, which is not yet sent to the client."""
        headers = {
            name: value for name, value in self._handler.headers.items() if name.lower() not in ("host", "connection")}
        return self._vault.raw(self.method, self.path, self.body, headers)

    def answer(self, status, body):
        self._handler.send_response(status)
        self._handler.send_header("Content-Type", "application/json")
        self._handler.send_header("Content-Length", str(len(body)))
        self._handler.end_headers()
        self._handler.wfile.write(body)

    def hang_up(self):
        self._handler.close_connection = True


class Vault:
    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._own, self._tls, self.port = free_port(), free_port(), free_port()
        self._authority = Holder("Vault's TLS", is_ca=True)
        self.tls_root = self._folder / "tls-root.pem"
        self.tls_root.write_bytes(pem(self._authority.certificate))
        own = Holder("vault", self._authority, names=["localhost", "127.0.0.1"], purposes=[SERVER])
        (self._folder / "server.hcl").write_text(
            f'listener "tcp" {{\n  address = "127.0.0.1:{self._tls}"\n'
            f'  tls_cert_file = "{own.write(self._folder / "tls.pem")}"\n  tls_key_file = "{self._folder / "tls.pem"}"\n}}\n')
        log = self._folder / "log"
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                [PROGRAM, "server", "-dev", f"-dev-listen-address=127.0.0.1:{self._own}", "-dev-root-token-id=root",
                 "-dev-no-store-token", f"-config={self._folder / 'server.hcl'}"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={"HOME": str(folder)})
        self._unseal_key = eventually(
            "Vault", lambda: (found := re.search(rb"Unseal Key: (\S+)", log.read_bytes())) and found[1].decode(),
            patience=60)
        eventually("Vault's API", self._answers)
        self.reset()
        self._make_authority()
        for method in ("approle", "cert"):
            self.set(f"sys/auth/{method}", type=method)
        self._port = None
        self.open()

    def _answers(self):
        try:
            return self.raw("GET", "sys/health", b"", {})[0] == 200
        except OSError:
            return False

    def _make_authority(self):
        for mount in ("root", "pki"):
            self.set(f"sys/mounts/{mount}", type="pki", config={"max_lease_ttl": "8760h"})
        self.set("root/root/generate/internal", common_name="A root", ttl="8000h", key_type="ec")
        csr = self.set("pki/intermediate/generate/internal", common_name="A CA", key_type="ec")["data"]["csr"]
        signed = self.set("root/root/sign-intermediate", csr=csr, common_name="A CA", ttl="7000h")["data"]
        self.set("pki/intermediate/set-signed", certificate=signed["certificate"] + "\n" + signed["issuing_ca"])
        self._root = self._folder / "root.pem"
        self._root.write_text(signed["issuing_ca"])
        self.role("web")

    def reset(self):
        """Forgets recorded calls and faults."""
        self.calls, self._faults = [], collections.deque()

    def root(self):
        return self._root

    # Calls of Vault's operator.

    def raw(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self._own, timeout=PATIENCE)
        try:
            connection.request(method, f"/v1/{path}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def call(self, method, path, body=None):
        status, text = self.raw(method, path, json.dumps(body or {}).encode(), {"X-Vault-Token": "root"})
        return status, json.loads(text) if text else None

    def set(self, path, **body):
        status, data = self.call("POST", path, body)
        assert status in (200, 204), (path, status, data)
        return data

    def role(self, name, **settings):
        self.set(f"pki/roles/{name}", **{
            "allowed_domains": "test", "allow_subdomains": True, "allow_bare_domains": True, "key_type": "any",
            "max_ttl": "2000h", "ttl": "1000h", **settings})

    def policy(self, name, *paths):
        self.set(f"sys/policies/acl/{name}", policy="\n".join(
            f'path "{path}" {{ capabilities = ["update"] }}' for path in paths))

    def token(self, *paths):
        """A token that may call these paths."""
        self.policy("of-token", *paths)
        return self.set("auth/token/create", policies=["of-token"], ttl="1h")["auth"]["client_token"]

    def app_role(self, *paths):
        """The role identifier and secret of an AppRole that may call these paths."""
        self.policy("of-role", *paths)
        self.set("auth/approle/role/aegis", token_policies="of-role", token_ttl="1h")
        role = self.call("GET", "auth/approle/role/aegis/role-id")[1]["data"]["role_id"]
        return role, self.set("auth/approle/role/aegis/secret-id")["data"]["secret_id"]

    def identity(self, certificate, key, *paths):
        """Writes a certificate and a key with which a client may log in and call these paths."""
        self.policy("of-identity", *paths)
        clients = Holder("Clients", is_ca=True)
        client = Holder("edge-1", clients, names=["edge-1.test"], purposes=[CLIENT])
        self.set("auth/cert/certs/edge", certificate=pem(clients.certificate).decode(), token_policies="of-identity")
        certificate.write_bytes(pem(client.certificate))
        key.write_bytes(client.key_pem)

    def revoke_tokens_of_roles(self):
        """Revokes all tokens of AppRole logins."""
        self.set("sys/leases/revoke-prefix/auth/approle")

    def seal(self):
        self.set("sys/seal")

    def unseal(self):
        self.set("sys/unseal", key=self._unseal_key)
        eventually("an unsealed Vault", self._answers)

    def revoked(self, serial):
        """Whether a certificate is revoked; its serial number is in hex."""
        text = "-".join(serial[index:index + 2] for index in range(0, len(serial), 2))
        return self.call("GET", f"pki/cert/{text}")[1]["data"]["revocation_time"] > 0

    # Calls of Vault's clients.

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_address(self):
        """The address of the server itself, which asks clients for certificates."""
        return f"https://127.0.0.1:{self._tls}"

    @property
    def signed(self):
        """The bodies of all signing requests so far."""
        return [call.json for call in self.calls if "/sign/" in call.path]

    def on_call(self, part, fault):
        """Calls `fault(call)` once, in place of Vault, for the next call whose path contains `part`."""
        self._faults.append((part, fault))

    def open(self):
        """Starts to listen."""
        vault = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def carry_out(self):
                call = Call(vault, self)
                vault.calls.append(call)
                try:
                    for index, (part, fault) in enumerate(vault._faults):
                        if part in call.path:
                            del vault._faults[index]
                            return fault(call)
                    call.answer(*call.pass_on())
                except OSError:
                    call.hang_up()

            do_GET = do_POST = do_PUT = carry_out

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # the client was killed

        self._port = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._port.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        """Stops listening: connections are refused."""
        self._port.shutdown()
        self._port.server_close()

    def stop(self):
        self.close()
        self._server.kill()
        self._server.wait()
