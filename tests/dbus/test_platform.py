#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What a chip is asked for at the bench, over the bus: clock, random bytes, hashes, self-tests, PCRs, and everything
that TPM2_GetCapability tells, of chips of several vendors and states."""

import hashlib
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

DEVICE = 'org.ggtpm1.Device'
HEALTH = 'org.ggtpm1.Health'
PLATFORM = 'org.ggtpm1.Platform'
INVALID = 'org.ggtpm1.Error.InvalidArgs'
GROUPS = ('fixed', 'variable', 'algorithms', 'commands', 'pp-commands', 'audit-commands', 'curves', 'pcr-banks',
          'pcr-properties', 'handles', 'auth-policies', 'acts', 'vendor')
CC_GET_CAPABILITY = 0x17a
CC_HASH = 0x17d
CC_SEQUENCE_UPDATE = 0x15c
CC_FLUSH_CONTEXT = 0x165


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        bus.enter()
        if not swtpm.available():
            raise unittest.SkipTest('not installed: swtpm')
        cls.bus = cls.enter(bus.Bus())
        cls.tpm = cls.enter(swtpm.Swtpm())
        bus.open_to_daemon(cls.tpm)
        cls.proxy = cls.enter(swtpm.Proxy(cls.tpm))
        os.chmod(cls.proxy.socket, 0o666)
        cls.daemon = cls.enter(bus.Daemon(cls.bus, cls.proxy.tcti))
        cls.root = cls.bus.connect()

    @classmethod
    def enter(cls, context):
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    def setUp(self):
        self.addCleanup(self.proxy.rules)

    def call(self, interface, method, signature=None, *args):
        return self.root.call(bus.DEVICE, interface, method, signature, *args)

    def fails(self, name, interface, method, signature, *args):
        with self.assertRaises(bus.Error) as caught:
            self.call(interface, method, signature, *args)
        self.assertEqual(caught.exception.name, name, caught.exception)
        return caught.exception.text

    def lines(self, group):
        return {number: (value, name) for number, value, name in self.call(DEVICE, 'GetProperties', '(s)', group)}

    def look_like(self, *rules):
        """Another chip from now on, all of it read again."""
        self.proxy.rules(*rules)
        self.call(DEVICE, 'Refresh', '(a{sv})', {})


class Chip(Case):
    def test_clock(self):
        first = self.call(DEVICE, 'ReadClock')
        second = self.call(DEVICE, 'ReadClock')
        self.assertGreaterEqual(second[0], first[0])
        self.assertGreaterEqual(second[1], first[1])
        self.assertEqual(first[2:4], second[2:4])
        self.assertIsInstance(first[4], bool)

    def test_random(self):
        seen = set()
        for n in (1, 16, 33, 4096):
            data = bytes(self.call(DEVICE, 'GetRandom', '(u)', n))
            self.assertEqual(len(data), n)
            seen.add(data)
        self.assertEqual(len(seen), 4)
        self.assertNotIn(bytes(16), seen)
        for n in (0, 4097, 0xffffffff):
            self.assertIn('4096', self.fails(INVALID, DEVICE, 'GetRandom', '(u)', n))

    def test_hash(self):
        for n in (0, 3, 1024, 1025, 4000, 65536):
            data = bytes(i % 251 for i in range(n))
            for name in ('sha1', 'sha256', 'sha384', 'sha512'):
                with self.subTest((n, name)):
                    self.assertEqual(bytes(self.call(DEVICE, 'Hash', '(say)', name, data)),
                                     hashlib.new(name, data).digest())

    def test_hash_costs(self):
        before = self.tpm.count()
        self.call(DEVICE, 'Hash', '(say)', 'sha256', b'text')
        self.assertEqual((self.tpm.count(CC_HASH) > 0, self.tpm.count() - before), (True, 1))
        flushed = self.tpm.count(CC_FLUSH_CONTEXT)
        updates = self.tpm.count(CC_SEQUENCE_UPDATE)
        self.call(DEVICE, 'Hash', '(say)', 'sha256', bytes(4096))
        # the last part goes with the completion, which takes the sequence out of the chip by itself
        self.assertEqual(self.tpm.count(CC_SEQUENCE_UPDATE) - updates, 3)
        self.assertEqual(self.tpm.count(CC_FLUSH_CONTEXT), flushed)

    def test_hash_refused(self):
        for name in ('md5', 'SHA256', '', 'null', 'rsa'):
            self.assertIn('sha512', self.fails(INVALID, DEVICE, 'Hash', '(say)', name, b''))
        self.assertIn('65536', self.fails(INVALID, DEVICE, 'Hash', '(say)', 'sha256', bytes(65537)))
        self.fails('org.ggtpm1.Error.NotSupported', DEVICE, 'Hash', '(say)', 'sm3_256', b'text')

    def test_sequence_left_by_a_fault(self):
        """A hash that fails half way leaves nothing in the chip."""
        self.proxy.rules('15c rc 143 1')
        self.fails('org.ggtpm1.Error.NotSupported', DEVICE, 'Hash', '(say)', 'sha256', bytes(5000))
        self.proxy.rules()
        for _ in range(5):
            self.assertEqual(bytes(self.call(DEVICE, 'Hash', '(say)', 'sha256', bytes(5000))),
                             hashlib.sha256(bytes(5000)).digest())
        self.assertEqual([name for _, name in self.lines('handles').values() if name == 'transient'], [])

    def test_busy_and_broken(self):
        for rc, name in (('922', 'Busy'), ('90a', 'Busy'), ('101', 'TpmFailure'), ('143', 'NotSupported')):
            with self.subTest(rc):
                self.proxy.rules(f'181 rc {rc}')  # again and again: some codes the TSS takes for an invitation to retry
                text = self.fails('org.ggtpm1.Error.' + name, DEVICE, 'ReadClock', None)
                self.assertRegex(text, rf'\(TPM 0x00000{rc}: .+\)$')
        self.proxy.rules()
        self.call(DEVICE, 'ReadClock')


class SelfTest(Case):
    def test_modes(self):
        for mode in ('full', 'pending', 'incremental'):
            self.assertEqual(self.call(HEALTH, 'SelfTest', '(sa{sv})', mode, {}), (0, []))
        self.assertEqual(self.call(HEALTH, 'GetTestResult')[0], 0)

    def test_verdicts(self):
        for rc in (0x101, 0x90a):
            self.proxy.rules(f'143 rc {rc:x}')
            self.assertEqual(self.call(HEALTH, 'SelfTest', '(sa{sv})', 'full', {}), (rc, []))

    def test_pending(self):
        # TPML_ALG of two: sha256, and one that nobody knows
        self.proxy.rules('142 raw 8001000000120000000000000002000b7fff 1')
        self.assertEqual(self.call(HEALTH, 'SelfTest', '(sa{sv})', 'incremental', {}), (0, ['sha256', '0x7fff']))

    def test_result(self):
        # outData of three bytes, testResult 0x101
        self.proxy.rules('17c raw 80010000001300000000' '0003010203' '00000101 1')
        result, text, data = self.call(HEALTH, 'GetTestResult')
        self.assertEqual((result, bytes(data)), (0x101, b'\1\2\3'))
        self.assertIn('failure', text)

    def test_refused(self):
        self.fails(INVALID, HEALTH, 'SelfTest', '(sa{sv})', 'some', {})
        self.fails(INVALID, HEALTH, 'SelfTest', '(sa{sv})', 'full', {'x': bus.GLib.Variant('b', True)})


class Capabilities(Case):
    def test_groups(self):
        for group in GROUPS:
            with self.subTest(group):
                lines = self.call(DEVICE, 'GetProperties', '(s)', group)
                self.assertEqual(len({number for number, _, _ in lines}), len(lines))
                self.assertEqual(lines == [], group in ('acts', 'vendor'))
        for group in ('', 'Fixed', 'all'):
            self.assertIn('auth-policies', self.fails(INVALID, DEVICE, 'GetProperties', '(s)', group))

    def test_contents(self):
        self.assertEqual(self.lines('fixed')[0x100], (0x322e3000, 'TPM_PT_FAMILY_INDICATOR'))
        self.assertTrue(all(0x100 <= number < 0x200 for number in self.lines('fixed')))
        self.assertEqual(self.lines('variable')[0x20f], (3, 'TPM_PT_MAX_AUTH_FAIL'))
        self.assertTrue(all(0x200 <= number < 0x300 for number in self.lines('variable')))
        self.assertEqual(self.lines('algorithms')[0x000b], (4, 'sha256'))
        self.assertEqual(self.lines('curves')[3], (0, 'nist_p256'))
        self.assertEqual(self.lines('commands')[0x17b][1], 'TPM2_GetRandom')
        self.assertGreater(len(self.lines('commands')), 90)
        self.assertEqual(self.lines('pcr-banks')[0x0b], (0xffffff, 'sha256'))
        self.assertEqual(self.lines('pcr-properties')[2], (0x810000, 'TPM_PT_PCR_RESET_L0'))
        self.assertEqual(self.lines('handles')[0x40000001], (0, 'permanent'))
        self.assertEqual(self.lines('auth-policies')[0x40000001], (0x10, 'null'))

    def test_one_line_an_answer(self):
        """A chip that gives one property at a time, and one that says that there are more and sends none."""
        self.proxy.rules('17a raw 8001000000130000000001' '00000000' '00000000 1')
        text = self.fails('org.ggtpm1.Error.TpmFailure', DEVICE, 'GetProperties', '(s)', 'fixed')
        self.assertIn('another capability', text)
        self.proxy.rules('17a raw 8001000000130000000001' '00000008' '00000000 1')
        text = self.fails('org.ggtpm1.Error.TpmFailure', DEVICE, 'GetProperties', '(s)', 'curves')
        self.assertIn('sends none', text)
        # P-256 with more to come, then the chip's own rest
        self.proxy.rules('17a raw 8001000000150000000001' '00000008' '00000001' '0003 1')
        self.assertEqual(min(self.lines('curves')), 3)
        self.assertIn(4, self.lines('curves'))

    def test_older_than_the_capability(self):
        self.proxy.rules('17a rc 1c4 1')
        self.assertEqual(self.call(DEVICE, 'GetProperties', '(s)', 'auth-policies'), [])

    def test_policy(self):
        # one policy, of the owner hierarchy
        digest = bytes(range(32))
        self.proxy.rules('17a raw 8001000000390000000000' '00000009' '00000001' '40000001000b' + digest.hex() + ' 1')
        self.assertEqual(self.lines('auth-policies'), {0x40000001: (0x0b, 'sha256 ' + digest.hex())})

    def test_timers(self):
        # two countdown timers, the second one has run out
        self.proxy.rules('17a raw 80010000002b000000000' '00000000a' '00000002' '40000110' '0000003c' '00000002'
                         '4000011f' '00000000' '00000001' ' 1')
        self.assertEqual(self.lines('acts'), {0x40000110: (60, 'TPM_RH_ACT_0 preserveSignaled'),
                                              0x4000011f: (0, 'TPM_RH_ACT_F signaled')})

    def test_crosses_groups(self):
        self.proxy.rules('identity SLB9670-7.62')
        self.assertTrue(all(0x100 <= number < 0x200 for number in self.lines('fixed')))
        self.assertIn(0x200, self.lines('variable'))

    def test_properties_of_the_device(self):
        properties = self.root.get_all(bus.DEVICE, DEVICE)
        self.assertLessEqual({'rsa', 'sha256', 'ecdsa', 'aes'}, set(properties['Algorithms']))
        self.assertIn('nist_p256', properties['Curves'])
        self.assertIn('sha256', properties['PcrBanks'])
        self.assertEqual((properties['MaxCommand'], properties['MaxResponse']), (4096, 4096))
        self.assertEqual((properties['UpdateMode'], properties['UpdatesRemaining']), ('', 0xffffffff))
        before = self.tpm.count(CC_GET_CAPABILITY)
        self.root.get_all(bus.DEVICE, DEVICE)
        self.assertEqual(self.tpm.count(CC_GET_CAPABILITY), before)


class Vendor(Case):
    def wait_for(self, name, value):
        bus.wait_for(lambda: self.root.get(bus.DEVICE, DEVICE, name) == value, f'{name} {value}')

    def test_slb9672(self):
        self.look_like('identity SLB9672-15.21')
        self.wait_for('UpdatesRemaining', 64)
        self.assertEqual(self.root.get(bus.DEVICE, DEVICE, 'UpdateMode'), 'normal')
        vendor = self.lines('vendor')
        self.assertEqual(vendor[0x80000003], (64, 'IFX_FU_COUNTER'))
        self.assertEqual(vendor[0x80000008], (5, 'IFX_FU_KEYGROUP_ID'))
        self.assertEqual(vendor[0x8000000a], (0x000f0015, 'IFX_FU_CURRENT_TPM_FW_VERSION 000f001500402e00'))
        self.assertNotIn(0x80000001, vendor)

    def test_modes(self):
        for value, word in (('00', 'normal'), ('01', 'update'), ('04', 'update'), ('81', 'recovery')):
            with self.subTest(value):
                self.look_like('identity SLB9672-15.23', 'vendor 80000007 ' + value)
                self.wait_for('UpdateMode', word)

    def test_slb9670(self):
        """Does not tell, and is not asked by its properties' values of another chip."""
        self.look_like('identity SLB9672-15.23')
        self.wait_for('UpdatesRemaining', 64)
        self.look_like('identity SLB9670-7.85')
        self.wait_for('UpdatesRemaining', 0xffffffff)
        self.assertEqual(self.root.get(bus.DEVICE, DEVICE, 'UpdateMode'), '')
        self.assertEqual(self.lines('vendor'), {})

    def test_malformed(self):
        """What has not the form of Infineon's answers is passed over."""
        head = '00' + '00000100'
        for body in ('00000001' '0010' 'aabb', '00000001' '0001' 'aabb', '00000002' '0001' 'aa', '00000000',
                     '00000001' '00', ''):
            with self.subTest(body):
                size = (10 + len(head + body) // 2).to_bytes(4, 'big').hex()
                self.proxy.rules('identity SLB9672-15.21', f'17a raw 8001{size}00000000{head}{body} 1')
                self.assertEqual(min(self.lines('vendor')), 0x80000003)
        self.proxy.rules('identity SLB9672-15.21', '17a raw 80010000000a00000101 1')
        self.fails('org.ggtpm1.Error.TpmFailure', DEVICE, 'GetProperties', '(s)', 'vendor')
        self.proxy.rules('identity SLB9672-15.21')
        self.assertEqual(min(self.lines('vendor')), 0x80000003)

    def test_long(self):
        self.look_like('identity SLB9672-15.23', 'vendor 80000005 ' + 'ab' * 32)
        self.assertEqual(self.lines('vendor')[0x80000005], (0xabababab, 'IFX_FU_START_HASH_DIGEST ' + 'ab' * 32))


class Pcrs(Case):
    def read(self, bank, *pcrs):
        return {pcr: bytes(value) for pcr, value in self.call(PLATFORM, 'ReadPcrs', '(sau)', bank, pcrs).items()}

    def test_read(self):
        self.assertEqual(set(self.read('sha256')), set(range(24)))
        self.assertEqual(self.read('sha256', 0, 23, 0), {0: bytes(32), 23: bytes(32)})
        self.assertEqual(self.read('sha1', 17), {17: b'\xff' * 20})
        for pcr in (24, 0xffffffff):
            self.assertIn('23', self.fails(INVALID, PLATFORM, 'ReadPcrs', '(sau)', 'sha256', [pcr]))
        self.fails(INVALID, PLATFORM, 'ReadPcrs', '(sau)', 'md5', [])

    def test_extend_and_reset(self):
        digests = {name: hashlib.new(name, b'event').digest() for name in ('sha1', 'sha256', 'sha512')}
        self.call(PLATFORM, 'ExtendPcr', '(ua{say}a{sv})', 16, digests, {})
        for name, digest in digests.items():
            size = len(digest)
            self.assertEqual(self.read(name, 16), {16: hashlib.new(name, bytes(size) + digest).digest()})
        self.assertEqual(self.read('sha384', 16), {16: bytes(48)})
        self.call(PLATFORM, 'ResetPcr', '(ua{sv})', 16, {})
        self.assertEqual(self.read('sha256', 16), {16: bytes(32)})

    def test_extend_refused(self):
        signature = '(ua{say}a{sv})'
        self.assertIn('32', self.fails(INVALID, PLATFORM, 'ExtendPcr', signature, 16, {'sha256': bytes(20)}, {}))
        self.fails(INVALID, PLATFORM, 'ExtendPcr', signature, 16, {}, {})
        self.fails(INVALID, PLATFORM, 'ExtendPcr', signature, 16, {'md5': bytes(16)}, {})
        self.fails(INVALID, PLATFORM, 'ExtendPcr', signature, 24, {'sha256': bytes(32)}, {})
        self.fails('org.ggtpm1.Error.NotAuthorized', PLATFORM, 'ExtendPcr', signature, 17, {'sha256': bytes(32)}, {})
        self.assertEqual(self.read('sha256', 16), {16: bytes(32)})

    def test_reset_refused(self):
        for pcr in (0, 15, 17, 22, 24):
            self.fails(INVALID, PLATFORM, 'ResetPcr', '(ua{sv})', pcr, {})

    def test_changed_meanwhile(self):
        """Values of two moments are not mixed."""
        # eight values at a time: between the first answer and the second somebody extends
        answer = '0000000a' + '00000001' + '000b03' + 'ff0000' + '00000008' + ('0020' + '55' * 32) * 8
        size = (10 + len(answer) // 2).to_bytes(4, 'big').hex()
        self.proxy.rules(f'17e raw 8001{size}00000000{answer} 1')
        self.assertEqual(self.read('sha256'), {pcr: bytes(32) if pcr < 17 or pcr == 23 else b'\xff' * 32
                                               for pcr in range(24)})

class Banks(Case):
    def test_allocate(self):
        signature = '(asa{sv})'
        for banks in ([], ['md5'], ['sha256', 'sha256']):
            self.fails(INVALID, PLATFORM, 'AllocatePcrs', signature, banks, {})
        self.fails('org.ggtpm1.Error.NotSupported', PLATFORM, 'AllocatePcrs', signature, ['sm3_256'], {})
        # the chip says NO: 24 of 8 bytes
        self.proxy.rules('12b raw 800200000020' '00000000' '0000000d' '00' '00000018' '00000018' '00000008'
                         '0000010000 1')
        text = self.fails('org.ggtpm1.Error.NoResources', PLATFORM, 'AllocatePcrs', signature, ['sha256'], {})
        self.assertIn('24', text)
        self.proxy.rules()
        needed, available = self.call(PLATFORM, 'AllocatePcrs', signature, ['sha256', 'sha384'], {})
        self.assertTrue(0 < needed <= available)
        # until the reset nothing changes; then it does, and the daemon sees it
        self.assertIn('sha1', self.root.get(bus.DEVICE, DEVICE, 'PcrBanks'))
        self.tpm.kill()
        with self.assertRaises(bus.Error):
            self.call(HEALTH, 'Check', '(a{sv})', {})
        self.tpm.start()
        bus.open_to_daemon(self.tpm)
        bus.wait_for(lambda: self.root.get(bus.DEVICE, DEVICE, 'PcrBanks') == ['sha256', 'sha384'], 'the new banks')
        self.fails('org.ggtpm1.Error.NotFound', PLATFORM, 'ReadPcrs', '(sau)', 'sha1', [0])


if __name__ == '__main__':
    bus.main()
