#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The whole provisioning on a software TPM: real broker, real helper, real libtpm2_pkcs11, no bus.

GGTPM_TEST_EVERY_CUT=1 kills at every system call that changes a file, not only at some.
"""

import ctypes
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lib"))
import cuts  # pylint: disable=wrong-import-position
import swtpm  # pylint: disable=wrong-import-position
from provision_device import HELPER, Device, take_arguments  # pylint: disable=wrong-import-position

# TPM2_CC_*: whatever makes, loads, changes or uses something
CHANGING = {
    0x120: "EvictControl", 0x121: "HierarchyControl", 0x126: "Clear", 0x12A: "NV_DefineSpace", 0x131: "CreatePrimary",
    0x137: "NV_Write", 0x139: "DictionaryAttackLockReset", 0x152: "Import", 0x153: "Create", 0x157: "Load",
    0x15D: "Sign", 0x15E: "Unseal", 0x176: "StartAuthSession", 0x191: "CreateLoaded",
}
CC_CLEAR = 0x126
CC_SIGN = 0x15D
TRANSIENT = 0x80000000
PERSISTENT = 0x81000000


class Case(unittest.TestCase):
    maxDiff = None

    def assert_files(self, device):
        """Nothing else; what PINs were drawn a run does not know that found them there, made by one that was cut."""
        self.assertEqual([name for name in device.files() if not name.endswith(".lock")
                          and name != "drawn-pins/greengrass"],
                         ["pins/greengrass.so", "pins/greengrass.user", "pkcs11/tpm2_pkcs11.sqlite3", "provision.json"])

    def assert_ok(self, result):
        self.assertEqual(result.returncode, 0, result.output)
        self.assertIsNone(result.error, result.output)

    def assert_error(self, result, nick):
        self.assertEqual((result.returncode, result.error), (1, nick), result.output)

    def assert_csr(self, csr, algorithm, subject):
        done = subprocess.run(["openssl", "req", "-verify", "-noout", "-text", "-nameopt", "RFC2253"], input=csr,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
        self.assertIn("verify OK", done.stdout)
        self.assertIn(f"Subject: {subject}\n", done.stdout)
        self.assertIn({"ecc-p256": "ASN1 OID: prime256v1", "rsa-2048": "Public-Key: (2048 bit)"}[algorithm],
                      done.stdout)

    def spki_of_csr(self, csr):
        return subprocess.run(["openssl", "req", "-noout", "-pubkey"], input=csr, stdout=subprocess.PIPE, text=True,
                              check=True).stdout

    def assert_complete(self, device, result, algorithm="ecc-p256"):
        """The whole result, nothing else, and nothing left behind."""
        self.assert_ok(result)
        self.assert_csr(result.csr, algorithm, "CN=greenkey")
        self.assertEqual(result.uri, "pkcs11:token=greengrass;object=greenkey;type=private")
        journal = device.journal()
        self.assertEqual(len(journal["entries"]), 1)
        self.assertTrue(journal["entries"][0]["ready"])
        self.assertEqual(journal["entries"][0]["csr"], result.csr)
        self.assertEqual(device.handles(PERSISTENT), [journal["primary-handle"]])
        self.assertEqual(device.handles(TRANSIENT), [])
        self.assert_files(device)
        self.assertFalse(os.path.exists(device.path("pkcs11.staging")))
        objects = device.pkcs11("--list-all", "--login", "--set-pin", device.read("pins", "greengrass.user").strip(),
                                "pkcs11:token=greengrass")
        self.assertEqual(objects.count("Type: Private key"), 1, objects)
        self.assertEqual(objects.count("Type: Public key"), 1, objects)
        self.assertEqual(objects.count("Label: greenkey"), 2, objects)


class Whole(Case):
    def check_fresh(self, algorithm, max_commands):
        with Device() as device:
            before = device.tpm.count()
            result = device.run("--algorithm", algorithm)
            commands = device.tpm.count() - before
            # by the chip: ECDSA, or RSA-PSS; for RSA PKCS#1 v1.5 the library pads
            self.assertEqual(device.tpm.count(CC_SIGN), 1)
            print(f"{algorithm}: {commands} TPM commands", file=sys.stderr)
            self.assert_complete(device, result, algorithm)
            self.assertTrue(result.changed)
            self.assertLessEqual(commands, max_commands)

            self.assertEqual(stat.S_IMODE(os.stat(device.path("pkcs11")).st_mode), 0o1770)
            self.assertEqual(stat.S_IMODE(os.stat(device.path("pkcs11", "tpm2_pkcs11.sqlite3")).st_mode), 0o640)
            self.assertEqual(stat.S_IMODE(os.stat(device.path("pins", "greengrass.so")).st_mode), 0o600)
            pins = [device.read("pins", "greengrass." + kind).strip() for kind in ("user", "so")]
            self.assertNotEqual(pins[0], pins[1])
            for pin in pins:
                self.assertRegex(pin, "^[a-z2-7]{30}$")
                self.assertNotIn(pin, device.read("provision.json"))

            # a stranger signs with the key of the CSR
            signed = device.pkcs11("--test-sign", "--login", "--set-pin", pins[0],
                                   "pkcs11:token=greengrass;object=greenkey;type=private")
            self.assertIn("Verifying against private key parameters... ok", signed)
            public_key = os.path.join(device.tpm.dir, "pub.pem")
            device.pkcs11("--export-pubkey", "--login", "--set-pin", pins[0], "--outfile", public_key,
                          "pkcs11:token=greengrass;object=greenkey;type=public")
            with open(public_key, encoding="ascii") as file:
                self.assertIn(self.spki_of_csr(result.csr), file.read())
            return device.pkcs11("--list-mechanisms", "pkcs11:token=greengrass")

    def test_ecc(self):
        # 55 from the call to the end of the job, and 8 of the broker's, to open and to leave the chip
        self.check_fresh("ecc-p256", 63)

    def test_rsa(self):
        mechanisms = self.check_fresh("rsa-2048", 85)
        # Java takes TLS 1.3 with an RSA key only where this is listed
        self.assertIn("CKM_RSA_PKCS_PSS", mechanisms)

    def test_second_run(self):
        with Device() as device:
            first = device.run()
            self.assert_ok(first)
            before = device.snapshot()
            counts = {code: device.tpm.count(code) for code in CHANGING}
            second = device.run()
            self.assert_ok(second)
            self.assertIs(second.changed, False)
            self.assertEqual((second.csr, second.uri), (first.csr, first.uri))
            # the first list is what the helper that made it all remembers, the second what a new one reads
            self.assertEqual(len(first.listing), 2)
            self.assertEqual(second.listing, first.listing)
            self.assertEqual(device.snapshot(), before)
            made = {CHANGING[code]: device.tpm.count(code) - count for code, count in counts.items()}
            self.assertEqual({name: n for name, n in made.items() if n != 0}, {})

    def test_given_pins(self):
        with Device() as device:
            pin, so_pin = "p\u00efn \"with\\odd: 'chars", "123456"
            result = device.run_with_pins(pin, so_pin)
            self.assert_complete(device, result)
            self.assertEqual(device.read("pins", "greengrass.user").rstrip("\n"), pin)
            self.assertEqual(device.read("pins", "greengrass.so").rstrip("\n"), so_pin)
            before = device.snapshot()
            again = device.run_with_pins(pin, so_pin)
            self.assert_ok(again)
            self.assertIs(again.changed, False)
            self.assert_error(device.run_with_pins("other", so_pin), "Exists")
            self.assert_error(device.run_with_pins(pin, "other"), "Exists")
            self.assertEqual(device.snapshot(), before)

    def test_two_tokens(self):
        with Device() as device:
            self.assert_ok(device.run())
            other = device.run("--token", "two words", "--key", "k", "--algorithm", "rsa-2048")
            self.assert_ok(other)
            self.assertEqual(other.uri, "pkcs11:token=two%20words;object=k;type=private")
            # one storage root key for both, and the first is as it was
            self.assertEqual(len(device.handles(PERSISTENT)), 1)
            self.assertIs(device.run().changed, False)
            self.assertIs(device.run("--token", "two words", "--key", "k", "--algorithm", "rsa-2048").changed, False)


class Exists(Case):
    def test_other_options(self):
        with Device() as device:
            self.assert_ok(device.run())
            before = device.snapshot()
            for options in (["--key", "other"], ["--algorithm", "rsa-2048"], ["--subject", "CN=other"]):
                result = device.run(*options)
                self.assert_error(result, "Exists")
                self.assertIn("greengrass", result.message)
            self.assertEqual(device.snapshot(), before)

    def test_complete(self):
        """exclusive=false: what is missing is added; what is there stays."""
        with Device() as device:
            first = device.run()
            added = device.run("--complete", "--key", "other")
            self.assert_ok(added)
            self.assertTrue(added.changed)
            self.assert_csr(added.csr, "ecc-p256", "CN=other")
            self.assertNotEqual(self.spki_of_csr(added.csr), self.spki_of_csr(first.csr))
            self.assertEqual(device.run().csr, first.csr)
            renamed = device.run("--complete", "--subject", "CN=renamed,O=us")
            self.assert_ok(renamed)
            self.assertTrue(renamed.changed)
            self.assertEqual(self.spki_of_csr(renamed.csr), self.spki_of_csr(first.csr))
            again = device.run("--complete", "--subject", "CN=renamed,O=us")
            self.assertIs(again.changed, False)
            before = device.snapshot()
            result = device.run("--complete", "--algorithm", "rsa-2048")
            self.assert_error(result, "Exists")
            self.assertIn("ecc-p256", result.message)
            self.assertEqual(device.snapshot(), before)

    def test_not_ours(self):
        """A token that the journal does not know, as tpm2_ptool leaves one."""
        with Device() as device:
            first = device.run_with_pins("user-pin", "so-pin")
            os.unlink(device.path("provision.json"))
            for name in ("user", "so"):
                os.unlink(device.path("pins", "greengrass." + name))
            before = device.snapshot()
            self.assert_error(device.run(), "Exists")
            self.assert_error(device.run("--complete", "--key", "other"), "AuthRequired")
            self.assertEqual(device.snapshot(), before)
            adopted = device.run_with_pins("user-pin", "so-pin", "--complete")
            self.assert_ok(adopted)
            self.assertEqual(self.spki_of_csr(adopted.csr), self.spki_of_csr(first.csr))

    def test_wrong_pin(self):
        with Device() as device:
            self.assert_ok(device.run_with_pins("user-pin", "so-pin"))
            os.unlink(device.path("provision.json"))
            os.unlink(device.path("pins", "greengrass.user"))
            database = device.snapshot()["pkcs11/tpm2_pkcs11.sqlite3"]
            failed = device.run_with_pins("wrong", "so-pin", "--complete", "--key", "other")
            self.assert_error(failed, "AuthFailed")
            self.assertFalse(os.path.exists(device.path("pins", "greengrass.user")))
            self.assertEqual(device.snapshot()["pkcs11/tpm2_pkcs11.sqlite3"], database)
            self.assert_ok(device.run_with_pins("user-pin", "so-pin", "--complete", "--key", "other"))


class Faults(Case):
    def test_bad_arguments(self):
        with Device() as device:
            for options in (["--token", "a;b"], ["--token", "x" * 32], ["--key", "x" * 33], ["--subject", "nonsense"]):
                self.assert_error(device.run(*options), "InvalidArgs")
            self.assert_error(device.run("--algorithm", "ecc-p384"), "NotSupported")
            self.assertEqual(device.files(), [])
            self.assertEqual(device.handles(PERSISTENT), [])

    def test_damaged_journal(self):
        with Device() as device:
            self.assert_ok(device.run())
            with open(device.path("provision.json"), "w", encoding="utf-8") as file:
                file.write("{")
            result = device.run()
            self.assert_error(result, "Store")
            self.assertIn("provision.json", result.message)

    def test_cleared_chip(self):
        with Device() as device:
            self.assert_ok(device.run())
            before = device.snapshot()
            # TPM2_Clear by the lockout hierarchy, whose auth is empty
            session = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
            code, _ = device.tpm.command(CC_CLEAR, struct.pack(">I", 0x4000000A) + session, tag=0x8002)
            self.assertEqual(code, 0)
            result = device.run()
            self.assert_error(result, "Store")
            self.assertIn("provision again", result.message)
            self.assertEqual(device.snapshot(), before)

    def test_foreign_object_at_the_handle(self):
        """Another's persistent object is left alone: the next handle is taken."""
        with Device() as device:
            environment = {"PATH": os.environ["PATH"], "TPM2TOOLS_TCTI": device.tpm.tcti, "TSS2_LOG": "all+none"}
            for command in (["tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc384", "-c", "p.ctx"],
                            ["tpm2_evictcontrol", "-Q", "-C", "o", "-c", "p.ctx", "0x81000001"],
                            ["tpm2_flushcontext", "-t"]):
                subprocess.run(command, env=environment, cwd=device.tpm.dir, check=True)
            result = device.run()
            self.assert_ok(result)
            self.assertEqual(device.journal()["primary-handle"], 0x81000002)
            self.assertEqual(device.handles(PERSISTENT), [0x81000001, 0x81000002])
            self.assertIs(device.run().changed, False)

    def use_weak_helper(self, device, weakness):
        path = os.path.join(device.tpm.dir, "helper")
        with open(path, "w", encoding="utf-8") as file:
            weak_helper = os.environ["GGTPM_WEAK_HELPER"]
            file.write(f"#!/bin/sh\nexec /usr/bin/python3 {weak_helper} {weakness} {HELPER} \"$@\"\n")
        os.chmod(path, 0o755)
        device.write_config(path)

    def test_weak_key(self):
        """A chip that makes RSA keys of CVE-2017-15361: refused, nothing is kept; other keys can be made."""
        with Device() as device:
            self.use_weak_helper(device, "roca")
            for _ in range(2):
                result = device.run("--algorithm", "rsa-2048")
                self.assert_error(result, "TpmFailure")
                self.assertIn("CVE-2017-15361", result.message)
                self.assertIn("ecc-p256", result.message)
                self.assertEqual([name for name in device.files() if name.startswith("pkcs11")], [])
                self.assertFalse(os.path.exists(device.path("pkcs11.staging")))
                self.assertEqual([entry["ready"] for entry in device.journal()["entries"]], [False])
                self.assertEqual(device.handles(PERSISTENT), [device.journal()["primary-handle"]])
                self.assertEqual(device.handles(TRANSIENT), [])
            self.assert_complete(device, device.run())
            # nor beside a key that is there
            before = device.snapshot()["pkcs11/tpm2_pkcs11.sqlite3"]
            plan = os.path.join(device.tpm.dir, "plan")
            with open(plan, "w", encoding="utf-8") as file:
                file.write("[Token]\nLabel=greengrass\n[Key greenkey]\n[Key second]\nAlgorithm=rsa-2048\n")
            self.assert_error(device.run("--plan", plan), "TpmFailure")
            self.assertEqual(device.snapshot()["pkcs11/tpm2_pkcs11.sqlite3"], before)
            self.assert_complete(device, device.run())

    def test_bad_pss(self):
        """A chip whose RSA-PSS is not what TLS wants: the key is made, and nobody is told that it can do that."""
        with Device() as device:
            self.use_weak_helper(device, "pss")
            self.assert_complete(device, device.run("--algorithm", "rsa-2048"), "rsa-2048")
            self.assertNotIn("CKM_RSA_PKCS_PSS", device.pkcs11("--list-mechanisms", "pkcs11:token=greengrass"))

    def test_cancel(self):
        with Device() as reference:
            steps = [step for step in reference.run().steps if step != "done"]
        self.assertGreater(len(steps), 5)
        for step in steps:
            with self.subTest(step=step), Device() as device:
                self.assert_error(device.run("--cancel-at", step), "Cancelled")
                self.assertFalse(os.path.exists(device.path("pkcs11", "tpm2_pkcs11.sqlite3")))
                self.assertFalse(os.path.exists(device.path("pkcs11.staging")))
                self.assertEqual(device.handles(TRANSIENT), [])
                if os.path.exists(device.path("provision.json")):
                    self.assertEqual(device.journal()["entries"], [])
                self.assert_complete(device, device.run())

    def test_killed_at_each_step(self):
        with Device() as reference:
            steps = reference.run().steps
        for step in steps:
            with self.subTest(step=step), Device() as device:
                with device.start() as process:
                    for line in process.stdout:
                        if line == f"step: {step}\n":
                            process.kill()
                            break
                self.assertEqual(process.returncode, -signal.SIGKILL)
                self.assert_complete(device, device.run())

    def test_tpm_power_cut_at_each_step(self):
        with Device() as reference:
            steps = reference.run().steps
        for step in steps[:-1]:
            with self.subTest(step=step), Device() as device:
                with device.start() as process:
                    for line in process.stdout:
                        if line == f"step: {step}\n":
                            device.tpm.kill()
                            break
                    process.kill()
                device.tpm.start()
                self.assert_complete(device, device.run())


