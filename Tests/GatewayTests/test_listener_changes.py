"""Listeners that are added, moved and removed while the gateway serves: no connection is lost."""

import socket
import threading

import pytest

from client import Client
from gateway import eventually, free_port
from handshake import served
from shop import load_upstream, shop_gateway

upstream = pytest.fixture(load_upstream)
gateway = pytest.fixture(shop_gateway)


class Callers:
    """Clients that connect one after the other, some of which wait a while before their first byte."""

    def __init__(self, port, expected):
        self.port, self.expected = port, expected
        self.ending = threading.Event()
        self.served, self.faults = 0, []
        self.threads = [threading.Thread(target=self._call, args=(pause,)) for pause in (0, 0, 0.05, 0.3)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _call(self, pause):
        while not self.ending.is_set():
            try:
                with Client(self.port) as client:
                    self.ending.wait(pause)
                    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
                    status = client.response().status
                assert status in self.expected, status
                self.served += 1
            except (OSError, ValueError, AssertionError) as fault:
                self.faults.append(repr(fault))

    def await_more(self):
        before = self.served
        eventually("more of them", lambda: self.served >= before + 20)


def test_a_removed_listener_lets_its_connections_finish(gateway, upstream):
    port = free_port()
    gateway.config["gateway"]["http"].append(f"127.0.0.1:{port}")
    gateway.reload()
    with Client(port) as client:
        assert client.get("shop.test").body == b"shop"
        gateway.config["gateway"]["http"].pop()
        gateway.reload()
        with pytest.raises(ConnectionRefusedError):
            Client(port)
        assert client.get("shop.test").body == b"shop"


def test_an_address_that_is_taken_is_a_problem_until_it_is_free(gateway):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway.config["gateway"]["http"].append(f"127.0.0.1:{port}")
        gateway.reload()
        gateway.await_log(f"can't listen at 127.0.0.1:{port}", "in use")
        assert served(gateway.https, "shop.test")
    with eventually("the listener", lambda: connection_to(port)) as client:
        assert client.get("shop.test").body == b"shop"


def test_a_gateway_without_any_address_says_that_no_host_is_served(gateway):
    gateway.stop()
    taken = [socket.create_server(("127.0.0.1", port)) for port in (gateway.http, gateway.https)]
    gateway.launch()
    gateway.await_log("error", "no host is served")
    for listener in taken:
        listener.close()
    gateway.await_ready()
    assert served(gateway.https, "shop.test")


def connection_to(port):
    try:
        return Client(port)
    except ConnectionRefusedError:
        return None


@pytest.mark.parametrize("key", ["http", "https"])
def test_an_address_that_changes_on_its_port_loses_no_connection(gateway, key):
    port = getattr(gateway, key)
    # A plain request to a port of TLS gets an answer that says so.
    with Callers(port, (200,) if key == "http" else (400,)) as callers:
        callers.await_more()
        former = f"127.0.0.1:{port}"
        for text in [f":{port}", f"127.0.0.1:{port}", f"0.0.0.0:{port}", f":{port}", f"127.0.0.1:{port}"]:
            gone = gateway.log.count(f"no longer listening at {former}")
            gateway.config["gateway"][key] = [text]
            gateway.reload()
            callers.await_more()
            eventually("the end of the former", lambda: gateway.log.count(f"no longer listening at {former}") > gone)
            callers.await_more()
            former = text
    assert not callers.faults, callers.faults[:5]
    assert "can't listen" not in gateway.log
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_an_undone_change_keeps_the_address_open(gateway):
    with Callers(gateway.http, (200,)) as callers:
        for text in [f":{gateway.http}", f"127.0.0.1:{gateway.http}"] * 3:
            gateway.config["gateway"]["http"] = [text]
            gateway.reload()
        eventually("the end of the other", lambda: f"no longer listening at :{gateway.http}" in gateway.log)
        callers.await_more()
    assert not callers.faults, callers.faults[:5]


def test_a_client_that_sends_late_is_served_even_if_the_address_changes(gateway):
    gateway.config["gateway"]["http"] = [f":{gateway.http}"]
    gateway.reload()
    with Client(gateway.http) as client:
        gateway.config["gateway"]["http"] = [f"127.0.0.1:{gateway.http}"]
        gateway.reload()
        gateway.await_log(f"no longer listening at :{gateway.http}")
        assert client.get("shop.test").body == b"shop"


def test_swapped_ports_of_http_and_https_refuse_no_connection(gateway):
    http, https = gateway.http, gateway.https
    with Callers(http, (200, 400)) as first, Callers(https, (200, 400)) as second, Client(http) as kept:
        assert kept.get("shop.test").status == 200
        for _ in range(4):
            settings = gateway.config["gateway"]
            settings["http"], settings["https"] = settings["https"], settings["http"]
            gateway.reload()
            first.await_more()
            second.await_more()
        assert not first.faults and not second.faults, (first.faults + second.faults)[:5]
        settings["http"], settings["https"] = settings["https"], settings["http"]
        gateway.reload()
        assert served(http, "shop.test")
        assert kept.get("shop.test").body == b"shop"
    with Client(https) as client:
        assert client.get("shop.test").body == b"shop"


def test_an_address_stays_open_until_its_replacement_is_available(gateway):
    """192.0.2.1 belongs to no machine (RFC 5737)."""
    gateway.config["gateway"]["http"] = [f"192.0.2.1:{gateway.http}"]
    gateway.reload()
    gateway.await_log("can't listen at 192.0.2.1")
    with Client(gateway.http) as client:
        assert client.get("shop.test").body == b"shop"
    gateway.config["gateway"]["http"] = [f":{gateway.http}"]
    gateway.reload()
    gateway.await_log(f"no longer listening at 127.0.0.1:{gateway.http}")
    with Client(gateway.http) as client:
        assert client.get("shop.test").body == b"shop"
