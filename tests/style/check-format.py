#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""C is formatted as .clang-format says; no line of any source or page is longer than 120 characters, but for
the rows of a page's tables."""

import re

import tree

sources = tree.files(r'\.[ch]$')
status, output = tree.output_of('clang-format', '--version')
if 'version 14.' not in output:
    print('another version formats otherwise: ' + output.strip())
    raise SystemExit(77)

status, output = tree.output_of('clang-format', '--dry-run', '--style=file', *sources)
seen = set()
for match in re.finditer(r'^(\S+):(\d+):\d+: (?:warning|error): code should be clang-formatted', output, re.M):
    if match.group(1) not in seen:
        seen.add(match.group(1))
        tree.complain(match.group(1), match.group(2), 'clang-format would change this (and perhaps more)')
if status != 0 and not seen:
    tree.complain('.clang-format', 1, output)

for path in sources + tree.files(r'\.(py|build|txt|in|rules|xml|md)$', r'^tools/', r'^\.ci/'):
    for number, line in enumerate(tree.read(path).split('\n'), 1):
        if len(line) > 120 and not (path.endswith('.md') and line.startswith('|')):
            tree.complain(path, number, f'{len(line)} characters')
        if line != line.rstrip():
            tree.complain(path, number, 'white space at the end of the line')
        if '\t' in line:
            tree.complain(path, number, 'a tab')

tree.finish()
