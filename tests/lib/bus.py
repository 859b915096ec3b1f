# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""A private system bus with our real policy files, the daemon on it, polkit (real, told what to say, or absent),
callers of any uid. Needs root: enter() gives the process a mount namespace of its own, in which users and groups of the
tests, our polkit actions and the tests' rules exist; nothing of the machine changes.

    bus.enter()                                 # once, before any thread
    with bus.Bus() as b, swtpm.Swtpm() as tpm, bus.Daemon(b, tpm) as daemon:
        alice = b.connect(bus.ALICE)
        alice.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {})
"""

import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from xml.etree import ElementTree

import gi
gi.require_version('Gio', '2.0')
from gi.repository import Gio, GLib  # noqa: E402

BUILD = os.environ['GGTPM_BUILD_DIR']

NAME = 'org.ggtpm1'
ROOT = '/org/ggtpm1'
DEVICE = '/org/ggtpm1/tpm0'

ROOT_UID = 0
ALICE = 61500    # nobody special
MALLORY = 61501  # nobody special, too
GUEST = 61502    # in the group ggtpm
GGCORE = 61503   # nucleus lite's
USERS = {'alice': ALICE, 'mallory': MALLORY, 'guest': GUEST, 'ggcore': GGCORE}
GGTPM_GID = 61510

SYSTEM_CONF = '/usr/share/dbus-1/system.conf'
POLKITD = '/usr/lib/polkit-1/polkitd'
POLKIT = 'org.freedesktop.PolicyKit1'
POLKIT_PATH = '/org/freedesktop/PolicyKit1/Authority'
POLKIT_INTERFACE = 'org.freedesktop.PolicyKit1.Authority'

START_TIMEOUT_S = 20
CLONE_NEWNS = 0x20000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for(condition, what, timeout_s=START_TIMEOUT_S):
    """Where there is no event to wait for: another process's files and names."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


# ---- the machine as the tests see it -------------------------------------------------------------------------------

_entered = None


def _bind(source, target):
    subprocess.run(['mount', '--bind', source, target], check=True)


def _write(path, text, mode=0o644):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, mode)


def _extend(path, lines):
    """A copy of a user database with @lines for the names that it does not have."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    known = {line.split(':')[0] for line in text.splitlines()}
    copy = os.path.join(_entered, os.path.basename(path))
    _write(copy, text.rstrip('\n') + '\n' + ''.join(line + '\n' for line in lines if line.split(':')[0] not in known))
    _bind(copy, path)


def enter():
    """Skips the test where that is not possible."""
    global _entered
    if _entered is not None:
        return
    if os.getuid() != 0:
        raise unittest.SkipTest('needs root')
    if shutil.which('dbus-daemon') is None or not os.path.exists(SYSTEM_CONF):
        raise unittest.SkipTest('not installed: dbus-daemon')
    if _libc.unshare(CLONE_NEWNS) != 0:
        raise unittest.SkipTest('not possible here: unshare: ' + os.strerror(ctypes.get_errno()))
    # a plain chroot is no mount point
    if subprocess.run(['mount', '--make-rprivate', '/'], check=False, capture_output=True).returncode != 0:
        raise unittest.SkipTest('not possible here: mount --make-rprivate /')
    _entered = tempfile.mkdtemp(prefix='ggb-', dir='/tmp')
    os.chmod(_entered, 0o755)
    _extend('/etc/passwd', ['tss:x:61509:61509::/:/usr/sbin/nologin'] +
            [f'{name}:x:{uid}:{uid}::/:/bin/sh' for name, uid in USERS.items()])
    _extend('/etc/group', ['tss:x:61509:', f'ggtpm:x:{GGTPM_GID}:guest'] +
            [f'{name}:x:{uid}:' for name, uid in USERS.items()])
    # no daemon that caches the user database answers here
    if os.path.isdir('/run/nscd'):
        subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', '/run/nscd'], check=True)


def leave():
    """At the end of a test program: the namespace goes with the process, its directory does not."""
    if _entered is not None:
        shutil.rmtree(_entered, ignore_errors=True)


# ---- the bus -------------------------------------------------------------------------------------------------------

def _default_policy():
    """What the real system bus says by default: its <policy> and <limit> elements."""
    root = ElementTree.parse(SYSTEM_CONF).getroot()
    return ''.join(ElementTree.tostring(element, encoding='unicode')
                   for element in root if element.tag in ('policy', 'limit'))


BUS_CONF = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  {policy}
  <include>{build}/dbus/org.ggtpm1.conf</include>
  <include>{build}/dbus/com.intel.tss2.Tabrmd.conf</include>
  <include ignore_missing="yes">/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>
  <policy user="root">
    <allow own="org.freedesktop.PolicyKit1"/>
  </policy>
  <policy context="default">
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
</busconfig>
"""


