# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""A change of the token store, killed before each system call that writes: what was or what was asked for is there."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lib"))
import cuts  # pylint: disable=wrong-import-position

RUNNER = os.environ["STORE_RUNNER"]
SCHEMA = """
CREATE TABLE tokens(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, label TEXT UNIQUE, config TEXT NOT NULL,
                    FOREIGN KEY (pid) REFERENCES pobjects(id) ON DELETE CASCADE);
CREATE TABLE sealobjects(id INTEGER PRIMARY KEY, tokid INTEGER NOT NULL, userpub BLOB, userpriv BLOB,
                         userauthsalt TEXT, sopub BLOB, sopriv BLOB, soauthsalt TEXT);
CREATE TABLE pobjects(id INTEGER PRIMARY KEY, hierarchy TEXT NOT NULL, config TEXT NOT NULL, objauth TEXT NOT NULL);
CREATE TABLE tobjects(id INTEGER PRIMARY KEY, tokid INTEGER NOT NULL, attrs TEXT NOT NULL);
CREATE TABLE schema(id INTEGER PRIMARY KEY, schema_version INTEGER NOT NULL);
INSERT INTO schema VALUES(1, 8);
INSERT INTO pobjects VALUES(1, 'o', 'x', '');
"""
CONFIG = ('---\n!!map {\n  ? !!str "pss-sigs-good"\n  : !!bool "%s",\n'
          '  ? !!str "token-init"\n  : !!bool "true",\n}\n...\n')


@unittest.skipUnless(cuts.why_not() is None, cuts.why_not())
class StoreCrashTest(unittest.TestCase):
    def setUp(self):
        self.state = tempfile.mkdtemp(prefix="gg-")
        self.addCleanup(shutil.rmtree, self.state)
        self.run_store("check")
        self.database = os.path.join(self.state, "pkcs11", "tpm2_pkcs11.sqlite3")
        with sqlite3.connect(self.database) as database:
            database.executescript(SCHEMA)
            database.execute("INSERT INTO sealobjects (tokid, userpub) VALUES (1, 'pin-0')")
            database.execute("INSERT INTO tokens VALUES(1, 1, 'greengrass', ?)", (CONFIG % "false",))
        database.close()
        self.value = "bad"

    def run_store(self, what, *options):
        """Under strace, where there are options for it."""
        before = cuts.command(os.path.join(self.state, "trace"), *options) if options else []
        return subprocess.run([*before, RUNNER, self.state, what], capture_output=True, text=True,
                              env=cuts.environment())

    def count_calls(self, what):
        # Modes that are not as they should be are mended once.
        self.assertEqual(self.run_store("check").returncode, 0)
        done = self.run_store(what, *cuts.watch())
        self.assertEqual(done.returncode, 0, done.stderr)
        return cuts.count_calls(os.path.join(self.state, "trace"))

    def swap(self):
        self.value = "bad" if self.value == "good" else "good"

    def read_value(self):
        database = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        config, = database.execute("SELECT config FROM tokens").fetchone()
        database.close()
        for text, value in (("true", "good"), ("false", "bad")):
            if config == CONFIG % text:
                return value
        self.fail(config)

    def test_every_call(self):
        self.swap()
        counts = self.count_calls(self.value)
        self.assertEqual(counts["rename"], 1)
        # the database and its directory, once, whatever was changed
        self.assertEqual(counts["fsync"] + counts["fdatasync"], 2)
        seen = set()
        for call, number in counts.items():
            for when in range(1, number + 1):
                with self.subTest(call=call, when=when):
                    before = self.read_value()
                    self.swap()
                    done = self.run_store(self.value, *cuts.inject(call, when))
                    self.assertNotEqual(done.returncode, 0)
                    after = self.read_value()
                    self.assertIn(after, (before, self.value))
                    seen.add(after == before)
                    # The next start finds nothing of it, and the change is made.
                    self.assertEqual(self.run_store("check").returncode, 0)
                    self.assertFalse(os.path.exists(os.path.join(self.state, "pkcs11.staging")))
                    self.assertEqual(os.listdir(os.path.join(self.state, "pkcs11")), ["tpm2_pkcs11.sqlite3"])
                    done = self.run_store(self.value)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(self.read_value(), self.value)
        self.assertEqual(seen, {True, False})

    def read_pins(self):
        """The PIN of the store and that of its file."""
        database = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        pin, = database.execute("SELECT userpub FROM sealobjects").fetchone()
        database.close()
        with open(os.path.join(self.state, "pins", "greengrass.user"), encoding="ascii") as file:
            return pin, file.read()

    def test_a_pin_changed(self):
        counts = self.count_calls("pin-1")
        self.assertEqual(self.read_pins(), ("pin-1", "pin-1"))
        # the PIN beside the old one, the database, the PIN in its place
        self.assertEqual(counts["rename"], 3)
        seen = set()
        for call, number in counts.items():
            for when in range(1, number + 1):
                with self.subTest(call=call, when=when):
                    before, _ = self.read_pins()
                    wanted = f"pin-{call}-{when}"
                    done = self.run_store(wanted, *cuts.inject(call, when))
                    self.assertNotEqual(done.returncode, 0)
                    self.assertEqual(self.run_store("check").returncode, 0)
                    in_store, in_file = self.read_pins()
                    self.assertEqual(in_store, in_file)
                    self.assertIn(in_store, (before, wanted))
                    seen.add(in_store == before)
                    self.assertEqual(os.listdir(os.path.join(self.state, "pins")), ["greengrass.user"])
        self.assertEqual(seen, {True, False})

    def make_pins(self):
        for kind in ("user", "so"):
            with open(os.path.join(self.state, "pins", "greengrass." + kind), "w", encoding="ascii") as file:
                file.write("pin-0")

    def test_a_token_dropped(self):
        """Its PIN files go with it, or stay with it."""
        self.make_pins()
        with open(self.database, "rb") as file:
            original = file.read()
        counts = self.count_calls("drop")
        self.assertEqual(os.listdir(os.path.join(self.state, "pins")), [])
        seen = set()
        for call, number in counts.items():
            for when in range(1, number + 1):
                with self.subTest(call=call, when=when):
                    with open(self.database, "wb") as file:
                        file.write(original)
                    self.make_pins()
                    done = self.run_store("drop", *cuts.inject(call, when))
                    self.assertNotEqual(done.returncode, 0)
                    self.assertEqual(self.run_store("check").returncode, 0)
                    database = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
                    there, = database.execute("SELECT COUNT(*) FROM tokens").fetchone()
                    database.close()
                    self.assertEqual(sorted(os.listdir(os.path.join(self.state, "pins"))),
                                     ["greengrass.so", "greengrass.user"] if there else [])
                    seen.add(there)
        self.assertEqual(seen, {0, 1})


if __name__ == "__main__":
    unittest.main()
