"""The gateway where /proc is empty, as in a minimal chroot: it serves, upgrades, and reports no invented numbers."""

import pytest

from client import Client
from gateway import Gateway

WITHOUT_PROC = [
    "unshare", "--map-root-user", "--mount", "--propagation", "private",
    "sh", "-c", 'mount -t tmpfs none /proc && exec "$0" "$@"',
]


@pytest.fixture
def gateway(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "hello"}}])
    gateway.apply()
    gateway.start(*WITHOUT_PROC)
    yield gateway
    gateway.stop()


def test_the_gateway_serves_and_hands_over_without_proc(gateway):
    gateway.upgrade()
    with Client(gateway.http) as client:
        assert client.get("app.test").body == b"hello"


def test_unknown_values_are_left_out_of_the_metrics(gateway):
    metrics = gateway.ask("/metrics")[1]
    assert "\nprocess_cpu_seconds_total " in metrics and "\nprocess_max_fds " in metrics
    for name in ["process_open_fds", "process_resident_memory_bytes", "process_virtual_memory_bytes"]:
        assert name not in metrics
