#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""kill -9 of the daemon, of its helper, of ggtpmctl, or of the TPM, at system calls that change a file, while ggtpmctl
asks for something over the bus: afterwards there is what was or what was asked for, and the same again completes it.

GGTPM_TEST_EVERY_CUT=1 kills at every one of them, not only at some.
"""

import configparser
import contextlib
import json
import os
import re
import select
import shutil
import sqlite3
import struct
import subprocess
import unittest

import cli
import test_provision
from cli import bus

import cuts  # noqa: E402

PERSISTENT = 0x81000000
CC_GET_CAPABILITY = 0x17A
CAP_TPM_PROPERTIES = 6
PT_PERMANENT = 0x200
NOT_FOUND = 3  # exit code
# ggtpmctl also asks for a job with a message
CLIENT_CALLS = cuts.FILE_CALLS + ('sendmsg',)


class Case(test_provision.Case):
    """The wide provision.conf, and kills."""

    @classmethod
    def setUpClass(cls):
        if cuts.why_not() is not None:
            raise unittest.SkipTest(cuts.why_not())
        super().setUpClass()
        cls.helper = os.path.join(cls.daemon.dir, 'ggtpm-token-helper')
        cls.real_helper = shutil.move(cls.helper, cls.helper + '.real')
        cls.trace = os.path.join(cls.daemon.runtime_dir, 'trace')
        cls.use_helper()

    @classmethod
    def use_helper(cls, *before):
        with open(cls.helper, 'w', encoding='utf-8') as file:
            file.write(f'#!/bin/sh\nexec {" ".join(before)} {cls.real_helper} "$@"\n')
        os.chmod(cls.helper, 0o755)

    # ---- a run that may be cut ----

    def run_traced(self, who, options, *args):
        """ggtpmctl, while one of them is traced; returns whether it failed. The machine is on again afterwards."""
        if os.path.exists(self.trace):
            os.unlink(self.trace)
        run = {'daemon': self.run_and_watch, 'TPM': self.run_and_watch, 'helper': self.run_helper,
               'ggtpmctl': self.run_client}[who]
        code = run(who, options, args)
        self.daemon.kill()
        if who == 'TPM':
            self.tpm.kill()
            self.tpm.start()
            bus.open_to_daemon(self.tpm)
        handles, known = set(self.tpm.handles(PERSISTENT)), self.known_handles()
        self.daemon.start()
        self.assertLessEqual(handles, known, 'orphaned')
        return code != 0

    def run_and_watch(self, who, options, args):
        """When the traced one goes, all goes."""
        pid = (self.daemon if who == 'daemon' else self.tpm).process.pid
        alone = cuts.ALONE if who == 'daemon' else ()
        null = subprocess.DEVNULL
        with cuts.attached(pid, self.trace, *alone, *options), self.popen(*args, stdin=null, stdout=null,
                                                                          stderr=null) as process:
            ends = [os.pidfd_open(pid), os.pidfd_open(process.pid)]
            if ends[0] in select.select(ends, [], [], cli.TIMEOUT_S)[0]:
                process.kill()
            for end in ends:
                os.close(end)
            return process.wait(cli.TIMEOUT_S)

    def run_helper(self, _, options, args):
        self.use_helper(*cuts.command(self.trace, *options))
        try:
            return self.run_ctl(*args).returncode
        finally:
            self.use_helper()

    def run_client(self, _, options, args):
        null = subprocess.DEVNULL
        return subprocess.run([*cuts.command(self.trace, *options), self.program, *args], stdin=null, stdout=null,
                              stderr=null, env=cuts.environment(self.env), check=False,
                              timeout=cli.TIMEOUT_S).returncode

    def check_cuts(self, who, step, args, prepare, judge):
        """@prepare: makes what there is before. @judge: called after each run, which may have been cut."""
        calls = CLIENT_CALLS if who == 'ggtpmctl' else cuts.FILE_CALLS
        prepare()
        self.assertFalse(self.run_traced(who, cuts.watch(calls), *args))
        counts = cuts.count_calls(self.trace, calls)
        judge()
        cut = 0
        for call, n in cuts.choose(counts, step):
            with self.subTest(who=who, call=call, n=n):
                prepare()
                cut += self.run_traced(who, cuts.inject(call, n), *args)
                judge()
        cuts.report(f'{" ".join(args[:2])}: {who}', cut, counts)
        self.assertGreater(cut, 0)

    # ---- what there is ----

    def state_path(self, *names):
        return os.path.join(self.daemon.state_dir, *names)

    def read_state(self, name):
        with open(self.state_path(name), encoding='utf-8') as file:
            return file.read()

    def journal(self):
        try:
            return json.loads(self.read_state('provision.json'))
        except FileNotFoundError:
            return {}

    def known_handles(self):
        """What the journal and the list of handle keys have."""
        handles = configparser.ConfigParser()
        handles.read(self.state_path('handles.conf'))
        return {self.journal().get('primary-handle')} | {int(name, 16) for name in handles.sections()}

    def tokens(self):
        """The store, PIN files and journal, without what is the chip's; and that there is nothing half."""
        self.assertFalse(os.path.exists(self.state_path('pkcs11.staging')))
        self.assertEqual(os.listdir(self.state_path('pkcs11')), ['tpm2_pkcs11.sqlite3'])
        names = os.listdir(self.daemon.state_dir)
        self.assertEqual([name for name in names if name.startswith('provision') and name != 'provision.json'], [])
        with contextlib.closing(sqlite3.connect(f"file:{self.state_path('pkcs11/tpm2_pkcs11.sqlite3')}?mode=ro",
                                                uri=True)) as database:
            self.assertEqual(database.execute('PRAGMA integrity_check').fetchall(), [('ok',)])
            rows = list(database.iterdump())
        pins = {name: self.read_state(os.path.join('pins', name)) for name in os.listdir(self.state_path('pins'))}
        return rows, pins, self.journal().get('entries', [])

    def assert_signs(self, key):
        self.assertEqual(self.run_ctl('key', 'sign', key, stdin=b'x').returncode, 0)


