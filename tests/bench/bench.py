# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The broker beside tpm2-abrmd and beside no broker at all: same software TPM, same client code, same run.

    bench.py [--json FILE] [--quick]

Commands are counted by the TPM's own log, below the brokers. Latencies are medians and quartiles of blocks of
operations that take turns among the sides:

    direct       the TPM's own socket without a module: a connection that lasts, the fastest way there is
    tcti-swtpm   the stock module: a connection for each command
    X/Y          client module X (ggtpm, or the stock tabrmd), ggtpmd with Tcti=Y:path=
    tpm2-abrmd   stock tabrmd, tpm2-abrmd, tcti-swtpm
"""

import argparse
import contextlib
import ctypes
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
MODULE = os.environ["GGTPM_TCTI_MODULE"]
# a P-256 storage key
PARENT = struct.pack(">HHIHHHHHHHHH", 0x23, 0xb, 0x30472, 0, 6, 128, 0x43, 0x10, 3, 0x10, 0, 0)
BLOCK = 20


class TctiCommon(ctypes.Structure):
    """TSS2_TCTI_CONTEXT_COMMON_V1."""
    _fields_ = [("magic", ctypes.c_uint64), ("version", ctypes.c_uint64),
                ("transmit", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)),
                ("receive", ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t),
                                             ctypes.c_char_p, ctypes.c_int32))]


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


class TctiClient(FlowClient):
    """Through a TCTI module, as every program of the TSS."""
    loader = ctypes.CDLL("libtss2-tctildr.so.0")

    def __init__(self, conf):
        self.context = ctypes.c_void_p()
        rc = self.loader.Tss2_TctiLdr_Initialize(conf.encode(), ctypes.byref(self.context))
        if rc != 0:
            raise tpm_client.TpmError(rc)
        self.common = ctypes.cast(self.context, ctypes.POINTER(TctiCommon)).contents
        self.answer = ctypes.create_string_buffer(8192)
        self.size = ctypes.c_size_t()

    def ask(self, command):
        self.size.value = len(self.answer)
        rc = (self.common.transmit(self.context, len(command), command)
              or self.common.receive(self.context, ctypes.byref(self.size), self.answer, -1))
        if rc != 0:
            raise tpm_client.TpmError(rc)
        answer = self.answer.raw[:self.size.value]
        return struct.unpack_from(">I", answer, 6)[0], answer[10:]

    def close(self):
        self.loader.Tss2_TctiLdr_Finalize(ctypes.byref(self.context))


class BareClient(FlowClient):
    """One write and one read for a command; answers of a chip at rest come whole."""

    def ask(self, command):
        fd = self.socket.fileno()
        os.write(fd, command)
        answer = os.read(fd, 8192)
        return struct.unpack_from(">I", answer, 6)[0], answer[10:]


# ---- the sides -----------------------------------------------------------------------------------------------------

class Direct:
    name = "direct"
    process = None

    def __init__(self, stack):
        self.tpm = stack.enter_context(swtpm.Swtpm())
        self.other = stack.enter_context(swtpm.Swtpm())  # swtpm serves one connection at a time

    def clients(self):
        return {"direct": lambda: BareClient(self.tpm.connect(), None), "tcti-swtpm": self.other.tcti}

    def connect(self):
        return FlowClient(self.tpm.connect())


class Ours:
    """A broker on the bus, so that it has both front ends."""

    def __init__(self, stack, kind, bus, config=""):
        self.kind = kind
        self.name = "ggtpm/" + kind
        self.tpm = stack.enter_context(swtpm.Swtpm())
        tcti = self.tpm.tcti if kind == "swtpm" else None
        self.bus_name = f"{ABRMD_NAME}.{kind}{os.path.basename(self.tpm.dir).replace('-', '')}"
        self.broker = stack.enter_context(tpm_client.Broker(
            self.tpm, "--tabrmd-name", self.bus_name, tcti=tcti, config=config,
            env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address}))
        self.process = self.broker.process

    def clients(self):
        return {f"ggtpm/{self.kind}": f"{MODULE}:path={self.broker.path}",
                f"tabrmd/{self.kind}": f"tabrmd:bus_type=session,bus_name={self.bus_name}"}

    def connect(self):
        return FlowClient(tpm_client.connect(self.broker.path).socket)


class Abrmd:
    name = "tpm2-abrmd"

    def __init__(self, stack, bus):
        self.tpm = stack.enter_context(swtpm.Swtpm())
        program = shutil.which("tpm2-abrmd", path=os.environ["PATH"] + ":/usr/sbin")
        args = ["--allow-root", "--flush-all", "--session", "--tcti=" + self.tpm.tcti]
        self.process = subprocess.Popen([program, *args],
                                        env=os.environ | bus.env(), stderr=subprocess.DEVNULL)
        stack.callback(self.process.wait)
        stack.callback(self.process.kill)
        self.connection = Gio.DBusConnection.new_for_address_sync(
            bus.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
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

    def clients(self):
        return {self.name: f"tabrmd:bus_type=session,bus_name={ABRMD_NAME}"}

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
    """[first quartile, median, third] in microseconds of an operation for each client, blocks of them by turns."""
    times = {}
    with contextlib.ExitStack() as stack:
        operations = []
        for side in sides:
            for name, conf in side.clients().items():
                client = stack.enter_context(conf() if callable(conf) else TctiClient(conf))
                operations.append((name, prepare(client), client))
                times[name] = []
        for _ in range(n // BLOCK):
            for name, operation, _ in operations:
                operation()
                for _ in range(BLOCK):
                    start = time.perf_counter_ns()
                    operation()
                    times[name].append(time.perf_counter_ns() - start)
        for _, _, client in operations:
            flush_all(client)
    return {name: [round(value / 1000, 1) for value in statistics.quantiles(values, n=4)]
            for name, values in times.items()}


def print_latency(results, label, times, names):
    direct = times["direct"][1]
    print_row(results, label + ", median us", {name: value[1] for name, value in times.items()}, names)
    print_row(results, label + ", quartiles us", {name: [value[0], value[2]] for name, value in times.items()}, names)
    print_row(results, label + ", added us", {name: value[1] - direct for name, value in times.items()}, names)
    print_row(results, label + ", ratio to direct", {name: value[1] / direct for name, value in times.items()}, names)


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
    if isinstance(value, list):
        return "-".join(f"{part:.0f}" for part in value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def print_row(results, label, values, names):
    results[label] = values
    print(f"{label:<40}" + "".join(f"{show(values.get(name)):>13}" for name in names), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    n = 200 if options.quick else 1000
    results = {}
    with contextlib.ExitStack() as stack:
        bus = stack.enter_context(private_bus.PrivateBus())
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = bus.address
        sides = [Direct(stack), Ours(stack, "ggtpm", bus), Ours(stack, "swtpm", bus)]
        if shutil.which("tpm2-abrmd", path=os.environ["PATH"] + ":/usr/sbin"):
            sides.append(Abrmd(stack, bus))
        names = [name for side in sides for name in side.clients()]
        print(f"{f'load of the machine {os.getloadavg()[0]:.1f}':<40}"
              + "".join(f"{name:>13}" for name in names))

        def row(label, measure, which=None):
            print_row(results, label, {side.name: measure(side) for side in which or sides}, names)

        row("commands: primary, create, load, 10 sign", lambda side: count_flow(side, False))
        row("commands: the same with an HMAC session", lambda side: count_flow(side, True))
        row("commands per sign, 5 keys by turns", count_ring)
        for label, prepare in (("GetRandom(16)", prepare_random),
                               ("ECC P-256 sign", prepare_sign(tpm_client.ECC_PUBLIC)),
                               ("RSA-2048 sign", prepare_sign(tpm_client.RSA_PUBLIC))):
            print_latency(results, label, measure_turns(sides, prepare, n), names)
        brokers = sides[1:]
        many = {side.name: many_clients(side) for side in brokers}
        for key in ("median_s", "slowest_s"):
            print_row(results, "100 clients, 10 signs each, " + key,
                      {name: value and value[key] for name, value in many.items()}, names)
        row("wake-ups per second, idle", lambda side: count_wakeups(side, 1 if options.quick else 5), brokers)
        roomy = [Ours(stack, "ggtpm", bus, "[Broker]\nMaxConnections=2000\n"), *sides[3:]]
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
