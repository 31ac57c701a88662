"""Fixtures that the gateway's tests share."""

import os
import pathlib
import subprocess

import pytest

import clocks
from gateway import Gateway
from origin import Origin
from reporting import parts
from tls_server import make_certificate
from vault import Front, Vault


def _run(folder, hosts, wrapper=(), **options):
    gateway = Gateway(folder, hosts, **options)
    parts.append(gateway)
    gateway.apply()
    return gateway.start(*wrapper)


@pytest.fixture
def run(tmp_path):
    """Starts gateways, and stops them at the end of the test."""
    running = []

    def start(hosts, **options):
        running.append(_run(tmp_path / f"gateway{len(running)}", hosts, **options))
        return running[-1]

    yield start
    for gateway in running:
        parts.remove(gateway)
        gateway.stop()


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """Starts gateways, and stops them at the end of the module."""
    running = []

    def start(hosts, **options):
        running.append(_run(tmp_path_factory.mktemp("gateway"), hosts, **options))
        return running[-1]

    yield start
    for gateway in running:
        parts.remove(gateway)
        gateway.stop()


@pytest.fixture
def make_origin():
    """Makes origins, and stops them at the end of the test."""
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
    """The module's origin, reset before each test."""
    module_origin.forget()
    return module_origin


@pytest.fixture(scope="module")
def certificate_files(tmp_path_factory):
    """The files of a certificate for 127.0.0.1 and of its key."""
    return make_certificate(tmp_path_factory.mktemp("upstream"))


@pytest.fixture
def clock(tmp_path):
    """A clock that the test moves ahead."""
    with clocks.moving(tmp_path / "clock") as clock:
        yield clock


def _preload_names(folder, monkeypatch):
    library, path = folder / "names.so", folder / "names"
    source = pathlib.Path(__file__).parent / "names.c"
    subprocess.run(["clang", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setenv("LD_PRELOAD", ":".join(filter(None, [str(library), os.environ.get("LD_PRELOAD")])))
    monkeypatch.setenv("SLOW_NAMES", str(path))
    return path


@pytest.fixture
def names(tmp_path, monkeypatch):
    """Gives gateways the name service of names.c. Returns the path of the file without which names below slow.test are not
    found."""
    return _preload_names(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def module_names(tmp_path_factory):
    """Gives a module's gateways the name service of names.c."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield _preload_names(tmp_path_factory.mktemp("names"), monkeypatch)


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    """A Vault for all tests of a module."""
    vault = Vault(tmp_path_factory.mktemp("vault") / "server")
    yield vault
    vault.stop()


@pytest.fixture
def own_vault(tmp_path):
    """A Vault for a test that disturbs it."""
    vault = Vault(tmp_path / "vault")
    yield vault
    vault.stop()


@pytest.fixture
def front(vault):
    """A proxy before the Vault, for one test."""
    front = Front(vault)
    yield front
    front.stop()
