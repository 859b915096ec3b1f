#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Every verb of ggtpmctl in text and JSON, against the real daemon and a software TPM."""

import base64
import contextlib
import grp
import hashlib
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus, openssl  # noqa: E402
import cuts  # noqa: E402

URI = 'pkcs11:token=greengrass;object=greenkey;type=private'

TOKEN_MEMBERS = {'label', 'slot_id', 'manufacturer', 'model', 'serial', 'uri', 'pin_stored', 'keys', 'path'}
KEY_MEMBERS = {'token', 'label', 'id', 'algorithm', 'uri', 'public_key', 'name', 'attributes', 'no_da', 'roca',
               'has_certificate', 'certificate_not_after', 'path', 'curve', 'openssl_uri', 'handle', 'parent',
               'created'}
DEVICE_MEMBERS = {'node', 'tcti', 'family', 'level', 'revision', 'spec_date', 'manufacturer', 'manufacturer_id',
                  'vendor_string', 'model', 'tpm_type', 'firmware_version', 'firmware_raw', 'memory',
                  'algorithms', 'curves', 'pcr_banks', 'max_command', 'max_response', 'update_mode',
                  'updates_remaining'}
HEALTH_MEMBERS = {'state', 'issues', 'last_check', 'in_lockout', 'lockout_counter', 'lockout_max', 'lockout_interval',
                  'lockout_recovery', 'owner_auth_set', 'endorsement_auth_set', 'lockout_auth_set', 'disable_clear',
                  'tpm_generated_eps', 'platform_enabled', 'storage_enabled', 'endorsement_enabled',
                  'last_shutdown_orderly', 'self_test_result', 'self_test_text', 'lockout_failures_left',
                  'lockout_auth_state', 'lockout_auth_locked_until', 'healings', 'unclean_shutdowns',
                  'unclean_shutdowns_today', 'reset_count', 'persistent_used', 'persistent_available',
                  'nv_indices', 'nv_counters_available', 'transient_available', 'sessions_available', 'rules',
                  'lockout_expected_at', 'lockout_failures_today', 'command_count', 'error_count', 'last_error',
                  'latency_us', 'latency_baseline_us'}

# LeakSanitizer does not run under strace.
CC_EVICT_CONTROL = 0x120
CC_CREATE_PRIMARY = 0x131


