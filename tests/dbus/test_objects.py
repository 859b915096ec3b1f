#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What the methods do, through the bus: provisioning, keys, certificates, configurations, jobs, PINs; bad input."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

PREFIX = 'org.ggtpm1.Error.'
PROVISIONING = 'org.ggtpm1.Provisioning'
TOKEN = 'org.ggtpm1.Token'
KEY = 'org.ggtpm1.Key'
JOB = 'org.ggtpm1.Job'
F_ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

USER_PIN = b'correct horse'
SO_PIN = b'battery staple'


def v(signature, value):
    return bus.GLib.Variant(signature, value)


def h(index):
    return bus.GLib.Variant.new_handle(index)


def openssl(*args, data=None):
    return subprocess.run(['openssl', *args], input=data, capture_output=True, check=True).stdout


class Case(unittest.TestCase):
    """Each class has its own bus, chip and daemon; polkit lets everybody."""

    @classmethod
    def setUpClass(cls):
        bus.enter()
        if not swtpm.available():
            raise unittest.SkipTest('not installed: swtpm')
        cls.bus = cls.enter_context(bus.Bus())
        cls.polkit = cls.enter_context(bus.FakePolkit(cls.bus))
        cls.tpm = cls.enter_context(swtpm.Swtpm())
        cls.daemon = cls.enter_context(bus.Daemon(cls.bus, cls.tpm))
        cls.caller = cls.bus.connect(bus.ALICE)

    @classmethod
    def enter_context(cls, context):
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    @classmethod
    def begin_provisioning(cls, options=None, fds=(), caller=None):
        return (caller or cls.caller).call(bus.ROOT, PROVISIONING, 'Provision', '(a{sv})', options or {}, fds=fds)

    @classmethod
    def provision(cls, options=None, fds=()):
        properties = cls.caller.wait_job(cls.begin_provisioning(options, fds))
        if properties['State'] != 'done':
            raise bus.Error(*properties['Error'])
        return properties['Result']

    def assert_error(self, nick, *words):
        return _Raises(self, PREFIX + nick, words)

    def fd(self, fd):
        self.addCleanup(os.close, fd)
        return fd


class _Raises:
    def __init__(self, case, name, words):
        self.case, self.name, self.words = case, name, words

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        self.case.assertIsNotNone(error, f'{self.name} expected')
        if not isinstance(error, bus.Error):
            return False
        self.case.assertEqual(error.name, self.name, error)
        for word in self.words:
            self.case.assertIn(word, error.text)
        return True


