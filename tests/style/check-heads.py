#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The two SPDX lines at the top of every file that can have them, and #pragma once in every header."""

import re

import tree

LICENSE = r'SPDX-License-Identifier: BSD-2-Clause'
COPYRIGHT = r'SPDX-FileCopyrightText: the ggtpmd authors'
# What has no comments, or whose comments its reader sees.
WITHOUT = (r'^LICENSE$|^\.(gitignore|editorconfig|clang-format)$|^meson_options\.txt$|^README\.md$|\.umockdev$|'
           r'\.(json|pem|der|bin|csr|golden|expected|txt)$|^systemd/(ggtpmd|provision)\.conf|'
           r'^tests/(fuzz/corpus|data|[a-z]+/data)/')

for path in tree.files():
    if re.search(WITHOUT, path):
        continue
    try:
        head = '\n'.join(tree.read(path).split('\n')[:8])
    except UnicodeDecodeError:
        tree.complain(path, 1, 'not text')
        continue
    for what in (COPYRIGHT, LICENSE):
        if not re.search(what, head):
            tree.complain(path, 1, f'no line `{what}`')

for path in tree.files(r'\.h$'):
    if not re.search(r'^#pragma once$', tree.read(path), re.M):
        tree.complain(path, 1, 'no #pragma once')

tree.finish()
