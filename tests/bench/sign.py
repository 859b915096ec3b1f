#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Signatures over the bus beside those of a program that signs by PKCS#11 in its own process: same store, same broker,
same run, short blocks that take turns. Goals: one caller reaches 0.9 of the program's rate; four callers at once are
not slower in sum than one. The callers are sign-caller.c.

The helper keeps one library context of OpenSSL (token-helper/library-context.c), which another program does not; what
that alone gives is in the loop beside the loop. Beside the times: how often a thread of any process that takes part
went to sleep for one signature, which no load of the machine changes much.

With --timing NAME the chip takes the published times of a real one (tests/lib/tpm-proxy.c): how much of a signature is
the way to it. In one program's turn and in ours the chip is then the same bottleneck, so the goals are met by nearly
everything; what the way costs is the time beside the chip's own.

    sign.py SIGN-LOOP SIGN-LOOP-SHARED MODULE SIGN-CALLER [--blocks N] [--timing SLB9670]
"""

import argparse
import contextlib
import glob
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

KEY = 'org.ggtpm1.Key'
BLOCK = 20
CALLERS = 4
LOOP = 'C_Sign loop'
SHARED = 'the loop, one context'
ONE = 'Sign, one caller'
MANY = f'Sign, {CALLERS} callers'
EMPTY = 'an empty method'


class Loop:
    """The program."""

    def __init__(self, program, module, daemon):
        with open(f'{daemon.state_dir}/pins/greengrass.user', encoding='ascii') as file:
            pin = file.read()
        environment = dict(os.environ, TPM2_PKCS11_STORE=daemon.state_dir + '/pkcs11', TSS2_LOG='all+none',
                           TPM2_PKCS11_TCTI=f'{daemon.dir}/libtss2-tcti-ggtpm.so.0:path={daemon.runtime_dir}/tpm.sock')
        self.process = subprocess.Popen([program, module, 'greengrass', 'greenkey'], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(pin + '\n')

    def rate(self):
        self.process.stdin.write(f'{BLOCK}\n')
        self.process.stdin.flush()
        return BLOCK / float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Caller:
    """A program that has the daemon sign, or calls @method, which does nothing."""

    def __init__(self, program, address, key, *method):
        self.process = subprocess.Popen([program, address, key, *method], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def begin(self, n):
        self.process.stdin.write(f'{n}\n')
        self.process.stdin.flush()

    def end(self):
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def rate(callers):
    start = time.monotonic()
    for caller in callers:
        caller.begin(BLOCK // len(callers))
    for caller in callers:
        caller.end()
    return BLOCK / (time.monotonic() - start)


def count_sleeps(processes):
    """Voluntary context switches of all threads."""
    total = 0
    for process in processes:
        for status in glob.glob(f'/proc/{process}/task/*/status'):
            with open(status, encoding='ascii') as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith('voluntary'))
    return total


def find_children(pid):
    children = []
    for path in glob.glob(f'/proc/{pid}/task/*/children'):
        with open(path, encoding='ascii') as file:
            children += file.read().split()
    return children


def run(sides, pids, blocks):
    """Rates of each side's blocks, and sleeps for one signature."""
    rates = {name: [] for name in sides}
    sleeps = {}
    for block in range(blocks + 1):
        for name, side in sides.items():
            before = count_sleeps(pids())
            value = side()
            if block > 0:  # the first one warms up
                rates[name].append(value)
                sleeps[name] = (count_sleeps(pids()) - before) / BLOCK
    return rates, sleeps


@contextlib.contextmanager
def start_chip(timing):
    """The TCTI configuration of a swtpm, at the speed of a real chip if that is wanted, and its processes."""
    with swtpm.Swtpm() as tpm:
        bus.open_to_daemon(tpm)
        if timing is None:
            yield tpm.tcti, [tpm.process]
            return
        with swtpm.Proxy(tpm) as proxy:
            os.chmod(proxy.socket, 0o666)
            proxy.rules('timing ' + timing)
            yield proxy.tcti, [tpm.process, proxy.process]


def measure(arguments):
    with bus.Bus() as system_bus, start_chip(arguments.timing) as (tcti, chip), bus.FakePolkit(system_bus), \
            bus.Daemon(system_bus, tcti, environment={'G_MESSAGES_DEBUG': ''}) as daemon:
        client = system_bus.connect()
        job = client.call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', {})
        key = client.wait_job(job)['Result']['key']
        loop = Loop(arguments.loop, arguments.module, daemon)
        shared = Loop(arguments.shared, arguments.module, daemon)
        callers = [Caller(arguments.caller, system_bus.address, key) for _ in range(CALLERS)]
        empty = Caller(arguments.caller, system_bus.address, key, 'GetCertificate')
        processes = (loop, shared, empty, *callers)

        def pids():
            parts = (*processes, system_bus, daemon)
            return [process.pid for process in (*(part.process for part in parts), *chip)] + \
                find_children(daemon.process.pid)

        sides = {LOOP: loop.rate, SHARED: shared.rate, ONE: lambda: rate(callers[:1]), MANY: lambda: rate(callers),
                 EMPTY: lambda: rate([empty])}
        result = run(sides, pids, arguments.blocks)
        for process in processes:
            process.close()
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('loop')
    parser.add_argument('shared')
    parser.add_argument('module')
    parser.add_argument('caller')
    parser.add_argument('--blocks', type=int, default=40)
    parser.add_argument('--timing')
    arguments = parser.parse_args()
    if os.getuid() != 0 or not swtpm.available():
        print('needs root and swtpm')
        return 77
    bus.enter()
    rates, sleeps = measure(arguments)
    for name, values in rates.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f'{name:24} {middle:7.1f} per second ({low:.1f} to {high:.1f}), {1e6 / middle:5.0f} us, '
              f'{sleeps[name]:.1f} sleeps')
    for text, over, under in (('one caller / loop  (goal: 0.9 or more)', ONE, LOOP),
                              (f'{CALLERS} callers / one  (goal: 1 or more)', MANY, ONE),
                              ('one caller / loop with one OpenSSL context', ONE, SHARED)):
        print(f'{statistics.median(a / b for a, b in zip(rates[over], rates[under])):6.2f}  {text}')
    # No way of signing over the bus is faster than a signature and a call that does nothing.
    print(f'{statistics.median(1 / (1 + a / b) for a, b in zip(rates[SHARED], rates[EMPTY])):6.2f}  the most that this '
          'can be: the loop and an empty call')
    return 0


if __name__ == '__main__':
    sys.exit(main())
