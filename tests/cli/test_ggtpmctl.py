#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""What ggtpmctl says where nothing is provisioned, and the verb that provisions, in text and JSON."""

import json
import os
import re
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus, openssl  # noqa: E402

URI = 'pkcs11:token=greengrass;object=greenkey;type=private'
DEVICE_MEMBERS = {'node', 'tcti', 'family', 'level', 'revision', 'spec_date', 'manufacturer', 'manufacturer_id',
                  'vendor_string', 'model', 'tpm_type', 'firmware_version', 'firmware_raw', 'memory',
                  'algorithms', 'curves', 'pcr_banks', 'max_command', 'max_response', 'update_mode',
                  'updates_remaining'}
HEALTH_MEMBERS = {'state', 'issues', 'last_check', 'in_lockout', 'lockout_counter', 'lockout_max', 'lockout_interval',
                  'lockout_recovery', 'owner_auth_set', 'endorsement_auth_set', 'lockout_auth_set', 'disable_clear',
                  'tpm_generated_eps', 'platform_enabled', 'storage_enabled', 'endorsement_enabled',
                  'last_shutdown_orderly', 'self_test_result', 'self_test_text', 'lockout_failures_left',
                  'lockout_auth_state', 'lockout_auth_locked_until', 'healings', 'unclean_shutdowns',
                  'unclean_shutdowns_today', 'reset_count', 'persistent_used', 'persistent_available',
                  'nv_indices', 'nv_counters_available', 'transient_available', 'sessions_available', 'rules',
                  'lockout_expected_at', 'lockout_failures_today', 'command_count', 'error_count', 'last_error',
                  'latency_us', 'latency_baseline_us'}
CC_CREATE_PRIMARY = 0x131


