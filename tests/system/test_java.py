#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Java, because Greengrass V2's nucleus is: SunPKCS11 with library, slot and PIN out of our config.yaml, TLS 1.2
and 1.3 with both sides proving themselves by a key in the chip."""

import glob
import os
import subprocess
import sys
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
from consumers import PROVISIONING, TIMEOUT_S, Case  # noqa: E402

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'MutualTls.java')
HANDSHAKES = ['TLSv1.2 EC 42', 'TLSv1.3 EC 42', 'TLSv1.2 RSA 42', 'TLSv1.3 RSA 42']


class Java(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        found = sorted(glob.glob('/usr/lib/jvm/java-17-openjdk-*/bin/java'))
        if not found:
            raise unittest.SkipTest('not installed: openjdk-17-jre-headless')
        cls.java = found[0]
        cls.provision_keys()
        _, _, fds = cls.caller.call(bus.ROOT, PROVISIONING, 'RenderConfig', '(sa{sv})', 'v2', {})
        with os.fdopen(fds[0], 'rb') as file:
            services = yaml.safe_load(file)['services']
        cls.provider = services['aws.greengrass.crypto.Pkcs11Provider']['configuration']

    def shake_hands(self, *keys, pin=None):
        config = self.path('sunpkcs11')
        with open(config, 'w', encoding='ascii') as file:
            file.write('name={name}\nlibrary={library}\nslot={slot}\n'.format(**self.provider))
        command = [self.java, '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', SOURCE, config, self.ca, *keys]
        return subprocess.run(command,
                              env=self.env, input=(pin or self.provider['userPin']).encode(), capture_output=True,
                              timeout=2 * TIMEOUT_S, check=False)

    def test_mutual_tls(self):
        result = self.shake_hands('greenkey', 'rsakey')
        self.assertEqual(result.stdout.decode().splitlines(), HANDSHAKES, result.stderr.decode()[-4000:])
        self.assertEqual(result.returncode, 0)

    def test_without_the_key(self):
        result = self.shake_hands('nokey')
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(result.stdout, b'')


if __name__ == '__main__':
    bus.main()
