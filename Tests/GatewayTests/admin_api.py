"""Sends requests to a gateway's admin API, as programs do."""

import json
import re
import subprocess

from client import Client, tls_context
from gateway import PATIENCE, PROGRAMS


def command(gateway, *arguments, expect=0):
    done = subprocess.run(
        [PROGRAMS / "aegis-apply", *arguments], cwd=gateway.folder, capture_output=True, text=True, timeout=PATIENCE * 3)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def make_token(gateway, name, *options):
    text = command(gateway, "admin", "token", "create", name, *options).strip()
    assert re.fullmatch(r"aegis_[\w-]{43}", text)
    return text


def connect(gateway):
    return Client(gateway.admin, tls=tls_context(gateway.root), name="localhost")


def ask(gateway, path, token=None, *fields, method="GET", host="127.0.0.1", body=None, send=None):
    """Sends a request on a new connection, and returns the answer. `host`: the Host field, without its port. `send`: a
    value to send as JSON."""
    if send is not None:
        body, fields = json.dumps(send).encode(), ("Content-Type: application/json", *fields)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{gateway.admin}", *fields]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    with connect(gateway) as client:
        answer = client.ask("\r\n".join(lines) + "\r\n\r\n", *([body] if body else []), method=method)
    if answer["Content-Type"] in ("application/json", "application/problem+json") and answer.body:
        answer.json = json.loads(answer.body)
        if answer.status >= 400:
            assert answer.json["status"] == answer.status and answer.json["request_id"] == answer["X-Request-Id"]
            answer.problem = answer.json["type"].rpartition(":")[2]
    return answer
