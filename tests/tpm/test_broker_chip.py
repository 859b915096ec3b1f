# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The broker above chips that are slow, silent, mad or gone, by each kind of link: a socket that it reads itself, and
a TCTI that blocks in a thread. With an argument: a relay between standard input and output and that socket, for
tcti-cmd."""

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import swtpm  # noqa: E402
import tpm_client  # noqa: E402
from tpm_client import frame, get_random  # noqa: E402

NO_CONNECTION = 0xa0008
IO_ERROR = 0xa000a
COMMAND_SIZE = 0x142
REFERENCE_H0 = 0x910
SILENT, PROTOCOL, BUSY, IO = "3 6 ", "3 5 ", "2 2 ", "2 4 "
OWN_LINKS = ("swtpm", "bare")
LINKS = (*OWN_LINKS, "thread")
# an answer, and half of the next one, for which nobody has asked
TWO_ANSWERS = struct.pack(">HII", 0x8001, 10, 0).hex() + "8001000000"


def relay(path):
    chip = socket.socket(socket.AF_UNIX)
    chip.connect(path)
    while True:
        ready, _, _ = select.select([0, chip], [], [])
        for source in ready:
            data = os.read(source if source == 0 else chip.fileno(), 8192)
            if not data:
                return
            os.write(chip.fileno() if source == 0 else 1, data)


class ChipCase(unittest.TestCase):
    config = "[Broker]\nChipTimeoutSec=1\n"

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.tpm = self.stack.enter_context(swtpm.Swtpm())

    def tctis(self, path):
        """Of a chip at that socket: each kind of link."""
        relays = f"cmd:exec {sys.executable} {os.path.abspath(__file__)} {path}"
        return {"swtpm": "swtpm:path=" + path, "bare": "ggtpm:path=" + path, "thread": relays}

    def each_link(self, body, *rules, names=LINKS, ready=True):
        """body(broker, proxy) with a broker over each kind of link."""
        for name in names:
            with self.subTest(link=name), swtpm.Proxy(self.tpm) as proxy, contextlib.ExitStack() as stack:
                proxy.rules(*rules)
                broker = tpm_client.Broker(self.tpm, tcti=self.tctis(proxy.socket)[name], config=self.config)
                stack.callback(broker.stop)
                if ready:
                    broker.wait_state(broker.READY)
                body(broker, proxy)

    def recovers(self, broker, proxy):
        """The chip is itself again: so is the broker."""
        since = len(broker.states)
        proxy.rules()
        broker.wait_state(broker.READY, since=since)
        with broker.connect() as client:
            self.assertEqual(client.ask(get_random())[0], 0)

    def assert_failed(self, broker, *starts):
        state = broker.wait_state(broker.FAILED)
        self.assertTrue(state.startswith(starts), state)
        return state


class Silence(ChipCase):
    def check(self, *rules):
        def body(broker, proxy):
            proxy.rules(*rules)
            with broker.connect() as client, broker.connect() as other:
                client.send(get_random())
                # the broker waits, and is there for everybody else
                self.assertEqual(other.control(tpm_client.CONTROL_GET_ID)[0], 0)
                self.assertEqual(len(broker.states), 1)
                self.assertEqual(client.receive()[0], IO_ERROR)
                self.assertIn("has not answered for 1 s", self.assert_failed(broker, SILENT))
                self.assertEqual(other.ask(get_random())[0], NO_CONNECTION)
            self.recovers(broker, proxy)
        self.each_link(body)

    def test_no_answer(self):
        self.check("17b hang -")

    def test_half_a_header(self):
        self.check("17b half 7")

    def test_half_an_answer(self):
        self.check("17b half 15")

    def test_from_the_start(self):
        def body(broker, proxy):
            self.assert_failed(broker, SILENT)
            with broker.connect() as client:
                self.assertEqual(client.ask(get_random())[0], NO_CONNECTION)
            self.recovers(broker, proxy)
        self.each_link(body, "any hang -", ready=False)

    def test_control_socket(self):
        """swtpm takes connections and says nothing about localities."""
        path = os.path.join(self.tpm.dir, "c")
        with swtpm.Proxy(self.tpm) as proxy, socket.socket(socket.AF_UNIX) as listener:
            os.symlink(proxy.socket, path)
            listener.bind(path + ".ctrl")
            listener.listen()
            broker = tpm_client.Broker(self.tpm, tcti="swtpm:path=" + path, config=self.config)
            self.stack.callback(broker.stop)
            self.assert_failed(broker, SILENT)

    def test_threads_are_bounded(self):
        """Each attempt leaves a thread in a TCTI that does not return: there are two, and no third."""
        def body(broker, proxy):
            state = broker.wait_state(broker.UNAVAILABLE)
            self.assertTrue(state.startswith(IO), state)
            self.assertIn("does not return", state)
            # what was below goes: they return
            since = len(broker.states)
            proxy.stop()
            with swtpm.Proxy(self.tpm):
                broker.wait_state(broker.READY, since=since)
        self.each_link(body, "any hang -", names=["thread"], ready=False)

    def test_stop(self):
        def body(broker, proxy):
            proxy.rules("17b hang -")
            with broker.connect() as client, broker.connect() as other:
                client.send(get_random())
                self.assertEqual(other.control(tpm_client.CONTROL_GET_ID)[0], 0)
                self.assertEqual(broker.stop(), 0)
        self.each_link(body)


class Nonsense(ChipCase):
    def check(self, rule, names=OWN_LINKS, starts=(PROTOCOL,)):
        def body(broker, proxy):
            proxy.rules(rule)
            with broker.connect() as client:
                self.assertEqual(client.ask(get_random())[0] & 0xff0000, 0xa0000)
                self.assert_failed(broker, *starts)
                self.assertEqual(client.ask(get_random())[0], NO_CONNECTION)
            self.recovers(broker, proxy)
        self.each_link(body, names=names)

    def test_garbage(self):
        self.check("17b garbage -")

    def test_too_long(self):
        self.check("17b size 9000")

    def test_in_a_thread(self):
        """Some TCTIs wait for all that a size without sense promises."""
        self.check("17b garbage -", names=["thread"], starts=(PROTOCOL, SILENT))

    def test_shorter_than_a_header(self):
        self.check("17b size 9")

    def test_cut_off(self):
        self.check("17b short 7")
        self.check("17b short 15")

    def test_more_than_was_asked_for(self):
        self.check("17b raw " + TWO_ANSWERS)

    def test_from_the_start(self):
        def body(broker, proxy):
            self.assert_failed(broker, PROTOCOL)
            self.recovers(broker, proxy)
        self.each_link(body, "any garbage -", names=OWN_LINKS, ready=False)


class Comes(ChipCase):
    def test_speaks_first(self):
        """What comes while nobody waits for an answer would be taken for the next one."""
        path = os.path.join(self.tpm.dir, "f")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            broker = tpm_client.Broker(self.tpm, tcti="ggtpm:path=" + path)
            self.stack.callback(broker.stop)
            chip, _ = listener.accept()
            with chip, self.tpm.connect() as real:
                # the start, by the real one
                chip.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    while True:
                        real.sendall(chip.recv(4096))
                        chip.sendall(real.recv(4096))
                broker.wait_state(broker.READY)
                chip.sendall(struct.pack(">HII", 0x8001, 10, 0))
                self.assert_failed(broker, PROTOCOL)

    def test_queue_is_full(self):
        """Connecting to a socket that nobody serves does not block."""
        path = os.path.join(self.tpm.dir, "q")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            with socket.socket(socket.AF_UNIX) as first:
                first.connect(path)
                broker = tpm_client.Broker(self.tpm, tcti="ggtpm:path=" + path)
                self.stack.callback(broker.stop)
                state = broker.wait_state(broker.UNAVAILABLE)
                self.assertTrue(state.startswith(BUSY), state)

    def test_power_cut_without_a_command(self):
        """A software TPM that is switched off and on, however quickly, is not taken for the same one."""
        for idle_ms, rests in ((60000, False), (1, True)):
            with self.subTest(rests=rests), tpm_client.Broker(
                    self.tpm, tcti=self.tpm.tcti, config=f"[Broker]\nIdleEvictMs={idle_ms}\n") as broker:
                client = self.stack.enter_context(broker.connect())
                key = client.create_primary()
                if rests:
                    # swtpm serves one connection at a time: it has let go
                    self.assertEqual(self.tpm.command(tpm_client.CC_GET_RANDOM, b"\0\1")[0], 0)
                self.tpm.kill()
                self.tpm.start()
                if rests:
                    self.assertEqual(client.ask(tpm_client.sign(key))[0], NO_CONNECTION)
                self.assertIn("reset", broker.wait_state(broker.READY, since=1))
                self.assertEqual(client.ask(tpm_client.sign(key))[0], REFERENCE_H0)
                client.sign(client.create_primary())

    def test_long_commands(self):
        """More than chips take does not get the answers out of step, and is nobody else's matter."""
        def body(broker, _):
            with broker.connect() as client:
                for size in (4097, 5000, 8192):
                    self.assertEqual(client.ask(frame(tpm_client.CC_GET_RANDOM, bytes(size - 10)))[0], COMMAND_SIZE)
                    self.assertEqual(len(client.do(get_random(16))), 18)
            self.assertEqual(len(broker.states), 1, broker.states)
        self.each_link(body)


