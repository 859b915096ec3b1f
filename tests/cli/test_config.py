#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl config: what was written is kept current, checked, and removed; what others wrote stays."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
import bus  # noqa: E402


class Config(cli.Case):
    def setUp(self):
        """A daemon of its own: what it remembers belongs to one test."""
        if not cli.swtpm.available():
            self.skipTest('not installed: swtpm')
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.tpm = stack.enter_context(cli.swtpm.Swtpm())
        self.daemon = stack.enter_context(bus.Daemon(self.bus, self.tpm))
        self.home = self.path('home')
        os.mkdir(self.home)
        self.addCleanup(shutil.rmtree, self.home)
        self.ok('provision')
        self.ok('key', 'self-sign', 'greenkey', '--out', self.file('root.pem'))
        self.ok('key', 'install-cert', 'greenkey', self.file('root.pem'))

    def file(self, name):
        return os.path.join(self.home, name)

    def read(self, name):
        with open(self.file(name), encoding='utf-8') as file:
            return file.read()

    def put(self, name, text):
        with open(self.file(name), 'w', encoding='utf-8') as file:
            file.write(text)

    def write(self, flavour, name, *args):
        root = ['--root-ca-path', self.file('root.pem')] if flavour in ('v1', 'v2', 'lite') else []
        certificate = ['--certificate-path', self.file('root.pem')] if flavour == 'v1' else []
        self.ok('config', 'write', flavour, *args, '--path', self.file(name), *root, *certificate)

    def write_all(self):
        for flavour in ('v1', 'v2', 'lite'):
            self.write(flavour, flavour)
        self.write('p11-kit', 'etc/modules/tpm2_pkcs11.module')
        self.write('drop-in', 'pump.service.d/ggtpm.conf', 'pump.service')

    def check(self, code):
        """(name of the file, check) -> [(verdict, text)]"""
        result = self.run_ctl('--json', 'config', 'check')
        self.assertEqual((result.returncode, result.stderr), (code, ''), result.stdout)
        found = {}
        for config in json.loads(result.stdout)['configs']:
            name = os.path.relpath(config['path'], self.home)
            self.assertEqual(config['good'], all(row['verdict'] != 'fault' for row in config['checks']))
            for row in config['checks']:
                found.setdefault((name, row['check']), []).append((row['verdict'], row['text']))
                self.assertEqual(row['remedy'] if row['verdict'] == 'ok' else '', '')
        for name, rows in found.items():
            self.assertEqual(len(rows), len(set(rows)), name)
        self.assertEqual(self.run_ctl('config', 'check').returncode, code)
        return found

    def faults(self):
        return {key for key, rows in self.check(1).items() for verdict, _ in rows if verdict == 'fault'}

    def inodes(self):
        return {name: os.stat(self.file(name)).st_ino for name in ('v1', 'v2', 'lite', 'pump.service.d/ggtpm.conf')}

    def test_all_is_well(self):
        self.write_all()
        found = self.check(0)
        self.assertEqual({name for name, _ in found},
                         {'v1', 'v2', 'lite', 'etc/modules/tpm2_pkcs11.module', 'pump.service.d/ggtpm.conf'})
        for check in ('current', 'parses', 'slot', 'pin', 'key', 'certificate', 'file'):
            self.assertEqual({verdict for verdict, _ in found['v2', check]}, {'ok'}, check)
        # nucleus lite's user reads the PIN file and the root CA
        self.assertEqual({verdict for verdict, _ in found['lite', 'file']}, {'ok'})
        self.assertNotIn(('lite', 'access'), found)
        before = self.inodes()
        for config in self.json('config', 'write', '--all')['configs']:
            self.assertIs(config['changed'], False)
        self.assertEqual(self.inodes(), before)

    def test_modes(self):
        self.write_all()
        for name, mode in (('v2', 0o640), ('pump.service.d/ggtpm.conf', 0o644),
                           ('etc/modules/tpm2_pkcs11.module', 0o644)):
            self.assertEqual(stat.S_IMODE(os.stat(self.file(name)).st_mode), mode)
        # p11-kit would take a stamp for a configuration
        self.assertEqual(os.listdir(self.file('etc/modules')), ['tpm2_pkcs11.module'])

    def test_slot_changes(self):
        self.write_all()
        before = self.inodes()
        database = sqlite3.connect(self.daemon.state_dir + '/pkcs11/tpm2_pkcs11.sqlite3')
        with database:
            database.execute('UPDATE tokens SET id = 9')
            for table in ('sealobjects', 'tobjects'):
                database.execute(f'UPDATE {table} SET tokid = 9')
        database.close()
        found = self.check(1)
        self.assertEqual(found['v2', 'current'], [('fault', 'it is out of date')])
        self.assertEqual(found['v2', 'slot'],
                         [('fault', "slot 1 has no token, the token 'greengrass' is in slot 9")])
        self.assertEqual(found['v1', 'current'][0][0], 'ok')
        changed = {os.path.basename(row['path']) for row in self.json('config', 'write', '--all')['configs']
                   if row['changed']}
        self.assertEqual(changed, {'v2'})
        self.assertRegex(self.read('v2'), r'(?m)^ +slot: 9$')
        after = self.inodes()
        self.assertEqual({name for name in after if after[name] != before[name]}, {'v2'})
        self.check(0)

    def test_pin_changes(self):
        self.write_all()
        self.ok('token', 'change-pin', 'greengrass')
        self.assertEqual(self.faults(), {('v1', 'current'), ('v1', 'pin'), ('v2', 'current'), ('v2', 'pin')})
        self.ok('config', 'write', '--all')
        with open(self.daemon.state_dir + '/pins/greengrass.user', encoding='ascii') as file:
            pin = file.read().strip()
        self.assertIn(pin, self.read('v1'))
        self.assertIn(pin, self.read('v2'))
        self.check(0)

    def test_edited(self):
        """What people wrote stays, byte for byte; slot, PIN and URIs are renewed in it, and the others all the same."""
        self.write_all()
        written = self.read('v2')
        text = '# größe\n' + written.replace('slot: 1', 'slot: 4   # four') + 'mine: [precious, {a: b}]\n'
        self.assertNotIn('slot: 1', text)
        self.put('v2', text)
        os.chown(self.file('v2'), bus.GUEST, bus.GUEST)
        os.chmod(self.file('v2'), 0o600)
        found = self.check(1)
        self.assertEqual(found['v2', 'current'][0][0], 'fault')
        self.assertEqual(found['v2', 'slot'][0][0], 'fault')
        self.ok('token', 'change-pin', 'greengrass')
        self.ok('config', 'write', '--all')
        self.check(0)
        with open(self.daemon.state_dir + '/pins/greengrass.user', encoding='ascii') as file:
            pin = file.read().strip()
        expected = re.sub('userPin: .*', f'userPin: "{pin}"', text.replace('slot: 4 ', 'slot: 1 '))
        self.assertEqual(self.read('v2'), expected)
        status = os.stat(self.file('v2'))
        self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o7777), (bus.GUEST, bus.GUEST, 0o600))
        self.assertFalse(any(config['changed'] for config in self.json('config', 'write', '--all')['configs']))
        self.assertEqual(os.stat(self.file('v2')).st_ino, status.st_ino)

    def test_edited_v1(self):
        """JSON as well: another order, other members, escapes; what is no JSON any more is left alone."""
        self.write_all()
        value = json.loads(self.read('v1'))
        pkcs11 = value['crypto'].pop('PKCS11')
        label, module = (json.dumps(pkcs11[name]) for name in ('slotLabel', 'P11Provider'))
        crypto = json.dumps(value.pop('crypto'))
        text = (f'{{"größe": "\\u00e9\\/", "pumps": [1.50, null],\n\t"crypto" : {{"PKCS11":{{"slotUserPin":"old", '
                f'"slotLabel": {label}, "mine":true,\t"P11Provider": {module}}},\n{crypto[1:]},\n'
                f'{json.dumps(value)[1:]}\n\n')
        self.put('v1', text)
        self.assertEqual(self.faults(), {('v1', 'current'), ('v1', 'pin')})
        self.ok('config', 'write', '--all')
        self.assertEqual(self.read('v1'), text.replace('"old"', json.dumps(pkcs11['slotUserPin'])))
        self.check(0)
        self.assertFalse(any(config['changed'] for config in self.json('config', 'write', '--all')['configs']))
        broken = text.replace('true,', 'true,,')
        self.put('v1', broken)
        result = self.run_ctl('config', 'write', '--all')
        self.assertEqual((result.returncode, self.read('v1')), (1, broken))
        self.assertRegex(result.stderr, f"{self.file('v1')}.* changed since .*no JSON")

    def test_edited_and_stated(self):
        """What an option says is put into a file that was edited; --all, which says nothing, leaves it as it is."""
        self.write('v2', 'v2', '--thing-name', 'core-1', '--region', 'eu-central-1')
        text = self.read('v2').replace('thingName: "core-1"', 'thingName: mine  # ours') + 'mine: yes\n'
        self.put('v2', text)
        self.ok('config', 'write', '--all')
        self.assertEqual(self.read('v2'), text)
        self.write('v2', 'v2', '--thing-name', 'core-2')
        self.assertEqual(self.read('v2'), text.replace('mine  #', '"core-2"  #'))
        self.check(0)

    def test_edited_too_far(self):
        self.write_all()
        text = self.read('v2').replace('slot: 1', 'slots: 4')
        self.put('v2', text)
        self.assertEqual(self.check(1)['v2', 'current'][0][0], 'unknown')
        self.ok('token', 'change-pin', 'greengrass')
        result = self.run_ctl('config', 'write', '--all')
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, f"{self.file('v2')}.* changed since .*/slot is not in it")
        self.assertEqual(self.read('v2'), text)
        self.assertEqual(self.check(1)['v1', 'current'][0][0], 'ok')
        self.put('v2', 'a: [')
        self.assertEqual(self.check(1)['v2', 'parses'][0][0], 'fault')
        self.ok('config', 'write', 'v2', '--path', self.file('v2'), '--force')
        self.assertIn('slot: 1', self.read('v2'))

    def test_no_chip(self):
        """Tried again by the unit, which a failure that only a person can mend is not."""
        self.write_all()
        with open(self.file('v2'), 'a', encoding='utf-8') as file:
            file.write('# mine')
        self.daemon.terminate()
        self.tpm.kill()
        self.daemon.start()
        result = self.run_ctl('config', 'write', '--all')
        self.assertEqual(result.returncode, 6, result.stderr)
        self.assertIn(self.file('v1'), result.stderr)

    def test_what_it_points_at(self):
        self.write_all()
        os.chmod(self.file('root.pem'), 0o600)
        found = self.check(1)
        self.assertEqual([verdict for verdict, _ in found['lite', 'access']], ['fault'])
        self.assertEqual({verdict for verdict, _ in found['v1', 'file']}, {'ok'})  # root reads it
        os.unlink(self.file('root.pem'))
        self.assertEqual(self.faults(), {('v1', 'file'), ('v2', 'file'), ('lite', 'file')})
        # the key goes: nothing of it can be rendered any more
        self.ok('key', 'delete', 'greenkey', '--yes')
        self.assertLessEqual({('v1', 'key'), ('v2', 'key'), ('lite', 'key'), ('v1', 'current')}, self.faults())
        result = self.run_ctl('config', 'write', '--all')
        self.assertEqual(result.returncode, 1)
        self.assertIn("no key 'greenkey'", result.stderr)
        self.assertIn('PKCS11', self.read('v1'))

    def test_missing_and_removed(self):
        self.write_all()
        os.unlink(self.file('lite'))
        self.assertEqual(self.faults(), {('lite', 'current')})
        self.ok('config', 'write', '--all')
        self.check(0)
        self.assertEqual(self.json('config', 'remove', self.file('lite')), {'path': self.file('lite')})
        self.assertFalse(os.path.exists(self.file('lite')))
        self.assertFalse(os.path.exists(self.file('.lite.ggtpmd')))
        self.ok('config', 'write', '--all')
        self.assertFalse(os.path.exists(self.file('lite')))
        with open(self.file('v1'), 'a', encoding='ascii') as file:
            file.write('\n')
        self.fails(1, 'Exists', 'config', 'remove', self.file('v1'))
        self.assertTrue(os.path.exists(self.file('v1')))
        self.ok('config', 'remove', self.file('v1'), '--force')
        self.fails(3, 'NotFound', 'config', 'remove', self.file('v1'))
        self.assertEqual({name for name, _ in self.check(0)},
                         {'v2', 'etc/modules/tpm2_pkcs11.module', 'pump.service.d/ggtpm.conf'})

    def test_handle(self):
        """Nucleus lite with a persistent key."""
        self.assertEqual(self.ok('handle', 'list'), 'No persistent keys.\n')
        handle = self.ok('handle', 'create').strip()
        self.assertEqual(self.json('handle', 'list'), {'handles': [handle]})
        args = ['config', 'write', 'lite', '--path', self.file('lite'), '--root-ca-path', self.file('root.pem')]
        self.assertIn('certificate-path', self.fails(2, 'InvalidArgs', *args, '--handle', handle))
        args += ['--certificate-path', self.file('root.pem'), '--handle']
        for wrong in ('0x80000000', '81008001', '0x8100800', handle + '\n'):
            self.fails(2, 'InvalidArgs', *args, wrong)
        self.assertIn('lite alone', self.fails(2, 'InvalidArgs', 'config', 'write', 'v1', '--handle', handle))
        self.ok(*args, handle)
        self.assertIn(f'handle:{handle}', self.read('lite'))
        self.assertEqual(self.check(0)['lite', 'key'], [('ok', f'the chip has a key at {handle}')])
        self.assertIn('--yes', self.fails(2, 'InvalidArgs', 'handle', 'remove', handle, '--no-ask-password'))
        self.ok('handle', 'remove', handle, '--yes')
        self.assertEqual(self.faults(), {('lite', 'key')})
        self.fails(3, 'NotFound', 'handle', 'remove', handle, '--yes')
        self.fails(2, 'InvalidArgs', 'handle', 'remove', 'x', '--yes')

    def test_usage(self):
        for args, part in ((['drop-in'], 'needs a unit'), (['v1', 'pump.service'], 'too many'), ([], 'missing'),
                           (['v1', '--all'], '--all'), (['--all', '--print'], '--all')):
            with self.subTest(args=args):
                self.assertIn(part, self.fails(2, 'InvalidArgs', 'config', 'write', *args))
        for unit in ('../x.service', 'x', 'a/b.service', '.service', 'x' * 300 + '.service'):
            with self.subTest(unit=unit):
                self.assertIn('no service unit',
                              self.fails(2, 'InvalidArgs', 'config', 'write', 'drop-in', unit, '--print'))
        text = self.ok('config', 'write', 'drop-in', 'getty@tty1.service', '--print')
        self.assertIn(f'Environment="TPM2_PKCS11_STORE={self.daemon.state_dir}/pkcs11"\n', text)
        self.assertIn('\nSupplementaryGroups=ggtpm tss\n', text)


if __name__ == '__main__':
    bus.main()
