#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Calls and words that are not used here."""

import re

import tree

CALLS = {
    r'\bgoto\b': 'g_autoptr and an early return do',
    r'\b(system|popen|execlp|execvp)\s*\(': 'no shell, no search path: GSubprocess with an absolute path',
    r'\bv?sprintf\s*\(': 'g_strdup_printf() or g_snprintf()',
    r'\b(strcpy|strcat|stpcpy|strncpy|strncat|gets|strtok|alloca|g_alloca)\s*\(': 'GLib knows the size',
    r'\b(atoi|atol|atoll|atof)\s*\(': 'g_ascii_string_to_unsigned() tells of errors',
    r'\b(mktemp|tmpnam|tempnam|g_mktemp)\s*\(': 'a race',
    r'\b(sleep|usleep|nanosleep|g_usleep)\s*\(': 'wait for the event',
    r'\b(setenv|putenv|g_setenv|unsetenv|g_unsetenv)\s*\(': 'the environment is shared by all threads',
    r'\bvolatile\b': 'no way to share between threads',
    r'\bsignal\s*\(': 'g_unix_signal_add() or sigaction()',
    r'\b(g_abort|abort)\s*\(': 'errors are returned',
    r'\bENGINE_\w+\s*\(': 'deprecated since OpenSSL 3.0',
}
# exit() is for the main files; tests may wait and set what they like.
MAIN_ONLY = {r'\b_?exit\s*\(': 'main() returns'}
MAIN_FILES = ('daemon/main.c', 'daemon/token-helper/main.c', 'daemon/token-verifier/main.c', 'client/ggtpmctl.c')
TESTS_MAY = ('sleep', 'setenv', 'abort', 'signal')

# Built in pieces, so that this file does not contain them.
WORDS = ['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK', 'WI' + 'P']
# Directories of machines on which this was written, and papers that are not in the tree, mean nothing to others.
PATHS = ['/wo' + 'rk/', '/ho' + 'me/', '/ro' + 'ot/', '/tmp/gg' + 'tpm/', 'design' + '.md', 'facts' + '/']

for path in tree.files(r'\.[ch]$'):
    text = tree.code(tree.read(path))
    rules = dict(CALLS)
    if path not in MAIN_FILES and not path.startswith('tests/'):
        rules.update(MAIN_ONLY)
    for pattern, remedy in rules.items():
        if path.startswith('tests/') and any(word in pattern for word in TESTS_MAY):
            continue
        for match in re.finditer(pattern, text):
            tree.complain(path, tree.line_of(text, match.start()), f'{match.group(0)}: {remedy}')

for path in tree.files():
    try:
        text = tree.read(path)
    except UnicodeDecodeError:
        continue
    for word in WORDS:
        for match in re.finditer(r'\b' + word + r'\b', text):
            tree.complain(path, tree.line_of(text, match.start()), f'{word}: do it or leave it out')
    for word in PATHS:
        for match in re.finditer(r'(?<![\w.*$}])' + re.escape(word), text):
            tree.complain(path, tree.line_of(text, match.start()), f'{word}: nothing that others have')

tree.finish()