class Bus:
    def __init__(self):
        enter()
        self.dir = tempfile.mkdtemp(prefix='ggb-', dir='/tmp')
        os.chmod(self.dir, 0o755)
        self.socket = os.path.join(self.dir, 'bus')
        self.address = 'unix:path=' + self.socket
        self._stack = contextlib.ExitStack()
        conf = os.path.join(self.dir, 'bus.conf')
        _write(conf, BUS_CONF.format(socket=self.socket, build=BUILD, policy=_default_policy()))
        with open(os.path.join(self.dir, 'log'), 'wb') as log:
            self.process = subprocess.Popen(['dbus-daemon', '--nofork', '--config-file=' + conf, '--print-address=1'],
                                            stdout=subprocess.PIPE, stderr=log, preexec_fn=_die_with_parent, text=True)
        if not self.process.stdout.readline():
            raise RuntimeError('dbus-daemon does not start')

    def connect(self, uid=ROOT_UID, groups=None):
        """A connection of that user. The bus asks the kernel who connects, so the process is that user meanwhile."""
        name = next((name for name, known in USERS.items() if known == uid), None)
        if groups is None:
            groups = os.getgrouplist(name, uid) if name else [uid]
        saved = os.getgroups()
        os.setgroups(groups)
        os.setresgid(uid, uid, 0)
        os.setresuid(uid, uid, 0)
        try:
            connection = Gio.DBusConnection.new_for_address_sync(
                self.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT |
                Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        finally:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
            os.setgroups(saved)
        connection.set_exit_on_close(False)
        return Caller(connection)

    def stop(self):
        self._stack.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Error(Exception):
    """What a method answered: name is the D-Bus error's (`org.ggtpm1.Error.Busy`)."""

    def __init__(self, name, text):
        super().__init__(f'{name}: {text}')
        self.name = name
        self.text = text


class Caller:
    """One connection; by preference calls with signature and plain values, which are packed as GVariants."""

    def __init__(self, connection):
        self.connection = connection
        self.name = connection.get_unique_name()

    def _message(self, path, interface, method, signature, args, fds, interactive, destination):
        message = Gio.DBusMessage.new_method_call(destination, path, interface, method)
        if signature is not None:
            message.set_body(GLib.Variant(signature, args))
        if fds:
            fd_list = Gio.UnixFDList.new()
            for fd in fds:
                fd_list.append(fd)
            message.set_unix_fd_list(fd_list)
        if interactive:
            message.set_flags(message.get_flags() | Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)
        return message

    @staticmethod
    def _result(reply):
        if reply.get_message_type() == Gio.DBusMessageType.ERROR:
            body = reply.get_body()
            raise Error(reply.get_error_name(), body.unpack()[0] if body is not None else '')
        body = reply.get_body()
        values = body.unpack() if body is not None else ()
        fd_list = reply.get_unix_fd_list()
        if fd_list is not None:
            return values + (fd_list.steal_fds(),)
        return values[0] if len(values) == 1 else values or None

    def call(self, path, interface, method, signature=None, *args, fds=(), interactive=False, destination=NAME,
             timeout_s=60):
        message = self._message(path, interface, method, signature, args, fds, interactive, destination)
        reply, _ = self.connection.send_message_with_reply_sync(message, Gio.DBusSendMessageFlags.NONE,
                                                                timeout_s * 1000, None)
        return self._result(reply)

    def begin(self, path, interface, method, signature=None, *args, fds=(), interactive=False, destination=NAME):
        """The call without waiting; returns a Pending."""
        message = self._message(path, interface, method, signature, args, fds, interactive, destination)
        return Pending(self.connection, message)

    def get(self, path, interface, name):
        return self.call(path, 'org.freedesktop.DBus.Properties', 'Get', '(ss)', interface, name)

    def get_all(self, path, interface):
        return self.call(path, 'org.freedesktop.DBus.Properties', 'GetAll', '(s)', interface)

    def objects(self):
        return self.call(ROOT, 'org.freedesktop.DBus.ObjectManager', 'GetManagedObjects')

    def has_owner(self, name=NAME):
        return self.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'NameHasOwner', '(s)', name,
                         destination='org.freedesktop.DBus')

    def watch(self, interface, signal_name, path=None):
        """Collects a signal from now on; returns a Signals."""
        return Signals(self, interface, signal_name, path)

    def wait_job(self, path, timeout_s=120):
        """Until the job has finished; returns its properties."""
        def finished():
            properties = self.get_all(path, 'org.ggtpm1.Job')
            return properties if properties['State'] not in ('queued', 'running') else None
        return wait_for(finished, f'{path} to finish', timeout_s)

    def close(self):
        self.connection.close_sync(None)


