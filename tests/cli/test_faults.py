#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl where something is missing or wrong: daemon, chip, answer, PIN."""

import contextlib
import json
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus  # noqa: E402
from gi.repository import Gio  # noqa: E402, I100

EVERY_VERB = (['info'], ['provision'], ['token', 'list'], ['key', 'list'], ['key', 'create', 'k'], ['key', 'csr', 'k'],
              ['key', 'uri', 'k'], ['key', 'install-cert', 'k', __file__], ['key', 'sign', 'k'],
              ['config', 'write', 'v1', '--print'])


class NoDaemon(cli.Case):
    def test_status(self):
        result = self.run_ctl('status')
        self.assertEqual((result.returncode, result.stderr), (6, ''))
        self.assertRegex(result.stdout.decode(), r'\ADaemon +not running\n.*systemctl start ggtpmd')
        result = self.run_ctl('--json')
        self.assertEqual((result.returncode, result.stderr), (6, ''))
        value = cli.json.loads(result.stdout)
        self.assertEqual(set(value), {'version', 'daemon'})
        self.assertEqual(set(value['daemon']), {'running', 'state_reason'})
        self.assertIs(value['daemon']['running'], False)

    def test_every_verb(self):
        for args in EVERY_VERB:
            with self.subTest(args=args):
                self.assertIn('ggtpmd', self.fails(6, 'Unavailable', *args))

    def test_no_bus(self):
        result = self.run_ctl('token', 'list', env={'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'})
        self.assertEqual(result.returncode, 6)
        self.assertIn('system bus', result.stderr)


