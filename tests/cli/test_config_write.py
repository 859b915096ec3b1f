#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Configurations that ggtpmctl writes: each flavour, each value, foreign and edited files, cut anywhere."""

import grp
import hashlib
import json
import os
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus  # noqa: E402
import cuts  # noqa: E402


class ConfigWrite(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()
        cls('ok').ok('provision')

    def read(self, path):
        with open(path, encoding='utf-8') as file:
            return file.read()

    def test_flavours(self):
        for flavour, part in (('v1', '"PKCS11"'), ('v2', 'aws.greengrass.crypto.Pkcs11Provider'), ('lite', 'pkcs11:')):
            with self.subTest(flavour=flavour):
                path = self.path(flavour)
                self.assertEqual(self.ok('config', 'write', flavour, '--path', path, '--thing-name', 'core-7'),
                                 f'Wrote {path}\n')
                text = self.read(path)
                self.assertIn(part, text)
                self.assertIn('core-7', text)
                status = os.stat(path)
                self.assertEqual(stat.S_IMODE(status.st_mode), 0o640)
                self.assertEqual(status.st_gid, grp.getgrnam('ggtpm').gr_gid)
                stamp = self.path(f'.{flavour}.ggtpmd')
                self.assertEqual(self.read(stamp), hashlib.sha256(text.encode()).hexdigest() + '\n')
                self.assertEqual(stat.S_IMODE(os.stat(stamp).st_mode), 0o640)
                # again
                self.assertEqual(self.ok('config', 'write', flavour, '--path', path, '--thing-name', 'core-7'),
                                 f'{path} is as it should be\n')
                self.assertEqual(os.stat(path).st_ino, status.st_ino)
                self.assertEqual(self.json('config', 'write', flavour, '--path', path, '--thing-name', 'core-8'),
                                 {'flavour': flavour, 'path': path, 'changed': True})
                self.assertIn('core-8', self.read(path))
                self.assertNotEqual(os.stat(path).st_ino, status.st_ino)

    def test_print(self):
        text = self.ok('config', 'write', 'v1', '--print', '--region', 'eu-central-1')
        self.assertEqual(json.loads(text)['crypto']['PKCS11']['slotLabel'], 'greengrass')
        value = self.json('config', 'write', 'v1', '--print', '--region', 'eu-central-1')
        self.assertEqual(set(value), {'flavour', 'path', 'config'})
        self.assertEqual(value['config'], text)
        self.assertTrue(value['path'].startswith('/'))
        self.assertFalse(os.path.exists(value['path']))

    def test_foreign_file(self):
        path = self.path('foreign.json')
        with open(path, 'w', encoding='ascii') as file:
            file.write('{}')
        os.chmod(path, 0o644)
        message = self.fails(1, 'Exists', 'config', 'write', 'v1', '--path', path)
        self.assertIn(path, message)
        self.assertIn('--force', message)
        self.assertEqual(self.read(path), '{}')
        self.assertFalse(os.path.exists(self.path('.foreign.json.ggtpmd')))
        self.ok('config', 'write', 'v1', '--path', path, '--force')
        self.assertIn('PKCS11', self.read(path))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)

    def test_edited_file(self):
        path = self.path('edited.json')
        self.ok('config', 'write', 'v1', '--path', path)
        with open(path, 'a', encoding='ascii') as file:
            file.write('}')
        text = self.read(path)
        self.assertIn('changed since', self.fails(1, 'Exists', 'config', 'write', 'v1', '--path', path))
        self.assertEqual(self.read(path), text)
        self.ok('config', 'write', 'v1', '--path', path, '--force')
        self.assertNotEqual(self.read(path), text)
        self.ok('config', 'write', 'v1', '--path', path, '--region', 'eu-west-1')

    def count_calls(self, name, *args):
        """How often ggtpmctl makes that system call."""
        log = self.path('strace.log')
        result = subprocess.run([*cuts.command(log, *cuts.watch([name])), self.program, *args],
                                env=cuts.environment(self.env), capture_output=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return cuts.count_calls(log, [name])[name]

    @unittest.skipUnless(cuts.why_not() is None, cuts.why_not())
    def test_killed_anywhere(self):
        """Killed at each write, sync and rename there is the old file or the new one, and it is ours."""
        path = self.path('killed.json')
        args = ['config', 'write', 'v1', '--path', path, '--region']
        contents = [self.ok('config', 'write', 'v1', '--print', '--region', region) for region in ('old', 'new')]
        self.ok(*args, 'old')
        n_killed = 0
        for call in ('fchmod', 'fsync', 'rename'):
            count = self.count_calls(call, *args, 'old-enough')
            self.assertGreaterEqual(count, 3, call)
            for number in range(1, count + 1):
                with self.subTest(call=call, number=number):
                    self.ok(*args, 'old')
                    strace = cuts.command(os.devnull, *cuts.inject(call, number))
                    result = subprocess.run([*strace, self.program, *args, 'new'], env=cuts.environment(self.env),
                                            capture_output=True, check=False)
                    n_killed += result.returncode != 0
                    self.assertIn(self.read(path), contents)
                    self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
                    self.ok(*args, 'newest')
        self.assertGreaterEqual(n_killed, 9)

    def test_no_regular_file(self):
        path = self.path('link.json')
        os.symlink('/etc/hostname', path)
        self.fails(1, 'Exists', 'config', 'write', 'v1', '--path', path, '--force')
        self.assertTrue(os.path.islink(path))

    def test_directory(self):
        path = self.path('a/b/config.json')
        message = self.fails(1, 'Failed', 'config', 'write', 'v1', '--path', path)
        self.assertIn(os.path.dirname(path), message)
        self.assertIn('--mkdir', message)
        self.assertFalse(os.path.exists(self.path('a')))
        self.ok('config', 'write', 'v1', '--path', path, '--mkdir')
        self.assertTrue(os.path.exists(path))

    def test_group(self):
        path = self.path('group.json')
        self.ok('config', 'write', 'v1', '--path', path, '--group', 'daemon')
        self.assertEqual(os.stat(path).st_gid, grp.getgrnam('daemon').gr_gid)
        self.assertEqual(os.stat(self.path('.group.json.ggtpmd')).st_gid, grp.getgrnam('daemon').gr_gid)
        self.assertIn('no-such-group', self.fails(2, 'InvalidArgs', 'config', 'write', 'v1', '--path', path, '--group',
                                                  'no-such-group'))

    def test_every_value(self):
        values = {'thing-name': 'value-1', 'thing-arn': 'arn:aws:iot:eu-west-1:123456789012:thing/value-2',
                  'region': 'eu-west-1', 'iot-data-endpoint': 'value-4.example', 'iot-cred-endpoint': 'value-5.example',
                  'role-alias': 'value-6', 'root-ca-path': '/value/7', 'certificate-path': '/value/8',
                  'root-path': '/value/9', 'nucleus-version': '2.12.10'}
        args = [word for name, value in values.items() for word in ('--' + name, value)]
        texts = ''
        for flavour in ('v1', 'v2', 'lite'):
            # a value that a flavour has no place for may be refused, by its name
            result = self.run_ctl('config', 'write', flavour, '--print', *args)
            self.assertIn(result.returncode, (0, 2), result.stderr)
            texts += result.stdout.decode()
        texts += self.ok('config', 'write', 'v2', '--print', '--nucleus-version', '2.12.10')
        self.assertIn('2.12.10', texts)

    def test_token_and_key(self):
        self.fails(3, 'NotFound', 'config', 'write', 'lite', '--print', '--key', 'other')
        self.fails(3, 'NotFound', 'config', 'write', 'lite', '--print', '--token', 'other')


if __name__ == '__main__':
    bus.main()
