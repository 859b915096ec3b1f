# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""TPM 2.0 commands by hand, and the broker alone: for tests and benches that look below the TSS.

    with Swtpm() as tpm, Broker(tpm) as broker, broker.connect() as client:
        key = client.create_primary()
        client.sign(key)
"""

import array
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

ST_NO_SESSIONS = 0x8001
ST_SESSIONS = 0x8002
RH_OWNER = 0x40000001
RH_NULL = 0x40000007
RH_LOCKOUT = 0x4000000a
RH_ENDORSEMENT = 0x4000000b
RH_PLATFORM = 0x4000000c
RS_PW = 0x40000009
CC_HIERARCHY_CONTROL = 0x121
CC_CHANGE_EPS = 0x124
CC_CHANGE_PPS = 0x125
CC_CLEAR = 0x126
CC_CREATE_PRIMARY = 0x131
CC_PCR_RESET = 0x13d
CC_SELF_TEST = 0x143
CC_STARTUP = 0x144
CC_SHUTDOWN = 0x145
CC_SIGN = 0x15d
CC_CONTEXT_LOAD = 0x161
CC_CONTEXT_SAVE = 0x162
CC_FLUSH_CONTEXT = 0x165
CC_START_AUTH_SESSION = 0x176
CC_GET_CAPABILITY = 0x17a
CC_GET_RANDOM = 0x17b
CC_POLICY_RESTART = 0x180
CC_HASH_SEQUENCE_START = 0x186
CAP_HANDLES = 1
TRANSIENT_FIRST = 0x80000000
LOADED_SESSION_FIRST = 0x02000000
SAVED_SESSION_FIRST = 0x03000000
CONTROL_TAG = 0x6767
CONTROL_GET_ID, CONTROL_SET_LOCALITY, CONTROL_CANCEL = 1, 2, 3

PASSWORD = struct.pack(">IIHBH", 9, RS_PW, 0, 0, 0)
# a P-256 signing key: TPMT_PUBLIC with ECDSA and SHA-256
ECC_PUBLIC = struct.pack(">HHIHHHHHHHH", 0x23, 0xb, 0x40472, 0, 0x10, 0x18, 0xb, 3, 0x10, 0, 0)
# an RSA-2048 one with RSASSA and SHA-256
RSA_PUBLIC = struct.pack(">HHIHHHHHIH", 0x1, 0xb, 0x40472, 0, 0x10, 0x14, 0xb, 2048, 0, 0)


class TpmError(Exception):
    def __init__(self, code):
        super().__init__(f"0x{code:x}")
        self.code = code


def frame(code, body=b"", tag=ST_NO_SESSIONS):
    return struct.pack(">HII", tag, 10 + len(body), code) + body


def get_random(size=8):
    return frame(CC_GET_RANDOM, struct.pack(">H", size))


def create_primary(public=ECC_PUBLIC, hierarchy=RH_OWNER, unique=b""):
    """The command; keys of one template differ by `unique`."""
    if unique:
        public = public[:-4] + struct.pack(">H", len(unique)) + unique + b"\0\0"
    return frame(CC_CREATE_PRIMARY, struct.pack(">I", hierarchy) + PASSWORD + struct.pack(">HHH", 4, 0, 0)
                 + struct.pack(">H", len(public)) + public + struct.pack(">HI", 0, 0), ST_SESSIONS)


def sign(key, digest=None, auth=PASSWORD):
    digest = digest or hashlib.sha256(b"test").digest()
    return frame(CC_SIGN, struct.pack(">I", key) + auth + struct.pack(">H", len(digest)) + digest
                 + struct.pack(">HHIH", 0x10, 0x8024, RH_NULL, 0), ST_SESSIONS)


def start_session(kind=0):
    """kind: 0 HMAC, 1 policy."""
    return frame(CC_START_AUTH_SESSION, struct.pack(">IIH", RH_NULL, RH_NULL, 16) + os.urandom(16)
                 + struct.pack(">HBHH", 0, kind, 0x10, 0xb))


def get_handles(first, count=254):
    return frame(CC_GET_CAPABILITY, struct.pack(">III", CAP_HANDLES, first, count))


class Client:
    """One connection with raw TPM framing."""

    def __init__(self, connection, timeout=60):
        self.socket = connection
        self.socket.settimeout(timeout)

    def send(self, data):
        self.socket.sendall(data)

    def _read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("closed")
            data += part
        return data

    def receive(self):
        """(code, body)"""
        _, size, code = struct.unpack(">HII", self._read(10))
        return code, self._read(size - 10)

    def ask(self, command):
        self.send(command)
        return self.receive()

    def do(self, command):
        code, body = self.ask(command)
        if code != 0:
            raise TpmError(code)
        return body

    def handle(self, command):
        return struct.unpack_from(">I", self.do(command))[0]

    def create_primary(self, **options):
        return self.handle(create_primary(**options))

    def sign(self, key, **options):
        return self.do(sign(key, **options))

    def start_session(self, kind=0):
        return self.handle(start_session(kind))

    def flush(self, handle):
        return self.ask(frame(CC_FLUSH_CONTEXT, struct.pack(">I", handle)))[0]

    def save(self, handle):
        return self.do(frame(CC_CONTEXT_SAVE, struct.pack(">I", handle)))

    def load(self, context):
        return self.handle(frame(CC_CONTEXT_LOAD, context))

    def handles(self, first):
        body = self.do(get_handles(first))
        count = struct.unpack_from(">I", body, 5)[0]
        return list(struct.unpack_from(f">{count}I", body, 9))

    def control(self, code, body=b""):
        return self.ask(frame(code, body, CONTROL_TAG))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(path, timeout=60):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return Client(connection, timeout)


def connect_as(path, uid, gid, timeout=60):
    """A connection that another user has made; needs root."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            client = connect(path)
            theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.socket.fileno()]))])
        finally:
            os._exit(0)
    theirs.close()
    _, control, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
    os.waitpid(child, 0)
    ours.close()
    if not control:
        raise ConnectionRefusedError(path)
    fds = array.array("i")
    fds.frombytes(control[0][2][:4])
    return Client(socket.socket(fileno=fds[0]), timeout)