def _run_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


class Pending:
    """An answer to come; GDBus may wait for it in a thread."""

    def __init__(self, connection, message):
        self._connection = connection
        self._message = message
        self._reply = None
        self._error = None
        self._sent = threading.Event()
        self._thread = _run_thread(self._wait)
        self._sent.wait()

    def _wait(self):
        self._sent.set()
        try:
            self._reply, _ = self._connection.send_message_with_reply_sync(
                self._message, Gio.DBusSendMessageFlags.NONE, 120 * 1000, None)
        except GLib.Error as error:
            self._error = error

    @property
    def is_answered(self):
        return not self._thread.is_alive()

    def result(self, timeout_s=60):
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError('no answer')
        if self._error is not None:
            raise self._error
        return Caller._result(self._reply)


class Signals:
    def __init__(self, caller, interface, name, path):
        self.seen = []
        self._caller = caller
        self._context = GLib.MainContext.new()
        self._context.push_thread_default()
        caller.connection.signal_subscribe(NAME, interface, name, path, None, Gio.DBusSignalFlags.NONE, self._on_signal)
        self._context.pop_thread_default()
        # AddMatch has gone out before this returns
        caller.has_owner()

    def _on_signal(self, _connection, _sender, path, _interface, _name, parameters, *_):
        self.seen.append((path, parameters.unpack()))

    def drain(self):
        """Takes what was sent before this; returns all that was seen."""
        self._caller.has_owner()
        while self._context.iteration(False):
            pass
        return self.seen

    def wait(self, condition=lambda path, args: True, timeout_s=START_TIMEOUT_S):
        """The first signal, seen already or to come, that fits."""
        deadline = time.monotonic() + timeout_s
        while True:
            for path, args in self.seen:
                if condition(path, args):
                    return path, args
            if time.monotonic() > deadline:
                raise TimeoutError(f'no such signal; seen: {self.seen}')
            if not self._context.iteration(False):
                time.sleep(0.005)


# ---- polkit --------------------------------------------------------------------------------------------------------

POLKIT_XML = """<node><interface name="org.freedesktop.PolicyKit1.Authority">
  <method name="CheckAuthorization">
    <arg name="subject" type="(sa{sv})" direction="in"/><arg name="action_id" type="s" direction="in"/>
    <arg name="details" type="a{ss}" direction="in"/><arg name="flags" type="u" direction="in"/>
    <arg name="cancellation_id" type="s" direction="in"/><arg name="result" type="(bba{ss})" direction="out"/>
  </method>
  <method name="CancelCheckAuthorization"><arg name="cancellation_id" type="s" direction="in"/></method>
  <signal name="Changed"/>
</interface></node>"""


