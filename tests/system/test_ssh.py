#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""OpenSSH signs with a key in the chip, through its agent and libtpm2_pkcs11, and verifies."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
from consumers import MODULE, Case, need  # noqa: E402

TEXT = b'what is to be signed\n'


class Ssh(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need('ssh-keygen', 'ssh-agent', 'ssh-add')
        cls.provision_keys()

    def verify(self, name, text):
        return self.run_any('ssh-keygen', '-Y', 'verify', '-f', self.path('signers'), '-I', 'pump', '-n', 'file', '-s',
                            self.path(name + '.sig'), input=text).returncode

    def test_sign(self):
        socket = self.path('agent')
        askpass = self.path('askpass')
        with open(askpass, 'w', encoding='ascii') as file:
            file.write(f'#!/bin/sh\ncat {self.daemon.state_dir}/pins/greengrass.user\n')
        os.chmod(askpass, 0o700)
        env = self.env | {'SSH_AUTH_SOCK': socket, 'SSH_ASKPASS': askpass, 'SSH_ASKPASS_REQUIRE': 'force',
                          'DISPLAY': 'none'}
        with self.running('ssh-agent', '-D', '-a', socket, until='SSH_AUTH_SOCK', env=env):
            self.run_ok('ssh-add', '-s', MODULE, env=env)
            listed = self.run_ok('ssh-add', '-L', env=env).splitlines()
            self.assertEqual({line.split()[0] for line in listed}, {'ecdsa-sha2-nistp256', 'ssh-rsa'})
            for number, line in enumerate(listed):
                name = f'text-{number}'
                with self.subTest(line.split()[0]):
                    for path, data in ((name, TEXT), (name + '.pub', line.encode()),
                                       ('signers', b'pump ' + line.encode())):
                        with open(self.path(path), 'wb') as file:
                            file.write(data + b'\n' if path != name else data)
                    self.run_ok('ssh-keygen', '-Y', 'sign', '-f', self.path(name + '.pub'), '-n', 'file',
                                self.path(name), env=env)
                    self.assertEqual(self.verify(name, TEXT), 0)
                    self.assertNotEqual(self.verify(name, TEXT.upper()), 0)
        # they are the keys that were provisioned
        for key in self.keys:
            pem = self.run_ok('openssl', 'req', '-in', self.path(key + '.csr'), '-noout', '-pubkey')
            public = subprocess.run(['ssh-keygen', '-i', '-m', 'PKCS8', '-f', '/dev/stdin'], input=pem.encode(),
                                    capture_output=True, check=True).stdout.decode().split()[1]
            self.assertIn(public, ' '.join(listed))


if __name__ == '__main__':
    bus.main()
