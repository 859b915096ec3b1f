#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""File stem = type = function prefix: what a header declares is called as the header, or as a type that it defines.

`ggtpm_` stands in front only of what leaves the process: the error domain and the TCTI.
"""

import os
import re

import tree

# What other people's interfaces call so, and what has no type of its own.
EXCEPTIONS = {
    'client/tcti/tcti-ggtpm.h': ['Tss2_Tcti_Ggtpm_'],
    'daemon/health/rules.h': ['health_severity_'],
}
LEAVES_THE_PROCESS = ('dbus/', 'client/tcti/')


def snake(name):
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower()


def prefixes(path, text):
    stem = os.path.basename(path)[:-2].replace('-', '_')
    found = {stem + '_'}
    for name in re.findall(r'\btypedef\s+(?:struct|enum)\s+_?(\w+)\s+\w+\s*;', text):
        found.add(snake(name.lstrip('_')) + '_')
    for name in re.findall(r'^}\s*(\w+)\s*;', text, re.M):
        found.add(snake(name) + '_')
    for name in re.findall(r'G_DECLARE_\w+_TYPE\s*\(\s*(\w+)', text):
        found.add(snake(name) + '_')
    # A header without a .c of its own tells the others of its folder what they may call.
    if not os.path.exists(os.path.join(tree.root, path[:-2] + '.c')):
        for name in os.listdir(os.path.join(tree.root, os.path.dirname(path))):
            if name.endswith('.c'):
                found.add(name[:-2].replace('-', '_') + '_')
    if path.startswith(LEAVES_THE_PROCESS):
        found.add('ggtpm_' + stem + '_')
    return tuple(found) + tuple(EXCEPTIONS.get(path, ()))


def declarations(text):
    """Names of functions with the offsets of their declarations."""
    text = re.sub(r'^[ \t]*#(?:.*\\\n)*.*', lambda match: re.sub(r'[^\n]', ' ', match.group(0)), text, flags=re.M)
    for match in re.finditer(r'(?<![\w.])([A-Za-z_]\w*)\s*\((?=[^;{}]*\)[^;{}]*;)', text):
        name = match.group(1)
        before = text[:match.start()].rstrip()
        # Only where a type stands in front: not a macro, not a pointer to a function.
        if re.search(r'[\w*]$', before) and not name.isupper() and not name.startswith('G_') and depth(before) == 0:
            if not re.search(r'\b(typedef|return)\b[^;]*$', before):
                yield name, match.start(1)


def depth(text):
    return sum(text.count(c) for c in '({') - sum(text.count(c) for c in ')}')


for path in tree.files(r'^(common|client|daemon|dbus)/.*\.h$'):
    text = tree.code(tree.read(path))
    allowed = prefixes(path, text)
    for name, offset in declarations(text):
        if not name.startswith(allowed):
            tree.complain(path, tree.line_of(text, offset), f'{name}: should begin with {" or ".join(sorted(allowed))}')
        elif name.startswith('ggtpm_') and not path.startswith(LEAVES_THE_PROCESS):
            tree.complain(path, tree.line_of(text, offset), f'{name}: no project prefix inside our executables')

for path in tree.files(r'^(common|client|daemon)/.*\.c$'):
    text = tree.code(tree.read(path))
    for match in re.finditer(r'^static\b[^;={]*?\b(ggtpm_\w+)\s*\(', text, re.M):
        if not path.startswith(LEAVES_THE_PROCESS):
            tree.complain(path, tree.line_of(text, match.start(1)), f'{match.group(1)}: statics have no project prefix')

for path in tree.files(r'\.[ch]$'):
    if not re.fullmatch(r'[a-z0-9]+(-[a-z0-9]+)*\.[ch]', os.path.basename(path)):
        tree.complain(path, 1, 'lower case and dashes')

tree.finish()
