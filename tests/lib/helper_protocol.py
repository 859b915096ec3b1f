# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Requests to the token helper (daemon/token/protocol.h): a header of lengths, JSON, PINs."""

import json
import struct

HEADER = struct.Struct('=4I')  # the JSON's length, and those of the PINs
PINS = ('pin', 'so_pin', 'new_pin')


def pack(text, pins=(b'', b'', b'')):
    return HEADER.pack(len(text), *map(len, pins)) + text + b''.join(pins)


def make(job, **members):
    """Of members by their names in Python; those of PINS are PINs."""
    pins = [members.pop(name, '').encode() for name in PINS]
    request = {'job': job} | {name.replace('_', '-'): value for name, value in members.items()}
    return pack(json.dumps(request).encode(), pins)


def read(file):
    """The next request as its text and all of it; None at the end."""
    header = file.read(HEADER.size)
    if not header:
        return None
    lengths = HEADER.unpack(header)
    text = file.read(lengths[0])
    return text, header + text + file.read(sum(lengths[1:]))
