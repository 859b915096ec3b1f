# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Clients that hang up, stall, flood and talk nonsense, on both front ends: nobody else notices, nothing is left."""

import contextlib
import os
import random
import re
import shutil
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import private_bus  # noqa: E402
import swtpm  # noqa: E402
import tpm_client  # noqa: E402
from test_broker_clients import ClientsCase  # noqa: E402
from tpm_client import frame  # noqa: E402

# change the chip for good, or switch it off
ENDS_ALL = (0x121, 0x124, 0x125, 0x126, 0x127, 0x12b, 0x12f, 0x145, 0x1a1)
GET_ID = frame(tpm_client.CONTROL_GET_ID, tag=tpm_client.CONTROL_TAG)
RSS_GROWTH_KIB = 1024
SANITIZED_KIB = 1 << 30  # of address space: only a sanitizer takes so much


class TortureCase(ClientsCase):
    """Each test is run over the socket, and over the bus name of tpm2-abrmd."""

    n_hang_ups = 10000

    def open(self):
        return self.broker.connect()

    def status(self, key):
        with open(f"/proc/{self.broker.process.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"{key}:\s+(\d+)", file.read()).group(1))

    def n_descriptors(self):
        return len(os.listdir(f"/proc/{self.broker.process.pid}/fd"))

    def assert_alive(self):
        with self.broker.connect(timeout=60) as client:
            self.assertEqual(client.ask(tpm_client.get_random())[0], 0)

    def assert_nothing_left(self):
        """The last that a test does: the broker is ended by it."""
        self.assert_alive()
        self.assertEqual(len(self.broker.states), 1, self.broker.states)
        self.assertEqual(self.broker.stop(), 0)
        for first in (tpm_client.TRANSIENT_FIRST, tpm_client.LOADED_SESSION_FIRST, tpm_client.SAVED_SESSION_FIRST):
            self.assertEqual(self.tpm.handles(first), [], hex(first))


class Socket(TortureCase):
    def cut(self, generator):
        """One client: what it has in the chip, how far it gets with its next command, how it goes."""
        commands = [tpm_client.get_random(), tpm_client.get_random(), tpm_client.start_session(), GET_ID,
                    tpm_client.get_handles(tpm_client.TRANSIENT_FIRST), tpm_client.create_primary()]
        client = self.open()
        if generator.random() < 0.02:
            client.sign(client.create_primary())
            if generator.random() < 0.5:
                client.save(client.start_session())
            commands.append(tpm_client.sign(0x800000ff))
        data = generator.choice(commands) * generator.choice([1, 1, 2, 5])
        # in the header, in the body, between two, or after the last
        client.send(data[:generator.choice([generator.randint(0, 10), generator.randint(0, len(data)), len(data)])])
        how = generator.random()
        with contextlib.suppress(OSError):
            if how < 0.2:
                client.socket.shutdown(socket.SHUT_WR)
            elif how < 0.3:
                client.socket.shutdown(socket.SHUT_RD)
            elif how < 0.4:
                client.socket.setblocking(False)
                client.socket.recv(5)
        client.close()

    def test_hang_up_anywhere(self):
        generator = random.Random(1)
        witness = self.stack.enter_context(self.open())
        key, session = witness.create_primary(), witness.start_session(kind=1)
        self.assert_alive()
        n_descriptors = self.n_descriptors()
        for i in range(self.n_hang_ups):
            if i == self.n_hang_ups // 5:
                memory = self.status("VmRSS")
            self.cut(generator)
        witness.sign(key)
        witness.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))
        self.assertEqual(witness.handles(tpm_client.TRANSIENT_FIRST), [key])
        witness.close()
        # two more have come and gone since: the last ones' descriptors are closed
        self.assert_alive()
        self.assert_alive()
        self.assertLessEqual(self.n_descriptors(), n_descriptors)
        if self.status("VmSize") < SANITIZED_KIB:
            self.assertLess(self.status("VmRSS"), memory + RSS_GROWTH_KIB)
        # four sessions may have been abandoned, and are given up with the broker
        self.assert_nothing_left()

    def test_half_a_command(self):
        """A client that has sent a part, and then says nothing: header, body, and one byte at a time."""
        command = tpm_client.create_primary()
        stopped = []
        for n in (0, 1, 5, 9, 10, 11, len(command) - 1):
            client = self.stack.enter_context(self.open())
            client.send(command[:n])
            stopped.append((n, client))
            self.assert_alive()
        slow = self.stack.enter_context(self.open())
        for byte in tpm_client.get_random():
            slow.send(bytes([byte]))
            self.assert_alive()
        self.assertEqual(slow.receive()[0], 0)
        for n, client in stopped:
            client.send(command[n:])
            client.flush(struct.unpack_from(">I", client.receive()[1])[0])
            client.close()
        self.assert_nothing_left()

    def test_reads_nothing(self):
        """Commands sent and no answer read, until the socket is full."""
        flood = self.stack.enter_context(self.open())
        flood.socket.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            while True:
                flood.send(tpm_client.get_random(32))
        self.assert_alive()
        # it is not served any more
        before = self.tpm.count(tpm_client.CC_GET_RANDOM)
        for _ in range(3):
            self.assert_alive()
        self.assertEqual(self.tpm.count(tpm_client.CC_GET_RANDOM), before + 3)
        self.assertEqual(flood.receive()[0], 0)
        flood.close()
        self.assert_nothing_left()

    def test_random_bytes(self):
        """No frames at all: such a client is hung up on, or waits for the rest of what it has begun."""
        generator = random.Random(2)
        for _ in range(500):
            client = self.open()
            with contextlib.suppress(OSError):
                client.send(generator.randbytes(generator.randint(1, 64)))
            client.close()
        self.assert_nothing_left()

    def test_random_commands(self):
        """Valid headers, and bodies that nobody has thought of: each is answered, with a proper frame."""
        generator = random.Random(3)
        client = self.stack.enter_context(self.open())
        for _ in range(2000):
            size = generator.choice([0, 4, 8, 12, 16, 40])
            body = bytes(generator.choice([0, 0, 1, 2, 9, 0x40, 0x80, 0xff, generator.randrange(256)])
                         for _ in range(size))
            tag = generator.choice([tpm_client.ST_NO_SESSIONS, tpm_client.ST_SESSIONS])
            code = generator.randrange(0x11f, 0x1a0)
            if code not in ENDS_ALL:
                client.ask(frame(code, body, tag))
        client.close()
        self.assert_nothing_left()

    def test_many_at_once(self):
        clients = [self.stack.enter_context(self.open()) for _ in range(100)]
        for client in clients:
            client.send(tpm_client.create_primary())
        keys = [struct.unpack_from(">I", client.receive()[1])[0] for client in clients]
        for client, key in zip(clients, keys):
            client.send(tpm_client.sign(key))
        self.assertEqual({client.receive()[0] for client in clients}, {0})
        for client in clients:
            client.close()
        self.assert_nothing_left()


class Tabrmd(Socket):
    n_hang_ups = 2000

    def open(self):
        return self.create()[1]


class SlowChip(TortureCase):
    """Hanging up while the command is in the chip, for certain: the chip takes its time."""

    def tcti(self):
        self.proxy = self.stack.enter_context(swtpm.Proxy(self.tpm))
        return "ggtpm:path=" + self.proxy.socket

    def test_hang_up(self):
        slow = {"17b": tpm_client.get_random(), "131": tpm_client.create_primary(), "176": tpm_client.start_session()}
        self.proxy.rules(*(f"{code} delay 20" for code in slow))
        for i in range(20):
            for command in slow.values():
                for end in (self.open, lambda: self.create()[1]):
                    client = end()
                    client.send(command)
                    # answered from within the wait for the chip
                    with self.broker.connect() as probe:
                        probe.control(tpm_client.CONTROL_GET_ID)
                    client.close()
        self.proxy.rules()
        self.assert_nothing_left()


if __name__ == "__main__":
    if not swtpm.available() or not private_bus.available() or shutil.which("tpm2_sign") is None:
        sys.exit(77)
    unittest.main()
