#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Removal of a token and stores that do not fit the chip: real broker, real helper, real libtpm2_pkcs11, tpm2_ptool.

GGTPM_TEST_EVERY_CUT=1 kills at every system call that changes a file, not only at some.
"""

import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lib"))
import cuts  # pylint: disable=wrong-import-position
import tpm_client  # pylint: disable=wrong-import-position
import swtpm  # pylint: disable=wrong-import-position
from provision_device import TCTI_MODULE, Device, take_arguments  # pylint: disable=wrong-import-position

TRANSIENT = 0x80000000
PERSISTENT = 0x81000000
SRK = 0x81000001
CC_CLEAR = 0x126
CC_UNSEAL = 0x15E
CC_GET_CAPABILITY = 0x17A
PT_LOCKOUT_COUNTER = 0x20E


class Case(unittest.TestCase):
    maxDiff = None

    def ok(self, device, *args, **kwargs):
        result = device.run(*args, **kwargs)
        self.assertEqual((result.returncode, result.error), (0, None), result.output)
        return result

    def fails(self, device, nick, *args):
        result = device.run(*args)
        self.assertEqual((result.returncode, result.error), (1, nick), result.output)
        return result.message

    @staticmethod
    def tools(device, *commands):
        """Through our broker: tpm2_ptool needs more slots than a chip has."""
        with tpm_client.Broker(device.tpm) as broker:
            broker.wait_state(broker.READY)
            tcti = f"{TCTI_MODULE}:path={broker.path}"
            environment = {"PATH": os.environ["PATH"], "TPM2TOOLS_TCTI": tcti, "TSS2_LOG": "all+none",
                           "TPM2_PKCS11_TCTI": tcti, "TPM2_PKCS11_STORE": device.path("pkcs11"),
                           "HOME": device.tpm.dir}
            for command in commands:
                subprocess.run(command, env=environment, cwd=device.tpm.dir, check=True, stdout=subprocess.DEVNULL)

    def evict(self, device, handle=SRK):
        self.tools(device, ["tpm2_evictcontrol", "-Q", "-C", "o", "-c", hex(handle)])

    def clear(self, device):
        # by the lockout hierarchy, whose auth is empty
        session = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
        code, _ = device.tpm.command(CC_CLEAR, struct.pack(">I", 0x4000000A) + session, tag=0x8002)
        self.assertEqual(code, 0)

    @staticmethod
    def lockout_counter(device):
        code, body = device.tpm.command(CC_GET_CAPABILITY, struct.pack(">III", 6, PT_LOCKOUT_COUNTER, 1))
        assert code == 0
        return struct.unpack(">I", body[-4:])[0]

    @staticmethod
    def rows(device, table):
        with sqlite3.connect(device.path("pkcs11", "tpm2_pkcs11.sqlite3")) as database:
            return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def assert_nothing_left(self, device):
        self.assertEqual(device.handles(PERSISTENT), [])
        self.assertEqual(device.handles(TRANSIENT), [])
        files = [name for name in device.files() if not name.endswith(".lock")]
        self.assertEqual(files, ["pkcs11/tpm2_pkcs11.sqlite3", "provision.json"])
        self.assertEqual(device.journal(), {"version": 1, "entries": []})
        for table in ("tokens", "sealobjects", "tobjects", "pobjects"):
            self.assertEqual(self.rows(device, table), 0, table)
        self.assertFalse(os.path.exists(device.path("pkcs11.staging")))

    def assert_signs(self, device, token="greengrass", key="greenkey", pin=None):
        pin = pin or device.read("pins", token + ".user").strip()
        self.assertIn("... ok", device.pkcs11("--test-sign", "--login", "--set-pin", pin,
                                              f"pkcs11:token={token};object={key};type=private"))


class Removal(Case):
    def test_all_of_it(self):
        with Device() as device:
            self.ok(device)
            before = device.snapshot()
            planned = self.ok(device, "--remove", "--dry-run").lost
            self.assertEqual(device.snapshot(), before)
            self.assertIn("the token 'greengrass'", planned)
            self.assertIn("the key pair 'greenkey', ecc-p256", planned)
            self.assertIn("its stored PINs", planned)
            self.assertEqual(self.ok(device, "--remove").lost, planned)
            self.assert_nothing_left(device)
            self.fails(device, "NotFound", "--remove")
            again = self.ok(device)
            self.assertTrue(again.changed)
            self.assertEqual(device.handles(PERSISTENT), [SRK])
            self.assert_signs(device)

    def test_another_token_needs_the_storage_key(self):
        with Device() as device:
            self.ok(device)
            self.ok(device, "--token", "other", "--key", "k")
            self.ok(device, "--remove")
            self.assertEqual(device.handles(PERSISTENT), [SRK])
            self.assertEqual(device.journal()["primary-handle"], SRK)
            self.assert_signs(device, "other", "k")
            self.assertIs(self.ok(device, "--token", "other", "--key", "k").changed, False)
            self.ok(device, "--token", "other", "--remove")
            self.assert_nothing_left(device)

    def test_the_storage_key_of_others(self):
        """The same key, made persistent by somebody else before, as systemd does: it stays."""
        with Device() as device:
            self.ok(device)
            # what others have made is what the journal does not say that we have
            path = device.path("provision.json")
            text = device.read("provision.json").replace('"primary-made":true', '"primary-made":false')
            text = text.replace('"primary-made": true', '"primary-made": false')
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            self.ok(device, "--remove")
            self.assertEqual(device.handles(PERSISTENT), [SRK])
            # found by its name, and not taken for ours
            self.ok(device)
            self.assertNotIn("primary-made", device.journal())
            self.ok(device, "--remove")
            self.assertEqual(device.handles(PERSISTENT), [SRK])

    def test_another_object_at_the_handle(self):
        with Device() as device:
            self.ok(device)
            self.evict(device)
            self.tools(device, ["tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc384", "-c", "p.ctx"],
                       ["tpm2_evictcontrol", "-Q", "-C", "o", "-c", "p.ctx", hex(SRK)])
            self.ok(device, "--remove")
            self.assertEqual(device.handles(PERSISTENT), [SRK])
            self.ok(device)
            self.assertEqual(device.handles(PERSISTENT), [SRK, SRK + 1])
            self.assert_signs(device)

    def test_of_tpm2_ptool(self):
        if shutil.which("tpm2_ptool") is None:
            self.skipTest("no tpm2_ptool")
        with Device() as device:
            store = "--path=" + device.path("pkcs11")
            self.ok(device)
            self.tools(device, ["tpm2_ptool", "addtoken", "--pid=1", "--sopin=so", "--userpin=1234", "--label=theirs",
                                store])
            self.ok(device, "--remove")
            self.assertEqual(device.handles(PERSISTENT), [SRK])
            self.tools(device, ["tpm2_ptool", "addkey", "--algorithm=ecc256", "--label=theirs", "--userpin=1234",
                                "--key-label=k", store])
            self.assert_signs(device, "theirs", "k", "1234")
            lost = self.ok(device, "--token", "theirs", "--remove").lost
            self.assertEqual(lost, ["the token 'theirs'", "the key pair 'k', ecc-p256"])
            self.assert_nothing_left(device)

    def test_what_a_removed_token_leaves_to_provisioning(self):
        """Cut off after the announcement: the next provisioning of that label makes it whole again."""
        with Device() as device:
            self.ok(device)
            path = device.path("provision.json")
            text = device.read("provision.json").replace('{', '{ "removing": "greengrass",', 1)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            self.ok(device, "--remove")
            self.assert_nothing_left(device)


class Cuts(Case):
    """kill -9 of the daemon, or of the TPM, at the system calls of a removal that change a file."""

    def setUp(self):
        if cuts.why_not() is not None:
            self.skipTest(cuts.why_not())

    def check_cuts(self, who, run, step):
        with Device() as device:
            self.ok(device)
            self.assertIsNone(run(device, *cuts.watch()).error)
            counts = cuts.count_calls(device.trace)
        cut = 0
        with Device() as device:
            for call, n in cuts.choose(counts, step):
                with self.subTest(call=call, n=n):
                    self.ok(device)
                    if run(device, *cuts.inject(call, n)).returncode != 0:
                        cut += 1
                        self.assertLessEqual(set(device.handles(PERSISTENT)), {device.journal().get("primary-handle")})
                        again = device.run("--remove")
                        # where the cut came after the last change
                        if again.error != "NotFound":
                            self.assertEqual((again.returncode, again.error), (0, None), again.output)
                    self.assert_nothing_left(device)
        cuts.report(who, cut, counts)
        self.assertGreater(cut, 0)

    def test_daemon(self):
        self.check_cuts("daemon", lambda device, *options: device.run_under(*cuts.ALONE, *options, args=["--remove"]),
                        9)

    def test_tpm(self):
        self.check_cuts("TPM", lambda device, *options: device.run_on_traced_tpm(*options, args=["--remove"]), 61)


class Stale(Case):
    def test_evicted_and_made_again(self):
        with Device() as device:
            first = self.ok(device)
            before = device.snapshot()
            self.evict(device)
            self.assertEqual(device.handles(PERSISTENT), [])
            self.ok(device, "--dry-run")
            self.assertEqual(device.handles(PERSISTENT), [])
            again = self.ok(device)
            self.assertTrue(again.changed)
            self.assertEqual(again.csr, first.csr)
            self.assertEqual(device.handles(PERSISTENT), [SRK])
            self.assertEqual(device.handles(TRANSIENT), [])
            self.assertEqual(device.snapshot(), before)
            self.assert_signs(device)
            self.assertIs(self.ok(device).changed, False)

    def test_evicted_storage_keys_of_tpm2_ptool(self):
        """RSA-2048 of `tpm2_ptool init`, made again from what the store says of it."""
        if shutil.which("tpm2_ptool") is None:
            self.skipTest("no tpm2_ptool")
        with Device() as device:
            os.mkdir(device.path("pkcs11"))
            store = "--path=" + device.path("pkcs11")
            self.tools(device, ["tpm2_ptool", "init", store],
                       ["tpm2_ptool", "addtoken", "--pid=1", "--sopin=so", "--userpin=1234", "--label=greengrass",
                        store])
            self.evict(device)
            result = device.run_with_pins("1234", "so", "--complete")
            self.assertEqual(result.error, None, result.output)
            self.assertEqual(device.handles(PERSISTENT), [SRK])
            self.assert_signs(device)

    def check_stale(self, spoil, is_gone=True):
        """Whether a storage key that is gone would be the same one again, a dry run cannot know."""
        with Device() as device:
            self.ok(device)
            before = device.snapshot()
            spoil(device)
            handles = device.handles(PERSISTENT)
            counter = self.lockout_counter(device)
            logins = device.tpm.count(CC_UNSEAL)
            if is_gone:
                self.ok(device, "--dry-run")
            for args in ([], ["--complete", "--key", "another"], *([] if is_gone else [["--dry-run"]])):
                message = self.fails(device, "Store", *args)
                self.assertIn("does not fit this TPM", message)
                self.assertIn("ggtpmctl token remove", message)
            self.assertEqual(device.tpm.count(CC_UNSEAL), logins)
            self.assertEqual(self.lockout_counter(device), counter)
            self.assertEqual(device.snapshot(), before)
            self.assertEqual(device.handles(PERSISTENT), handles)
            self.assertEqual(device.handles(TRANSIENT), [])
            # the remedy
            self.ok(device, "--remove")
            self.ok(device)
            self.assert_signs(device)

    def test_cleared(self):
        self.check_stale(self.clear)

    def test_another_storage_key(self):
        def spoil(device):
            self.evict(device)
            self.tools(device, ["tpm2_createprimary", "-Q", "-C", "o", "-G", "rsa2048", "-c", "p.ctx"],
                       ["tpm2_evictcontrol", "-Q", "-C", "o", "-c", "p.ctx", hex(SRK)])
        self.check_stale(spoil, is_gone=False)

    def test_another_chip(self):
        def spoil(device):
            device.tpm.kill()
            for name in os.listdir(device.tpm.dir):
                if name.startswith("tpm2-"):
                    os.unlink(os.path.join(device.tpm.dir, name))
            device.tpm.start()
        self.check_stale(spoil)

    def test_stale_entry_that_no_token_uses(self):
        """C_InitToken would take it for the new token."""
        if shutil.which("tpm2_ptool") is None:
            self.skipTest("no tpm2_ptool")
        with Device() as device:
            os.mkdir(device.path("pkcs11"))
            self.tools(device, ["tpm2_ptool", "init", "--path=" + device.path("pkcs11")])
            self.clear(device)
            self.ok(device)
            self.assertEqual(self.rows(device, "pobjects"), 1)
            self.assertEqual(device.handles(PERSISTENT), [SRK])
            self.assert_signs(device)


if __name__ == "__main__":
    if not swtpm.available():
        print("no swtpm")
        sys.exit(77)
    if shutil.which("p11tool") is None:
        print("no p11tool")
        sys.exit(77)
    take_arguments()
    unittest.main(verbosity=2)
