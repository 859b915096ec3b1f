#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""mosquitto on both sides, as Greengrass and its devices talk: broker and clients prove themselves with keys in the
chip, by OpenSSL's engine and the module file that we write."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
from consumers import TIMEOUT_S, Case, need  # noqa: E402

PORT = 8883
CONFIG = """user root
per_listener_settings false
listener {port} 127.0.0.1
cafile {ca}
certfile {certificate}
tls_engine pkcs11
tls_keyform engine
keyfile {key}
require_certificate true
use_identity_as_username true
log_type all
log_dest stderr
"""


class Mqtt(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need('/usr/sbin/mosquitto', 'mosquitto_pub', 'mosquitto_sub')
        cls.provision_keys()
        cls.use_module_file()

    def client(self, name, key, certificate, *args):
        uri = self.uri(key)
        # mosquitto's clients open the key as a file before they give it to the engine
        with open(self.path(uri), 'w', encoding='ascii'):
            pass
        return [name, '-h', '127.0.0.1', '-p', str(PORT), '-t', 'pump/7', '-q', '1', '--cafile', self.ca, '--cert',
                self.path(certificate + '.pem'), '--tls-engine', 'pkcs11', '--keyform', 'engine', '--key', uri, *args]

    def test_message(self):
        for key, other in (('greenkey', 'rsakey'), ('rsakey', 'greenkey')):
            with self.subTest(broker=key, clients=other):
                config = self.path('mosquitto.conf')
                with open(config, 'w', encoding='ascii') as file:
                    file.write(CONFIG.format(port=PORT, ca=self.ca, certificate=self.path(key + '.pem'),
                                             key=self.uri(key)))
                with self.running('/usr/sbin/mosquitto', '-c', config, until='running', stream='stderr',
                                  env=self.plain_env):
                    self.run_ok(*self.client('mosquitto_pub', other, other, '-r', '-m', 'seven'), cwd=self.dir,
                                env=self.plain_env)
                    heard = self.run_ok(*self.client('mosquitto_sub', other, other, '-C', '1', '-W', str(TIMEOUT_S)),
                                        cwd=self.dir, env=self.plain_env)
                    self.assertEqual(heard, 'seven\n')
                    wrong = self.run_any(*self.client('mosquitto_pub', other, key, '-m', 'eight'), cwd=self.dir,
                                         env=self.plain_env)
                    self.assertNotEqual(wrong.returncode, 0)


if __name__ == '__main__':
    bus.main()
