# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The broker over a software TPM, spoken to in raw bytes: isolation, and what other brokers die of."""

import contextlib
import os
import signal
import socket
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import swtpm  # noqa: E402
import tpm_client  # noqa: E402
from tpm_client import frame  # noqa: E402

NO_CONNECTION = 0xa0008
REFERENCE_H0 = 0x910
REFERENCE_S0 = 0x918
NOT_PERMITTED = 0xb000c
NOBODY = 65534


def hmac_auth(session, attributes=1):
    return struct.pack(">IIHBH", 9, session, 0, attributes, 0)


class BrokerCase(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.tpm = self.stack.enter_context(swtpm.Swtpm())

    def start(self, *options, **more):
        self.broker = self.stack.enter_context(tpm_client.Broker(self.tpm, *options, **more))
        return self.broker

    def connect(self, **options):
        return self.stack.enter_context(self.broker.connect(**options))

    def wait_rounds(self):
        """The broker has gone round its loop: what was sent before has been read. One connection may be answered more
        than once in a round; a new one is read in the round after that which accepts it."""
        for _ in range(2):
            with self.broker.connect() as probe:
                probe.control(tpm_client.CONTROL_GET_ID)

    def assert_alive(self):
        with self.broker.connect(timeout=10) as client:
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0)


class Isolation(BrokerCase):
    def test_objects(self):
        self.start()
        a, b = self.connect(), self.connect()
        key = a.create_primary()
        before = self.tpm.count(tpm_client.CC_SIGN)
        for handle in (key, 0x80000000, 0x80000001):
            self.assertEqual(b.ask(tpm_client.sign(handle))[0], REFERENCE_H0)
            self.assertEqual(b.flush(handle), 0xb01cb)
        self.assertEqual(self.tpm.count(tpm_client.CC_SIGN), before)
        self.assertEqual(a.handles(tpm_client.TRANSIENT_FIRST), [key])
        self.assertEqual(b.handles(tpm_client.TRANSIENT_FIRST), [])
        other = b.create_primary(hierarchy=tpm_client.RH_NULL)
        self.assertEqual(other, key)
        a.sign(key)
        b.sign(other)

    def test_sessions(self):
        self.start()
        a, b = self.connect(), self.connect()
        session = a.start_session(kind=1)
        key = b.create_primary()
        self.assertEqual(b.ask(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))[0], REFERENCE_H0)
        self.assertEqual(b.ask(tpm_client.sign(key, auth=hmac_auth(session)))[0], REFERENCE_S0)
        self.assertEqual(b.flush(session), 0xb01cb)
        self.assertEqual(b.handles(tpm_client.LOADED_SESSION_FIRST), [])
        self.assertEqual(a.handles(tpm_client.LOADED_SESSION_FIRST), [session])
        a.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))

    def test_saved_session(self):
        """From an open connection, then from a closed one; and the blob is the same each time."""
        self.start()
        a, b = self.connect(), self.connect()
        session = a.start_session(kind=1)
        blob = a.save(session)
        self.assertEqual(a.handles(tpm_client.SAVED_SESSION_FIRST), [0x02000000 | session & 0xffffff])
        self.assertEqual(b.load(blob), session)
        self.assertEqual(b.save(session), blob)
        b.close()
        self.assertEqual(a.load(blob), session)
        a.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))

    def test_privileges(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.start()
        os.chmod(self.broker.path, 0o666)
        client = self.stack.enter_context(tpm_client.connect_as(self.broker.path, NOBODY, NOBODY))
        before = self.tpm.count()
        clear = frame(tpm_client.CC_CLEAR, struct.pack(">I", 0x4000000a) + tpm_client.PASSWORD, tpm_client.ST_SESSIONS)
        self.assertEqual(client.ask(clear)[0], NOT_PERMITTED)
        self.assertEqual(client.ask(frame(tpm_client.CC_SHUTDOWN, b"\0\0"))[0], NOT_PERMITTED)
        self.assertEqual(client.ask(frame(tpm_client.CC_STARTUP, b"\0\0"))[0], 0x100)
        self.assertEqual(client.control(tpm_client.CONTROL_SET_LOCALITY, b"\1")[0], NOT_PERMITTED)
        self.assertEqual(self.tpm.count(), before)
        with self.connect() as root:
            key = client.create_primary()
            self.assertEqual(root.ask(clear)[0], 0)
            self.assertEqual(client.ask(tpm_client.sign(key))[0], REFERENCE_H0)
            self.assertEqual(client.handles(tpm_client.TRANSIENT_FIRST), [])

    def test_open_commands(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.start(config="[Broker]\nOpenCommands=Clear Locality\n", tcti=self.tpm.tcti)
        os.chmod(self.broker.path, 0o666)
        client = self.stack.enter_context(tpm_client.connect_as(self.broker.path, NOBODY, NOBODY))
        clear = frame(tpm_client.CC_CLEAR, struct.pack(">I", 0x4000000a) + tpm_client.PASSWORD, tpm_client.ST_SESSIONS)
        self.assertEqual(client.ask(clear)[0], 0)
        self.assertEqual(client.control(tpm_client.CONTROL_SET_LOCALITY, b"\1")[0], 0)
        self.assertEqual(client.ask(frame(tpm_client.CC_SHUTDOWN, b"\0\0"))[0], NOT_PERMITTED)


class Defects(BrokerCase):
    """What tpm2-abrmd 3.0.0 does not survive, or does not do right."""

    def setUp(self):
        super().setUp()
        self.start()

    def test_bad_capability(self):
        client = self.connect()
        self.assertNotEqual(client.ask(frame(tpm_client.CC_GET_CAPABILITY, struct.pack(">III", 0xa, 0, 1)))[0], 0)
        self.assertNotEqual(client.ask(frame(tpm_client.CC_GET_CAPABILITY))[0], 0)
        self.assert_alive()

    def test_big_context(self):
        client = self.connect()
        session = client.start_session()
        body = struct.pack(">QII", 1, session, tpm_client.RH_NULL) + b"\xff" * 8000
        self.assertNotEqual(client.ask(frame(tpm_client.CC_CONTEXT_LOAD, body))[0], 0)
        self.assert_alive()

    def test_flush_of_others(self):
        a, b = self.connect(), self.connect()
        session = a.start_session()
        self.assertEqual(b.flush(session), 0xb01cb)
        self.assertEqual(a.flush(session), 0)

    def test_sequences_have_a_quota(self):
        client = self.connect()
        start = frame(tpm_client.CC_HASH_SEQUENCE_START, struct.pack(">HH", 0, 0xb))
        codes = [client.ask(start)[0] for _ in range(40)]
        self.assertEqual(codes, [0] * 28 + [0xb0902] * 12)
        for handle in client.handles(tpm_client.TRANSIENT_FIRST):
            self.assertEqual(client.flush(handle), 0)

    def test_unmapped_handles(self):
        client = self.connect()
        before = self.tpm.count()
        for handle in (0x80000000, 0x80abcdef, 0x800000ff):
            self.assertEqual(client.ask(tpm_client.sign(handle))[0], REFERENCE_H0)
        self.assertEqual(self.tpm.count(), before)

    def test_session_quota(self):
        client = self.connect()
        self.assertEqual([client.ask(tpm_client.start_session())[0] for _ in range(5)], [0] * 4 + [0xb0903])


class Limits(BrokerCase):
    def test_per_user(self):
        """One user's connections do not lock out another."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.start(config="[Broker]\nMaxConnectionsPerUid=10\n")
        os.chmod(self.broker.path, 0o666)
        greedy = [self.stack.enter_context(tpm_client.connect_as(self.broker.path, NOBODY, NOBODY)) for _ in range(12)]
        served = 0
        for client in greedy:
            with contextlib.suppress(EOFError, OSError):
                served += client.ask(tpm_client.get_random())[0] == 0
        self.assertEqual(served, 10)
        other = self.stack.enter_context(tpm_client.connect_as(self.broker.path, NOBODY - 1, NOBODY))
        self.assertEqual(other.ask(tpm_client.get_random())[0], 0)
        greedy[0].close()
        again = self.stack.enter_context(tpm_client.connect_as(self.broker.path, NOBODY, NOBODY))
        self.assertEqual(again.ask(tpm_client.get_random())[0], 0)

    def test_in_all(self):
        self.start(config="[Broker]\nMaxConnections=5\n")
        clients = [self.connect() for _ in range(6)]
        for client in clients[:5]:
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0)
        with self.assertRaises((EOFError, OSError)):
            clients[5].ask(tpm_client.get_random())
        with tpm_client.connect(self.broker.internal) as helper:
            self.assertEqual(helper.ask(tpm_client.get_random())[0], 0)

    def test_frame_sizes(self):
        self.start()
        for size in (0, 9, 8193, 0xffffffff):
            client = self.connect()
            client.send(struct.pack(">HII", 0x8001, size, 0x17b))
            with self.assertRaises((EOFError, ConnectionResetError)):
                client.receive()
        client = self.connect()
        self.assertNotEqual(client.ask(frame(tpm_client.CC_GET_RANDOM, bytes(8182)))[0], 0)
        self.assertEqual(client.ask(frame(tpm_client.CC_FLUSH_CONTEXT))[0], 0xb009a)
        self.assertEqual(client.ask(b"\x12\x34" + tpm_client.get_random()[2:])[0], 0x1e)


class Behaviour(BrokerCase):
    def test_one_command_each(self):
        """As long as things fit, a client's command is one command of the chip."""
        self.start(config="[Broker]\nIdleEvictMs=60000\n")
        client = self.connect()
        before = self.tpm.count()
        key = client.create_primary()
        for _ in range(10):
            client.sign(key)
        client.flush(key)
        self.assertEqual(self.tpm.count() - before, 12)

    def test_more_keys_than_slots(self):
        self.start()
        client = self.connect()
        keys = [client.create_primary(unique=b"%d" % i) for i in range(8)]
        self.assertEqual(client.handles(tpm_client.TRANSIENT_FIRST), keys)
        for _ in range(3):
            for key in keys:
                client.sign(key)

    def test_reserve(self):
        """Three slots, and somebody else who needs one now and then: with ReserveSlots he finds it, also while all of
        ours are wanted."""
        proxy = self.stack.enter_context(swtpm.Proxy(self.tpm))
        other = tpm_client.create_primary(hierarchy=tpm_client.RH_NULL)

        def others_turn():
            code, body = self.tpm.command(tpm_client.CC_CREATE_PRIMARY, other[10:], tpm_client.ST_SESSIONS)
            if code == 0:
                self.assertEqual(self.tpm.command(tpm_client.CC_FLUSH_CONTEXT, body[:4])[0], 0)
            return code

        for reserve, code in ((0, 0x902), (1, 0), (2, 0)):
            with self.subTest(reserve), tpm_client.Broker(
                    self.tpm, config=f"[Broker]\nIdleEvictMs=3600000\nReserveSlots={reserve}\n",
                    tcti="ggtpm:path=" + proxy.socket) as broker, broker.connect() as client:
                keys = []
                seen = set()
                for i in range(6):
                    keys.append(client.create_primary(unique=b"%d" % i))
                    seen.add(others_turn())
                for key in keys * 2:
                    client.sign(key)
                    seen.add(others_turn())
                    self.assertLessEqual(len(self.tpm.handles(tpm_client.TRANSIENT_FIRST)), 3 - reserve)
                self.assertIn(code, seen)
                self.assertEqual(0x902 in seen, code != 0)

    def test_idle(self):
        """After IdleEvictMs nothing is in the chip, and everything still works."""
        self.start(config="[Broker]\nIdleEvictMs=1\n")
        client = self.connect()
        key = client.create_primary()
        session = client.start_session(kind=1)
        # each eviction is a save and more: the session's comes last
        while self.tpm.count(tpm_client.CC_CONTEXT_SAVE) < 2:
            pass
        client.sign(key)
        client.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))

    def test_hold(self):
        """Before broker_release() the token helper is served, and nobody else."""
        self.start("--hold")
        client = self.connect()
        client.send(tpm_client.get_random())
        with tpm_client.connect(self.broker.internal) as helper:
            self.assertEqual(helper.ask(tpm_client.get_random())[0], 0)
        client.socket.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            client.receive()
        client.socket.settimeout(30)
        self.broker.process.send_signal(signal.SIGUSR1)
        self.assertEqual(client.receive()[0], 0)

    def test_cancel_queued(self):
        self.start()
        busy, waiting = self.connect(), self.connect()
        busy_identity = busy.control(tpm_client.CONTROL_GET_ID)[1]
        code, identity = waiting.control(tpm_client.CONTROL_GET_ID)
        self.assertEqual((code, len(identity)), (0, 16))
        self.tpm.process.send_signal(signal.SIGSTOP)
        try:
            busy.send(tpm_client.get_random())
            with self.broker.connect() as third:
                self.wait_rounds()
                own = third.control(tpm_client.CONTROL_GET_ID)[1]
                waiting.send(tpm_client.get_random())
                self.wait_rounds()
                self.assertEqual(third.control(tpm_client.CONTROL_CANCEL, own)[0], 0)
                self.assertEqual(third.control(tpm_client.CONTROL_CANCEL, bytes(16))[0], NOT_PERMITTED)
                self.assertEqual(third.control(tpm_client.CONTROL_CANCEL, identity)[0], 0)
                # of one that is in the chip: this TCTI cannot
                self.assertEqual(third.control(tpm_client.CONTROL_CANCEL, busy_identity)[0], 0xb0002)
            self.assertEqual(waiting.receive()[0], 0x909)
        finally:
            self.tpm.process.send_signal(signal.SIGCONT)
        self.assertEqual(busy.receive()[0], 0)
        self.assertEqual(waiting.ask(tpm_client.get_random())[0], 0)

    def test_locality(self):
        """PCR 21 may be reset at locality 2 only."""
        self.start(tcti=self.tpm.tcti)
        reset = frame(tpm_client.CC_PCR_RESET, struct.pack(">I", 21) + tpm_client.PASSWORD, tpm_client.ST_SESSIONS)
        client, other = self.connect(), self.connect()
        self.assertEqual(client.ask(reset)[0], 0x907)
        self.assertEqual(client.control(tpm_client.CONTROL_SET_LOCALITY, b"\2")[0], 0)
        self.assertEqual(client.ask(reset)[0], 0)
        self.assertEqual(other.ask(reset)[0], 0x907)
        self.assertEqual(client.ask(reset)[0], 0)

    def test_locality_unknown(self):
        """A locality that the TCTI refuses is its client's matter, and nobody else's."""
        self.start(tcti=self.tpm.tcti)
        client, other = self.connect(), self.connect()
        key = other.create_primary()
        for locality in (b"\5", b"\x1f"):
            self.assertEqual(client.control(tpm_client.CONTROL_SET_LOCALITY, locality)[0], 0xb000b)
        self.assertEqual(client.control(tpm_client.CONTROL_SET_LOCALITY, b"\x20")[0], 0)
        self.assertEqual(client.ask(tpm_client.get_random())[0], 0x907)
        other.sign(key)
        self.assertEqual(client.control(tpm_client.CONTROL_SET_LOCALITY, b"\0")[0], 0)
        self.assertEqual(client.ask(tpm_client.get_random())[0], 0)
        self.assertEqual(len(self.broker.states), 1, self.broker.states)

    def test_locality_not_implemented(self):
        self.start()
        self.assertEqual(self.connect().control(tpm_client.CONTROL_SET_LOCALITY, b"\2")[0], 0xb0002)

    def test_pipelined(self):
        """Control frames and commands sent at once are answered one after the other."""
        self.start()
        client = self.connect()
        client.send((frame(tpm_client.CONTROL_GET_ID, tag=tpm_client.CONTROL_TAG) * 50 + tpm_client.get_random()) * 4)
        for _ in range(4):
            for _ in range(50):
                self.assertEqual(len(client.receive()[1]), 16)
            self.assertEqual(len(client.receive()[1]), 10)


