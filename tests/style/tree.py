# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What the checks of this folder share: the files of the source tree, and how a complaint looks.

A check is run with the source directory as its only argument. It prints one line `file:line: what is wrong` for each
complaint, and fails if there was one, or if it found nothing to look at.
"""

import os
import re
import subprocess
import sys

root = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.getcwd()
complaints = []
looked_at = 0


def files(*patterns, under=''):
    """Paths relative to the root whose names match one of the regular expressions; no build directory, nothing hidden
    but what stands at the top."""
    global looked_at
    found = []
    for directory, names, leaves in os.walk(os.path.join(root, under)):
        if 'meson-private' in names:
            names[:] = []
            continue
        relative = os.path.relpath(directory, root)
        names[:] = sorted(n for n in names if n != '__pycache__' and (not n.startswith('.') or n == '.ci'))
        for leaf in sorted(leaves):
            path = os.path.normpath(os.path.join(relative, leaf))
            if not patterns or any(re.search(p, path) for p in patterns):
                found.append(path)
    looked_at += len(found)
    return found


def read(path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        return file.read()


def is_script(path, *interpreters):
    with open(os.path.join(root, path), 'rb') as file:
        first = file.readline(200)
    return first.startswith(b'#!') and any(name.encode() in first for name in interpreters)


def code(text):
    """C without comments and the insides of strings, with every line where it was."""
    def blank(match):
        word = match.group(0)
        if word.startswith('/'):
            return re.sub(r'[^\n]', ' ', word)
        return word[0] + ' ' * (len(word) - 2) + word[-1]
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def complain(path, line, text):
    complaints.append(f'{path}:{line}: {text}')


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


def output_of(*command):
    """Standard output and error of a program that is allowed to fail; exit 77 where it is not installed."""
    try:
        result = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, check=False)
    except FileNotFoundError:
        print('not installed: ' + command[0])
        sys.exit(77)
    return result.returncode, result.stdout


def finish():
    for text in complaints:
        print(text)
    print(f'{looked_at} files, {len(complaints)} complaints')
    sys.exit(1 if complaints or looked_at == 0 else 0)
