#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl's table of commands, its man page and its completion say the same, and so do the other man pages and what
they describe. No daemon."""

import os
import re
import subprocess
import unittest

SOURCE = os.environ['GGTPM_SOURCE_DIR']
GGTPMCTL = os.path.join(os.environ['GGTPM_BUILD_DIR'], 'client/ggtpmctl')
COMPLETION = os.path.join(SOURCE, 'client/completion/ggtpmctl')
MAN = os.path.join(SOURCE, 'docs/man/ggtpmctl.1')

# Completes the words of its arguments, the last one being under the cursor.
COMPLETE = r'''
source "$1"; shift
ggtpmctl () { return 1; }
COMP_WORDS=(ggtpmctl "$@"); COMP_CWORD=$#
_ggtpmctl
printf '%s\n' "${COMPREPLY[@]}"
'''


def ggtpmctl(*args):
    return subprocess.run([GGTPMCTL, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env=os.environ | {'DBUS_SYSTEM_BUS_ADDRESS': 'unix:path=/nonexistent'})


def section(text, title):
    match = re.search(rf'^{title}:\n((?:  .*\n)*)', text, re.M)
    return match.group(1)


def help_commands():
    names = []
    for line in section(ggtpmctl('--help').stdout, 'Commands').splitlines():
        # the arguments are in capitals, or v1|v2|lite
        name = re.match(r'  ([a-z-]+(?: [a-z-]+(?=  | [A-Zv\[]))?)', line).group(1)
        names.append(name)
    return names


def help_options(*command):
    """Long names, each with whether it takes a value."""
    text = ggtpmctl(*command, '--help').stdout
    found = re.findall(r'^  (?:-h, )?--([a-z0-9-]+)( [A-Z]+)?', section(text, 'Options'), re.M)
    return {name: bool(value) for name, value in found}


def man_sections(page=MAN):
    """Of OPTIONS and of each command: long names, each with whether it takes a value."""
    sections = {}
    current = None
    in_list = False
    with open(page, encoding='utf-8') as file:
        for line in file:
            line = line.replace(r'\-', '-').rstrip('\n')
            if match := re.match(r'\.S[HS] (.*)', line):
                name = re.sub(r'\\f[A-Z].*', '', match.group(1)).strip()
                current = sections.setdefault(name, {})
            elif line.startswith(('.B', '.BI', '.BR')) and current is not None and in_list:
                for name, value in re.findall(r'--([a-z0-9-]+)("? " ?[A-Z]+| [A-Z]+)?', line):
                    current[name] = bool(value)
            in_list = line in ('.TP', '.TQ')
    return sections


def complete(*words):
    result = subprocess.run(['bash', '-c', COMPLETE, 'bash', COMPLETION, *words], capture_output=True, text=True,
                            check=True)
    return [word for word in result.stdout.splitlines() if word != '']


class Tables(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.commands = help_commands()
        cls.man = man_sections()
        cls.globals = help_options()

    def test_commands_of_the_contract(self):
        self.assertEqual(self.commands,
                         ['status', 'info', 'health', 'doctor', 'clock', 'random', 'hash', 'selftest', 'pcr read',
                          'pcr extend', 'pcr reset', 'pcr allocate', 'tpm raw', 'tpm pipe', 'tpm reset-lockout',
                          'tpm take-ownership', 'tpm release-ownership', 'tpm export-auths', 'metrics', 'monitor',
                          'report', 'provision', 'token list', 'token verify', 'token change-pin', 'token unblock',
                          'token reset-so-pin', 'token backup', 'token restore', 'token remove', 'key list',
                          'key show', 'key create', 'key csr', 'key self-sign',
                          'key rotate', 'key public-key', 'key uri', 'key install-cert', 'key sign', 'key verify',
                          'key decrypt', 'key delete', 'handle list', 'handle create', 'handle remove',
                          'config write', 'config check', 'config remove'])

    def test_man_has_every_command_and_no_other(self):
        sections = [name for name in self.man if name.islower()]
        self.assertEqual(sections, self.commands)

    def test_man_has_every_option_and_no_other(self):
        self.assertEqual(self.man['OPTIONS'], self.globals)
        for command in self.commands:
            with self.subTest(command=command):
                options = help_options(*command.split(' '))
                own = {name: value for name, value in options.items() if name not in self.globals}
                self.assertEqual(self.man[command], own)

    def test_completion_has_every_command_and_no_other(self):
        nouns = list(dict.fromkeys(command.split(' ')[0] for command in self.commands))
        self.assertEqual(sorted(complete('')), sorted(nouns))
        for noun in nouns:
            with self.subTest(noun=noun):
                verbs = [command.split(' ')[1] for command in self.commands if command.startswith(noun + ' ')]
                self.assertEqual(complete(noun, ''), verbs)

    def test_completion_has_every_option_and_no_other(self):
        for command in self.commands:
            with self.subTest(command=command):
                words = command.split(' ')
                expected = sorted('--' + name for name in help_options(*words))
                self.assertEqual(sorted(complete(*words, '-')), expected)

    def token_verbs(self):
        return [command.split(' ')[1] for command in self.commands if command.startswith('token ')]

    def test_completion_knows_which_options_take_a_value(self):
        # The word behind such an option is its value, not the noun.
        for command in self.commands:
            for name, has_value in help_options(*command.split(' ')).items():
                with self.subTest(command=command, option=name):
                    noun_was_seen = complete('--' + name, 'token', '') == self.token_verbs()
                    self.assertEqual(noun_was_seen, not has_value)

    def test_completion_of_values(self):
        self.assertEqual(complete('config', 'write', ''), ['v1', 'v2', 'lite', 'p11-kit', 'drop-in'])
        self.assertEqual(complete('config', 'write', '--force', 'l'), ['lite'])
        self.assertEqual(complete('key', 'create', '--algorithm', ''), ['ecc-p256', 'rsa-2048'])
        self.assertEqual(complete('--timeout', '3', 'key', 'sign', 'k', '--hash', 'sha5'), ['sha512'])
        self.assertEqual(complete('--json', 'key', 'sign', '--mechanism', 'rsa-'), ['rsa-pkcs', 'rsa-pss'])
        self.assertEqual(complete('key', 'create', '--algorithm', '=', 'rsa'), ['rsa-2048'])
        self.assertEqual(complete('key', 'create', '--algorithm', '='), ['ecc-p256', 'rsa-2048'])
        self.assertEqual(complete('--timeout', '=', '3', 'token', ''), self.token_verbs())
        self.assertEqual(complete('selftest', '--full', '--'), complete('selftest', '--'))
        self.assertEqual(complete('info', '--capability', 'pcr-'), ['pcr-banks', 'pcr-properties'])
        self.assertEqual(complete('pcr', 'allocate', 'sha256', 'sha3'), ['sha384'])
        self.assertEqual(complete('pcr', 'reset', '2'), ['23'])
        self.assertEqual(complete('key', 'install-cert', 'k', SOURCE + '/meson.b'), [SOURCE + '/meson.build'])

    def test_man_has_every_exit_code(self):
        with open(MAN, encoding='utf-8') as file:
            text = file.read().split('.SH EXIT STATUS')[1].split('.SH')[0]
        self.assertEqual(re.findall(r'^\.TP\n(\d+)$', text, re.M), list('0123456'))

    def test_man_pages_are_sound(self):
        pages = os.path.dirname(MAN)
        for name in sorted(os.listdir(pages)):
            if name == 'meson.build':
                continue
            with self.subTest(page=name):
                result = subprocess.run(['groff', '-man', '-ww', '-z', os.path.join(pages, name)], capture_output=True,
                                        text=True, check=False)
                self.assertEqual((result.returncode, result.stderr), (0, ''))


class OtherPages(unittest.TestCase):
    def test_options_of_the_daemon(self):
        text = subprocess.run([os.path.join(os.environ['GGTPM_BUILD_DIR'], 'daemon/ggtpmd'), '--help'],
                              capture_output=True, text=True, check=True).stdout
        options = {name for name in re.findall(r'^  (?:-h, )?--([a-z-]+)', text, re.M)}
        page = man_sections(os.path.join(SOURCE, 'docs/man/ggtpmd.8'))
        self.assertEqual(set(page['OPTIONS']), options)

    def assert_keys(self, source, page):
        """Groups and keys of the table in @source are those of the man page."""
        with open(os.path.join(SOURCE, source), encoding='utf-8') as file:
            rows = re.findall(r'^  \{ "([A-Z][a-z]+)", "([A-Za-z0-9]+)", ', file.read(), re.M)
        self.assertNotEqual(rows, [])
        with open(os.path.join(SOURCE, 'docs/man', page), encoding='utf-8') as file:
            found = re.findall(r'^\.SS \[(\w+)\]\n|^\.T[PQ]\n\.BR? (\w+)=', file.read(), re.M)
        group = None
        documented = []
        for name, key in found:
            if name:
                group = name
            else:
                documented.append((group, key))
        self.assertEqual(sorted(documented), sorted(rows))

    def test_keys_of_the_configuration(self):
        self.assert_keys('common/config.c', 'ggtpmd.conf.5')

    def test_keys_of_the_provisioning_file(self):
        self.assert_keys('daemon/provision/plan-file.c', 'provision.conf.5')


class Usage(unittest.TestCase):
    """Exit code 2, and 0 where nothing is asked of the daemon."""

    def assert_usage(self, args, *parts):
        result = ggtpmctl(*args)
        self.assertEqual(result.returncode, 2, args)
        self.assertEqual(result.stdout, '')
        self.assertRegex(result.stderr, '^ggtpmctl: error: ')
        for part in parts:
            self.assertIn(part, result.stderr)

    def test_usage(self):
        self.assert_usage(['frobnicate'], "'frobnicate'")
        self.assert_usage(['provison'], "'provison'", "'provision'")
        self.assert_usage(['key'], 'list, show, create, csr, self-sign, rotate, public-key, uri, install-cert, sign, '
                          'verify, decrypt, delete')
        self.assert_usage(['key', 'lits'], "'lits'", "'list'")
        self.assert_usage(['provision', '--tokn', 'a'], "'--tokn'", "'--token'")
        self.assert_usage(['info', '--token', 'a'], "'--token'")
        self.assert_usage(['key', 'csr'], 'KEY')
        self.assert_usage(['config', 'write'], 'v1, v2, lite')
        self.assert_usage(['status', 'again'], "'again'")
        self.assert_usage(['--timeout', '-2'], '--timeout')
        self.assert_usage(['provision', '--no-wait', '--csr-out', 'x'], '--csr-out', '--no-wait')
        self.assert_usage(['key', 'create', 'k', '--id', '0x1'], '--id', '0x1')
        self.assert_usage(['key', 'sign', 'k', '--pin-file', '-'], 'standard input')
        self.assert_usage(['info', '--variable', '--eltt2'], '--variable', '--eltt2')
        self.assertEqual(ggtpmctl('info', '--eltt2', '--json').returncode, 2)
        self.assert_usage(['selftest', '--full', '--result'], '--full', '--result')
        for n in ('0', '4097', '0x10', 'many', '-1'):
            self.assert_usage(['random', '--', n], n, '4096')
        for n in ('24', '-1', '0x10', ''):
            self.assert_usage(['pcr', 'read', '--', n], '23')
            self.assert_usage(['pcr', 'reset', '--', n], '23')
        for digest in ('sha256', 'sha256:', 'sha256:0', 'sha256:0g', '00'):
            self.assert_usage(['pcr', 'extend', '16', digest], 'hexadecimal')
        for command in ('8', '800', '80 0', 'xyz', '', '8001 0000000a 0000017g'):
            self.assert_usage(['tpm', 'raw', command], 'hexadecimal')
        for command in ('8001', '8001 0000000b 0000017c', '8001 0000000a 0000017c 00', '8001 00000000 0000017c'):
            self.assert_usage(['tpm', 'raw', command], 'no TPM command')

    def test_help_and_version(self):
        for args in (['--help'], ['-h'], ['key', '--help'], ['--help', 'key'], ['key', 'sign', '--help'],
                     ['--json', 'status', '--help'], ['--version'], ['key', 'sign', '--version']):
            with self.subTest(args=args):
                result = ggtpmctl(*args)
                self.assertEqual((result.returncode, result.stderr), (0, ''))
                self.assertRegex(result.stdout, '^(Usage: )?ggtpmctl ')


if __name__ == '__main__':
    unittest.main(verbosity=2)
