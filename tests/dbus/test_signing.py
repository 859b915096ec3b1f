#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The warm signer through the bus: what a second signature costs, whose it is, and what ends it."""

import glob
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
from test_objects import Case, KEY, TOKEN, h  # noqa: E402

MANAGER = 'org.ggtpm1.Manager'
CC_LOAD = 0x157
CC_SIGN = 0x15D
CC_UNSEAL = 0x15E
CC_START_AUTH_SESSION = 0x176
CC_TEST_PARMS = 0x18A  # of C_Initialize
IN_FLIGHT = 16


class Signing(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        result = cls.provision()
        cls.token, cls.key = result['token'], result['key']
        job = cls.caller.call(cls.token, TOKEN, 'CreateKey', '(ssa{sv})', 'other', 'ecc-p256', {})
        cls.other = cls.caller.wait_job(job)['Result']['key']
        cls.pin_file = cls.daemon.state_dir + '/pins/greengrass.user'
        cls.database = cls.daemon.state_dir + '/pkcs11/tpm2_pkcs11.sqlite3'

    def setUp(self):
        """Warm: for both keys."""
        for key in (self.key, self.other):
            self.sign(key)

    def sign(self, key=None, data=b'text', options=None, fds=()):
        return bytes(self.caller.call(key or self.key, KEY, 'Sign', '(aya{sv})', data, options or {}, fds=fds))

    def sign_with(self, pin):
        fd = bus.memfd(pin)
        try:
            return self.sign(options={'pin': h(0)}, fds=[fd])
        finally:
            os.close(fd)

    def begin(self, n, caller=None):
        """@n signatures at once, by the two keys in turn, each of other data."""
        calls = [((self.key, self.other)[i % 2], b'text %d' % i) for i in range(n)]
        return [(key, data, (caller or self.caller).begin(key, KEY, 'Sign', '(aya{sv})', data, {}))
                for key, data in calls]

    def is_valid(self, key, data, signature):
        return self.caller.call(key, KEY, 'Verify', '(ayaya{sv})', data, bytes(signature), {})

    def assert_all_good(self, pending):
        for key, data, call in pending:
            self.assertTrue(self.is_valid(key, data, call.result()))

    def get_helper(self):
        """Its pid: the daemon's only child."""
        children = []
        for path in glob.glob(f'/proc/{self.daemon.process.pid}/task/*/children'):
            with open(path, encoding='ascii') as file:
                children += file.read().split()
        self.assertEqual(len(children), 1)
        return int(children[0])

    def count(self, *codes):
        return [self.tpm.count(code) for code in codes]

    def test_second_costs_one_command(self):
        dear = (CC_TEST_PARMS, CC_START_AUTH_SESSION, CC_UNSEAL, CC_LOAD)
        before = self.count(*dear), len(self.polkit.asked), self.get_helper()
        signed = self.tpm.count(CC_SIGN)
        for i in range(10):
            data = b'text %d' % i
            self.assertTrue(self.is_valid(self.key, data, self.sign(data=data)))
        self.assertEqual((self.count(*dear), len(self.polkit.asked), self.get_helper()), before)
        self.assertEqual(self.tpm.count(CC_SIGN), signed + 10)

    def test_second_key_costs_no_login(self):
        """Of the same token: nor does polkit get a question."""
        caller = self.bus.connect(bus.ALICE)
        self.addCleanup(caller.close)
        caller.call(self.key, KEY, 'Sign', '(aya{sv})', b'text', {})
        dear = (CC_TEST_PARMS, CC_START_AUTH_SESSION, CC_UNSEAL)
        before = self.count(*dear), len(self.polkit.asked), self.get_helper()
        caller.call(self.other, KEY, 'Sign', '(aya{sv})', b'text', {})
        self.assertEqual((self.count(*dear), len(self.polkit.asked), self.get_helper()), before)

    def test_many_at_once(self):
        """Each gets its own signature."""
        self.assert_all_good(self.begin(IN_FLIGHT))

    def test_long_work_elsewhere(self):
        """A change of the store holds up nobody."""
        job = self.caller.call(self.token, TOKEN, 'CreateKey', '(ssa{sv})', 'slow', 'rsa-2048', {})
        self.assert_all_good(self.begin(IN_FLIGHT))
        slow = self.caller.wait_job(job)['Result']['key']
        self.assert_all_good(self.begin(IN_FLIGHT))
        self.caller.call(slow, KEY, 'Delete', '(a{sv})', {})

    def test_busy(self):
        """What waits is bounded, and whoever comes after that is told at once."""
        helper = self.get_helper()
        callers = [self.bus.connect(bus.ALICE) for _ in range(5)]
        for caller in callers:
            for key in (self.key, self.other):  # polkit is asked now
                caller.call(key, KEY, 'Sign', '(aya{sv})', b'text', {})
        os.kill(helper, signal.SIGSTOP)
        try:
            calls = [call for caller in callers for call in self.begin(IN_FLIGHT, caller)]
            bus.wait_for(lambda: sum(call.is_answered for _, _, call in calls) >= IN_FLIGHT, 'Busy')
            refused = [call for _, _, call in calls if call.is_answered]
        finally:
            os.kill(helper, signal.SIGCONT)
        self.assertEqual(len(refused), IN_FLIGHT)
        for call in refused:
            with self.assert_error('Busy', '64'):
                call.result()
        self.assert_all_good([entry for entry in calls if entry[2] not in refused])
        self.assertEqual(self.get_helper(), helper)

    def test_pin_is_still_asked_for(self):
        """Others' logins give nobody a signature."""
        with open(self.pin_file, 'rb') as file:
            pin = file.read()
        with self.assert_error('AuthFailed'):
            self.sign_with(b'wrong')
        self.sign()
        os.rename(self.pin_file, self.pin_file + '.away')
        try:
            os.utime(self.database)  # a new login is needed
            with self.assert_error('AuthRequired', 'greengrass'):
                self.sign()
            self.sign_with(pin)
            with self.assert_error('AuthRequired', 'greengrass'):
                self.sign()
        finally:
            os.rename(self.pin_file + '.away', self.pin_file)

    def test_store_changed(self):
        """By anybody: the helper that has read it before is replaced."""
        helper = self.get_helper()
        os.utime(self.database)
        self.assert_all_good(self.begin(IN_FLIGHT))
        self.assertNotEqual(self.get_helper(), helper)

    def test_helper_killed(self):
        helper = self.get_helper()
        os.kill(helper, signal.SIGSTOP)
        pending = self.begin(IN_FLIGHT)
        os.kill(helper, signal.SIGKILL)
        self.assert_all_good(pending)
        self.assertNotEqual(self.get_helper(), helper)

    def wait_state(self, *states):
        bus.wait_for(lambda: self.caller.get(bus.ROOT, MANAGER, 'State') in states, f'state {states}', 60)

    def test_power_cut(self):
        """While it is away: Unavailable, with the reason; then as before."""
        ready = self.caller.get(bus.ROOT, MANAGER, 'State')
        self.tpm.kill()
        with self.assert_error('Unavailable', 'TPM'):
            self.sign()
        for _, _, call in self.begin(IN_FLIGHT):
            with self.assert_error('Unavailable', 'TPM'):
                call.result()
        self.tpm.start()
        bus.open_to_daemon(self.tpm)
        self.wait_state(ready)
        self.assert_all_good(self.begin(IN_FLIGHT))


if __name__ == '__main__':
    bus.main()
