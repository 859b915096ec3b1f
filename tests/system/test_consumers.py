#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Programs that are not ours use what was provisioned: through libtpm2_pkcs11 itself, and, where OpenSSL's engine would
get into its way in the same process, through p11-kit's `remote:`. And nobody who is at work shows a PIN."""

import contextlib
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

MODULE = f'/usr/lib/{sys.implementation._multiarch}/pkcs11/libtpm2_pkcs11.so'
ENGINE = f'/usr/lib/{sys.implementation._multiarch}/engines-3/pkcs11.so'
MODULES = '/usr/share/p11-kit/modules'
KEY = 'org.ggtpm1.Key'
TIMEOUT_S = 60
PINS = {'pin': b'ggtpm user pin 4711', 'so-pin': b'ggtpm so pin 0815'}


def v(signature, value):
    return bus.GLib.Variant(signature, value)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        bus.enter()
        for program in ('p11tool', 'openssl', 'p11-kit', 'swtpm'):
            if shutil.which(program) is None:
                raise unittest.SkipTest('not installed: ' + program)
        for path in (MODULE, ENGINE, MODULES):
            if not os.path.exists(path):
                raise unittest.SkipTest('not installed: ' + path)
        cls.dir = tempfile.mkdtemp(prefix='ggs-', dir='/tmp')
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.bus = cls.enter(bus.Bus())
        cls.tpm = cls.enter(swtpm.Swtpm())
        cls.daemon = cls.enter(bus.Daemon(cls.bus, cls.tpm))
        cls.caller = cls.bus.connect()
        tcti = f'{cls.daemon.dir}/libtss2-tcti-ggtpm.so.0:path={cls.daemon.runtime_dir}/tpm.sock'
        cls.env = dict(os.environ, TPM2_PKCS11_STORE=cls.daemon.state_dir + '/pkcs11', TPM2_PKCS11_TCTI=tcti,
                       TSS2_LOG='all+none', LC_ALL='C')
        # of the build with sanitizers: theirs are not ours
        cls.env['ASAN_OPTIONS'] = cls.env.get('ASAN_OPTIONS', '') + ':detect_leaks=0'

    @classmethod
    def enter(cls, context):
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    @classmethod
    def provision(cls, options, fds=()):
        job = cls.caller.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', options, fds=fds)
        done = cls.caller.wait_job(job)
        if done['State'] != 'done':
            raise bus.Error(*done['Error'])
        return done['Result']

    def run_ok(self, *command, env=None):
        result = subprocess.run(command, env=self.env | (env or {}), stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=TIMEOUT_S)
        self.assertEqual(result.returncode, 0, (command, result.stdout, result.stderr))
        return result.stdout.decode()

    def path(self, name):
        return os.path.join(self.dir, name)


