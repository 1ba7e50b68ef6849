# SPDX-License-Identifier: GPL-2.0-only
"""A disk that can stop answering: a loop device over a file of a FUSE file system, whose only file
is its root. The program below is that file system; stopped by a signal it is a disk that hangs, and
who writes to it waits as for a real one. Ended, whatever waits gets an error, and the device goes.

As a program: disk.py PATH, an existing file that is mounted upon. Says "ready" once it is there.
"""

import fcntl
import os
import signal
import struct
import subprocess
import sys

BYTES = 8 << 20
MAX_WRITE = 128 << 10
NODE = 1  # the root
# linux/fuse.h: opcodes, and the few structures that are answered.
GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 3, 4, 14, 15, 16, 17, 18, 20, 25, 26
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42
IN_HEADER, OUT_HEADER = struct.Struct("=IIQQIIII"), struct.Struct("=IiQ")
ATTRIBUTES = struct.Struct("=QQQQQQIIIIIIIIII")
# linux/loop.h
LOOP_CTL_GET_FREE, LOOP_CONFIGURE = 0x4C82, 0x4C0A
LOOP_CONFIG_BYTES, FLAGS_AT, AUTOCLEAR = 304, 60, 4
ENOSYS, EBUSY = 38, 16


class File:
    """The file system's side of /dev/fuse."""

    def __init__(self):
        self.data = bytearray(BYTES)

    @staticmethod
    def attributes():
        return struct.pack("=QII", 3600, 0, 0) + ATTRIBUTES.pack(
            NODE, BYTES, BYTES // 512, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0)

    def answer(self, opcode, body):
        """What a request is answered with, None: nothing; OSError."""
        if opcode == INIT:
            _, minor = struct.unpack_from("=II", body)
            return struct.pack("=IIIIHHIIHHI28x", 7, min(minor, 31), 0, 0, 12, 9, MAX_WRITE, 1, 0, 0, 0)
        if opcode in (GETATTR, SETATTR):
            return self.attributes()
        if opcode == OPEN:
            return struct.pack("=QII", 1, 0, 0)
        if opcode == READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            return self.data[offset:offset + size]
        if opcode == WRITE:
            _, offset, size = struct.unpack_from("=QQI", body)
            self.data[offset:offset + size] = body[40:40 + size]
            return struct.pack("=II", size, 0)
        if opcode == STATFS:
            return struct.pack("=QQQQQIIII24x", 0, 0, 0, 1, 0, 4096, 255, 4096, 0)
        if opcode in (RELEASE, FSYNC, FLUSH):
            return b""
        if opcode in (FORGET, INTERRUPT, BATCH_FORGET):
            return None
        raise OSError(ENOSYS, "")

    def serve(self, fuse):
        while True:
            try:
                request = os.read(fuse, MAX_WRITE + 4096)
            except OSError:
                return  # unmounted
            _, opcode, unique, *_ = IN_HEADER.unpack_from(request)
            error = 0
            try:
                said = self.answer(opcode, request[IN_HEADER.size:])
            except OSError as failed:
                error, said = -failed.errno, b""
            if said is not None:
                os.write(fuse, OUT_HEADER.pack(OUT_HEADER.size + len(said), error, unique) + bytes(said))


class Disk:
    """The path of the device is `path`."""

    def __init__(self):
        from . import session  # pylint: disable=import-outside-toplevel
        file = f"{session.FILES}/disk"
        with open(file, "wb"):
            pass
        self.process = session.start([sys.executable, "-I", __file__, file], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            why = self.process.stderr.read().strip().splitlines()[-1:]
            raise session.Unavailable(f"no FUSE: {''.join(why)}")
        try:
            self._attach(file)
        except OSError as error:
            raise session.Unavailable(f"no loop device: {error.strerror}") from error

    def _attach(self, file):
        with open(file, "r+b", buffering=0) as backing, \
             open("/dev/loop-control", "rb", buffering=0) as control:
            while True:
                number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
                self.path = f"/dev/loop{number}"
                self._open = open(self.path, "r+b", buffering=0)  # as long as it is to be there
                config = bytearray(LOOP_CONFIG_BYTES)
                struct.pack_into("=I", config, 0, backing.fileno())
                struct.pack_into("=I", config, FLAGS_AT, AUTOCLEAR)
                try:
                    fcntl.ioctl(self._open, LOOP_CONFIGURE, config)
                    return
                except OSError as error:
                    self._open.close()
                    if error.errno != EBUSY:  # somebody else was faster
                        raise

    def hang(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        self.process.kill()
        self.process.wait()


def main(path):
    import kernel  # pylint: disable=import-outside-toplevel
    fuse = os.open("/dev/fuse", os.O_RDWR)
    kernel.mount("lab", path, "fuse", 0, f"fd={fuse},rootmode=100600,user_id=0,group_id=0")
    print("ready", flush=True)
    File().serve(fuse)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    main(sys.argv[1])
