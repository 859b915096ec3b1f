#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl report: what is in it, with and without the daemon. That PINs are not, is tested on trees, in
tests/unit/test-report.c; here with the PIN of a living token."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus  # noqa: E402


class NoDaemon(cli.Case):
    def test_report(self):
        text = self.ok('report')
        for part in ('==== ggtpmctl report\n', '==== ggtpmctl doctor\n', '==== ggtpmd\n(does not run)\n',
                     '==== /proc/cmdline\n'):
            self.assertIn(part, text)
        self.assertIn('==== ggtpmctl doctor\n', self.ok('report', uid=bus.ALICE))


class Daemon(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()

    def test_report(self):
        self.ok('provision')
        text = self.ok('report')
        for part in ('/org/ggtpm1/tpm0 org.ggtpm1.Health\n', "  LockoutMax: ", "  Label: 'greengrass'\n",
                     "  Label: 'greenkey'\n"):
            self.assertIn(part, text)
        pins = os.path.join(self.daemon.state_dir, 'pins')
        names = os.listdir(pins)
        self.assertEqual(len(names), 2)
        for name in names:
            with open(os.path.join(pins, name), encoding='ascii') as file:
                self.assertNotIn(file.read().strip(), text)

    def test_file(self):
        path = self.path('report.txt')
        self.assertEqual(self.ok('report', '--out', path), '')
        with open(path, encoding='utf-8') as file:
            self.assertTrue(file.read().startswith('==== ggtpmctl report\n'))
        self.assertEqual(self.json('report', '--out', path), {'out': path})
        self.assertEqual(set(self.json('report')), {'report'})
        self.fails(1, 'Failed', 'report', '--out', self.path('no/such'))


if __name__ == '__main__':
    bus.main()