class Bare(cli.Case):
    """Nothing is provisioned yet."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()

    def test_status(self):
        for args in ([], ['status']):
            text = self.ok(*args)
            self.assertRegex(text, r'(?m)^Daemon +ready \(ggtpmd [0-9.]+, mode replace\)$')
            self.assertRegex(text, r'(?m)^Chip +\S.*firmware ')
            self.assertRegex(text, r'(?m)^Health +(ok|degraded)$')
            self.assertRegex(text, r'(?m)^Rules +\d+ ok, .*\d+ not applicable$')
            self.assertRegex(text, r'(?m)^Lockout +0 of [1-9]')
            self.assertRegex(text, r'(?m)^Provisioning +none\n +`ggtpmctl provision` ')
            self.assertNotIn('\033', text)

    def test_status_json(self):
        status = self.json('status')
        self.assertEqual(set(status), {'daemon', 'device', 'health', 'provisioning', 'jobs', 'tokens'})
        self.assertEqual(status['daemon'], {'running': True, 'version': status['daemon']['version'], 'api_version': 1,
                                            'mode': 'replace', 'state': 'ready', 'state_reason': ''})
        self.assertEqual(set(status['device']), {'node', 'manufacturer', 'model', 'firmware_version'})
        self.assertEqual(set(status['health']),
                         {'state', 'last_check', 'in_lockout', 'lockout_counter', 'lockout_max', 'issues', 'rules'})
        self.assertIs(status['health']['in_lockout'], False)
        self.assertGreater(status['health']['last_check'], 1600000000)
        self.assertEqual(status['provisioning'], {'state': 'none'})
        self.assertEqual((status['jobs'], status['tokens']), ([], []))

    def test_status_for_everybody(self):
        self.assertIn('ready', self.ok('status', '--no-ask-password', uid=bus.ALICE))

    def test_status_on_terminal(self):
        terminal = self.terminal('status')
        self.assertEqual(terminal.wait(), 0)
        self.assertIn('\033[32mready\033[0m', terminal.output)

    def test_no_color(self):
        for env in ({'NO_COLOR': '1'}, {'TERM': 'dumb'}):
            terminal = cli.Terminal([self.program, 'status'], self.env | env)
            self.assertEqual(terminal.wait(), 0)
            self.assertIn('ready', terminal.output)
            self.assertNotIn('\033', terminal.output)

    def test_info(self):
        text = self.ok('info')
        self.assertRegex(text, r'(?m)^Device$')
        self.assertRegex(text, r'(?m)^  Family +2\.0$')
        self.assertRegex(text, r'(?m)^  Revision +[12]\.\d\d$')
        self.assertRegex(text, r'(?m)^  ManufacturerId +0x[0-9a-f]{8}$')
        self.assertRegex(text, r'(?m)^  SelfTestText +passed$')
        self.assertRegex(text, r'(?m)^  LockoutInterval +\d+ s$')
        self.assertRegex(text, r'(?m)^  SpecDate +year 20\d\d, day \d+$')

    def test_info_json(self):
        info = self.json('info')
        self.assertEqual(set(info), {'device', 'health'})
        self.assertEqual(set(info['device']), DEVICE_MEMBERS)
        self.assertEqual(set(info['health']), HEALTH_MEMBERS)
        self.assertEqual(info['device']['family'], '2.0')
        self.assertEqual(info['device']['manufacturer_id'].to_bytes(4, 'big').rstrip(b'\0').decode(),
                         info['device']['manufacturer'])
        self.assertEqual(len(info['device']['spec_date']), 2)
        self.assertEqual(info['health']['self_test_result'], 0)
        for issue in info['health']['issues']:
            self.assertEqual(set(issue), {'id', 'severity', 'text', 'remedy', 'since', 'evidence'})

    def test_empty_lists(self):
        self.assertIn('ggtpmctl provision', self.ok('token', 'list'))
        self.assertEqual(self.ok('key', 'list'), 'No keys.\n')
        self.assertEqual(self.json('token', 'list'), {'tokens': []})
        self.assertEqual(self.json('key', 'list'), {'keys': []})

    def test_not_found(self):
        self.assertIn("'greenkey'", self.fails(3, 'NotFound', 'key', 'uri', 'greenkey'))
        self.fails(3, 'NotFound', 'key', 'csr', 'greenkey')
        self.fails(3, 'NotFound', 'key', 'create', 'greenkey')
        self.assertIn("'t'", self.fails(3, 'NotFound', 'key', 'list', '--token', 't'))
        self.assertIn('no token yet', self.fails(3, 'NotFound', 'token', 'verify'))
        self.fails(3, 'NotFound', 'config', 'write', 'v1', '--path', self.path('none.json'))
        self.assertFalse(os.path.exists(self.path('none.json')))

    def test_no_rights(self):
        for args in (['provision'], ['provision', '--no-wait'], ['config', 'write', 'v2', '--print']):
            self.fails(4, 'NotAuthorized', '--no-ask-password', *args, uid=bus.ALICE)
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})

    def test_refused_by_the_daemon(self):
        self.assertIn('ecc-p256', self.fails(1, 'NotSupported', 'provision', '--algorithm', 'dsa'))
        self.assertIn('v3', self.fails(2, 'InvalidArgs', 'config', 'write', 'v3', '--print'))
        self.fails(2, 'InvalidArgs', 'provision', '--token', 'a/b')
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})

    def test_pin_file(self):
        missing = self.path('no-such-file')
        self.assertIn(missing, self.fails(1, 'Failed', 'provision', '--pin-file', missing))
        for content in (b'', b'\n1234', b'x' * 129, b'1\x002'):
            self.fails(2, 'InvalidArgs', 'provision', '--pin-file', '-', stdin=content)
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})


class Provisioning(cli.Case):
    """From nothing, in each way."""

    def setUp(self):
        self.tpm = self.use(cli.swtpm.Swtpm())
        self.daemon = self.use(bus.Daemon(self.bus, self.tpm))

    def use(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def test_text(self):
        result = self.run_ctl('provision', '--subject', 'CN=core-1,O=Example')
        self.assertEqual(result.returncode, 0, result.stderr)
        text = result.stdout.decode()
        self.assertRegex(text, r'\AToken  greengrass\nKey    greenkey\nURI    ' + re.escape(URI) + r'\n-----BEGIN CERT')
        self.assertIn('-----END CERTIFICATE REQUEST-----\n', text)
        # steps in plain lines, since that is no terminal; of what comes within a second the last one
        self.assertGreaterEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertNotRegex(result.stderr, r'[\r\033%]')
        csr = text[text.index('-----BEGIN'):].encode()
        self.assertIn(b'verify OK', openssl('req', '-verify', '-noout', stdin=csr).stderr)
        self.assertIn(b'CN = core-1', openssl('req', '-noout', '-subject', stdin=csr).stdout)

        again = self.ok('provision', '--subject', 'CN=core-1,O=Example')
        self.assertRegex(again, r'\ANothing was missing\.\nToken  greengrass\n')
        self.assertEqual(len(self.json('token', 'list')['tokens']), 1)
        self.assertEqual(len(self.json('key', 'list')['keys']), 1)
        self.fails(1, 'Exists', 'provision', '--key', 'another')

    def test_json(self):
        path = self.path('a.csr')
        value = self.json('provision', '--token', 'tok', '--key', 'k', '--algorithm', 'rsa-2048', '--csr-out', path,
                          uid=bus.ROOT_UID)
        self.assertEqual(set(value), {'token', 'key', 'uri', 'csr', 'changed', 'csr_out', 'keys', 'files', 'waiting',
                                      'problems', 'warnings'})
        self.assertEqual((value['token'], value['key'], value['changed'], value['csr_out']), ('tok', 'k', True, path))
        with open(path, encoding='ascii') as file:
            self.assertEqual(file.read(), value['csr'])
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        self.assertIn(b'2048 bit', openssl('req', '-noout', '-text', '-in', path).stdout)
        value = self.json('provision', '--token', 'tok', '--key', 'k', '--algorithm', 'rsa-2048')
        self.assertIs(value['changed'], False)

    def test_add(self):
        self.ok('provision')
        value = self.json('provision', '--key', 'second', '--add')
        self.assertEqual((value['key'], value['changed']), ('second', True))
        self.assertEqual(sorted(key['label'] for key in self.json('key', 'list')['keys']), ['greenkey', 'second'])

    def test_file_of_the_daemon(self):
        with open(os.path.join(self.daemon.dir, 'provision.conf'), 'w', encoding='ascii') as file:
            file.write('[Token]\nLabel=from-file\n[Key key-from-file]\n')
        value = self.json('provision')
        self.assertEqual((value['token'], value['key']), ('from-file', 'key-from-file'))

    def snapshot(self):
        files = {}
        for top, _, names in os.walk(self.daemon.state_dir):
            for name in names:
                with open(os.path.join(top, name), 'rb') as file:
                    files[os.path.join(top, name)] = (file.read(), os.stat(file.fileno()).st_mtime_ns)
        return files

    def test_plan(self):
        before = self.snapshot()
        text = self.ok('provision', '--plan', '--subject', 'CN=core-1')
        self.assertEqual(text, "To be made:\n  the token store and its storage root key\n"
                         "  the token 'greengrass' with its PINs\n  the key pair 'greenkey', ecc-p256\n"
                         "  the certificate request for CN=core-1\n")
        self.assertEqual((self.snapshot(), self.tpm.count(CC_CREATE_PRIMARY)), (before, 0))
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})
        self.ok('provision', '--subject', 'CN=core-1')
        self.assertEqual(self.tpm.count(CC_CREATE_PRIMARY), 1)
        before = self.snapshot()
        self.assertEqual(self.ok('provision', '--plan', '--subject', 'CN=core-1'), 'Nothing is missing.\n')
        self.assertEqual(self.json('provision', '--plan', '--key', 'second', '--add'),
                         {'missing': ["the key pair 'second', ecc-p256", 'the certificate request for CN=second'],
                          'waiting': [], 'problems': [], 'warnings': []})
        self.fails(1, 'Exists', 'provision', '--plan', '--key', 'second')
        self.assertEqual(self.snapshot(), before)
        for option in ('--no-wait', '--csr-out=x'):
            self.fails(2, 'InvalidArgs', 'provision', '--plan', option)

    def test_config(self):
        path = self.path('mine.conf')
        with open(os.path.join(self.daemon.dir, 'provision.conf'), 'w', encoding='ascii') as file:
            file.write('[Token]\nLabel=of-the-daemon\n')
        with open(path, 'w', encoding='ascii') as file:
            file.write('[Token]\nLabel=mine\n[Key k]\nAlgorithm=rsa-2048\nSubject=CN=x\n')
        self.assertIn("the token 'mine' with", self.ok('provision', '--plan', '--config', path))
        self.assertIn("the token 'of-the-daemon' with", self.ok('provision', '--plan'))
        value = self.json('provision', '--config', path)
        self.assertEqual((value['token'], value['key'], value['changed']), ('mine', 'k', True))
        with open(path, 'rb') as file:
            again = self.json('provision', '--config', '-', stdin=file.read())
        self.assertEqual((again['changed'], again['csr']), (False, value['csr']))
        self.assertIn('token', self.fails(2, 'InvalidArgs', 'provision', '--config', path, '--token', 'a'))
        for text, named in ((b'[Key k]\nSize=3\n', 'Size'), (b'[Tokens]\n', 'Tokens'), (b'Label', 'Label'),
                            (b'#' * 70000, '65536')):
            with open(path, 'wb') as file:
                file.write(text)
            self.assertIn(named, self.fails(2, 'InvalidArgs', 'provision', '--config', path))
        self.assertEqual(len(self.json('token', 'list')['tokens']), 1)

    def test_member_of_the_group(self):
        self.assertIn('URI', self.ok('provision', uid=bus.GUEST))

    def test_pins_on_standard_input(self):
        self.ok('provision', '--pin-file', '-', '--so-pin-file', '-', stdin=b'user pin\nso pin\n')
        self.ok('key', 'csr', 'greenkey', '--pin-file', '-', stdin=b'user pin')
        self.fails(4, 'AuthFailed', 'key', 'csr', 'greenkey', '--pin-file', '-', stdin=b'so pin', once=True)

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

    def test_no_wait(self):
        job = self.ok('provision', '--no-wait').strip()
        self.assertRegex(job, r'\A/org/ggtpm1/job/\d+\Z')
        caller = self.bus.connect()
        self.assertEqual(caller.wait_job(job)['State'], 'done')
        caller.close()
        value = self.json('provision', '--no-wait')
        self.assertEqual(set(value), {'job'})
        self.assertRegex(value['job'], r'\A/org/ggtpm1/job/\d+\Z')

    def test_progress_on_terminal(self):
        terminal = self.terminal('provision')
        self.assertEqual(terminal.wait(), 0, terminal.output)
        # one line, drawn anew, and gone at the end
        self.assertRegex(terminal.output, r'\r\033\[K\[[#.]{20}\] {1,3}\d+% \S')
        self.assertRegex(terminal.output, r'\r\033\[KToken  greengrass\r\n')
        before = terminal.output[:terminal.output.index('Token')]
        self.assertNotIn('\n', before)

    def test_no_progress_with_json(self):
        terminal = self.terminal('provision', '--json')
        self.assertEqual(terminal.wait(), 0, terminal.output)
        self.assertEqual(json.loads(terminal.output)['changed'], True)

    def test_interrupt(self):
        self.pause(self.tpm.process)
        terminal = self.terminal('provision')
        terminal.wait_for('%')
        status = self.json('status')
        self.assertEqual([job['operation'] for job in status['jobs']], ['provision'])
        self.assertEqual(set(status['jobs'][0]), {'path', 'operation', 'state', 'progress', 'step'})
        self.assertRegex(self.ok('status'), r'(?m)^Job +provision (queued|running), \d+%: ')
        terminal.write('\x03')
        self.assertEqual(terminal.wait(), 1)
        self.assertIn('the job goes on', terminal.output)
        self.assertIn('ggtpmctl status', terminal.output)
        self.resume(self.tpm.process)
        caller = self.bus.connect()
        self.assertEqual(caller.wait_job(status['jobs'][0]['path'])['State'], 'done')
        caller.close()

    def test_timeout(self):
        self.pause(self.tpm.process)
        message = self.fails(6, 'Timeout', '--timeout', '1', 'provision', once=True)
        self.assertIn('the job goes on', message)

    def test_daemon_goes_away(self):
        self.pause(self.tpm.process)
        process = self.popen('--json', 'provision', stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        caller = self.bus.connect()
        bus.wait_for(lambda: any('/job/' in path for path in caller.objects()), 'the job')
        caller.close()
        self.daemon.kill()
        stdout, stderr = process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual((process.returncode, stderr), (6, b''), stdout)
        self.assertEqual(json.loads(stdout)['error']['name'], 'Unavailable')


class Provisioned(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()
        test = cls('ok')
        test.ok('provision')
        test.ok('key', 'create', 'rsakey', '--algorithm', 'rsa-2048', '--id', '0a0b')

    def test_status(self):
        text = self.ok('status')
        self.assertRegex(text, r'(?m)^Provisioning +ready$')
        self.assertRegex(text, r'(?m)^Token +greengrass\n  Key +greenkey, ecc-p256, ')
        self.assertRegex(text, r'(?m)^  Key +rsakey, rsa-2048, no certificate$')
        token, = self.json('status')['tokens']
        self.assertEqual(set(token), {'label', 'pin_stored', 'keys'})
        self.assertIs(token['pin_stored'], True)
        for key in token['keys']:
            self.assertEqual(set(key), {'label', 'id', 'algorithm', 'has_certificate', 'certificate_not_after'})

    def test_token_list(self):
        self.assertRegex(self.ok('token', 'list'),
                         r'\ATOKEN +SLOT +PIN +KEYS +URI\ngreengrass +\d+ +stored +\d+ +pkcs11:\S*token=greengrass')
        token, = self.json('token', 'list')['tokens']
        self.assertEqual(set(token), TOKEN_MEMBERS)
        self.assertEqual((token['label'], token['pin_stored']), ('greengrass', True))
        self.assertLessEqual({'greenkey', 'rsakey'}, set(token['keys']))
        self.assertEqual(token['path'], '/org/ggtpm1/token/greengrass')
        self.assertIsInstance(token['slot_id'], int)

    def test_key_list(self):
        text = self.ok('key', 'list')
        self.assertRegex(text, r'\ATOKEN +KEY +ID +ALGORITHM +CERTIFICATE UNTIL\n')
        self.assertRegex(text, r'(?m)^greengrass +rsakey +0a0b +rsa-2048 +no certificate$')
        keys = {key['label']: key for key in self.json('key', 'list', '--token', 'greengrass')['keys']}
        for key in keys.values():
            self.assertEqual(set(key), KEY_MEMBERS)
        self.assertEqual(keys['rsakey']['id'], '0a0b')
        self.assertEqual((keys['rsakey']['has_certificate'], keys['rsakey']['certificate_not_after']), (False, 0))
        self.assertEqual(keys['greenkey']['algorithm'], 'ecc-p256')
        self.assertEqual(keys['greenkey']['uri'], URI)
        for key in keys.values():
            self.assertEqual(openssl('pkey', '-pubin', '-noout', stdin=key['public_key'].encode()).returncode, 0)
        self.fails(3, 'NotFound', 'key', 'list', '--token', 'other')

    def test_key_show(self):
        listed = {key['label']: key for key in self.json('key', 'list')['keys']}
        for label, curve in (('greenkey', 'P-256'), ('rsakey', '')):
            key = self.json('key', 'show', label)
            self.assertEqual(key, listed[label])
            self.assertEqual((key['curve'], key['handle'], key['parent'], key['openssl_uri']),
                             (curve, 0, 0x81000001, ''))
            self.assertEqual(key['created'] % 86400, 0)
            self.assertTrue(time.time() - 2 * 86400 < key['created'] <= time.time(), key['created'])
            text = self.ok('key', 'show', label)
            day = time.strftime('%Y-%m-%d', time.gmtime(key['created']))
            for line in (f'Key: +{label}', f'Id: +{key["id"]}', f'Created: +{day}', f'Name: +{key["name"]}',
                         'Parent: +0x81000001', f'Algorithm: +{key["algorithm"]}', 'ROCA: +no'):
                self.assertRegex(text, f'(?m)^{line}$')
            self.assertEqual(re.findall('(?m)^Curve: +(.*)$', text), [curve] if curve else [])
            self.assertTrue(text.endswith(key['public_key']))
        self.fails(3, 'NotFound', 'key', 'show', 'nokey')

    def test_key_uri(self):
        self.assertEqual(self.ok('key', 'uri', 'greenkey'), URI + '\n')
        for name in ('greengrass/rsakey', '0a0b', '0A0B', 'greengrass/0a0b'):
            self.assertEqual(self.json('key', 'uri', name),
                             {'token': 'greengrass', 'label': 'rsakey', 'uri': URI.replace('greenkey', 'rsakey')})
        message = self.fails(3, 'NotFound', 'key', 'uri', 'greenkye')
        self.assertIn("'greenkye'", message)
        self.assertIn('greengrass/greenkey', message)
        self.fails(3, 'NotFound', 'key', 'uri', 'other/greenkey')
        self.fails(3, 'NotFound', 'key', 'uri', 'greenkey', '--token', 'other')

    def test_key_uri_for_everybody(self):
        self.assertEqual(self.ok('key', 'uri', 'greenkey', uid=bus.ALICE), URI + '\n')

    def test_key_create(self):
        uri = self.ok('key', 'create', 'made', '--token', 'greengrass').strip()
        self.assertEqual(self.ok('key', 'uri', 'made').strip(), uri)
        value = self.json('key', 'create', 'made-json', '--id', 'ff00')
        self.assertEqual(set(value), {'token', 'label', 'algorithm', 'uri', 'path'})
        self.assertEqual((value['token'], value['label'], value['algorithm']), ('greengrass', 'made-json', 'ecc-p256'))
        self.assertEqual(value['path'], '/org/ggtpm1/token/greengrass/key/ff00')
        self.assertIn('made-json', self.json('token', 'list')['tokens'][0]['keys'])
        self.assertIn("'made'", self.fails(1, 'Exists', 'key', 'create', 'made'))
        self.assertIn('ecc-p256', self.fails(1, 'NotSupported', 'key', 'create', 'x', '--algorithm', 'dsa'))
        self.fails(2, 'InvalidArgs', 'key', 'create', 'x' * 33)
        self.fails(3, 'NotFound', 'key', 'create', 'x', '--token', 'other')

    def test_key_csr(self):
        csr = self.ok('key', 'csr', 'greenkey', '--subject', 'CN=a b,O=c')
        self.assertIn(b'verify OK', openssl('req', '-verify', '-noout', stdin=csr.encode()).stderr)
        self.assertIn(b'CN = a b', openssl('req', '-noout', '-subject', stdin=csr.encode()).stdout)
        value = self.json('key', 'csr', 'greenkey')
        self.assertEqual(set(value), {'token', 'label', 'csr'})
        path = self.path('request.csr')
        self.assertEqual(self.ok('key', 'csr', 'rsakey', '--out', path), '')
        self.assertIn(b'verify OK', openssl('req', '-verify', '-noout', '-in', path).stderr)
        self.assertEqual(self.json('key', 'csr', 'rsakey', '--out', path)['out'], path)
        self.assertIn('no-such-dir', self.fails(1, 'Failed', 'key', 'csr', 'greenkey', '--out',
                                                self.path('no-such-dir/a')))
        self.fails(2, 'InvalidArgs', 'key', 'csr', 'greenkey', '--subject', 'no subject')

    def test_out_through_a_link_and_into_a_device(self):
        link, target = self.path('link'), self.path('target')
        os.symlink(target, link)
        self.assertIn(link, self.fails(1, 'Failed', 'key', 'csr', 'greenkey', '--out', link))
        with open(target, 'w', encoding='ascii'):
            pass
        self.ok('key', 'csr', 'greenkey', '--out', link)
        self.assertTrue(os.path.islink(link))
        with open(target, encoding='ascii') as file:
            self.assertIn('BEGIN CERTIFICATE REQUEST', file.read())
        self.ok('key', 'csr', 'greenkey', '--out', '/dev/null')
        self.assertTrue(stat.S_ISCHR(os.stat('/dev/null').st_mode))

    def test_full_output(self):
        with open('/dev/full', 'wb') as full:
            process = self.popen('key', 'uri', 'greenkey', stdout=full, stderr=subprocess.PIPE)
            _, stderr = process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b'standard output', stderr)

    def verify(self, key, signature, data, *options):
        keys = {one['label']: one for one in self.json('key', 'list')['keys']}
        for name, content in (('pub', keys[key]['public_key'].encode()), ('sig', signature), ('data', data)):
            with open(self.path(name), 'wb') as file:
                file.write(content)
        result = openssl('dgst', *options, '-verify', self.path('pub'), '-signature', self.path('sig'),
                         self.path('data'))
        self.assertEqual(result.stdout, b'Verified OK\n', result.stderr)

    def test_key_sign(self):
        data = b'to be signed\0\n'
        result = self.run_ctl('key', 'sign', 'greenkey', stdin=data)
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        self.verify('greenkey', result.stdout, data, '-sha256')

        value = self.json('key', 'sign', 'greenkey', '--hash', 'sha384', stdin=data)
        self.assertEqual(set(value), {'token', 'label', 'signature'})
        self.verify('greenkey', base64.b64decode(value['signature'], validate=True), data, '-sha384')

        digest = hashlib.sha256(data).digest()
        result = self.run_ctl('key', 'sign', 'greenkey', '--digest', stdin=digest)
        self.verify('greenkey', result.stdout, data, '-sha256')
        self.fails(2, 'InvalidArgs', 'key', 'sign', 'greenkey', '--digest', stdin=digest[1:])

    def test_key_sign_files(self):
        with open(self.path('in'), 'wb') as file:
            file.write(b'x' * 65536)
        value = self.json('key', 'sign', 'rsakey', '--in', self.path('in'), '--out', self.path('out'))
        self.assertEqual(set(value), {'token', 'label', 'signature', 'out'})
        with open(self.path('out'), 'rb') as file:
            signature = file.read()
        self.assertEqual(base64.b64decode(value['signature']), signature)
        self.verify('rsakey', signature, b'x' * 65536, '-sha256')
        self.assertIn('65536', self.fails(2, 'InvalidArgs', 'key', 'sign', 'rsakey', stdin=b'x' * 65537))
        self.fails(1, 'Failed', 'key', 'sign', 'rsakey', '--in', self.path('no-such-file'))

    def test_key_sign_mechanisms(self):
        result = self.run_ctl('key', 'sign', 'rsakey', '--mechanism', 'rsa-pss', '--hash', 'sha256', stdin=b'a')
        self.verify('rsakey', result.stdout, b'a', '-sha256', '-sigopt', 'rsa_padding_mode:pss', '-sigopt',
                    'rsa_pss_saltlen:32')
        for name in ('rsakey', 'greenkey'):
            self.assertIn('dsa', self.fails(2, 'InvalidArgs', 'key', 'sign', name, '--mechanism', 'dsa'))

    def test_key_sign_not_to_a_terminal(self):
        terminal = self.terminal('key', 'sign', 'greenkey')
        self.assertEqual(terminal.wait(), 2)
        self.assertIn('--out', terminal.output)

    def pin_file(self, kind):
        return f'{self.daemon.state_dir}/pins/greengrass.{kind}'

    def read_pin(self, kind):
        with open(self.pin_file(kind), encoding='ascii') as file:
            return file.read().strip()

    def test_token_pins(self):
        pins = os.listdir(self.daemon.state_dir + '/pins')
        for verb, kind, old in (('change-pin', 'user', 'user'), ('unblock', 'user', 'so'),
                                ('reset-so-pin', 'so', 'so')):
            with self.subTest(verb):
                before, group = self.read_pin(kind), os.stat(self.pin_file(kind))
                self.assertEqual(self.json('token', verb, 'greengrass'), {'token': 'greengrass', 'changed': True})
                drawn = self.read_pin(kind)
                self.assertNotEqual(drawn, before)
                # 30 characters of 5 bits
                self.assertRegex(drawn, '^[a-z2-7]{30}$')
                self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)
                # given
                with open(self.path('pin'), 'w', encoding='ascii') as file:
                    file.write(f'{verb} 1234')
                self.ok('token', verb, 'greengrass', '--new-pin-file', self.path('pin'))
                self.assertEqual(self.read_pin(kind), f'{verb} 1234')
                self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)
                after = os.stat(self.pin_file(kind))
                self.assertEqual((after.st_mode, after.st_gid), (group.st_mode, group.st_gid))
                # the old one that is proved may be given, too
                option = '--pin-file' if verb == 'change-pin' else '--so-pin-file'
                self.ok('token', verb, 'greengrass', option, self.pin_file(old))
        self.assertEqual(sorted(os.listdir(self.daemon.state_dir + '/pins')), sorted(pins))
        self.assertEqual(self.json('status')['health']['lockout_counter'], 0)
        self.fails(3, 'NotFound', 'token', 'change-pin', 'nothing')
        with open(self.path('pin'), 'w', encoding='ascii') as file:
            file.write('a\tb')
        self.assertIn('control', self.fails(2, 'InvalidArgs', 'token', 'change-pin', 'greengrass', '--new-pin-file',
                                            self.path('pin')))
        for verb in ('change-pin', 'unblock', 'reset-so-pin'):
            self.fails(4, 'NotAuthorized', '--no-ask-password', 'token', verb, 'greengrass', uid=bus.ALICE)

    def test_key_csr_extensions(self):
        options = ('--alt-names', 'DNS:core-1.example.org,IP:192.0.2.1', '--key-usage', 'digitalSignature',
                   '--ext-key-usage', 'clientAuth,serverAuth')
        csr = self.ok('key', 'csr', 'greenkey', *options)
        text = openssl('req', '-noout', '-text', '-verify', stdin=csr.encode())
        self.assertIn(b'DNS:core-1.example.org, IP Address:192.0.2.1', text.stdout)
        self.assertIn(b'TLS Web Client Authentication, TLS Web Server Authentication', text.stdout)
        self.assertIn(b'verify OK', text.stderr)
        self.assertIn('core-1', self.fails(2, 'InvalidArgs', 'key', 'csr', 'greenkey', '--alt-names', 'core-1'))
        self.assertIn('keyCertSign', self.fails(2, 'InvalidArgs', 'key', 'csr', 'greenkey', '--key-usage', 'signing'))

    def test_key_self_sign(self):
        for name in ('greenkey', 'rsakey'):
            path = self.path('self.pem')
            value = self.json('key', 'self-sign', name, '--subject', 'CN=own', '--days', '3', '--out', path,
                              '--alt-names', 'DNS:localhost')
            self.assertEqual(set(value), {'token', 'label', 'certificate', 'out'})
            self.assertIn(b'OK', openssl('verify', '-CAfile', path, '-check_ss_sig', path).stdout)
            self.assertIn(b'DNS:localhost', openssl('x509', '-in', path, '-noout', '-text').stdout)
        self.assertIn('BEGIN CERTIFICATE', self.ok('key', 'self-sign', 'greenkey'))
        for days in ('0', 'x', '-1', '999999'):
            self.assertIn('days', self.fails(2, 'InvalidArgs', 'key', 'self-sign', 'greenkey', '--days', days))

    def test_key_public_key(self):
        pem = self.ok('key', 'public-key', 'greenkey')
        self.assertEqual(pem, self.json('key', 'list')['keys'][0]['public_key'])
        self.assertEqual(openssl('pkey', '-pubin', '-pubout', stdin=pem.encode()).stdout.decode(), pem)
        jwk = json.loads(self.json('key', 'public-key', 'rsakey', '--format', 'jwk')['public_key'])
        self.assertEqual((set(jwk), jwk['kty']), ({'kty', 'n', 'e', 'kid'}, 'RSA'))
        self.assertIn('jwk', self.fails(2, 'InvalidArgs', 'key', 'public-key', 'greenkey', '--format', 'der'))
        # needs no rights
        self.assertEqual(self.ok('key', 'public-key', 'greenkey', uid=bus.ALICE), pem)

    def test_key_verify(self):
        for name, options in (('greenkey', ()), ('rsakey', ('--mechanism', 'rsa-pss', '--hash', 'sha384'))):
            signature = self.run_ctl('key', 'sign', name, *options, stdin=b'data').stdout
            with open(self.path('signature'), 'wb') as file:
                file.write(signature)
            args = ('key', 'verify', name, self.path('signature'), *options)
            self.assertEqual(self.run_ctl(*args, stdin=b'data', uid=bus.ALICE).stdout, b'valid\n')
            self.assertEqual(self.json(*args, stdin=b'data'), {'token': 'greengrass', 'label': name, 'valid': True})
            self.assertIn(name, self.fails(1, 'Failed', *args, stdin=b'Data'))
        self.fails(2, 'InvalidArgs', 'key', 'verify', 'greenkey', '-', stdin=b'x')

    def test_key_decrypt(self):
        with open(self.path('pub'), 'w', encoding='ascii') as file:
            file.write(self.ok('key', 'public-key', 'rsakey'))
        cipher = openssl('pkeyutl', '-encrypt', '-pubin', '-inkey', self.path('pub'), stdin=b'secret').stdout
        self.assertEqual(self.run_ctl('key', 'decrypt', 'rsakey', stdin=cipher).stdout, b'secret')
        value = self.json('key', 'decrypt', 'rsakey', stdin=cipher)
        self.assertEqual(base64.b64decode(value['plain']), b'secret')
        self.fails(1, 'NotSupported', 'key', 'decrypt', 'greenkey', stdin=cipher)
        for size in (7, 255, 257, 513):
            self.fails(2, 'InvalidArgs', 'key', 'decrypt', 'rsakey', stdin=b'x' * size)
        # not made for this key: said so, and nothing stays behind of it
        self.assertIn('encrypted for this key',
                      self.fails(1, 'Failed', 'key', 'decrypt', 'rsakey', stdin=bytes(255) + b'x'))
        self.assertEqual(self.run_ctl('key', 'decrypt', 'rsakey', stdin=cipher).stdout, b'secret')
        self.ok('key', 'csr', 'greenkey')

    def test_key_attributes(self):
        keys = {one['label']: one for one in self.json('key', 'list')['keys']}
        # the Name is what TPM2_ReadPublic would say: nameAlg and the digest of the public area
        self.assertRegex(keys['greenkey']['name'], '^000b[0-9a-f]{64}$')
        # fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth; sign
        self.assertEqual(keys['greenkey']['attributes'] & 0x40072, 0x40072)
        self.assertEqual((keys['greenkey']['no_da'], keys['rsakey']['roca']), (False, False))

    def test_key_delete(self):
        self.ok('key', 'create', 'doomed')
        self.assertIn('--yes', self.fails(2, 'InvalidArgs', 'key', 'delete', 'doomed', '--no-ask-password'))
        terminal = self.terminal('key', 'delete', 'doomed')
        terminal.wait_for("Type 'doomed' to go on: ")
        terminal.write('no\n')
        self.assertEqual(terminal.wait(), 1, terminal.output)
        self.assertIn('doomed', self.ok('key', 'list'))
        self.assertEqual(self.json('key', 'delete', 'doomed', '--yes'),
                         {'token': 'greengrass', 'label': 'doomed', 'deleted': True})
        self.assertNotIn('doomed', self.ok('key', 'list'))
        self.fails(3, 'NotFound', 'key', 'delete', 'doomed', '--yes')
        # what is left works
        self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)

    def issue(self, csr, name):
        """A certificate from that request by a throw-away CA."""
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=CA',
                '-keyout', self.path('ca.key'), '-out', self.path('ca.pem'))
        pem = openssl('x509', '-req', '-CA', self.path('ca.pem'), '-CAkey', self.path('ca.key'), '-CAcreateserial',
                      stdin=csr.encode()).stdout
        with open(self.path(name), 'wb') as file:
            file.write(pem)
        return self.path(name)

    def key_of(self, label):
        return next((one for one in self.json('key', 'list')['keys'] if one['label'] == label), None)

    def test_key_rotate(self):
        self.ok('key', 'create', 'turning')
        self.ok('key', 'install-cert', 'turning', self.issue(self.ok('key', 'csr', 'turning'), 'old.pem'))
        before = self.key_of('turning')
        csr = self.ok('key', 'rotate', 'turning', '--subject', 'CN=new')
        self.assertIn(b'verify OK', openssl('req', '-verify', '-noout', stdin=csr.encode()).stderr)
        # the old one stays in use, and another request is for the same successor
        successor = self.key_of('turning.next')
        self.assertEqual(self.key_of('turning'), before)
        again = self.json('key', 'rotate', 'turning')['csr']
        public = [openssl('req', '-pubkey', '-noout', stdin=text.encode()).stdout.decode() for text in (csr, again)]
        self.assertEqual(public, [successor['public_key']] * 2)
        self.assertIn(b'CN = turning\n', openssl('req', '-noout', '-subject', stdin=again.encode()).stdout)
        # another's certificate changes nothing
        foreign = self.issue(self.ok('key', 'csr', 'greenkey'), 'foreign.pem')
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'turning', foreign)
        self.assertEqual(self.key_of('turning'), before)

        self.ok('key', 'install-cert', 'turning', self.issue(csr, 'new.pem'))
        after = self.key_of('turning')
        self.assertEqual((after['id'], after['public_key'], after['has_certificate']),
                         (before['id'], successor['public_key'], True))
        self.assertEqual((after['uri'], after['path']), (before['uri'], before['path']))
        self.assertEqual((after['name'], after['created']), (successor['name'], successor['created']))
        self.assertIsNone(self.key_of('turning.next'))
        signature = self.run_ctl('key', 'sign', 'turning', stdin=b'x').stdout
        self.verify('turning', signature, b'x', '-sha256')
        # once more, where there was no certificate before
        self.ok('key', 'create', 'bare')
        self.ok('key', 'install-cert', 'bare', self.issue(self.ok('key', 'rotate', 'bare'), 'bare.pem'))
        self.assertTrue(self.key_of('bare')['has_certificate'])
        self.assertIsNone(self.key_of('bare.next'))
        self.ok('key', 'delete', 'bare', '--yes')
        self.assertIn('.next', self.fails(2, 'InvalidArgs', 'key', 'rotate',
                                          self.json('key', 'create', 'x' * 30)['label']))
        self.ok('key', 'delete', 'x' * 30, '--yes')
        self.ok('key', 'delete', 'turning', '--yes')

    def test_no_rights(self):
        for args in (['key', 'sign', 'greenkey'], ['key', 'csr', 'greenkey'], ['key', 'create', 'x'],
                     ['key', 'delete', 'greenkey', '--yes'], ['key', 'decrypt', 'rsakey'],
                     ['key', 'rotate', 'greenkey'], ['key', 'self-sign', 'greenkey'],
                     ['config', 'write', 'lite', '--print']):
            self.fails(4, 'NotAuthorized', '--no-ask-password', *args, uid=bus.ALICE)

    def make_certificate(self, days='30'):
        """For greenkey, of a throw-away authority."""
        ca = ['-CA', self.path('ca.pem'), '-CAkey', self.path('ca.key')]
        if not os.path.exists(self.path('ca.pem')):
            result = openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
                             '/CN=ca', '-days', '30', '-keyout', self.path('ca.key'), '-out', self.path('ca.pem'))
            self.assertEqual(result.returncode, 0, result.stderr)
        csr = self.ok('key', 'csr', 'greenkey').encode()
        result = openssl('x509', '-req', '-days', days, '-set_serial', '1', *ca, stdin=csr)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_key_install_cert(self):
        certificate = self.make_certificate()
        with open(self.path('cert.pem'), 'wb') as file:
            file.write(certificate)
        self.assertEqual(self.ok('key', 'install-cert', 'greenkey', self.path('cert.pem')), '')
        key = [key for key in self.json('key', 'list')['keys'] if key['label'] == 'greenkey'][0]
        self.assertIs(key['has_certificate'], True)
        end = openssl('x509', '-noout', '-enddate', '-dateopt', 'iso_8601', stdin=certificate).stdout.decode()
        end = end.strip().split('=')[1].rstrip('Z')
        self.assertRegex(self.ok('key', 'list'), 'greenkey .*' + end)
        self.assertEqual(self.json('key', 'install-cert', 'greenkey', '-', stdin=certificate),
                         {'token': 'greengrass', 'label': 'greenkey', 'installed': True})
        # not its key
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'rsakey', self.path('cert.pem'))
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'greenkey', '-', stdin=b'no certificate')
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'greenkey', '-', stdin=b'\x30\x82\0\xff')
        self.fails(1, 'Failed', 'key', 'install-cert', 'greenkey', self.path('no-such-file'))
        expired = self.make_certificate('-1')
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'greenkey', '-', stdin=expired)
        self.ok('key', 'install-cert', 'greenkey', '-', '--force', stdin=expired)

    def test_completion_of_labels(self):
        script = ('source "$1"; shift; COMP_WORDS=(ggtpmctl "$@"); COMP_CWORD=$#; _ggtpmctl; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')

        def complete(*words):
            file = os.path.join(cli.SOURCE, 'client/completion/ggtpmctl')
            result = subprocess.run(['bash', '-c', script, 'bash', file, *words], capture_output=True, text=True,
                                    env=self.env, check=True)
            return [word for word in result.stdout.splitlines() if word != '']

        self.assertEqual(complete('key', 'sign', 'green'), ['greenkey'])
        self.assertLessEqual({'greenkey', 'rsakey'}, set(complete('key', 'csr', '--subject', 'CN=a', '')))
        self.assertEqual(complete('key', 'list', '--token', ''), ['greengrass'])
        self.assertEqual(complete('provision', '--token', 'x'), [])
        # what others call their keys is not run
        marker = self.path('marker')
        self.ok('key', 'create', 'odd $(>$MARKER) name')
        self.env['MARKER'] = marker
        self.assertEqual(complete('key', 'uri', 'odd'), [r'odd\ \$\(\>\$MARKER\)\ name'])
        self.assertFalse(os.path.exists(marker))


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