@unittest.skipUnless(os.geteuid() == 0, "mounts a small file system: root only")
class FullDisk(Case):
    def setUp(self):
        # a mount namespace of our own, so that nothing is left mounted
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x00020000) != 0 or libc.mount(b"none", b"/", None, 0x44000, None) != 0:
            self.skipTest("no mount namespace")

    @staticmethod
    def mount(path, *options):
        subprocess.run(["mount", "-t", "tmpfs", *options, "none", path], check=True)

    def test_full_disk(self):
        failed = 0
        for pages in (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32):
            with self.subTest(pages=pages), Device() as device:
                self.mount(device.state, "-o", f"size={pages * 4096},mode=0700")
                try:
                    result = device.run()
                    if result.returncode != 0:
                        failed += 1
                        self.assertIn(result.error, ("Store", "Failed"), result.output)
                        self.assertFalse(os.path.exists(device.path("pkcs11.staging")))
                        subprocess.run(["mount", "-o", "remount,size=16m", device.state], check=True)
                        result = device.run()
                    self.assert_complete(device, result)
                finally:
                    subprocess.run(["umount", "-l", device.state], check=True)
        self.assertGreater(failed, 5)


# Two keys, one with a certificate: what the daemon and the helper do of a provision.conf that says all there is to say.
# The client's part is cut in tests/cli/test_provision.py.
WIDE = """
[Token]
Label=greengrass
[Key greenkey]
AltNames=DNS:core-1.example.org
ExtKeyUsage=clientAuth
[Key second]
Certificate=self-signed
"""


