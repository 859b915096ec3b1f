#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl monitor: what it shows of tokens, keys, jobs, lockout and the daemon's end, and how it ends itself."""

import os
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus  # noqa: E402


class Monitor:
    """Lines of `ggtpmctl monitor` as they come."""

    def __init__(self, case, *args, **kwargs):
        self.process = case.popen(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  **kwargs)
        case.addCleanup(self.close)
        self.rest = b''
        self.lines = []

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def next(self, timeout_s=cli.TIMEOUT_S):
        deadline = time.monotonic() + timeout_s
        while b'\n' not in self.rest:
            if not select.select([self.process.stdout], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise TimeoutError(repr(self.lines))
            data = os.read(self.process.stdout.fileno(), 65536)
            if data == b'':
                raise EOFError(repr((self.lines, self.process.stderr.read())))
            self.rest += data
        line, self.rest = self.rest.split(b'\n', 1)
        self.lines.append(line.decode())
        return self.lines[-1]

    def wait_for(self, **members):
        """The first document with these members."""
        while True:
            value = cli.json.loads(self.next())
            if members.items() <= value.items():
                return value

    def end(self, number=signal.SIGINT):
        """What it exits with, and what it had still to say."""
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=cli.TIMEOUT_S)
        return self.process.returncode, (self.rest + stdout).decode(), stderr.decode()


class NoDaemon(cli.Case):
    def test_no_daemon(self):
        self.assertIn('ggtpmd', self.fails(6, 'Unavailable', 'monitor'))


class Events(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()

    def test_events(self):
        monitor = Monitor(self, '--json', 'monitor', uid=bus.ALICE)
        first = monitor.wait_for(event='daemon')
        self.assertEqual((first['version'], first['state']), (1, 'ready'))
        self.assertLess(abs(first['time'] - time.time()), 60)
        monitor.wait_for(event='health', state=self.json('status')['health']['state'])

        self.ok('provision')
        monitor.wait_for(event='job', operation='provision')
        names = {}
        while not {'token-added', 'key-added'} <= set(names):
            value = cli.json.loads(monitor.next())
            names[value['event']] = value
        self.assertEqual(names['token-added']['label'], 'greengrass')
        self.assertEqual((names['key-added']['label'], names['key-added']['token']), ('greenkey', 'greengrass'))

        self.ok('key', 'create', 'second')
        monitor.wait_for(event='key-added', label='second')
        code, _, stderr = monitor.end()
        self.assertEqual((code, stderr), (0, ''))

    def test_healed(self):
        """A lockout counter that is reset is told as what the daemon has done."""
        monitor = Monitor(self, '--json', 'monitor')
        monitor.wait_for(event='health')
        self.ok('provision')
        self.fails(4, 'AuthFailed', 'key', 'csr', 'greenkey', '--pin-file', '-', stdin=b'wrong', once=True)
        caller = self.bus.connect()
        caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', '(a{sv})', {})
        caller.close()
        value = monitor.wait_for(event='healed')
        self.assertEqual(value['action'], 'lockout-reset')
        self.assertEqual(value['details'], {'counter-before': 1, 'limit': 3})

    def test_text(self):
        monitor = Monitor(self, 'monitor')
        self.assertRegex(monitor.next(), r'\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  daemon +ready\Z')
        self.assertRegex(monitor.next(), r'  health +\w+\Z')
        self.assertEqual(monitor.end(signal.SIGTERM)[0], 0)

    def test_timeout_ends_it(self):
        result = self.run_ctl('--timeout', '1', 'monitor')
        self.assertEqual((result.returncode, result.stderr), (0, ''))

    def test_reader_goes(self):
        monitor = Monitor(self, '--json', 'monitor')
        monitor.wait_for(event='health')
        monitor.process.stdout.close()
        self.ok('provision')
        self.ok('key', 'create', 'third')
        self.assertEqual(monitor.process.wait(cli.TIMEOUT_S), 1)
        monitor.process.stdout = None


class Restart(cli.Case):
    def test_restart(self):
        if not cli.swtpm.available():
            self.skipTest('not installed: swtpm')
        tpm = self.enter(cli.swtpm.Swtpm())
        with bus.Daemon(self.bus, tpm):
            self.ok('provision')
            monitor = Monitor(self, '--json', 'monitor')
            monitor.wait_for(event='daemon', state='ready')
            monitor.wait_for(event='health')
            before = len(monitor.lines)
        monitor.wait_for(event='daemon', state='gone')
        # that its objects go with it is no news
        news = [cli.json.loads(line)['event'] for line in monitor.lines[before:]]
        self.assertNotIn('token-removed', news)
        with bus.Daemon(self.bus, tpm):
            monitor.wait_for(event='daemon', state='ready')
            self.assertEqual(monitor.end()[0], 0)


if __name__ == '__main__':
    bus.main()
