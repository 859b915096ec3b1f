#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Who may include whom, which library is used where, and that no two files reach each other in a circle.

The rules are those of docs/architecture.md, "Who may include whom".
"""

import os
import re

import tree

# Folder, or file without its ending (which wins over its folder): what it may include besides its own folder, as
# folders or single headers.
ERRORS = ['dbus/error.h', 'dbus/names.h']
MAY_INCLUDE = {
    'dbus': ['ggtpm-generated.h', 'tabrmd-generated.h'],
    'common': ERRORS,
    'client': ['dbus', 'common', 'client/tcti/frame.h', 'ggtpm-generated.h'],
    'client/tcti': [],
    'daemon': ['daemon', 'common', 'dbus', 'client/tcti', 'ggtpm-generated.h', 'tabrmd-generated.h'],
    'daemon/bus': ['daemon/provision', 'daemon/greengrass', 'daemon/health', 'daemon/token', 'daemon/tpm',
                   'daemon/broker/broker.h', 'common', 'dbus', 'ggtpm-generated.h'],
    'daemon/provision': ['daemon/greengrass', 'daemon/token', 'daemon/health', 'daemon/tpm', 'common'] + ERRORS,
    'daemon/greengrass': ['daemon/token/uri.h', 'common'] + ERRORS,
    'daemon/token-helper': ['daemon/token/uri.h', 'daemon/token/protocol.h', 'daemon/token/unsynced.h',
                            'common'] + ERRORS,
    'daemon/token-verifier': ['daemon/token/protocol.h', 'common'] + ERRORS,
    'daemon/health': ['advisories-resource.h', 'daemon/token', 'daemon/tpm', 'common'] + ERRORS,
    'daemon/token': ['daemon/tpm', 'common'] + ERRORS,
    'daemon/tpm': ['client/tcti', 'common'] + ERRORS,
    'daemon/broker': ['client/tcti', 'common'],
    'daemon/broker/socket-frontend': ['common', 'dbus/names.h'],
    'daemon/broker/tabrmd-frontend': ['common', 'dbus', 'tabrmd-generated.h'],
}

# First part of a library's include: where it may stand, as folders or files without their endings.
LIBRARIES = {
    'tss2': ['daemon/broker', 'daemon/tpm', 'client/tcti', 'client/cmd-tpm', 'daemon/token/primary'],
    'systemd': ['common'],
    'openssl': ['daemon/token', 'common/certificate', 'daemon/token-helper'],
    'gnutls': ['daemon/token-verifier'],
    'json-c': ['daemon/token/helper-client', 'daemon/token-helper', 'daemon/token-verifier', 'daemon/greengrass',
               'daemon/provision/journal', 'client/output', 'client/config-patch'],
    'sqlite3.h': ['daemon/token/store-database', 'daemon/token/unsynced'],
    'yaml.h': ['common/yaml-values.c', 'daemon/greengrass'],
    'p11-kit': ['daemon/token/uri', 'daemon/token-helper'],
    'polkit': [],
    'dbus': [],
    'tpm2-pkcs11': [],
}
GENERATED = ('advisories-resource.h', 'ggtpm-generated.h', 'tabrmd-generated.h', 'build-config.h')


def stem(path):
    return re.sub(r'\.[ch]$', '', path)


def folder(path):
    return os.path.dirname(path)


def within(path, places):
    return any(path == place or stem(path) == place or path.startswith(place + '/') for place in places)


def resolve(path, name):
    """The file of the tree that an include in quotation marks means."""
    if name in GENERATED:
        return name
    for base in (folder(path), '', 'daemon'):
        candidate = os.path.normpath(os.path.join(base, name))
        if os.path.exists(os.path.join(tree.root, candidate)):
            return candidate
    return None


def check_ours(path, line, name, edges):
    target = resolve(path, name)
    if target is None:
        tree.complain(path, line, f'there is no {name}')
        return
    if '..' in name.split('/'):
        tree.complain(path, line, f'{name}: from the root or from its own folder')
    # A header without a .c is part of those who implement it: it makes no module of its own.
    is_module = path.endswith('.h') or os.path.exists(os.path.join(tree.root, stem(target) + '.c'))
    if target not in GENERATED and stem(target) != stem(path) and is_module:
        edges.setdefault(stem(path), {})[stem(target)] = (path, line)
    if target == 'build-config.h' or folder(target) == folder(path):
        return
    rule = MAY_INCLUDE.get(stem(path), MAY_INCLUDE.get(folder(path)))
    if rule is None:
        tree.complain(path, line, f'no rule for folder {folder(path)}')
    elif not within(target, rule):
        tree.complain(path, line, f'{folder(path)} may not include {name}')


def check_library(path, line, name):
    library = name.split('/')[0]
    if library in LIBRARIES and not within(path, LIBRARIES[library]):
        tree.complain(path, line, f'<{name}> has no place here')
    if os.path.exists(os.path.join(tree.root, name)) or name in GENERATED:
        tree.complain(path, line, f'<{name}> is ours: in quotation marks')


def check_order(path, includes):
    own = re.sub(r'\.c$', '.h', path)
    if path.endswith('.c') and os.path.exists(os.path.join(tree.root, own)):
        if not includes or not includes[0][1] or resolve(path, includes[0][2]) != own:
            tree.complain(path, includes[0][0] if includes else 1, 'its own header comes first')


def find_circle(edges):
    state = {}

    def visit(node, trail):
        state[node] = 'open'
        for target in sorted(edges.get(node, {})):
            if state.get(target) == 'open':
                circle = trail[trail.index(target):] if target in trail else [target]
                path, line = edges[node][target]
                tree.complain(path, line, 'a circle: ' + ' -> '.join(circle + [target]))
            elif target not in state:
                visit(target, trail + [target])
        state[node] = 'done'

    for node in sorted(edges):
        if node not in state:
            visit(node, [node])


edges = {}
for path in tree.files(r'^(dbus|common|client|daemon)/.*\.[ch]$'):
    includes = []
    for number, text in enumerate(tree.read(path).split('\n'), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', text)
        if match:
            includes.append((number, match.group(1) == '"', match.group(2)))
    for number, is_ours, name in includes:
        if is_ours:
            check_ours(path, number, name, edges)
        else:
            check_library(path, number, name)
    check_order(path, includes)
find_circle(edges)
tree.finish()
