#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""How the daemon starts, lives with a chip that is missing, hangs or talks nonsense, and stops."""

import fcntl
import os
import pty
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
import tty
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

MANAGER = 'org.ggtpm1.Manager'
HEALTH = 'org.ggtpm1.Health'
PROVISIONING = 'org.ggtpm1.Provisioning'
TABRMD = 'com.intel.tss2.Tabrmd'

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_BUS_LOST = 69
NAME_WAIT_S = 10
# TPM2_GetRandom(8)
GET_RANDOM = bytes.fromhex('80010000000c0000017b0008')
TCTI_LAYER = 0xa


class Case(unittest.TestCase):
    def setUp(self):
        bus.enter()
        if not swtpm.available():
            self.skipTest('not installed: swtpm')
        self.bus = self.enter_context(bus.Bus())

    def enter_context(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def wait_state(self, caller, *states, timeout_s=60):
        def reached():
            state = caller.get(bus.ROOT, MANAGER, 'State')
            return state if state in states else None
        return bus.wait_for(reached, f'state {states}', timeout_s)

    def provision(self, caller):
        job = caller.call(bus.ROOT, PROVISIONING, 'Provision', '(a{sv})', {})
        return caller.wait_job(job)

    def assert_unavailable(self, caller):
        with self.assertRaises(bus.Error) as caught:
            caller.call(bus.DEVICE, 'org.ggtpm1.Device', 'Refresh', '(a{sv})', {})
        self.assertIn(caught.exception.name, ('org.ggtpm1.Error.Unavailable', 'org.ggtpm1.Error.TpmFailure'))


class Chip(Case):
    def setUp(self):
        super().setUp()
        self.tpm = self.enter_context(swtpm.Swtpm())

    def start_daemon(self, tpm, **kwargs):
        self.daemon = self.enter_context(bus.Daemon(self.bus, tpm, **kwargs))
        caller = self.bus.connect()
        self.addCleanup(caller.close)
        return caller

    def start_proxy(self):
        bus.open_to_daemon(self.tpm)
        proxy = self.enter_context(swtpm.Proxy(self.tpm, os.environ['TPM_PROXY']))
        os.chmod(proxy.socket, 0o666)
        return proxy

    def test_no_chip_then_chip(self):
        self.tpm.kill()
        begun = time.monotonic()
        caller = self.start_daemon(self.tpm)
        # the name does not wait for a chip that is not there
        self.assertLess(time.monotonic() - begun, NAME_WAIT_S / 2)
        self.assertEqual(self.wait_state(caller, 'unavailable'), 'unavailable')
        self.assertTrue(caller.get(bus.ROOT, MANAGER, 'StateReason'))
        self.assertEqual(caller.get(bus.DEVICE, HEALTH, 'State'), 'failed')
        self.assertEqual(caller.get(bus.DEVICE, 'org.ggtpm1.Device', 'FirmwareVersion'), '')
        self.assert_unavailable(caller)
        with self.assertRaises(bus.Error) as caught:
            self.provision(caller)
        self.assertEqual(caught.exception.name, 'org.ggtpm1.Error.Unavailable')
        self.assertIn(caller.get(bus.ROOT, MANAGER, 'StateReason'), caught.exception.text)
        self.assertEqual(caller.get(bus.ROOT, PROVISIONING, 'State'), 'unknown')
        changed = caller.watch('org.freedesktop.DBus.Properties', 'PropertiesChanged', bus.ROOT)
        self.tpm.start()
        bus.open_to_daemon(self.tpm)
        changed.wait(lambda _, args: args[1].get('State') == 'ready', timeout_s=60)
        self.assertEqual(caller.get(bus.ROOT, MANAGER, 'StateReason'), '')
        bus.wait_for(lambda: caller.get(bus.DEVICE, HEALTH, 'State') == 'ok', 'health')
        self.assertEqual(caller.get(bus.DEVICE, 'org.ggtpm1.Device', 'Manufacturer'), 'IBM')
        bus.wait_for(lambda: caller.get(bus.ROOT, PROVISIONING, 'State') == 'none', 'the listing')
        properties = self.provision(caller)
        self.assertEqual(properties['State'], 'done', properties)

    def test_busy(self):
        """A device that another program holds, as /dev/tpm0 can be held: said so, and ready by itself when it is free.
        A terminal in exclusive mode refuses whoever is not root with EBUSY; `swtpm chardev` speaks at its other end."""
        self.tpm.kill()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        tty.setraw(theirs)
        path = os.ttyname(theirs)
        os.chown(path, pwd.getpwnam('tss').pw_uid, -1)
        os.chmod(path, 0o600)
        chip = subprocess.Popen(['swtpm', 'chardev', '--tpm2', '--fd', str(ours), '--tpmstate', 'dir=' + self.tpm.dir,
                                 '--flags', 'not-need-init,startup-clear'], pass_fds=[ours])
        self.addCleanup(chip.wait)
        self.addCleanup(chip.kill)
        fcntl.ioctl(theirs, termios.TIOCEXCL)
        caller = self.start_daemon('device:' + path)
        self.assertEqual(self.wait_state(caller, 'unavailable'), 'unavailable')
        reason = caller.get(bus.ROOT, MANAGER, 'StateReason')
        self.assertIn(f'{path} is in use by another program', reason)
        bus.wait_for(lambda: 'device.busy' in [issue[0] for issue in caller.get(bus.DEVICE, HEALTH, 'Issues')], 'issue')
        self.assert_unavailable(caller)
        changed = caller.watch('org.freedesktop.DBus.Properties', 'PropertiesChanged', bus.ROOT)
        fcntl.ioctl(theirs, termios.TIOCNXCL)
        changed.wait(lambda _, args: args[1].get('State') == 'ready', timeout_s=60)
        bus.wait_for(lambda: caller.get(bus.DEVICE, HEALTH, 'State') == 'ok', 'health')
        self.assertEqual(self.daemon.terminate(), EXIT_OK)

    def test_client_is_told_that_there_is_no_chip(self):
        """Who connects before the first opening has succeeded waits for it, but not for a chip that does not come."""
        self.tpm.kill()
        self.start_daemon(self.tpm)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(os.path.join(self.daemon.runtime_dir, 'tpm.sock'))
            client.sendall(GET_RANDOM)
            answer = client.recv(4096)
        self.assertEqual(len(answer), 10)
        code = int.from_bytes(answer[6:], 'big')
        self.assertEqual(code >> 16, TCTI_LAYER, hex(code))

    def test_garbage_then_sense(self):
        proxy = self.start_proxy()
        proxy.rules('any garbage -')
        caller = self.start_daemon(proxy.tcti)
        self.wait_state(caller, 'failed', 'unavailable')
        self.assertTrue(caller.get(bus.ROOT, MANAGER, 'StateReason'))
        self.assert_unavailable(caller)
        proxy.rules()
        self.wait_state(caller, 'ready')
        self.assertEqual(self.provision(caller)['State'], 'done')

    def test_hanging_chip(self):
        proxy = self.start_proxy()
        proxy.rules('any hang -')
        begun = time.monotonic()
        caller = self.start_daemon(proxy.tcti, config='[Broker]\nChipTimeoutSec=1\n')
        self.assertLess(time.monotonic() - begun, NAME_WAIT_S + 5)
        # reading is at once all the same
        self.assertIn(caller.get(bus.ROOT, MANAGER, 'State'), ('starting', 'unavailable', 'failed'))
        self.wait_state(caller, 'unavailable', 'failed')
        proxy.rules()
        self.wait_state(caller, 'ready', timeout_s=90)

    def test_power_cut(self):
        caller = self.start_daemon(self.tpm)
        self.assertEqual(self.provision(caller)['State'], 'done')
        self.tpm.kill()
        self.assert_unavailable(caller)
        self.wait_state(caller, 'unavailable', 'failed')
        # what is known stays there to be read
        self.assertIn('/org/ggtpm1/token/greengrass', caller.objects())
        self.tpm.start()
        bus.open_to_daemon(self.tpm)
        self.wait_state(caller, 'ready')
        properties = self.provision(caller)
        self.assertEqual((properties['State'], properties['Result'].get('changed')), ('done', False), properties)

    def test_again_with_the_same_state(self):
        caller = self.start_daemon(self.tpm)
        first = self.provision(caller)['Result']
        self.assertEqual(self.daemon.terminate(), EXIT_OK)
        self.daemon.start()
        # listed before the name is there
        self.assertIn(first['key'], caller.objects())
        self.assertEqual(caller.get(bus.ROOT, PROVISIONING, 'State'), 'ready')
        again = self.provision(caller)['Result']
        self.assertEqual((again['key'], again['changed']), (first['key'], False))

    def test_provision_conf(self):
        caller = self.start_daemon(self.tpm)
        conf = self.daemon.dir + '/provision.conf'
        with open(conf, 'w', encoding='ascii') as file:
            file.write('[Token]\nLabel=factory\n[Key line one]\n')
        os.chmod(conf, 0o644)
        properties = self.provision(caller)
        self.assertEqual(properties['Result']['token'], '/org/ggtpm1/token/factory', properties)
        with open(conf, 'a', encoding='ascii') as file:
            file.write('Colour=red\n')
        properties = self.provision(caller)
        self.assertEqual(properties['Error'][0], 'org.ggtpm1.Error.InvalidArgs')
        self.assertIn('Colour', properties['Error'][1])


class Process(Case):
    def setUp(self):
        super().setUp()
        self.tpm = self.enter_context(swtpm.Swtpm())

    def start(self, *arguments, **kwargs):
        return self.enter_context(bus.Daemon(self.bus, self.tpm, *arguments, **kwargs))

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                daemon = self.start()
                self.assertEqual(daemon.terminate(number=number), EXIT_OK)
                caller = self.bus.connect()
                self.assertFalse(caller.has_owner())
                caller.close()

    def test_stop_in_the_middle_of_work(self):
        daemon = self.start()
        caller = self.bus.connect()
        for i in range(3):
            caller.call(bus.ROOT, PROVISIONING, 'Provision', '(a{sv})',
                        {'token': bus.GLib.Variant('s', f't{i}'), 'algorithm': bus.GLib.Variant('s', 'rsa-2048')})
        self.assertEqual(daemon.terminate(), EXIT_OK)
        self.assertEqual(subprocess.run(['pgrep', '-f', daemon.dir], check=False, capture_output=True).stdout, b'')
        # the next run completes what was cut off
        daemon.start()
        job = caller.call(bus.ROOT, PROVISIONING, 'Provision', '(a{sv})', {'token': bus.GLib.Variant('s', 't0')})
        properties = caller.wait_job(job)
        self.assertEqual(properties['State'], 'done', properties)
        caller.close()

    def test_notify(self):
        path = os.path.join(self.bus.dir, 'notify')
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            os.chmod(path, 0o777)
            notify.settimeout(20)
            daemon = self.start(environment={'NOTIFY_SOCKET': path}, wait=False)
            seen = b''
            while b'READY=1' not in seen:
                seen += notify.recv(4096) + b'\n'
            # ready means that the name is there
            caller = self.bus.connect()
            self.assertTrue(caller.has_owner())
            caller.close()
            self.assertEqual(daemon.terminate(), EXIT_OK)
            while b'STOPPING=1' not in seen:
                seen += notify.recv(4096) + b'\n'

    def test_second_daemon(self):
        self.start()
        second = self.start('--no-tabrmd', wait=False)
        self.assertEqual(second.wait_end(), EXIT_BUS_LOST)

    def test_bus_dies(self):
        daemon = self.start()
        self.bus.process.kill()
        self.assertEqual(daemon.wait_end(), EXIT_BUS_LOST)

    def test_no_bus(self):
        daemon = self.start('--bus-address=unix:path=/nonexistent', wait=False)
        self.assertEqual(daemon.wait_end(), EXIT_BUS_LOST)

    def test_usage(self):
        for arguments, config, words in ((('--colour=red',), '', ('colour',)),
                                         (('surplus',), '', ('surplus',)),
                                         (('--mode=sideways',), '', ('sideways', 'replace')),
                                         (('--config=/nonexistent',), '', ('/nonexistent',)),
                                         ((), '[Daemon]\nColour=red\n', ('Daemon', 'Colour')),
                                         ((), '[Colours]\nRed=1\n', ('Colours',)),
                                         ((), '[Broker]\nMaxConnections=many\n', ('MaxConnections', 'many'))):
            with self.subTest((arguments, config)):
                daemon = self.start(*arguments, config='!' + config, wait=False)
                self.assertEqual(daemon.wait_end(), EXIT_USAGE)
                for word in words:
                    self.assertIn(word, daemon.read_log())

    def test_nowhere_to_write(self):
        for option in ('--state-dir', '--runtime-dir'):
            with self.subTest(option):
                daemon = self.start(option + '=/proc/nowhere', wait=False)
                self.assertEqual(daemon.wait_end(), EXIT_FAILED)
                self.assertIn('/proc/nowhere', daemon.read_log())
        daemon = self.start(wait=False)
        daemon.kill()
        shutil.rmtree(daemon.state_dir)
        with open(daemon.state_dir, 'wb'):
            pass
        daemon.start(wait=False)
        self.assertEqual(daemon.wait_end(), EXIT_FAILED)
        self.assertIn(daemon.state_dir, daemon.read_log())

    def test_version(self):
        daemon = self.start('--version', wait=False)
        self.assertEqual(daemon.wait_end(), EXIT_OK)
        self.assertRegex(daemon.read_log(), r'^ggtpmd \d+\.\d+\.\d+\n')

    def test_mode_auto(self):
        caller = self.bus.connect()
        # somebody else is there
        self.assertEqual(self.change_name(caller, 'RequestName', '(su)', TABRMD, 0), 1)
        daemon = self.start('--mode=auto')
        self.assertEqual(caller.get(bus.ROOT, MANAGER, 'Mode'), 'alongside')
        self.assertIn(TABRMD, daemon.read_log())
        self.wait_state(caller, 'ready')
        self.assertFalse(os.path.exists(daemon.runtime_dir + '/tpm.sock'))
        self.assertEqual(daemon.terminate(), EXIT_OK)
        # nobody
        self.assertEqual(self.change_name(caller, 'ReleaseName', '(s)', TABRMD), 1)
        daemon.start()
        self.assertEqual(caller.get(bus.ROOT, MANAGER, 'Mode'), 'replace')
        self.assertTrue(bus.wait_for(lambda: caller.has_owner(TABRMD), TABRMD))
        self.assertTrue(os.path.exists(daemon.runtime_dir + '/tpm.sock'))
        caller.close()

    @staticmethod
    def change_name(caller, method, signature, *args):
        return caller.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', method, signature, *args,
                           destination='org.freedesktop.DBus')

    def test_no_tabrmd(self):
        self.start('--no-tabrmd')
        caller = self.bus.connect()
        self.assertEqual(self.wait_state(caller, 'ready'), 'ready')
        self.assertFalse(caller.has_owner(TABRMD))
        caller.close()


if __name__ == '__main__':
    bus.main()