class Cuts(Case):
    """kill -9 of the daemon, of its helper, or of the TPM, at the system calls that change a file."""

    def setUp(self):
        if cuts.why_not() is not None:
            self.skipTest(cuts.why_not())

    @staticmethod
    def write_plan(device):
        plan = os.path.join(device.tpm.dir, "provision.conf")
        with open(plan, "w", encoding="ascii") as file:
            file.write(WIDE)
        return plan

    def run_wide(self, device):
        return device.run("--plan", self.write_plan(device))

    def run_daemon(self, device, *options):
        return device.run_under(*cuts.ALONE, *options, args=("--plan", self.write_plan(device)))

    def run_helper(self, device, *options):
        wrapper = os.path.join(device.tpm.dir, "helper")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexec " + " ".join(cuts.command(device.trace, *options)) + f" {HELPER} \"$@\"\n")
        os.chmod(wrapper, 0o755)
        device.write_config(wrapper)
        result = self.run_wide(device)
        device.write_config(HELPER)
        return result

    def run_tpm(self, device, *options):
        return device.run_on_traced_tpm(*options, args=("--plan", self.write_plan(device)))

    def assert_complete_wide(self, device, result):
        """The whole result, nothing else, nothing left behind, and others can read it."""
        self.assert_ok(result)
        journal = device.journal()
        self.assertEqual([(entry["key"], entry["ready"]) for entry in journal["entries"]],
                         [("greenkey", True), ("second", True)])
        self.assertEqual([entry["csr"] for entry in journal["entries"]], result.csrs)
        for csr, subject in zip(result.csrs, ("CN=greenkey", "CN=second")):
            self.assert_csr(csr, "ecc-p256", subject)
        self.assertEqual(device.handles(PERSISTENT), [journal["primary-handle"]])
        self.assertEqual(device.handles(TRANSIENT), [])
        self.assert_files(device)
        self.assertFalse(os.path.exists(device.path("pkcs11.staging")))
        pin = device.read("pins", "greengrass.user").strip()
        objects = device.pkcs11("--list-all", "--login", "--set-pin", pin, "pkcs11:token=greengrass")
        self.assertEqual((objects.count("Type: Private key"), objects.count("Type: Public key"),
                          objects.count("Type: X.509 Certificate"), objects.count("Label: greenkey"),
                          objects.count("Label: second")), (2, 2, 1, 2, 3), objects)
        if shutil.which("tpm2_ptool") is None:
            return
        environment = {"PATH": os.environ["PATH"], "TPM2TOOLS_TCTI": device.tpm.tcti, "TSS2_LOG": "all+none"}
        listed = subprocess.run(["tpm2_ptool", "listobjects", "--label=greengrass", "--path=" + device.path("pkcs11")],
                                env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual((listed.count("CKO_PRIVATE_KEY"), listed.count("CKO_PUBLIC_KEY"),
                          listed.count("CKO_CERTIFICATE")), (2, 2, 1), listed)

    def count(self, run):
        """The calls of a run that nobody disturbs."""
        with Device() as device:
            self.assert_complete_wide(device, run(device, *cuts.watch()))
            return cuts.count_calls(device.trace)

    def check_cuts(self, who, run, step):
        counts = self.count(run)
        cut = 0
        for call, n in cuts.choose(counts, step):
            with self.subTest(call=call, n=n), Device() as device:
                cut += run(device, *cuts.inject(call, n)).returncode != 0
                self.assert_complete_wide(device, self.run_wide(device))
        cuts.report(who, cut, counts)
        self.assertGreater(cut, 0)

    def test_daemon(self):
        self.check_cuts("daemon", self.run_daemon, 13)

    def test_helper(self):
        self.check_cuts("helper", self.run_helper, 37)

    def test_tpm(self):
        self.check_cuts("TPM", self.run_tpm, 151)


if __name__ == "__main__":
    if not swtpm.available():
        print("no swtpm")
        sys.exit(77)
    if shutil.which("p11tool") is None:
        print("no p11tool")
        sys.exit(77)
    take_arguments()
    unittest.main(verbosity=2)
