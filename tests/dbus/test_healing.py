#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What the daemon heals by itself, and what it leaves: told, counted, and written down, each step."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

HEALTH = 'org.ggtpm1.Health'
KEY = 'org.ggtpm1.Key'
TOKEN = 'org.ggtpm1.Token'
CC_LOCK_RESET = 0x139
CC_SELF_TEST = 0x143
CC_GET_TEST_RESULT = 0x17c
LIFE = '[Health]\nPollIntervalSec=1\nLockoutResetIntervalSec=%u\n'
NONE = {'lockout-reset': 0, 'shutdown': 0, 'flush': 0, 'reopen': 0, 'self-test': 0}


def handle(number):
    return bus.GLib.Variant('h', number)


class Case(unittest.TestCase):
    def setUp(self):
        bus.enter()
        if not swtpm.available():
            self.skipTest('not installed: swtpm')
        self.bus = self.enter(bus.Bus())
        self.polkit = self.enter(bus.FakePolkit(self.bus))
        self.tpm = self.enter(swtpm.Swtpm())
        bus.open_to_daemon(self.tpm)
        self.proxy = self.enter(swtpm.Proxy(self.tpm))
        os.chmod(self.proxy.socket, 0o666)
        self.caller = self.bus.connect()
        self.healed = self.caller.watch(HEALTH, 'Healed', bus.DEVICE)

    def enter(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def fd(self, content):
        fd = bus.memfd(content)
        self.addCleanup(os.close, fd)
        return fd

    def start(self, config=''):
        self.daemon = self.enter(bus.Daemon(self.bus, self.proxy.tcti, config=config))
        self.wait_for('State', 'ok', 'degraded')

    def get(self, name):
        return self.caller.get(bus.DEVICE, HEALTH, name)

    def wait_for(self, name, *values):
        bus.wait_for(lambda: self.get(name) in values, f'{name} {values}', 60)

    def wait_healed(self, action):
        return self.healed.wait(lambda path, args: args[0] == action, 60)[1][1]

    def wait_polls(self, number):
        before = self.tpm.count(CC_GET_TEST_RESULT)
        bus.wait_for(lambda: self.tpm.count(CC_GET_TEST_RESULT) >= before + number, 'polls', 60)

    def tool(self, *args):
        env = os.environ | {'TPM2TOOLS_TCTI': self.tpm.tcti, 'TSS2_LOG': 'all+none'}
        return subprocess.run(args, cwd=self.tpm.dir, env=env, capture_output=True, check=True, text=True).stdout


class Lockout(Case):
    def provision(self, options=None, fds=()):
        job = self.caller.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', options or {}, fds=fds)
        result = self.caller.wait_job(job)['Result']
        self.token, self.key = result['token'], result['key']

    def fail(self):
        with self.assertRaises(bus.Error) as raised:
            self.caller.call(self.key, KEY, 'Sign', '(aya{sv})', b'text', {'pin': handle(0)}, fds=[self.fd(b'wrong')])
        self.assertEqual(raised.exception.name, 'org.ggtpm1.Error.AuthFailed')

    def change_pin(self, **pins):
        options = {name.replace('_', '-'): handle(i) for i, name in enumerate(pins)}
        self.caller.call(self.token, TOKEN, 'ChangePin', '(a{sv})', options,
                         fds=[self.fd(pin) for pin in pins.values()])

    def assert_left(self):
        """Nothing is sent, however often it could be."""
        self.fail()
        self.wait_for('LockoutCounter', 1, 2)
        counter = self.get('LockoutCounter')
        self.wait_polls(4)
        self.assertEqual(self.get('LockoutCounter'), counter)
        self.assertEqual(self.tpm.count(CC_LOCK_RESET), 0)

    def test_generated(self):
        """Guesses of a PIN that cannot be guessed; once in the interval."""
        self.start(LIFE % 3600)
        self.assertEqual(self.get('Healings'), NONE)
        self.provision()
        self.fail()
        details = self.wait_healed('lockout-reset')
        self.assertEqual((details['counter-before'], details['limit']), (1, 3))
        self.assertEqual(self.get('Healings'), NONE | {'lockout-reset': 1})
        self.assertEqual(self.get('LockoutCounter'), 0)
        self.assertIn('healed (lockout-reset): ', self.daemon.read_log())
        self.fail()
        self.wait_for('LockoutCounter', 1)
        self.wait_polls(3)
        self.assertEqual(self.get('LockoutCounter'), 1)
        self.assertEqual(self.tpm.count(CC_LOCK_RESET), 1)

    def test_given(self):
        self.start(LIFE % 1)
        self.provision({'pin': handle(0), 'so-pin': handle(1)}, fds=[self.fd(b'123456'), self.fd(b'654321')])
        self.assert_left()

    def test_given_so_pin(self):
        """One that people have chosen is enough."""
        self.start(LIFE % 1)
        self.provision({'so-pin': handle(0)}, fds=[self.fd(b'654321')])
        self.assert_left()

    def test_changed(self):
        """The PIN is generated, then a person's, then generated again."""
        self.start(LIFE % 1)
        self.provision()
        self.change_pin(new_pin=b'123456')
        self.assert_left()
        self.change_pin()
        self.wait_healed('lockout-reset')
        self.assertEqual(self.get('LockoutCounter'), 0)

    def test_restart(self):
        """What PINs are is kept."""
        self.start(LIFE % 3600)
        self.provision()
        self.daemon.terminate()
        self.assertIn('healed (shutdown): ', self.daemon.read_log())
        self.daemon.start()
        self.wait_for('State', 'ok', 'degraded')
        bus.wait_for(lambda: self.key in self.caller.objects(), 'the key', 60)
        self.fail()
        self.wait_healed('lockout-reset')

    def test_unknown_lockout_auth(self):
        self.tool('tpm2_changeauth', '-c', 'lockout', 'secret')
        self.start(LIFE % 1)
        self.provision()
        self.assert_left()


class Others(Case):
    def leave(self):
        """An object and a session of a program that has crashed."""
        self.tool('tpm2_createprimary', '-C', 'o', '-c', 'key')
        self.tool('tpm2_startauthsession', '-S', 'session')

    def left(self):
        return [self.tool('tpm2_getcap', 'handles-' + kind).strip() for kind in ('transient', 'loaded-session')]

    def test_flush(self):
        self.leave()
        self.assertTrue(any(self.left()))
        self.start()
        bus.wait_for(lambda: self.get('Healings') == NONE | {'flush': 1}, 'flushing', 60)
        self.assertRegex(self.daemon.read_log(), r'healed \(flush\): [12] objects')
        self.assertEqual(self.left(), ['', ''])

    def test_not_flushed(self):
        self.leave()
        before = self.left()
        self.start('[Health]\nFlushLeaked=false\n')
        self.daemon.terminate()
        self.assertEqual(self.left(), before)
        self.assertNotIn('healed (flush)', self.daemon.read_log())

    def test_reopen(self):
        self.start('[Health]\nPollIntervalSec=1\n')
        self.tpm.kill()
        self.wait_for('State', 'failed')
        self.assertEqual(self.get('Healings'), NONE)
        self.tpm.start()
        bus.open_to_daemon(self.tpm)
        self.assertEqual(self.wait_healed('reopen'), {})
        self.assertGreaterEqual(self.get('Healings')['reopen'], 1)

    def test_self_test(self):
        """Failure mode: a full one, once."""
        self.start('[Health]\nPollIntervalSec=1\n')
        self.proxy.rules('17c raw 80010000001000000000000000000101')
        self.assertEqual(self.caller.call(bus.DEVICE, HEALTH, 'Check', '(a{sv})', {}), 'failed')
        details = self.wait_healed('self-test')
        self.assertEqual((details['full'], details['result']), (True, 0x101))
        self.assertEqual(self.caller.call(bus.DEVICE, HEALTH, 'Check', '(a{sv})', {}), 'failed')
        self.assertEqual(self.tpm.count(CC_SELF_TEST), 1)
        self.assertEqual(self.get('Healings')['self-test'], 1)

    def test_no_self_test(self):
        self.start('[Health]\nRunSelfTest=false\n')
        self.proxy.rules('17c raw 80010000001000000000000000000101')
        self.assertEqual(self.caller.call(bus.DEVICE, HEALTH, 'Check', '(a{sv})', {}), 'failed')
        self.assertEqual(self.tpm.count(CC_SELF_TEST), 0)


if __name__ == '__main__':
    bus.main()
