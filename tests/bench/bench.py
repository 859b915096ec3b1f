# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The broker beside tpm2-abrmd and beside no broker at all: same software TPM, same client code, same run.

    bench.py [--json FILE] [--quick]

Commands are counted by the TPM's own log, below the brokers. Latencies are medians of blocks of operations that take
turns among the sides. `direct` is the TPM's socket. tpm2-abrmd has a connection to the TPM for each command, which is
how tcti-swtpm works; ggtpmd is measured in the same way (`swtpm`) and with a connection that lasts (`ggtpm`).
"""

import argparse
import contextlib
import json
import os
import select
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import private_bus  # noqa: E402
import swtpm  # noqa: E402
import tpm_client  # noqa: E402
from tpm_client import frame  # noqa: E402

import gi  # noqa: E402
gi.require_version("Gio", "2.0")
from gi.repository import Gio  # noqa: E402

CC_CREATE, CC_LOAD = 0x153, 0x157
ABRMD_NAME = "com.intel.tss2.Tabrmd"
# a P-256 storage key
PARENT = struct.pack(">HHIHHHHHHHHH", 0x23, 0xb, 0x30472, 0, 6, 128, 0x43, 0x10, 3, 0x10, 0, 0)
BLOCK = 20


class FlowClient(tpm_client.Client):
    def create_and_load(self, parent, public=tpm_client.ECC_PUBLIC):
        body = self.do(frame(CC_CREATE, struct.pack(">I", parent) + tpm_client.PASSWORD + struct.pack(">HHH", 4, 0, 0)
                             + struct.pack(">H", len(public)) + public + struct.pack(">HI", 0, 0),
                             tpm_client.ST_SESSIONS))
        private_size = struct.unpack_from(">H", body, 4)[0]
        public_at = 6 + private_size
        public_size = struct.unpack_from(">H", body, public_at)[0]
        both = body[4:public_at + 2 + public_size]
        return self.handle(frame(CC_LOAD, struct.pack(">I", parent) + tpm_client.PASSWORD + both,
                                 tpm_client.ST_SESSIONS))


# ---- the sides -----------------------------------------------------------------------------------------------------

class Direct:
    name = "direct"
    process = None

    def __init__(self, stack):
        self.tpm = stack.enter_context(swtpm.Swtpm())

    def connect(self):
        return FlowClient(self.tpm.connect())


class Ours:
    def __init__(self, stack, kind, config=""):
        self.name = "ggtpmd/" + kind
        self.tpm = stack.enter_context(swtpm.Swtpm())
        tcti = self.tpm.tcti if kind == "swtpm" else None
        self.broker = stack.enter_context(tpm_client.Broker(self.tpm, tcti=tcti, config=config))
        self.process = self.broker.process

    def connect(self):
        return FlowClient(tpm_client.connect(self.broker.path).socket)


class Abrmd:
    name = "tpm2-abrmd"

    def __init__(self, stack):
        self.tpm = stack.enter_context(swtpm.Swtpm())
        self.bus = stack.enter_context(private_bus.PrivateBus())
        program = shutil.which("tpm2-abrmd", path=os.environ["PATH"] + ":/usr/sbin")
        args = ["--allow-root", "--flush-all", "--session", "--tcti=" + self.tpm.tcti]
        self.process = subprocess.Popen([program, *args],
                                        env=os.environ | self.bus.env(), stderr=subprocess.DEVNULL)
        stack.callback(self.process.wait)
        stack.callback(self.process.kill)
        self.connection = Gio.DBusConnection.new_for_address_sync(
            self.bus.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        stack.callback(self.connection.close_sync, None)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.connect().close()
                break
            except gi.repository.GLib.Error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def connect(self):
        _, fds = self.connection.call_with_unix_fd_list_sync(
            ABRMD_NAME, "/com/intel/tss2/Tabrmd/Tcti", "com.intel.tss2.TctiTabrmd", "CreateConnection", None, None,
            Gio.DBusCallFlags.NONE, 10000, None, None)
        return FlowClient(socket.socket(fileno=fds.get(0)))


# ---- commands that reach the chip ----------------------------------------------------------------------------------

def flush_all(client):
    """The bare chip keeps what a connection leaves behind."""
    for handle in client.handles(tpm_client.TRANSIENT_FIRST):
        client.flush(handle)


def flow(client, session=False):
    primary = client.create_primary(public=PARENT)
    key = client.create_and_load(primary)
    handle = client.start_session() if session else None
    auth = struct.pack(">IIHBH", 9, handle, 0, 1, 0) if session else tpm_client.PASSWORD
    for _ in range(10):
        client.sign(key, auth=auth)
    if session:
        client.flush(handle)
    client.flush(key)
    client.flush(primary)


def count_flow(side, session):
    with side.connect() as client:
        client.ask(tpm_client.get_random())
        before = side.tpm.count()
        flow(client, session)
        with side.connect() if side.process else contextlib.nullcontext() as other:
            if other:
                other.ask(tpm_client.get_random())
                before += 1
        return side.tpm.count() - before


def count_ring(side, n_keys=5, n_signs=50):
    """Commands per signature, once the keys are there."""
    with side.connect() as client:
        try:
            keys = [client.create_primary(unique=b"%d" % i) for i in range(n_keys)]
            client.ask(tpm_client.get_random())
            before = side.tpm.count()
            for i in range(n_signs):
                client.sign(keys[i % n_keys])
            client.ask(tpm_client.get_random())
            return (side.tpm.count() - before - 1) / n_signs
        except tpm_client.TpmError:
            return None
        finally:
            flush_all(client)


# ---- latency -------------------------------------------------------------------------------------------------------

def measure_turns(sides, prepare, n):
    """Median microseconds of an operation for each side, blocks of them by turns."""
    times = {side.name: [] for side in sides}
    with contextlib.ExitStack() as stack:
        clients = [(side, stack.enter_context(side.connect())) for side in sides]
        operations = [(side, prepare(client), client) for side, client in clients]
        for _ in range(n // BLOCK):
            for side, operation, _ in operations:
                operation()
                for _ in range(BLOCK):
                    start = time.perf_counter_ns()
                    operation()
                    times[side.name].append(time.perf_counter_ns() - start)
        for _, _, client in operations:
            flush_all(client)
    return {name: statistics.median(values) / 1000 for name, values in times.items()}


def prepare_random(client):
    command = tpm_client.get_random(16)
    return lambda: client.do(command)


def prepare_sign(public):
    def prepare(client):
        key = client.create_primary(public=public)
        command = tpm_client.sign(key)
        return lambda: client.do(command)
    return prepare


# ---- many ----------------------------------------------------------------------------------------------------------

def many_clients(side, n=100, n_signs=10):
    """Seconds until the median client and the slowest have their signatures."""
    clients, keys = [], []
    with contextlib.ExitStack() as stack:
        try:
            for _ in range(n):
                clients.append(stack.enter_context(side.connect()))
                keys.append(clients[-1].create_primary())
        except gi.repository.GLib.Error:
            return None
        poll = select.epoll()
        left = {}
        start = time.monotonic()
        for client, key in zip(clients, keys):
            poll.register(client.socket.fileno(), select.EPOLLIN)
            left[client.socket.fileno()] = [client, key, n_signs]
            client.send(tpm_client.sign(key))
        ends = []
        while len(ends) < n:
            for fd, _ in poll.poll():
                entry = left[fd]
                if entry[0].receive()[0] != 0:
                    raise RuntimeError("a signature failed")
                entry[2] -= 1
                if entry[2] == 0:
                    ends.append(time.monotonic() - start)
                else:
                    entry[0].send(tpm_client.sign(entry[1]))
        poll.close()
        return {"median_s": round(statistics.median(ends), 3), "slowest_s": round(max(ends), 3)}


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def idle_connections(side, n=1000):
    """Resident memory without connections and with many."""
    before = resident_kib(side.process.pid)
    with contextlib.ExitStack() as stack:
        try:
            for _ in range(n):
                stack.enter_context(side.connect())
            with side.connect() as client:
                client.ask(tpm_client.get_random())
        except gi.repository.GLib.Error:
            return {"idle_kib": before, "with_1000_kib": None}
        return {"idle_kib": before, "with_1000_kib": resident_kib(side.process.pid)}


def count_wakeups(side, seconds):
    def switches():
        total = 0
        for task in os.listdir(f"/proc/{side.process.pid}/task"):
            with open(f"/proc/{side.process.pid}/task/{task}/status", encoding="ascii") as status:
                total += sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)
        return total
    time.sleep(0.5)
    before = switches()
    time.sleep(seconds)
    return (switches() - before) / seconds


# ---- the table -----------------------------------------------------------------------------------------------------

def show(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def print_row(results, label, values, names):
    results[label] = values
    print(f"{label:<44}" + "".join(f"{show(values.get(name)):>16}" for name in names), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    n = 200 if options.quick else 1000
    results = {}
    with contextlib.ExitStack() as stack:
        direct, ours, as_abrmd = Direct(stack), Ours(stack, "ggtpm"), Ours(stack, "swtpm")
        sides = [direct, ours, as_abrmd]
        if shutil.which("tpm2-abrmd", path=os.environ["PATH"] + ":/usr/sbin"):
            sides.append(Abrmd(stack))
        names = [side.name for side in sides]
        print(" " * 44 + "".join(f"{name:>16}" for name in names))

        def row(label, measure, which=None):
            print_row(results, label, {side.name: measure(side) for side in which or sides}, names)

        row("commands: primary, create, load, 10 sign", lambda side: count_flow(side, False))
        row("commands: the same with an HMAC session", lambda side: count_flow(side, True))
        row("commands per sign, 5 keys by turns", count_ring)
        for label, prepare in (("GetRandom(16)", prepare_random),
                               ("ECC P-256 sign", prepare_sign(tpm_client.ECC_PUBLIC)),
                               ("RSA-2048 sign", prepare_sign(tpm_client.RSA_PUBLIC))):
            medians = measure_turns(sides, prepare, n)
            print_row(results, label + ", median us", medians, names)
            print_row(results, label + ", ratio to direct",
                      {name: value / medians["direct"] for name, value in medians.items()}, names)
        brokers = sides[1:]
        many = {side.name: many_clients(side) for side in brokers}
        for key in ("median_s", "slowest_s"):
            print_row(results, "100 clients, 10 signs each, " + key,
                      {name: value and value[key] for name, value in many.items()}, names)
        row("wake-ups per second, idle", lambda side: count_wakeups(side, 1 if options.quick else 5), brokers)
        roomy = [Ours(stack, "ggtpm", "[Broker]\nMaxConnections=2000\n"), *sides[3:]]
        memory = {side.name: idle_connections(side) for side in roomy}
        for key in ("idle_kib", "with_1000_kib"):
            print_row(results, "memory, " + key, {name: value[key] for name, value in memory.items()}, names)
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    if not swtpm.available():
        sys.exit(77)
    main()
