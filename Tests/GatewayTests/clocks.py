"""Clocks that are ahead of the machine's."""

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
    """The command prefix that runs a program with its clock some days ahead.

    It loads libfaketime itself, since the program faketime would remain as a parent process. The library moves the
    environment of the first program, beside which Swift looks for the arguments. So the first program is `env`.
    """
    with _tidied():
        yield ("env", f"LD_PRELOAD={LIBRARY[0]}", f"FAKETIME=+{days}d", "env")


class MovingClock:
    """A clock that a test moves ahead while programs use it."""

    def __init__(self, path):
        self._path = path
        self.wrapper = (
            "env", f"LD_PRELOAD={LIBRARY[0]}", f"FAKETIME_TIMESTAMP_FILE={path}", "FAKETIME_NO_CACHE=1", "env")
        self.set(0)

    def set(self, seconds):
        """Sets the clock so many seconds ahead of the machine's; the programs' monotonic clocks move too."""
        beside = self._path.with_suffix(".new")
        beside.write_text(f"+{seconds}\n")
        beside.rename(self._path)


@contextlib.contextmanager
def moving(path):
    """A clock whose time is in the file at `path`."""
    with _tidied():
        yield MovingClock(path)


@contextlib.contextmanager
def _tidied():
    """Removes the shared memory that libfaketime leaves behind."""
    shared = pathlib.Path("/dev/shm")
    before = set(shared.glob("*faketime*"))
    yield
    for path in set(shared.glob("*faketime*")) - before:
        path.unlink(missing_ok=True)
