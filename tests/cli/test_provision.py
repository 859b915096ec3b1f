#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""`ggtpmctl provision` with a provision.conf that says all: several keys, requests, certificates, configurations,
readers and credentials of PINs; what is checked before it begins."""

import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

import cli
from cli import bus

# TPM2_CC_*: whatever makes, loads, changes or uses something
CHANGING = (0x120, 0x121, 0x126, 0x12A, 0x131, 0x137, 0x139, 0x152, 0x153, 0x157, 0x15D, 0x15E, 0x176, 0x191)


class Case(cli.Case):
    config = ''

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()

    def setUp(self):
        self.place = tempfile.mkdtemp(prefix='place-', dir=self.dir)

    def at(self, name):
        return os.path.join(self.place, name)

    def read(self, name):
        with open(self.at(name), encoding='utf-8') as file:
            return file.read()

    def write(self, name, text):
        with open(self.at(name), 'w', encoding='utf-8') as file:
            file.write(text)
        return self.at(name)

    def wide(self, token='wide', extra=''):
        """A provision.conf that says all there is to say."""
        return self.write('provision.conf', f"""
[Token]
Label={token}
{extra}
[Key device]
Subject=CN=core-1,O=Example
AltNames=DNS:core-1.example.org IP:192.0.2.1
KeyUsage=digitalSignature
ExtKeyUsage=clientAuth 1.3.6.1.4.1.1
Request={self.at('device.csr')}
Certificate={self.at('device.pem')}
[Key own]
Certificate=self-signed
SelfSignedDays=30
[Greengrass]
Write=v1 v2 lite
Key=device
ThingName=core-1
Region=eu-central-1
DataEndpoint=data.example.org
CredentialsEndpoint=credentials.example.org
RoleAlias=Alias
V1Path={self.at('v1/config.json')}
V2Path={self.at('v2/config.yaml')}
LitePath={self.at('lite/config.yaml')}
MakeDirectories=yes
""")

    def make_certificate(self, name='device', days='30'):
        """Of the request that provisioning has put in its place, by an authority of the test's."""
        run = lambda *args: subprocess.run(['openssl', *args], check=True, cwd=self.place, stderr=subprocess.DEVNULL)
        run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key',
            '-out', 'ca.pem', '-subj', '/CN=CA')
        run('x509', '-req', '-in', name + '.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', days,
            '-out', 'new.pem')
        os.rename(self.at('new.pem'), self.at(name + '.pem'))

    def snapshot(self):
        found = {}
        for top in (self.daemon.state_dir, self.place):
            for directory, _, names in os.walk(top):
                for name in names:
                    path = os.path.join(directory, name)
                    status = os.lstat(path)
                    with open(path, 'rb') as file:
                        found[path] = (file.read(), status.st_mode, status.st_ino, status.st_mtime_ns)
        return found

    def key(self, token, label):
        return next(key for key in self.json('key', 'list')['keys'] if (key['token'], key['label']) == (token, label))

    def remove(self, token):
        self.ok('token', 'remove', token, '--yes')