class TestTcti:
    """tests/lib/tcti-test.c over a chip (an object with .socket and .dir); its rules are described there."""

    def __init__(self, chip):
        self._rules = os.path.join(chip.dir, "tcti")
        self.conf = f"{os.environ['GGTPM_TEST_TCTI']}:path={chip.socket},rules={self._rules}"
        self.rules()

    def rules(self, *lines):
        """From the next call on; without lines nothing fails."""
        with open(self._rules + ".new", "w", encoding="ascii") as rules:
            rules.write("\n".join(lines))
        os.rename(self._rules + ".new", self._rules)

    def log(self, word=""):
        """What has happened, the lines that begin with a word."""
        try:
            with open(self._rules + ".log", encoding="ascii") as log:
                return [line.rstrip("\n") for line in log if line.startswith(word)]
        except FileNotFoundError:
            return []

    def wait_log(self, word, count=1, timeout=60):
        deadline = time.monotonic() + timeout
        while len(found := self.log(word)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{word}: {self.log()}")
            time.sleep(0.002)
        return found


class Broker:
    """tests/lib/broker-server.c over a chip (an object with .socket)."""

    READY, UNAVAILABLE, FAILED = 1, 2, 3

    def __init__(self, chip, *options, tcti=None, config="", env=None, program=None):
        self.dir = tempfile.mkdtemp(prefix="gb-", dir="/tmp")
        os.chmod(self.dir, 0o711)
        self.path = os.path.join(self.dir, "tpm.sock")
        self.internal = os.path.join(self.dir, "internal.sock")
        conf = os.path.join(self.dir, "conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(config)
        tcti = tcti or "ggtpm:path=" + chip.socket
        self.process = subprocess.Popen(
            [program or os.environ["GGTPM_BROKER_SERVER"], "--config", conf, "--tcti", tcti,
             "--runtime-dir", self.dir, *options],
            stdout=subprocess.PIPE, env=os.environ | (env or {}), text=True)
        self.states = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read_states, daemon=True)
        self._thread.start()

    def _read_states(self):
        for line in self.process.stdout:
            with self._changed:
                self.states.append(line.strip())
                self._changed.notify_all()

    def wait_state(self, state, since=0, timeout=30):
        """The first report of a state after the first `since` reports; returns its line."""
        def find():
            return next((s for s in self.states[since:] if s.startswith(str(state))), None)
        with self._changed:
            if not self._changed.wait_for(find, timeout):
                raise TimeoutError(f"no state {state}: {self.states}")
            return find()

    def connect(self, timeout=60):
        return connect(self.path, timeout)

    def stop(self):
        """Its exit status; negative: the signal that ended it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self._thread.join()
        self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        return status

    def __enter__(self):
        self.wait_state(self.READY)
        return self

    def __exit__(self, kind, *_):
        status = self.stop()
        if kind is None and status != 0:
            raise RuntimeError(f"the broker ended with {status}")
