# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""ggtpm-token-helper alone, on its pipes: what it answers to requests that are wrong, and how it ends."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import helper_protocol  # noqa: E402
import swtpm  # noqa: E402

HELPER = os.environ["GGTPM_TOKEN_HELPER"]
MODULE = os.environ["GGTPM_PKCS11_MODULE"]
MAX_TEXT = 1024 * 1024
MAX_PIN = 4096
TIMEOUT_S = 30
START_AUTH_SESSION = 0x176
FLUSH_CONTEXT = 0x165


class Helper:
    def __init__(self, store, tcti, module=MODULE, idle_s=60, line=None):
        self.process = subprocess.Popen(
            [HELPER, module, str(idle_s)] + ([] if line is None else [str(line)]),
            pass_fds=() if line is None else (line,),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"TPM2_PKCS11_STORE": store, "TPM2_PKCS11_TCTI": tcti, "TSS2_LOG": "all+none",
                 "TPM2_PKCS11_LOG_LEVEL": "0"})

    def send(self, request):
        self.process.stdin.write(request)
        self.process.stdin.flush()

    def ask(self, request):
        self.send(request)
        return json.loads(self.process.stdout.readline())

    def job(self, job, **members):
        return self.ask(helper_protocol.make(job, **members))

    def end(self):
        """Exit code after the end of its input."""
        self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode


