#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Every key of the configuration is in its man page, and the example has no other."""

import re

import tree

SOURCE = 'common/config.c'
MAN = 'docs/man/ggtpmd.conf.5'
EXAMPLE = 'systemd/ggtpmd.conf'

present = tree.files('^' + re.escape(SOURCE) + '$', '^' + re.escape(MAN) + '$', '^' + re.escape(EXAMPLE) + '$')
if len(present) == 3:
    source = tree.read(SOURCE)
    known = {}
    for match in re.finditer(r'^\s*{\s*"(\w+)",\s*"(\w+)",\s*VALUE_', source, re.M):
        known[match.group(1), match.group(2)] = tree.line_of(source, match.start(1))
    man = tree.read(MAN).replace('\\-', '-')
    for (group, key), line in known.items():
        if not re.search(r'\b' + key + r'\b', man):
            tree.complain(SOURCE, line, f'{key} in [{group}] is not in {MAN}')
    group = None
    for number, text in enumerate(tree.read(EXAMPLE).split('\n'), 1):
        if match := re.match(r'\[(\w+)\]', text):
            group = match.group(1)
        elif (match := re.match(r'#?([A-Z]\w*)=', text)) and (group, match.group(1)) not in known:
            tree.complain(EXAMPLE, number, f'there is no {match.group(1)} in [{group}]')
    if len(known) < 10:
        tree.complain(SOURCE, 1, 'the table of keys is not as this check knows it')

tree.finish()