class Provisioned(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.result = cls.provision()
        cls.token = cls.result['token']
        cls.key = cls.result['key']

    def ca_issue(self, csr, days=30):
        """A certificate from that CSR, by a throw-away CA."""
        directory = tempfile.mkdtemp(prefix='ggc-', dir='/tmp')
        self.addCleanup(shutil.rmtree, directory)
        ca_key, ca_cert = directory + '/ca.key', directory + '/ca.pem'
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=CA',
                '-keyout', ca_key, '-out', ca_cert)
        return openssl('x509', '-req', '-CA', ca_cert, '-CAkey', ca_key, '-CAcreateserial', '-days', str(days),
                       data=csr.encode()).decode()

    def test_objects_after_provisioning(self):
        objects = self.caller.objects()
        self.assertEqual(self.token, '/org/ggtpm1/token/greengrass')
        token = objects[self.token][TOKEN]
        self.assertEqual(token['Label'], 'greengrass')
        self.assertTrue(token['PinStored'])
        self.assertIn(self.key, token['Keys'])
        self.assertIn('token=greengrass', token['Uri'])
        key = objects[self.key][KEY]
        self.assertEqual(key['Token'], self.token)
        self.assertEqual(key['Label'], 'greenkey')
        self.assertEqual(key['Algorithm'], 'ecc-p256')
        self.assertEqual(self.key, self.token + '/key/' + bytes(key['Id']).hex())
        self.assertEqual(key['Uri'], self.result['uri'])
        text = openssl('pkey', '-pubin', '-inform', 'DER', '-noout', '-text', data=bytes(key['PublicKey']))
        self.assertIn(b'NIST CURVE: P-256', text)
        self.assertEqual(self.caller.get(bus.ROOT, PROVISIONING, 'State'), 'ready')

    def test_again_changes_nothing(self):
        before = self.caller.get_all(self.token, TOKEN)
        again = self.provision()
        self.assertFalse(again['changed'])
        self.assertEqual(again['key'], self.key)
        self.assertEqual(self.caller.get_all(self.token, TOKEN), before)

    def test_exists(self):
        before = self.caller.get_all(self.token, TOKEN)
        with self.assert_error('Exists', 'greengrass'):
            self.provision({'token': v('s', 'greengrass'), 'key': v('s', 'another')})
        self.assertEqual(self.caller.get_all(self.token, TOKEN), before)

    def test_csr(self):
        csr = self.caller.call(self.key, KEY, 'CreateCsr', '(a{sv})', {'subject': v('s', '/O=Acme/CN=device 1')})
        text = openssl('req', '-verify', '-noout', '-subject', data=csr.encode()).decode()
        self.assertIn('O = Acme, CN = device 1', text)
        with self.assert_error('InvalidArgs', 'XYZ'):
            self.caller.call(self.key, KEY, 'CreateCsr', '(a{sv})', {'subject': v('s', '/XYZ=1')})

    def verify(self, key, data, signature, hash_name='sha256', *options):
        directory = tempfile.mkdtemp(prefix='ggc-', dir='/tmp')
        self.addCleanup(shutil.rmtree, directory)
        with open(directory + '/key.der', 'wb') as file:
            file.write(bytes(self.caller.get(key, KEY, 'PublicKey')))
        with open(directory + '/signature', 'wb') as file:
            file.write(bytes(signature))
        return openssl('dgst', '-' + hash_name, '-keyform', 'DER', '-verify', directory + '/key.der', '-signature',
                       directory + '/signature', *options, data=data)

    def sign(self, key, data, **options):
        return self.caller.call(key, KEY, 'Sign', '(aya{sv})', data, {name: v('s', value)
                                                                      for name, value in options.items()})

    def test_sign(self):
        self.assertIn(b'OK', self.verify(self.key, b'text', self.sign(self.key, b'text')))
        digest = openssl('dgst', '-sha256', '-binary', data=b'text')
        self.assertIn(b'OK', self.verify(self.key, b'text', self.sign(self.key, digest, input='digest')))
        self.assertIn(b'OK', self.verify(self.key, b'\0' * 65536, self.sign(self.key, b'\0' * 65536)))

    def test_sign_bad_input(self):
        with self.assert_error('InvalidArgs', '65537', '65536'):
            self.sign(self.key, b'\0' * 65537)
        with self.assert_error('InvalidArgs', '32 bytes'):
            self.sign(self.key, b'too short', input='digest')
        with self.assert_error('InvalidArgs', "'md5'", 'sha256, sha384, sha512'):
            self.sign(self.key, b'text', hash='md5')
        with self.assert_error('InvalidArgs', "'rot13'", 'ecdsa, rsa-pkcs, rsa-pss'):
            self.sign(self.key, b'text', mechanism='rot13')
        with self.assert_error('InvalidArgs', "'file'", 'message, digest'):
            self.sign(self.key, b'text', input='file')
        with self.assert_error('NotSupported'):
            self.sign(self.key, b'text', mechanism='rsa-pss')

    def test_certificate(self):
        job = self.caller.call(self.token, TOKEN, 'CreateKey', '(ssa{sv})', 'certified', 'ecc-p256', {})
        key = self.caller.wait_job(job)['Result']['key']
        with self.assert_error('NotFound', 'certified'):
            self.caller.call(key, KEY, 'GetCertificate')
        csr = self.caller.call(key, KEY, 'CreateCsr', '(a{sv})', {})
        pem = self.ca_issue(csr)
        # somebody else's
        with self.assert_error('InvalidArgs'):
            self.caller.call(self.key, KEY, 'InstallCertificate', '(sa{sv})', pem, {})
        self.assertFalse(self.caller.get(self.key, KEY, 'HasCertificate'))
        self.caller.call(key, KEY, 'InstallCertificate', '(sa{sv})', pem, {})
        # shown as soon as the call returns
        self.assertTrue(self.caller.get(key, KEY, 'HasCertificate'))
        self.assertGreater(self.caller.get(key, KEY, 'CertificateNotAfter'), 1_700_000_000)
        installed = self.caller.call(key, KEY, 'GetCertificate')
        self.assertEqual(openssl('x509', '-outform', 'DER', data=installed.encode()),
                         openssl('x509', '-outform', 'DER', data=pem.encode()))
        # out of its time: only if forced
        expired = self.ca_issue(csr, days=-1)
        with self.assert_error('InvalidArgs'):
            self.caller.call(key, KEY, 'InstallCertificate', '(sa{sv})', expired, {})
        self.caller.call(key, KEY, 'InstallCertificate', '(sa{sv})', expired, {'force': v('b', True)})

    def render(self, flavour, options=None, caller=None):
        _, path, fds = (caller or self.caller).call(bus.ROOT, PROVISIONING, 'RenderConfig', '(sa{sv})', flavour,
                                                    options or {})
        self.assertEqual(len(fds), 1)
        with os.fdopen(fds[0], 'rb') as file:
            self.assertEqual(fcntl.fcntl(file, fcntl.F_GET_SEALS) & F_ALL_SEALS, F_ALL_SEALS)
            return path, file.read().decode()

    def test_render_config(self):
        with open(self.daemon.state_dir + '/pins/greengrass.user', encoding='ascii') as file:
            pin = file.read().strip()
        for flavour, name, has_pin in (('v1', 'config.json', True), ('v2', 'config.yaml', True),
                                       ('lite', 'config.yaml', False)):
            with self.subTest(flavour):
                path, text = self.render(flavour, {'thing-name': v('s', 'Thing-1')})
                self.assertEqual(os.path.basename(path), name)
                self.assertIn('greenkey', text)
                self.assertEqual(pin in text, has_pin)
        self.assertIn('Thing-1', self.render('v2', {'thing-name': v('s', 'Thing-1')})[1])
        self.assertIn(f'slot: {self.caller.get(self.token, TOKEN, "SlotId")}', self.render('v2')[1])
        with self.assert_error('InvalidArgs', 'v3'):
            self.render('v3')
        with self.assert_error('NotFound', 'nothing'):
            self.render('lite', {'token': v('s', 'nothing')})
        with self.assert_error('NotFound', 'nothing'):
            self.render('lite', {'key': v('s', 'nothing')})

    def test_unknown_options(self):
        calls = [(bus.DEVICE, 'org.ggtpm1.Device', 'Refresh', ''), (bus.DEVICE, 'org.ggtpm1.Health', 'Check', ''),
                 (bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', ''), (bus.ROOT, PROVISIONING, 'Provision', ''),
                 (bus.ROOT, PROVISIONING, 'RenderConfig', 's', 'v1'),
                 (bus.ROOT, PROVISIONING, 'CheckConfig', 's', 'v1'),
                 (bus.ROOT, PROVISIONING, 'RememberConfig', 'ss', '/etc/config.json', 'v1'),
                 (bus.ROOT, PROVISIONING, 'ForgetConfig', 's', '/etc/config.json'),
                 (bus.ROOT, PROVISIONING, 'CreateHandleKey', ''), (bus.ROOT, PROVISIONING, 'RemoveHandleKey', 'u', 1),
                 (self.token, TOKEN, 'CreateKey', 'ss', 'new', 'ecc-p256'), (self.key, KEY, 'CreateCsr', ''),
                 (self.token, TOKEN, 'ChangePin', ''), (self.token, TOKEN, 'ChangeSoPin', ''),
                 (self.token, TOKEN, 'UnblockPin', ''), (self.token, TOKEN, 'Verify', ''),
                 (self.key, KEY, 'Sign', 'ay', b'text'), (self.key, KEY, 'InstallCertificate', 's', 'pem'),
                 (self.key, KEY, 'CreateSelfSigned', ''), (self.key, KEY, 'Rotate', ''), (self.key, KEY, 'Delete', ''),
                 (self.key, KEY, 'Decrypt', 'ay', b'text'), (self.key, KEY, 'ExportPublicKey', 's', 'pem'),
                 (self.key, KEY, 'Verify', 'ayay', b'text', b'signature')]
        calls.append((self.begin_provisioning(), JOB, 'Cancel', ''))
        self.caller.wait_job(calls[-1][0])
        before = self.caller.objects()
        for path, interface, method, signature, *args in calls:
            with self.subTest(method), self.assert_error('InvalidArgs', "'colour'"):
                self.caller.call(path, interface, method, f'({signature}a{{sv}})', *args, {'colour': v('s', 'red')})
        after = self.caller.objects()
        self.assertEqual([path for path in after if '/job/' not in path],
                         [path for path in before if '/job/' not in path])

    def test_wrong_types(self):
        for path, interface, method, signature, args, option, value, wanted in (
                (bus.ROOT, PROVISIONING, 'Provision', '', (), 'exclusive', v('s', 'no'), "'b'"),
                (bus.ROOT, PROVISIONING, 'Provision', '', (), 'pin', v('s', '1234'), "'h'"),
                (bus.ROOT, PROVISIONING, 'Provision', '', (), 'so-pin', v('s', '1234'), "'h'"),
                (bus.ROOT, PROVISIONING, 'RenderConfig', 's', ('v1',), 'region', v('u', 1), "'s'"),
                (self.token, TOKEN, 'CreateKey', 'ss', ('new', 'ecc-p256'), 'id', v('s', '01'), "'ay'"),
                (self.key, KEY, 'CreateCsr', '', (), 'subject', v('ay', b'CN=x'), "'s'"),
                (self.key, KEY, 'CreateCsr', '', (), 'alt-names', v('s', 'DNS:a'), "'as'"),
                (self.key, KEY, 'CreateSelfSigned', '', (), 'days', v('i', 1), "'u'"),
                (self.key, KEY, 'Sign', 'ay', (b'text',), 'hash', v('i', 256), "'s'"),
                (self.key, KEY, 'InstallCertificate', 's', ('pem',), 'force', v('u', 1), "'b'")):
            with self.subTest((method, option)), self.assert_error('InvalidArgs', f"'{option}'", wanted):
                self.caller.call(path, interface, method, f'({signature}a{{sv}})', *args, {option: value})

    def test_bad_arguments(self):
        for label, algorithm, options, word in (('', 'ecc-p256', {}, 'key'), ('a;b', 'ecc-p256', {}, 'key'),
                                                ('x' * 33, 'ecc-p256', {}, '32'), ('new', 'rsa-1024', {}, 'rsa-1024'),
                                                ('new', 'ecc-p256', {'id': v('ay', b'')}, "'id'"),
                                                ('new', 'ecc-p256', {'id': v('ay', b'x' * 33)}, "'id'")):
            with self.subTest((label, algorithm, options)):
                with self.assertRaises(bus.Error) as caught:
                    self.caller.call(self.token, TOKEN, 'CreateKey', '(ssa{sv})', label, algorithm, options)
                self.assertIn(caught.exception.name, (PREFIX + 'InvalidArgs', PREFIX + 'NotSupported'))
                self.assertIn(word, caught.exception.text)
        for options in ({'token': v('s', 'a/b')}, {'key': v('s', 'a=b')}, {'algorithm': v('s', 'dsa')},
                        {'subject': v('s', 'nonsense')}):
            with self.subTest(options):
                with self.assertRaises(bus.Error) as caught:
                    self.begin_provisioning(options)
                self.assertIn(caught.exception.name, (PREFIX + 'InvalidArgs', PREFIX + 'NotSupported'))

    def test_config_that_can_change(self):
        fd = self.fd(bus.memfd(b'[Token]\nLabel=x\n'))
        with self.assert_error('InvalidArgs', 'sealed'):
            self.begin_provisioning({'config': h(0)}, fds=(fd,))

    def test_gone_objects(self):
        for path, interface in ((self.token + 'x', TOKEN), (self.token + '/key/00', KEY),
                                ('/org/ggtpm1/job/999', JOB)):
            with self.assertRaises(bus.Error) as caught:
                self.caller.get_all(path, interface)
            self.assertIn(caught.exception.name, ('org.freedesktop.DBus.Error.UnknownMethod',
                                                  'org.freedesktop.DBus.Error.UnknownObject',
                                                  'org.freedesktop.DBus.Error.UnknownInterface'))

    def test_create_key(self):
        added = self.caller.watch('org.freedesktop.DBus.ObjectManager', 'InterfacesAdded', bus.ROOT)
        job = self.caller.call(self.token, TOKEN, 'CreateKey', '(ssa{sv})', 'second', 'ecc-p256',
                               {'id': v('ay', b'\x01\xfe')})
        properties = self.caller.wait_job(job)
        self.assertEqual(properties['State'], 'done', properties)
        key = properties['Result']['key']
        self.assertEqual(key, self.token + '/key/01fe')
        _, (_, interfaces) = added.wait(lambda _, args: args[0] == key)
        self.assertEqual(interfaces[KEY]['Label'], 'second')
        self.assertIn(key, self.caller.get(self.token, TOKEN, 'Keys'))
        self.assertIn('second', properties['Result']['uri'])
        # taken: label, then id
        for label, options in (('second', {}), ('third', {'id': v('ay', b'\x01\xfe')})):
            with self.subTest(label):
                job = self.caller.call(self.token, TOKEN, 'CreateKey', '(ssa{sv})', label, 'ecc-p256', options)
                properties = self.caller.wait_job(job)
                self.assertEqual((properties['State'], properties['Error'][0]), ('failed', PREFIX + 'Exists'))

    def test_change_is_told_to_systemd(self):
        # what ggtpm-config.path waits for, there before the answer
        told = self.daemon.runtime_dir + '/store-changed'
        job = self.caller.call(self.token, TOKEN, 'CreateKey', '(ssa{sv})', 'told', 'ecc-p256', {})
        key = self.caller.wait_job(job)['Result']['key']
        os.remove(told)
        # a use is no change
        self.caller.call(key, KEY, 'Sign', '(aya{sv})', b'text', {})
        self.caller.wait_job(self.begin_provisioning())
        self.assertFalse(os.path.exists(told))
        self.caller.call(key, KEY, 'Delete', '(a{sv})', {})
        self.assertTrue(os.path.exists(told))

    def test_made_by_another_program(self):
        if shutil.which('tpm2_ptool') is None:
            self.skipTest('not installed: tpm2_ptool')
        added = self.caller.watch('org.freedesktop.DBus.ObjectManager', 'InterfacesAdded', bus.ROOT)
        environment = dict(os.environ, TPM2_PKCS11_STORE=self.daemon.state_dir + '/pkcs11',
                           TPM2TOOLS_TCTI=f'{self.daemon.dir}/libtss2-tcti-ggtpm.so.0:'
                                          f'path={self.daemon.runtime_dir}/tpm.sock')
        environment['TPM2_PKCS11_TCTI'] = environment['TPM2TOOLS_TCTI']
        told = self.daemon.runtime_dir + '/store-changed'
        os.remove(told)
        subprocess.run(['tpm2_ptool', 'addtoken', '--pid=1', '--sopin=so', '--userpin=user', '--label=other token',
                        '--path=' + environment['TPM2_PKCS11_STORE']], env=environment, check=True,
                       stdout=subprocess.DEVNULL)
        path = '/org/ggtpm1/token/other_20token'
        added.wait(lambda _, args: args[0] == path)
        self.assertTrue(os.path.exists(told))
        self.assertEqual(self.caller.get(path, TOKEN, 'Label'), 'other token')
        self.assertFalse(self.caller.get(path, TOKEN, 'PinStored'))
        # nobody has its PIN
        job = self.caller.call(path, TOKEN, 'CreateKey', '(ssa{sv})', 'k', 'ecc-p256', {})
        properties = self.caller.wait_job(job)
        self.assertEqual(properties['Error'][0], PREFIX + 'AuthRequired')
        job = self.caller.call(path, TOKEN, 'CreateKey', '(ssa{sv})', 'k', 'ecc-p256', {'pin': h(0)},
                               fds=[self.fd(bus.memfd(b'user'))])
        properties = self.caller.wait_job(job)
        self.assertEqual(properties['State'], 'done', properties)

    def test_health(self):
        self.caller.call(bus.DEVICE, 'org.ggtpm1.Device', 'Refresh', '(a{sv})', {})
        before = self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LastCheck')
        state = self.caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {})
        self.assertEqual(state, self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'State'))
        self.assertGreaterEqual(self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LastCheck'), before)
        device = self.caller.get_all(bus.DEVICE, 'org.ggtpm1.Device')
        self.assertEqual((device['Family'], device['Manufacturer']), ('2.0', 'IBM'))

        def check_again():
            self.caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {})
            return self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LastCheck') > before
        bus.wait_for(check_again, 'a check that finds nothing new is told, too', 10)

    def test_latency(self):
        for _ in range(100):
            self.caller.call(bus.DEVICE, 'org.ggtpm1.Device', 'GetRandom', '(u)', 8)
        self.caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {})
        health = self.caller.get_all(bus.DEVICE, 'org.ggtpm1.Health')
        median, high, longest = health['LatencyUs']['TPM2_GetRandom']
        self.assertTrue(0 < median <= high <= longest < 60e6, (median, high, longest))
        # a hundred make it well known, and kept
        self.assertLessEqual(health['LatencyBaselineUs']['TPM2_GetRandom'], longest)
        with open(self.daemon.state_dir + '/latency', encoding='ascii') as file:
            self.assertIn(f"0x17b={health['LatencyBaselineUs']['TPM2_GetRandom']}\n", file.read())
        self.assertNotIn('TPM2_Startup', health['LatencyBaselineUs'])
        self.assertGreater(health['CommandCount'], 100)
        self.assertLess(health['ErrorCount'], health['CommandCount'])

    def test_two_jobs(self):
        jobs = [self.caller.call(self.token, TOKEN, 'CreateKey', '(ssa{sv})', f'job{i}', 'ecc-p256', {})
                for i in range(2)]
        self.assertNotEqual(*jobs)
        for job in jobs:
            self.assertEqual(self.caller.wait_job(job)['State'], 'done')

    def test_finished_is_sent_once_and_last(self):
        finished = self.caller.watch(JOB, 'Finished')
        job = self.begin_provisioning()
        _, (state, error, result) = finished.wait(lambda path, _: path == job)
        self.assertEqual((state, error), ('done', ('', '')))
        self.assertEqual(result, self.caller.get(job, JOB, 'Result'))
        self.assertEqual(self.caller.get(job, JOB, 'Progress'), 1.0)
        self.assertEqual([path for path, _ in finished.seen].count(job), 1)


