#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What eltt2 does, by ggtpmctl: info, clock, random, hash, selftest, pcr, tpm raw and tpm pipe, in text and JSON."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus, swtpm  # noqa: E402

GET_RANDOM = '8001 0000000c 0000017b 0008'
STARTUP = '8001 0000000c 00000144 0000'
SHUTDOWN = '8001 0000000c 00000145 0000'
CC_STARTUP = 0x144
CC_SHUTDOWN = 0x145


class Chip(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()
        cls.socket = os.path.join(cls.daemon.runtime_dir, 'tpm.sock')

    def test_info_variable(self):
        text = self.ok('info', '--variable')
        self.assertRegex(text, r'(?m)^0x0000020f  TPM_PT_MAX_AUTH_FAIL +0x00000003  3$')
        self.assertRegex(text, r'(?m)^0x00000201  TPM_PT_STARTUP_CLEAR +0x8000000f  phEnable, .*, orderly$')
        self.assertEqual(text, self.ok('info', '--capability', 'variable'))
        value = self.json('info', '--variable')
        self.assertEqual(value['group'], 'variable')
        self.assertIn({'number': 0x20f, 'name': 'TPM_PT_MAX_AUTH_FAIL', 'value': 3, 'meaning': '3'}, value['lines'])

    def test_info_capability(self):
        for group, line in (('fixed', r'0x00000105  TPM_PT_MANUFACTURER +0x49424d00 .*'),
                            ('algorithms', r'0x0000000b  sha256 +0x00000004  hash'),
                            ('commands', r'0x0000017b  TPM2_GetRandom +0x0000017b'),
                            ('curves', r'0x00000003  nist_p256 +0x00000000'),
                            ('pcr-banks', r'0x0000000b  sha256 +0x00ffffff  0-23'),
                            ('pcr-properties', r'0x00000002  TPM_PT_PCR_RESET_L0 +0x00810000  16, 23'),
                            ('handles', r'0x40000001  permanent +0x00000000'),
                            ('auth-policies', r'0x40000001  null +0x00000010'),
                            ('acts', r'None\.'),
                            ('vendor', r'None\.')):
            with self.subTest(group):
                self.assertRegex(self.ok('info', '--capability', group), rf'(?m)^{line}$')
        self.assertIn('pcr-banks', self.fails(2, 'InvalidArgs', 'info', '--capability', 'everything'))

    def test_info_eltt2(self):
        text = self.ok('info', '--eltt2')
        self.assertTrue(text.startswith('\n\nTPM capability information of fixed properties:\n====='))
        self.assertRegex(text, r'(?m)^TPM_PT_MANUFACTURER:            IBM$')
        self.assertRegex(text, r'(?m)^TPM_PT_FIRMWARE_VERSION:        0x[0-9a-f]{8} 0x[0-9a-f]{8}$')
        self.assertEqual(re.findall(r'(?m)^TPM_PT_(\w+):\n={57}$', text), ['MEMORY', 'PERMANENT', 'STARTUP_CLEAR'])
        self.assertRegex(text, r'(?m)^In Lockout:                     0 CLEAR$')
        self.assertRegex(text, r'(?m)^Orderly:                        1 SET$')
        self.assertNotIn('\0', text)

    def test_clock(self):
        self.assertRegex(self.ok('clock'),
                         r'^Powered since +0 d 00:0\d:\d\d\.\d{3}\n(.*\n){3}Clock is safe +(yes|no)\n$')
        clock = self.json('clock')
        self.assertEqual(set(clock), {'time_ms', 'clock_ms', 'reset_count', 'restart_count', 'safe'})
        self.assertGreater(clock['time_ms'], 0)

    def test_random(self):
        self.assertRegex(self.ok('random', '20'), r'^[0-9a-f]{40}\n$')
        self.assertNotEqual(self.ok('random', '16'), self.ok('random', '16'))
        self.assertEqual(len(self.json('random', '4096')['bytes']), 8192)
        self.assertEqual(self.json('random', '7', '--out', self.path('random')), {'out': self.path('random')})
        self.assertEqual(os.path.getsize(self.path('random')), 7)
        self.assertEqual(len(self.run_ctl('random', '300', '--out', '-').stdout), 300)

    def test_hash(self):
        for name in ('sha1', 'sha256', 'sha512'):
            data = b'text' * 700
            digest = hashlib.new(name, data).hexdigest()
            self.assertEqual(self.ok('hash', '--hash', name, stdin=data), digest + '\n')
            self.assertEqual(self.json('hash', '--hash', name, stdin=data), {'hash': name, 'digest': digest})
        self.assertEqual(self.ok('hash', '--in', '/dev/null'), hashlib.sha256(b'').hexdigest() + '\n')
        self.fails(2, 'InvalidArgs', 'hash', '--hash', 'md5')
        self.fails(2, 'InvalidArgs', 'hash', stdin=bytes(65537))

    def test_selftest(self):
        for args in ([], ['--full'], ['--incremental'], ['--result']):
            with self.subTest(args):
                self.assertEqual(self.ok('selftest', *args), 'Self-test passed (0x000)\n')
                value = self.json('selftest', *args)
                self.assertEqual((value['result'], value['text']), (0, 'passed'))
                self.assertEqual('data' in value, args == ['--result'])
        self.assertEqual(self.json('selftest', '--incremental')['pending'], [])

    def test_for_everybody(self):
        for args in (['clock'], ['random', '8'], ['hash'], ['selftest', '--result'], ['pcr', 'read'],
                     ['info', '--variable'], ['info', '--eltt2']):
            self.ok('--no-ask-password', *args, uid=bus.ALICE)
        for args in (['selftest'], ['pcr', 'extend', '16', 'sha256:' + '00' * 32], ['pcr', 'reset', '16'],
                     ['pcr', 'allocate', 'sha256']):
            self.fails(4, 'NotAuthorized', '--no-ask-password', *args, uid=bus.ALICE)

    def test_pcr(self):
        zero = '0' * 64
        self.assertEqual(self.ok('pcr', 'read', '0', '16'), f'sha256:0   {zero}\nsha256:16  {zero}\n')
        self.assertEqual(len(self.ok('pcr', 'read', '--bank', 'sha1').splitlines()), 24)
        self.assertEqual(self.ok('pcr', 'extend', '16', 'sha256:' + 'AB' * 32, 'sha1:' + '01' * 20), '')
        expected = hashlib.sha256(bytes(32) + b'\xab' * 32).hexdigest()
        self.assertEqual(self.json('pcr', 'read', '16'), {'bank': 'sha256', 'pcrs': {'16': expected}})
        self.assertEqual(self.json('pcr', 'reset', '16'), {'pcr': 16, 'reset': True})
        self.assertEqual(self.ok('pcr', 'read', '16'), f'sha256:16  {zero}\n')
        self.assertEqual(self.json('pcr', 'extend', '23', 'sha1:' + '01' * 20), {'pcr': 23, 'extended': True})
        self.assertEqual(self.ok('pcr', 'reset', '23'), '')
        self.fails(2, 'InvalidArgs', 'pcr', 'reset', '3')
        self.fails(2, 'InvalidArgs', 'pcr', 'extend', '16', 'sha256:00')
        self.assertIn('0x00000907', self.fails(4, 'NotAuthorized', 'pcr', 'extend', '17', 'sha256:' + '00' * 32))
        self.assertRegex(self.ok('pcr', 'allocate', 'sha1', 'sha256', 'sha384', 'sha512'),
                         r'^PCR banks from the next TPM reset on: sha1, sha256, sha384, sha512 \(')
        self.assertEqual(set(self.json('pcr', 'allocate', 'sha1', 'sha256', 'sha384', 'sha512')),
                         {'banks', 'needed', 'available'})
        self.fails(1, 'NotSupported', 'pcr', 'allocate', 'sm3_256')

    def raw(self, command, **kwargs):
        result = self.run_ctl('tpm', 'raw', command, '--socket', self.socket, **kwargs)
        return result.returncode, result.stdout.decode(), result.stderr

    def test_raw(self):
        code, out, err = self.raw(GET_RANDOM)
        self.assertEqual((code, err), (0, ''))
        self.assertRegex(out, r'^800100000014000000000008[0-9a-f]{16}\n$')
        value = self.json('tpm', 'raw', GET_RANDOM, '--socket', self.socket)
        self.assertEqual((value['code'], len(value['answer'])), (0, 40))
        code, out, _ = self.raw('8001 0000000c 0000017b 00')
        self.assertEqual(code, 2)

    def test_raw_refused_by_the_chip(self):
        # TPM2_ReadPublic of nothing
        code, out, _ = self.raw('8001 0000000e 00000173 81000055')
        self.assertEqual(code, 1)
        self.assertRegex(out, r'^80010000000a0000018b\n0x0000018b: .*handle.*\n$')

    def test_raw_startup_and_shutdown(self):
        code, out, _ = self.raw(STARTUP)
        self.assertEqual(code, 1)
        self.assertRegex(out, r'\n0x00000100: .*\n$')  # it is started already
        self.assertEqual(self.tpm.count(CC_SHUTDOWN), 0)
        self.assertEqual(self.raw(SHUTDOWN)[0], 0)
        self.assertEqual(self.tpm.count(CC_SHUTDOWN), 1)

    def test_raw_not_for_everybody(self):
        code, _, err = self.raw(GET_RANDOM, uid=bus.ALICE)
        self.assertEqual(code, 4)
        self.assertIn(self.socket, err)

    def test_no_socket(self):
        self.assertIn('/nonexistent', self.fails(6, 'Unavailable', 'tpm', 'raw', GET_RANDOM, '--socket',
                                                 '/nonexistent'))

    def test_pipe(self):
        command = bytes.fromhex(GET_RANDOM.replace(' ', ''))
        with self.popen('tpm', 'pipe', '--socket', self.socket, stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE) as process:
            for _ in range(3):
                process.stdin.write(command)
                process.stdin.flush()
                self.assertEqual(process.stdout.read(12).hex(), '800100000014000000000008')
                process.stdout.read(8)
            process.stdin.close()
            self.assertEqual(process.wait(cli.TIMEOUT_S), 0)
            self.assertEqual(process.stdout.read(), b'')
        self.fails(2, 'InvalidArgs', 'tpm', 'pipe', '--socket', self.socket, '--json', once=True)

    @unittest.skipUnless(shutil.which('tpm2_getrandom'), 'not installed: tpm2-tools')
    def test_pipe_for_tools(self):
        """A program without our module."""
        env = self.env | {'TPM2TOOLS_TCTI': f'cmd:{self.program} tpm pipe --socket {self.socket}'}
        for args in (['tpm2_getrandom', '--hex', '8'], ['tpm2_createprimary', '-C', 'o', '-c', self.path('ctx')],
                     ['tpm2_readpublic', '-c', self.path('ctx')]):
            result = subprocess.run(args, env=env, capture_output=True, text=True, check=False,
                                    timeout=cli.TIMEOUT_S)
            self.assertEqual(result.returncode, 0, (args, result.stderr))

    def test_pipe_without_daemon(self):
        result = self.run_ctl('tpm', 'pipe', '--socket', '/nonexistent')
        self.assertEqual((result.returncode, result.stdout), (6, b''))


class FailureMode(cli.Case):
    def test_all(self):
        if not swtpm.available():
            self.skipTest('not installed: swtpm')
        tpm = self.enter(swtpm.Swtpm())
        bus.open_to_daemon(tpm)
        proxy = self.enter(swtpm.Proxy(tpm))
        os.chmod(proxy.socket, 0o666)
        self.enter(bus.Daemon(self.bus, proxy.tcti))
        proxy.rules('143 rc 101', '17c rc 101')
        for args in (['selftest', '--full'], ['selftest', '--result']):
            result = self.run_ctl(*args)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b'failure mode', result.stdout)
            self.assertIn(b'(0x101)', result.stdout)
        proxy.rules('181 rc 101')
        self.assertIn('switch the device off', self.fails(6, 'TpmFailure', 'clock'))
        proxy.rules('identity SLB9672-15.21')
        self.assertRegex(self.ok('info', '--capability', 'vendor'),
                         r'(?m)^0x80000003  IFX_FU_COUNTER +0x00000040  64$')
        self.assertIn('TPM_PT_FIRMWARE_VERSION:        15.21.16430.0\n', self.ok('info', '--eltt2'))


if __name__ == '__main__':
    bus.main()
