#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""pyflakes has nothing to say about the Python, shellcheck nothing about the shell; what has a #! can be run."""

import os
import re
import sys

import tree

everything = tree.files()
python = [path for path in everything if path.endswith('.py') or tree.is_script(path, 'python3')]
shell = [path for path in everything if path.endswith('.sh') or tree.is_script(path, '/sh', '/bash', 'env bash')]

for path in python:
    try:
        compile(tree.read(path), path, 'exec')
    except SyntaxError as error:
        tree.complain(path, error.lineno, error.msg)

status, output = tree.output_of(sys.executable, '-m', 'pyflakes', *python)
if 'No module named pyflakes' in output:
    print('not installed: pyflakes')
    raise SystemExit(77)
for line in output.splitlines():
    match = re.match(r'(\S+?):(\d+):(?:\d+:?)? (.*)', line)
    tree.complain(*(match.groups() if match else ('pyflakes', 1, line)))

if shell:
    status, output = tree.output_of('shellcheck', '--format=gcc', *shell)
    for line in output.splitlines():
        match = re.match(r'(\S+?):(\d+):\d+: (.*)', line)
        tree.complain(*(match.groups() if match else ('shellcheck', 1, line)))

for path in everything:
    executable = os.access(os.path.join(tree.root, path), os.X_OK)
    if executable != tree.is_script(path, '/'):
        tree.complain(path, 1, 'executable without #!' if executable else '#! and not executable')

tree.finish()