class Pins(Case):
    """A token whose PIN came from the caller."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        user, so = bus.pipe(USER_PIN + b'\n'), bus.memfd(SO_PIN)
        result = cls.provision({'pin': h(0), 'so-pin': h(1)}, fds=[user, so])
        os.close(user)
        os.close(so)
        cls.token, cls.key = result['token'], result['key']

    def sign(self, fd):
        return self.caller.call(self.key, KEY, 'Sign', '(aya{sv})', b'text', {'pin': h(0)}, fds=[fd])

    def test_1_right(self):
        for fd in (bus.pipe(USER_PIN), bus.memfd(USER_PIN), bus.pipe(USER_PIN + b'\nmore')):
            self.assertTrue(self.sign(self.fd(fd)))

    def test_2_slow_writer_delays_nobody(self):
        read_end, write_end = os.pipe()
        slow = self.caller.begin(self.key, KEY, 'Sign', '(aya{sv})', b'text', {'pin': h(0)}, fds=[self.fd(read_end)])
        self.assertTrue(self.sign(self.fd(bus.memfd(USER_PIN))))
        self.assertFalse(slow.is_answered)
        os.write(write_end, USER_PIN)
        os.close(write_end)
        self.assertTrue(slow.result())

    def test_3_bad_descriptors(self):
        with self.assert_error('InvalidArgs', 'PIN'):
            self.sign(self.fd(bus.memfd(b'')))
        with self.assert_error('InvalidArgs', 'PIN'):
            self.sign(self.fd(bus.memfd(b'x' * 129)))
        with self.assert_error('InvalidArgs', 'PIN'):
            self.sign(self.fd(bus.memfd(b'a\0b')))
        with self.assert_error('InvalidArgs', "'pin'"):
            self.caller.call(self.key, KEY, 'Sign', '(aya{sv})', b'text', {'pin': h(0)})

    def test_4_wrong_pin(self):
        before = self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LockoutCounter')
        with self.assertRaises(bus.Error) as caught:
            self.sign(self.fd(bus.memfd(b'wrong')))
        self.assertEqual(caught.exception.name, PREFIX + 'AuthFailed')
        # nobody has to ask for it: the daemon looks at the counter itself, and not only at its next poll
        bus.wait_for(lambda: self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LockoutCounter') > before,
                     'the counter shows the failed try', 10)
        self.assertGreater(self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LockoutFailuresToday'), 0)
        code, when, text = self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LastError')
        self.assertGreater(when, 0)
        self.assertRegex(text, rf'^TPM2_\w+: .+ \(0x{code:x}\)$')
        after = self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LockoutCounter')
        # one try, one count: nothing was tried again
        self.assertEqual(after, before + 1)
        self.assertRegex(caught.exception.text, rf'\b{after} (of|/) ?3\b')
        self.assertNotIn('wrong PIN', self.daemon.read_log().replace(caught.exception.text, ''))

    def test_4_wrong_pin_verify(self):
        """The same of a check of the token, for which a refused PIN is a finding."""
        before = self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LockoutCounter')
        fd = self.fd(bus.memfd(b'wrong'))
        job = self.caller.call(self.token, TOKEN, 'Verify', '(a{sv})', {'pin': h(0)}, fds=[fd])
        result = self.caller.wait_job(job)['Result']
        self.assertEqual([(row[1], row[2]) for row in result['checks']], [('login', 'fault')])
        bus.wait_for(lambda: self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LockoutCounter') > before,
                     'the counter shows the failed try', 10)
        self.assertEqual(self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LockoutCounter'), before + 1)

    def test_5_reset_lockout(self):
        self.caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', '(a{sv})', {})
        self.assertEqual(self.caller.get(bus.DEVICE, 'org.ggtpm1.Health', 'LockoutCounter'), 0)

    def test_6_no_pin_anywhere_it_should_not_be(self):
        for pin in (USER_PIN, SO_PIN):
            self.assertNotIn(pin.decode(), self.daemon.read_log())
            self.assertNotIn(pin.decode(), repr(self.caller.objects()))


class Jobs(Case):
    """Work that waits, because the chip has been stopped in the middle of its work."""

    def setUp(self):
        import signal
        self.tpm.process.send_signal(signal.SIGSTOP)
        self.continued = False

    def go_on(self):
        import signal
        if not self.continued:
            self.continued = True
            self.tpm.process.send_signal(signal.SIGCONT)

    tearDown = go_on

    def start_jobs(self, caller, n):
        return [self.begin_provisioning({'token': v('s', f'{caller.name[1:]}-{i}'.replace('.', ''))}, caller=caller)
                for i in range(n)]

    def test_busy_and_cancel(self):
        caller = self.bus.connect(bus.ALICE)
        jobs = self.start_jobs(caller, 4)
        with self.assert_error('Busy', '4'):
            self.begin_provisioning(caller=caller)
        # that is nobody else's trouble
        other = self.bus.connect(bus.MALLORY)
        jobs += self.start_jobs(other, 1)
        self.assertEqual(other.get(bus.ROOT, 'org.ggtpm1.Manager', 'State'), 'ready')
        # one that waits is cancelled at once
        finished = caller.watch(JOB, 'Finished')
        caller.call(jobs[3], JOB, 'Cancel', '(a{sv})', {})
        _, (state, error, _) = finished.wait(lambda path, _: path == jobs[3])
        self.assertEqual((state, error[0]), ('cancelled', PREFIX + 'Cancelled'))
        self.assertEqual(caller.get(jobs[3], JOB, 'State'), 'cancelled')
        with self.assert_error('NotSupported', 'cancelled'):
            caller.call(jobs[3], JOB, 'Cancel', '(a{sv})', {})
        # its place is free
        jobs.append(self.begin_provisioning({'token': v('s', 'free')}, caller=caller))
        self.go_on()
        for job in jobs[:3] + jobs[4:]:
            properties = caller.wait_job(job)
            self.assertEqual(properties['State'], 'done', properties)

    def test_caller_leaves(self):
        caller = self.bus.connect(bus.ALICE)
        job = self.begin_provisioning({'token': v('s', 'left')}, caller=caller)
        caller.close()
        self.go_on()
        properties = self.caller.wait_job(job)
        self.assertEqual(properties['State'], 'done', properties)
        self.assertIn('/org/ggtpm1/token/left', self.caller.objects())


if __name__ == '__main__':
    bus.main()
