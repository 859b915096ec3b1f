#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Every C file and every test is named in the meson.build of its folder."""

import os
import re

import tree


def names_in(folder):
    """Words of the meson.build of a folder, or of the nearest one above."""
    while True:
        path = os.path.join(folder, 'meson.build')
        if os.path.exists(os.path.join(tree.root, path)):
            return tree.read(path)
        if folder == '':
            return ''
        folder = os.path.dirname(folder)


for path in tree.files(r'\.c$', r'^tests/.*(test|check)[-_][\w-]+\.(py|sh)$'):
    name = os.path.basename(path)
    text = names_in(os.path.dirname(path))
    # A table of tests may leave out what all have in common.
    stem = re.sub(r'\.\w+$', '', name)
    short = re.sub(r'^(test|check)[-_]', '', stem)
    tests = path.startswith('tests/')
    if not re.search(r"'(?:[\w./-]*/)?" + re.escape(name) + r"'", text) and not (
            tests and re.search(rf"'({re.escape(stem)}|{re.escape(short)})'", text)):
        tree.complain(path, 1, 'in no meson.build')

tree.finish()