class Whole(Case):
    def test_all_of_it(self):
        config = self.wide()
        planned = self.json('provision', '--plan', '--config', config)
        self.assertEqual(len(planned['missing']), 11, planned)
        self.assertEqual([text for text in planned['missing'] if text != text.strip()], [])
        self.assertEqual(planned['waiting'], [self.at('device.pem')])
        self.assertEqual([name for name in os.listdir(self.place) if name != 'provision.conf'], [])

        result = self.run_ctl('provision', '--config', config)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('looking at the Greengrass configuration v2\n', result.stderr)
        self.assertIn(f"CSR    {self.at('device.csr')}\n", result.stdout.decode())
        self.assertIn('Waited for:\n', result.stdout.decode())

        text = subprocess.run(['openssl', 'req', '-in', self.at('device.csr'), '-noout', '-text', '-verify'],
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        for part in ('verify OK', 'CN = core-1, O = Example', 'DNS:core-1.example.org, IP Address:192.0.2.1',
                     'Digital Signature', 'TLS Web Client Authentication, 1.3.6.1.4.1.1'):
            self.assertIn(part, text)
        self.assertTrue(self.key('wide', 'own')['has_certificate'])
        self.assertFalse(self.key('wide', 'device')['has_certificate'])
        for name in ('v1/config.json', 'v2/config.yaml', 'lite/config.yaml'):
            self.assertIn('core-1', self.read(name))
            self.assertIn('device', self.read(name))
            self.assertEqual(stat.S_IMODE(os.stat(self.at(name)).st_mode), 0o640)
        self.assertIn('Alias', self.read('v2/config.yaml'))

        self.check_nothing_missing(config)
        self.check_certificate(config)
        self.check_changes(config)
        self.remove('wide')

    def check_nothing_missing(self, config):
        before = self.snapshot()
        counts = [self.tpm.count(code) for code in CHANGING]
        self.assertEqual(self.json('provision', '--plan', '--config', config)['missing'], [])
        again = self.json('provision', '--config', config)
        self.assertFalse(again['changed'])
        self.assertEqual([file['changed'] for file in again['files']], [False] * 4)
        self.assertEqual(again['waiting'], [self.at('device.pem')])
        self.assertIn('Nothing was missing.\n', self.ok('provision', '--config', config))
        self.assertEqual([self.tpm.count(code) for code in CHANGING], counts)
        self.assertEqual(self.snapshot(), before)

    def check_certificate(self, config):
        self.make_certificate()
        self.assertEqual(self.json('provision', '--plan', '--config', config),
                         {'missing': [f"the certificate of {self.at('device.pem')} in the token"], 'waiting': [],
                          'problems': [], 'warnings': []})
        result = self.json('provision', '--config', config)
        self.assertTrue(result['changed'])
        self.assertIn({'what': 'certificate', 'path': self.at('device.pem'), 'changed': True}, result['files'])
        self.assertTrue(self.key('wide', 'device')['has_certificate'])
        self.assertFalse(self.json('provision', '--config', config)['changed'])

    def check_changes(self, config):
        """What the file says now is made; what is there stays."""
        before = self.key('wide', 'device')['public_key']
        with open(config, encoding='utf-8') as file:
            text = file.read()
        self.write('provision.conf', text.replace('CN=core-1,O', 'CN=core-2,O') + '[Key third]\nAlgorithm=rsa-2048\n')
        result = self.json('provision', '--config', config)
        self.assertEqual([key['label'] for key in result['keys']], ['device', 'own', 'third'])
        self.assertEqual(self.key('wide', 'device')['public_key'], before)
        subject = subprocess.run(['openssl', 'req', '-in', self.at('device.csr'), '-noout', '-subject'], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
        self.assertIn('core-2', subject)
        self.assertFalse(self.json('provision', '--config', config)['changed'])
        self.write('provision.conf', text.replace('[Key own]', '[Key own]\nAlgorithm=rsa-2048'))
        self.assertIn("'own'", self.fails(1, 'Exists', 'provision', '--config', config))

    def fails_with_problem(self, config, text, *args, name='device.pem'):
        """What is printed as JSON, with the file of that name among the problems; the same in text."""
        result = self.run_ctl('--json', 'provision', '--config', config, *args)
        self.assertEqual((result.returncode, result.stderr), (1, ''), result.stdout)
        value = json.loads(result.stdout)
        self.assertEqual(len(value['problems']), 1, value)
        self.assertRegex(value['problems'][0], f"^'{self.at(name)}' .*{text}")
        self.assertEqual('is not installed: ' in value['problems'][0], name.endswith('.pem'))
        result = self.run_ctl('provision', '--config', config, *args)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, f"(?m)^ggtpmctl: error: '{self.at(name)}' .*{text}")
        self.assertNotIn('Nothing', result.stdout.decode())
        return value

    def test_bad_certificates(self):
        """One that cannot be installed keeps nothing else from being made; the plan says why, too."""
        config = self.wide('certs')
        missing = self.json('provision', '--config', config, '--plan')['missing']
        self.write('device.pem', 'nonsense')
        planned = self.fails_with_problem(config, 'no certificate in PEM', '--plan')
        self.assertEqual((planned['missing'], planned['waiting']), (missing, []))
        self.assertFalse(os.path.exists(self.at('device.csr')))
        # one that was there before its key was made
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                        '-keyout', self.at('k'), '-out', self.at('device.pem'), '-subj', '/CN=x'], check=True,
                       stderr=subprocess.DEVNULL)
        self.assertEqual(self.fails_with_problem(config, 'another key', '--plan')['missing'], missing)
        self.assertTrue(self.fails_with_problem(config, "another key than 'device'")['keys'])
        for name in ('device.csr', 'v1/config.json', 'v2/config.yaml', 'lite/config.yaml'):
            self.assertTrue(os.path.exists(self.at(name)), name)
        self.assertFalse(self.key('certs', 'device')['has_certificate'])
        self.assertEqual(self.fails_with_problem(config, "another key than 'device'", '--plan')['missing'], [])

        self.make_certificate(days='-1')
        expired = self.read('device.pem')
        self.make_certificate()
        good = self.read('device.pem')
        os.unlink(self.at('device.pem'))
        cases = [('has expired at .*--force', lambda: self.write('device.pem', expired)),
                 ('longer than', lambda: self.write('device.pem', '#' * 100000)),
                 ('leave out the chain', lambda: self.write('device.pem', good + good)),
                 ('Is a directory', lambda: os.mkdir(self.at('device.pem'))),
                 ('not a regular file', lambda: os.mkfifo(self.at('device.pem'))),
                 ('Too many levels', lambda: os.symlink('device.pem', self.at('device.pem')))]
        for text, make in cases:
            with self.subTest(text):
                make()
                self.write('v2/config.yaml', self.read('v2/config.yaml').replace('"core-1"', 'mine'))
                self.assertEqual(len(self.fails_with_problem(config, text, '--plan')['missing']), 1)
                self.fails_with_problem(config, text)
                self.assertIn('"core-1"', self.read('v2/config.yaml'))
                (os.rmdir if os.path.isdir(self.at('device.pem')) else os.unlink)(self.at('device.pem'))
        self.assertFalse(self.key('certs', 'device')['has_certificate'])
        self.write('device.pem', expired)
        self.assertIn('--force', self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'device', self.at('device.pem'),
                                            '--token', 'certs'))
        self.write('device.pem', good)
        self.assertTrue(self.json('provision', '--config', config)['changed'])
        self.assertEqual(self.json('provision', '--config', config, '--plan')['problems'], [])
        # the successor's, which takes its key's place, is none of another key
        self.ok('key', 'rotate', 'device', '--token', 'certs', '--out', self.at('device.csr'))
        self.make_certificate()
        self.assertEqual(len(self.json('provision', '--config', config, '--plan')['missing']), 2)
        self.remove('certs')

    def test_edited_configurations(self):
        """Values that the file states go before what people wrote; the plan names them, and no PIN."""
        config = self.wide('edited')
        self.ok('provision', '--config', config)
        with open(self.daemon.state_dir + '/pins/edited.user', encoding='ascii') as file:
            pin = file.read()
        edits = {'v1/config.json': ('"data.example.org"', '"mine.example.org",\n\t"mine": "\\u00e9"'),
                 'v2/config.yaml': ('"core-1"', "'mine' # of us"), 'lite/config.yaml': ('"Alias"', 'mine')}
        for name, (old, new) in edits.items():
            self.write(name, self.read(name).replace(old, new).replace(pin, 'x'))
        edited = {name: self.read(name) for name in edits}
        planned = self.ok('provision', '--config', config, '--plan')
        self.assertNotIn(pin, planned)
        for name, values in (('v1/config.json', "coreThing/iotHost: 'mine.example.org' becomes 'data.example.org'"),
                             ('v2/config.yaml', "system/thingName: 'mine' becomes 'core-1'"),
                             ('lite/config.yaml', "iotRoleAlias: 'mine' becomes 'Alias'")):
            self.assertRegex(planned, f'{self.at(name)} .*{values}')
        self.assertRegex(planned, 'v1/config.json .*slotUserPin,')
        self.assertEqual({name: self.read(name) for name in edits}, edited)
        self.assertTrue(self.json('provision', '--config', config)['changed'])
        for name, (old, new) in edits.items():
            expected = edited[name].replace(new, new.replace('"mine.example.org"', old) if 'json' in name else
                                            old + new[len("'mine'"):] if 'v2' in name else old)
            self.assertEqual(self.read(name), re.sub('(slotUserPin|userPin)(": ?|: )"x"', rf'\1\2"{pin}"', expected))
        self.check_nothing_missing(config)

        # another value, of files that were edited and of one that was not
        os.unlink(self.at('lite/config.yaml'))
        self.ok('provision', '--config', config)
        text = self.read('provision.conf')
        self.write('provision.conf', text.replace('data.example.org', 'other.example.org'))
        planned = self.json('provision', '--config', config, '--plan')['missing']
        self.assertEqual([line.rsplit(' (')[1] for line in planned],
                         [f"{where}: 'data.example.org' becomes 'other.example.org')" for where in (
                             'coreThing/iotHost', 'services/aws.greengrass.Nucleus/configuration/iotDataEndpoint',
                             'services/aws.greengrass.NucleusLite/configuration/iotDataEndpoint')])
        self.ok('provision', '--config', config)
        for name in edits:
            self.assertIn('other.example.org', self.read(name))
        self.assertIn('mine', self.read('v1/config.json'))
        # one that is not there any more
        self.write('v2/config.yaml', self.read('v2/config.yaml').replace('thingName', 'thing'))
        os.unlink(self.at('device.csr'))
        os.unlink(self.at('lite/config.yaml'))
        text = 'system/thingName is not in it'
        fails = lambda *args: self.fails_with_problem(config, text, *args, name='v2/config.yaml')
        self.assertEqual(len(fails('--plan')['missing']), 2)
        fails()
        self.check_made('device.csr', 'lite/config.yaml')
        self.remove('edited')

    def test_one_file_that_cannot_be_made(self):
        """Keeps nothing else from being made, once there are token and keys."""
        config = self.wide('blocked')
        self.ok('provision', '--config', config)
        cases = [('device.csr', 'not a regular file', os.mkfifo), ('device.csr', 'Is a directory', os.mkdir),
                 ('v1/config.json', 'not a regular file', os.mkfifo),
                 ('v1/config.json', 'was not written by ggtpmctl', lambda path: self.write(path, '{}'))]
        for name, text, make in cases:
            with self.subTest(name=name, text=text):
                os.unlink(self.at(name))
                os.unlink(self.at('v2/config.yaml'))
                if name.endswith('json'):
                    os.unlink(self.at('v1/.config.json.ggtpmd'))
                make(self.at(name))
                self.assertEqual(len(self.fails_with_problem(config, text, '--plan', name=name)['missing']), 1)
                self.assertTrue(self.fails_with_problem(config, text, name=name)['changed'])
                self.check_made('v2/config.yaml')
                if make is os.mkfifo and name.endswith('json'):
                    self.assertIn(b'it is not a regular file', self.run_ctl('config', 'check').stdout)
                (os.rmdir if os.path.isdir(self.at(name)) else os.unlink)(self.at(name))
                self.ok('provision', '--config', config)
        self.check_nothing_missing(config)
        self.remove('blocked')

    def check_made(self, *names):
        for name in names:
            self.assertTrue(os.path.isfile(self.at(name)), name)

    def test_extensions_without_a_file(self):
        result = self.json('provision', '--token', 'ext', '--alt-names', 'DNS:a.example', '--ext-key-usage',
                           'clientAuth')
        text = subprocess.run(['openssl', 'req', '-noout', '-text'], check=True, input=result['csr'],
                              stdout=subprocess.PIPE, text=True).stdout
        self.assertIn('DNS:a.example', text)
        self.assertIn('TLS Web Client Authentication', text)
        # they are among the options that have to be the same
        self.fails(1, 'Exists', 'provision', '--token', 'ext')
        self.remove('ext')

    def test_storage_key_evicted(self):
        """Told by the plan, and made again by the run."""
        config = self.write('provision.conf', '[Token]\nLabel=evicted\n')
        self.ok('provision', '--config', config)
        evictions = self.tpm.count(0x120)
        self.daemon.kill()
        environment = os.environ | {'TPM2TOOLS_TCTI': self.tpm.tcti, 'TSS2_LOG': 'all+none'}
        subprocess.run(['tpm2_evictcontrol', '-Q', '-C', 'o', '-c', '0x81000001'], env=environment, check=True)
        self.daemon.start()
        self.assertRegex(self.ok('provision', '--plan', '--config', config), 'the storage root key, which was evicted')
        self.assertEqual(self.tpm.count(0x120), evictions + 1)
        self.assertTrue(self.json('provision', '--config', config)['changed'])
        self.assertEqual(self.tpm.count(0x120), evictions + 2)
        self.assertFalse(self.json('provision', '--config', config)['changed'])
        self.remove('evicted')


