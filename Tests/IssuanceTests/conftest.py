"""What the tests of issuance share: gateways and CAs. Logs are shown with the failure."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "GatewayTests"))

from gateway import Gateway  # noqa: E402
from pebble import Pebble  # noqa: E402
from stand import Stand  # noqa: E402

_parts = []
_figures = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for part in _parts:
            report.sections.append((f"log of {part.log_path}", part.log[-6000:]))


def pytest_terminal_summary(terminalreporter):
    for figure in _figures:
        terminalreporter.write_line(figure)


@pytest.fixture
def figures():
    """What was measured, to be shown at the end."""
    return _figures


@pytest.fixture
def site(tmp_path):
    """Makes a gateway's folder with a CA that validates at its ports; neither is applied or started yet."""
    made = []

    def make(hosts, gateway=None, issuer=None, ca=None, name="gateway", **sections):
        instance = Gateway(tmp_path / name, hosts, gateway=gateway, **sections)
        pebble = Pebble(tmp_path / f"{name}-ca", instance.http, instance.https, **(ca or {}))
        instance.config.setdefault("issuers", {})["letsencrypt"] = {**pebble.issuer, **(issuer or {})}
        made.extend([instance, pebble])
        _parts.extend([instance, pebble])
        return instance, pebble

    yield make
    for part in made:
        _parts.remove(part)
        part.stop()


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """A CA behind a proxy, for all tests of a module."""
    made = Stand(tmp_path_factory.mktemp("stand"))
    _parts.append(made.ca)
    yield made
    _parts.remove(made.ca)
    made.stop()
