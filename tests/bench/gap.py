# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""A real gap of session contexts: one session sleeps while others are saved until the TPM's counter has gone round.

The chip must have said TPM_RC_CONTEXT_GAP, no client may have seen it, and the session that slept must still work.
"""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import swtpm  # noqa: E402
import tpm_client  # noqa: E402
from tpm_client import frame  # noqa: E402

MAX_SAVES = 80000
GAP = b" 80 01 00 00 00 0A 00 00 09 01"
SAVE = b" 80 01 00 00 00 0E 00 00 01 62"


def take_log(path):
    """What the TPM has logged since the last call. What was read is cut off, as it would fill a disk; the TPM writes on
    where it was, so that the file begins with a hole."""
    with open(path, "r+b") as log:
        if os.fstat(log.fileno()).st_size > 0:
            log.seek(0, os.SEEK_DATA)
        data = log.read()
        log.truncate(0)
    return data


def restart(client, session):
    client.do(frame(tpm_client.CC_POLICY_RESTART, struct.pack(">I", session)))


def main():
    with swtpm.Swtpm() as tpm, tpm_client.Broker(tpm) as broker, \
            broker.connect() as sleeper, broker.connect() as client:
        sleeping = sleeper.start_session(kind=1)
        ring = [client.start_session(kind=1) for _ in range(4)]
        begin, uses, saves, gaps = time.monotonic(), 0, 0, 0
        while gaps == 0 and saves < MAX_SAVES:
            for i in range(400):
                restart(client, ring[i % len(ring)])
            uses += 400
            log = take_log(tpm.log)
            saves += log.count(SAVE)
            gaps += log.count(GAP)
        for i in range(400):
            restart(client, ring[i % len(ring)])
        restart(sleeper, sleeping)
        for session in ring:
            if client.flush(session) != 0:
                raise RuntimeError("a session is lost")
        log = take_log(tpm.log)
        gaps += log.count(GAP)
    print(f"uses of a session    {uses:8}")
    print(f"contexts saved       {saves:8}")
    print(f"gaps seen by chip    {gaps:8}  (goal: 1, and none seen by a client)")
    print(f"seconds              {time.monotonic() - begin:8.1f}")
    return 0 if gaps > 0 else 1


if __name__ == "__main__":
    sys.exit(main() if swtpm.available() else 77)
