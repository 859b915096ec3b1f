# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""A TPM and the directories of a daemon, with tests/lib/provision-runner.c on them.

The program's first arguments are the runner, the helper, the TCTI module and the PKCS#11 module: take_arguments().
"""

import hashlib
import json
import os
import re
import select
import stat
import struct
import subprocess
import sys

import cuts
import swtpm

RUNNER, HELPER, TCTI_MODULE, PKCS11_MODULE = (os.path.abspath(path) for path in sys.argv[1:5])
RUN_TIMEOUT_S = 120

CC_GET_CAPABILITY = 0x17A
CAP_HANDLES = 1


def take_arguments():
    """Leaves sys.argv to unittest."""
    del sys.argv[1:5]


class Result:
    def __init__(self, returncode, output):
        self.returncode = returncode
        self.output = output
        self.steps = re.findall(r"^step: (.*)$", output, re.M)
        changed = re.search(r"^changed: ([01])$", output, re.M)
        self.changed = None if changed is None else changed.group(1) == "1"
        uri = re.search(r"^uri: (.*)$", output, re.M)
        self.uri = uri and uri.group(1)
        self.csrs = re.findall(r"-----BEGIN CERTIFICATE REQUEST-----.*?-----END CERTIFICATE REQUEST-----\n", output,
                               re.S)
        self.csr = self.csrs[0] if self.csrs else None
        self.warnings = re.findall(r"^warning: (.*)$", output, re.M)
        self.listing = re.findall(r"^(?:token|key): .*$", output, re.M)
        error = re.search(r"^error: (\S+): (.*)$", output, re.M)
        self.error = error and error.group(1)
        self.message = error and error.group(2)
        self.lost = re.findall(r"^lost: (.*)$", output, re.M)


class Device:
    """A TPM and the directories of a daemon."""

    def __init__(self):
        self.tpm = swtpm.Swtpm()
        self.state = os.path.join(self.tpm.dir, "state")
        self.runtime = os.path.join(self.tpm.dir, "run")
        self.config = os.path.join(self.tpm.dir, "ggtpmd.conf")
        os.mkdir(self.state)
        os.mkdir(self.runtime)
        self.trace = os.path.join(self.tpm.dir, "trace")
        self.write_config(HELPER)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tpm.stop()

    def write_config(self, helper):
        # No eviction by the clock: commands are counted here, and a slow machine is to count the same.
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"[Daemon]\nMode=replace\nTcti={self.tpm.tcti}\nStateDirectory={self.state}\n"
                       f"RuntimeDirectory={self.runtime}\n[Broker]\nTabrmdName=\nIdleEvictMs=600000\n"
                       f"[Token]\nHelper={helper}\nTctiModule={TCTI_MODULE}\nPkcs11Module={PKCS11_MODULE}\n")

    def start(self, *args, before=(), pass_fds=()):
        return subprocess.Popen([*before, RUNNER, self.config, *args], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=pass_fds, text=True,
                                env=cuts.environment() if before else None)

    def run(self, *args, **kwargs):
        with self.start(*args, **kwargs) as process:
            try:
                output, _ = process.communicate(timeout=RUN_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            return Result(process.returncode, output)

    def run_under(self, *options, args=()):
        """The runner under strace, with these options."""
        return self.run(*args, before=cuts.command(self.trace, *options))

    def run_on_traced_tpm(self, *options, args=()):
        """The TPM under strace, with these options. Ends with a power cut: with the TPM the runner goes, too."""
        pid = self.tpm.process.pid
        with cuts.attached(pid, self.trace, *options), self.start(*args) as process:
            ends = [os.pidfd_open(pid), os.pidfd_open(process.pid)]
            # what is traced and dead is its tracer's before it is ours
            if ends[0] in select.select(ends, [], [], RUN_TIMEOUT_S)[0]:
                process.kill()
            for end in ends:
                os.close(end)
            output, _ = process.communicate(timeout=RUN_TIMEOUT_S)
        self.tpm.kill()
        self.tpm.start()
        return Result(process.returncode, output)

    def run_with_pins(self, pin, so_pin, *args):
        fds = []
        options = []
        for name, value in (("--pin-fd", pin), ("--so-pin-fd", so_pin)):
            fd = os.memfd_create("pin")
            os.write(fd, value.encode())
            os.lseek(fd, 0, os.SEEK_SET)
            fds.append(fd)
            options += [name, str(fd)]
        try:
            return self.run(*options, *args, pass_fds=fds)
        finally:
            for fd in fds:
                os.close(fd)

    def path(self, *names):
        return os.path.join(self.state, *names)

    def read(self, *names):
        with open(self.path(*names), encoding="utf-8") as file:
            return file.read()

    def journal(self):
        return json.loads(self.read("provision.json"))

    def snapshot(self):
        """Everything below the state directory: content, mode, inode, time."""
        found = {}
        for directory, names, files in os.walk(self.state):
            for name in names + files:
                path = os.path.join(directory, name)
                status = os.lstat(path)
                content = b""
                if stat.S_ISREG(status.st_mode):
                    with open(path, "rb") as file:
                        content = file.read()
                found[os.path.relpath(path, self.state)] = (
                    status.st_mode, status.st_ino, hashlib.sha256(content).hexdigest(),
                    0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns)
        return found

    def files(self):
        return sorted(name for name, entry in self.snapshot().items() if stat.S_ISREG(entry[0]))

    def handles(self, first):
        code, body = self.tpm.command(CC_GET_CAPABILITY, struct.pack(">III", CAP_HANDLES, first, 64))
        assert code == 0, hex(code)
        count = struct.unpack(">I", body[5:9])[0]
        return list(struct.unpack(f">{count}I", body[9:9 + 4 * count]))

    def pkcs11(self, *args, check=True):
        environment = {"PATH": os.environ["PATH"], "TPM2_PKCS11_STORE": self.path("pkcs11"),
                       "TPM2_PKCS11_TCTI": self.tpm.tcti, "TPM2_PKCS11_LOG_LEVEL": "0", "TSS2_LOG": "all+none",
                       "HOME": self.tpm.dir}
        done = subprocess.run(["p11tool", "--provider", PKCS11_MODULE, *args], env=environment, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if check and done.returncode != 0:
            raise AssertionError(f"p11tool {args}: {done.returncode}\n{done.stdout}")
        return done.stdout
