#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl metrics: the text format of Prometheus to the letter, the values, the file."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus  # noqa: E402

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
# Parts of names that promtool has a better word for.
ABBREVIATIONS = {'s', 'ms', 'us', 'ns', 'sec', 'b', 'kb', 'mb', 'gb', 'tb', 'pb', 'm', 'h', 'd'}
TYPES = {'counter', 'gauge', 'histogram', 'summary', 'untyped'}
# A label and an id that have to be escaped.
LABEL_OF_KEY = 'q"\\{},\u00e4'


class FormatError(Exception):
    pass


def need(condition, line):
    if not condition:
        raise FormatError(line)


def check_name(name, kind):
    """promtool's rules for names."""
    words = name.split('_')
    need(not ABBREVIATIONS & set(words), name)
    need(not TYPES & set(words), name)
    need(name == name.lower(), name)
    need(name.endswith('_total') == (kind == 'counter'), name)
    need(not name.endswith(('_count', '_sum', '_bucket')), name)


def parse_labels(text):
    labels = {}
    at = 0
    while at < len(text):
        match = re.compile(LABEL + '(,|$)').match(text, at)
        need(match is not None, text)
        name, value = match.group(1), match.group(2)
        need(not name.startswith('__') and name not in labels, text)
        labels[name] = re.sub(r'\\(.)', lambda m: '\n' if m.group(1) == 'n' else m.group(1), value)
        at = match.end()
    return labels


def parse(text):
    """The samples as (name, labels) -> value. Every family has HELP, then TYPE, then its samples, once."""
    need(text == '' or text.endswith('\n'), 'the end')
    samples = {}
    families = {}
    current = helped = None
    for line in text.split('\n')[:-1]:
        if match := re.fullmatch(rf'# HELP ({NAME}) (\S(?:[^\\\n]|\\[\\n])*)', line):
            helped = match.group(1)
            need(helped not in families, line)
        elif match := re.fullmatch(rf'# TYPE ({NAME}) (\w+)', line):
            need(match.group(1) == helped and match.group(2) in TYPES, line)
            check_name(*match.groups())
            current = helped
            families[current] = match.group(2)
        else:
            match = re.fullmatch(rf'({NAME})(?:{{(.*)}})? (-?[0-9]+(?:\.[0-9]+)?)', line)
            need(match is not None and match.group(1) == current, line)
            labels = parse_labels(match.group(2) or '')
            key = (current, tuple(sorted(labels.items())))
            need(key not in samples, line)
            samples[key] = float(match.group(3))
    return samples


class Checker(cli.unittest.TestCase):
    """The checker of this file refuses what promtool refuses."""

    def test_checker(self):
        head = '# HELP x_y x\n# TYPE x_y gauge\n'
        self.assertEqual(parse(head + 'x_y{l="\\"\\\\\\n"} 3\n'), {('x_y', (('l', '"\\\n'),)): 3})
        for bad in (head + 'x_y 1', 'x_y 1\n', '# TYPE x_y gauge\nx_y 1\n', head + 'x_z 1\n', head + 'x_y 1\nx_y 2\n',
                    head + 'x_y{l="x" 1\n', head + 'x_y{l="x""} 1\n', head + 'x_y{l="\\q"} 1\n', head + 'x_y one\n',
                    head + 'x_y{l="x",l="y"} 1\n', head + head, head.replace('x_y', 'x_total'),
                    head.replace('x_y', 'x_ms'), head.replace('gauge', 'gouge'), head.replace(' x', ''),
                    head.replace('x_y', 'x_gauge'), head + '\n', head.replace('x_y', 'x_count')):
            with self.subTest(bad=bad):
                self.assertRaises(FormatError, parse, bad)


class Case(cli.Case):
    def metrics(self, **kwargs):
        text = self.ok('metrics', **kwargs)
        if shutil.which('promtool') is not None:
            result = subprocess.run(['promtool', 'check', 'metrics'], input=text, capture_output=True, text=True,
                                    check=False)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, '', ''))
        return parse(text)


class NoDaemon(Case):
    def test_up(self):
        self.assertEqual(self.metrics(), {('ggtpm_up', ()): 0})
        env = {'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'}
        self.assertEqual(self.metrics(env=env), {('ggtpm_up', ()): 0})


class NoChip(Case):
    def test_no_chip(self):
        self.enter(bus.Daemon(self.bus, 'swtpm:path=/tmp/no-such-socket'))
        caller = self.bus.connect()
        bus.wait_for(lambda: caller.get(bus.ROOT, 'org.ggtpm1.Manager', 'State') != 'starting', 'a state')
        caller.close()
        found = self.metrics()
        self.assertEqual(found['ggtpm_up', ()], 1)
        self.assertEqual(found['ggtpm_daemon_state', (('state', 'unavailable'),)], 1)
        self.assertEqual(found['ggtpm_daemon_state', (('state', 'ready'),)], 0)
        # what is not known is not there
        self.assertEqual([name for name, _ in found if name.startswith(('ggtpm_device', 'ggtpm_lockout'))], [])


class Daemon(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()
        cls('ok').ok('provision')
        cls('ok').ok('key', 'create', LABEL_OF_KEY)

    def test_values(self):
        found = self.metrics(uid=bus.ALICE)
        self.assertEqual(found['ggtpm_up', ()], 1)
        self.assertEqual(found['ggtpm_daemon_state', (('state', 'ready'),)], 1)
        self.assertEqual(found['ggtpm_lockout_active', ()], 0)
        self.assertEqual(found['ggtpm_tokens', ()], 1)
        self.assertEqual(found['ggtpm_token_keys', (('token', 'greengrass'),)], 2)
        labels = {dict(labels)['key'] for name, labels in found
                  if name == 'ggtpm_key_certificate_not_after_timestamp_seconds'}
        self.assertEqual(labels, {'greenkey', LABEL_OF_KEY})
        health = self.json('info')['health']
        self.assertEqual(found['ggtpm_lockout_failures_limit', ()], health['lockout_max'])
        self.assertEqual(found['ggtpm_health_state', (('state', health['state']),)], 1)
        self.assertEqual(sum(value for (name, _), value in found.items() if name == 'ggtpm_health_state'), 1)
        self.assertEqual(found['ggtpm_health_issues', ()], len(health['issues']))

    def test_json(self):
        samples = {(s['name'], tuple(sorted(s['labels'].items()))): s['value'] for s in self.json('metrics')['metrics']}
        self.assertEqual(set(samples), set(self.metrics()))

    def test_file(self):
        path = self.path('ggtpm.prom')
        self.assertEqual(self.ok('metrics', '--out', path), '')
        with open(path, encoding='utf-8') as file:
            self.assertEqual(set(parse(file.read())), set(self.metrics()))
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o644)
        # a new file in its place each time, and nothing beside it
        before = os.stat(path).st_ino
        with open(path, encoding='utf-8') as file:
            self.assertEqual(self.json('metrics', '--out', path)['out'], path)
            self.assertNotEqual(os.stat(path).st_ino, before)
            parse(file.read())
        self.assertEqual([name for name in os.listdir(self.dir) if 'prom' in name], ['ggtpm.prom'])
        self.fails(1, 'Failed', 'metrics', '--out', self.path('no/such'))


if __name__ == '__main__':
    bus.main()
