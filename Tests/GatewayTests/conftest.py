"""What the gateway's tests share. Logs of all gateways that a failed test has used are shown with the failure."""

import pytest

from gateway import Gateway
from origin import Origin

_started = []
_figures = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for gateway in _started:
            report.sections.append((f"log of {gateway.folder.name}", gateway.log[-6000:]))


def pytest_terminal_summary(terminalreporter):
    for figure in _figures:
        terminalreporter.write_line(figure)


@pytest.fixture
def figures():
    """What was measured, to be shown at the end."""
    return _figures


def _run(folder, hosts, **options):
    gateway = Gateway(folder, hosts, **options)
    _started.append(gateway)
    gateway.apply()
    return gateway.start()


@pytest.fixture
def run(tmp_path):
    """Runs gateways for one test."""
    running = []

    def start(hosts, **options):
        running.append(_run(tmp_path / f"gateway{len(running)}", hosts, **options))
        return running[-1]

    yield start
    for gateway in running:
        _started.remove(gateway)
        gateway.stop()


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """Runs gateways for all tests of a module."""
    running = []

    def start(hosts, **options):
        running.append(_run(tmp_path_factory.mktemp("gateway"), hosts, **options))
        return running[-1]

    yield start
    for gateway in running:
        _started.remove(gateway)
        gateway.stop()


@pytest.fixture
def make_origin():
    """Makes origins for one test."""
    made = []

    def make(**options):
        made.append(Origin(**options))
        return made[-1]

    yield make
    for origin in made:
        origin.stop()


@pytest.fixture(scope="module")
def module_origin():
    origin = Origin()
    yield origin
    origin.stop()


@pytest.fixture
def origin(module_origin):
    """The module's origin, knowing nothing of earlier tests."""
    module_origin.forget()
    return module_origin
