#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Programs that are not ours use what was provisioned: through libtpm2_pkcs11 itself, and, where OpenSSL's engine would
get into its way in the same process, through p11-kit's `remote:` in the module file that we write. And nobody who is at
work shows a PIN."""

import contextlib
import glob
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
from consumers import KEY, MODULE, Case, need  # noqa: E402

ENGINE = f'/usr/lib/{sys.implementation._multiarch}/engines-3/pkcs11.so'
PROGRAMS = ('ggtpmd', 'ggtpm-token-helper', 'ggtpm-token-verifier')
PINS = {'pin': b'ggtpm user pin 4711', 'so-pin': b'ggtpm so pin 0815'}


class Consumers(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need('p11tool', 'curl', 'gnutls-cli', ENGINE)
        cls.provision_keys()
        cls.make_software_key('server')
        cls.use_module_file()

    def test_request_of_the_application_note(self):
        """Its command, word for word; what it would ask for is given. No variable says where store and chip are."""
        for key in self.keys:
            with self.subTest(key=key):
                out = self.path('req.csr')
                self.run_ok('openssl', 'req', '-engine', 'pkcs11', '-new', '-key', self.uri(key), '-keyform', 'engine',
                            '-out', out, '-subj', '/CN=note', env=self.plain_env)
                self.run_ok('openssl', 'req', '-in', out, '-verify', '-noout')
                self.assertEqual(self.run_ok('openssl', 'req', '-in', out, '-noout', '-pubkey'),
                                 self.run_ok('openssl', 'req', '-in', self.path(key + '.csr'), '-noout', '-pubkey'))

    def test_environment_wins(self):
        """Who has another store is not moved to ours."""
        empty = self.path('empty')
        os.mkdir(empty)
        listed = self.run_ok('p11tool', '--list-token-urls', env=self.env | {'TPM2_PKCS11_STORE': empty})
        self.assertNotIn('greengrass', listed)
        self.assertIn('token=greengrass', self.run_ok('p11tool', '--list-token-urls', env=self.plain_env))

    def test_p11tool_test_sign(self):
        for provider, env in (((), self.plain_env), (('--provider', MODULE), self.env)):
            for key in self.keys:
                with self.subTest(key=key, provider=provider):
                    self.run_ok('p11tool', *provider, '--login', '--test-sign',
                                f'pkcs11:token=greengrass;object={key};type=private',
                                env=env | {'GNUTLS_PIN': self.pin})

    def s_server(self, *key):
        """OpenSSL's server, which wants a certificate of the CA; yields its port."""
        return self.running('openssl', 's_server', *key, '-www', '-accept', '127.0.0.1:0', '-Verify', '1',
                            '-verify_return_error', '-CAfile', self.ca, until='ACCEPT ', env=self.plain_env)

    def software_server(self):
        return self.s_server('-key', self.path('server.key'), '-cert', self.path('server.pem'))

    def test_openssl_on_both_sides(self):
        """Both sides prove themselves with a key in the chip."""
        for key in self.keys:
            own = ['-engine', 'pkcs11', '-keyform', 'engine', '-key', self.uri(key), '-cert', self.path(key + '.pem')]
            for version in ('-tls1_2', '-tls1_3'):
                with self.subTest(key=key, version=version), self.s_server(*own) as line:
                    result = self.run_any('openssl', 's_client', *own, '-CAfile', self.ca, '-verify_return_error',
                                          version, '-connect', line.split()[1], '-ign_eof',
                                          input=b'GET / HTTP/1.0\r\n\r\n', env=self.plain_env)
                    self.assertIn(b'HTTP/1.0 200', result.stdout, result.stderr)

    def test_curl(self):
        with self.software_server() as line:
            url = 'https://' + line.split()[1]
            command = ['curl', '--silent', '--show-error', '--fail', '--cacert', self.ca, '--engine', 'pkcs11',
                       '--key-type', 'ENG']
            for key in self.keys:
                for version in (['--tls-max', '1.2'], ['--tlsv1.3']):
                    with self.subTest(key=key, version=version):
                        page = self.run_ok(*command, *version, '--key', self.uri(key), '--cert',
                                           self.path(key + '.pem'), url, env=self.plain_env)
                        self.assertIn('s_server', page)
            # the certificate of one with the key of the other
            wrong = self.run_any(*command, '--key', self.uri('greenkey'), '--cert', self.path('rsakey.pem'), url,
                                 env=self.plain_env)
            self.assertNotEqual(wrong.returncode, 0)

    def test_gnutls(self):
        """Key and certificate out of the token, the module in gnutls-cli's own process."""
        with self.software_server() as line:
            host, port = line.split()[1].split(':')
            command = ['gnutls-cli', '--provider', MODULE, '--x509cafile', self.ca]
            for key in self.keys:
                for version in ('1.2', '1.3'):
                    with self.subTest(key=key, version=version):
                        page = self.run_ok(*command, '--x509keyfile', self.uri(key), '--x509certfile',
                                           self.uri(key, 'cert'), '--priority', f'NORMAL:-VERS-ALL:+VERS-TLS{version}',
                                           '--port', port, host, input=b'GET / HTTP/1.0\r\n\r\n')
                        self.assertIn('HTTP/1.0 200', page)
            wrong = self.run_any(*command, '--x509keyfile', self.uri('greenkey'), '--x509certfile',
                                 self.path('server.pem'), '--port', port, host, input=b'GET / HTTP/1.0\r\n\r\n')
            self.assertNotEqual(wrong.returncode, 0)

    def test_openssl_without_the_key(self):
        """The server of these tests does want the key."""
        with self.software_server() as line:
            result = self.run_any('curl', '--silent', '--fail', '--cacert', self.ca, 'https://' + line.split()[1])
            self.assertNotEqual(result.returncode, 0)


class Leaks(Case):
    def places(self):
        """What anybody can look at of daemon and helper while they are at work."""
        for directory in glob.glob('/proc/[0-9]*'):
            with contextlib.suppress(OSError):
                if os.path.basename(os.readlink(directory + '/exe')) not in PROGRAMS:
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
            job = self.caller.call(result['token'], 'org.ggtpm1.Token', 'Verify', '(a{sv})', {})
            self.assertTrue(self.caller.wait_job(job)['Result']['good'])
        finally:
            stop.set()
            thread.join()
        for program in PROGRAMS:
            self.assertTrue(any(program.encode() in content for contents in seen.values() for content in contents))
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