class Bare(cli.Case):
    """Nothing is provisioned yet."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()

    def test_status(self):
        for args in ([], ['status']):
            text = self.ok(*args)
            self.assertRegex(text, r'(?m)^Daemon +ready \(ggtpmd [0-9.]+, mode replace\)$')
            self.assertRegex(text, r'(?m)^Chip +\S.*firmware ')
            self.assertRegex(text, r'(?m)^Health +(ok|degraded)$')
            self.assertRegex(text, r'(?m)^Rules +\d+ ok, .*\d+ not applicable$')
            self.assertRegex(text, r'(?m)^Lockout +0 of [1-9]')
            self.assertRegex(text, r'(?m)^Provisioning +none\n +`ggtpmctl provision` ')
            self.assertNotIn('\033', text)

    def test_status_json(self):
        status = self.json('status')
        self.assertEqual(set(status), {'daemon', 'device', 'health', 'provisioning', 'jobs', 'tokens'})
        self.assertEqual(status['daemon'], {'running': True, 'version': status['daemon']['version'], 'api_version': 1,
                                            'mode': 'replace', 'state': 'ready', 'state_reason': ''})
        self.assertEqual(set(status['device']), {'node', 'manufacturer', 'model', 'firmware_version'})
        self.assertEqual(set(status['health']),
                         {'state', 'last_check', 'in_lockout', 'lockout_counter', 'lockout_max', 'issues', 'rules'})
        self.assertIs(status['health']['in_lockout'], False)
        self.assertGreater(status['health']['last_check'], 1600000000)
        self.assertEqual(status['provisioning'], {'state': 'none'})
        self.assertEqual((status['jobs'], status['tokens']), ([], []))

    def test_status_for_everybody(self):
        self.assertIn('ready', self.ok('status', '--no-ask-password', uid=bus.ALICE))

    def test_status_on_terminal(self):
        terminal = self.terminal('status')
        self.assertEqual(terminal.wait(), 0)
        self.assertIn('\033[32mready\033[0m', terminal.output)

    def test_no_color(self):
        for env in ({'NO_COLOR': '1'}, {'TERM': 'dumb'}):
            terminal = cli.Terminal([self.program, 'status'], self.env | env)
            self.assertEqual(terminal.wait(), 0)
            self.assertIn('ready', terminal.output)
            self.assertNotIn('\033', terminal.output)

    def test_info(self):
        text = self.ok('info')
        self.assertRegex(text, r'(?m)^Device$')
        self.assertRegex(text, r'(?m)^  Family +2\.0$')
        self.assertRegex(text, r'(?m)^  Revision +[12]\.\d\d$')
        self.assertRegex(text, r'(?m)^  ManufacturerId +0x[0-9a-f]{8}$')
        self.assertRegex(text, r'(?m)^  SelfTestText +passed$')
        self.assertRegex(text, r'(?m)^  LockoutInterval +\d+ s$')
        self.assertRegex(text, r'(?m)^  SpecDate +year 20\d\d, day \d+$')

    def test_info_json(self):
        info = self.json('info')
        self.assertEqual(set(info), {'device', 'health'})
        self.assertEqual(set(info['device']), DEVICE_MEMBERS)
        self.assertEqual(set(info['health']), HEALTH_MEMBERS)
        self.assertEqual(info['device']['family'], '2.0')
        self.assertEqual(info['device']['manufacturer_id'].to_bytes(4, 'big').rstrip(b'\0').decode(),
                         info['device']['manufacturer'])
        self.assertEqual(len(info['device']['spec_date']), 2)
        self.assertEqual(info['health']['self_test_result'], 0)
        for issue in info['health']['issues']:
            self.assertEqual(set(issue), {'id', 'severity', 'text', 'remedy', 'since', 'evidence'})

    def test_empty_lists(self):
        self.assertIn('ggtpmctl provision', self.ok('token', 'list'))
        self.assertEqual(self.ok('key', 'list'), 'No keys.\n')
        self.assertEqual(self.json('token', 'list'), {'tokens': []})
        self.assertEqual(self.json('key', 'list'), {'keys': []})

    def test_not_found(self):
        self.assertIn("'greenkey'", self.fails(3, 'NotFound', 'key', 'uri', 'greenkey'))
        self.fails(3, 'NotFound', 'key', 'csr', 'greenkey')
        self.fails(3, 'NotFound', 'key', 'create', 'greenkey')
        self.assertIn("'t'", self.fails(3, 'NotFound', 'key', 'list', '--token', 't'))
        self.assertIn('no token yet', self.fails(3, 'NotFound', 'token', 'verify'))
        self.fails(3, 'NotFound', 'config', 'write', 'v1', '--path', self.path('none.json'))
        self.assertFalse(os.path.exists(self.path('none.json')))

    def test_no_rights(self):
        for args in (['provision'], ['provision', '--no-wait'], ['config', 'write', 'v2', '--print']):
            self.fails(4, 'NotAuthorized', '--no-ask-password', *args, uid=bus.ALICE)
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})

    def test_refused_by_the_daemon(self):
        self.assertIn('ecc-p256', self.fails(1, 'NotSupported', 'provision', '--algorithm', 'dsa'))
        self.assertIn('v3', self.fails(2, 'InvalidArgs', 'config', 'write', 'v3', '--print'))
        self.fails(2, 'InvalidArgs', 'provision', '--token', 'a/b')
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})

    def test_pin_file(self):
        missing = self.path('no-such-file')
        self.assertIn(missing, self.fails(1, 'Failed', 'provision', '--pin-file', missing))
        for content in (b'', b'\n1234', b'x' * 129, b'1\x002'):
            self.fails(2, 'InvalidArgs', 'provision', '--pin-file', '-', stdin=content)
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})


class Provisioning(cli.FreshCase):
    """From nothing, in each way."""

    def test_text(self):
        result = self.run_ctl('provision', '--subject', 'CN=core-1,O=Example')
        self.assertEqual(result.returncode, 0, result.stderr)
        text = result.stdout.decode()
        self.assertRegex(text, r'\AToken  greengrass\nKey    greenkey\nURI    ' + re.escape(URI) + r'\n-----BEGIN CERT')
        self.assertIn('-----END CERTIFICATE REQUEST-----\n', text)
        # steps in plain lines, since that is no terminal; of what comes within a second the last one
        self.assertGreaterEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertNotRegex(result.stderr, r'[\r\033%]')
        csr = text[text.index('-----BEGIN'):].encode()
        self.assertIn(b'verify OK', openssl('req', '-verify', '-noout', stdin=csr).stderr)
        self.assertIn(b'CN = core-1', openssl('req', '-noout', '-subject', stdin=csr).stdout)

        again = self.ok('provision', '--subject', 'CN=core-1,O=Example')
        self.assertRegex(again, r'\ANothing was missing\.\nToken  greengrass\n')
        self.assertEqual(len(self.json('token', 'list')['tokens']), 1)
        self.assertEqual(len(self.json('key', 'list')['keys']), 1)
        self.fails(1, 'Exists', 'provision', '--key', 'another')

    def test_json(self):
        path = self.path('a.csr')
        value = self.json('provision', '--token', 'tok', '--key', 'k', '--algorithm', 'rsa-2048', '--csr-out', path,
                          uid=bus.ROOT_UID)
        self.assertEqual(set(value), {'token', 'key', 'uri', 'csr', 'changed', 'csr_out', 'keys', 'files', 'waiting',
                                      'problems', 'warnings'})
        self.assertEqual((value['token'], value['key'], value['changed'], value['csr_out']), ('tok', 'k', True, path))
        with open(path, encoding='ascii') as file:
            self.assertEqual(file.read(), value['csr'])
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        self.assertIn(b'2048 bit', openssl('req', '-noout', '-text', '-in', path).stdout)
        value = self.json('provision', '--token', 'tok', '--key', 'k', '--algorithm', 'rsa-2048')
        self.assertIs(value['changed'], False)

    def test_add(self):
        self.ok('provision')
        value = self.json('provision', '--key', 'second', '--add')
        self.assertEqual((value['key'], value['changed']), ('second', True))
        self.assertEqual(sorted(key['label'] for key in self.json('key', 'list')['keys']), ['greenkey', 'second'])

    def test_file_of_the_daemon(self):
        with open(os.path.join(self.daemon.dir, 'provision.conf'), 'w', encoding='ascii') as file:
            file.write('[Token]\nLabel=from-file\n[Key key-from-file]\n')
        value = self.json('provision')
        self.assertEqual((value['token'], value['key']), ('from-file', 'key-from-file'))

    def snapshot(self):
        files = {}
        for top, _, names in os.walk(self.daemon.state_dir):
            for name in names:
                with open(os.path.join(top, name), 'rb') as file:
                    files[os.path.join(top, name)] = (file.read(), os.stat(file.fileno()).st_mtime_ns)
        return files

    def test_plan(self):
        before = self.snapshot()
        text = self.ok('provision', '--plan', '--subject', 'CN=core-1')
        self.assertEqual(text, "To be made:\n  the token store and its storage root key\n"
                         "  the token 'greengrass' with its PINs\n  the key pair 'greenkey', ecc-p256\n"
                         "  the certificate request for CN=core-1\n")
        self.assertEqual((self.snapshot(), self.tpm.count(CC_CREATE_PRIMARY)), (before, 0))
        self.assertEqual(self.json('status')['provisioning'], {'state': 'none'})
        self.ok('provision', '--subject', 'CN=core-1')
        self.assertEqual(self.tpm.count(CC_CREATE_PRIMARY), 1)
        before = self.snapshot()
        self.assertEqual(self.ok('provision', '--plan', '--subject', 'CN=core-1'), 'Nothing is missing.\n')
        self.assertEqual(self.json('provision', '--plan', '--key', 'second', '--add'),
                         {'missing': ["the key pair 'second', ecc-p256", 'the certificate request for CN=second'],
                          'waiting': [], 'problems': [], 'warnings': []})
        self.fails(1, 'Exists', 'provision', '--plan', '--key', 'second')
        self.assertEqual(self.snapshot(), before)
        for option in ('--no-wait', '--csr-out=x'):
            self.fails(2, 'InvalidArgs', 'provision', '--plan', option)

    def test_config(self):
        path = self.path('mine.conf')
        with open(os.path.join(self.daemon.dir, 'provision.conf'), 'w', encoding='ascii') as file:
            file.write('[Token]\nLabel=of-the-daemon\n')
        with open(path, 'w', encoding='ascii') as file:
            file.write('[Token]\nLabel=mine\n[Key k]\nAlgorithm=rsa-2048\nSubject=CN=x\n')
        self.assertIn("the token 'mine' with", self.ok('provision', '--plan', '--config', path))
        self.assertIn("the token 'of-the-daemon' with", self.ok('provision', '--plan'))
        value = self.json('provision', '--config', path)
        self.assertEqual((value['token'], value['key'], value['changed']), ('mine', 'k', True))
        with open(path, 'rb') as file:
            again = self.json('provision', '--config', '-', stdin=file.read())
        self.assertEqual((again['changed'], again['csr']), (False, value['csr']))
        self.assertIn('token', self.fails(2, 'InvalidArgs', 'provision', '--config', path, '--token', 'a'))
        for text, named in ((b'[Key k]\nSize=3\n', 'Size'), (b'[Tokens]\n', 'Tokens'), (b'Label', 'Label'),
                            (b'#' * 70000, '65536')):
            with open(path, 'wb') as file:
                file.write(text)
            self.assertIn(named, self.fails(2, 'InvalidArgs', 'provision', '--config', path))
        self.assertEqual(len(self.json('token', 'list')['tokens']), 1)

    def test_member_of_the_group(self):
        self.assertIn('URI', self.ok('provision', uid=bus.GUEST))

    def test_pins_on_standard_input(self):
        self.ok('provision', '--pin-file', '-', '--so-pin-file', '-', stdin=b'user pin\nso pin\n')
        self.ok('key', 'csr', 'greenkey', '--pin-file', '-', stdin=b'user pin')
        self.fails(4, 'AuthFailed', 'key', 'csr', 'greenkey', '--pin-file', '-', stdin=b'so pin', once=True)

    def test_no_wait(self):
        job = self.ok('provision', '--no-wait').strip()
        self.assertRegex(job, r'\A/org/ggtpm1/job/\d+\Z')
        caller = self.bus.connect()
        self.assertEqual(caller.wait_job(job)['State'], 'done')
        caller.close()
        value = self.json('provision', '--no-wait')
        self.assertEqual(set(value), {'job'})
        self.assertRegex(value['job'], r'\A/org/ggtpm1/job/\d+\Z')

    def test_progress_on_terminal(self):
        terminal = self.terminal('provision')
        self.assertEqual(terminal.wait(), 0, terminal.output)
        # one line, drawn anew, and gone at the end
        self.assertRegex(terminal.output, r'\r\033\[K\[[#.]{20}\] {1,3}\d+% \S')
        self.assertRegex(terminal.output, r'\r\033\[KToken  greengrass\r\n')
        before = terminal.output[:terminal.output.index('Token')]
        self.assertNotIn('\n', before)

    def test_no_progress_with_json(self):
        terminal = self.terminal('provision', '--json')
        self.assertEqual(terminal.wait(), 0, terminal.output)
        self.assertEqual(json.loads(terminal.output)['changed'], True)

    def test_interrupt(self):
        self.pause(self.tpm.process)
        terminal = self.terminal('provision')
        terminal.wait_for('%')
        status = self.json('status')
        self.assertEqual([job['operation'] for job in status['jobs']], ['provision'])
        self.assertEqual(set(status['jobs'][0]), {'path', 'operation', 'state', 'progress', 'step'})
        self.assertRegex(self.ok('status'), r'(?m)^Job +provision (queued|running), \d+%: ')
        terminal.write('\x03')
        self.assertEqual(terminal.wait(), 1)
        self.assertIn('the job goes on', terminal.output)
        self.assertIn('ggtpmctl status', terminal.output)
        self.resume(self.tpm.process)
        caller = self.bus.connect()
        self.assertEqual(caller.wait_job(status['jobs'][0]['path'])['State'], 'done')
        caller.close()

    def test_timeout(self):
        self.pause(self.tpm.process)
        message = self.fails(6, 'Timeout', '--timeout', '1', 'provision', once=True)
        self.assertIn('the job goes on', message)

    def test_daemon_goes_away(self):
        self.pause(self.tpm.process)
        process = self.popen('--json', 'provision', stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        caller = self.bus.connect()
        bus.wait_for(lambda: any('/job/' in path for path in caller.objects()), 'the job')
        caller.close()
        self.daemon.kill()
        stdout, stderr = process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual((process.returncode, stderr), (6, b''), stdout)
        self.assertEqual(json.loads(stdout)['error']['name'], 'Unavailable')


if __name__ == '__main__':
    bus.main()
