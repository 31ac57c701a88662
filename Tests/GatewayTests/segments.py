"""What the kernel does with TCP segments: losing them, as a network might, and how much is on its way."""

import ctypes
import pathlib
import socket
import struct

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27


class _Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def lose(end, beyond):
    """Has a socket lose segments with more than so many bytes, before anything acknowledges them: they come again later. What
    a listener accepts does the same."""
    steps = [
        (0x30, 0, 0, 12), (0x54, 0, 0, 0xF0), (0x74, 0, 0, 2),  # the length of the header (RFC 9293 section 3.1)
        (0x04, 0, 0, beyond), (0x07, 0, 0, 0),
        (0x80, 0, 0, 0), (0x2D, 1, 0, 0),  # whether the segment is longer than that and so many bytes
        (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(_Program(len(steps), ctypes.addressof(code))))


def hear(end):
    """Ends that."""
    end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def under_way(port):
    """How many bytes are on their way to a port of this machine that nobody has acknowledged (proc_pid_net(5))."""
    total = 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, queues, *_ = line.split()
        if int(remote.split(":")[1], 16) == port:
            total += int(queues.split(":")[0], 16)
    return total
