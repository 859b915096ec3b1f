# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Programs that are not ours use what was provisioned: a daemon with a token and two keys with certificates of a test
CA, in an own network, for servers on whatever ports they want."""

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

import bus
import swtpm

MODULE = f'/usr/lib/{sys.implementation._multiarch}/pkcs11/libtpm2_pkcs11.so'
MODULES = '/usr/share/p11-kit/modules'
KEY = 'org.ggtpm1.Key'
PROVISIONING = 'org.ggtpm1.Provisioning'
TIMEOUT_S = 60

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def v(signature, value):
    return bus.GLib.Variant(signature, value)


def need(*programs):
    for program in programs:
        if shutil.which(program) is None and not os.path.exists(program):
            raise unittest.SkipTest('not installed: ' + program)


def _enter_network():
    """No port of it is anybody else's."""
    if bus._libc.unshare(CLONE_NEWNET) != 0:
        raise unittest.SkipTest('not possible here: unshare: ' + os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name = struct.pack('16sh', b'lo', 0)
        flags = struct.unpack('16sh', fcntl.ioctl(control, SIOCGIFFLAGS, name)[:18])[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack('16sh14x', b'lo', flags | IFF_UP))


class Case(unittest.TestCase):
    KEYS = {'greenkey': 'ecc-p256', 'rsakey': 'rsa-2048'}

    @classmethod
    def setUpClass(cls):
        bus.enter()
        need('openssl', 'p11-kit', 'swtpm', MODULE)
        _enter_network()
        cls.dir = tempfile.mkdtemp(prefix='ggs-', dir='/tmp')
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.bus = cls.enter(bus.Bus())
        cls.tpm = cls.enter(swtpm.Swtpm())
        cls.daemon = cls.enter(bus.Daemon(cls.bus, cls.tpm))
        cls.caller = cls.bus.connect()
        cls.plain_env = {key: value for key, value in os.environ.items() if not key.startswith('TPM2')}
        cls.plain_env |= {'TSS2_LOG': 'all+none', 'LC_ALL': 'C'}
        # of the build with sanitizers: theirs are not ours
        cls.plain_env['ASAN_OPTIONS'] = cls.plain_env.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
        cls.tcti = f'{cls.daemon.dir}/libtss2-tcti-ggtpm.so.0:path={cls.daemon.runtime_dir}/tpm.sock'
        cls.store = cls.daemon.state_dir + '/pkcs11'
        cls.env = cls.plain_env | {'TPM2_PKCS11_STORE': cls.store, 'TPM2_PKCS11_TCTI': cls.tcti}

    @classmethod
    def enter(cls, context):
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    @classmethod
    def provision(cls, options, fds=()):
        job = cls.caller.call(bus.ROOT, PROVISIONING, 'Provision', '(a{sv})', options, fds=fds)
        done = cls.caller.wait_job(job)
        if done['State'] != 'done':
            raise bus.Error(*done['Error'])
        return done['Result']

    @classmethod
    def provision_keys(cls):
        """All of KEYS, with certificates of a CA in cls.ca, also in the token."""
        cls.make_ca()
        cls.keys = {name: cls.provision({'key': v('s', name), 'algorithm': v('s', algorithm),
                                         'exclusive': v('b', False)}) for name, algorithm in cls.KEYS.items()}
        for name, key in cls.keys.items():
            with open(cls.path(name + '.csr'), 'w', encoding='ascii') as file:
                file.write(key['csr'])
            cls.issue(name)
            with open(cls.path(name + '.pem'), encoding='ascii') as file:
                cls.caller.call(key['key'], KEY, 'InstallCertificate', '(sa{sv})', file.read(), {})
        with open(cls.daemon.state_dir + '/pins/greengrass.user', encoding='ascii') as file:
            cls.pin = file.read().strip()

    @classmethod
    def make_ca(cls):
        cls.ca = cls.path('ca.pem')
        cls.openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
                    cls.path('ca.key'), '-out', cls.ca, '-subj', '/CN=test CA', '-days', '2')

    @classmethod
    def issue(cls, name):
        """NAME.pem for NAME.csr, good for both sides on loopback."""
        with open(cls.path('extensions'), 'w', encoding='ascii') as file:
            file.write('subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=clientAuth,serverAuth\n')
        cls.openssl('x509', '-req', '-in', cls.path(name + '.csr'), '-CA', cls.ca, '-CAkey', cls.path('ca.key'),
                    '-CAcreateserial', '-days', '2', '-extfile', cls.path('extensions'), '-out',
                    cls.path(name + '.pem'))

    @classmethod
    def make_software_key(cls, name):
        """NAME.key and NAME.pem, for the side that is not looked at."""
        cls.openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
                    cls.path(name + '.key'), '-out', cls.path(name + '.csr'), '-subj', '/CN=' + name)
        cls.issue(name)

    @classmethod
    def use_module_file(cls):
        """p11-kit has our module file in the place of tpm2-pkcs11's own, for this process and its children."""
        need(MODULES)
        _, _, fds = cls.caller.call(bus.ROOT, PROVISIONING, 'RenderConfig', '(sa{sv})', 'p11-kit', {})
        with os.fdopen(fds[0], 'rb') as file:
            text = file.read()
        modules = cls.path('modules')
        os.mkdir(modules)
        with open(os.path.join(modules, 'tpm2_pkcs11.module'), 'wb') as file:
            file.write(text)
        subprocess.run(['mount', '--bind', modules, MODULES], check=True)
        cls.addClassCleanup(subprocess.run, ['umount', MODULES], check=True)

    @classmethod
    def openssl(cls, *args):
        subprocess.run(['openssl', *args], stdin=subprocess.DEVNULL, capture_output=True, check=True)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir, name)

    def uri(self, key, kind='private'):
        return f'pkcs11:token=greengrass;object={key};type={kind};pin-value={self.pin}'

    def run_any(self, *command, env=None, **kwargs):
        kwargs.setdefault('stdin', None if 'input' in kwargs else subprocess.DEVNULL)
        return subprocess.run(command, env=self.env if env is None else env, capture_output=True, timeout=TIMEOUT_S,
                              check=False, **kwargs)

    def run_ok(self, *command, **kwargs):
        result = self.run_any(*command, **kwargs)
        self.assertEqual(result.returncode, 0, (command, result.stdout, result.stderr))
        return result.stdout.decode()

    @contextlib.contextmanager
    def running(self, *command, until, env=None, stream='stdout', **kwargs):
        """A program until the block ends; yields the line that has @until in it."""
        kwargs |= {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL, 'stdin': subprocess.DEVNULL}
        kwargs[stream] = subprocess.PIPE
        process = subprocess.Popen(command, env=self.env if env is None else env, text=True, **kwargs)
        watchdog = threading.Timer(TIMEOUT_S, process.kill)
        watchdog.start()
        lines = []
        output = getattr(process, stream)
        try:
            for line in output:
                lines.append(line)
                if until in line:
                    break
            else:
                self.fail((command, lines))
            drain = threading.Thread(target=output.read)
            drain.start()
            yield line
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            with contextlib.suppress(NameError):
                drain.join()
            output.close()
