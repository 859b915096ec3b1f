#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""D-Bus XML: well-formed; every interface, method, argument, property and signal documented with @since; a mutating
method ends in a{sv} options; no property can be written. polkit's actions follow their DTD. The bus policy lets every
interface through, and docs/security.md lists the methods of each action as the gate's table has them."""

import os
import re
import xml.etree.ElementTree as ElementTree

import tree

GATE = 'daemon/bus/gate-table.c'
BUS_POLICY = 'dbus/org.ggtpm1.conf.in'
SECURITY = 'docs/security.md'
POLKIT_DTD = '/usr/share/polkit-1/policyconfig-1.dtd'
# Methods that change nothing or whose signature is somebody else's.
WITHOUT_OPTIONS = ('org.ggtpm1.Key.GetCertificate', 'org.ggtpm1.Device.ReadClock', 'org.ggtpm1.Device.GetRandom',
                   'org.ggtpm1.Device.Hash', 'org.ggtpm1.Device.GetProperties', 'org.ggtpm1.Health.GetTestResult',
                   'org.ggtpm1.Platform.ReadPcrs', 'com.intel.tss2.TctiTabrmd.')


def comments(text):
    """Documentation blocks: the name at the top of each, and its text."""
    found = {}
    for match in re.finditer(r'<!--\s*([\w.]+):\s*\n(.*?)-->', text, re.S):
        found.setdefault(match.group(1), []).append(match.group(2))
    return found


def check_block(path, line, name, blocks, args):
    if not blocks.get(name):
        tree.complain(path, line, f'{name} has no documentation')
        return
    block = blocks[name].pop(0)
    if not re.search(r'@since: \d+', block):
        tree.complain(path, line, f'{name} has no @since')
    for arg in args:
        if arg is None or not re.search(r'@' + re.escape(arg) + r':', block):
            tree.complain(path, line, f'{name}: argument {arg} is not documented')
    for documented in re.findall(r'@(\w+):', block):
        if documented not in list(args) + ['since', 'short_description']:
            tree.complain(path, line, f'{name}: there is no argument {documented}')


def check_interface(path, text, interface):
    blocks = comments(text)
    name = interface.get('name')
    check_block(path, 1, name, blocks, [])
    for member in interface:
        if member.tag not in ('method', 'signal', 'property'):
            continue
        line = tree.line_of(text, text.index(f'<{member.tag} name="{member.get("name")}"'))
        args = member.findall('arg')
        check_block(path, line, member.get('name'), blocks, [arg.get('name') for arg in args])
        if member.tag == 'property' and member.get('access') != 'read':
            tree.complain(path, line, f'{member.get("name")}: properties are not writable')
        full_name = f'{name}.{member.get("name")}'
        if member.tag == 'method' and not full_name.startswith(WITHOUT_OPTIONS):
            inputs = [arg for arg in args if arg.get('direction') != 'out']
            if not inputs or (inputs[-1].get('name'), inputs[-1].get('type')) != ('options', 'a{sv}'):
                tree.complain(path, line, f'{full_name} does not end in `a{{sv}} options`')


def gate_methods():
    """Of each polkit action: the methods that need it."""
    found = {}
    for interface, method, action in re.findall(r'\{ "org\.ggtpm1\.(\w+)", "(\w+)", GGTPM_ACTION_(\w+),',
                                                tree.read(GATE)):
        found.setdefault('org.ggtpm1.' + action.lower().replace('_', '-'), set()).add(f'{interface}.{method}')
    return found


def documented_methods(cell):
    """`Key.Sign, Decrypt; Token.Verify`, with remarks in parentheses or behind a blank."""
    interface = ''
    for words in re.split(r'[,;]\s*', re.sub(r'\([^)]*\)', '', cell)):
        name = words.split()[0] if words.split() else ''
        if '.' in name:
            interface, name = name.split('.')
        yield f'{interface}.{name}'


def check_security():
    actions = gate_methods()
    text = tree.read(SECURITY)
    for match in re.finditer(r'^\| `(org\.ggtpm1\.[a-z-]+)` \| ([^|]*) \|', text, re.M):
        line = tree.line_of(text, match.start())
        methods = actions.pop(match.group(1), set())
        documented = set(documented_methods(match.group(2)))
        for method in sorted(methods - documented):
            tree.complain(SECURITY, line, f'{method} needs this action, too')
        for method in sorted(documented - methods):
            tree.complain(SECURITY, line, f'{method} does not need this action')
    for action in sorted(actions):
        tree.complain(SECURITY, 1, f'{action} is not in the table')


for path in tree.files(r'^dbus/.*\.xml$'):
    text = tree.read(path)
    for interface in ElementTree.fromstring(text).findall('interface'):
        if os.path.basename(path) != interface.get('name') + '.xml':
            tree.complain(path, 1, 'one interface per file, which has its name')
        check_interface(path, text, interface)
        allowed = f'send_interface="{interface.get("name")}"'
        if interface.get('name').startswith('org.ggtpm1.') and allowed not in tree.read(BUS_POLICY):
            tree.complain(BUS_POLICY, 1, f'nobody may call {interface.get("name")}')

check_security()

for path in tree.files(r'\.(xml|policy|policy\.in|conf\.in)$', r'^dbus/.*\.conf'):
    if not tree.read(path).lstrip().startswith('<'):
        continue
    arguments = ['--nonet', '--noout']
    if '.policy' in path:
        if not os.path.exists(POLKIT_DTD):
            print('not installed: ' + POLKIT_DTD)
            raise SystemExit(77)
        arguments += ['--dtdvalid', POLKIT_DTD]
    status, output = tree.output_of('xmllint', *arguments, path)
    if status != 0 or output != '':
        for line in output.splitlines():
            match = re.match(r'(?:\S+):(\d+): (.*)', line)
            if match:
                tree.complain(path, match.group(1), match.group(2))
        if not output:
            tree.complain(path, 1, 'xmllint fails')

tree.finish()
