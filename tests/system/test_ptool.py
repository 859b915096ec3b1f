#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""tpm2_ptool on our store, and our daemon on one of tpm2_ptool's."""

import os
import shutil
import sys

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
from consumers import KEY, Case, need  # noqa: E402

PIN = 'hand-made 1'


class Ours(Case):
    KEYS = {'greenkey': 'ecc-p256'}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        need('tpm2_ptool')
        cls.provision_keys()

    def ptool(self, *args):
        env = self.env | {'TPM2TOOLS_TCTI': self.tcti}
        return self.run_ok('tpm2_ptool', *args, '--path', self.store, env=env)

    def test_list(self):
        tokens = yaml.safe_load(self.ptool('listtokens', '--pid', '1'))
        self.assertEqual([token['label'] for token in tokens], ['greengrass'])
        objects = yaml.safe_load(self.ptool('listobjects', '--label', 'greengrass'))
        self.assertEqual({(row['CKA_CLASS'], row['CKA_LABEL']) for row in objects},
                         {(kind, 'greenkey') for kind in ('CKO_PUBLIC_KEY', 'CKO_PRIVATE_KEY', 'CKO_CERTIFICATE')})
        self.assertEqual(len({str(row['CKA_ID']) for row in objects}), 1)

    def test_verify(self):
        with open(self.daemon.state_dir + '/pins/greengrass.so', encoding='ascii') as file:
            so_pin = file.read().strip()
        self.ptool('verify', '--label', 'greengrass', '--userpin', self.pin, '--sopin', so_pin)
        env = self.env | {'TPM2TOOLS_TCTI': self.tcti}
        wrong = self.run_any('tpm2_ptool', 'verify', '--label', 'greengrass', '--userpin', 'wrong', '--path',
                             self.store, env=env)
        self.assertNotEqual(wrong.returncode, 0)


class Theirs(Case):
    def test_adopted(self):
        need('tpm2_ptool')
        env = self.env | {'TPM2TOOLS_TCTI': self.tcti}

        def ptool(*args):
            self.run_ok('tpm2_ptool', *args, '--path', self.store, env=env)
        # as root; the store becomes the daemon's afterwards, as docs/security.md has it
        shutil.rmtree(self.store)
        os.mkdir(self.store)
        ptool('init')
        ptool('addtoken', '--pid', '1', '--sopin', PIN, '--userpin', PIN, '--label', 'byhand')
        ptool('addkey', '--algorithm', 'ecc256', '--label', 'byhand', '--userpin', PIN, '--key-label', 'bykey')
        for path in (self.store, *(os.path.join(self.store, name) for name in os.listdir(self.store))):
            shutil.chown(path, 'tss', 'ggtpm')
        self.daemon.terminate()
        self.daemon.start()
        tokens = {values['org.ggtpm1.Token']['Label'] for values in self.caller.objects().values()
                  if 'org.ggtpm1.Token' in values}
        self.assertEqual(tokens, {'byhand'})
        path, values = next((path, values[KEY]) for path, values in self.caller.objects().items() if KEY in values)
        self.assertEqual((values['Label'], values['Algorithm'], values['Created']), ('bykey', 'ecc-p256', 0))
        self.assertEqual(values['Parent'] >> 24, 0x81)
        fd = bus.memfd(PIN.encode())
        self.addCleanup(os.close, fd)
        signature = self.caller.call(path, KEY, 'Sign', '(aya{sv})', b'text', {'pin': bus.GLib.Variant.new_handle(0)},
                                     fds=[fd])
        self.assertTrue(self.caller.call(path, KEY, 'Verify', '(ayaya{sv})', b'text', bytes(signature), {}))


if __name__ == '__main__':
    bus.main()
