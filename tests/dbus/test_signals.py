#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What telling and being asked costs: signals at most once a second for each object, no TPM command for a property, two
for a poll, no wake-up without polling."""

import glob
import os
import platform
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

PROPERTIES = 'org.freedesktop.DBus.Properties'
HEALTH = 'org.ggtpm1.Health'
CC_GET_CAPABILITY = 0x17a
CC_GET_TEST_RESULT = 0x17c
# all hierarchies, without endorsement, without storage (TPMA_STARTUP_CLEAR)
STARTUP_CLEAR = (0x8000000f, 0x8000000b, 0x8000000d)
FLOOD_S = 4
FLOOD_MIN = 40
TIMEOUT_S = 60
WATCH_S = 3
TRIES = 8
POLL_X86_64 = 7
EPOLL_X86_64 = (232, 281)


class Case(unittest.TestCase):
    def setUp(self):
        bus.enter()
        if not swtpm.available():
            self.skipTest('not installed: swtpm')
        self.bus = self.enter(bus.Bus())
        self.polkit = self.enter(bus.FakePolkit(self.bus))
        self.tpm = self.enter(swtpm.Swtpm())
        bus.open_to_daemon(self.tpm)
        self.proxy = self.enter(swtpm.Proxy(self.tpm))
        os.chmod(self.proxy.socket, 0o666)
        self.caller = self.bus.connect(bus.ALICE)

    def enter(self, context):
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def start(self, poll_s):
        self.daemon = self.enter(bus.Daemon(self.bus, self.proxy.tcti, config=f'[Health]\nPollIntervalSec={poll_s}\n'))
        bus.wait_for(lambda: self.caller.get(bus.DEVICE, HEALTH, 'State') == 'ok', 'health', TIMEOUT_S)
        # the last that is read when a chip is opened
        bus.wait_for(lambda: self.verdict('pcr.bank') == 'ok', 'the verdict on the PCR banks',
                     TIMEOUT_S)

    def verdict(self, wanted):
        return next(rule[1] for rule in self.caller.get(bus.DEVICE, HEALTH, 'Rules') if rule[0] == wanted)

    def check(self):
        return self.caller.call(bus.DEVICE, HEALTH, 'Check', '(a{sv})', {})


class Flood(Case):
    def setUp(self):
        super().setUp()
        self.start(0)

    def flood(self):
        """Every look at the chip finds another state, and other issues; returns how often that was."""
        n = 0
        end = time.monotonic() + FLOOD_S
        while time.monotonic() < end or n < FLOOD_MIN:
            n += 1
            self.proxy.rules(f'property 201 {STARTUP_CLEAR[n % 3]:x}', f'property 209 {n % 9:x}')
            self.check()
        return n

    def test_flood(self):
        begin = time.monotonic()
        changed = self.caller.watch(PROPERTIES, 'PropertiesChanged')
        signals = {name: self.caller.watch(HEALTH, name) for name in ('StateChanged', 'IssueRaised', 'IssueCleared')}
        n = self.flood()
        self.proxy.rules('property 209 1234')
        self.check()
        changed.wait(lambda path, args: args[1].get('PersistentAvailable') == 0x1234, TIMEOUT_S)
        most = int(time.monotonic() - begin) + 2
        self.assertGreater(n, 2 * most, 'this was no flood')
        told = [(path, args[0]) for path, args in changed.drain()]
        self.assertGreater(told.count((bus.DEVICE, HEALTH)), 1)
        for each in set(told):
            self.assertLessEqual(told.count(each), most, each)
        for name, seen in signals.items():
            ids = [args if name == 'StateChanged' else args[0] for _, args in seen.drain()]
            self.assertNotEqual(ids, [], name)
            if name == 'StateChanged':
                self.assertLessEqual(len(ids), most)
            for each in set(ids):
                self.assertLessEqual(ids.count(each), most, (name, each))

    def test_what_is_told_is_true(self):
        """Raised and cleared alternate, and in the end the signals have said what the property says."""
        raised = self.caller.watch(HEALTH, 'IssueRaised')
        cleared = self.caller.watch(HEALTH, 'IssueCleared')
        state = self.caller.watch(HEALTH, 'StateChanged')
        self.flood()
        self.proxy.rules()
        self.check()
        state.wait(lambda _, args: state.seen[-1][1][1] == 'ok', TIMEOUT_S)
        n_raised = [args[0] for _, args in raised.drain() if args[0] == 'tpm.hierarchy_disabled']
        n_cleared = [args[0] for _, args in cleared.drain() if args[0] == 'tpm.hierarchy_disabled']
        self.assertNotEqual(n_cleared, [])
        self.assertGreaterEqual(len(n_raised), len(n_cleared))  # raised again where it got worse
        self.assertEqual([issue for issue in self.caller.get(bus.DEVICE, HEALTH, 'Issues') if issue[1] != 'info'], [])
        for (_, first), (_, second) in zip(state.drain(), state.seen[1:]):
            self.assertEqual(first[1], second[0])
            self.assertNotEqual(second[0], second[1])


class Cost(Case):
    def read_everything(self):
        n = 0
        for path, interfaces in self.caller.objects().items():
            for interface in interfaces:
                n += len(self.caller.get_all(path, interface))
        for interface in ('org.ggtpm1.Manager', 'org.ggtpm1.Provisioning'):
            n += len(self.caller.get_all(bus.ROOT, interface))
        return n

    def test_properties(self):
        self.start(0)
        job = self.caller.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', {})
        self.assertEqual(self.caller.wait_job(job)['State'], 'done')
        costs = []
        # what was in the chip for the provisioning leaves it when it pleases the broker
        while 0 not in costs and len(costs) < 100:
            before = self.tpm.count()
            self.assertGreater(self.read_everything(), 80)
            costs.append(self.tpm.count() - before)
        self.assertIn(0, costs)

    def last_check(self):
        return self.caller.get(bus.DEVICE, HEALTH, 'LastCheck')

    def wait_poll(self):
        before = self.last_check()
        bus.wait_for(lambda: self.last_check() != before, 'a poll', TIMEOUT_S)

    def test_poll(self):
        self.start(1)
        self.wait_poll()
        before = len(self.tpm.codes())
        for _ in range(3):
            self.wait_poll()
        codes = self.tpm.codes()[before:]
        self.assertGreaterEqual(codes.count(CC_GET_TEST_RESULT), 2)
        self.assertEqual(set(codes), {CC_GET_TEST_RESULT, CC_GET_CAPABILITY})
        self.assertLessEqual(abs(codes.count(CC_GET_CAPABILITY) - codes.count(CC_GET_TEST_RESULT)), 1)

    def count_wakeups(self):
        total = 0
        for status in glob.glob(f'/proc/{self.daemon.process.pid}/task/*/status'):
            with open(status, encoding='ascii') as file:
                total += next(int(line.split()[1]) for line in file if line.startswith('voluntary_ctxt_switches'))
        return total

    def watch(self):
        """Wake-ups of all threads of the daemon within some seconds in which nobody asks it anything."""
        before = self.count_wakeups()
        time.sleep(WATCH_S)
        return self.count_wakeups() - before

    def read_timeouts(self):
        """With which time limits the daemon's threads wait in poll(2) and epoll_wait(2); empty: it is not shown."""
        timeouts = []
        for path in glob.glob(f'/proc/{self.daemon.process.pid}/task/*/syscall'):
            try:
                with open(path, encoding='ascii') as file:
                    call = file.read().split()
            except PermissionError:
                return []
            if call[0] == str(POLL_X86_64):
                timeouts.append(int(call[3], 16) & 0xffffffff)
            elif call[0].isdigit() and int(call[0]) in EPOLL_X86_64:
                timeouts.append(int(call[4], 16) & 0xffffffff)
        return timeouts

    def test_no_timer(self):
        self.start(0)
        seen = [self.watch()]
        while seen[-1] != 0 and len(seen) < TRIES:
            seen.append(self.watch())
        self.assertEqual(seen[-1], 0, seen)
        if platform.machine() == 'x86_64':
            timeouts = self.read_timeouts()
            self.assertEqual(set(timeouts) - {0xffffffff}, set())

    def test_timer(self):
        """That the test before this one would see one."""
        self.start(1)
        self.assertGreater(self.watch(), 1)
        if platform.machine() == 'x86_64':
            bus.wait_for(lambda: not self.read_timeouts() or set(self.read_timeouts()) - {0xffffffff}, 'a timer',
                         TIMEOUT_S)


if __name__ == '__main__':
    bus.main()
