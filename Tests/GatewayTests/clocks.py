"""Clocks that are ahead."""

import contextlib
import glob
import os
import pathlib

import pytest

LIBRARY = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")

needs_faketime = pytest.mark.skipif(
    not LIBRARY or "AEGIS_SANITIZER" in os.environ,
    reason="faketime is not installed, or there is a sanitizer, which wants the same functions")


@contextlib.contextmanager
def ahead(days):
    """What runs a program with a clock that is days ahead.

    The faketime program would stay in between as a parent; its library alone does not. That adds to the environment of
    the first program, which moves it away from where Swift finds the arguments: so `env` is that one.
    """
    shared = pathlib.Path("/dev/shm")
    before = set(shared.glob("*faketime*"))
    yield ("env", f"LD_PRELOAD={LIBRARY[0]}", f"FAKETIME=+{days}d", "env")
    # Memory to share with children is left.
    for path in set(shared.glob("*faketime*")) - before:
        path.unlink()
