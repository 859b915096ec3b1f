#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""tools/count-tests.py: nothing that failed or was skipped counts as passed."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

COUNT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tools/count-tests.py')

PLAIN = {'name': 'plain', 'result': 'OK', 'stdout': 'whatever\n'}
TAP = {'name': 'tap', 'result': 'OK', 'stdout': 'TAP version 13\nok 1 /a\nok 2 /b # SKIP no chip\n1..2\n'}
TAP_FAILED = {'name': 'tap', 'result': 'FAIL', 'stdout': 'ok 1 /a\nnot ok 2 /b\n'}
TAP_CRASHED = {'name': 'tap', 'result': 'FAIL', 'stdout': 'ok 1 /a\n'}
UNITTEST = {'name': 'unittest', 'result': 'OK',
            'stderr': '...s.\n----\nRan 5 tests in 0.001s\n\nOK (skipped=1)\n'}
UNITTEST_FAILED = {'name': 'unittest', 'result': 'FAIL',
                   'stderr': 'Ran 5 tests in 0.001s\n\nFAILED (failures=1, errors=1, skipped=1)\n'}
SKIP = {'name': 'skip', 'result': 'SKIP', 'stdout': 'needs root\n'}
EXCUSED = {'name': 'skip', 'result': 'SKIP', 'stdout': 'not possible here: no TPM of Infineon\n'}
TIMEOUT = {'name': 'slow', 'result': 'TIMEOUT', 'stdout': ''}


class Count(unittest.TestCase):
    def count(self, *tests, options=()):
        with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
            file.write('\n'.join(json.dumps(test) for test in tests))
            file.flush()
            result = subprocess.run([sys.executable, COUNT, *options, file.name], stdout=subprocess.PIPE, text=True,
                                    check=False)
        return result.returncode, result.stdout.splitlines()[-1]

    def test_counts(self):
        for tests, expected in (
                ([PLAIN], (0, '1 passed, 0 failed')),
                ([TAP], (0, '1 passed, 0 failed, 1 skipped')),
                ([TAP_FAILED], (1, '1 passed, 1 failed')),
                ([TAP_CRASHED], (1, '1 passed, 1 failed')),
                ([UNITTEST], (0, '4 passed, 0 failed, 1 skipped')),
                ([UNITTEST_FAILED], (1, '2 passed, 2 failed, 1 skipped')),
                ([PLAIN, SKIP], (0, '1 passed, 0 failed, 1 skipped')),
                ([PLAIN, TIMEOUT], (1, '1 passed, 1 failed')),
                ([SKIP], (1, '0 passed, 0 failed, 1 skipped'))):
            with self.subTest(tests=tests):
                self.assertEqual(self.count(*tests), expected)

    def test_no_skips(self):
        for tests, expected in (
                ([PLAIN, SKIP], (1, '1 passed, 1 failed')),
                ([PLAIN, EXCUSED], (0, '1 passed, 0 failed, 1 skipped')),
                ([TAP], (1, '1 passed, 1 failed')),
                ([UNITTEST], (1, '4 passed, 1 failed'))):
            with self.subTest(tests=tests):
                self.assertEqual(self.count(*tests, options=['--no-skips']), expected)

    def test_no_log(self):
        result = subprocess.run([sys.executable, COUNT, '/nowhere'], stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual((result.returncode, result.stdout.splitlines()[-1]), (1, '0 passed, 1 failed'))


if __name__ == '__main__':
    unittest.main()