class Change(Case):
    """Of a token and its keys: whatever was cut, its PINs are those of the store, and its keys sign."""

    def prepare(self):
        for token in self.json('token', 'list')['tokens']:
            self.remove(token['label'])
        self.ok('provision')

    def prepare_certificate(self):
        self.prepare()
        self.write('greenkey.csr', self.ok('key', 'rotate', 'greenkey'))
        self.make_certificate('greenkey')

    def check_change(self, n_keys, args, prepare=lambda: None):
        self.prepare()

        def judge():
            self.tokens()
            self.ok(*args)
            keys = [key['label'] for key in self.json('key', 'list')['keys']]
            self.assertEqual(len(keys), n_keys, keys)
            for key in keys:
                self.assert_signs(key)
        for who, step in (('daemon', 37), ('helper', 11)):
            self.check_cuts(who, step, args, prepare, judge)
        self.remove('greengrass')

    def test_change_pin(self):
        self.check_change(1, ['token', 'change-pin', 'greengrass'])

    def test_reset_so_pin(self):
        self.check_change(1, ['token', 'reset-so-pin', 'greengrass'])

    def test_rotate(self):
        self.check_change(2, ['key', 'rotate', 'greenkey'], self.prepare)

    def test_switch_over(self):
        """The certificate of the successor comes: the old key goes."""
        self.check_change(1, ['key', 'install-cert', 'greenkey', self.at('greenkey.pem')], self.prepare_certificate)


