#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""No C file above 800 lines, no header above 400, no function above 80."""

import json
import shutil

import tree

FILE_MAX = {'.c': 800, '.h': 400}
FUNCTION_MAX = 80

sources = tree.files(r'\.[ch]$')
for path in sources:
    lines = tree.read(path).count('\n')
    if lines > FILE_MAX[path[-2:]]:
        tree.complain(path, lines, f'{lines} lines, at most {FILE_MAX[path[-2:]]}')

ctags = 'ctags-universal' if shutil.which('ctags-universal') else 'ctags'
status, output = tree.output_of(ctags, '--options=NONE', '--output-format=json', '--fields=+ne', '--kinds-C=f',
                                '-I', 'G_GNUC_WARN_UNUSED_RESULT,G_GNUC_PRINTF+,G_GNUC_UNUSED,G_GNUC_NORETURN',
                                '-f', '-', *sources)
functions = [json.loads(line) for line in output.splitlines() if line.startswith('{')]
for function in functions:
    length = function['end'] - function['line'] + 1
    if length > FUNCTION_MAX:
        tree.complain(function['path'], function['line'], f'{function["name"]}: {length} lines, at most {FUNCTION_MAX}')
if status != 0 or not functions:
    tree.complain(ctags, 1, 'found no function: ' + output)

tree.finish()