class Faults(BrokerCase):
    def test_power_cut(self):
        self.start()
        client = self.connect()
        key = client.create_primary()
        self.tpm.kill()
        self.assertEqual(client.ask(tpm_client.sign(key))[0] & 0xff0000, 0xa0000)
        state = self.broker.wait_state(self.broker.UNAVAILABLE)
        self.assertTrue(state.startswith("2 1 "), state)
        self.assertEqual(client.ask(tpm_client.get_random())[0], NO_CONNECTION)
        self.tpm.start()
        self.assertIn("reset", self.broker.wait_state(self.broker.READY, since=2))
        self.assertEqual(client.ask(tpm_client.sign(key))[0], REFERENCE_H0)
        client.sign(client.create_primary())

    def test_hierarchies(self):
        """What a hierarchy takes with it is not listed any more, whether it was in the chip or saved."""
        self.start(config="[Broker]\nIdleEvictMs=1\n")
        client, other = self.connect(), self.connect()
        owned, null = client.create_primary(), client.create_primary(hierarchy=tpm_client.RH_NULL)
        keys = [other.create_primary(hierarchy=h) for h in (tpm_client.RH_ENDORSEMENT, tpm_client.RH_PLATFORM)]

        def send(code, hierarchy, more=b""):
            other.do(frame(code, struct.pack(">I", hierarchy) + tpm_client.PASSWORD + more, tpm_client.ST_SESSIONS))

        send(tpm_client.CC_CLEAR, tpm_client.RH_LOCKOUT)
        self.assertEqual(client.handles(tpm_client.TRANSIENT_FIRST), [null])
        self.assertEqual(other.handles(tpm_client.TRANSIENT_FIRST), keys[1:])
        self.assertEqual(client.ask(tpm_client.sign(owned))[0], REFERENCE_H0)
        owned = client.create_primary()
        send(tpm_client.CC_HIERARCHY_CONTROL, tpm_client.RH_PLATFORM, struct.pack(">IB", tpm_client.RH_OWNER, 0))
        self.assertEqual(client.handles(tpm_client.TRANSIENT_FIRST), [null])
        endorsement = client.create_primary(hierarchy=tpm_client.RH_ENDORSEMENT)
        send(tpm_client.CC_CHANGE_EPS, tpm_client.RH_PLATFORM)
        self.assertEqual(client.handles(tpm_client.TRANSIENT_FIRST), [null])
        self.assertEqual(client.ask(tpm_client.sign(endorsement))[0], REFERENCE_H0)
        other.sign(keys[1])
        send(tpm_client.CC_CHANGE_PPS, tpm_client.RH_PLATFORM)
        self.assertEqual(other.handles(tpm_client.TRANSIENT_FIRST), [])
        client.sign(null)

    def test_restart(self):
        """TPM Restart: the power was cut after TPM2_Shutdown(STATE). What was saved can be used again."""
        self.start(config="[Broker]\nIdleEvictMs=1\n")
        client = self.connect()
        key, session = client.create_primary(), client.start_session(kind=1)
        while self.tpm.count(tpm_client.CC_CONTEXT_SAVE) < 2:
            pass
        client.do(frame(tpm_client.CC_SHUTDOWN, b"\0\1"))
        self.tpm.kill()
        self.assertEqual(client.ask(tpm_client.get_random())[0] & 0xff0000, 0xa0000)
        self.tpm.start()
        self.assertIn("reset", self.broker.wait_state(self.broker.READY, since=2))
        self.assertEqual(client.handles(tpm_client.TRANSIENT_FIRST), [key])
        client.sign(key)
        client.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))

    def test_held_again(self):
        """A reset is a power cut to the lockout counter: clients wait until health has looked at it once more."""
        self.start("--hold")
        client = self.connect()
        self.broker.process.send_signal(signal.SIGUSR1)
        self.assertEqual(client.ask(tpm_client.get_random())[0], 0)
        self.tpm.kill()
        self.assertEqual(client.ask(tpm_client.get_random())[0] & 0xff0000, 0xa0000)
        self.broker.wait_state(self.broker.UNAVAILABLE)
        self.tpm.start()
        self.assertIn("reset", self.broker.wait_state(self.broker.READY, since=2))
        client.send(tpm_client.get_random())
        with tpm_client.connect(self.broker.internal) as helper:
            self.assertEqual(helper.ask(tpm_client.get_random())[0], 0)
        self.wait_rounds()
        self.assertEqual(self.tpm.count(tpm_client.CC_GET_RANDOM), 1)
        self.broker.process.send_signal(signal.SIGUSR1)
        self.assertEqual(client.receive()[0], 0)

    def test_failure_mode(self):
        """A chip that leaves failure mode, with its power and its connection as they were, is used again."""
        proxy = self.stack.enter_context(swtpm.Proxy(self.tpm))
        # what does not work says so to everything but what asks for the reason
        proxy.rules("144 rc 101", "181 rc 101", "143 rc 101", "17b rc 101")
        self.start(tcti="ggtpm:path=" + proxy.socket)
        client = self.connect()
        self.assertEqual(client.ask(tpm_client.get_random())[0], 0x101)
        self.assertEqual(client.ask(frame(tpm_client.CC_SELF_TEST, b"\1"))[0], 0x101)
        self.assertEqual(client.ask(tpm_client.create_primary())[0], 0x101)
        proxy.rules()
        self.assertEqual(client.ask(frame(tpm_client.CC_SELF_TEST, b"\1"))[0], 0)
        client.sign(client.create_primary())
        self.assertEqual([state[:3] for state in self.broker.states], ["1 0", "1 0"])

    def test_failure_mode_by_itself(self):
        """The same with nobody who asks: after a while a command is told to come again, and is then served."""
        proxy = self.stack.enter_context(swtpm.Proxy(self.tpm))
        proxy.rules("144 rc 101", "181 rc 101")
        self.start("--hold", tcti="ggtpm:path=" + proxy.socket)
        self.broker.process.send_signal(signal.SIGUSR1)
        client = self.connect()
        proxy.rules()
        deadline = time.monotonic() + 60
        while (code := client.ask(tpm_client.get_random())[0]) == 0x101:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.assertEqual(code, 0x922)
        # the second report; until it has been heard, clients wait
        self.broker.wait_state(self.broker.READY, since=1)
        client.send(tpm_client.get_random())
        self.wait_rounds()
        self.assertEqual(self.tpm.count(tpm_client.CC_GET_RANDOM), 0)
        self.broker.process.send_signal(signal.SIGUSR1)
        self.assertEqual(client.receive()[0], 0)

    def test_no_answer(self):
        self.start(config="[Broker]\nChipTimeoutSec=1\n")
        client, other = self.connect(), self.connect()
        self.tpm.process.send_signal(signal.SIGSTOP)
        try:
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0xa000a)
            self.assertIn("has not answered", self.broker.wait_state(self.broker.FAILED))
            self.assertEqual(other.ask(tpm_client.get_random())[0], NO_CONNECTION)
        finally:
            self.tpm.process.send_signal(signal.SIGCONT)
        self.broker.wait_state(self.broker.READY, since=2)
        self.assert_alive()

    def test_absent(self):
        self.tpm.kill()
        os.unlink(self.tpm.socket)
        broker = tpm_client.Broker(self.tpm)
        self.stack.callback(broker.stop)
        state = broker.wait_state(broker.UNAVAILABLE)
        self.assertTrue(state.startswith("2 1 # no TPM at"), state)
        with broker.connect() as client:
            self.assertEqual(client.ask(tpm_client.get_random())[0], NO_CONNECTION)
            self.tpm.start()
            broker.wait_state(broker.READY)
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0)

    @staticmethod
    def talk_nonsense(listener):
        while True:
            try:
                chip, _ = listener.accept()
            except OSError:
                return
            with chip, contextlib.suppress(OSError):
                while chip.recv(4096):
                    chip.sendall(struct.pack(">HII", 0x8001, 12, 0x101) + b"xx")

    def test_garbage(self):
        """Something answers, and it is no TPM."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        path = os.path.join(self.tpm.dir, "garbage")
        listener.bind(path)
        listener.listen()
        threading.Thread(target=self.talk_nonsense, args=[listener], daemon=True).start()
        broker = tpm_client.Broker(self.tpm, tcti="ggtpm:path=" + path)
        self.stack.callback(broker.stop)
        state = broker.wait_state(broker.FAILED)
        self.assertTrue(state.startswith("3 5 "), state)


if __name__ == "__main__":
    if not swtpm.available():
        sys.exit(77)
    unittest.main()
