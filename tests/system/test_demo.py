#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The demonstration: from a bare chip to mutual TLS by curl and gnutls-cli, for both algorithms and twice."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

DEMO = os.path.join(os.environ['GGTPM_SOURCE_DIR'], 'tools/demo')


def demo(*arguments, **environment):
    result = subprocess.run([DEMO, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False, env=os.environ | environment)
    return result.returncode, result.stdout


class Demo(unittest.TestCase):
    maxDiff = None

    def check(self, output):
        self.assertRegex(output, r'All \d+ steps went well')
        self.assertIn('self-signature verify OK', output)
        self.assertIn('pkcs11:token=greengrass;object=greenkey;type=private', output)
        # A PIN is 30 characters of this alphabet, and nobody is to see one.
        self.assertNotRegex(output, r'(?i)pin"?: *"?[a-z2-7]{30}')

    def test_twice(self):
        with tempfile.TemporaryDirectory(prefix='ggtpm-') as state:
            status, first = demo('--state-dir', state)
            self.assertEqual(status, 0, first)
            self.check(first)
            status, second = demo('--state-dir', state)
            self.assertEqual(status, 0, second)
            self.check(second)
            self.assertIn('byte for byte what it was', second)
            self.assertIn('its public key is that of the first run', second)

    def test_rsa(self):
        status, output = demo('--algorithm', 'rsa-2048')
        self.assertEqual(status, 0, output)
        self.check(output)

    def test_failure_is_told(self):
        # A program that it needs fails: so does the step, by name, and so does the whole.
        with tempfile.TemporaryDirectory(prefix='ggtpm-') as directory:
            path = os.path.join(directory, 'curl')
            with open(path, 'w', encoding='ascii') as file:
                file.write('#!/bin/sh\nexit 7\n')
            os.chmod(path, 0o755)
            status, output = demo(PATH=directory + ':' + os.environ['PATH'])
        self.assertNotEqual(status, 0)
        self.assertRegex(output, r'FAILED: step \d+, curl does mutual TLS')

    def test_arguments(self):
        self.assertEqual(demo('--nonsense')[0], 2)
        self.assertEqual(demo('--algorithm', 'dsa')[0], 2)

    def test_nothing_is_left(self):
        before = set(os.listdir('/tmp'))
        status, output = demo()
        self.assertEqual(status, 0, output)
        run = re.search(r'unix:path=(/tmp/ggtpm-demo\.\w+)/', output).group(1)
        self.assertNotIn(os.path.basename(run), before)
        self.assertFalse(os.path.exists(run))
        # Nobody has it in its arguments any more.
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', encoding='utf-8', errors='replace') as file:
                    self.assertNotIn(run, file.read())
            except (FileNotFoundError, ProcessLookupError):
                continue


if __name__ == '__main__':
    if os.geteuid() != 0:
        print('needs root: the policy of the bus lets only root and tss own the names')
        sys.exit(77)
    unittest.main()
