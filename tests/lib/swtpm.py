# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""A private software TPM on unix sockets, which dies with the test.

    with Swtpm() as tpm:
        subprocess.run(["tpm2_getrandom", "8"], env=os.environ | {"TPM2TOOLS_TCTI": tpm.tcti})
        tpm.kill()      # power cut: no TPM2_Shutdown
        tpm.start()     # power on, same state
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

START_TIMEOUT_S = 20
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def available():
    return shutil.which("swtpm") is not None


class Swtpm:
    """start() is done by __init__; stop() or the end of a `with` block removes everything."""

    def __init__(self, parent="/tmp"):
        # not TMPDIR: a socket's path must fit into 108 bytes
        self.dir = tempfile.mkdtemp(prefix="gg-", dir=parent)
        self.socket = os.path.join(self.dir, "s")
        self.tcti = "swtpm:path=" + self.socket
        self.log = os.path.join(self.dir, "swtpm.log")
        self.process = None
        self.start()

    def start(self):
        assert self.process is None
        for path in (self.socket, self.socket + ".ctrl"):
            if os.path.lexists(path):
                os.unlink(path)
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2",
             "--server", "type=unixio,path=" + self.socket,
             "--ctrl", "type=unixio,path=" + self.socket + ".ctrl",
             "--flags", "not-need-init,startup-clear",
             "--tpmstate", "dir=" + self.dir,
             "--log", f"file={self.log},level=20,truncate"],
            preexec_fn=_die_with_parent)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise RuntimeError(f"swtpm ended with {self.process.returncode}") from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def connect(self):
        """A connected socket with raw TPM framing; swtpm serves one at a time."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(self.socket)
        except OSError:
            connection.close()
            raise
        return connection

    def command(self, code, body=b"", tag=0x8001):
        """Sends one command straight to the chip; returns (response code, what follows the header)."""
        with self.connect() as connection:
            connection.sendall(struct.pack(">HII", tag, 10 + len(body), code) + body)
            header = self._read(connection, 10)
            _, size, response_code = struct.unpack(">HII", header)
            return response_code, self._read(connection, size - 10)

    def handles(self, first):
        """What is in the chip of the kind of a handle; nobody else may be connected."""
        code, body = self.command(0x17a, struct.pack(">III", 1, first, 254))
        if code != 0:
            raise RuntimeError(f"GetCapability: 0x{code:x}")
        return list(struct.unpack_from(f">{struct.unpack_from('>I', body, 5)[0]}I", body, 9))

    @staticmethod
    def _read(connection, size):
        data = b""
        while len(data) < size:
            part = connection.recv(size - len(data))
            if not part:
                raise EOFError("swtpm closed the connection")
            data += part
        return data

    def codes(self):
        """Of the commands that have reached the chip since the last start, in their order."""
        with open(self.log, encoding="ascii", errors="replace") as log:
            commands = re.findall(r"SWTPM_IO_Read: length \d+\n((?: [0-9A-F]{2}){10})", log.read())
        return [int(c.replace(" ", "")[12:20], 16) for c in commands]

    def count(self, command_code=None):
        """Commands that have reached the chip since the last start."""
        codes = self.codes()
        return len(codes) if command_code is None else codes.count(command_code)

    def kill(self):
        """Power cut: SIGKILL, no TPM2_Shutdown; the state stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Proxy:
    """tests/lib/tpm-proxy.c in front of a Swtpm; its rules are described there.

        with Swtpm() as tpm, Proxy(tpm) as proxy:
            proxy.rules("identity SLB9670-7.85", "17b rc 922 3")
    """

    def __init__(self, swtpm, program=None):
        program = program or os.environ["TPM_PROXY"]
        self.socket = os.path.join(swtpm.dir, "p")
        self.tcti = "swtpm:path=" + self.socket
        self._rules = self.socket + ".rules"
        self._notes = self._rules + ".notes"
        self.rules()
        # tcti-swtpm speaks to swtpm's control socket as well
        os.symlink(swtpm.socket + ".ctrl", self.socket + ".ctrl")
        self.process = subprocess.Popen([program, swtpm.socket, self.socket, self._rules])
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(self.socket)
                    return
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        raise
            time.sleep(0.005)

    def rules(self, *lines):
        """From the next command on; without lines the proxy is transparent."""
        with open(self._rules + ".new", "w", encoding="ascii") as rules:
            rules.write("\n".join(lines))
        os.rename(self._rules + ".new", self._rules)

    def notes(self):
        """What the rule `note` has told: command, type of the object that it has made or 0, and seconds."""
        if not os.path.exists(self._notes):
            return []
        with open(self._notes, encoding="ascii") as notes:
            fields = [line.split() for line in notes]
        return [(int(command, 16), int(made, 16), int(us) / 1e6) for command, made, us in fields]

    def stop(self):
        self.process.kill()
        self.process.wait()
        for path in (self.socket, self.socket + ".ctrl", self._rules, self._notes):
            if os.path.lexists(path):
                os.unlink(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
