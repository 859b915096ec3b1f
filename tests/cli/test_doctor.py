#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl doctor without daemon, without a bus, and beside a daemon whose chip is well. What the checks find in files
is tested on trees, in tests/unit/test-checks.c; here the machine is what it is."""

import contextlib
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus  # noqa: E402

VERDICTS = ['ok', 'not applicable', 'unknown', 'warning', 'fault']
EVERY_CHECK = {'board.overlay', 'board.spi', 'device.driver', 'device.node', 'device.udev', 'device.owner',
               'daemon.config', 'daemon.service', 'frontend.socket', 'daemon.abrmd', 'tcti.module', 'pkcs11.module',
               'pkcs11.p11-kit', 'store.access', 'store.other', 'store.pin', 'system.clock', 'greengrass.config',
               'greengrass.certificate', 'greengrass.service', 'kernel.cgroups', 'daemon', 'frontend.tabrmd',
               'chip.identity', 'chip.health', 'chip.firmware', 'token', 'key.certificate'}


class Case(cli.Case):
    def doctor(self, **kwargs):
        """The exit code, and the checks by their ids: those with the worst verdict."""
        result = self.run_ctl('--json', 'doctor', **kwargs)
        self.assertEqual(result.stderr, '')
        value = cli.json.loads(result.stdout)
        self.assertEqual(set(value), {'version', 'verdict', 'checks'})
        for check in value['checks']:
            self.assertEqual(set(check), {'id', 'verdict', 'text', 'remedy'})
            self.assertNotEqual(check['text'], '')
            if check['verdict'] in ('fault', 'warning'):
                self.assertNotEqual(check['remedy'], '', check)
        worst = max((check['verdict'] for check in value['checks']), key=VERDICTS.index)
        self.assertEqual(value['verdict'], worst)
        self.assertEqual(result.returncode, 1 if worst == 'fault' else 0)
        return {check['id']: check for check in sorted(value['checks'], key=lambda c: VERDICTS.index(c['verdict']))}

    def assert_lines(self, **kwargs):
        text = self.run_ctl('doctor', **kwargs).stdout.decode()
        for line in text.splitlines():
            self.assertRegex(line, rf'^({"|".join(VERDICTS)}) +[a-z0-9._-]+ +\S')
            if re.match('fault|warning', line):
                self.assertIn(' -> ', line)
        return text


class NoDaemon(Case):
    def test_no_daemon(self):
        found = self.doctor()
        self.assertEqual(EVERY_CHECK - set(found), set())
        self.assertEqual(found['daemon']['verdict'], 'fault')
        self.assertIn('systemctl start ggtpmd', found['daemon']['text'])
        self.assertEqual(found['chip.health']['verdict'], 'unknown')
        self.assert_lines()

    def test_no_bus(self):
        env = {'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'}
        self.assertEqual(self.doctor(env=env)['daemon']['verdict'], 'fault')

    def test_as_a_user(self):
        self.assertEqual(EVERY_CHECK - set(self.doctor(uid=bus.ALICE)), set())

    @unittest.skipIf(os.path.exists('/sys/class/tpm/tpm0'), 'there is a TPM here')
    def test_no_chip(self):
        found = self.doctor()
        self.assertEqual(found['device.driver']['verdict'], 'fault')
        self.assertEqual(found['device.node']['verdict'], 'fault')
        self.assertEqual(found['device.owner']['verdict'], 'not applicable')


class Daemon(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()

    def test_chip(self):
        found = self.doctor()
        self.assertEqual(found['daemon']['verdict'], 'ok')
        self.assertIn('ready', found['daemon']['text'])
        self.assertEqual(found['frontend.tabrmd']['verdict'], 'ok')
        self.assertEqual(found['chip.identity']['verdict'], 'ok')
        # no data on this vendor's firmware: unknown is not good
        self.assertEqual(found['chip.firmware']['verdict'], 'unknown')
        self.assertEqual(found['token']['verdict'], 'warning')
        self.assertEqual(found['key.certificate']['verdict'], 'not applicable')

        self.ok('provision')
        found = self.doctor()
        self.assertEqual(found['token']['verdict'], 'ok')
        self.assertIn('greengrass has 1 key', found['token']['text'])
        self.assertEqual(found['key.certificate']['verdict'], 'warning')
        self.assertIn('greenkey has no certificate', self.assert_lines())


class Firmware(Case):
    """An SLB 9670: what is known of its firmware is said, also where it is not known whether it has the fault."""

    def start(self, identity):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        tpm = stack.enter_context(cli.swtpm.Swtpm())
        bus.open_to_daemon(tpm)
        proxy = stack.enter_context(cli.swtpm.Proxy(tpm))
        os.chmod(proxy.socket, 0o666)
        proxy.rules('identity ' + identity)
        self.proxy = proxy
        self.daemon = stack.enter_context(bus.Daemon(self.bus, proxy.tcti))
        self.wait_read()

    def wait_read(self):
        bus.wait_for(lambda: {rule['id']: rule['verdict'] for rule in self.json('status')['health']['rules']}
                     .get('pcr.bank') == 'ok', 'the verdict on the PCR banks')

    def test_open_advisories(self):
        self.start('SLB9670-7.85')
        found = self.doctor()
        for check, text in {'firmware.cve.2024-45678': 'EUCLEAK', 'firmware.cve.2025-2884': 'beyond a buffer',
                            'firmware.cve.2023-1017': 'beyond its buffer'}.items():
            self.assertEqual(found[check]['verdict'], 'unknown')
            self.assertIn(text, found[check]['text'])
            self.assertNotEqual(found[check]['remedy'], '')
        self.assertEqual(found['chip.firmware']['verdict'], 'unknown')
        self.assertIn('3 are possible', found['chip.firmware']['text'])
        self.assertEqual(found['chip.health']['verdict'], 'ok')
        for check in ('firmware.cve.2019-16863', 'pcr.empty', 'eventlog.mismatch', 'key.roca', 'cert.expired'):
            self.assertEqual(found[check]['verdict'], 'not applicable', found[check])
        self.assertIn('this machine has no measured boot', self.assert_lines())

    def test_faulty_firmware(self):
        self.start('SLB9670-7.40')
        found = self.doctor()
        self.assertEqual(found['firmware.roca']['verdict'], 'warning')
        self.assertIn('ECC', found['firmware.roca']['remedy'])
        self.assertNotIn('chip.firmware', found)
        health = self.json('health')
        self.assertEqual(set(health), {'state', 'last_check', 'issues', 'rules'})
        rules = {rule['id']: rule for rule in health['rules']}
        self.assertEqual(len(rules), len(health['rules']))
        self.assertEqual((health['state'], rules['firmware.roca']['verdict']), ('degraded', 'issue'))
        self.assertEqual(set(rules['pcr.empty']), {'id', 'verdict', 'text', 'remedy', 'source'})
        text = self.ok('health')
        self.assertRegex(text, r'(?m)^issue +firmware\.roca +RSA keys .* -> Use ECC .*\(Microsoft ADV170012')
        self.assertRegex(text, r'(?m)^not applicable +pcr\.empty +this machine has no measured boot$')
        self.assertRegex(text, r'(?m)^ok +lockout\.active$')

    def test_rsa_is_refused(self):
        """Where keys would be weak none is made; one of before, as of a firmware that was not updated, is a fault."""
        self.start('SLB9670-7.61')
        refused = r'no RSA key is made on this chip: .*CVE-2017-15361.* Use ECC keys, or update the firmware'
        for arguments in (['provision', '--algorithm', 'rsa-2048'],
                          ['provision', '--algorithm', 'rsa-2048', '--plan']):
            result = self.run_ctl(*arguments)
            self.assertEqual((result.returncode, len(re.findall(refused, result.stderr))), (1, 1), result.stderr)
        self.assertEqual(self.json('status')['provisioning']['state'], 'none')
        self.ok('provision')
        for arguments in (['key', 'create', 'rsakey', '--algorithm', 'rsa-2048'],
                          ['key', 'rotate', 'greenkey', '--algorithm', 'rsa-2048']):
            result = self.run_ctl(*arguments)
            self.assertEqual((result.returncode, len(re.findall(refused, result.stderr))), (1, 1), result.stderr)
        self.assertEqual(len(self.json('key', 'list')['keys']), 1)
        self.ok('key', 'create', 'ecckey')
        # what another firmware, or another program, has made
        self.daemon.terminate()
        self.proxy.rules('identity SLB9670-7.62')
        self.daemon.start()
        self.wait_read()
        self.ok('key', 'create', 'rsakey', '--algorithm', 'rsa-2048')
        self.daemon.terminate()
        self.proxy.rules('identity SLB9670-7.61')
        self.daemon.start()
        self.wait_read()
        bus.wait_for(lambda: len(self.json('key', 'list')['keys']) == 3, 'the list of keys')
        result = self.run_ctl('--json', 'health')
        self.assertEqual(result.returncode, 1)
        health = cli.json.loads(result.stdout)
        failed = [issue['id'] for issue in health['issues'] if issue['severity'] == 'failed']
        self.assertEqual((health['state'], failed), ('failed', ['firmware.roca']))


class NoChip(Case):
    def test_no_chip(self):
        self.enter(bus.Daemon(self.bus, 'swtpm:path=/tmp/no-such-socket'))
        caller = self.bus.connect()
        bus.wait_for(lambda: caller.get(bus.ROOT, 'org.ggtpm1.Manager', 'State') != 'starting', 'a state')
        caller.close()
        found = self.doctor()
        self.assertEqual(found['daemon']['verdict'], 'fault')
        self.assertEqual(found['chip.health']['verdict'], 'unknown')


if __name__ == '__main__':
    bus.main()
