"""Changes of the state, and upgrades of the program, under traffic by HTTP/2 and gRPC: every answer is whole, and every stream
ends in order."""

import os

import pytest

from grpc_server import Server
from http2_load import Http2Load, respond
from http2_origin import HTTP2Origin
from load import answer

APPLIES, UPGRADES = (200, 20) if os.environ.get("AEGIS_LONG") else (12, 3)
HOSTS = ["one.test", "two.test"]


@pytest.fixture
def other():
    made = HTTP2Origin()
    made.answer = respond
    yield made
    made.stop()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def gateway(run, make_origin, other, server):
    origin = make_origin()
    origin.answer = answer
    names = [*HOSTS, "calls.test"]
    return run(
        [{"domain": "one.test", "upstreams": [origin.url]},
         {"domain": "two.test", "upstreams": [other.url]},
         {"domain": "calls.test", "upstreams": [server.url]},
         {"domain": "changed.test", "respond": {"body": "0"}}],
        issuers={"lan": {"type": "local_ca"}}, certificates={"site": {"issuer": "lan", "domains": names}})


def test_applies_lose_no_request(gateway, other, figures):
    hosts = gateway.config["hosts"]
    with Http2Load(gateway, HOSTS, "calls.test") as load:
        for number in range(1, APPLIES + 1):
            match number % 4:
                case 1: hosts.append({"domain": f"extra{number}.test", "respond": {"body": f"{number}"}})
                case 2: hosts[0]["headers"] = hosts[1]["headers"] = {"response": {"set": {"X-Round": str(number)}}}
                # The upstream gets a new name, so its connections are replaced.
                case 3: hosts[1]["upstreams"] = [f"h2c://{'localhost' if number % 8 == 3 else '127.0.0.1'}:{other.port}"]
                case 0: hosts.pop()
            gateway.reload()
            load.await_more()
        # Changes concern the connections that are open: none has ended.
        assert load.ended == 0
    figures.append(f"HTTP/2: {APPLIES} applies under load: {load.requests} requests and {load.messages} messages, none lost")


def test_upgrades_lose_no_request(gateway, figures):
    with Http2Load(gateway, HOSTS, "calls.test") as load:
        for _ in range(UPGRADES):
            former = gateway.upgrade()
            assert former.wait(30) == 0
            load.await_more()
        assert load.ended >= UPGRADES
    figures.append(f"HTTP/2: {UPGRADES} upgrades under load: {load.requests} requests and {load.messages} messages, none lost")
