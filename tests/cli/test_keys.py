#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Every verb of tokens and keys in text and JSON, against the real daemon and a software TPM."""

import base64
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cli  # noqa: E402
from cli import bus, openssl  # noqa: E402

URI = 'pkcs11:token=greengrass;object=greenkey;type=private'
TOKEN_MEMBERS = {'label', 'slot_id', 'manufacturer', 'model', 'serial', 'uri', 'pin_stored', 'keys', 'path'}
KEY_MEMBERS = {'token', 'label', 'id', 'algorithm', 'uri', 'public_key', 'name', 'attributes', 'no_da', 'roca',
               'has_certificate', 'certificate_not_after', 'path', 'curve', 'openssl_uri', 'handle', 'parent',
               'created'}


class Provisioned(cli.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.start_daemon()
        test = cls('ok')
        test.ok('provision')
        test.ok('key', 'create', 'rsakey', '--algorithm', 'rsa-2048', '--id', '0a0b')

    def test_status(self):
        text = self.ok('status')
        self.assertRegex(text, r'(?m)^Provisioning +ready$')
        self.assertRegex(text, r'(?m)^Token +greengrass\n  Key +greenkey, ecc-p256, ')
        self.assertRegex(text, r'(?m)^  Key +rsakey, rsa-2048, no certificate$')
        token, = self.json('status')['tokens']
        self.assertEqual(set(token), {'label', 'pin_stored', 'keys'})
        self.assertIs(token['pin_stored'], True)
        for key in token['keys']:
            self.assertEqual(set(key), {'label', 'id', 'algorithm', 'has_certificate', 'certificate_not_after'})

    def test_token_list(self):
        self.assertRegex(self.ok('token', 'list'),
                         r'\ATOKEN +SLOT +PIN +KEYS +URI\ngreengrass +\d+ +stored +\d+ +pkcs11:\S*token=greengrass')
        token, = self.json('token', 'list')['tokens']
        self.assertEqual(set(token), TOKEN_MEMBERS)
        self.assertEqual((token['label'], token['pin_stored']), ('greengrass', True))
        self.assertLessEqual({'greenkey', 'rsakey'}, set(token['keys']))
        self.assertEqual(token['path'], '/org/ggtpm1/token/greengrass')
        self.assertIsInstance(token['slot_id'], int)

    def test_key_list(self):
        text = self.ok('key', 'list')
        self.assertRegex(text, r'\ATOKEN +KEY +ID +ALGORITHM +CERTIFICATE UNTIL\n')
        self.assertRegex(text, r'(?m)^greengrass +rsakey +0a0b +rsa-2048 +no certificate$')
        keys = {key['label']: key for key in self.json('key', 'list', '--token', 'greengrass')['keys']}
        for key in keys.values():
            self.assertEqual(set(key), KEY_MEMBERS)
        self.assertEqual(keys['rsakey']['id'], '0a0b')
        self.assertEqual((keys['rsakey']['has_certificate'], keys['rsakey']['certificate_not_after']), (False, 0))
        self.assertEqual(keys['greenkey']['algorithm'], 'ecc-p256')
        self.assertEqual(keys['greenkey']['uri'], URI)
        for key in keys.values():
            self.assertEqual(openssl('pkey', '-pubin', '-noout', stdin=key['public_key'].encode()).returncode, 0)
        self.fails(3, 'NotFound', 'key', 'list', '--token', 'other')

    def test_key_show(self):
        listed = {key['label']: key for key in self.json('key', 'list')['keys']}
        for label, curve in (('greenkey', 'P-256'), ('rsakey', '')):
            key = self.json('key', 'show', label)
            self.assertEqual(key, listed[label])
            self.assertEqual((key['curve'], key['handle'], key['parent'], key['openssl_uri']),
                             (curve, 0, 0x81000001, ''))
            self.assertEqual(key['created'] % 86400, 0)
            self.assertTrue(time.time() - 2 * 86400 < key['created'] <= time.time(), key['created'])
            text = self.ok('key', 'show', label)
            day = time.strftime('%Y-%m-%d', time.gmtime(key['created']))
            for line in (f'Key: +{label}', f'Id: +{key["id"]}', f'Created: +{day}', f'Name: +{key["name"]}',
                         'Parent: +0x81000001', f'Algorithm: +{key["algorithm"]}', 'ROCA: +no'):
                self.assertRegex(text, f'(?m)^{line}$')
            self.assertEqual(re.findall('(?m)^Curve: +(.*)$', text), [curve] if curve else [])
            self.assertTrue(text.endswith(key['public_key']))
        self.fails(3, 'NotFound', 'key', 'show', 'nokey')

    def test_key_uri(self):
        self.assertEqual(self.ok('key', 'uri', 'greenkey'), URI + '\n')
        for name in ('greengrass/rsakey', '0a0b', '0A0B', 'greengrass/0a0b'):
            self.assertEqual(self.json('key', 'uri', name),
                             {'token': 'greengrass', 'label': 'rsakey', 'uri': URI.replace('greenkey', 'rsakey')})
        message = self.fails(3, 'NotFound', 'key', 'uri', 'greenkye')
        self.assertIn("'greenkye'", message)
        self.assertIn('greengrass/greenkey', message)
        self.fails(3, 'NotFound', 'key', 'uri', 'other/greenkey')
        self.fails(3, 'NotFound', 'key', 'uri', 'greenkey', '--token', 'other')

    def test_key_uri_for_everybody(self):
        self.assertEqual(self.ok('key', 'uri', 'greenkey', uid=bus.ALICE), URI + '\n')

    def test_key_create(self):
        uri = self.ok('key', 'create', 'made', '--token', 'greengrass').strip()
        self.assertEqual(self.ok('key', 'uri', 'made').strip(), uri)
        value = self.json('key', 'create', 'made-json', '--id', 'ff00')
        self.assertEqual(set(value), {'token', 'label', 'algorithm', 'uri', 'path'})
        self.assertEqual((value['token'], value['label'], value['algorithm']), ('greengrass', 'made-json', 'ecc-p256'))
        self.assertEqual(value['path'], '/org/ggtpm1/token/greengrass/key/ff00')
        self.assertIn('made-json', self.json('token', 'list')['tokens'][0]['keys'])
        self.assertIn("'made'", self.fails(1, 'Exists', 'key', 'create', 'made'))
        self.assertIn('ecc-p256', self.fails(1, 'NotSupported', 'key', 'create', 'x', '--algorithm', 'dsa'))
        self.fails(2, 'InvalidArgs', 'key', 'create', 'x' * 33)
        self.fails(3, 'NotFound', 'key', 'create', 'x', '--token', 'other')

    def test_key_csr(self):
        csr = self.ok('key', 'csr', 'greenkey', '--subject', 'CN=a b,O=c')
        self.assertIn(b'verify OK', openssl('req', '-verify', '-noout', stdin=csr.encode()).stderr)
        self.assertIn(b'CN = a b', openssl('req', '-noout', '-subject', stdin=csr.encode()).stdout)
        value = self.json('key', 'csr', 'greenkey')
        self.assertEqual(set(value), {'token', 'label', 'csr'})
        path = self.path('request.csr')
        self.assertEqual(self.ok('key', 'csr', 'rsakey', '--out', path), '')
        self.assertIn(b'verify OK', openssl('req', '-verify', '-noout', '-in', path).stderr)
        self.assertEqual(self.json('key', 'csr', 'rsakey', '--out', path)['out'], path)
        self.assertIn('no-such-dir', self.fails(1, 'Failed', 'key', 'csr', 'greenkey', '--out',
                                                self.path('no-such-dir/a')))
        self.fails(2, 'InvalidArgs', 'key', 'csr', 'greenkey', '--subject', 'no subject')

    def test_out_through_a_link_and_into_a_device(self):
        link, target = self.path('link'), self.path('target')
        os.symlink(target, link)
        self.assertIn(link, self.fails(1, 'Failed', 'key', 'csr', 'greenkey', '--out', link))
        with open(target, 'w', encoding='ascii'):
            pass
        self.ok('key', 'csr', 'greenkey', '--out', link)
        self.assertTrue(os.path.islink(link))
        with open(target, encoding='ascii') as file:
            self.assertIn('BEGIN CERTIFICATE REQUEST', file.read())
        self.ok('key', 'csr', 'greenkey', '--out', '/dev/null')
        self.assertTrue(stat.S_ISCHR(os.stat('/dev/null').st_mode))

    def test_full_output(self):
        with open('/dev/full', 'wb') as full:
            process = self.popen('key', 'uri', 'greenkey', stdout=full, stderr=subprocess.PIPE)
            _, stderr = process.communicate(timeout=cli.TIMEOUT_S)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b'standard output', stderr)

    def verify(self, key, signature, data, *options):
        keys = {one['label']: one for one in self.json('key', 'list')['keys']}
        for name, content in (('pub', keys[key]['public_key'].encode()), ('sig', signature), ('data', data)):
            with open(self.path(name), 'wb') as file:
                file.write(content)
        result = openssl('dgst', *options, '-verify', self.path('pub'), '-signature', self.path('sig'),
                         self.path('data'))
        self.assertEqual(result.stdout, b'Verified OK\n', result.stderr)

    def test_key_sign(self):
        data = b'to be signed\0\n'
        result = self.run_ctl('key', 'sign', 'greenkey', stdin=data)
        self.assertEqual((result.returncode, result.stderr), (0, ''))
        self.verify('greenkey', result.stdout, data, '-sha256')

        value = self.json('key', 'sign', 'greenkey', '--hash', 'sha384', stdin=data)
        self.assertEqual(set(value), {'token', 'label', 'signature'})
        self.verify('greenkey', base64.b64decode(value['signature'], validate=True), data, '-sha384')

        digest = hashlib.sha256(data).digest()
        result = self.run_ctl('key', 'sign', 'greenkey', '--digest', stdin=digest)
        self.verify('greenkey', result.stdout, data, '-sha256')
        self.fails(2, 'InvalidArgs', 'key', 'sign', 'greenkey', '--digest', stdin=digest[1:])

    def test_key_sign_files(self):
        with open(self.path('in'), 'wb') as file:
            file.write(b'x' * 200000)
        value = self.json('key', 'sign', 'rsakey', '--in', self.path('in'), '--out', self.path('out'))
        self.assertEqual(set(value), {'token', 'label', 'signature', 'out'})
        with open(self.path('out'), 'rb') as file:
            signature = file.read()
        self.assertEqual(base64.b64decode(value['signature']), signature)
        self.verify('rsakey', signature, b'x' * 200000, '-sha256')
        self.ok('key', 'verify', 'rsakey', self.path('out'), '--in', self.path('in'))
        self.fails(2, 'InvalidArgs', 'key', 'sign', 'rsakey', '--digest', stdin=b'x' * 65)
        self.assertIn('sha512', self.fails(2, 'InvalidArgs', 'key', 'sign', 'rsakey', '--hash', 'md5', stdin=b'x'))
        self.fails(1, 'Failed', 'key', 'sign', 'rsakey', '--in', self.path('no-such-file'))

    def test_key_sign_mechanisms(self):
        result = self.run_ctl('key', 'sign', 'rsakey', '--mechanism', 'rsa-pss', '--hash', 'sha256', stdin=b'a')
        self.verify('rsakey', result.stdout, b'a', '-sha256', '-sigopt', 'rsa_padding_mode:pss', '-sigopt',
                    'rsa_pss_saltlen:32')
        for name in ('rsakey', 'greenkey'):
            self.assertIn('dsa', self.fails(2, 'InvalidArgs', 'key', 'sign', name, '--mechanism', 'dsa'))

    def test_key_sign_not_to_a_terminal(self):
        terminal = self.terminal('key', 'sign', 'greenkey')
        self.assertEqual(terminal.wait(), 2)
        self.assertIn('--out', terminal.output)

    def pin_file(self, kind):
        return f'{self.daemon.state_dir}/pins/greengrass.{kind}'

    def read_pin(self, kind):
        with open(self.pin_file(kind), encoding='ascii') as file:
            return file.read().strip()

    def test_token_pins(self):
        pins = os.listdir(self.daemon.state_dir + '/pins')
        for verb, kind, old in (('change-pin', 'user', 'user'), ('unblock', 'user', 'so'),
                                ('reset-so-pin', 'so', 'so')):
            with self.subTest(verb):
                before, group = self.read_pin(kind), os.stat(self.pin_file(kind))
                self.assertEqual(self.json('token', verb, 'greengrass'), {'token': 'greengrass', 'changed': True})
                drawn = self.read_pin(kind)
                self.assertNotEqual(drawn, before)
                # 30 characters of 5 bits
                self.assertRegex(drawn, '^[a-z2-7]{30}$')
                self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)
                # given
                with open(self.path('pin'), 'w', encoding='ascii') as file:
                    file.write(f'{verb} 1234')
                self.ok('token', verb, 'greengrass', '--new-pin-file', self.path('pin'))
                self.assertEqual(self.read_pin(kind), f'{verb} 1234')
                self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)
                after = os.stat(self.pin_file(kind))
                self.assertEqual((after.st_mode, after.st_gid), (group.st_mode, group.st_gid))
                # the old one that is proved may be given, too
                option = '--pin-file' if verb == 'change-pin' else '--so-pin-file'
                self.ok('token', verb, 'greengrass', option, self.pin_file(old))
        self.assertEqual(sorted(os.listdir(self.daemon.state_dir + '/pins')), sorted(pins))
        self.assertEqual(self.json('status')['health']['lockout_counter'], 0)
        self.fails(3, 'NotFound', 'token', 'change-pin', 'nothing')
        with open(self.path('pin'), 'w', encoding='ascii') as file:
            file.write('a\tb')
        self.assertIn('control', self.fails(2, 'InvalidArgs', 'token', 'change-pin', 'greengrass', '--new-pin-file',
                                            self.path('pin')))
        for verb in ('change-pin', 'unblock', 'reset-so-pin'):
            self.fails(4, 'NotAuthorized', '--no-ask-password', 'token', verb, 'greengrass', uid=bus.ALICE)

    def test_key_csr_extensions(self):
        options = ('--alt-names', 'DNS:core-1.example.org,IP:192.0.2.1', '--key-usage', 'digitalSignature',
                   '--ext-key-usage', 'clientAuth,serverAuth')
        csr = self.ok('key', 'csr', 'greenkey', *options)
        text = openssl('req', '-noout', '-text', '-verify', stdin=csr.encode())
        self.assertIn(b'DNS:core-1.example.org, IP Address:192.0.2.1', text.stdout)
        self.assertIn(b'TLS Web Client Authentication, TLS Web Server Authentication', text.stdout)
        self.assertIn(b'verify OK', text.stderr)
        self.assertIn('core-1', self.fails(2, 'InvalidArgs', 'key', 'csr', 'greenkey', '--alt-names', 'core-1'))
        self.assertIn('keyCertSign', self.fails(2, 'InvalidArgs', 'key', 'csr', 'greenkey', '--key-usage', 'signing'))

    def test_key_self_sign(self):
        for name in ('greenkey', 'rsakey'):
            path = self.path('self.pem')
            value = self.json('key', 'self-sign', name, '--subject', 'CN=own', '--days', '3', '--out', path,
                              '--alt-names', 'DNS:localhost')
            self.assertEqual(set(value), {'token', 'label', 'certificate', 'out'})
            self.assertIn(b'OK', openssl('verify', '-CAfile', path, '-check_ss_sig', path).stdout)
            self.assertIn(b'DNS:localhost', openssl('x509', '-in', path, '-noout', '-text').stdout)
        self.assertIn('BEGIN CERTIFICATE', self.ok('key', 'self-sign', 'greenkey'))
        for days in ('0', 'x', '-1', '999999'):
            self.assertIn('days', self.fails(2, 'InvalidArgs', 'key', 'self-sign', 'greenkey', '--days', days))

    def test_key_public_key(self):
        pem = self.ok('key', 'public-key', 'greenkey')
        self.assertEqual(pem, self.json('key', 'list')['keys'][0]['public_key'])
        self.assertEqual(openssl('pkey', '-pubin', '-pubout', stdin=pem.encode()).stdout.decode(), pem)
        jwk = json.loads(self.json('key', 'public-key', 'rsakey', '--format', 'jwk')['public_key'])
        self.assertEqual((set(jwk), jwk['kty']), ({'kty', 'n', 'e', 'kid'}, 'RSA'))
        self.assertIn('jwk', self.fails(2, 'InvalidArgs', 'key', 'public-key', 'greenkey', '--format', 'der'))
        # needs no rights
        self.assertEqual(self.ok('key', 'public-key', 'greenkey', uid=bus.ALICE), pem)

    def test_key_verify(self):
        for name, options in (('greenkey', ()), ('rsakey', ('--mechanism', 'rsa-pss', '--hash', 'sha384'))):
            signature = self.run_ctl('key', 'sign', name, *options, stdin=b'data').stdout
            with open(self.path('signature'), 'wb') as file:
                file.write(signature)
            args = ('key', 'verify', name, self.path('signature'), *options)
            self.assertEqual(self.run_ctl(*args, stdin=b'data', uid=bus.ALICE).stdout, b'valid\n')
            self.assertEqual(self.json(*args, stdin=b'data'), {'token': 'greengrass', 'label': name, 'valid': True})
            self.assertIn(name, self.fails(1, 'Failed', *args, stdin=b'Data'))
        self.fails(2, 'InvalidArgs', 'key', 'verify', 'greenkey', '-', stdin=b'x')

    def test_key_decrypt(self):
        with open(self.path('pub'), 'w', encoding='ascii') as file:
            file.write(self.ok('key', 'public-key', 'rsakey'))
        cipher = openssl('pkeyutl', '-encrypt', '-pubin', '-inkey', self.path('pub'), stdin=b'secret').stdout
        self.assertEqual(self.run_ctl('key', 'decrypt', 'rsakey', stdin=cipher).stdout, b'secret')
        value = self.json('key', 'decrypt', 'rsakey', stdin=cipher)
        self.assertEqual(base64.b64decode(value['plain']), b'secret')
        self.fails(1, 'NotSupported', 'key', 'decrypt', 'greenkey', stdin=cipher)
        for size in (7, 255, 257, 513):
            self.fails(2, 'InvalidArgs', 'key', 'decrypt', 'rsakey', stdin=b'x' * size)
        # not made for this key: said so, and nothing stays behind of it
        self.assertIn('encrypted for this key',
                      self.fails(1, 'Failed', 'key', 'decrypt', 'rsakey', stdin=bytes(255) + b'x'))
        self.assertEqual(self.run_ctl('key', 'decrypt', 'rsakey', stdin=cipher).stdout, b'secret')
        self.ok('key', 'csr', 'greenkey')

    def test_key_attributes(self):
        keys = {one['label']: one for one in self.json('key', 'list')['keys']}
        # the Name is what TPM2_ReadPublic would say: nameAlg and the digest of the public area
        self.assertRegex(keys['greenkey']['name'], '^000b[0-9a-f]{64}$')
        # fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth; sign
        self.assertEqual(keys['greenkey']['attributes'] & 0x40072, 0x40072)
        self.assertEqual((keys['greenkey']['no_da'], keys['rsakey']['roca']), (False, False))

    def test_key_delete(self):
        self.ok('key', 'create', 'doomed')
        self.assertIn('--yes', self.fails(2, 'InvalidArgs', 'key', 'delete', 'doomed', '--no-ask-password'))
        terminal = self.terminal('key', 'delete', 'doomed')
        terminal.wait_for("Type 'doomed' to go on: ")
        terminal.write('no\n')
        self.assertEqual(terminal.wait(), 1, terminal.output)
        self.assertIn('doomed', self.ok('key', 'list'))
        self.assertEqual(self.json('key', 'delete', 'doomed', '--yes'),
                         {'token': 'greengrass', 'label': 'doomed', 'deleted': True})
        self.assertNotIn('doomed', self.ok('key', 'list'))
        self.fails(3, 'NotFound', 'key', 'delete', 'doomed', '--yes')
        # what is left works
        self.assertEqual(self.run_ctl('key', 'sign', 'greenkey', stdin=b'x').returncode, 0)

    def issue(self, csr, name):
        """A certificate from that request by a throw-away CA."""
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=CA',
                '-keyout', self.path('ca.key'), '-out', self.path('ca.pem'))
        pem = openssl('x509', '-req', '-CA', self.path('ca.pem'), '-CAkey', self.path('ca.key'), '-CAcreateserial',
                      stdin=csr.encode()).stdout
        with open(self.path(name), 'wb') as file:
            file.write(pem)
        return self.path(name)

    def key_of(self, label):
        return next((one for one in self.json('key', 'list')['keys'] if one['label'] == label), None)

    def test_many_keys_are_not_all_named(self):
        labels = [f'many{i}' for i in range(9)]
        for label in labels:
            self.ok('key', 'create', label)
        message = self.fails(3, 'NotFound', 'key', 'show', 'none')
        self.assertRegex(message, r'there is .* and \d+ more, see `ggtpmctl key list`')
        for label in labels:
            self.ok('key', 'delete', label, '--yes')

    def test_key_rotate(self):
        self.ok('key', 'create', 'turning')
        self.ok('key', 'install-cert', 'turning', self.issue(self.ok('key', 'csr', 'turning'), 'old.pem'))
        before = self.key_of('turning')
        csr = self.ok('key', 'rotate', 'turning', '--subject', 'CN=new')
        self.assertIn(b'verify OK', openssl('req', '-verify', '-noout', stdin=csr.encode()).stderr)
        # the old one stays in use, and another request is for the same successor
        successor = self.key_of('turning.next')
        self.assertEqual(self.key_of('turning'), before)
        self.assertIn("follow 'turning'", self.fails(2, 'InvalidArgs', 'key', 'rotate', 'turning.next'))
        again = self.json('key', 'rotate', 'turning')['csr']
        public = [openssl('req', '-pubkey', '-noout', stdin=text.encode()).stdout.decode() for text in (csr, again)]
        self.assertEqual(public, [successor['public_key']] * 2)
        self.assertIn(b'CN = turning\n', openssl('req', '-noout', '-subject', stdin=again.encode()).stdout)
        # another's certificate changes nothing
        foreign = self.issue(self.ok('key', 'csr', 'greenkey'), 'foreign.pem')
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'turning', foreign)
        self.assertEqual(self.key_of('turning'), before)

        self.ok('key', 'install-cert', 'turning', self.issue(csr, 'new.pem'))
        after = self.key_of('turning')
        self.assertEqual((after['id'], after['public_key'], after['has_certificate']),
                         (before['id'], successor['public_key'], True))
        self.assertEqual((after['uri'], after['path']), (before['uri'], before['path']))
        self.assertEqual((after['name'], after['created']), (successor['name'], successor['created']))
        self.assertIsNone(self.key_of('turning.next'))
        signature = self.run_ctl('key', 'sign', 'turning', stdin=b'x').stdout
        self.verify('turning', signature, b'x', '-sha256')
        # once more, where there was no certificate before
        self.ok('key', 'create', 'bare')
        self.ok('key', 'install-cert', 'bare', self.issue(self.ok('key', 'rotate', 'bare'), 'bare.pem'))
        self.assertTrue(self.key_of('bare')['has_certificate'])
        self.assertIsNone(self.key_of('bare.next'))
        self.ok('key', 'delete', 'bare', '--yes')
        self.assertIn('.next', self.fails(2, 'InvalidArgs', 'key', 'rotate',
                                          self.json('key', 'create', 'x' * 30)['label']))
        self.ok('key', 'delete', 'x' * 30, '--yes')
        self.ok('key', 'delete', 'turning', '--yes')

    def test_no_rights(self):
        for args in (['key', 'sign', 'greenkey'], ['key', 'csr', 'greenkey'], ['key', 'create', 'x'],
                     ['key', 'delete', 'greenkey', '--yes'], ['key', 'decrypt', 'rsakey'],
                     ['key', 'rotate', 'greenkey'], ['key', 'self-sign', 'greenkey'],
                     ['config', 'write', 'lite', '--print']):
            self.fails(4, 'NotAuthorized', '--no-ask-password', *args, uid=bus.ALICE)

    def make_certificate(self, days='30'):
        """For greenkey, of a throw-away authority."""
        ca = ['-CA', self.path('ca.pem'), '-CAkey', self.path('ca.key')]
        if not os.path.exists(self.path('ca.pem')):
            result = openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
                             '/CN=ca', '-days', '30', '-keyout', self.path('ca.key'), '-out', self.path('ca.pem'))
            self.assertEqual(result.returncode, 0, result.stderr)
        csr = self.ok('key', 'csr', 'greenkey').encode()
        result = openssl('x509', '-req', '-days', days, '-set_serial', '1', *ca, stdin=csr)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_key_install_cert(self):
        certificate = self.make_certificate()
        with open(self.path('cert.pem'), 'wb') as file:
            file.write(certificate)
        self.assertEqual(self.ok('key', 'install-cert', 'greenkey', self.path('cert.pem')), '')
        key = [key for key in self.json('key', 'list')['keys'] if key['label'] == 'greenkey'][0]
        self.assertIs(key['has_certificate'], True)
        end = openssl('x509', '-noout', '-enddate', '-dateopt', 'iso_8601', stdin=certificate).stdout.decode()
        end = end.strip().split('=')[1].rstrip('Z')
        self.assertRegex(self.ok('key', 'list'), 'greenkey .*' + end)
        self.assertEqual(self.json('key', 'install-cert', 'greenkey', '-', stdin=certificate),
                         {'token': 'greengrass', 'label': 'greenkey', 'installed': True})
        # not its key
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'rsakey', self.path('cert.pem'))
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'greenkey', '-', stdin=b'no certificate')
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'greenkey', '-', stdin=b'\x30\x82\0\xff')
        self.fails(1, 'Failed', 'key', 'install-cert', 'greenkey', self.path('no-such-file'))
        expired = self.make_certificate('-1')
        self.fails(2, 'InvalidArgs', 'key', 'install-cert', 'greenkey', '-', stdin=expired)
        self.ok('key', 'install-cert', 'greenkey', '-', '--force', stdin=expired)

    def test_completion_of_labels(self):
        script = ('source "$1"; shift; COMP_WORDS=(ggtpmctl "$@"); COMP_CWORD=$#; _ggtpmctl; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')

        def complete(*words):
            file = os.path.join(cli.SOURCE, 'client/completion/ggtpmctl')
            result = subprocess.run(['bash', '-c', script, 'bash', file, *words], capture_output=True, text=True,
                                    env=self.env, check=True)
            return [word for word in result.stdout.splitlines() if word != '']

        self.assertEqual(complete('key', 'sign', 'green'), ['greenkey'])
        self.assertLessEqual({'greenkey', 'rsakey'}, set(complete('key', 'csr', '--subject', 'CN=a', '')))
        self.assertEqual(complete('key', 'list', '--token', ''), ['greengrass'])
        self.assertEqual(complete('provision', '--token', 'x'), [])
        # what others call their keys is not run
        marker = self.path('marker')
        self.ok('key', 'create', 'odd $(>$MARKER) name')
        self.env['MARKER'] = marker
        self.assertEqual(complete('key', 'uri', 'odd'), [r'odd\ \$\(\>\$MARKER\)\ name'])
        self.assertFalse(os.path.exists(marker))


if __name__ == '__main__':
    bus.main()