class Restore(Case):
    """A backup of two keys, put in the place of two other tokens, or of none."""

    def setUp(self):
        super().setUp()
        self.backup = self.at('backup')
        self.ok('provision')
        self.ok('key', 'create', 'second')
        self.ok('token', 'backup', '--with-pins', self.backup)
        self.new = self.tokens()

    def tearDown(self):
        self.remove_all()

    def remove_all(self):
        for token in self.json('token', 'list')['tokens']:
            self.remove(token['label'])

    def check_restore(self, who, step, prepare):
        prepare()
        old = self.tokens()
        self.assertNotEqual(old, self.new)
        seen = set()

        def judge():
            self.assertIn(self.tokens(), (old, self.new))
            seen.add(self.tokens() == old)
            self.ok('token', 'restore', '--force', self.backup)
            self.assertEqual(self.tokens(), self.new)
            self.assert_signs('second')
        self.check_cuts(who, step, ['token', 'restore', '--force', self.backup], prepare, judge)
        self.assertEqual(seen, {True, False})

    def test_in_the_place_of_others(self):
        self.ok('key', 'delete', 'second', '--yes')
        self.ok('token', 'change-pin', 'greengrass')
        self.ok('provision', '--token', 'other', '--key', 'k')
        self.daemon.kill()
        kept = self.at('kept')
        subprocess.run(['cp', '-a', self.daemon.state_dir, kept], check=True)

        def put_back():
            self.daemon.kill()
            shutil.rmtree(self.daemon.state_dir)
            subprocess.run(['cp', '-a', kept, self.daemon.state_dir], check=True)
            self.daemon.start()
        self.check_restore('daemon', 37, put_back)

    def test_in_an_empty_store(self):
        """The storage key went with the last token: it is made again."""
        self.check_restore('daemon', 37, self.remove_all)

    def test_in_an_empty_store_power_cut(self):
        self.check_restore('TPM', 61, self.remove_all)

    def test_where_there_is_no_store(self):
        """The helper is asked which schema the library has."""
        def remove_store():
            self.remove_all()
            self.daemon.kill()
            os.unlink(self.state_path('pkcs11/tpm2_pkcs11.sqlite3'))
            self.daemon.start()

        def judge():
            if os.path.exists(self.state_path('pkcs11/tpm2_pkcs11.sqlite3')):
                self.assertEqual(self.tokens(), self.new)
            else:
                self.assertEqual(self.json('token', 'list'), {'tokens': []})
                self.assertEqual(os.listdir(self.state_path('pins')), [])
            self.ok('token', 'restore', '--force', self.backup)
            self.assertEqual(self.tokens(), self.new)
            self.assert_signs('second')
        self.check_cuts('helper', 31, ['token', 'restore', self.backup], remove_store, judge)


class Backup(Case):
    def test_backup(self):
        self.ok('provision')
        before = self.tokens()
        out = os.path.join(self.at('out'), 'backup')
        os.mkdir(self.at('out'))

        def prepare():
            with open(out, 'wb') as file:
                file.write(b'old')

        def judge():
            self.assertEqual(self.tokens(), before)
            with open(out, 'rb') as file:
                content = file.read()
            if content != b'old':
                # whole: its head has the sum of it
                self.ok('token', 'restore', '--force', out)
                self.assertEqual(self.tokens(), before)
            self.ok('token', 'backup', '--with-pins', out)
            self.assertEqual(os.listdir(self.at('out')), ['backup'])
            self.assertEqual(self.tokens(), before)
        for who, step in (('daemon', 29), ('ggtpmctl', 19)):
            self.check_cuts(who, step, ['token', 'backup', '--with-pins', out], prepare, judge)
        self.remove('greengrass')


class Handle(Case):
    def handles(self):
        return self.json('handle', 'list')['handles']

    def on_chip(self):
        """While the daemon is off."""
        self.daemon.kill()
        handles = [f'0x{handle:08x}' for handle in self.tpm.handles(PERSISTENT)]
        self.daemon.start()
        return handles

    def remove_all(self):
        for handle in self.handles():
            self.ok('handle', 'remove', handle, '--yes')

    def check_create(self, who, step):
        def judge():
            # an announced one that was not made is taken by the next
            self.ok('handle', 'create')
            self.assertEqual(self.on_chip(), self.handles())
            self.remove_all()
            self.assertEqual((self.on_chip(), self.handles()), ([], []))
        self.check_cuts(who, step, ['handle', 'create'], self.remove_all, judge)

    def check_remove(self, who, step):
        handle = '0x81008001'

        def judge():
            if self.handles():
                self.ok('handle', 'remove', handle, '--yes')
            self.assertEqual((self.on_chip(), self.handles()), ([], []))
        self.check_cuts(who, step, ['handle', 'remove', handle, '--yes'], lambda: self.ok('handle', 'create'), judge)

    def test_create(self):
        self.check_create('daemon', 11)

    def test_create_power_cut(self):
        self.check_create('TPM', 17)

    def test_remove(self):
        self.check_remove('daemon', 11)

    def test_remove_power_cut(self):
        self.check_remove('TPM', 11)


