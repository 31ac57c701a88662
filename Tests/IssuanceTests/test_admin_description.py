"""The admin API held against its own description: programs that follow the OpenAPI document, and that break it, get no answer
outside the document, and never a 5xx."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from admin_api import ask, make_token
from authority import Holder, pem
from cloudflare import TOKEN, ZONE
from gateway import Gateway
from hosts import host
from reporting import parts

SECONDS = 600 if os.environ.get("AEGIS_LONG") else 60
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "use_after_free",
    "ensure_resource_availability"]
# Not ignored_auth: after ten wrong tokens this address would have to wait, and see nothing else.


def pairs():
    """Certificates with their keys, as they are sent."""
    for number in range(5):
        holder = Holder(f"p{number}.test", names=[f"p{number}.test"])
        yield {"cert_pem": pem(holder.certificate).decode(), "key_pem": holder.key_pem.decode()}


# What half of the requests are made of, since hardly any text made up is the name of a host.
GOOD = {
    "/api/v1/hosts": {
        "type": "object", "required": ["domain", "respond"], "additionalProperties": False,
        "properties": {
            "domain": {"type": "string", "pattern": r"^[a-z]{3,8}[.]test$"}, "enabled": {"type": "boolean"},
            "respond": {"type": "object", "additionalProperties": False}}},
    "/api/v1/certificates": {"enum": list(pairs())},
    "/api/v1/certificates/cloudflare-origin": {
        "type": "object", "required": ["api_token", "zone_id", "hostnames"], "additionalProperties": False,
        "properties": {
            "api_token": {"const": TOKEN}, "zone_id": {"const": ZONE}, "requested_validity": {"enum": [7, 90]},
            "hostnames": {
                "type": "array", "minItems": 1, "maxItems": 1,
                "items": {"type": "string", "pattern": r"^[a-z]{3,8}[.]example[.]test$"}}}},
}


@pytest.mark.timeout(SECONDS * 2 + 120)
def test_each_answer_is_one_of_the_document(tmp_path, cloudflare, figures):
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
        for path, good in GOOD.items():
            content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            content["schema"] = {"anyOf": [good, content["schema"]]}
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        done = subprocess.run(
            [pathlib.Path(sys.executable).parent / "schemathesis", "run", "openapi.json",
             "--url", f"https://localhost:{gateway.admin}", "--tls-verify", gateway.root,
             "--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS), "--max-time", str(SECONDS),
             "--continue-on-failure", "--warnings", "off", "--no-color"],
            cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS * 2 + 60)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
        covered = int(re.search(r"API Links: +(\d+) covered", done.stdout)[1])
        made = ask(gateway, "/api/v1/events?limit=1000", token).json["items"]
        assert covered > 5 and "create" in {event["action"] for event in made}, done.stdout[-3000:]
        figures.append(re.search(r"\d+ generated.*", done.stdout)[0] + f" by schemathesis, {covered} links followed")
        assert gateway.ask("/healthz")[0] == 200 and "internal" not in gateway.log
    finally:
        parts.remove(gateway)
        gateway.stop()