class Stop(ChipCase):
    def test_sockets_are_removed(self):
        """Those that were made here; not one that another process has put in the place."""
        with tempfile.TemporaryDirectory(dir="/tmp") as run:
            broker = tpm_client.Broker(self.tpm, "--runtime-dir", run)
            broker.wait_state(tpm_client.Broker.READY)
            self.assertEqual(sorted(os.listdir(run)), ["internal.sock", "tpm.sock"])
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(os.path.join(run, "new"))
                os.rename(os.path.join(run, "new"), os.path.join(run, "internal.sock"))
                self.assertEqual(broker.stop(), 0)
            self.assertEqual(os.listdir(run), ["internal.sock"])


class Timing(ChipCase):
    """The proxy at the published speed of an SLB 9670: what takes swtpm a millisecond takes what it takes there."""

    def took(self, client, command):
        start = time.monotonic()
        code, body = client.ask(command)
        self.assertEqual(code, 0)
        return time.monotonic() - start, body

    def test_slb9670(self):
        with swtpm.Proxy(self.tpm) as proxy, tpm_client.connect(proxy.socket) as client:
            proxy.rules("timing SLB9670")
            for public, created, signed in ((tpm_client.ECC_PUBLIC, 0.231, 0.068),
                                            (tpm_client.RSA_PUBLIC, 2.196, 0.163)):
                seconds, body = self.took(client, tpm_client.create_primary(public))
                self.assertGreater(seconds, created)
                key = struct.unpack(">I", body[:4])[0]
                self.assertGreater(self.took(client, tpm_client.sign(key))[0], signed)
                client.flush(key)
            self.assertGreater(self.took(client, get_random(48))[0], 48 / 14400)