class Ownership(Case):
    """The auths of a hierarchy are never lost: what is set in the chip can be emptied again."""

    def auths_set(self):
        """ownerAuthSet and lockoutAuthSet of TPM_PT_PERMANENT, while the daemon is off."""
        self.daemon.kill()
        code, body = self.tpm.command(CC_GET_CAPABILITY, struct.pack('>III', CAP_TPM_PROPERTIES, PT_PERMANENT, 1))
        self.daemon.start()
        self.assertEqual(code, 0)
        return struct.unpack('>I', body[-4:])[0] & 0b101

    def release(self):
        result = self.run_ctl('--json', 'tpm', 'release-ownership')
        self.assertIn(result.returncode, (0, NOT_FOUND), result.stdout)
        self.assertEqual(self.auths_set(), 0)

    def judge(self):
        self.ok('tpm', 'take-ownership')
        self.assertEqual(self.auths_set(), 0b101)
        self.release()

    def test_take(self):
        for who, step in (('daemon', 17), ('TPM', 29)):
            self.check_cuts(who, step, ['tpm', 'take-ownership'], self.release, self.judge)

    def test_release(self):
        for who, step in (('daemon', 17), ('TPM', 29)):
            self.check_cuts(who, step, ['tpm', 'release-ownership'], lambda: self.ok('tpm', 'take-ownership'),
                            self.judge)


class Provision(Case):
    """A provision.conf that says all there is to say, with a PIN of a credential."""

    @classmethod
    def start_daemon(cls):
        credentials = os.path.join(cls.dir, 'credentials')
        os.mkdir(credentials)
        with open(os.path.join(credentials, 'ggtpm.user-pin'), 'w', encoding='ascii') as file:
            file.write('from-systemd')
        cls.tpm = cls.enter(cli.swtpm.Swtpm())
        cls.daemon = cls.enter(bus.Daemon(cls.bus, cls.tpm, environment={'CREDENTIALS_DIRECTORY': credentials}))

    def clear(self):
        if self.json('token', 'list')['tokens'] or self.json('status')['provisioning']['state'] != 'none':
            self.remove('wide')
        for name in os.listdir(self.place):
            path = self.at(name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif name != 'provision.conf':
                os.unlink(path)

    def assert_complete(self):
        """The whole result, and nothing else."""
        files = []
        for directory, _, names in os.walk(self.place):
            files += [os.path.relpath(os.path.join(directory, name), self.place) for name in names]
        self.assertEqual(sorted(set(files) - {'provision.conf', 'device.pem', 'ca.key', 'ca.pem', 'ca.srl'}),
                         ['device.csr', 'lite/.config.yaml.ggtpmd', 'lite/config.yaml', 'v1/.config.json.ggtpmd',
                          'v1/config.json', 'v2/.config.yaml.ggtpmd', 'v2/config.yaml'])
        again = self.json('provision', '--config', self.at('provision.conf'))
        self.assertFalse(again['changed'])
        self.assertEqual(self.read('device.csr'), again['csr'])
        self.assertEqual(self.read_state('pins/wide.user'), 'from-systemd')
        # the certificates are still to come
        checked = self.run_ctl('config', 'check').stdout.decode()
        self.assertLessEqual(set(re.findall(r'^fault +(\w+)', checked, re.M)), {'certificate', 'file'}, checked)
        self.assertEqual(len(re.findall(r'^ok +current', checked, re.M)), 3, checked)

    def check_provision(self, who, step, prepare=None):
        config = self.wide()

        def judge():
            # where only ggtpmctl was killed the job goes on by itself: this one waits for it
            self.ok('provision', '--config', config)
            self.assert_complete()
            self.assertEqual(self.key('wide', 'device')['has_certificate'], os.path.exists(self.at('device.pem')))
        self.check_cuts(who, step, ['provision', '--config', config], prepare or self.clear, judge)
        self.clear()

    def prepare_certificate(self):
        self.clear()
        self.ok('provision', '--config', self.at('provision.conf'))
        self.make_certificate()

    def test_certificate(self):
        """It comes later: the second run puts it into the token."""
        for who, step in (('daemon', 61), ('helper', 7)):
            self.check_provision(who, step, self.prepare_certificate)

    def test_client(self):
        self.check_provision('ggtpmctl', 61)

    def test_daemon(self):
        self.check_provision('daemon', 43)

    def test_helper(self):
        self.check_provision('helper', 7)

    def test_tpm(self):
        self.check_provision('TPM', 331)


if __name__ == '__main__':
    bus.main()
