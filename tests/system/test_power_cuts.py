#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""A device that signs once per boot and whose power is then cut: the chip counts each cut as a failed authorisation.

GGTPM_TEST_BOOTS=100: as many boots for each algorithm and way; otherwise some more than the chip allows failures."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

BOOTS = int(os.environ.get('GGTPM_TEST_BOOTS', '5'))
HEALTH = 'org.ggtpm1.Health'
KEY = 'org.ggtpm1.Key'
MANAGER = 'org.ggtpm1.Manager'
MODULE = f'/usr/lib/{sys.implementation._multiarch}/pkcs11/libtpm2_pkcs11.so'
KEYS = {'ecc': ('ecc-p256', 'ECDSA-SHA256'), 'rsa': ('rsa-2048', 'SHA256-RSA-PKCS')}
MAX_AUTH_FAIL = 3  # of swtpm
UNHEALED = '[Health]\nResetLockout=false\n'


class Case(unittest.TestCase):
    def setUp(self):
        bus.enter()
        if not swtpm.available() or shutil.which('pkcs11-tool') is None or not os.path.exists(MODULE):
            raise unittest.SkipTest('not installed: swtpm, opensc or libtpm2-pkcs11-1')
        self.bus = self.enter(bus.Bus())
        self.caller = self.bus.connect()
        self.tpm = self.enter(swtpm.Swtpm())
        self.daemon = None
        self.dir = tempfile.mkdtemp(prefix='ggs-', dir='/tmp')
        self.addCleanup(shutil.rmtree, self.dir)
        self.data = os.path.join(self.dir, 'data')
        with open(self.data, 'wb') as file:
            file.write(b'temperature: 21\n')

    def enter(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def begin(self, config='', keys=('ecc', 'rsa')):
        self.daemon = self.enter(bus.Daemon(self.bus, self.tpm, config=config))
        self.paths = {}
        self.ids = {}
        for name in keys:
            job = self.caller.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})',
                                   {'key': bus.GLib.Variant('s', name),
                                    'algorithm': bus.GLib.Variant('s', KEYS[name][0]),
                                    'exclusive': bus.GLib.Variant('b', False)})
            done = self.caller.wait_job(job)
            self.assertEqual(done['State'], 'done', done)
            self.paths[name] = done['Result']['key']
            # pkcs11-tool takes any private key where only a label is given
            self.ids[name] = bytes(self.caller.get(self.paths[name], KEY, 'Id')).hex()

    def power_cut(self):
        self.tpm.kill()
        self.daemon.kill()

    def boot(self):
        self.tpm.start()
        bus.open_to_daemon(self.tpm)
        self.daemon.start()

    def sign_bus(self, name):
        with open(self.data, 'rb') as file:
            return bytes(self.caller.call(self.paths[name], KEY, 'Sign', '(aya{sv})', file.read(), {}))

    def sign_pkcs11(self, name):
        signature = os.path.join(self.dir, 'signature')
        with open(os.path.join(self.daemon.state_dir, 'pins', 'greengrass.user'), encoding='ascii') as file:
            pin = file.read().strip()
        tcti = f'{self.daemon.dir}/libtss2-tcti-ggtpm.so.0:path={self.daemon.runtime_dir}/tpm.sock'
        env = dict(os.environ, TPM2_PKCS11_STORE=self.daemon.state_dir + '/pkcs11', TPM2_PKCS11_TCTI=tcti,
                   TSS2_LOG='all+none', PIN=pin)
        command = ['pkcs11-tool', '--module', MODULE, '--token-label', 'greengrass', '--pin', 'env:PIN', '--sign',
                   '--mechanism', KEYS[name][1], '--id', self.ids[name], '--input-file', self.data,
                   '--output-file', signature]
        if name == 'ecc':
            command += ['--signature-format', 'openssl']
        result = subprocess.run(command, env=env, capture_output=True, timeout=60)
        if result.returncode != 0:
            raise RuntimeError(result.stderr)
        with open(signature, 'rb') as file:
            return file.read()

    def verify(self, name, signature):
        public = os.path.join(self.dir, name + '.der')
        with open(public, 'wb') as file:
            file.write(bytes(self.caller.get(self.paths[name], KEY, 'PublicKey')))
        path = os.path.join(self.dir, 'check')
        with open(path, 'wb') as file:
            file.write(signature)
        subprocess.run(['openssl', 'dgst', '-sha256', '-verify', public, '-keyform', 'DER', '-signature', path,
                        self.data], check=True, capture_output=True)


class PowerCuts(Case):
    def test_a_signature_per_boot(self):
        self.begin()
        signed = 0
        for boot in range(BOOTS):
            for name in KEYS:
                for sign in (self.sign_bus, self.sign_pkcs11):
                    with self.subTest(boot=boot, key=name, way=sign.__name__):
                        self.power_cut()
                        self.boot()
                        self.verify(name, sign(name))
                        self.assertFalse(self.caller.get(bus.DEVICE, HEALTH, 'InLockout'))
                        signed += 1
        print(f'{signed} signatures, each after a power cut', file=sys.stderr)
        self.power_cut()
        self.boot()
        # the cut before this boot was one, too
        self.assertIn('the lockout counter was reset, it was 1 of 3', self.daemon.read_log())

    def test_without_the_healing_it_locks(self):
        """What the other tests would see."""
        self.begin(UNHEALED, keys=('ecc',))
        signed = 0
        with self.assertRaises((bus.Error, subprocess.CalledProcessError)):
            for boot in range(MAX_AUTH_FAIL + 2):
                self.power_cut()
                self.boot()
                self.verify('ecc', self.sign_bus('ecc'))
                signed = boot
        self.assertLess(signed, MAX_AUTH_FAIL)

    def test_the_chip_alone(self):
        """The daemon goes on while the chip loses its power: it heals each time before it serves clients."""
        self.begin(keys=('ecc',))
        for _ in range(max(MAX_AUTH_FAIL + 2, BOOTS)):
            self.tpm.kill()
            # swtpm is let go while the daemon is idle: the next command finds out, if not the end of the connection
            with self.assertRaises(bus.Error):
                self.caller.call(bus.DEVICE, HEALTH, 'Check', '(a{sv})', {})
            bus.wait_for(lambda: self.caller.get(bus.ROOT, MANAGER, 'State') != 'ready', 'the loss of the chip')
            self.tpm.start()
            bus.open_to_daemon(self.tpm)
            self.verify('ecc', self.sign_pkcs11_soon('ecc'))
            self.assertEqual(self.caller.get(bus.DEVICE, HEALTH, 'LockoutCounter'), 0)
        self.assertIn('the lockout counter was reset, it was 1 of 3', self.daemon.read_log())
        self.assertNotIn('it was 2 of 3', self.daemon.read_log())

    def sign_pkcs11_soon(self, name):
        """The first client after the chip is back: from the moment on that it is there."""
        bus.wait_for(lambda: self.tpm_is_used(), 'the chip to be opened again')
        return bus.wait_for(lambda: self.try_sign(name), 'a signature')

    def tpm_is_used(self):
        return self.tpm.count() > 0

    def try_sign(self, name):
        """None: told that there is no chip, which is no failed authorisation."""
        try:
            return self.sign_pkcs11(name)
        except subprocess.CalledProcessError:
            return None


if __name__ == '__main__':
    bus.main()
