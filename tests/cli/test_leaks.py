#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Where PINs and auths must not be: in what everybody sees of a process, on the bus, in the log, in a core dump, and in
memory when nobody needs them."""

import glob
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus  # noqa: E402

GIVEN = {name: secrets.token_hex(16) for name in ('pin', 'so-pin', 'new', 'unblocked', 'new-so', 'wrong')}
PIECE = 8  # of a secret in memory: what is freed loses its first bytes


def is_with_asan():
    with open(os.path.join(bus.BUILD, 'daemon/ggtpmd'), 'rb') as file:
        return b'__asan_init' in file.read()


class Watch(threading.Thread):
    """Arguments and environments of every process, over and over."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen = set()
        self.names = set()
        self._end = threading.Event()

    def run(self):
        while not self._end.is_set():
            self.look()
            time.sleep(0.001)

    def look(self):
        for path in glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):
            try:
                with open(path, 'rb') as file:
                    content = file.read()
            except OSError:  # it has ended
                continue
            self.seen.add(content)
            if path.endswith('cmdline'):
                self.names.add(os.path.basename(content.split(b'\0')[0]).decode(errors='replace'))

    def stop(self):
        self._end.set()
        self.join()


def find_in_memory(pid, texts):
    """Which of them, or a piece of it, is in memory of @pid."""
    found = set()
    pieces = [(name, text[at:at + PIECE]) for name, text in texts.items()
              for at in range(0, len(text) - PIECE + 1, PIECE)]
    with open(f'/proc/{pid}/maps', encoding='utf-8') as maps, open(f'/proc/{pid}/mem', 'rb') as memory:
        for line in maps:
            start, end = (int(address, 16) for address in line.split()[0].split('-'))
            if not line.split()[1].startswith('rw'):
                continue
            memory.seek(start)
            content = memory.read(end - start).strip(b'\0')
            found |= {name for name, piece in pieces if piece in content}
    return found


