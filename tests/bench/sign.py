#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Signatures over the bus beside those of a program that signs by PKCS#11 in its own process: same store, same broker,
same run, blocks that take turns. Goals: one caller reaches 0.9 of the program's rate; four callers at once are not
slower in sum than one.

    sign.py SIGN-LOOP MODULE [--blocks N]
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import bus  # noqa: E402
import swtpm  # noqa: E402

KEY = 'org.ggtpm1.Key'
BLOCK = 40
CALLERS = 4
DIGEST = {'input': bus.GLib.Variant('s', 'digest')}


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


def sign(caller, key, n):
    for _ in range(n):
        caller.call(key, KEY, 'Sign', '(aya{sv})', bytes(32), DIGEST)


def rate(callers, key):
    threads = [threading.Thread(target=sign, args=(caller, key, BLOCK // len(callers))) for caller in callers]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return BLOCK / (time.monotonic() - start)


def measure(arguments):
    with bus.Bus() as system_bus, swtpm.Swtpm() as tpm, bus.FakePolkit(system_bus), \
            bus.Daemon(system_bus, tpm, environment={'G_MESSAGES_DEBUG': ''}) as daemon:
        callers = [system_bus.connect() for _ in range(CALLERS)]
        job = callers[0].call(bus.ROOT, 'org.ggtpm1.Provisioning', 'Provision', '(a{sv})', {})
        key = callers[0].wait_job(job)['Result']['key']
        loop = Loop(arguments.loop, arguments.module, daemon)
        sides = {'C_Sign loop': loop.rate, 'bus, one caller': lambda: rate(callers[:1], key),
                 f'bus, {CALLERS} callers': lambda: rate(callers, key)}
        rates = {name: [] for name in sides}
        for block in range(arguments.blocks + 1):
            for name, side in sides.items():
                value = side()
                if block > 0:  # the first one warms up
                    rates[name].append(value)
        loop.close()
    return {name: statistics.median(values) for name, values in rates.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('loop')
    parser.add_argument('module')
    parser.add_argument('--blocks', type=int, default=9)
    arguments = parser.parse_args()
    if os.getuid() != 0 or not swtpm.available():
        print('needs root and swtpm')
        return 77
    bus.enter()
    rates = measure(arguments)
    own, one, all_of_them = rates.values()
    for name, value in rates.items():
        print(f'{name:20} {value:7.1f} signatures/s')
    print(f'one caller / loop    {one / own:7.2f}  (goal: 0.9 or more)')
    print(f'{CALLERS} callers / one      {all_of_them / one:7.2f}  (goal: 1 or more)')
    return 0


if __name__ == '__main__':
    sys.exit(main())
