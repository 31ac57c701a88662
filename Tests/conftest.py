"""What all Python tests share: the logs of all programs that a failed test has used are shown with the failure."""

import pathlib
import signal
import sys

import pytest

# Programs inherit what is ignored, and aegis-apply keeps to it: under nohup no test could end it by SIGHUP, and as a job of a
# script's background not by SIGINT either.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

sys.path.insert(0, str(pathlib.Path(__file__).parent / "GatewayTests"))

import reporting  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for part in reporting.parts:
            report.sections.append((f"log of {part.log_path}", part.log[-6000:]))


def pytest_sessionfinish(session):
    """Passes a worker process's measurements to the main process, which shows them."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = reporting.figures


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    reporting.figures += getattr(node, "workeroutput", {}).get("figures", [])


def pytest_terminal_summary(terminalreporter):
    for figure in reporting.figures:
        terminalreporter.write_line(figure)


@pytest.fixture
def figures():
    """A list of measurements, shown at the end."""
    return reporting.figures
