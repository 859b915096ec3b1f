#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Who may call what: every method allowed and denied, polkit asked as it should be, its answers remembered as long as
they hold, nobody delayed by a slow one; polkit as Debian ships it; and without polkit."""

import glob
import os
import re
import sys
import unittest
from xml.etree import ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

SOURCE = os.environ['GGTPM_SOURCE_DIR']
NOT_AUTHORIZED = 'org.ggtpm1.Error.NotAuthorized'
MAX_CALLS = 16

YES = (True, False, {})
NO = (False, False, {})
CHALLENGE = (False, True, {})


def methods():
    """(interface, method) -> the polkit action that its documentation names, or None."""
    found = {}
    for path in glob.glob(os.path.join(SOURCE, 'dbus', 'org.ggtpm1.*.xml')):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        for interface in ElementTree.fromstring(text).findall('interface'):
            for method in interface.findall('method'):
                comment = re.search(r'<!--\s*' + method.get('name') + r':\n((?:(?!-->).)*)-->\s*<method', text, re.S)
                needs = re.search(r'need[s]?\s+(org\.ggtpm1\.[a-z-]+)', ' '.join(comment.group(1).split()), re.I)
                found[interface.get('name'), method.get('name')] = needs.group(1) if needs else None
    return found


class GateCase(unittest.TestCase):
    """A provisioned daemon whose polkit says what the test wants."""

    @classmethod
    def setUpClass(cls):
        bus.enter()
        if not swtpm.available():
            raise unittest.SkipTest('not installed: swtpm')
        cls.bus = cls.enterClass(bus.Bus())
        cls.polkit = cls.enterClass(bus.FakePolkit(cls.bus))
        cls.tpm = cls.enterClass(swtpm.Swtpm())
        cls.daemon = cls.enterClass(bus.Daemon(cls.bus, cls.tpm))
        cls.root = cls.bus.connect()
        job = cls.root.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', {})
        properties = cls.root.wait_job(job)
        assert properties['State'] == 'done', properties
        cls.job = job
        cls.token = properties['Result']['token']
        cls.key = properties['Result']['key']

    @classmethod
    def enterClass(cls, context):  # unittest has this since Python 3.11 only
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    def setUp(self):
        self.polkit.asked.clear()
        self.polkit.cancelled.clear()
        self.polkit.answer = lambda *_: YES
        self.polkit.emit_changed()

    def say(self, answer):
        self.polkit.answer = lambda *_: answer

    def connect(self, uid=bus.ALICE):
        caller = self.bus.connect(uid)
        self.addCleanup(caller.close)
        return caller

    def calls(self):
        """A call of every method that works where nothing stands in its way."""
        empty = ('(a{sv})', {})
        return {
            ('org.ggtpm1.Device', 'Refresh'): (bus.DEVICE, *empty),
            ('org.ggtpm1.Device', 'ReadClock'): (bus.DEVICE, None),
            ('org.ggtpm1.Device', 'GetRandom'): (bus.DEVICE, '(u)', 8),
            ('org.ggtpm1.Device', 'Hash'): (bus.DEVICE, '(say)', 'sha256', b'text'),
            ('org.ggtpm1.Device', 'GetProperties'): (bus.DEVICE, '(s)', 'fixed'),
            ('org.ggtpm1.Health', 'Check'): (bus.DEVICE, *empty),
            ('org.ggtpm1.Health', 'SelfTest'): (bus.DEVICE, '(sa{sv})', 'pending', {}),
            ('org.ggtpm1.Health', 'GetTestResult'): (bus.DEVICE, None),
            # root alone gets further: an option that is unknown shows that they let in
            ('org.ggtpm1.Ownership', 'Take'): (bus.DEVICE, '(a{sv})', {'colour': bus.GLib.Variant('s', 'red')}),
            ('org.ggtpm1.Ownership', 'Release'): (bus.DEVICE, '(a{sv})', {'colour': bus.GLib.Variant('s', 'red')}),
            ('org.ggtpm1.Ownership', 'Export'): (bus.DEVICE, '(a{sv})', {'colour': bus.GLib.Variant('s', 'red')}),
            ('org.ggtpm1.Platform', 'ReadPcrs'): (bus.DEVICE, '(sau)', 'sha256', [16]),
            ('org.ggtpm1.Platform', 'ExtendPcr'): (bus.DEVICE, '(ua{say}a{sv})', 16, {'sha256': bytes(32)}, {}),
            ('org.ggtpm1.Platform', 'ResetPcr'): (bus.DEVICE, '(ua{sv})', 16, {}),
            ('org.ggtpm1.Platform', 'AllocatePcrs'): (bus.DEVICE, '(asa{sv})', ['sha256'], {}),
            ('org.ggtpm1.Health', 'ResetLockout'): (bus.DEVICE, *empty),
            ('org.ggtpm1.Job', 'Cancel'): (self.job, *empty),
            ('org.ggtpm1.Key', 'CreateCsr'): (self.key, *empty),
            ('org.ggtpm1.Key', 'CreateSelfSigned'): (self.key, *empty),
            ('org.ggtpm1.Key', 'Decrypt'): (self.key, '(aya{sv})', b'text', {}),
            # what they do would be missing afterwards: an option that is unknown shows that they let in
            ('org.ggtpm1.Key', 'Delete'): (self.key, '(a{sv})', {'colour': bus.GLib.Variant('s', 'red')}),
            ('org.ggtpm1.Key', 'Rotate'): (self.key, '(a{sv})', {'colour': bus.GLib.Variant('s', 'red')}),
            ('org.ggtpm1.Key', 'ExportPublicKey'): (self.key, '(sa{sv})', 'jwk', {}),
            ('org.ggtpm1.Key', 'GetCertificate'): (self.key, None),
            ('org.ggtpm1.Key', 'InstallCertificate'): (self.key, '(sa{sv})', 'no certificate', {}),
            ('org.ggtpm1.Key', 'Sign'): (self.key, '(aya{sv})', b'text', {}),
            ('org.ggtpm1.Key', 'Verify'): (self.key, '(ayaya{sv})', b'text', b'no signature', {}),
            ('org.ggtpm1.Provisioning', 'Provision'): (bus.ROOT, *empty),
            ('org.ggtpm1.Provisioning', 'RenderConfig'): (bus.ROOT, '(sa{sv})', 'lite', {}),
            ('org.ggtpm1.Provisioning', 'Backup'): (bus.ROOT, '(a{sv})', {'colour': bus.GLib.Variant('s', 'red')}),
            ('org.ggtpm1.Provisioning', 'Restore'): (bus.ROOT, '(ha{sv})', 0,
                                                     {'colour': bus.GLib.Variant('s', 'red')}),
            ('org.ggtpm1.Provisioning', 'RemoveToken'): (bus.ROOT, '(sa{sv})', 'greengrass',
                                                         {'dry-run': bus.GLib.Variant('b', True)}),
            ('org.ggtpm1.Provisioning', 'CheckConfig'): (bus.ROOT, '(sa{sv})', 'lite', {}),
            ('org.ggtpm1.Provisioning', 'RememberConfig'): (bus.ROOT, '(ssa{sv})', 'no/path', 'lite', {}),
            ('org.ggtpm1.Provisioning', 'ForgetConfig'): (bus.ROOT, '(sa{sv})', '/no/such/file', {}),
            ('org.ggtpm1.Provisioning', 'CreateHandleKey'): (bus.ROOT, '(a{sv})',
                                                             {'colour': bus.GLib.Variant('s', 'red')}),
            ('org.ggtpm1.Provisioning', 'RemoveHandleKey'): (bus.ROOT, '(ua{sv})', 1, {}),
            ('org.ggtpm1.Token', 'ChangePin'): (self.token, *empty),
            ('org.ggtpm1.Token', 'Verify'): (self.token, *empty),
            ('org.ggtpm1.Token', 'ChangeSoPin'): (self.token, *empty),
            ('org.ggtpm1.Token', 'UnblockPin'): (self.token, *empty),
            ('org.ggtpm1.Token', 'CreateKey'): (self.token, '(ssa{sv})', 'greenkey', 'ecc-p256', {}),
        }

    # What those answer that are let in, where that is an error
    LET_IN = {
        ('org.ggtpm1.Job', 'Cancel'): 'org.ggtpm1.Error.NotSupported',
        ('org.ggtpm1.Key', 'Decrypt'): 'org.ggtpm1.Error.NotSupported',
        ('org.ggtpm1.Key', 'Delete'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Key', 'GetCertificate'): 'org.ggtpm1.Error.NotFound',
        ('org.ggtpm1.Provisioning', 'Backup'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Provisioning', 'Restore'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Ownership', 'Take'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Ownership', 'Release'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Ownership', 'Export'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Key', 'Rotate'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Key', 'InstallCertificate'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Provisioning', 'CheckConfig'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Provisioning', 'RememberConfig'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Provisioning', 'ForgetConfig'): 'org.ggtpm1.Error.NotFound',
        ('org.ggtpm1.Provisioning', 'CreateHandleKey'): 'org.ggtpm1.Error.InvalidArgs',
        ('org.ggtpm1.Provisioning', 'RemoveHandleKey'): 'org.ggtpm1.Error.NotFound',
    }

    def do(self, caller, name, **kwargs):
        """Calls it; returns the error's name, None for success."""
        path, signature, *args = self.calls()[name]
        try:
            answer = caller.call(path, *name, signature, *args, **kwargs)
        except bus.Error as error:
            return error.name
        if isinstance(answer, str) and answer.startswith('/org/ggtpm1/job/'):
            self.root.wait_job(answer)
        if isinstance(answer, tuple) and isinstance(answer[-1], list):
            for fd in answer[-1]:
                os.close(fd)
        return None


