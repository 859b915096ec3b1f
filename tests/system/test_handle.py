#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""A persistent key without a PIN, as nucleus lite uses it where there is no pkcs11-provider: by tpm2-openssl's
`handle:` URIs, out of the configuration that we write. TLS 1.3 only: beside that provider (1.1) OpenSSL 3.0 offers no
NIST curve in TLS 1.2."""

import os
import sys

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
from consumers import PROVISIONING, Case, need, v  # noqa: E402

PROVIDER = f'/usr/lib/{sys.implementation._multiarch}/ossl-modules/tpm2.so'
PROVIDERS = ('-provider', 'tpm2', '-provider', 'default')


class Handle(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need('tpm2_getcap', PROVIDER)
        cls.make_ca()
        cls.make_software_key('server')
        cls.env = cls.plain_env | {'TPM2OPENSSL_TCTI': cls.tcti, 'TPM2TOOLS_TCTI': cls.tcti}

    def handles(self):
        return self.caller.get(bus.ROOT, PROVISIONING, 'HandleKeys')

    def persistent(self):
        return yaml.safe_load(self.run_ok('tpm2_getcap', 'handles-persistent')) or []

    def create(self):
        return self.caller.call(bus.ROOT, PROVISIONING, 'CreateHandleKey', '(a{sv})', {})

    def remove(self, handle):
        self.caller.call(bus.ROOT, PROVISIONING, 'RemoveHandleKey', '(ua{sv})', handle, {})

    def test_nucleus_lite(self):
        handle = self.create()
        self.addCleanup(self.remove, handle)
        _, _, fds = self.caller.call(bus.ROOT, PROVISIONING, 'RenderConfig', '(sa{sv})', 'lite',
                                     {'handle': v('s', f'0x{handle:08x}'), 'certificate-path': v('s', '/c.pem')})
        with os.fdopen(fds[0], 'rb') as file:
            system = yaml.safe_load(file)['system']
        key = system['privateKeyPath']
        self.assertEqual((key, system['certificateFilePath']), (f'handle:0x{handle:08x}', '/c.pem'))
        self.run_ok('openssl', 'req', '-new', *PROVIDERS, '-key', key, '-subj', '/CN=lite', '-out',
                    self.path('lite.csr'))
        self.run_ok('openssl', 'req', '-in', self.path('lite.csr'), '-verify', '-noout')
        self.issue('lite')
        server = ('openssl', 's_server', '-key', self.path('server.key'), '-cert', self.path('server.pem'), '-www',
                  '-accept', '127.0.0.1:0', '-Verify', '1', '-verify_return_error', '-CAfile', self.ca)
        with self.running(*server, until='ACCEPT ') as line:
            client = ('openssl', 's_client', *PROVIDERS, '-CAfile', self.ca, '-verify_return_error', '-tls1_3',
                      '-connect', line.split()[1], '-ign_eof', '-key', key, '-cert')
            result = self.run_any(*client, self.path('lite.pem'), input=b'GET / HTTP/1.0\r\n\r\n')
            self.assertIn(b'HTTP/1.0 200', result.stdout, result.stderr)
            wrong = self.run_any(*client, self.path('server.pem'), input=b'GET / HTTP/1.0\r\n\r\n')
            self.assertNotIn(b'HTTP/1.0 200', wrong.stdout)

    def test_nothing_is_left(self):
        before = self.persistent()
        handles = [self.create(), self.create()]
        self.assertEqual(self.handles(), handles)
        self.assertEqual(set(self.persistent()) - set(before), set(handles))
        public = {self.run_ok('tpm2_readpublic', '-c', f'0x{handle:08x}', '-f', 'pem', '-o', '/dev/stdout')
                  for handle in handles}
        self.assertEqual(len(public), 2)
        # what somebody else has put there by now is not ours
        self.run_ok('tpm2_evictcontrol', '-C', 'o', '-c', f'0x{handles[0]:08x}')
        self.run_ok('tpm2_createprimary', '-C', 'o', '-G', 'ecc', '-c', self.path('their.ctx'))
        self.run_ok('tpm2_evictcontrol', '-C', 'o', '-c', self.path('their.ctx'), f'0x{handles[0]:08x}')
        self.remove(handles[0])
        self.assertEqual(set(self.persistent()) - set(before), set(handles))
        self.run_ok('tpm2_evictcontrol', '-C', 'o', '-c', f'0x{handles[0]:08x}')
        # it is remembered
        self.daemon.terminate()
        self.daemon.start()
        self.assertEqual(self.handles(), handles[1:])
        self.remove(handles[1])
        self.assertEqual(self.persistent(), before)
        self.assertEqual(self.handles(), [])
        with self.assertRaises(bus.Error) as caught:
            self.remove(handles[1])
        self.assertEqual(caught.exception.name, 'org.ggtpm1.Error.NotFound')


if __name__ == '__main__':
    bus.main()
