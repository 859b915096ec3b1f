#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What concerns a store as a whole: tokens removed, backed up and restored, locks, permissions; who owns the chip."""

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus  # noqa: E402

CC_EVICT_CONTROL = 0x120


class Store(cli.FreshCase):
    def test_token_remove(self):
        self.fails(3, 'NotFound', 'token', 'remove', 'greengrass', '--yes')
        self.ok('provision')
        text = self.ok('token', 'remove', 'greengrass', '--plan')
        self.assertIn("Would be removed:\n  the token 'greengrass'\n", text)
        self.assertIn("the key pair 'greenkey'", text)
        planned = self.json('token', 'remove', 'greengrass', '--plan')
        self.assertEqual((planned['token'], planned['removed'], planned['configurations']), ('greengrass', False, []))
        # nobody to ask
        self.assertIn('--yes', self.fails(2, 'InvalidArgs', 'token', 'remove', 'greengrass', '--no-ask-password'))
        for answer, code in (('greengras\n', 1), ('\x04', 1), ('greengrass\n', 0)):
            self.assertEqual(len(self.json('token', 'list')['tokens']), 1)
            terminal = self.terminal('token', 'remove', 'greengrass')
            terminal.wait_for("Type 'greengrass' to go on: ")
            self.assertIn("the key pair 'greenkey'", terminal.output)
            terminal.write(answer)
            self.assertEqual(terminal.wait(), code, terminal.output)
        self.assertEqual(self.json('token', 'list'), {'tokens': []})
        self.assertEqual(os.listdir(self.daemon.state_dir + '/pins'), [])
        # what was written for it goes with it, what was changed by hand stays
        self.ok('provision')
        ours, edited = self.path('v1.json'), self.path('v2.yaml')
        self.ok('config', 'write', 'v1', '--path', ours)
        self.ok('config', 'write', 'v2', '--path', edited)
        with open(edited, 'a', encoding='utf-8') as file:
            file.write('# by hand\n')
        self.assertIn(f'  the configuration {ours}\n', self.ok('token', 'remove', 'greengrass', '--plan'))
        removed = self.run_ctl('--json', 'token', 'remove', 'greengrass', '--yes')
        self.assertEqual(removed.returncode, 0, removed.stderr)
        value = json.loads(removed.stdout)
        value.pop('version')
        self.assertEqual(value, planned | {'removed': True, 'configurations': [ours]})
        self.assertIn('left alone: ', removed.stderr)
        self.assertFalse(os.path.exists(ours))
        self.assertTrue(os.path.exists(edited))
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})

    def read(self, *names):
        with open(os.path.join(self.daemon.state_dir, *names), 'rb') as file:
            return file.read()

    def put(self, name, content):
        with open(self.path(name), 'wb') as file:
            file.write(content)
        return self.path(name)

    def rewrite(self, backup, sql):
        """A backup with other content and the right sum."""
        path = self.put('rewritten', backup.split(b'\n', 1)[1])
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute(sql)
            database.commit()
        with open(path, 'rb') as file:
            content = file.read()
        return f'ggtpm-backup-1 {len(content)} {hashlib.sha256(content).hexdigest()}\n'.encode() + content

    def test_backup(self):
        database = ('pkcs11', 'tpm2_pkcs11.sqlite3')
        out = self.path('backup')
        self.fails(3, 'NotFound', 'token', 'backup', out)
        self.ok('provision')
        self.ok('key', 'create', 'second')
        second = self.json('key', 'show', 'second')
        self.assertIn('root', self.fails(4, 'NotAuthorized', 'token', 'backup', '/tmp/none', uid=bus.GUEST))
        pins = {kind: self.read('pins', 'greengrass.' + kind).strip() for kind in ('user', 'so')}
        contents = []
        for options in ([], ['--with-pins']):
            self.assertEqual(self.json('token', 'backup', *options, out), {'out': out})
            self.assertEqual(stat.S_IMODE(os.stat(out).st_mode), 0o600)
            with open(out, 'rb') as file:
                contents.append(file.read())
            self.assertEqual([pin in contents[-1] for pin in pins.values()], [bool(options)] * 2)
        plain, with_pins = contents
        self.ok('key', 'delete', 'second', '--yes')
        before = self.read(*database)
        self.assertIn('--force', self.fails(1, 'Exists', 'token', 'restore', out))
        # cut off, changed anywhere, something else
        middle = len(with_pins) // 2
        for bad in (with_pins[:-1], with_pins[:middle] + bytes([with_pins[middle] ^ 1]) + with_pins[middle + 1:],
                    b'x' + with_pins, b'', b'ggtpm-backup-1 0 0\n', self.rewrite(with_pins, 'DROP TABLE tobjects')):
            self.fails(2, 'InvalidArgs', 'token', 'restore', '--force', self.put('bad', bad))
        newer = self.put('newer', self.rewrite(with_pins, 'UPDATE schema SET schema_version = 99'))
        self.assertIn('99', self.fails(1, 'NotSupported', 'token', 'restore', '--force', newer))
        self.assertEqual(self.read(*database), before)

        # with PINs: usable at once, though they were changed, and the journal was damaged
        self.ok('token', 'change-pin', 'greengrass')
        with open(self.daemon.state_dir + '/provision.json', 'w', encoding='ascii') as journal:
            journal.write('{')
        self.assertEqual(self.json('token', 'restore', '--force', out), {'restored': out})
        for label in ('greenkey', 'second'):
            self.assertEqual(self.run_ctl('key', 'sign', label, stdin=b'x').returncode, 0)
        self.assertNotIn(pins['so'], self.read(*database))
        self.assertNotIn(b'ggtpm_extras', self.read(*database))
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.daemon.state_dir, *database)).st_mode), 0o640)
        self.assertIs(self.json('provision')['changed'], False)

        # without, and the PIN was changed: the one that is stored is not tried
        self.ok('token', 'change-pin', 'greengrass')
        self.ok('token', 'restore', '--force', self.put('plain', plain))
        self.assertIs(self.json('token', 'list')['tokens'][0]['pin_stored'], False)
        self.fails(4, 'AuthRequired', 'key', 'csr', 'second', '--no-ask-password')
        self.ok('key', 'csr', 'second', '--pin-file', '-', stdin=pins['user'])
        self.assertEqual(self.json('status')['health']['lockout_counter'], 0)

        # into an empty store: the storage key is made again
        self.ok('token', 'remove', 'greengrass', '--yes')
        self.ok('token', 'restore', out)
        self.assertEqual(self.run_ctl('key', 'sign', 'second', stdin=b'x').returncode, 0)
        self.assertEqual(self.json('key', 'show', 'second'), second)

        # another chip, nothing provisioned
        tpm = self.use(cli.swtpm.Swtpm())
        self.daemon.kill()
        self.use(bus.Daemon(self.bus, tpm))
        self.assertIn('does not fit this TPM', self.fails(1, 'Store', 'token', 'restore', out))
        self.assertEqual(self.json('token', 'list'), {'tokens': []})

    def test_locked_store(self):
        """By another process: readers disturb nobody, a writer for a while at most."""
        self.ok('provision')
        holder = ('import sqlite3, sys\nd = sqlite3.connect(sys.argv[1], isolation_level=None)\n'
                  'd.execute(sys.argv[2])\n'
                  'd.execute("SELECT * FROM tokens").fetchone()\nprint("held", flush=True)\nsys.stdin.read()')
        database = self.daemon.state_dir + '/pkcs11/tpm2_pkcs11.sqlite3'
        for begin, held in (('BEGIN', False), ('BEGIN EXCLUSIVE', True)):
            with subprocess.Popen([sys.executable, '-c', holder, database, begin], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) as process:
                self.assertEqual(process.stdout.readline(), b'held\n')
                before = self.read('pkcs11', 'tpm2_pkcs11.sqlite3')
                if held:
                    message = self.fails(5, 'Busy', 'key', 'create', 'two', once=True)
                    self.assertIn('locked', message)
                    self.assertIn(database, message)
                    self.assertEqual(self.read('pkcs11', 'tpm2_pkcs11.sqlite3'), before)
                    self.assertFalse(os.path.exists(self.daemon.state_dir + '/pkcs11.staging'))
                else:
                    self.ok('key', 'create', 'one')
                process.stdin.close()
        self.ok('key', 'create', 'two')
        self.assertEqual(self.run_ctl('key', 'sign', 'two', stdin=b'x').returncode, 0)

    def test_permissions_are_mended(self):
        self.ok('provision')
        self.daemon.terminate()
        modes = {'pkcs11': 0o1770, 'pkcs11/tpm2_pkcs11.sqlite3': 0o640, 'pins': 0o751}
        for name in modes:
            os.chmod(os.path.join(self.daemon.state_dir, name), 0o777)
            os.chown(os.path.join(self.daemon.state_dir, name), -1, 0)
        self.daemon.start()
        for name, mode in modes.items():
            status = os.stat(os.path.join(self.daemon.state_dir, name))
            self.assertEqual((oct(stat.S_IMODE(status.st_mode)), status.st_gid), (oct(mode), bus.GGTPM_GID), name)
        self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)
        # of somebody else: told, and left alone
        self.daemon.terminate()
        os.chmod(self.daemon.state_dir + '/pkcs11/tpm2_pkcs11.sqlite3', 0o666)
        os.chown(self.daemon.state_dir + '/pkcs11/tpm2_pkcs11.sqlite3', 0, -1)
        self.daemon.start()
        self.assertRegex(self.daemon.read_log(), r'tpm2_pkcs11.sqlite3 belongs to another user.*0640, not 0666')
        self.assertEqual(len(self.json('token', 'list')['tokens']), 1)

    def test_ownership(self):
        auths = self.daemon.state_dir + '/auths'
        out = self.path('escrow')
        self.fails(3, 'NotFound', 'tpm', 'release-ownership')
        self.fails(3, 'NotFound', 'tpm', 'export-auths', out)
        self.assertIn('root', self.fails(4, 'NotAuthorized', 'tpm', 'take-ownership', uid=bus.GUEST))
        self.assertEqual(self.json('tpm', 'take-ownership'), {'state': 'owned'})
        self.assertEqual(stat.S_IMODE(os.stat(auths).st_mode), 0o600)
        health = self.json('info')['health']
        self.assertEqual((health['owner_auth_set'], health['lockout_auth_set'], health['lockout_auth_state']),
                         (True, True, 'known'))
        self.assertEqual([issue['id'] for issue in health['issues'] if issue['id'].startswith('lockout')], [])
        # everything of ours that needs the owner auth
        self.ok('provision')
        self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)
        self.ok('token', 'remove', 'greengrass', '--yes')
        self.assertEqual(self.tpm.count(CC_EVICT_CONTROL), 2)
        # given out once
        self.assertEqual(self.json('tpm', 'export-auths', out), {'out': out})
        self.assertEqual(stat.S_IMODE(os.stat(out).st_mode), 0o600)
        with open(auths, encoding='ascii') as ours, open(out, encoding='ascii') as given:
            secrets = [re.findall(r'(?m)^(?:owner|lockout)-auth: ([0-9a-f]{32})$', file.read())
                       for file in (ours, given)]
        self.assertEqual((len(set(secrets[0])), secrets[0]), (2, secrets[1]))
        self.assertIn(out, self.fails(1, 'Exists', 'tpm', 'export-auths', out))
        os.unlink(out)
        self.assertIn('--force', self.fails(1, 'Exists', 'tpm', 'export-auths', out))
        self.assertFalse(os.path.exists(out))
        self.assertEqual(self.ok('tpm', 'export-auths', '--force', '-').count(secrets[0][1]), 1)
        self.ok('tpm', 'release-ownership')
        self.assertFalse(os.path.exists(auths))
        self.assertEqual(self.json('info')['health']['lockout_auth_state'], 'unset')

    def test_reset_lockout(self):
        self.ok('provision')
        wrong = ('key', 'csr', 'greenkey', '--pin-file', '-')
        self.fails(4, 'AuthFailed', *wrong, stdin=b'wrong', once=True)
        # the PINs are generated: once an hour the daemon does it by itself
        bus.wait_for(lambda: self.json('info')['health']['healings']['lockout-reset'] == 1, 'the first to be healed')
        self.fails(4, 'AuthFailed', *wrong, stdin=b'wrong', once=True)
        bus.wait_for(lambda: self.json('info')['health']['lockout_counter'] == 1, 'the failure to be counted')
        self.fails(4, 'NotAuthorized', 'tpm', 'reset-lockout', uid=bus.ALICE)
        self.assertEqual(self.json('tpm', 'reset-lockout'), {'reset': True})
        bus.wait_for(lambda: self.json('info')['health']['lockout_counter'] == 0, 'the counter is 0')

    def test_ownership_heals(self):
        """Wrong PINs up to the lockout and a power cut: healed at the start with the auth that is known."""
        self.ok('tpm', 'take-ownership')
        self.ok('provision')
        wrong = ('key', 'csr', 'greenkey', '--pin-file', '-')
        self.fails(4, 'AuthFailed', *wrong, stdin=b'wrong', once=True)
        # the PINs are generated: once an hour while it runs
        bus.wait_for(lambda: self.json('info')['health']['healings']['lockout-reset'] == 1, 'the first to be healed')
        self.fails(4, 'AuthFailed', *wrong, stdin=b'wrong', once=True)
        bus.wait_for(lambda: self.json('status')['health']['lockout_counter'] == 1, 'the failure to be counted')
        self.daemon.kill()
        self.tpm.kill()
        self.tpm.start()
        bus.open_to_daemon(self.tpm)
        self.daemon.start()
        health = self.json('info')['health']
        self.assertEqual((health['lockout_counter'], health['healings']['lockout-reset']), (0, 1))
        self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)


if __name__ == '__main__':
    bus.main()