class Refused(Case):
    """Nothing is changed when something could not be done."""

    def assert_untouched(self):
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})
        self.assertEqual(self.tpm.count(0x131), 0)

    def test_missing_directories(self):
        missing = self.at('none/request.csr')
        self.assertIn(os.path.dirname(missing), self.fails(1, 'Failed', 'provision', '--csr-out', missing))
        self.assertIn(self.place, self.fails(1, 'Failed', 'provision', '--csr-out', self.place))
        config = self.write('provision.conf', f'[Key k]\nRequest={missing}\n')
        for arguments in ([], ['--plan']):
            self.assertIn(missing, self.fails(1, 'Failed', 'provision', '--config', config, *arguments))
        config = self.write('provision.conf', f'[Greengrass]\nWrite=lite\nLitePath={missing}\n')
        for arguments in ([], ['--plan']):
            self.assertIn(missing, self.fails(1, 'Failed', 'provision', '--config', config, *arguments))
        config = self.write('provision.conf', f"[Greengrass]\nWrite=v2\nV2Path={self.at('v2.yaml')}\nGroup=no-such\n")
        for arguments in ([], ['--plan']):
            self.assertIn('no-such', self.fails(2, 'InvalidArgs', 'provision', '--config', config, *arguments))
        self.assert_untouched()

    def test_unwritable(self):
        os.chmod(self.place, 0o755)
        path = self.at('a.csr')
        self.assertIn('Permission denied', self.fails(1, 'Failed', 'provision', '--csr-out', path, uid=bus.GUEST))
        self.assertIn('Not a directory', self.fails(1, 'Failed', 'provision', '--csr-out', '/dev/null/a.csr'))
        self.assert_untouched()

    def test_files_of_others(self):
        path = self.write('config.yaml', 'mine: yes\n')
        config = self.write('provision.conf', f'[Greengrass]\nWrite=v2\nV2Path={path}\n')
        for arguments in ([], ['--plan']):
            self.assertIn(path, self.fails(1, 'Exists', 'provision', '--config', config, *arguments))
        self.assertEqual(self.read('config.yaml'), 'mine: yes\n')
        self.assert_untouched()

    def test_bad_files(self):
        for text, *parts in (('[Greengrass]\nWrite=v2 v1 v2\n', "Write: 'v2' is there twice"),
                             ('[Key k]\nSize=3\n', 'Size', 'Algorithm'), ('[Tokens]\n', '[Tokens]', '[Token]'),
                             ('[Key k]\nAltNames=x\n', '[Key k]', "'x'"),
                             ('[Greengrass]\nWrite=v9\n', 'v9', 'lite'),
                             ('[Key k]\n[Token]\n[Key k]\n', 'line 3', 'line 1', '[Key k]')):
            config = self.write('provision.conf', text)
            message = self.fails(2, 'InvalidArgs', 'provision', '--config', config)
            self.assertTrue(message.startswith(f'{config}: '), message)
            for part in parts:
                self.assertIn(part, message)
        config = self.write('provision.conf', '[Key k]\nAlgorithm=rsa-4096\n')
        message = self.fails(1, 'NotSupported', 'provision', '--config', config)
        self.assertRegex(message, f'^{config}: .Key k. .*rsa-4096.*ecc-p256')
        config = self.write('provision.conf', '[Token]\nPinReaders=user:nobody-of-that-name\n')
        self.assertIn('nobody-of-that-name', self.fails(2, 'InvalidArgs', 'provision', '--config', config))
        self.assert_untouched()