class FakedPolkit(GateCase):
    def test_table_of_this_test_is_complete(self):
        self.assertEqual(set(self.calls()), set(methods()))

    def test_allowed(self):
        alice = self.connect()
        for name, action in methods().items():
            with self.subTest(name):
                self.polkit.asked.clear()
                self.polkit.emit_changed()
                self.assertEqual(self.do(alice, name), self.LET_IN.get(name))
                asked = [(sender, asked_action) for sender, asked_action, _, _ in self.polkit.asked]
                self.assertEqual(asked, [(alice.name, action)] if action else [])

    def test_denied(self):
        alice = self.connect()
        self.say(NO)
        for name, action in methods().items():
            with self.subTest(name):
                self.assertEqual(self.do(alice, name), NOT_AUTHORIZED if action else self.LET_IN.get(name))

    def test_denied_text_names_the_action(self):
        self.say(NO)
        with self.assertRaises(bus.Error) as caught:
            self.connect().call(bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', '(a{sv})', {})
        self.assertIn('org.ggtpm1.reset-lockout', caught.exception.text)

    def test_properties_need_no_rights(self):
        self.say(NO)
        mallory = self.connect(bus.MALLORY)
        for path, interfaces in mallory.objects().items():
            for interface in interfaces:
                # the Platform has methods alone
                self.assertEqual(mallory.get_all(path, interface) != {}, interface != 'org.ggtpm1.Platform',
                                 (path, interface))
        self.assertEqual(mallory.get(bus.ROOT, 'org.ggtpm1.Manager', 'State'), 'ready')
        self.assertEqual(mallory.get(bus.ROOT, 'org.ggtpm1.Provisioning', 'State'), 'ready')
        self.assertEqual(self.polkit.asked, [])

    def test_no_property_is_writable(self):
        with self.assertRaises(bus.Error):
            self.root.call(bus.ROOT, 'org.freedesktop.DBus.Properties', 'Set', '(ssv)', 'org.ggtpm1.Manager', 'Mode',
                           bus.GLib.Variant('s', 'alongside'))
        self.assertEqual(self.root.get(bus.ROOT, 'org.ggtpm1.Manager', 'Mode'), 'replace')

    def test_unknown_method(self):
        with self.assertRaises(bus.Error) as caught:
            self.root.call(bus.DEVICE, 'org.ggtpm1.Health', 'Explode', '(a{sv})', {})
        self.assertEqual(caught.exception.name, 'org.freedesktop.DBus.Error.UnknownMethod')

    def test_details(self):
        self.assertIsNone(self.do(self.connect(), ('org.ggtpm1.Key', 'Sign')))
        self.assertEqual(self.polkit.asked[0][2], {'token': 'greengrass'})
        self.polkit.asked.clear()
        self.do(self.connect(), ('org.ggtpm1.Health', 'ResetLockout'))
        self.assertEqual(self.polkit.asked[0][2], {})

    def test_remembered(self):
        alice = self.connect()
        sign = ('org.ggtpm1.Key', 'Sign')
        for _ in range(3):
            self.assertIsNone(self.do(alice, sign))
        self.assertEqual(len(self.polkit.asked), 1)
        # not for another action, object or sender
        self.do(alice, ('org.ggtpm1.Token', 'CreateKey'))
        self.assertEqual(len(self.polkit.asked), 2)
        self.assertIsNone(self.do(self.connect(), sign))
        self.assertEqual(len(self.polkit.asked), 3)

    def make_key(self, path, method, signature, *args):
        properties = self.root.wait_job(self.root.call(path, method[0], method[1], signature, *args))
        self.assertEqual(properties['State'], 'done', properties)
        return properties['Result']['key']

    def sign(self, caller, key):
        try:
            caller.call(key, 'org.ggtpm1.Key', 'Sign', '(aya{sv})', b'text', {})
        except bus.Error as error:
            return error.name
        return None

    def test_a_yes_is_for_one_token(self):
        """For all of its keys, and for no other's."""
        alice = self.connect()
        self.polkit.answer = lambda sender, action, details, flags: (
            NO if sender == alice.name and details.get('token') == 'secret' else YES)
        second = self.make_key(self.token, ('org.ggtpm1.Token', 'CreateKey'), '(ssa{sv})', 'second', 'ecc-p256', {})
        secret = self.make_key(bus.ROOT, ('org.ggtpm1.Provisioning', 'Provision'), '(a{sv})',
                               {'token': bus.GLib.Variant('s', 'secret')})
        self.polkit.asked.clear()
        for key in (self.key, second, self.key):
            self.assertIsNone(self.sign(alice, key))
        self.assertEqual(len(self.polkit.asked), 1)
        self.assertEqual(self.sign(alice, secret), NOT_AUTHORIZED)
        self.root.call(second, 'org.ggtpm1.Key', 'Delete', '(a{sv})', {})
        self.root.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'RemoveToken', '(sa{sv})', 'secret', {})

    def test_forgotten_when_polkit_changes(self):
        alice = self.connect()
        self.assertIsNone(self.do(alice, ('org.ggtpm1.Key', 'Sign')))
        self.say(NO)
        self.assertIsNone(self.do(alice, ('org.ggtpm1.Key', 'Sign')))
        self.polkit.emit_changed()
        self.assertEqual(self.do(alice, ('org.ggtpm1.Key', 'Sign')), NOT_AUTHORIZED)

    def test_temporary_is_not_remembered(self):
        self.say((True, False, {'polkit.temporary_authorization_id': 'tmpauthz1'}))
        alice = self.connect()
        self.assertIsNone(self.do(alice, ('org.ggtpm1.Key', 'Sign')))
        self.say(NO)
        self.assertEqual(self.do(alice, ('org.ggtpm1.Key', 'Sign')), NOT_AUTHORIZED)

    def test_no_is_not_remembered(self):
        alice = self.connect()
        self.say(NO)
        self.assertEqual(self.do(alice, ('org.ggtpm1.Key', 'Sign')), NOT_AUTHORIZED)
        self.say(YES)
        self.assertIsNone(self.do(alice, ('org.ggtpm1.Key', 'Sign')))

    def test_dialog_only_where_the_call_allows_it(self):
        self.polkit.answer = lambda sender, action, details, flags: YES if flags & 1 else CHALLENGE
        alice = self.connect()
        with self.assertRaises(bus.Error) as caught:
            alice.call(bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', '(a{sv})', {})
        self.assertEqual(caught.exception.name, NOT_AUTHORIZED)
        self.assertIn('authentication', caught.exception.text)
        self.assertEqual([flags for *_, flags in self.polkit.asked], [0])
        self.polkit.asked.clear()
        # with a dialog: each time, its answer is not remembered
        for _ in range(2):
            alice.call(bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', '(a{sv})', {}, interactive=True)
        self.assertEqual([flags for *_, flags in self.polkit.asked], [0, 1, 0, 1])

    def test_polkit_fails(self):
        self.say(('org.freedesktop.PolicyKit1.Error.Failed', 'out of order'))
        with self.assertRaises(bus.Error) as caught:
            self.root.call(bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', '(a{sv})', {})
        self.assertEqual(caught.exception.name, NOT_AUTHORIZED)
        self.assertIn('out of order', caught.exception.text)

    def test_slow_answer_delays_nobody(self):
        slow, quick = self.connect(), self.connect(bus.MALLORY)
        self.polkit.answer = lambda sender, *_: None if sender == slow.name else YES
        pending = [slow.begin(bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', '(a{sv})', {})
                   for _ in range(MAX_CALLS)]
        bus.wait_for(lambda: len(self.polkit.asked) == MAX_CALLS, 'polkit to be asked')
        self.assertIsNone(self.do(quick, ('org.ggtpm1.Key', 'Sign')))
        self.assertEqual(quick.get(bus.ROOT, 'org.ggtpm1.Manager', 'State'), 'ready')
        self.assertFalse(any(call.is_answered for call in pending))
        # and no more than that many of one sender: the next is refused at once, also one that needs no rights
        with self.assertRaises(bus.Error) as caught:
            slow.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {})
        self.assertEqual(caught.exception.name, 'org.ggtpm1.Error.Busy')
        self.polkit.release(NO)
        for call in pending:
            with self.assertRaises(bus.Error) as caught:
                call.result()
            self.assertEqual(caught.exception.name, NOT_AUTHORIZED)
        self.assertEqual(slow.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {}),
                         self.root.get(bus.DEVICE, 'org.ggtpm1.Health', 'State'))

    def test_nothing_large_is_kept(self):
        self.say(None)
        with self.assertRaises(bus.Error) as caught:
            self.connect().call(self.key, 'org.ggtpm1.Key', 'InstallCertificate', '(sa{sv})', 'x' * 1024 * 1024, {})
        self.assertEqual(caught.exception.name, 'org.ggtpm1.Error.InvalidArgs')
        self.assertEqual(self.polkit.asked, [])

    def test_sender_leaves_during_the_dialog(self):
        self.polkit.answer = lambda sender, action, details, flags: None if flags & 1 else CHALLENGE
        alice = self.bus.connect(bus.ALICE)
        alice.begin(self.key, 'org.ggtpm1.Key', 'Sign', '(aya{sv})', b'text', {}, interactive=True)
        bus.wait_for(lambda: len(self.polkit.asked) == 2, 'the dialog')
        alice.close()
        bus.wait_for(lambda: self.polkit.cancelled, 'the dialog to be closed')
        self.polkit.release(YES)
        self.assertEqual(self.root.get(bus.ROOT, 'org.ggtpm1.Manager', 'State'), 'ready')

    def test_owner_cancels_without_rights(self):
        alice = self.connect()
        job = alice.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', {})
        self.root.wait_job(job)
        self.say(NO)
        self.polkit.asked.clear()
        with self.assertRaises(bus.Error) as caught:
            alice.call(job, 'org.ggtpm1.Job', 'Cancel', '(a{sv})', {})
        self.assertEqual(caught.exception.name, 'org.ggtpm1.Error.NotSupported')
        self.assertEqual(self.polkit.asked, [])
        # the same user on another connection is somebody else
        with self.assertRaises(bus.Error) as caught:
            self.connect().call(job, 'org.ggtpm1.Job', 'Cancel', '(a{sv})', {})
        self.assertEqual(caught.exception.name, NOT_AUTHORIZED)


class BusPolicy(GateCase):
    """What the bus itself refuses."""

    def test_names_cannot_be_taken(self):
        alice = self.connect()
        for name in ('org.ggtpm1', 'com.intel.tss2.Tabrmd'):
            with self.assertRaises(bus.Error) as caught:
                alice.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'RequestName', '(su)', name, 0,
                           destination='org.freedesktop.DBus')
            self.assertEqual(caught.exception.name, 'org.freedesktop.DBus.Error.AccessDenied')

    def test_raw_tpm_is_not_for_everybody(self):
        alice = self.connect()
        owner = self.root.call('/org/freedesktop/DBus', 'org.freedesktop.DBus', 'GetNameOwner', '(s)', bus.NAME,
                               destination='org.freedesktop.DBus')
        # neither by its name nor by the other name of the same connection
        for destination in ('com.intel.tss2.Tabrmd', bus.NAME, owner):
            for interface in ('com.intel.tss2.TctiTabrmd', None):
                with self.subTest((destination, interface)):
                    with self.assertRaises(bus.Error) as caught:
                        alice.call('/com/intel/tss2/Tabrmd/Tcti', interface, 'CreateConnection',
                                   destination=destination)
                    self.assertEqual(caught.exception.name, 'org.freedesktop.DBus.Error.AccessDenied')

    def test_raw_tpm_is_for_tss(self):
        import grp
        tss = self.bus.connect(bus.MALLORY, groups=[bus.MALLORY, grp.getgrnam('tss').gr_gid])
        self.addCleanup(tss.close)
        answer = tss.call('/com/intel/tss2/Tabrmd/Tcti', 'com.intel.tss2.TctiTabrmd', 'CreateConnection',
                          destination='com.intel.tss2.Tabrmd')
        for fd in answer[-1]:
            os.close(fd)


class RealPolkit(unittest.TestCase):
    """polkitd of the distribution: finds our actions, and takes the daemon, which is not root, for trusted."""

    RULES = """polkit.addRule(function(action, subject) {
      if (action.id == "org.ggtpm1.use-key" && action.lookup("token") == "greengrass" && subject.isInGroup("ggtpm"))
        return polkit.Result.YES;
    });"""

    def test_all(self):
        bus.enter()
        with bus.Bus() as private, bus.RealPolkit(private, self.RULES), swtpm.Swtpm() as tpm, \
                bus.Daemon(private, tpm):
            root, alice, guest = private.connect(), private.connect(bus.ALICE), private.connect(bus.GUEST)
            job = root.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', {})
            properties = root.wait_job(job)
            self.assertEqual(properties['State'], 'done', properties)
            key = properties['Result']['key']
            self.assertTrue(root.call(key, 'org.ggtpm1.Key', 'Sign', '(aya{sv})', b'text', {}))
            with self.assertRaises(bus.Error) as caught:
                alice.call(key, 'org.ggtpm1.Key', 'Sign', '(aya{sv})', b'text', {})
            self.assertEqual(caught.exception.name, NOT_AUTHORIZED)
            # polkit knows the action and would ask a person: it has read our file
            self.assertIn('needs an authentication', caught.exception.text)
            # the rule sees the details, which polkit takes from nobody but the owner of the action
            self.assertTrue(guest.call(key, 'org.ggtpm1.Key', 'Sign', '(aya{sv})', b'text', {}))
            with self.assertRaises(bus.Error) as caught:
                guest.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', {})
            self.assertEqual(caught.exception.name, NOT_AUTHORIZED)


class NoPolkit(unittest.TestCase):
    """root and the group ggtpm may, as the kernel says who is in it, but PCRs are root's; everybody else may read."""

    def test_all(self):
        bus.enter()
        with bus.Bus() as private, swtpm.Swtpm() as tpm, bus.Daemon(private, tpm):
            for uid, groups, allowed in ((bus.ROOT_UID, None, True), (bus.GUEST, None, True),
                                         (bus.ALICE, None, False), (bus.MALLORY, [bus.GGTPM_GID], True),
                                         (bus.GUEST, [bus.GUEST], False)):
                with self.subTest(uid=uid, groups=groups):
                    caller = private.connect(uid, groups)
                    try:
                        caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'ResetLockout', '(a{sv})', {})
                        self.assertTrue(allowed)
                    except bus.Error as error:
                        self.assertFalse(allowed, error)
                        self.assertEqual(error.name, NOT_AUTHORIZED)
                    self.assertIn(caller.call(bus.DEVICE, 'org.ggtpm1.Health', 'Check', '(a{sv})', {}),
                                  ('ok', 'degraded'))
                    try:
                        caller.call(bus.DEVICE, 'org.ggtpm1.Platform', 'ResetPcr', '(ua{sv})', 16, {})
                        self.assertEqual(uid, bus.ROOT_UID)
                    except bus.Error as error:
                        self.assertNotEqual(uid, bus.ROOT_UID, error)
                        self.assertEqual(error.name, NOT_AUTHORIZED)
                    caller.close()


if __name__ == '__main__':
    bus.main()
