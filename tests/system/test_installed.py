#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What `meson install` puts where, and what systemd and udev make of it, without either running.

Everything happens below a private directory and in a private mount namespace.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ['GGTPM_SOURCE_DIR']
BUILD = os.environ['GGTPM_BUILD_DIR']
PREFIX = os.environ['GGTPM_PREFIX']
LIBDIR = os.environ['GGTPM_LIBDIR']
UNITS = ('ggtpmd.service', 'ggtpmd.socket',
         'ggtpm-provision.path', 'ggtpm-provision.service', 'ggtpm-provision-again.service',
         'ggtpm-config.service', 'ggtpm-config.path',
         'ggtpm-metrics.service', 'ggtpm-metrics.timer')

# Not everybody has what reads metrics, or waits for a certificate.
ENABLED = {'ggtpm-metrics.service': 'static', 'ggtpm-metrics.timer': 'disabled', 'ggtpm-provision.path': 'disabled',
           'ggtpm-provision-again.service': 'static'}

# systemd's own measure of what a service may do, 0 to 10, here times ten: far below anything in Debian
EXPOSURE_MAX = 10
# They are to write as root, where people want it. The last asks systemd, which may do everything.
EXPOSURE_OF = {'ggtpm-config.service': 13, 'ggtpm-provision.service': 13, 'ggtpm-provision-again.service': 100}

# What must be there; @P@ is the prefix, * any text without a slash.
REQUIRED = """
@P@/bin/ggtpmctl 755
@P@/libexec/ggtpmd 755
@P@/libexec/ggtpm-token-helper 755
@P@/libexec/ggtpm-token-verifier 755
@L@/libtss2-tcti-ggtpm.so.0 755
@P@/share/bash-completion/completions/ggtpmctl 644
@P@/share/ggtpm/advisories.conf 644
@P@/share/dbus-1/system.d/com.intel.tss2.Tabrmd.conf 644
@P@/share/dbus-1/system.d/org.ggtpm1.conf 644
@P@/share/dbus-1/system-services/org.ggtpm1.service 644
@P@/share/polkit-1/actions/org.ggtpm1.policy 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Device.rst 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Health.rst 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Job.rst 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Key.rst 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Manager.rst 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Ownership.rst 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Platform.rst 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Provisioning.rst 644
@P@/share/doc/ggtpmd/api/api-org.ggtpm1.Token.rst 644
@P@/share/doc/ggtpmd/examples/ggtpmd.conf 644
@P@/share/doc/ggtpmd/examples/provision.conf 644
@P@/share/man/man1/ggtpmctl.1 644
@P@/share/man/man5/ggtpmd.conf.5 644
@P@/share/man/man5/provision.conf.5 644
@P@/share/man/man7/tss2-tcti-ggtpm.7 644
@P@/share/man/man8/ggtpmd.8 644
/usr/lib/systemd/catalog/ggtpmd.catalog 644
/usr/lib/sysusers.d/ggtpmd-sysusers.conf 644
/usr/lib/tmpfiles.d/ggtpmd-tmpfiles.conf 644
/usr/lib/systemd/system/ggtpmd.service 644
/usr/lib/systemd/system/ggtpmd.socket 644
/usr/lib/systemd/system/ggtpm-provision.path 644
/usr/lib/systemd/system/ggtpm-provision.service 644
/usr/lib/systemd/system/ggtpm-provision-again.service 644
/usr/lib/systemd/system/ggtpm-config.service 644
/usr/lib/systemd/system/ggtpm-config.path 644
/usr/lib/systemd/system/ggtpm-metrics.service 644
/usr/lib/systemd/system/ggtpm-metrics.timer 644
/usr/lib/systemd/system-preset/70-ggtpmd.preset 644
/usr/lib/udev/rules.d/70-ggtpmd.rules 644
"""

TPM = '/devices/LNXSYSTM:00/LNXSYBUS:00/MSFT0101:00/tpm/tpm0'


def run(*args, **kwargs):
    return subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, **kwargs)


def need(*programs):
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise unittest.SkipTest('not installed: ' + ' '.join(missing))


def overlay(tree, target, scratch):
    upper = os.path.join(scratch, target.strip('/') + '.u')
    work = os.path.join(scratch, target.strip('/') + '.w')
    os.makedirs(upper)
    os.makedirs(work)
    options = f'lowerdir={tree}{target}:{target},upperdir={upper},workdir={work}'
    subprocess.run(['mount', '-t', 'overlay', '-o', options, 'ggtpm', target], check=True)


