"""The admin API held against its own description: programs that follow the OpenAPI document, and that break it, get no answer
outside the document, and never a 5xx."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from admin_api import ask, make_token
from gateway import Gateway
from hosts import host
from reporting import parts

SECONDS = 600 if os.environ.get("AEGIS_LONG") else 60
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "use_after_free",
    "ensure_resource_availability", "ignored_auth"]


@pytest.mark.timeout(SECONDS * 2 + 120)
def test_each_answer_is_one_of_the_document(tmp_path, cloudflare):
    gateway = Gateway(
        tmp_path / "gateway", [host("app.test", ssl_mode="custom", certificate="site")],
        issuers={"lan": {"type": "local_ca"}}, certificates={"site": {"issuer": "lan", "domains": ["app.test"]}})
    gateway.config["gateway"]["admin"] = {"listen": f"127.0.0.1:{gateway.admin}", "cloudflare": cloudflare.place}
    parts.append(gateway)
    gateway.apply()
    gateway.start()
    try:
        token = make_token(gateway, "program", "--scope", "write")
        document = ask(gateway, "/api/v1/openapi.json", token).json
        # An answer without an end is no case for a tool that waits for the end of each.
        del document["paths"]["/api/v1/events/stream"]
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        done = subprocess.run(
            [pathlib.Path(sys.executable).parent / "schemathesis", "run", "openapi.json",
             "--url", f"https://localhost:{gateway.admin}", "--tls-verify", gateway.root,
             "--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS), "--max-time", str(SECONDS),
             "--continue-on-failure", "--warnings", "off", "--no-color"],
            cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS * 2 + 60)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
        assert "stateful" in done.stdout.lower()
        assert gateway.ask("/healthz")[0] == 200 and "internal" not in gateway.log
    finally:
        parts.remove(gateway)
        gateway.stop()
