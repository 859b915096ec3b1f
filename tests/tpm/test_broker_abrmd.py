# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What tpm2-abrmd's own integration tests pin, one method each under their names, by the client library of its users:
libtss2-tcti-tabrmd, unchanged. Where we differ on purpose, the method says so."""

import contextlib
import ctypes
import hashlib
import hmac
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import private_bus  # noqa: E402
import swtpm  # noqa: E402
import tpm_client  # noqa: E402
from tpm_client import LOADED_SESSION_FIRST, SAVED_SESSION_FIRST, TRANSIENT_FIRST, frame  # noqa: E402

import gi  # noqa: E402
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

NAME = "com.intel.tss2.Tabrmd"
TCTI_NO_CONNECTION = 0xa0008
MAX_CONNECTIONS = 40
TIMEOUT_MS = 60000
MAX_FRAME = 8192
CC_NV_DEFINE, CC_NV_UNDEFINE, CC_NV_WRITE, CC_POLICY_NV = 0x12a, 0x122, 0x137, 0x149
CC_SEQUENCE_UPDATE, CC_SEQUENCE_COMPLETE = 0x15c, 0x13e
AUDIT_AND_CONTINUE = 0x81


def library(name):
    with contextlib.suppress(OSError):
        return ctypes.CDLL(name)
    return None


LOADER = library("libtss2-tctildr.so.0")
TABRMD = library("libtss2-tcti-tabrmd.so.0")


class Common(ctypes.Structure):
    """TSS2_TCTI_CONTEXT_COMMON_V1"""

    _fields_ = [("magic", ctypes.c_uint64), ("version", ctypes.c_uint32),
                ("transmit", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)),
                ("receive", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t),
                                             ctypes.c_char_p, ctypes.c_int32)),
                ("finalize", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
                ("cancel", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)),
                ("get_poll_handles", ctypes.c_void_p),
                ("set_locality", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint8))]


class StockClient(tpm_client.Client):
    """A connection by the stock library; raw TPM commands over it."""

    def __init__(self):
        self.context = ctypes.c_void_p()
        rc = LOADER.Tss2_TctiLdr_Initialize(b"tabrmd:bus_type=system", ctypes.byref(self.context))
        if rc != 0:
            raise tpm_client.TpmError(rc)
        self.common = Common.from_address(self.context.value)

    def send(self, data):
        rc = self.common.transmit(self.context, len(data), data)
        if rc != 0:
            raise tpm_client.TpmError(rc)

    def receive(self):
        size = ctypes.c_size_t(MAX_FRAME)
        buffer = ctypes.create_string_buffer(MAX_FRAME)
        rc = self.common.receive(self.context, ctypes.byref(size), buffer, TIMEOUT_MS)
        if rc != 0:
            raise tpm_client.TpmError(rc)
        return struct.unpack_from(">I", buffer.raw, 6)[0], buffer.raw[10:size.value]

    def close(self):
        if self.context:
            LOADER.Tss2_TctiLdr_Finalize(ctypes.byref(self.context))


def password(text=b""):
    return struct.pack(">IIHBH", 9 + len(text), tpm_client.RS_PW, 0, 0, len(text)) + text


def capability_pages(client, first, page):
    handles, more = [], True
    while more:
        body = client.do(tpm_client.get_handles(first, page))
        more, count = body[0], struct.unpack_from(">I", body, 5)[0]
        handles += struct.unpack_from(f">{count}I", body, 9)
        first = handles[-1] + 1
    return handles


class Abrmd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bus = private_bus.PrivateBus()
        cls.addClassCleanup(cls.bus.__exit__)
        os.environ.update(cls.bus.env())
        # the one of the client library, too
        cls.connection = Gio.bus_get_sync(Gio.BusType.SYSTEM)
        cls.connection.set_exit_on_close(False)

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.tpm = self.stack.enter_context(swtpm.Swtpm())
        self.broker = self.stack.enter_context(
            tpm_client.Broker(self.tpm, "--tabrmd-name", NAME, tcti=self.tpm.tcti,
                              config=f"[Broker]\nMaxConnections={MAX_CONNECTIONS}\n"))
        while True:
            with contextlib.suppress(GLib.Error):
                self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                          "GetNameOwner", GLib.Variant("(s)", (NAME,)), None, 0, -1, None)
                break

    def connect(self):
        return self.stack.enter_context(StockClient())

    def codes(self, client, command, count):
        return [client.ask(command)[0] for _ in range(count)]

    def test_auth_session_max(self):
        self.assertEqual(self.codes(self.connect(), tpm_client.start_session(), 5), [0] * 4 + [0xb0903])

    def test_auth_session_start_flush(self):
        client = self.connect()
        self.assertEqual(client.flush(client.start_session()), 0)

    def test_auth_session_start_save(self):
        """And the connection is closed: nothing of it is in anybody's way."""
        client = self.connect()
        for _ in range(4):
            client.save(client.start_session())
        client.close()
        self.assertEqual(self.codes(self.connect(), tpm_client.start_session(), 4), [0] * 4)

    def test_auth_session_start_save_load(self):
        client = self.connect()
        session = client.start_session()
        self.assertEqual(client.load(client.save(session)), session)

    def test_get_capability_handles_transient(self):
        client = self.connect()
        keys = [client.create_primary(unique=b"%d" % i) for i in range(5)]
        self.assertEqual(client.handles(TRANSIENT_FIRST), keys)
        self.assertEqual(capability_pages(client, TRANSIENT_FIRST, 2), keys)
        self.assertEqual(keys, list(range(0x800000ff, 0x80000104)))

    def test_get_capability_with_session(self):
        client = self.connect()
        params = struct.pack(">III", tpm_client.CAP_HANDLES, TRANSIENT_FIRST, 10)
        self.assertEqual(client.ask(frame(tpm_client.CC_GET_CAPABILITY, password() + params,
                                          tpm_client.ST_SESSIONS))[0], 0x98b)
        body = client.do(tpm_client.start_session())
        session, nonce_tpm = struct.unpack_from(">I", body)[0], body[6:]
        nonce = os.urandom(16)
        digest = hashlib.sha256(struct.pack(">I", tpm_client.CC_GET_CAPABILITY) + params).digest()
        mac = hmac.digest(b"", digest + nonce + nonce_tpm + bytes([AUDIT_AND_CONTINUE]), "sha256")
        auth = struct.pack(">IH", session, 16) + nonce + struct.pack(">BH", AUDIT_AND_CONTINUE, 32) + mac
        answer = client.do(frame(tpm_client.CC_GET_CAPABILITY, struct.pack(">I", len(auth)) + auth + params,
                                 tpm_client.ST_SESSIONS))
        # of the chip, with its own HMAC
        size = struct.unpack_from(">I", answer)[0]
        self.assertEqual(struct.unpack_from(">I", answer, 5)[0], tpm_client.CAP_HANDLES)
        self.assertGreater(len(answer), 4 + size + 32)

    def test_hash_sequence(self):
        """Ten at a time, each with its own data, taken in turns."""
        client = self.connect()
        start = frame(tpm_client.CC_HASH_SEQUENCE_START, struct.pack(">HH", 0, 0xb))
        sequences = [client.handle(start) for _ in range(10)]
        for part in (b"first", b"second"):
            for i, sequence in enumerate(sequences):
                data = part + b"%d" % i
                client.do(frame(CC_SEQUENCE_UPDATE, struct.pack(">I", sequence) + password()
                                + struct.pack(">H", len(data)) + data, tpm_client.ST_SESSIONS))
        for i, sequence in reversed(list(enumerate(sequences))):
            body = client.do(frame(CC_SEQUENCE_COMPLETE, struct.pack(">I", sequence) + password()
                                   + struct.pack(">HI", 0, tpm_client.RH_NULL), tpm_client.ST_SESSIONS))
            self.assertEqual(body[6:38], hashlib.sha256(b"first%dsecond%d" % (i, i)).digest())
        self.assertEqual(client.handles(TRANSIENT_FIRST), [])

    def test_manage_transient_keys(self):
        client = self.connect()
        for i in range(3):
            key = client.create_primary(unique=b"%d" % i)
            blob = client.save(key)
            self.assertEqual(client.flush(key), 0)
            self.assertEqual(client.flush(key), 0xb01cb)
            key = client.load(blob)
            client.sign(key)
            self.assertEqual(client.flush(key), 0)

    def test_max_transient_upperbound(self):
        self.assertEqual(self.codes(self.connect(), tpm_client.create_primary(), 29), [0] * 28 + [0xb0902])

    def test_not_enough_handles_for_command(self):
        client = self.connect()
        self.assertNotEqual(client.ask(frame(CC_POLICY_NV, struct.pack(">I", tpm_client.RH_OWNER)))[0], 0)
        self.assertEqual(self.connect().ask(tpm_client.get_random())[0], 0)

    def test_password_authorization(self):
        client = self.connect()
        index = 0x1500015
        # authWrite, authRead, noDA
        public = struct.pack(">IHIHH", index, 0xb, 0x02040004, 0, 8)
        client.do(frame(CC_NV_DEFINE, struct.pack(">I", tpm_client.RH_OWNER) + password() + struct.pack(">H", 6)
                        + b"secret" + struct.pack(">H", len(public)) + public, tpm_client.ST_SESSIONS))

        def write(text):
            return client.ask(frame(CC_NV_WRITE, struct.pack(">II", index, index) + password(text)
                                    + struct.pack(">H", 8) + b"contents" + b"\0\0", tpm_client.ST_SESSIONS))[0]
        self.assertEqual((write(b"secret"), write(b"wrong")), (0, 0x9a2))
        client.do(frame(CC_NV_UNDEFINE, struct.pack(">II", tpm_client.RH_OWNER, index) + password(),
                        tpm_client.ST_SESSIONS))

    def test_session_gap(self):
        """255 sessions come and go, saved, while one stays saved. A real gap: tests/bench/gap.py."""
        client = self.connect()
        session = client.start_session(kind=1)
        blob = client.save(session)
        for _ in range(255):
            other = client.start_session(kind=1)
            client.save(other)
            self.assertEqual(client.flush(other), 0)
        self.assertEqual(client.load(blob), session)
        client.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))

    def test_session_load_from_closed_connection(self):
        client = self.connect()
        session = client.start_session(kind=1)
        for _ in range(5):
            blob = client.save(session)
            client.close()
            client = self.connect()
            self.assertEqual(client.load(blob), session)
        client.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))

    def test_session_load_from_closed_connections_lru(self):
        blobs = []
        for _ in range(5):
            with StockClient() as client:
                blobs.append(client.save(client.start_session()))
        client = self.connect()
        codes = [client.ask(frame(tpm_client.CC_CONTEXT_LOAD, blob))[0] for blob in blobs]
        self.assertNotEqual(codes[0], 0)
        self.assertEqual(codes[1:], [0] * 4)

    def test_session_load_from_open_connection(self):
        first, second = self.connect(), self.connect()
        session = first.start_session(kind=1)
        self.assertEqual(second.load(first.save(session)), session)
        second.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))

    def test_start_auth_session(self):
        """Which tpm2-abrmd itself fails: the lists of sessions as if there were no resource manager."""
        client = self.connect()
        self.connect().start_session()
        self.assertEqual((client.handles(LOADED_SESSION_FIRST), client.handles(SAVED_SESSION_FIRST)), ([], []))
        session = client.start_session()
        self.assertEqual((client.handles(LOADED_SESSION_FIRST), client.handles(SAVED_SESSION_FIRST)), ([session], []))
        client.save(session)
        self.assertEqual((client.handles(LOADED_SESSION_FIRST), client.handles(SAVED_SESSION_FIRST)), ([], [session]))

    def test_tcti_cancel(self):
        """Differs where the command is not in the chip yet, or the chip's TCTI can: see test_broker_tcti.py."""
        client = self.connect()
        self.assertEqual(client.common.cancel(client.context), 0xa0007)
        client.send(tpm_client.get_random())
        if client.common.cancel(client.context) == 0:
            self.assertIn(client.receive()[0], (0, 0x909))
        else:
            self.assertEqual(client.receive()[0], 0)

    def test_tcti_connect_multiple(self):
        clients = [self.connect() for _ in range(25)]
        for client in clients:
            client.send(tpm_client.get_random())
        for client in clients:
            client.close()
        self.assertEqual(self.connect().ask(tpm_client.get_random())[0], 0)

    def test_tcti_connections_max(self):
        """Differs: 27 are no limit here, but there is one (MaxConnections), told as theirs is."""
        clients = [self.connect() for _ in range(MAX_CONNECTIONS)]
        self.assertEqual({client.ask(tpm_client.get_random())[0] for client in clients}, {0})
        self.assertEqual(TABRMD.Tss2_Tcti_Tabrmd_Init(None, ctypes.byref(ctypes.c_size_t()), b""), 0)
        context, size = ctypes.create_string_buffer(1 << 16), ctypes.c_size_t(1 << 16)
        self.assertEqual(TABRMD.Tss2_Tcti_Tabrmd_Init(context, ctypes.byref(size), b"bus_type=system"),
                         TCTI_NO_CONNECTION)
        clients[0].close()
        while True:
            with contextlib.suppress(tpm_client.TpmError):
                self.assertEqual(self.connect().ask(tpm_client.get_random())[0], 0)
                break

    def test_tcti_double_finalize(self):
        client = self.connect()
        client.close()
        client.close()
        self.assertEqual(self.connect().ask(tpm_client.get_random())[0], 0)

    def test_tcti_set_locality(self):
        """Differs: tpm2-abrmd cannot. PCR 21 may be reset at locality 2 only."""
        client = self.connect()
        reset = frame(tpm_client.CC_PCR_RESET, struct.pack(">I", 21) + tpm_client.PASSWORD, tpm_client.ST_SESSIONS)
        self.assertEqual(client.ask(reset)[0], 0x907)
        self.assertEqual(client.common.set_locality(client.context, 2), 0)
        self.assertEqual(client.ask(reset)[0], 0)

    def test_tpm2_command_flush_no_handle(self):
        client = self.connect()
        self.assertEqual(client.ask(frame(tpm_client.CC_FLUSH_CONTEXT))[0], 0xb009a)

    def test_util_buf_max_upper_bound(self):
        client = self.connect()
        self.assertNotEqual(client.ask(frame(tpm_client.CC_GET_RANDOM, bytes(MAX_FRAME - 10)))[0], 0)
        self.assertEqual(client.ask(tpm_client.get_random())[0], 0)


if __name__ == "__main__":
    if not swtpm.available() or not private_bus.available() or LOADER is None or TABRMD is None:
        sys.exit(77)
    unittest.main()