class Frames(ChipCase):
    """What comes in one piece, and what comes in many."""

    def setUp(self):
        super().setUp()
        broker = self.stack.enter_context(tpm_client.Broker(self.tpm))
        self.client = self.stack.enter_context(broker.connect())

    def test_many_at_once(self):
        get_id = frame(tpm_client.CONTROL_GET_ID, b"", tpm_client.CONTROL_TAG)
        small, large = get_random(16), frame(tpm_client.CC_GET_RANDOM, bytes(500))
        # more than are taken in a row, in one piece that is read at once
        self.client.send(25 * get_id)
        for _ in range(25):
            self.assertEqual(len(self.client.receive()[1]), 16)
        for _ in range(3):
            self.client.send(20 * get_id + small + large + 40 * get_id + 30 * small + large + small)
            sizes = [len(self.client.receive()[1]) for _ in range(94)]
            self.assertEqual(sizes, 20 * [16] + [18, 0] + 40 * [16] + 30 * [18] + [0, 18])

    def test_around_the_inbox(self):
        """A frame as long as what is read at once, and a little shorter and longer, cut anywhere."""
        for size in (254, 255, 256, 257, 258):
            data = 2 * frame(tpm_client.CC_GET_RANDOM, bytes(size - 10))
            for cut in (1, 9, 10, 11, 100, size - 1, size, size + 1, size + 9, 2 * size - 1):
                self.client.send(data[:cut])
                self.client.send(data[cut:])
                self.assertEqual([self.client.receive()[0] for _ in range(2)], [0x95, 0x95], (size, cut))
            self.assertEqual(len(self.client.do(get_random(16))), 18)


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("/"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        relay(sys.argv[1])
        sys.exit(0)
    if not swtpm.available():
        print("swtpm is not installed")
        sys.exit(77)
    unittest.main()
