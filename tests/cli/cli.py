# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpmctl as a test sees it: as any user, on pipes or on a terminal, against the real daemon and a software TPM."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

SOURCE = os.environ['GGTPM_SOURCE_DIR']
TIMEOUT_S = 60


def _become(uid):
    name = next((name for name, known in bus.USERS.items() if known == uid), None)
    groups = os.getgrouplist(name, uid) if name else [uid]

    def become():
        if uid != 0:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
    return become


class Terminal:
    """ggtpmctl with a terminal for everything; `output` is what it wrote so far."""

    def __init__(self, argv, env):
        self.output = ''
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, env)

    def _read(self, timeout_s):
        if not select.select([self.fd], [], [], timeout_s)[0]:
            raise TimeoutError(repr(self.output))
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            data = b''
        self.output += data.decode()
        return data != b''

    def wait_for(self, text):
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.output:
            if not self._read(deadline - time.monotonic()):
                raise EOFError(repr(self.output))

    def write(self, text):
        os.write(self.fd, text.encode())

    def wait(self):
        deadline = time.monotonic() + TIMEOUT_S
        while self._read(deadline - time.monotonic()):
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Case(unittest.TestCase):
    """A private bus for each class. The fallback without polkit decides: root and the group ggtpm may."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        bus.enter()
        cls.bus = cls.enter(bus.Bus())
        # The build tree may be where only root can look.
        cls.dir = tempfile.mkdtemp(prefix='ggc-', dir='/tmp')
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        os.chmod(cls.dir, 0o755)
        cls.program = shutil.copy(os.path.join(bus.BUILD, 'client/ggtpmctl'), cls.dir)
        cls.env = {key: value for key, value in os.environ.items() if key != 'NO_COLOR'}
        cls.env |= {'DBUS_SYSTEM_BUS_ADDRESS': cls.bus.address, 'TERM': 'xterm', 'LC_ALL': 'C', 'TZ': 'UTC',
                    'PATH': cls.dir + ':' + os.environ['PATH']}

    @classmethod
    def enter(cls, context):
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    @classmethod
    def start_daemon(cls, *arguments, config=''):
        if not swtpm.available():
            raise unittest.SkipTest('not installed: swtpm')
        cls.tpm = cls.enter(swtpm.Swtpm())
        cls.daemon = cls.enter(bus.Daemon(cls.bus, cls.tpm, *arguments, config=config))

    def path(self, name):
        return os.path.join(self.dir, name)

    def popen(self, *args, uid=0, env=None, **kwargs):
        return subprocess.Popen([self.program, *args], env=self.env | (env or {}), preexec_fn=_become(uid), **kwargs)

    def run_ctl(self, *args, uid=0, stdin=b'', env=None):
        process = self.popen(*args, uid=uid, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        stdout, stderr = process.communicate(stdin, TIMEOUT_S)
        return subprocess.CompletedProcess(args, process.returncode, stdout, stderr.decode())

    def ok(self, *args, **kwargs):
        """Standard output as text."""
        result = self.run_ctl(*args, **kwargs)
        self.assertEqual(result.returncode, 0, (args, result.stdout, result.stderr))
        return result.stdout.decode()

    def json(self, *args, **kwargs):
        """What the command prints with --json, without its version; nothing may be on standard error."""
        result = self.run_ctl('--json', *args, **kwargs)
        self.assertEqual((result.returncode, result.stderr), (0, ''), (args, result.stdout))
        value = json.loads(result.stdout)
        self.assertEqual(value.pop('version'), 1)
        return value

    def fails(self, code, name, *args, **kwargs):
        """In text and JSON, unless it can be done only once (once=True). Returns the message."""
        once = kwargs.pop('once', False)
        result = self.run_ctl('--json', *args, **kwargs)
        self.assertEqual((result.returncode, result.stderr), (code, ''), (args, result.stdout))
        value = json.loads(result.stdout)
        self.assertEqual(set(value), {'version', 'error'})
        self.assertEqual(set(value['error']), {'name', 'message'})
        self.assertEqual(value['error']['name'], name, value)
        if not once:
            result = self.run_ctl(*args, **kwargs)
            self.assertEqual((result.returncode, result.stdout), (code, b''), (args, result.stderr))
            self.assertRegex(result.stderr, r'(?m)^ggtpmctl: error: \S')
        return value['error']['message']

    def terminal(self, *args):
        return Terminal([self.program, *args], self.env)

    def pause(self, process):
        """Stops a process until the test ends, or resume() is called."""
        process.send_signal(signal.SIGSTOP)
        bus.wait_for(lambda: self._state(process) == 'T', 'the process to stop')
        self.addCleanup(self.resume, process)

    @staticmethod
    def _state(process):
        with open(f'/proc/{process.pid}/stat', encoding='ascii', errors='replace') as file:
            return file.read().rsplit(')', 1)[1].split()[0]

    @staticmethod
    def resume(process):
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)

    def use(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value


class FreshCase(Case):
    """Each test has a chip and a daemon of its own."""

    def setUp(self):
        self.tpm = self.use(swtpm.Swtpm())
        self.daemon = self.use(bus.Daemon(self.bus, self.tpm))


def openssl(*args, stdin=None):
    return subprocess.run(['openssl', *args], input=stdin, capture_output=True, check=False)