def setUpModule():
    global scratch, tree, root
    scratch = tempfile.mkdtemp(prefix='ggtpm-')
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'ggtpm', scratch], check=True)
    tree = os.path.join(scratch, 'tree')
    result = run('meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir', tree)
    if result.returncode != 0:
        raise RuntimeError(result.stdout)
    # Where /lib is a link into /usr, so it is here.
    if os.path.islink('/lib') and os.path.isdir(tree + '/lib'):
        shutil.copytree(tree + '/lib', tree + '/usr/lib', symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(tree + '/lib')
    # A root directory that knows nobody but root.
    root = os.path.join(scratch, 'root')
    os.makedirs(root + '/etc')
    shutil.copytree(tree + '/usr', root + '/usr', symlinks=True)
    with open(root + '/etc/passwd', 'w', encoding='ascii') as file:
        file.write('root:x:0:0:root:/root:/bin/sh\n')
    with open(root + '/etc/group', 'w', encoding='ascii') as file:
        file.write('root:x:0:\n')


def tearDownModule():
    subprocess.run(['umount', '-l', scratch], check=True)
    os.rmdir(scratch)


class Files(unittest.TestCase):
    def test_required(self):
        found = {}
        for directory, _, names in os.walk(tree):
            for name in names:
                path = os.path.join(directory, name)
                if not os.path.islink(path):
                    found[path[len(tree):]] = stat.S_IMODE(os.stat(path).st_mode)
        for line in REQUIRED.split('\n'):
            if line == '':
                continue
            pattern, mode = line.replace('@P@', PREFIX).replace('@L@', LIBDIR).split(' ')
            regex = re.compile(re.escape(pattern).replace(r'\*', '[^/]*'))
            with self.subTest(path=pattern):
                paths = [path for path in found if regex.fullmatch(path)]
                self.assertEqual(len(paths), 1, 'not installed, or twice')
                self.assertEqual(f'{found[paths[0]]:o}', mode)

    def test_nothing_for_others_to_write(self):
        for directory, names, files in os.walk(tree):
            for name in names + files:
                path = os.path.join(directory, name)
                if not os.path.islink(path):
                    self.assertEqual(os.stat(path).st_mode & 0o022, 0, path)

    def test_no_placeholder_is_left(self):
        for directory, _, names in os.walk(tree):
            for name in names:
                path = os.path.join(directory, name)
                if re.search(r'\.(service|socket|conf|rules|policy|preset)$', name):
                    with open(path, encoding='utf-8') as file:
                        self.assertNotRegex(file.read(), r'@[a-z_]+@', path)


class Units(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need('systemd-analyze')
        mounts = os.path.join(scratch, 'overlay')
        for target in sorted({'/usr', '/' + PREFIX.split('/')[1]}):
            if os.path.isdir(tree + target) and os.path.isdir(target):
                overlay(tree, target, mounts)

    def test_verify(self):
        # verify exits with 0 on unknown keys and bad values: whatever it says is a failure.
        for unit in UNITS:
            with self.subTest(unit=unit):
                result = run('systemd-analyze', 'verify', '--man=no', '/usr/lib/systemd/system/' + unit)
                self.assertEqual((result.returncode, result.stdout), (0, ''))

    def test_verify_sees_errors(self):
        path = os.path.join(scratch, 'bad.service')
        with open(path, 'w', encoding='ascii') as file:
            file.write('[Service]\nExecStart=/bin/true\nProtectSystem=maybe\n')
        self.assertIn('bad.service:3: Failed to parse', run('systemd-analyze', 'verify', '--man=no', path).stdout)

    def test_security(self):
        for unit in UNITS:
            if unit.endswith('.service'):
                with self.subTest(unit=unit):
                    threshold = EXPOSURE_OF.get(unit, EXPOSURE_MAX)
                    result = run('systemd-analyze', 'security', '--offline=true', '--no-pager',
                                 f'--threshold={threshold}', '/usr/lib/systemd/system/' + unit)
                    self.assertEqual(result.returncode, 0, result.stdout[-2000:])

    def test_preset(self):
        for unit in UNITS:
            with self.subTest(unit=unit):
                result = run('systemctl', '--root', root, 'preset', unit)
                self.assertEqual(result.returncode, 0, result.stdout)
                enabled = run('systemctl', '--root', root, 'is-enabled', unit).stdout.strip()
                self.assertEqual(enabled, ENABLED.get(unit, 'enabled'))


class Accounts(unittest.TestCase):
    def test_users_and_directories(self):
        need('systemd-sysusers', 'systemd-tmpfiles')
        result = run('systemd-sysusers', '--root', root)
        self.assertEqual(result.returncode, 0, result.stdout)
        with open(root + '/etc/group', encoding='ascii') as file:
            groups = {line.split(':')[0]: int(line.split(':')[2]) for line in file}
        self.assertIn('ggtpm', groups)
        with open(root + '/etc/passwd', encoding='ascii') as file:
            users = {line.split(':')[0]: line.split(':') for line in file}
        self.assertIn('tss', users)
        self.assertEqual(users['tss'][6].strip(), '/usr/sbin/nologin')

        result = run('systemd-tmpfiles', '--root', root, '--create', '--prefix', '/run/ggtpm')
        self.assertEqual((result.returncode, result.stdout), (0, ''))
        run_dir = os.stat(root + '/run/ggtpm')
        self.assertEqual(stat.S_IMODE(run_dir.st_mode), 0o755)
        self.assertEqual((run_dir.st_uid, run_dir.st_gid), (int(users['tss'][2]), groups['tss']))


class Catalog(unittest.TestCase):
    def test_every_event_has_a_text(self):
        need('journalctl')
        with open(os.path.join(SOURCE, 'common/log.c'), encoding='utf-8') as file:
            ids = re.findall(r'= "([0-9a-f]{32})"', file.read())
        self.assertGreaterEqual(len(ids), 3)
        os.makedirs(root + '/var/lib/systemd/catalog')
        result = run('journalctl', '--root', root, '--update-catalog')
        self.assertEqual(result.returncode, 0, result.stdout)
        listed = run('journalctl', '--root', root, '--list-catalog').stdout
        # those of issues are held to their table by tests/style/check-issues.py
        with open(os.path.join(SOURCE, 'systemd/ggtpmd.catalog'), encoding='utf-8') as file:
            issues = re.findall(r'^-- ([0-9a-f]{32})\n(?:.+\n)+\nThis is the issue ', file.read(), re.M)
        self.assertGreaterEqual(len(issues), 30)
        self.assertEqual(sorted(line.split()[0] for line in listed.splitlines()), sorted(ids + issues))


class Udev(unittest.TestCase):
    """What the rule engine makes of our rule together with the system's."""

    RULE = '70-ggtpmd.rules'

    @classmethod
    def setUpClass(cls):
        need('udevadm', 'umockdev-run')
        # udevadm test writes /run/udev and /dev/char.
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'ggtpm', '/run'], check=True)
        os.makedirs('/run/udev/rules.d')
        os.makedirs('/dev/char', exist_ok=True)
        subprocess.run(['mount', '-t', 'tmpfs', 'ggtpm', '/dev/char'], check=True)
        shutil.copy(f'{tree}/usr/lib/udev/rules.d/{cls.RULE}', '/run/udev/rules.d/')

    def verdict(self, action='add', version='2', device=TPM):
        with open(os.path.join(SOURCE, 'tests/system/tpm.umockdev'), encoding='ascii') as file:
            text = file.read()
        if version is None:
            text = re.sub(r'A: tpm_version_major=.*\n', '', text)
        else:
            text = text.replace('tpm_version_major=2', 'tpm_version_major=' + version)
        path = os.path.join(scratch, 'tpm.umockdev')
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        result = run('umockdev-run', '--device', path, '--', 'udevadm', 'test', '--action', action, '/sys' + device)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotRegex(result.stdout, self.RULE + r':\d+ .*([Ii]nvalid|[Uu]nknown|ignoring|[Ff]ailed)')
        applied = dict(re.findall(self.RULE + r':\d+ (OWNER|GROUP|MODE) (\S+)', result.stdout))
        environment = dict(line.split('=', 1) for line in result.stdout.splitlines()
                           if re.match(r'[A-Z_]+=', line))
        return applied, environment

    def test_tpm2_starts_the_daemon(self):
        applied, environment = self.verdict()
        self.assertEqual(environment.get('SYSTEMD_WANTS'), 'ggtpmd.service')
        self.assertIn(':systemd:', environment['TAGS'])
        self.assertEqual(applied['MODE'], '0600')
        self.assertIn('OWNER', applied)

    def test_kernel_that_tells_no_version(self):
        self.assertEqual(self.verdict(version=None)[1].get('SYSTEMD_WANTS'), 'ggtpmd.service')

    def test_others_are_left_alone(self):
        for what, arguments in (('TPM 1.2', {'version': '1'}), ('remove', {'action': 'remove'}),
                                ('tpmrm0', {'device': TPM.replace('/tpm/tpm0', '/tpmrm/tpmrm0')})):
            with self.subTest(what=what):
                applied, environment = self.verdict(**arguments)
                self.assertNotIn('SYSTEMD_WANTS', environment)
                self.assertEqual(applied, {})


def main():
    if os.geteuid() != 0:
        print('needs root for a mount namespace')
        sys.exit(77)
    if 'GGTPM_TEST_NAMESPACE' not in os.environ:
        os.environ['GGTPM_TEST_NAMESPACE'] = '1'
        private = ['unshare', '--mount', '--propagation', 'private']
        # a plain chroot is no mount point
        if run(*private, 'true').returncode != 0:
            print('not possible here: ' + ' '.join(private))
            sys.exit(77)
        os.execvp('unshare', private + [sys.executable] + sys.argv)
    unittest.main()


if __name__ == '__main__':
    main()
