#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Every issue of the table and of the advisories has its text in the journal's catalog, under the MESSAGE_ID that
follows from its id, and is in the man page; neither has others. And each is raised by a row of the table test.
"""

import re
import uuid

import tree

TABLE = 'daemon/health/rules-table.c'
ADVISORIES = 'daemon/health/advisories.conf'
LOG = 'common/log.c'
CATALOG = 'systemd/ggtpmd.catalog'
MAN = 'docs/man/ggtpmd.8'
ROWS = 'tests/tpm/test-health-table.c'

present = tree.files(*('^' + re.escape(path) + '$' for path in (TABLE, ADVISORIES, LOG, CATALOG, MAN, ROWS)))


def find(path, pattern, text):
    return {match.group(1): tree.line_of(text, match.start(1)) for match in re.finditer(pattern, text, re.M)}


def can_be_raised(issue):
    """Not an advisory of which nobody has said what is affected: its verdict is at most unknown."""
    return not re.search(r'^\[' + re.escape(issue) + r'\](?:\n[^\[\n]+)*\nAffected=$', tree.read(ADVISORIES), re.M)


def check_rows(issues):
    rows = tree.read(ROWS)
    words = ' '.join(re.findall(r'"((?:\\.|[^"\\])*)"', rows)).split()
    for issue, (path, line) in issues.items():
        if issue not in words and can_be_raised(issue):
            tree.complain(path, line, f'{issue} is in no row of {ROWS}')


if len(present) == 6:
    issues = {}
    for path, pattern in ((TABLE, r'^  \{ "([a-z0-9_.-]+)", (?:FAILED|DEGRADED|INFO),'), (ADVISORIES, r'^\[(.+)\]$')):
        found = find(path, pattern, tree.read(path))
        if not found:
            tree.complain(path, 1, 'is not as this check knows it')
        issues.update({issue: (path, line) for issue, line in found.items()})
    namespace = uuid.UUID(re.search(r'Random, fixed for ever: ([0-9a-f-]+)', tree.read(LOG)).group(1))
    catalog = find(CATALOG, r'^-- ([0-9a-f]{32})$', tree.read(CATALOG))
    named = find(CATALOG, r'^This is the issue (\S+)\.$', tree.read(CATALOG))
    texts = dict(re.findall(r'^-- ([0-9a-f]{32})\n(?:.+\n)+\nThis is the issue (\S+)\.$', tree.read(CATALOG), re.M))
    section = re.search(r'^\.SH ISSUES$(.*?)^\.SH', tree.read(MAN), re.M | re.S)
    listed = find(MAN, r'^\.TP\n\.B (\S+)$', section.group(1) if section else '')
    for issue, (path, line) in issues.items():
        if texts.get(uuid.uuid5(namespace, issue).hex) != issue:
            tree.complain(path, line, f'{issue} is not in {CATALOG} as {uuid.uuid5(namespace, issue).hex}')
        if issue not in listed:
            tree.complain(path, line, f'{issue} is not under ISSUES in {MAN}')
    for issue, line in named.items():
        if issue not in issues:
            tree.complain(CATALOG, line, f'there is no issue {issue}')
    for issue in listed:
        if issue not in issues:
            tree.complain(MAN, 1, f'there is no issue {issue}')
    for identifier in re.findall(r'"([0-9a-f]{32})"', tree.read(LOG)):
        if identifier not in catalog:
            tree.complain(LOG, 1, f'{identifier} has no text in {CATALOG}')
    check_rows(issues)

tree.finish()
