#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Socket activation: a client that was there before the daemon is served, and so are those after it."""

import os
import shutil
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

GET_RANDOM = bytes.fromhex('80010000000c0000017b0008')
ANSWER_SIZE = 10 + 2 + 8


class Activation(unittest.TestCase):
    def setUp(self):
        bus.enter()
        if not swtpm.available():
            self.skipTest('not installed: swtpm')
        directory = tempfile.mkdtemp(prefix='ggtpm-')
        self.addCleanup(shutil.rmtree, directory)
        os.chmod(directory, 0o755)
        self.path = os.path.join(directory, 'tpm.sock')
        # As systemd makes it: blocking.
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.path)
        self.listener.listen()

    def connect(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.settimeout(10)
        client.connect(self.path)
        return client

    def check_answer(self, client):
        answer = b''
        while len(answer) < ANSWER_SIZE:
            part = client.recv(ANSWER_SIZE - len(answer))
            self.assertNotEqual(part, b'', answer.hex())
            answer += part
        self.assertEqual(answer[:12].hex(), '8001' + '00000014' + '00000000' + '0008')

    def test_client_first(self):
        early = self.connect()
        early.sendall(GET_RANDOM)
        with bus.Bus() as system_bus, swtpm.Swtpm() as tpm, \
                bus.Daemon(system_bus, tpm, listener=self.listener) as daemon:
            self.check_answer(early)
            late = self.connect()
            late.sendall(GET_RANDOM)
            self.check_answer(late)
            # The socket is systemd's: none of the daemon's own is made beside it, and it stays when the daemon stops.
            self.assertNotIn('tpm.sock', os.listdir(daemon.runtime_dir))
        self.assertTrue(os.path.exists(self.path))

    def test_alongside(self):
        # systemd's socket has no other end then: who connects is told at once
        early = self.connect()
        with bus.Bus() as system_bus, swtpm.Swtpm() as tpm, \
                bus.Daemon(system_bus, tpm, '--mode', 'alongside', listener=self.listener):
            self.assertEqual(early.recv(1), b'')
            self.assertEqual(self.connect().recv(1), b'')


if __name__ == '__main__':
    bus.main()