class Consumers(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {name: cls.provision({'key': v('s', name), 'algorithm': v('s', algorithm),
                                         'exclusive': v('b', False)})
                    for name, algorithm in (('greenkey', 'ecc-p256'), ('rsakey', 'rsa-2048'))}
        with open(cls.daemon.state_dir + '/pins/greengrass.user', encoding='ascii') as file:
            cls.pin = file.read().strip()
        modules = os.path.join(cls.dir, 'modules')
        os.mkdir(modules)
        with open(os.path.join(modules, 'tpm2_pkcs11.module'), 'w', encoding='ascii') as file:
            file.write(f'remote: |p11-kit remote {MODULE}\n')
        # in the namespace of this process only
        subprocess.run(['mount', '--bind', modules, MODULES], check=True)
        cls.addClassCleanup(subprocess.run, ['umount', MODULES], check=True)

    def uri(self, key):
        return f'pkcs11:token=greengrass;object={key};type=private;pin-value={self.pin}'

    def test_request_of_the_application_note(self):
        """Its command, word for word; what it would ask for is given."""
        for key in self.keys:
            with self.subTest(key=key):
                out = self.path('req.csr')
                self.run_ok('openssl', 'req', '-engine', 'pkcs11', '-new', '-key', self.uri(key), '-keyform', 'engine',
                            '-out', out, '-subj', '/CN=note')
                self.run_ok('openssl', 'req', '-in', out, '-verify', '-noout')
                self.assertEqual(self.run_ok('openssl', 'req', '-in', out, '-noout', '-pubkey'),
                                 self.public_key(self.keys[key]['csr']))

    def public_key(self, csr):
        with open(self.path('ours.csr'), 'w', encoding='ascii') as file:
            file.write(csr)
        return self.run_ok('openssl', 'req', '-in', self.path('ours.csr'), '-noout', '-pubkey')

    def test_p11tool_test_sign(self):
        for provider in ((), ('--provider', MODULE)):
            for key in self.keys:
                with self.subTest(key=key, provider=provider):
                    self.run_ok('p11tool', *provider, '--login', '--test-sign',
                                f'pkcs11:token=greengrass;object={key};type=private', env={'GNUTLS_PIN': self.pin})

    def certificate(self, key):
        path = self.path(key + '.pem')
        self.run_ok('openssl', 'req', '-engine', 'pkcs11', '-new', '-x509', '-days', '2', '-subj', '/CN=localhost',
                    '-key', self.uri(key), '-keyform', 'engine', '-out', path)
        return path

    @contextlib.contextmanager
    def server(self, certificate, key):
        """OpenSSL's server with the chip's key; yields its port."""
        command = ['openssl', 's_server', '-engine', 'pkcs11', '-keyform', 'engine', '-key', self.uri(key), '-www',
                   '-cert', certificate, '-accept', '127.0.0.1:0', '-Verify', '1', '-CAfile', certificate]
        process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        watchdog = threading.Timer(TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            for line in process.stdout:
                if line.startswith('ACCEPT '):
                    yield line.strip().rsplit(':', 1)[1]
                    return
            self.fail('s_server has ended')
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            process.stdout.close()

    def test_openssl_on_both_sides(self):
        """Both sides prove themselves with a key in the chip."""
        for key in self.keys:
            certificate = self.certificate(key)
            for version in ('-tls1_2', '-tls1_3'):
                with self.subTest(key=key, version=version), self.server(certificate, key) as port:
                    result = subprocess.run(
                        ['openssl', 's_client', '-engine', 'pkcs11', '-keyform', 'engine', '-key', self.uri(key),
                         '-cert', certificate, '-CAfile', certificate, '-verify_return_error', version,
                         '-connect', '127.0.0.1:' + port, '-ign_eof'], env=self.env,
                        input=b'GET / HTTP/1.0\r\n\r\n', capture_output=True, timeout=TIMEOUT_S)
                    self.assertIn(b'HTTP/1.0 200', result.stdout, result.stderr)


class Leaks(Case):
    def places(self):
        """What anybody can look at of daemon and helper while they are at work."""
        for directory in glob.glob('/proc/[0-9]*'):
            with contextlib.suppress(OSError):
                if os.path.basename(os.readlink(directory + '/exe')) not in ('ggtpmd', 'ggtpm-token-helper'):
                    continue
                for name in ('cmdline', 'environ'):
                    with open(os.path.join(directory, name), 'rb') as file:
                        yield os.path.join(directory, name), file.read()

    def test_no_pin_in_sight(self):
        fds = [bus.memfd(pin) for pin in PINS.values()]
        self.addCleanup(lambda: [os.close(fd) for fd in fds])
        seen = {}
        stop = threading.Event()

        def look():
            while not stop.is_set():
                for name, content in self.places():
                    seen.setdefault(name, set()).add(content)
        thread = threading.Thread(target=look)
        thread.start()
        try:
            result = self.provision({'pin': bus.GLib.Variant.new_handle(0), 'so-pin': bus.GLib.Variant.new_handle(1)},
                                    fds)
            self.caller.call(result['key'], KEY, 'Sign', '(aya{sv})', b'text', {})
        finally:
            stop.set()
            thread.join()
        self.assertTrue(any(b'ggtpm-token-helper' in content for contents in seen.values() for content in contents))
        texts = {'log': {self.daemon.read_log().encode()}, 'bus': {repr(self.caller.objects()).encode()}} | seen
        for name, contents in texts.items():
            for content in contents:
                for pin in PINS.values():
                    self.assertNotIn(pin, content, name)
        # they are where they belong
        with open(self.daemon.state_dir + '/pins/greengrass.user', 'rb') as file:
            self.assertEqual(file.read().strip(), PINS['pin'])


if __name__ == '__main__':
    bus.main()
