#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What the daemon says of chips that are not well: other chips, nonsense, silence, power cuts, lockouts."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402
import tpm_client  # noqa: E402

MANAGER = 'org.ggtpm1.Manager'
DEVICE = 'org.ggtpm1.Device'
HEALTH = 'org.ggtpm1.Health'
CC_LOCK_RESET = 0x139


def tool(tpm, *args):
    env = os.environ | {'TPM2TOOLS_TCTI': tpm.tcti, 'TSS2_LOG': 'all+none'}
    return subprocess.run(args, cwd=tpm.dir, env=env, capture_output=True, check=False).returncode


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
        self.caller = self.bus.connect(bus.ALICE)

    def enter(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def start(self, config=''):
        self.daemon = self.enter(bus.Daemon(self.bus, self.proxy.tcti, config=config))

    def get(self, interface, name):
        path = bus.ROOT if interface == MANAGER else bus.DEVICE
        return self.caller.get(path, interface, name)

    def wait_for(self, interface, name, *values, timeout_s=20):
        try:
            bus.wait_for(lambda: self.get(interface, name) in values, f'{name} {values}', timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f'{error}, but {self.get(interface, name)}; {self.issues()}') from None

    def issues(self):
        return {issue[0]: issue for issue in self.get(HEALTH, 'Issues')}

    def check(self):
        return self.caller.call(bus.DEVICE, HEALTH, 'Check', '(a{sv})', {})

    def assert_well(self):
        self.wait_for(MANAGER, 'State', 'ready')
        self.wait_for(HEALTH, 'State', 'ok')

    def power_on(self):
        self.tpm.start()
        bus.open_to_daemon(self.tpm)

    def make_key(self):
        attributes = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
        self.assertEqual(0, tool(self.tpm, 'tpm2_createprimary', '-C', 'o', '-p', 'right', '-a', attributes,
                                 '-g', 'sha256', '-G', 'hmac', '-c', 'key'))
        self.assertEqual(0, tool(self.tpm, 'tpm2_flushcontext', '-t'))

    def use_key(self, auth):
        with open(os.path.join(self.tpm.dir, 'data'), 'w', encoding='ascii') as data:
            data.write('x')
        code = tool(self.tpm, 'tpm2_hmac', '-c', 'key', '-p', auth, 'data')
        self.assertEqual(0, tool(self.tpm, 'tpm2_flushcontext', '-t'))
        return code


class Identity(Case):
    def test_application_note(self):
        """The board of the application note."""
        self.proxy.rules('identity SLM9670-13.11')
        self.start()
        self.assert_well()
        device = self.caller.get_all(bus.DEVICE, DEVICE)
        for name, value in {'Family': '2.0', 'Manufacturer': 'IFX', 'ManufacturerId': 0x49465800,
                            'VendorString': 'SLM9670', 'Model': 'OPTIGA TPM SLM 9670', 'Revision': 138,
                            'SpecDate': (2018, 8), 'FirmwareVersion': '13.11.4555.0',
                            'FirmwareRaw': (0x000d000b, 0x0011cb00), 'TpmType': 0}.items():
            with self.subTest(name):
                self.assertEqual(device[name], value)

    def test_crosses_groups(self):
        """Firmware of revision 1.16 answers with properties that were not asked for."""
        self.proxy.rules('identity SLB9670-7.62')
        self.start()
        self.wait_for(MANAGER, 'State', 'ready')
        self.wait_for(HEALTH, 'State', 'degraded')
        self.assertEqual(list(self.issues()), ['firmware.outdated'])
        verdicts = {each[0]: each[1] for each in self.get(HEALTH, 'Rules')}
        self.assertEqual(verdicts['firmware.roca'], 'ok')
        self.assertEqual(verdicts['firmware.outdated'], 'issue')
        self.assertEqual(verdicts['firmware.cve.2025-2884'], 'unknown')
        self.assertEqual(verdicts['firmware.cve.2019-16863'], 'not-applicable')
        self.assertEqual(self.get(DEVICE, 'FirmwareVersion'), '7.62.3126.0')
        self.assertEqual(self.get(HEALTH, 'LockoutMax'), 32)

    def test_not_a_text(self):
        """A vendor string that is not UTF-8 would make the bus drop the daemon."""
        self.proxy.rules('property 106 fffe4142')
        self.start()
        self.assert_well()
        self.assertEqual(self.get(DEVICE, 'VendorString')[:4], '??AB')


class Faults(Case):
    FAULTS = ('any garbage', 'any noise', 'any eof', 'any short 7', 'any size 9000', 'any size 3', 'any stale',
              'any hang')
    CONFIG = '[Broker]\nChipTimeoutSec=1\n[Health]\nPollIntervalSec=1\n'

    def assert_ill_then_well(self, fault):
        self.wait_for(HEALTH, 'State', 'failed')
        self.assertNotEqual(self.issues(), {})
        for issue in self.issues().values():
            self.assertTrue(issue[2] and issue[3], issue)
        self.assertIsNone(self.daemon.process.poll(), fault)
        self.proxy.rules()
        self.assert_well()
        self.assertEqual(self.check(), 'ok')

    def test_at_start(self):
        for fault in self.FAULTS:
            with self.subTest(fault):
                self.proxy.rules(fault)
                with bus.Daemon(self.bus, self.proxy.tcti, config=self.CONFIG) as self.daemon:
                    self.assert_ill_then_well(fault)

    def test_later(self):
        self.start(self.CONFIG)
        for fault in self.FAULTS:
            with self.subTest(fault):
                self.assert_well()
                self.proxy.rules(fault)
                try:
                    self.check()
                except bus.Error as error:
                    self.assertIn(error.name, ('org.ggtpm1.Error.Unavailable', 'org.ggtpm1.Error.TpmFailure'))
                self.assert_ill_then_well(fault)

    def assert_failure_mode_then_well(self):
        self.wait_for(HEALTH, 'SelfTestText', 'failure')
        self.assertIn('tpm.failure_mode', self.issues())
        self.assertEqual(self.get(HEALTH, 'State'), 'failed')
        # only this ends it
        self.tpm.kill()
        self.proxy.rules()
        self.power_on()
        self.assert_well()

    def test_failure_mode(self):
        self.proxy.rules('any rc 101')
        self.start(self.CONFIG)
        self.assert_failure_mode_then_well()
        self.proxy.rules('17c rc 101')
        self.assertEqual(self.check(), 'failed')
        self.assert_failure_mode_then_well()

    def test_no_chip(self):
        self.tpm.kill()
        self.start()
        self.wait_for(HEALTH, 'State', 'failed')
        self.wait_for(MANAGER, 'State', 'unavailable', 'failed')
        self.assertNotEqual(self.get(MANAGER, 'StateReason'), '')
        with self.assertRaises(bus.Error) as raised:
            self.check()
        self.assertEqual(raised.exception.name, 'org.ggtpm1.Error.Unavailable')
        self.power_on()
        self.wait_for(MANAGER, 'State', 'ready')


class Room(Case):
    def test_own_slots(self):
        """Full slots are no fault where the broker can put out what is in them."""
        self.start('[Broker]\nIdleEvictMs=3600000\n')
        self.assert_well()
        with tpm_client.connect(self.daemon.runtime_dir + '/tpm.sock') as client:
            for number in range(3):
                client.create_primary(unique=bytes([number]))
            self.assertEqual(self.check(), 'ok')
            self.assertEqual(self.get(HEALTH, 'TransientAvailable'), 3)

    def test_slots_of_others(self):
        self.start()
        self.assert_well()
        for _ in range(3):
            self.assertEqual(0, tool(self.tpm, 'tpm2_createprimary', '-C', 'n', '-c', 'left'))
        self.assertEqual(self.check(), 'degraded')
        self.assertIn("somebody else's objects", self.issues()['resources.low'][2])
        self.assertEqual(self.get(HEALTH, 'TransientAvailable'), 0)
        self.assertEqual(0, tool(self.tpm, 'tpm2_flushcontext', '-t'))
        self.assertEqual(self.check(), 'ok')


class Power(Case):
    def test_lockout_healed_before_anybody(self):
        """The counter is 0 when the first client is served: what it starts with cannot be refused."""
        self.make_key()
        for _ in range(3):
            self.assertNotEqual(0, self.use_key('wrong'))
        self.assertNotEqual(0, self.use_key('right'))
        self.start()
        self.assert_well()
        self.assertEqual(self.get(HEALTH, 'LockoutCounter'), 0)
        self.assertFalse(self.get(HEALTH, 'InLockout'))
        self.assertEqual(self.tpm.count(CC_LOCK_RESET), 1)
        self.assertIn('the lockout counter was reset, it was 3 of 3', self.daemon.read_log())

    def test_not_healed_if_not_wanted(self):
        self.make_key()
        for _ in range(3):
            self.use_key('wrong')
        self.start('[Health]\nResetLockout=false\n')
        self.wait_for(HEALTH, 'State', 'failed')
        self.assertEqual(list(self.issues()), ['lockout.active'])
        self.assertTrue(self.get(HEALTH, 'InLockout'))
        self.assertEqual(self.tpm.count(CC_LOCK_RESET), 0)
        self.caller.call(bus.DEVICE, HEALTH, 'ResetLockout', '(a{sv})', {})
        self.assertEqual(self.get(HEALTH, 'State'), 'ok')
        self.assertEqual(self.get(HEALTH, 'LockoutCounter'), 0)

    def test_lockout_auth_not_guessed(self):
        self.make_key()
        self.assertEqual(0, tool(self.tpm, 'tpm2_changeauth', '-c', 'lockout', 'secret'))
        for _ in range(3):
            self.use_key('wrong')
        self.start()
        self.wait_for(HEALTH, 'State', 'failed')
        self.assertEqual(set(self.issues()), {'lockout.active', 'lockout.auth_unknown'})
        with self.assertRaises(bus.Error) as raised:
            self.caller.call(bus.DEVICE, HEALTH, 'ResetLockout', '(a{sv})', {})
        self.assertEqual(raised.exception.name, 'org.ggtpm1.Error.AuthRequired')
        self.assertEqual(self.tpm.count(CC_LOCK_RESET), 0)

    def test_power_cut(self):
        """Off and on again under the daemon."""
        self.start()
        self.assert_well()
        self.assertTrue(self.get(HEALTH, 'LastShutdownOrderly'))
        self.make_key()
        self.assertEqual(0, self.use_key('right'))
        self.tpm.kill()
        with self.assertRaises(bus.Error):
            self.check()
        self.wait_for(HEALTH, 'State', 'failed')
        self.power_on()
        self.wait_for(MANAGER, 'State', 'ready')
        self.assert_well()
        self.assertIn('power.unclean', self.issues())
        self.assertFalse(self.get(HEALTH, 'LastShutdownOrderly'))
        self.assertEqual(self.get(HEALTH, 'LockoutCounter'), 0)


class Rules(Case):
    """The rules that rest on more than the chip."""

    KEY = 'org.ggtpm1.Key'

    def verdict(self, wanted):
        return next(rule[1] for rule in self.get(HEALTH, 'Rules') if rule[0] == wanted)

    def provision(self):
        job = self.caller.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', {})
        return self.caller.wait_job(job)['Result']['key']

    def test_applicability(self):
        """On a board without measured boot and without keys, whose chip tells its update mode."""
        self.proxy.rules('identity SLB9673-27.13')
        self.start()
        bus.wait_for(lambda: self.verdict('pcr.bank') == 'ok', 'a verdict')
        self.assertEqual(self.get(DEVICE, 'Model'), 'OPTIGA TPM SLB 9673')
        self.assertEqual(self.get(DEVICE, 'FirmwareVersion'), '27.13.17664.0')
        self.assertEqual(self.get(DEVICE, 'UpdateMode'), 'normal')
        for rule, verdict in {'pcr.empty': 'not-applicable', 'eventlog.mismatch': 'not-applicable',
                              'key.roca': 'not-applicable', 'cert.expired': 'not-applicable',
                              'firmware.update_mode': 'ok', 'firmware.cve.2025-2884': 'unknown',
                              'device.busy': 'ok', 'firmware.roca': 'ok'}.items():
            with self.subTest(rule):
                self.assertEqual(self.verdict(rule), verdict)
        for _, verdict, text, remedy, source in self.get(HEALTH, 'Rules'):
            self.assertEqual(text == '', verdict == 'ok')
            self.assertTrue(remedy and source)

    def test_update_mode(self):
        self.proxy.rules('identity SLB9672-15.23', 'vendor 80000007 02')
        self.start()
        self.wait_for(HEALTH, 'State', 'failed')
        self.assertEqual(list(self.issues()), ['firmware.update_mode'])

    def test_store(self):
        self.start()
        self.assert_well()
        key = self.provision()
        self.assertEqual(list(self.issues()), ['lockout.auth_unset'])
        self.assertEqual([self.verdict(rule) for rule in ('key.unusable', 'store.permissions', 'cert.expired')],
                         ['ok', 'ok', 'not-applicable'])
        # as the application note says
        os.chmod(os.path.join(self.daemon.state_dir, 'pkcs11'), 0o777)
        self.assertEqual(self.check(), 'degraded')
        self.assertIn('store.permissions', self.issues())
        os.chmod(os.path.join(self.daemon.state_dir, 'pkcs11'), 0o1770)
        self.assertEqual(self.check(), 'ok')
        log = self.daemon.read_log()
        self.assertIn('store.permissions (degraded): the key store is open to every user', log)
        self.assertIn('store.permissions is over', log)

        before = self.caller.call(key, self.KEY, 'CreateSelfSigned', '(a{sv})', {'days': bus.GLib.Variant('u', 29)})
        self.caller.call(key, self.KEY, 'InstallCertificate', '(sa{sv})', before, {})
        self.wait_for(HEALTH, 'State', 'degraded')
        self.assertIn('cert.expiring', self.issues())
        after = self.caller.call(key, self.KEY, 'CreateSelfSigned', '(a{sv})', {'days': bus.GLib.Variant('u', 31)})
        self.caller.call(key, self.KEY, 'InstallCertificate', '(sa{sv})', after, {})
        self.wait_for(HEALTH, 'State', 'ok')
        self.assertEqual(self.verdict('cert.expired'), 'ok')

    def test_chip_gone(self):
        """What was wrong with it is not over by that."""
        self.start(Faults.CONFIG)
        self.assert_well()
        self.provision()
        self.assertEqual(list(self.issues()), ['lockout.auth_unset'])
        self.tpm.kill()
        self.wait_for(HEALTH, 'State', 'failed')
        log = self.daemon.read_log()
        self.assertIn('lockout.auth_unset is not known any more, it was (info)', log)
        self.assertNotIn('is over', log)

    def verify(self, key):
        job = self.caller.call(os.path.dirname(os.path.dirname(key)), 'org.ggtpm1.Token', 'Verify', '(a{sv})', {})
        return self.caller.wait_job(job)['Result']

    def test_key_unusable(self):
        """The storage key is gone, or there again: the next use of the key tells, as does a check of the token."""
        self.start()
        self.assert_well()
        key = self.provision()
        self.assertEqual(0, tool(self.tpm, 'tpm2_evictcontrol', '-C', 'o', '-c', '0x81000001'))
        with self.assertRaises(bus.Error):
            self.caller.call(key, self.KEY, 'Sign', '(aya{sv})', b'data', {})
        self.wait_for(HEALTH, 'State', 'failed')
        self.assertIn('key.unusable', self.issues())
        self.assertIn('greengrass/greenkey', self.issues()['key.unusable'][2])
        self.assertEqual(self.provision(), key)
        self.assertTrue(self.verify(key)['good'])
        self.wait_for(HEALTH, 'State', 'ok')
        certificate = self.caller.call(key, self.KEY, 'CreateSelfSigned', '(a{sv})', {})
        self.assertEqual(0, tool(self.tpm, 'tpm2_evictcontrol', '-C', 'o', '-c', '0x81000001'))
        self.assertFalse(self.verify(key)['good'])
        self.assertIn('greengrass/greenkey', self.issues()['key.unusable'][2])
        # no use of the key
        self.caller.call(key, self.KEY, 'InstallCertificate', '(sa{sv})', certificate,
                         {'dry-run': bus.GLib.Variant('b', True)})
        self.assertIn('key.unusable', self.issues())


if __name__ == '__main__':
    bus.main()
