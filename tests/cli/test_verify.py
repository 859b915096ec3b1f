#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl token verify: good is said where all is good, and a fault where one thing is wrong."""

import json
import os
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
import bus  # noqa: E402

MODULE = f'/usr/lib/{sys.implementation._multiarch}/pkcs11/libtpm2_pkcs11.so'


class Verify(cli.Case):
    def setUp(self):
        if not cli.swtpm.available():
            self.skipTest('not installed: swtpm')
        self.tpm = self.use(cli.swtpm.Swtpm())
        self.daemon = self.use(bus.Daemon(self.bus, self.tpm, config='[Health]\nLockoutResetIntervalSec=0\n'))
        self.ok('provision')

    def verify(self, code, *args):
        """(where, check) -> verdicts"""
        result = self.run_ctl('--json', 'token', 'verify', *args)
        self.assertEqual((result.returncode, result.stderr), (code, ''), result.stdout)
        value = json.loads(result.stdout)
        found = {}
        for row in value['checks']:
            found.setdefault((row['where'], row['check']), []).append(row['verdict'])
            if row['verdict'] == 'fault':
                self.assertNotEqual(row['text'], '')
        self.assertEqual(value['good'], code == 0)
        self.assertEqual(value['good'], not any('fault' in verdicts for verdicts in found.values()))
        return found

    def read_counter(self):
        caller = self.bus.connect()
        caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {})
        caller.close()
        return self.json('info')['health']['lockout_counter']

    def self_sign(self, key, *args):
        path = self.path(key + '.pem')
        self.ok('key', 'self-sign', key, '--out', path, *args)
        return path

    def make_rsa_key(self):
        self.ok('key', 'create', 'rsakey', '--algorithm', 'rsa-2048')

    def test_all_is_well(self):
        self.make_rsa_key()
        self.ok('key', 'install-cert', 'greenkey', self.self_sign('greenkey'))
        found = self.verify(0)
        self.assertEqual(found, {
            ('greenkey', 'login'): ['ok'], ('greenkey', 'sign'): ['ok'], ('greenkey', 'certificate'): ['ok'],
            ('greenkey', 'tls1.2'): ['ok'], ('greenkey', 'tls1.3'): ['ok'],
            ('rsakey', 'login'): ['ok'], ('rsakey', 'sign'): ['ok', 'ok'], ('rsakey', 'mechanism'): ['ok'],
            ('rsakey', 'certificate'): ['unknown'],
            ('rsakey', 'tls1.2'): ['ok'], ('rsakey', 'tls1.3'): ['ok']})
        self.assertEqual({where for where, _ in self.verify(0, 'greengrass', '--key', 'rsakey')}, {'rsakey'})
        text = self.ok('token', 'verify')
        self.assertEqual(len(text.splitlines()), 12)
        self.fails(3, 'NotFound', 'token', 'verify', '--key', 'nokey')
        self.fails(3, 'NotFound', 'token', 'verify', 'notoken')

    def test_wrong_pin(self):
        """It is tried once, whatever number of keys there is."""
        self.make_rsa_key()
        pin = self.path('pin')
        with open(pin, 'w', encoding='ascii') as file:
            file.write('wrong')
        found = self.verify(1, '--pin-file', pin)
        self.assertEqual(list(found.values()), [['fault']])
        self.assertEqual([check for _, check in found], ['login'])
        self.assertEqual(self.read_counter(), 1)

    def change_store(self, statement, *values):
        database = sqlite3.connect(self.daemon.state_dir + '/pkcs11/tpm2_pkcs11.sqlite3')
        with database:
            self.assertEqual(database.execute(statement, values).rowcount, 1)
        database.close()

    def test_no_pss(self):
        """What a token of C_InitToken's has: RSA keys with which Java does no TLS 1.3."""
        self.make_rsa_key()
        good = '"pss-sigs-good"\n  : !!bool '
        self.change_store('UPDATE tokens SET config = replace(config, ?, ?)', good + '"true"', good + '"false"')
        found = self.verify(1)
        self.assertEqual(found['rsakey', 'mechanism'], ['fault'])
        self.assertEqual(found['greenkey', 'tls1.3'], ['ok'])

    def test_certificate(self):
        key_id = self.json('key', 'list')['keys'][0]['id']
        # that of another key, by a program that does not look
        self.ok('key', 'create', 'other')
        other = self.self_sign('other')
        der = self.path('other.der')
        cli.openssl('x509', '-in', other, '-outform', 'DER', '-out', der)
        with open(self.daemon.state_dir + '/pins/greengrass.user', encoding='ascii') as file:
            pin = file.read().strip()
        env = self.env | {'TPM2_PKCS11_STORE': self.daemon.state_dir + '/pkcs11', 'TSS2_LOG': 'all+none',
                          'TPM2_PKCS11_TCTI': f'{self.daemon.dir}/libtss2-tcti-ggtpm.so.0:'
                                              f'path={self.daemon.runtime_dir}/tpm.sock'}
        written = subprocess.run(['pkcs11-tool', '--module', MODULE, '--login', '--pin', pin, '--write-object', der,
                                  '--type', 'cert', '--id', key_id, '--label', 'greenkey'], env=env,
                                 capture_output=True, check=False)
        self.assertEqual(written.returncode, 0, written.stderr)
        found = self.verify(1)
        self.assertEqual(found['greenkey', 'certificate'], ['fault'])
        self.assertEqual(found['greenkey', 'tls1.3'], ['ok'])

    def test_configurations(self):
        root = self.self_sign('greenkey')
        self.ok('key', 'install-cert', 'greenkey', root)
        path = self.path('config.yaml')
        self.ok('config', 'write', 'v2', '--path', path, '--root-ca-path', root)
        found = self.verify(0)
        self.assertEqual(found[path, 'slot'], ['ok'])
        with open(path, encoding='utf-8') as file:
            text = file.read()
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace('slot: 1', 'slot: 2'))
        found = self.verify(1)
        self.assertEqual(found[path, 'slot'], ['fault'])
        self.assertEqual(found['greenkey', 'tls1.3'], ['ok'])


if __name__ == '__main__':
    bus.main()
