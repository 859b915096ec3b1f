# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The broker over a TCTI that can all that a TCTI may, and fails as it is told: cancelling in the chip, every error at
every command, a device that others hold."""

import os
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import swtpm  # noqa: E402
import tpm_client  # noqa: E402
from test_broker import NOBODY, NOT_PERMITTED, REFERENCE_H0, BrokerCase  # noqa: E402
from tpm_client import frame  # noqa: E402

CANCELED = 0x909
CANCEL = tpm_client.CONTROL_CANCEL
# everything that a TCTI may say: TSS2_TCTI_RC_*
TCTI_CODES = [0xa0001, 0xa0002, 0xa0003, 0xa0004, 0xa0005, 0xa0006, 0xa0007, 0xa0008, 0xa0009, 0xa000a, 0xa000b,
              0xa000c, 0xa0017, 0xa001e]


class TctiCase(BrokerCase):
    def setUp(self):
        super().setUp()
        self.tcti = tpm_client.TestTcti(self.tpm)

    def start(self, *options, **more):
        return super().start(*options, tcti=self.tcti.conf, **more)


class Cancel(TctiCase):
    """Of a command that is in the chip."""

    def identify(self, client):
        return client.control(tpm_client.CONTROL_GET_ID)[1]

    def test_cancel(self):
        self.start()
        busy, waiting, third = self.connect(), self.connect(), self.connect()
        identity, other = self.identify(busy), self.identify(waiting)
        self.tcti.rules("17b hold - 1")
        busy.send(tpm_client.get_random())
        self.tcti.wait_log("hold 17b")
        waiting.send(tpm_client.get_random())
        # of one in the queue: that one only
        self.assertEqual(third.control(CANCEL, other)[0], 0)
        self.assertEqual(waiting.receive()[0], CANCELED)
        self.assertEqual(self.tcti.log("cancel"), [])
        self.assertEqual(third.control(CANCEL, identity)[0], 0)
        self.assertEqual(busy.receive()[0], CANCELED)
        self.assertEqual(self.tcti.log("cancel"), ["cancel"])
        # of none: nothing happens
        self.assertEqual(third.control(CANCEL, identity)[0], 0)
        for client in (busy, waiting):
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0)
        self.assertEqual(len(self.broker.states), 1, self.broker.states)

    def test_whose(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.start()
        os.chmod(self.broker.path, 0o666)
        busy, third = self.connect(), self.connect()
        stranger = self.stack.enter_context(tpm_client.connect_as(self.broker.path, NOBODY, NOBODY))
        identity = self.identify(busy)
        self.tcti.rules("17b hold - 1")
        busy.send(tpm_client.get_random())
        self.tcti.wait_log("hold 17b")
        self.assertEqual(stranger.control(CANCEL, identity)[0], NOT_PERMITTED)
        self.assertEqual(self.tcti.log("cancel"), [])
        self.assertEqual(third.control(CANCEL, identity)[0], 0)
        self.assertEqual(busy.receive()[0], CANCELED)

    def test_refused(self):
        """By the TCTI: the command goes on, and may be cancelled again."""
        self.start()
        busy, third = self.connect(), self.connect()
        identity = self.identify(busy)
        self.tcti.rules("17b hold - 1", "any cancel a000a 1")
        busy.send(tpm_client.get_random())
        self.tcti.wait_log("hold 17b")
        self.assertEqual(third.control(CANCEL, identity)[0], 0)
        self.assertEqual(third.control(CANCEL, identity)[0], 0)
        self.assertEqual(busy.receive()[0], CANCELED)
        self.assertEqual(self.tcti.log("cancel"), ["cancel"])

    def test_blocks(self):
        """A TCTI that does not return from cancelling keeps nobody else waiting."""
        self.start()
        busy, waiting, third = self.connect(), self.connect(), self.connect()
        identity, other = self.identify(busy), self.identify(waiting)
        self.tcti.rules("17b hold - 1", "any stall -")
        busy.send(tpm_client.get_random())
        self.tcti.wait_log("hold 17b")
        self.assertEqual(third.control(CANCEL, identity)[0], 0)
        self.tcti.wait_log("stall")
        waiting.send(tpm_client.get_random())
        self.assertEqual(third.control(CANCEL, other)[0], 0)
        self.assertEqual(waiting.receive()[0], CANCELED)
        self.assertEqual(self.tcti.log("cancel"), [])
        self.tcti.rules()
        self.assertEqual(busy.receive()[0], CANCELED)
        self.assertEqual(waiting.ask(tpm_client.get_random())[0], 0)

    def test_stop(self):
        """The broker ends though a command is in the chip."""
        self.start()
        busy = self.connect()
        self.tcti.rules("17b hold - 1")
        busy.send(tpm_client.get_random())
        self.tcti.wait_log("hold 17b")
        self.assertEqual(self.broker.stop(), 0)
        self.assertEqual(self.tcti.log("cancel"), ["cancel"])

    def test_hung_up(self):
        """Nobody waits for the command: the chip is free for others."""
        self.start()
        busy, other = self.connect(), self.connect()
        self.tcti.rules("17b hold - 1")
        busy.send(tpm_client.get_random())
        self.tcti.wait_log("hold 17b")
        busy.close()
        self.assertEqual(other.ask(tpm_client.get_random())[0], 0)
        self.assertEqual(self.tcti.log("cancel"), ["cancel"])

    def test_loading(self):
        """The command itself is not in the chip yet, but what it needs is on the way there; nothing is lost by it."""
        self.start(config="[Broker]\nIdleEvictMs=1\n")
        client, third = self.connect(), self.connect()
        identity = self.identify(client)
        key, session = client.create_primary(), client.start_session(kind=1)
        while self.tpm.count(tpm_client.CC_CONTEXT_SAVE) < 2:
            pass
        for n, command in enumerate((tpm_client.sign(key),
                                     frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session))), 1):
            self.tcti.rules(f"{tpm_client.CC_CONTEXT_LOAD:x} hold - 1", f"{n} pass -")
            client.send(command)
            self.tcti.wait_log("hold 161", n)
            self.assertEqual(third.control(CANCEL, identity)[0], 0)
            self.assertEqual(client.receive()[0], CANCELED)
            self.assertEqual(client.ask(command)[0], 0)

    def test_at_any_moment(self):
        """Whenever it comes: before the command is read, in the queue, in the chip, or too late. The command is
        answered once, by the chip or with TPM_RC_CANCELED."""
        self.start()
        client, third = self.connect(), self.connect()
        identity = self.identify(client)
        seen = set()
        for _ in range(300):
            client.send(tpm_client.get_random())
            self.assertEqual(third.control(CANCEL, identity)[0], 0)
            code, body = client.receive()
            self.assertEqual(len(body), 0 if code else 10)
            seen.add(code)
        self.assertLessEqual(seen, {0, CANCELED})
        self.assertEqual(client.ask(tpm_client.get_random())[0], 0)

    def test_same_moment(self):
        """Behind a command that does not end: whether or not the broker has read it yet, it is found and cancelled."""
        self.start()
        busy, client, third = self.connect(), self.connect(), self.connect()
        identity = self.identify(client)
        blocker = self.identify(busy)
        self.tcti.rules("17b hold - 1")
        busy.send(tpm_client.get_random())
        self.tcti.wait_log("hold 17b")
        for _ in range(300):
            client.send(tpm_client.get_random())
            self.assertEqual(third.control(CANCEL, identity)[0], 0)
            self.assertEqual(client.receive()[0], CANCELED)
        self.assertEqual(third.control(CANCEL, blocker)[0], 0)
        self.assertEqual(busy.receive()[0], CANCELED)


class Locality(TctiCase):
    def test_set(self):
        self.start()
        client, other = self.connect(), self.connect()
        self.assertEqual(client.control(tpm_client.CONTROL_SET_LOCALITY, b"\3")[0], 0)
        before = len(self.tcti.log("locality"))
        for _ in range(2):
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0)
        self.assertEqual(self.tcti.log("locality")[before:], ["locality 3"])
        self.assertEqual(other.ask(tpm_client.get_random())[0], 0)
        self.assertEqual(self.tcti.log("locality")[before:], ["locality 3", "locality 0"])

    def test_fails(self):
        """Refused above 0 it is the client's fault; at 0, the chip's."""
        self.start()
        client, other = self.connect(), self.connect()
        self.assertEqual(client.control(tpm_client.CONTROL_SET_LOCALITY, b"\3")[0], 0)
        self.tcti.rules("any locality a000a 1")
        self.assertEqual(client.ask(tpm_client.get_random())[0], 0x907)
        self.assertEqual(client.ask(tpm_client.get_random())[0], 0)
        self.tcti.rules("any locality a000a 1", "1 pass -")
        self.assertEqual(other.ask(tpm_client.get_random())[0], 0xa000a)
        self.broker.wait_state(self.broker.READY, since=2)
        self.assertEqual(other.ask(tpm_client.get_random())[0], 0)


class Turns(TctiCase):
    def test_users(self):
        """Twenty connections of one user and two of another wait: turns by user, then by connection."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        self.start()
        os.chmod(self.broker.path, 0o666)
        busy, third = self.connect(), self.connect()
        identity = busy.control(tpm_client.CONTROL_GET_ID)[1]
        greedy = [self.connect() for _ in range(20)]
        modest = [self.stack.enter_context(tpm_client.connect_as(self.broker.path, NOBODY, NOBODY)) for _ in range(2)]
        self.tcti.rules("17b hold - 1")
        busy.send(tpm_client.get_random())
        self.tcti.wait_log("hold 17b")
        for client in greedy:
            client.send(tpm_client.get_random())
        self.wait_rounds()
        for client in modest:
            client.send(tpm_client.start_session())
        self.wait_rounds()
        before = len(self.tpm.codes())
        self.assertEqual(third.control(CANCEL, identity)[0], 0)
        for client in greedy + modest:
            self.assertEqual(client.receive()[0], 0)
        theirs = [i for i, code in enumerate(self.tpm.codes()[before:]) if code == tpm_client.CC_START_AUTH_SESSION]
        self.assertEqual(theirs, [1, 3])