class Leaks(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if shutil.which('dbus-monitor') is None:
            raise unittest.SkipTest('not installed: dbus-monitor')
        cls.with_asan = is_with_asan()
        os.environ.pop('MALLOC_PERTURB_', None)  # by which Meson has freed memory overwritten
        cls.start_daemon()

    def setUp(self):
        # GDBus signals nothing before somebody listens: the monitor is one from its first message on
        self.monitor = subprocess.Popen(['dbus-monitor', '--address', self.bus.address], stdout=subprocess.PIPE)
        self.heard = [self.monitor.stdout.readline()]
        self.listener = threading.Thread(target=lambda: self.heard.extend(self.monitor.stdout), daemon=True)
        self.listener.start()
        self.watch = Watch()
        self.watch.start()
        self.secrets = {name: text.encode() for name, text in GIVEN.items()}

    def silence(self):
        self.monitor.terminate()
        self.monitor.wait()
        self.listener.join()
        self.monitor.stdout.close()

    def file(self, name):
        with open(self.path(name), 'w', encoding='ascii') as file:
            file.write(GIVEN[name] + '\n')
        os.chmod(self.path(name), 0o600)
        return self.path(name)

    def collect(self, when):
        """What is in the daemon's files now."""
        for kind in ('user', 'so'):
            with open(f'{self.daemon.state_dir}/pins/greengrass.{kind}', 'rb') as file:
                self.secrets[f'{kind} {when}'] = file.read().strip()
        auths = self.daemon.state_dir + '/auths'
        if os.path.exists(auths):
            with open(auths, 'rb') as file:
                for number, auth in enumerate(re.findall(rb'auth: (\S+)', file.read())):
                    self.secrets[f'auth {number}'] = auth

    def flows(self):
        self.ok('tpm', 'take-ownership')
        self.ok('provision', '--pin-file', self.file('pin'), '--so-pin-file', self.file('so-pin'))
        self.collect('given')
        self.ok('token', 'change-pin', 'greengrass', '--pin-file', self.file('pin'), '--new-pin-file', self.file('new'))
        self.ok('key', 'csr', 'greenkey', '--pin-file', self.file('new'))
        self.fails(4, 'AuthFailed', 'key', 'csr', 'greenkey', '--pin-file', self.file('wrong'), once=True)
        self.ok('token', 'unblock', 'greengrass', '--so-pin-file', self.file('so-pin'), '--new-pin-file',
                self.file('unblocked'))
        self.ok('token', 'reset-so-pin', 'greengrass', '--new-pin-file', self.file('new-so'))
        self.collect('changed')
        for verb in ('change-pin', 'unblock', 'reset-so-pin'):
            self.ok('token', verb, 'greengrass')
            self.collect('drawn ' + verb)
        self.ok('key', 'create', 'rsa', '--algorithm', 'rsa-2048')
        self.ok('tpm', 'export-auths', self.path('escrow'))
        self.ok('token', 'backup', '--with-pins', self.path('backup'))
        self.ok('token', 'restore', '--force', self.path('backup'))
        # Before configurations, which have the PIN in them; what the sanitizer has mapped is terabytes.
        if not self.with_asan:
            self.check_memory()
        self.ok('config', 'write', 'v1', '--path', self.path('v1.json'))
        self.ok('config', 'write', 'v2', '--path', self.path('v2.yaml'))
        self.ok('status')
        self.ok('report', '--out', self.path('report'))
        caller = self.bus.connect()
        caller.objects()
        caller.close()

    def test_flows(self):
        self.flows()
        self.watch.stop()
        pid = self.get_pid()
        self.check_process(pid)
        for helper in self.children(pid):
            self.check_process(helper)
        self.assertTrue(self.children(pid), 'the signer is warm')
        self.silence()
        self.assertTrue({'ggtpmctl', 'ggtpmd', 'ggtpm-token-helper'} <= self.watch.names, self.watch.names)
        with open(self.path('report'), 'rb') as file:
            report = file.read()
        places = {'processes': b'\n'.join(self.watch.seen), 'bus': b''.join(self.heard),
                  'log': self.daemon.read_log().encode(), 'report': report}
        # they were looked at
        self.assertIn(b'change-pin', places['processes'])
        self.assertIn(b'member=ChangePin', places['bus'])
        self.assertIn(b'BEGIN CERTIFICATE REQUEST', places['bus'])
        self.assertIn(b'token helper', places['log'])
        # and the secrets are such, where they have to be
        with open(self.path('backup'), 'rb') as backup, open(self.path('v1.json'), 'rb') as config:
            self.assertIn(self.secrets['so drawn reset-so-pin'], backup.read())
            self.assertIn(self.secrets['user drawn reset-so-pin'], config.read())
        self.assertEqual(len([name for name in self.secrets if name.startswith('auth')]), 2)
        for secret, text in self.secrets.items():
            self.assertGreaterEqual(len(text), 12)
            for place, content in places.items():
                for form in (text, text.hex().encode(), ' '.join(f'{byte:02x}' for byte in text).encode()):
                    self.assertNotIn(form, content, (secret, place))

    def get_pid(self):
        caller = self.bus.connect()
        self.addCleanup(caller.close)
        return caller.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'GetConnectionUnixProcessID', '(s)',
                           bus.NAME, destination='org.freedesktop.DBus')

    @staticmethod
    def children(pid):
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            children = [int(child) for child in file.read().split()]
        # started by another thread
        for path in glob.glob(f'/proc/{pid}/task/*/children'):
            with open(path, encoding='ascii') as file:
                children += [int(child) for child in file.read().split()]
        return sorted(set(children))

    def check_process(self, pid):
        with open(f'/proc/{pid}/limits', encoding='ascii') as file:
            self.assertRegex(file.read(), r'(?m)^Max core file size +0 +0 ')
        # the sanitizer's search for leaks has to trace the process
        if not self.with_asan:
            # not dumpable: what is below /proc is root's, though the process is not
            self.assertEqual(os.stat(f'/proc/{pid}/environ').st_uid, 0)
            with open(f'/proc/{pid}/status', encoding='ascii') as file:
                self.assertNotRegex(file.read(), r'(?m)^Uid:\t0\t')

    def check_memory(self):
        """Also after logins of the warm signer, with the PIN that the daemon has and with one that is given."""
        user = self.path('user')
        with open(user, 'wb') as file:
            file.write(self.secrets['user drawn reset-so-pin'])
        pins = {name: text for name, text in self.secrets.items() if not name.startswith('auth')}
        daemon = self.get_pid()
        for options in ((), ('--pin-file', user), ()):
            self.ok('key', 'csr', 'greenkey', *options)
            helpers = self.children(daemon)
            self.assertTrue(helpers, 'the signer is warm')
            for name, pid in [('daemon', daemon)] + [('helper', helper) for helper in helpers]:
                self.assertIn('label', find_in_memory(pid, {'label': b'greenkey'}))
                bus.wait_for(lambda pid=pid: not find_in_memory(pid, pins), f'no PIN in the {name}: {options}')

    def test_client(self):
        """ggtpmctl while it waits for a PIN."""
        self.addCleanup(self.watch.stop)
        self.addCleanup(self.silence)
        process = self.popen('provision', '--pin-file', '-', uid=bus.GUEST, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            bus.wait_for(lambda: os.readlink(f'/proc/{process.pid}/exe').endswith('/ggtpmctl') and
                         self._state(process) == 'S', 'ggtpmctl to wait')
            self.check_process(process.pid)
        finally:
            process.communicate(timeout=cli.TIMEOUT_S)


if __name__ == '__main__':
    bus.main()