class Pins(Case):
    @classmethod
    def setUpClass(cls):
        cli.Case.setUpClass.__func__(cls)
        cls.credentials = tempfile.mkdtemp(prefix='ggt-', dir='/tmp')
        cls.addClassCleanup(shutil.rmtree, cls.credentials)
        os.chmod(cls.credentials, 0o755)
        cls.tpm = cls.enter(cli.swtpm.Swtpm())
        cls.daemon = cls.enter(bus.Daemon(cls.bus, cls.tpm, environment={'CREDENTIALS_DIRECTORY': cls.credentials}))

    def put(self, name, text):
        path = os.path.join(self.credentials, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, 0o644)

    def pin(self, token, kind):
        return os.path.join(self.daemon.state_dir, 'pins', f'{token}.{kind}')

    def pin_text(self, token, kind):
        with open(self.pin(token, kind), encoding='utf-8') as file:
            return file.read()

    def test_credentials(self):
        self.put('ggtpm.user-pin', 'from-systemd\n')
        self.put('other', 'so-from-systemd')
        config = self.write('provision.conf', '[Token]\nLabel=cred\nSoPinCredential=other\n')
        self.ok('provision', '--config', config)
        self.assertEqual(self.pin_text('cred', 'user'), 'from-systemd')
        self.assertEqual(self.pin_text('cred', 'so'), 'so-from-systemd')
        self.assertEqual(len(self.json('key', 'list')['keys']), 1)
        # later changes of the credential are nobody's concern
        self.put('ggtpm.user-pin', 'another')
        self.assertFalse(self.json('provision', '--config', config)['changed'])
        self.assertNotIn('from-systemd', self.daemon.read_log())
        # one that is no PIN
        self.remove('cred')
        for text in ('', 'a\tb', 'x' * 200):
            self.put('ggtpm.user-pin', text)
            self.assertIn('ggtpm.user-pin', self.fails(2, 'InvalidArgs', 'provision', '--config', config))
            self.fails(2, 'InvalidArgs', 'provision', '--config', config, '--plan')
        os.unlink(os.path.join(self.credentials, 'ggtpm.user-pin'))
        # one that is named has to be there
        os.unlink(os.path.join(self.credentials, 'other'))
        for args in ((), ('--plan',)):
            self.assertIn('no credential other', self.fails(2, 'InvalidArgs', 'provision', '--config', config, *args))
        self.assertFalse(os.path.exists(self.pin('cred', 'so')))
        self.put('other', 'so-from-systemd')
        self.ok('provision', '--config', config)
        self.assertRegex(self.pin_text('cred', 'user'), '^[a-z2-7]{30}$')
        self.remove('cred')

    def test_wrong_stored(self):
        """It is tried once, by provision as by whoever uses a key."""
        self.ok('provision', '--token', 'wrong')
        right = self.pin_text('wrong', 'user')
        config = self.write('provision.conf', '[Token]\nLabel=wrong\n[Key greenkey]\n[Key second]\n')
        with open(self.pin('wrong', 'user'), 'w', encoding='utf-8') as file:
            file.write('another')
        self.assertNotIn('not tried again', self.fails(4, 'AuthFailed', 'provision', '--config', config, once=True))
        for args in (('provision', '--config', config), ('key', 'csr', 'greenkey', '--token', 'wrong')):
            self.assertIn('not tried again', self.fails(4, 'AuthFailed', *args))
        with open(self.pin('wrong', 'user'), 'w', encoding='utf-8') as file:
            file.write(right)
        self.assertTrue(self.json('provision', '--config', config)['changed'])
        self.remove('wrong')

    def test_no_pin_anywhere(self):
        """Of a credential or a generated one, in no process' arguments or environment while it runs."""
        pin = 'a-secret-of-systemd'
        self.put('ggtpm.user-pin', pin)
        null = subprocess.DEVNULL
        with self.popen('provision', '--token', 'hidden', stdout=null, stderr=null) as process:
            seen = 0
            while process.poll() is None:
                for name in os.listdir('/proc'):
                    for entry in ('cmdline', 'environ') if name.isdigit() else ():
                        try:
                            with open(f'/proc/{name}/{entry}', 'rb') as file:
                                self.assertNotIn(pin.encode(), file.read())
                                seen += 1
                        except OSError:
                            pass
        os.unlink(os.path.join(self.credentials, 'ggtpm.user-pin'))
        self.assertEqual((process.returncode, self.pin_text('hidden', 'user')), (0, pin))
        self.assertGreater(seen, 0)
        self.assertNotIn(pin, self.daemon.read_log())
        self.remove('hidden')

    def test_too_long_for_lite(self):
        for length, warned in ((31, False), (32, True)):
            self.put('ggtpm.user-pin', 'x' * length)
            config = self.write('provision.conf', f'[Token]\nLabel=lite{length}\n'
                                f"[Greengrass]\nWrite=lite\nLitePath={self.at('lite.yaml')}\n")
            self.assertEqual(len(self.json('provision', '--plan', '--config', config)['warnings']), warned)
            result = self.run_ctl('provision', '--config', config)
            self.assertEqual((result.returncode, 'warning: the user PIN' in result.stderr), (0, warned), result.stderr)
            self.assertEqual(len(self.json('provision', '--config', config)['warnings']), warned)
            self.remove(f'lite{length}')
        os.unlink(os.path.join(self.credentials, 'ggtpm.user-pin'))

    def reads(self, path, uid, groups):
        def become():
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        return subprocess.run(['cat', path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                              preexec_fn=become).returncode == 0

    def test_readers(self):
        name, member = pwd.getpwnam('daemon'), pwd.getpwnam('nobody').pw_uid
        config = self.write('provision.conf', '[Token]\nLabel=read\nPinReaders=user:daemon group:games\n')
        self.ok('provision', '--config', config)
        games = next(int(line.split(':')[2]) for line in open('/etc/group', encoding='ascii')
                     if line.startswith('games:'))
        path = self.pin('read', 'user')

        def check(expected):
            self.assertEqual((self.reads(path, name.pw_uid, []), self.reads(path, member, [games]),
                              self.reads(path, member, [bus.GGTPM_GID]), self.reads(path, member, [])), expected)
        check((True, True, False, False))
        self.assertFalse(self.json('provision', '--config', config)['changed'])
        # it outlives a change of the PIN
        self.ok('token', 'change-pin', 'read')
        check((True, True, False, False))
        self.assertFalse(self.json('provision', '--config', config)['changed'])
        # other readers are what is missing
        self.write('provision.conf', '[Token]\nLabel=read\nPinReaders=group:ggtpm\n')
        self.assertEqual(self.json('provision', '--plan', '--config', config)['missing'],
                         ["who may read the PIN of 'read'"])
        self.assertTrue(self.json('provision', '--config', config)['changed'])
        check((False, False, True, False))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        self.assertFalse(self.reads(self.pin('read', 'so'), member, [bus.GGTPM_GID]))
        self.remove('read')


if __name__ == '__main__':
    unittest.main(verbosity=2)