@unittest.skipUnless(swtpm.available(), "no swtpm")
class TokenHelperTest(unittest.TestCase):
    def setUp(self):
        self.tpm = swtpm.Swtpm()
        self.addCleanup(self.tpm.stop)
        self.store = tempfile.mkdtemp(prefix="gg-")
        self.addCleanup(shutil.rmtree, self.store)
        self.helpers = []
        self.addCleanup(self.end_helpers)

    def start(self, **arguments):
        helper = Helper(self.store, self.tpm.tcti, **arguments)
        self.helpers.append(helper)
        return helper

    def end_helpers(self):
        for helper in self.helpers:
            if helper.process.returncode is None:
                helper.end()

    def assert_refused(self, answer, error, *parts):
        self.assertIs(answer["ok"], False)
        self.assertEqual(answer["error"], error)
        for part in parts:
            self.assertIn(part, answer["message"])
        self.assertEqual(set(answer), {"ok", "error", "message"})

    def test_not_a_request(self):
        helper = self.start()
        for text in (b"", b"{", b"nonsense", b'{"job":"list"} {}', b'{"job":"list"', b'\xff\xfe', b'{"job":"\xff"}'):
            self.assert_refused(helper.ask(helper_protocol.pack(text)), "InvalidArgs", "not JSON")
        for text in (b"[]", b"17", b"null", b'"list"', b"{}", b'{"job":null}', b'{"job":7}', b'{"token":"x"}'):
            self.assert_refused(helper.ask(helper_protocol.pack(text)), "InvalidArgs")
        self.assert_refused(helper.job("destroy"), "InvalidArgs", "'destroy'")
        self.assertEqual(helper.job("list"), {"ok": True, "tokens": []})
        self.assertEqual(helper.end(), 0)

    def test_members(self):
        helper = self.start()
        good = {"token": "t", "id": "01", "mechanism": "ecdsa", "hash": "sha256", "digest": "00" * 32}
        for name in good:
            request = {key: value for key, value in good.items() if key != name}
            self.assert_refused(helper.job("sign", **request), "InvalidArgs", f"'{name}' is missing")
            self.assert_refused(helper.job("sign", **good | {name: 7}), "InvalidArgs", f"'{name}' is not a string")
            self.assert_refused(helper.job("sign", **good | {name: "a\0b"}), "InvalidArgs", f"'{name}' contains a NUL")
        self.assert_refused(helper.job("sign", **good), "InvalidArgs", "the PIN is missing")
        good["pin"] = "p"
        self.assert_refused(helper.job("sign", **good | {"pin": "a\0b"}), "InvalidArgs", "the PIN contains a NUL")
        self.assert_refused(helper.job("sign", **good, so_pin="x"), "InvalidArgs", "the SO PIN is not wanted")
        self.assert_refused(helper.job("change-pin", token="t", pin="p"), "InvalidArgs", "the new PIN is missing")
        for value in ("0", "xy", "0 ", "0x01"):
            self.assert_refused(helper.job("sign", **good | {"id": value}), "InvalidArgs", "'id\' is not hexadecimal")
        self.assert_refused(helper.job("sign", **good | {"id": ""}), "InvalidArgs", "'id\' is empty")
        self.assert_refused(helper.job("sign", **good | {"token": ""}), "InvalidArgs", "'token\' is empty")
        self.assert_refused(helper.job("sign", **good | {"token": "x" * 33}), "InvalidArgs", "'token\' is longer")
        self.assert_refused(helper.job("list", token="t"), "InvalidArgs", "'token\' is unknown")
        # None of them opened the store.
        self.assertEqual(os.listdir(self.store), [])
        self.assert_refused(helper.job("sign", **good), "NotFound", "'t\'")

    def test_no_secret_in_answers(self):
        helper = self.start()
        for job in ("sign", "login", "init-token", "nothing"):
            answer = helper.job(job, pin="s3cr3t-pin", so_pin="s3cr3t-so", new_pin="s3cr3t-new", extra="x")
            self.assertNotIn("s3cr3t", json.dumps(answer))
        _, errors = helper.process.communicate(timeout=TIMEOUT_S)
        self.assertNotIn(b"s3cr3t", errors)

    def test_token(self):
        helper = self.start()
        pins = {"pin": "u" * 64, "so_pin": "s" * 64}
        self.assertEqual(helper.job("init-token", token="t", **pins), {"ok": True, "slot": 1})
        self.assert_refused(helper.job("init-token", token="t", **pins), "Exists", "'t\'")
        self.assertEqual(helper.job("login", token="t", pin="u" * 64), {"ok": True})
        key = {"token": "t", "pin": "u" * 64, "label": "k", "id": "01"}
        self.assert_refused(helper.job("generate-key", **key, algorithm="rsa-512"), "NotSupported", "rsa-512")
        made = helper.job("generate-key", **key, algorithm="ecc-p256")
        self.assertTrue(made["ok"])
        listed = helper.job("list")["tokens"]
        self.assertEqual([token["label"] for token in listed], ["t"])
        # TPMT_PUBLIC: ECC, nameAlg SHA-256, fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth; uses
        self.assertRegex(listed[0]["keys"][0].pop("public-area"), "^0023000b000[4-6]0072")
        # the day, as eight digits
        self.assertRegex(bytes.fromhex(listed[0]["keys"][0].pop("start-date")), rb"^20\d\d[01]\d[0-3]\d$")
        self.assertEqual(listed[0]["keys"],
                         [{"label": "k", "id": "01", "algorithm": "ecc-p256", "spki": made["spki"]}])
        signing = {"token": "t", "pin": "u" * 64, "id": "01", "mechanism": "ecdsa", "hash": "sha256"}
        self.assertTrue(helper.job("sign", **signing, digest="00" * 32)["ok"])
        self.assert_refused(helper.job("sign", **signing, digest="00" * 31), "InvalidArgs", "32 bytes, not 31")
        self.assert_refused(helper.job("sign", **signing | {"mechanism": "dsa", "digest": "00" * 32}), "NotSupported",
                            "dsa")
        self.assert_refused(helper.job("sign", **signing | {"id": "02"}, digest="00" * 32), "NotFound")
        # The same after the store was opened anew, with what that needs.
        self.assertEqual(helper.job("reopen"), {"ok": True})
        self.assertTrue(helper.job("sign", **signing, digest="00" * 32)["ok"])
        self.assert_refused(helper.job("login", token="t", pin="wrong"), "AuthFailed", "wrong")
        self.assertTrue(helper.job("sign", **signing, digest="00" * 32)["ok"])

    def test_after_removed_tokens(self):
        """A new token has a number of its own, and each is listed once, wherever there is a gap."""
        pins = {"pin": "u" * 64, "so_pin": "s" * 64}
        numbers = {}
        for label, removed in (("a", ""), ("b", ""), ("c", ""), ("d", "a"), ("e", "c"), ("f", "b")):
            if removed:
                with contextlib.closing(sqlite3.connect(os.path.join(self.store, "tpm2_pkcs11.sqlite3"))) as database:
                    database.execute("delete from tokens where label = ?", (removed,))
                    database.commit()
                del numbers[removed]
            helper = self.start()
            made = helper.job("init-token", token=label, **pins)
            self.assertTrue(made["ok"], made)
            numbers[label] = made["slot"]
            self.assertEqual(sorted((token["label"], token["slot"]) for token in helper.job("list")["tokens"]),
                             sorted(numbers.items()))
            self.assertEqual(helper.end(), 0)

    def test_ticket(self):
        """It stands for a key and a login, until one of them or the store is another."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        helper = self.start(line=theirs.fileno())
        theirs.close()
        ours.settimeout(TIMEOUT_S)
        self.addCleanup(ours.close)

        def sign_again(ticket):
            ours.send(json.dumps(again | {"job": "sign-again", "ticket": ticket}).encode())
            return json.loads(ours.recv(4096))

        again = {"mechanism": "ecdsa", "hash": "sha256", "digest": "00" * 32}
        signing = again | {"token": "t", "pin": "u", "id": "01"}
        helper.job("init-token", token="t", pin="u", so_pin="s")
        helper.job("generate-key", token="t", pin="u", label="k", id="01", algorithm="ecc-p256")
        self.assert_refused(sign_again("1"), "AuthRequired")

        def change_login():
            self.assert_refused(helper.job("login", token="t", pin="wrong"), "AuthFailed")

        def change_store():
            os.utime(os.path.join(self.store, "tpm2_pkcs11.sqlite3"))

        tickets = []
        for end in (change_login, change_store, lambda: helper.job("reopen")):
            helper.job("reopen")
            ticket = helper.job("sign", **signing)["ticket"]
            self.assertEqual(helper.job("sign", **signing)["ticket"], ticket)
            answer = sign_again(ticket)
            self.assertEqual((answer["ok"], set(answer)), (True, {"ok", "signature"}))
            end()
            self.assert_refused(sign_again(ticket), "AuthRequired")
            self.assertNotIn(ticket, tickets)
            tickets.append(ticket)
        # The end of that socket is not the helper's.
        ours.send(b"nonsense")
        self.assert_refused(json.loads(ours.recv(4096)), "InvalidArgs", "not JSON")
        ours.close()
        self.assertTrue(helper.job("list")["ok"])
        self.assertEqual(helper.end(), 0)

    def test_certificate(self):
        helper = self.start()
        helper.job("init-token", token="t", pin="u", so_pin="s")
        helper.job("generate-key", token="t", pin="u", label="k", id="01", algorithm="ecc-p256")
        put = {"token": "t", "pin": "u", "id": "01", "label": "k"}
        self.assert_refused(helper.job("put-certificate", **put, certificate="3000"), "InvalidArgs", "DER")
        ders = []
        for days in ("10", "20"):
            der = subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", os.devnull, "-subj", "/CN=x", "-days", days, "-outform", "DER"],
                check=True, capture_output=True).stdout.hex()
            self.assertEqual(helper.job("put-certificate", **put, certificate=der), {"ok": True})
            ders.append(der)
            self.assertEqual(helper.job("list")["tokens"][0]["keys"][0]["certificate"], der)
        # One replaced the other, in the store too: that has a public key, a private key and a certificate.
        with sqlite3.connect(os.path.join(self.store, "tpm2_pkcs11.sqlite3")) as database:
            self.assertEqual(database.execute("SELECT count(*) FROM tobjects").fetchone(), (3,))
        database.close()
        self.assertEqual(self.start().job("list")["tokens"][0]["keys"][0]["certificate"], ders[1])

    def test_ends(self):
        request = helper_protocol.make("login", token="t", pin="s3cr3t")
        for part in range(1, len(request), 7):
            helper = self.start()
            helper.send(request[:part])
            self.assertEqual(helper.end(), 1, part)
        for lengths in ((MAX_TEXT + 1, 0, 0, 0), (2 ** 32 - 1, 0, 0, 0), (2, 0, 0, MAX_PIN + 1)):
            helper = self.start()
            helper.send(helper_protocol.HEADER.pack(*lengths))
            _, errors = helper.process.communicate(timeout=TIMEOUT_S)
            self.assertEqual(helper.process.returncode, 1)
            self.assertIn(b"longer than", errors)
        helper = self.start()
        self.assert_refused(helper.ask(helper_protocol.pack(b" " * MAX_TEXT, [b"p" * MAX_PIN] * 3)), "InvalidArgs")
        # Nobody reads: the next answer ends it, and the signal does not.
        helper = self.start()
        helper.process.stdout.close()
        helper.send(helper_protocol.pack(b"{}"))
        helper.process.stdin.close()
        self.assertIn(helper.process.wait(TIMEOUT_S), (1, -signal.SIGPIPE))

    def test_idle(self):
        helper = self.start(idle_s=1)
        pins = {"pin": "u", "so_pin": "s"}
        signing = {"token": "t", "pin": "u", "id": "01", "mechanism": "ecdsa", "hash": "sha256", "digest": "00" * 32}
        helper.job("init-token", token="t", **pins)
        helper.job("generate-key", token="t", pin="u", label="k", id="01", algorithm="ecc-p256")
        self.assertTrue(helper.job("sign", **signing)["ok"])
        flushes = self.tpm.count(FLUSH_CONTEXT)
        while self.tpm.count(FLUSH_CONTEXT) < flushes + 2:  # its session and its key
            time.sleep(0.05)
        logins = self.tpm.count(START_AUTH_SESSION)
        self.assertTrue(helper.job("sign", **signing)["ok"])
        self.assertEqual(self.tpm.count(START_AUTH_SESSION), logins + 1)

    def test_start(self):
        self.assertEqual(subprocess.run([HELPER], capture_output=True).returncode, 2)
        for arguments in ([MODULE], [MODULE, "x"], [MODULE, "0"], [MODULE, "60", "pin"], [MODULE, "60", "2"],
                          [MODULE, "60", "3", "4"], [MODULE, "60", "3", "copy", "x"]):
            self.assertEqual(subprocess.run([HELPER, *arguments], capture_output=True).returncode, 2)
        helper = self.start(module="/nonexistent.so")
        answer = json.loads(helper.process.stdout.readline())
        self.assert_refused(answer, "Failed", "/nonexistent.so", "libtpm2-pkcs11-1")

    @unittest.skipUnless(shutil.which("strace"), "no strace")
    def test_copy(self):
        """Who puts a copy in its place syncs it."""
        trace = os.path.join(self.store, "trace")
        for arguments, synced in ((["3"], True), (["3", "copy"], False)):
            store = tempfile.mkdtemp(dir=self.store)
            done = subprocess.run(
                ["strace", "-f", "-o", trace, "-e", "trace=fsync,fdatasync", HELPER, MODULE, "60", *arguments],
                input=helper_protocol.make("list"), capture_output=True, timeout=TIMEOUT_S,
                env=os.environ | {"TPM2_PKCS11_STORE": store, "TPM2_PKCS11_TCTI": self.tpm.tcti})
            if b"ptrace" in done.stderr:
                self.skipTest("not possible here: ptrace is forbidden")
            self.assertEqual(json.loads(done.stdout), {"ok": True, "tokens": []}, done.stderr)
            with open(trace, encoding="utf-8") as file:
                self.assertIs("sync(" in file.read(), synced)
            self.assertEqual(os.listdir(store), ["tpm2_pkcs11.sqlite3"])

    def test_process(self):
        helper = self.start()
        helper.job("list")
        with open(f"/proc/{helper.process.pid}/status", encoding="ascii") as status:
            self.assertIn("NoNewPrivs:\t1\n", status.read())
        with open(f"/proc/{helper.process.pid}/limits", encoding="ascii") as limits:
            self.assertRegex(limits.read(), r"Max core file size +0 +0 ")

    def test_dies_with_parent(self):
        script = ("import subprocess, sys\n"
                  "p = subprocess.Popen(sys.argv[1:-1], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
                  "p.stdin.write(bytes.fromhex(sys.argv[-1])); p.stdin.flush(); p.stdout.readline()\n"
                  "print(p.pid, flush=True); sys.stdin.read()\n")
        read_end, write_end = os.pipe()
        parent = subprocess.Popen([sys.executable, "-c", script, HELPER, MODULE, "60",
                                   helper_protocol.pack(b"{}").hex()], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=write_end)
        os.close(write_end)
        self.addCleanup(os.close, read_end)
        # Stopped, as if it were in a long command: it cannot see the end of its input.
        os.kill(int(parent.stdout.readline()), signal.SIGSTOP)
        parent.kill()
        parent.communicate()
        # Its standard error, which only it has now, ends with it.
        self.assertEqual(os.read(read_end, 1), b"")


if __name__ == "__main__":
    unittest.main()