class FakePolkit:
    """Says what the test wants: answer(sender, action, details, flags) returns (authorized, challenge, details), an
    error's (name, text), or None, which leaves the caller without an answer until release()."""

    def __init__(self, bus, answer=None):
        self.answer = answer or (lambda sender, action, details, flags: (True, False, {}))
        self.asked = []       # (sender, action, details, flags)
        self.cancelled = []
        self._held = []
        self._loop = None
        self._connection = bus.connect().connection
        ready = threading.Event()
        self._thread = _run_thread(lambda: self._run(ready))
        if not ready.wait(START_TIMEOUT_S):
            raise TimeoutError('FakePolkit')

    def _run(self, ready):
        context = GLib.MainContext.new()
        context.push_thread_default()
        info = Gio.DBusNodeInfo.new_for_xml(POLKIT_XML).interfaces[0]
        self._connection.register_object(POLKIT_PATH, info, self._on_call, None, None)
        self._connection.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                                   'RequestName', GLib.Variant('(su)', (POLKIT, 0)), None, 0, -1, None)
        self._loop = GLib.MainLoop.new(context, False)
        ready.set()
        self._loop.run()

    def _on_call(self, _connection, _sender, _path, _interface, method, parameters, invocation):
        if method == 'CancelCheckAuthorization':
            self.cancelled.append(parameters.unpack()[0])
            invocation.return_value(None)
            return
        subject, action, details, flags, _ = parameters.unpack()
        assert subject[0] == 'system-bus-name', subject
        self.asked.append((subject[1]['name'], action, details, flags))
        answer = self.answer(*self.asked[-1])
        if answer is None:
            self._held.append(invocation)
        elif len(answer) == 2:
            invocation.return_dbus_error(*answer)
        else:
            invocation.return_value(GLib.Variant('((bba{ss}))', (answer,)))

    def release(self, answer=(True, False, {})):
        held, self._held = self._held, []
        for invocation in held:
            invocation.return_value(GLib.Variant('((bba{ss}))', (answer,)))

    def emit_changed(self):
        self._connection.emit_signal(None, POLKIT_PATH, POLKIT_INTERFACE, 'Changed', None)
        # once the bus has answered this it has passed that on
        self._connection.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'GetId',
                                   None, None, 0, -1, None)

    def stop(self):
        if self._loop is not None:
            self._loop.quit()
            self._thread.join(START_TIMEOUT_S)
        with contextlib.suppress(GLib.Error):
            self._connection.close_sync(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class RealPolkit:
    """Debian's polkitd with our actions as they are installed, and @rules (JavaScript)."""

    def __init__(self, bus, rules=''):
        if not os.path.exists(POLKITD):
            raise unittest.SkipTest('not installed: polkitd')
        self._dir = tempfile.mkdtemp(prefix='ggb-', dir='/tmp')
        os.chmod(self._dir, 0o755)
        actions = os.path.join(self._dir, 'actions')
        rule_dir = os.path.join(self._dir, 'rules')
        os.mkdir(actions)
        os.mkdir(rule_dir)
        shutil.copy(os.path.join(BUILD, 'dbus', 'org.ggtpm1.policy'), actions)
        _write(os.path.join(rule_dir, '10-test.rules'), rules)
        # over what is there; other mounts of this namespace go with it
        for source, target in ((actions, '/usr/share/polkit-1/actions'), (rule_dir, '/etc/polkit-1/rules.d')):
            _bind(source, target)
        self.process = subprocess.Popen([POLKITD, '--no-debug'], preexec_fn=_die_with_parent,
                                        env=dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=bus.address))
        caller = bus.connect()
        wait_for(lambda: caller.has_owner(POLKIT), 'polkitd')
        caller.close()

    def stop(self):
        self.process.kill()
        self.process.wait()
        for target in ('/usr/share/polkit-1/actions', '/etc/polkit-1/rules.d'):
            subprocess.run(['umount', target], check=True)
        shutil.rmtree(self._dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# ---- the daemon ----------------------------------------------------------------------------------------------------

def open_to_daemon(tpm):
    """The daemon is not root: lets it connect to a software TPM that was started by root."""
    os.chmod(tpm.dir, 0o755)
    for path in (tpm.socket, tpm.socket + '.ctrl'):
        os.chmod(path, 0o666)


class Daemon:
    """The daemon from the build tree, as the user tss. @tpm: an Swtpm, which need not run, or a TCTI configuration.
    @config: more lines for the configuration file, or what replaces it if it begins with '!'.
    @listener: a listening socket to pass as systemd passes that of ggtpmd.socket."""

    def __init__(self, bus, tpm, *arguments, wait=True, config='', environment=None, listener=None):
        self._bus = bus
        self._environment = environment or {}
        self.dir = tempfile.mkdtemp(prefix='ggd-', dir='/tmp')
        os.chmod(self.dir, 0o755)
        self.state_dir = os.path.join(self.dir, 'state')
        self.runtime_dir = os.path.join(self.dir, 'run')
        self.log = os.path.join(self.dir, 'log')
        user = pwd.getpwnam('tss')
        for path in (self.state_dir, self.runtime_dir):
            os.mkdir(path, 0o755)
            os.chown(path, user.pw_uid, user.pw_gid)
        if not isinstance(tpm, str):
            if tpm.process is not None:
                open_to_daemon(tpm)
            tpm = tpm.tcti
        self._copy_programs()
        _write(os.path.join(self.dir, 'conf'), config[1:] if config.startswith('!') else self._config(tpm) + config)
        self.process = None
        self._arguments = arguments
        self._listener = listener
        self.start(wait)

    def _copy_programs(self):
        """The build tree may be where only root can look."""
        for pattern in ('daemon/ggtpmd', 'daemon/token-helper/ggtpm-token-helper',
                        'daemon/token-verifier/ggtpm-token-verifier',
                        'client/tcti/libtss2-tcti-ggtpm.so.0'):
            found = glob.glob(os.path.join(BUILD, pattern))
            shutil.copy(found[0], self.dir)

    def _config(self, tcti):
        return (f'[Daemon]\nTcti={tcti}\nStateDirectory={self.state_dir}\nRuntimeDirectory={self.runtime_dir}\n'
                f'[Token]\nHelper={self.dir}/ggtpm-token-helper\nTctiModule={self.dir}/libtss2-tcti-ggtpm.so.0\n'
                f'[Provision]\nFile={self.dir}/provision.conf\n')

    def start(self, wait=True):
        groups = ','.join(str(gid) for gid in os.getgrouplist('tss', pwd.getpwnam('tss').pw_gid) + [GGTPM_GID])
        env = {'PATH': os.environ['PATH'], 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC', 'TSS2_LOG': 'all+none',
               'G_DEBUG': 'fatal-criticals', 'G_MESSAGES_DEBUG': 'all', 'DBUS_SYSTEM_BUS_ADDRESS': self._bus.address}
        env.update({key: value for key, value in os.environ.items() if key.endswith('SAN_OPTIONS')})
        env.update(self._environment)
        command = ['setpriv', '--reuid=tss', '--regid=tss', '--groups=' + groups,
                   self.dir + '/ggtpmd', '--config', self.dir + '/conf', *self._arguments]
        if self._listener is not None:
            env.update({'LISTEN_FDS': '1', 'LISTEN_FDNAMES': 'tpm.sock'})
            command = ['sh', '-c', 'export LISTEN_PID=$$; exec "$@"', 'sh'] + command
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd='/',
                                            preexec_fn=self._prepare, close_fds=self._listener is None)
        if wait:
            self.wait_name()

    def _prepare(self):
        _die_with_parent()
        if self._listener is not None:
            os.dup2(self._listener.fileno(), 3)
            os.set_inheritable(3, True)

    def wait_name(self):
        caller = self._bus.connect()

        def owned():
            if self.process.poll() is not None:
                raise RuntimeError(f'ggtpmd ended with {self.process.returncode}\n{self.read_log()}')
            return caller.has_owner()
        try:
            wait_for(owned, 'org.ggtpm1')
        except TimeoutError:
            raise TimeoutError('org.ggtpm1\n' + self.read_log()) from None
        finally:
            caller.close()

    def read_log(self):
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return log.read()

    def wait_end(self, timeout_s=30):
        """Its exit status, when it ends by itself."""
        status = self.process.wait(timeout_s)
        self.process = None
        return status

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self, timeout_s=30, number=signal.SIGTERM):
        """An orderly stop; returns the exit status."""
        self.process.send_signal(number)
        return self.wait_end(timeout_s)

    def stop(self):
        self.kill()
        if sys.exc_info()[0] is not None or os.environ.get('GGTPM_TEST_LOG'):
            sys.stderr.write(self.read_log())
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# ---- descriptors ---------------------------------------------------------------------------------------------------

def memfd(data):
    fd = os.memfd_create('pin')
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def pipe(data):
    read_end, write_end = os.pipe()
    os.write(write_end, data)
    os.close(write_end)
    return read_end


def main():
    """unittest.main() for meson: 77 when everything was skipped."""
    program = unittest.main(exit=False, verbosity=2)
    leave()
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun == 0 or len(result.skipped) >= max(result.testsRun, 1) else 0)


