#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The token helper on a chip that is not as it should be with RSA: what the real one answers, but for one thing.

    weak-helper.py roca|pss HELPER MODULE SECONDS [DESCRIPTOR [copy]]

roca: keys have a modulus of CVE-2017-15361; pss: signatures by RSA-PSS do not verify.
"""

import json
import random
import subprocess
import sys

import helper_protocol

MODULUS_AT = 33  # of SubjectPublicKeyInfo with RSA-2048
MODULUS_LEN = 256


def make_factor():
    """k * M + 65537^a mod M, as the library of the chips made its primes; whether it is one does not matter here."""
    primorial = 1
    for number in range(2, 702):
        if all(number % divisor for divisor in range(2, number)):
            primorial *= number
    return random.getrandbits(54) * primorial + pow(65537, random.getrandbits(64), primorial)


def make_modulus():
    modulus = 0
    while modulus.bit_length() != 8 * MODULUS_LEN:
        modulus = make_factor() * make_factor()
    return modulus.to_bytes(MODULUS_LEN, 'big')


def weaken(spki):
    return (spki[:MODULUS_AT] + make_modulus() + spki[MODULUS_AT + MODULUS_LEN:]).hex()


def spoil(signature):
    return (signature[:-1] + bytes([signature[-1] ^ 1])).hex()


def main():
    weakness = sys.argv[1]
    fds = [int(fd) for fd in sys.argv[5:6]]
    with subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=fds) as helper:
        while request := helper_protocol.read(sys.stdin.buffer):
            text, whole = request
            helper.stdin.write(whole)
            helper.stdin.flush()
            answer = json.loads(helper.stdout.readline())
            asked = json.loads(text)
            if weakness == 'roca' and asked['job'] == 'generate-key' and 'rsa' in asked['algorithm']:
                answer['spki'] = weaken(bytes.fromhex(answer['spki']))
            if weakness == 'pss' and asked['job'] == 'sign' and asked['mechanism'] == 'rsa-pss':
                answer['signature'] = spoil(bytes.fromhex(answer['signature']))
            print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