class SilentDaemon(cli.Case):
    """It is there and does not answer."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()

    def test_timeout(self):
        self.pause(self.daemon.process)
        for args in (['status'], ['token', 'list'], ['provision']):
            with self.subTest(args=args):
                self.assertIn('in time', self.fails(6, 'Timeout', '--timeout', '1', *args, once=True))


class EndingDaemon(cli.Case):
    """It gets the call, and leaves the bus without an answer."""

    def test_no_answer(self):
        service = self.bus.connect()
        service.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName', '(su)', bus.NAME, 0,
                     destination='org.freedesktop.DBus')
        called = threading.Event()
        service.connection.add_filter(lambda _connection, message, incoming: self.note(called, message, incoming))
        process = self.popen('--json', 'token', 'list', stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(called.wait(cli.TIMEOUT_S))
        service.connection.close_sync()
        stdout, stderr = process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual((process.returncode, stderr), (6, b''), stdout)
        self.assertEqual(json.loads(stdout)['error']['name'], 'Unavailable')

    @staticmethod
    def note(called, message, incoming):
        if incoming and message.get_message_type() == Gio.DBusMessageType.METHOD_CALL:
            called.set()
            return None
        return message


class NoChip(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon = cls.enter(bus.Daemon(cls.bus, 'swtpm:path=/tmp/no-such-socket'))
        caller = cls.bus.connect()
        bus.wait_for(lambda: caller.get(bus.ROOT, 'org.ggtpm1.Manager', 'State') != 'starting', 'a state')
        caller.close()

    def test_status(self):
        result = self.run_ctl('status')
        self.assertEqual((result.returncode, result.stderr), (6, ''))
        text = result.stdout.decode()
        self.assertRegex(text, r'\ADaemon +unavailable \(ggtpmd .*\)\n  \S')
        self.assertRegex(text, r'(?m)^Chip +not read yet$')
        result = self.run_ctl('--json', 'status')
        self.assertEqual(result.returncode, 6)
        value = cli.json.loads(result.stdout)
        self.assertEqual(value['daemon']['state'], 'unavailable')
        self.assertNotEqual(value['daemon']['state_reason'], '')

    def test_every_verb(self):
        for args in EVERY_VERB:
            if args[1:] == ['list'] or args[0] == 'config':
                continue
            with self.subTest(args=args):
                self.fails(6, 'Unavailable', *args)


class Pins(cli.Case):
    """The daemon does not have the PIN."""

    PIN = 'right pin'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()
        test = cls('ok')
        test.ok('provision', '--pin-file', '-', stdin=cls.PIN.encode())
        cls.daemon.terminate()
        pins = os.path.join(cls.daemon.state_dir, 'pins')
        for name in os.listdir(pins):
            os.unlink(os.path.join(pins, name))
        cls.daemon.start()

    def test_lists(self):
        self.assertRegex(self.ok('token', 'list'), 'greengrass +[0-9]+ +asked for ')
        self.assertIs(self.json('token', 'list')['tokens'][0]['pin_stored'], False)

    def test_required(self):
        for args in (['key', 'sign', 'greenkey'], ['key', 'csr', 'greenkey'], ['key', 'create', 'x'],
                     ['config', 'write', 'v1', '--print']):
            with self.subTest(args=args):
                self.fails(4, 'AuthRequired', '--no-ask-password', *args)

    def test_pin_file(self):
        path = self.path('pin')
        with open(path, 'w', encoding='ascii') as file:
            file.write(self.PIN + '\nsecond line\n')
        os.chmod(path, 0o600)
        self.assertIn('BEGIN', self.ok('key', 'csr', 'greenkey', '--pin-file', path))
        self.assertIn('BEGIN', self.ok('key', 'csr', 'greenkey', '--pin-file', '-', stdin=self.PIN.encode()))
        self.assertIn('signature', self.json('key', 'sign', 'greenkey', '--pin-file', path, stdin=b'data'))

    def test_asked_on_terminal(self):
        terminal = self.terminal('key', 'csr', 'greenkey')
        terminal.wait_for("User PIN of token 'greengrass': ")
        terminal.write(self.PIN + '\n')
        self.assertEqual(terminal.wait(), 0, terminal.output)
        self.assertIn('BEGIN CERTIFICATE REQUEST', terminal.output)
        self.assertNotIn(self.PIN, terminal.output)

    def test_not_asked(self):
        terminal = self.terminal('--no-ask-password', 'key', 'csr', 'greenkey')
        self.assertEqual(terminal.wait(), 4)
        self.assertNotIn('User PIN', terminal.output)

    def test_interrupted(self):
        terminal = self.terminal('key', 'csr', 'greenkey')
        terminal.wait_for('User PIN')
        terminal.write('\x03')
        self.assertEqual(terminal.wait(), 1)
        self.assertIn('no PIN was given', terminal.output)

    def test_nowhere_to_be_seen(self):
        """Neither in the arguments nor in the environment of anybody who has to do with it."""
        self.pause(self.tpm.process)
        process = self.popen('key', 'csr', 'greenkey', '--pin-file', '-', stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(self.PIN.encode())
        process.stdin.close()
        # it has handed the PIN on and waits for the answer
        bus.wait_for(lambda: self.has_handed_on(process.pid), 'the call')
        for pid in (process.pid, self.daemon.process.pid, *self.children(self.daemon.process.pid)):
            for name in ('cmdline', 'environ'):
                with open(f'/proc/{pid}/{name}', 'rb') as file:
                    self.assertNotIn(self.PIN.encode(), file.read())
        self.resume(self.tpm.process)
        self.assertEqual(process.wait(cli.TIMEOUT_S), 0)
        process.stdout.close()
        process.stderr.close()
        self.assertNotIn(self.PIN, self.daemon.read_log())

    @staticmethod
    def has_handed_on(pid):
        """The memory file that the PIN goes through is open until the call is answered."""
        fds = f'/proc/{pid}/fd'
        for name in os.listdir(fds):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(os.path.join(fds, name)).startswith('/memfd:pin'):
                    return True
        return False

    @staticmethod
    def children(pid):
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            return file.read().split()


class Polkit(cli.Case):
    """It decides where it is installed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.polkit = cls.enter(bus.FakePolkit(cls.bus))
        cls.start_daemon()
        cls('ok').ok('provision')

    def setUp(self):
        self.polkit.answer = lambda *_: (True, False, {})
        self.polkit.asked.clear()
        self.polkit.emit_changed()

    def ask_a_person(self, _sender, _action, _details, flags):
        return (True, False, {}) if flags & 1 else (False, True, {})

    def test_a_person_is_asked(self):
        self.polkit.answer = self.ask_a_person
        self.assertIn('BEGIN', self.ok('key', 'csr', 'greenkey', uid=bus.ALICE))
        self.assertEqual({action for _, action, *_ in self.polkit.asked}, {'org.ggtpm1.use-key'})

    def test_nobody_is_asked(self):
        self.polkit.answer = self.ask_a_person
        self.fails(4, 'NotAuthorized', '--no-ask-password', 'key', 'csr', 'greenkey', uid=bus.ALICE)
        self.assertEqual({flags & 1 for *_, flags in self.polkit.asked}, {0})

    def test_denied(self):
        for answer in ((False, False, {}), (False, True, {}), (False, False, {'polkit.dismissed': 'true'})):
            self.polkit.answer = lambda *_, answer=answer: answer
            self.fails(4, 'NotAuthorized', 'key', 'csr', 'greenkey', uid=bus.ALICE)
        # reading needs no rights
        self.ok('status', uid=bus.ALICE)

    def test_person_who_takes_long(self):
        self.polkit.answer = lambda *_: None
        self.fails(6, 'Timeout', '--timeout', '1', 'key', 'csr', 'greenkey', uid=bus.ALICE, once=True)
        self.polkit.release()


class WrongPin(cli.Case):
    """Exit code 4 until the chip locks up, then 5."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon(config='[Health]\nLockoutResetIntervalSec=0\n')
        cls('ok').ok('provision')

    def test_until_locked_out(self):
        limit = self.json('status')['health']['lockout_max']
        message = ''
        for count in range(limit):
            result = self.run_ctl('--json', 'key', 'csr', 'greenkey', '--pin-file', '-', stdin=b'wrong')
            error = cli.json.loads(result.stdout)['error']
            if result.returncode == 5:
                break
            self.assertEqual((result.returncode, error['name']), (4, 'AuthFailed'), error)
            message = error['message']
        self.assertGreater(count, 0)
        # the counter is in the text
        self.assertRegex(message, rf'\d+ of {limit}')
        self.fails(5, 'LockedOut', 'key', 'csr', 'greenkey', '--pin-file', '-', stdin=b'wrong', once=True)
        # not even the right one is tried
        self.fails(5, 'LockedOut', 'key', 'csr', 'greenkey', once=True)
        caller = self.bus.connect()
        caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {})
        caller.close()
        self.assertRegex(self.ok('status'), r'(?m)^Lockout +\d+ of \d+ failed authorisations: locked out$')
        self.assertIs(self.json('status')['health']['in_lockout'], True)


if __name__ == '__main__':
    bus.main()
