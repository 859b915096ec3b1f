#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Records what programs do with transient objects, for eviction-sim.

    record-trace.py MODULE SIGN-LOOP DIRECTORY

Runs real clients over a relay before the broker and writes a trace for each flow into DIRECTORY: a line per command
that names or makes objects, with their numbers, from 1 in the order of their making; `-N` is an object that its client
has flushed, or that went with its connection. GGTPM_BROKER_SERVER and GGTPM_TCTI are paths in the build directory.
"""

import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import swtpm  # noqa: E402
import tpm_client  # noqa: E402

CAP_COMMANDS = 2
HEAD = ["# SPDX-FileCopyrightText: the ggtpmd authors", "# SPDX-License-Identifier: BSD-2-Clause"]


def is_object(handle):
    return handle >> 24 == 0x80


def read_attributes(broker):
    """TPMA_CC of each command: how many handles it has, and whether its answer begins with one."""
    with broker.connect() as client:
        body = client.do(tpm_client.frame(tpm_client.CC_GET_CAPABILITY, struct.pack(">III", CAP_COMMANDS, 0, 254)))
    count = struct.unpack_from(">I", body, 5)[0]
    attributes = struct.unpack_from(f">{count}I", body, 9)
    return {value & 0xffff: (value >> 25 & 7, bool(value & 1 << 28)) for value in attributes}


class Relay:
    """A socket before the broker's that writes down what passes."""

    def __init__(self, broker):
        self.broker = broker
        self.attributes = read_attributes(broker)
        self.directory = tempfile.TemporaryDirectory(prefix="gt-", dir="/tmp")
        self.path = os.path.join(self.directory.name, "s")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(32)
        self.lock = threading.Lock()
        self.lines = []
        self.n_objects = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection = self.listener.accept()[0]
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        objects = {}
        with connection, self.broker.connect() as upstream:
            client = tpm_client.Client(connection, None)
            try:
                while True:
                    tag, size, code = struct.unpack(">HII", client._read(10))
                    body = client._read(size - 10)
                    answer = upstream.ask(tpm_client.frame(code, body, tag))
                    with self.lock:
                        self._record(objects, tag, code, body, answer)
                    result, rest = answer
                    connection.sendall(tpm_client.frame(result, rest, tag if result == 0 else 0x8001))
            except (EOFError, OSError):
                pass
        with self.lock:
            self.lines += [f"-{number}" for number in objects.values()]

    def _record(self, objects, tag, code, body, answer):
        if tag == tpm_client.CONTROL_TAG or answer[0] != 0:
            return
        if code == tpm_client.CC_FLUSH_CONTEXT:
            number = objects.pop(struct.unpack(">I", body)[0], None)
            if number is not None:
                self.lines.append(f"-{number}")
            return
        n_handles, has_answer = self.attributes.get(code & 0xffff, (0, False))
        named = [objects[handle] for handle in struct.unpack_from(f">{n_handles}I", body) if handle in objects]
        if has_answer and is_object(handle := struct.unpack_from(">I", answer[1])[0]):
            self.n_objects += 1
            objects[handle] = self.n_objects
            named.append(self.n_objects)
        if named:
            self.lines.append(" ".join(map(str, named)))

    def take(self):
        with self.lock:
            lines, self.lines, self.n_objects = self.lines, [], 0
            return lines


class Flows:
    def __init__(self, relay, module, sign_loop, store):
        self.module, self.sign_loop = module, sign_loop
        tcti = f"{os.environ['GGTPM_TCTI']}:path={relay.path}"
        self.env = os.environ | {"TPM2_PKCS11_STORE": store, "TPM2_PKCS11_TCTI": tcti, "TPM2TOOLS_TCTI": tcti,
                                 "TSS2_LOG": "all+none"}
        self.store = store

    def run(self, *args, **options):
        return subprocess.run(args, env=self.env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              **options)

    def prepare(self):
        """Five tokens, each with a key."""
        self.run("tpm2_ptool", "init", "--path", self.store)
        for name in "abcde":
            self.run("tpm2_ptool", "addtoken", "--pid=1", "--sopin=so", "--userpin=user", "--label", name,
                     "--path", self.store)
            self.run("tpm2_ptool", "addkey", "--algorithm=ecc256", "--label", name, "--key-label", "key",
                     "--userpin=user", "--path", self.store)

    def sign(self, token):
        """A program that logs in and signs on demand."""
        process = subprocess.Popen([self.sign_loop, self.module, token, "key"], env=self.env, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write("user\n")
        return process

    @staticmethod
    def ask(process, count):
        process.stdin.write(f"{count}\n")
        process.stdin.flush()
        process.stdout.readline()

    @staticmethod
    def end(*processes):
        for process in processes:
            process.communicate()

    def flow_pkcs11_logins(self):
        """One program after the other logs in, signs a little and ends: TLS connections of a shell's curl."""
        for i in range(12):
            program = self.sign("abc"[i % 3])
            self.ask(program, 2)
            self.end(program)

    def flow_pkcs11_services(self):
        """Five services that stay logged in and sign in bursts, one of them more often than the others."""
        rand = random.Random(1)
        services = [self.sign(token) for token in "abcde"]
        for _ in range(150):
            self.ask(rand.choices(services, [6, 2, 2, 1, 1])[0], rand.randint(1, 4))
        self.end(*services)

    def flow_pkcs11_visitors(self):
        """Three services by turns, and programs of a fourth token that come by: a login and a signature."""
        services = [self.sign(token) for token in "abc"]
        for i in range(24):
            for service in services:
                self.ask(service, 1 + i % 2)
            if i % 2:
                visitor = self.sign("d")
                self.ask(visitor, 1)
                self.end(visitor)
        self.end(*services)

    def flow_pkcs11_turns(self):
        """Five services by turns, a signature each."""
        services = [self.sign(token) for token in "abcde"]
        for _ in range(25):
            for service in services:
                self.ask(service, 1)
        self.end(*services)

    def flow_tools_and_services(self):
        """A shell script of tpm2-tools, each program of which loads the contexts that it needs, beside two services."""
        services = [self.sign(token) for token in "ab"]
        with tempfile.TemporaryDirectory(dir="/tmp") as at:
            self.run("tpm2_createprimary", "-Q", "-c", "primary", cwd=at)
            with open(os.path.join(at, "digest"), "wb") as file:
                file.write(bytes(32))
            for name in "abcd":
                self.run("tpm2_create", "-Q", "-C", "primary", "-G", "ecc", "-u", name + ".pub", "-r", name + ".priv",
                         "-c", name, cwd=at)
            for i in range(24):
                self.run("tpm2_sign", "-Q", "-c", "abcd"[i % 4], "-o", "signature", "-d", "digest", cwd=at)
                self.ask(services[i % 3 // 2], 2)
        self.end(*services)


def main():
    module, sign_loop, directory = sys.argv[1:]
    with swtpm.Swtpm() as tpm, tpm_client.Broker(tpm) as broker, \
            tempfile.TemporaryDirectory(dir="/tmp") as store:
        relay = Relay(broker)
        flows = Flows(relay, module, sign_loop, store)
        flows.prepare()
        for name in sorted(n for n in dir(Flows) if n.startswith("flow_")):
            relay.take()
            getattr(flows, name)()
            lines = relay.take()
            with open(os.path.join(directory, name[5:].replace("_", "-") + ".trace"), "w", encoding="ascii") as file:
                file.write("\n".join(HEAD + lines) + "\n")
            print(name, len(lines))


if __name__ == "__main__":
    main()