class Errors(TctiCase):
    def test_every_command(self):
        """A flow with more keys than slots, sessions and contexts; at each of its commands in turn the TCTI fails. The
        client is told, the chip is opened again, every handle works or is known to be gone, and at the end nothing is
        left in the chip."""
        self.start(config="[Broker]\nIdleEvictMs=3600000\n")
        with self.broker.connect() as client:
            before = self.tpm.count()
            self.flow(client)
            n_commands = self.tpm.count() - before
        self.assertGreater(n_commands, 25)
        n_failed = 0
        for n in range(n_commands):
            for call in ("transmit", "receive"):
                code = TCTI_CODES[(2 * n + (call == "receive")) % len(TCTI_CODES)]
                with self.subTest(f"{call} {code:x} at {n}"), self.broker.connect() as client:
                    self.tcti.rules(f"any pass - {n}", f"any {call} {code:x} 1")
                    n_failed += self.run_one(client)
        # a few commands fewer are needed once the broker has learned how much fits
        self.assertGreater(n_failed, n_commands)
        self.assertFalse([state for state in self.broker.states[1:] if "reset" in state])
        self.broker.stop()
        for first in (tpm_client.TRANSIENT_FIRST, tpm_client.LOADED_SESSION_FIRST, tpm_client.SAVED_SESSION_FIRST):
            self.assertEqual(self.tpm.handles(first), [], hex(first))

    def run_one(self, client):
        failed = None
        keys, sessions = [], []
        try:
            self.flow(client, keys, sessions)
        except tpm_client.TpmError as error:
            failed = error.code
        self.assertTrue(failed is None or failed & 0xfff0000 == 0xa0000, failed and hex(failed))
        self.tcti.rules()
        deadline = time.monotonic() + 60
        while client.ask(tpm_client.get_random())[0] != 0:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.002)
        for key in keys:
            self.assertIn(client.ask(tpm_client.sign(key))[0], (0, REFERENCE_H0))
        for session in sessions:
            self.assertIn(client.ask(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))[0],
                          (0, REFERENCE_H0))
        self.assertLessEqual(set(client.handles(tpm_client.TRANSIENT_FIRST)), set(range(0x800000ff, 0x80000120)))
        client.sign(client.create_primary())
        return failed is not None

    @staticmethod
    def flow(client, keys=None, sessions=None):
        keys = [] if keys is None else keys
        sessions = [] if sessions is None else sessions
        for i in range(4):
            keys.append(client.create_primary(unique=b"%d" % i))
        for _ in range(3):
            sessions.append(client.start_session(kind=1))
        for _ in range(2):
            for key in keys:
                client.sign(key)
        blob = client.save(keys[0])
        keys.append(client.load(blob))
        blob = client.save(sessions[0])
        client.load(blob)
        client.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", sessions[0])))
        client.do(frame(tpm_client.CC_FLUSH_CONTEXT, struct.pack(">I", sessions.pop())))
        client.do(frame(tpm_client.CC_FLUSH_CONTEXT, struct.pack(">I", keys.pop(1))))


class Opening(TctiCase):
    def test_back_off(self):
        """Each try is further from the last, at least twice as far; when the chip can be opened it is, by itself."""
        self.tcti.rules("any init a000a")
        self.broker = tpm_client.Broker(self.tpm, tcti=self.tcti.conf)
        self.stack.callback(self.broker.stop)
        self.broker.wait_state(self.broker.UNAVAILABLE)
        with self.broker.connect() as client:
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0xa0008)
        times = [int(line.split()[1]) for line in self.tcti.wait_log("init", 4)]
        self.assertEqual([after - before >= wanted for before, after, wanted in
                          zip(times, times[1:], (250, 500, 1000))], [True] * 3, times)
        self.tcti.rules()
        self.broker.wait_state(self.broker.READY)
        self.assert_alive()
        # as if nothing had been
        n_opened = len(self.tcti.log("init"))
        self.tcti.rules("17b transmit a000a 1")
        with self.broker.connect() as client:
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0xa000a)
        self.tcti.rules()
        self.broker.wait_state(self.broker.READY, since=3)
        self.assertEqual(len(self.tcti.log("init")), n_opened + 1)
        self.assert_alive()


if __name__ == "__main__":
    if not swtpm.available():
        sys.exit(77)
    unittest.main()
