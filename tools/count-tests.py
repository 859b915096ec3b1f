#!/usr/bin/env python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""count-tests.py [--no-skips] TESTLOG.JSON...: counts what meson's tests did and prints `N passed, N failed`.

A program that speaks TAP or is a Python unittest counts as many tests as it says it ran; any other counts as one. With
--no-skips a skipped test has failed, unless its reason begins with `not possible here`.
"""

import json
import re
import sys

EXCUSE = 'not possible here'
BAD = ('FAIL', 'TIMEOUT', 'ERROR', 'INTERRUPT', 'UNEXPECTEDPASS')


def count_tap(output):
    """Passed, failed, and the reasons of those skipped."""
    passed, failed, skipped = 0, 0, []
    for match in re.finditer(r'^(not )?ok\b(.*)$', output, re.M):
        skip = re.search(r'# SKIP\b\s*(.*)', match.group(2), re.I)
        if match.group(1):
            failed += 1
        elif skip:
            skipped.append(skip.group(1))
        else:
            passed += 1
    return passed, failed, skipped


def count_unittest(output):
    passed, failed, skipped = 0, 0, []
    for match in re.finditer(r'^Ran (\d+) tests? in .*\n\n(.*)$', output, re.M):
        numbers = {name: int(number) for name, number in re.findall(r'(\w+)=(\d+)', match.group(2))}
        bad = numbers.get('failures', 0) + numbers.get('errors', 0)
        failed += bad
        skipped += re.findall(r"\.\.\. skipped ['\"](.*)['\"]$", output, re.M)
        while len(skipped) < numbers.get('skipped', 0):
            skipped.append('run it with -v for the reason')
        passed += max(int(match.group(1)) - bad - numbers.get('skipped', 0), 0)
    return passed, failed, skipped


def count(test):
    output = (test.get('stdout') or '') + '\n' + (test.get('stderr') or '')
    passed, failed, skipped = count_tap(output)
    if passed + failed + len(skipped) == 0:
        passed, failed, skipped = count_unittest(output)
    if test['result'] == 'SKIP':
        return 0, 0, skipped or [output.strip()]
    if test['result'] in BAD:
        return passed, max(failed, 1), skipped
    if passed + failed + len(skipped) == 0:
        passed = 1
    return passed, failed, skipped


def main():
    no_skips = '--no-skips' in sys.argv
    total = [0, 0, 0]
    for path in sys.argv[1:]:
        if path.startswith('--'):
            continue
        try:
            with open(path, encoding='utf-8') as file:
                tests = [json.loads(line) for line in file]
        except OSError as error:
            print(error)
            tests = [{'name': path, 'result': 'ERROR'}]
        for test in tests:
            passed, failed, skipped = count(test)
            forgiven = [reason for reason in skipped if not no_skips or reason.startswith(EXCUSE)]
            for reason in skipped:
                verdict = 'skipped' if reason in forgiven else 'skipped, which counts as failed'
                print(f'{test["name"]}: {verdict}: {reason}')
            total[0] += passed
            total[1] += failed + len(skipped) - len(forgiven)
            total[2] += len(forgiven)
    print(f'{total[0]} passed, {total[1]} failed' + (f', {total[2]} skipped' if total[2] else ''))
    sys.exit(1 if total[1] or not total[0] else 0)


if __name__ == '__main__':
    main()
