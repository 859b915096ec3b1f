# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""kill -9 by strace, at each system call of a process that changes a file.

    counts = count_calls(trace)                # of an undisturbed run under command(trace, *watch())
    for call, n in choose(counts, 11):
        ... under command(trace, *inject(call, n)), or within attached(pid, trace, *inject(call, n))

GGTPM_TEST_EVERY_CUT=1: choose() takes all of them, in the place of a sample.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys

# By the daemon, by SQLite in the helper, or by ggtpmctl; what is written to a log, a pipe or an eventfd is among it.
FILE_CALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "unlinkat", "rmdir", "mkdir", "fchown",
              "fchmod", "chmod", "ftruncate")
# strace leaves the children of a process alone: for the daemon without its helper
ALONE = ("-b", "execve")


def why_not():
    """Why nothing can be traced here; None: it can."""
    if shutil.which("strace") is None:
        return "not installed: strace"
    probe = subprocess.run(["strace", "-o", os.devnull, "true"], check=False, stderr=subprocess.DEVNULL)
    return None if probe.returncode == 0 else "not possible here: strace may not trace"


def watch(calls=FILE_CALLS):
    return ["-e", "trace=" + ",".join(calls)]


def inject(call, n):
    return ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}"]


def command(trace, *args):
    """To be put before another one. @trace: the file that is written."""
    return ["strace", "-f", "-qq", "-o", trace, *args]


def environment(env=None):
    """In a build with sanitizers: leaks cannot be looked for under strace."""
    env = dict(os.environ if env is None else env)
    return env | {"ASAN_OPTIONS": env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def _is_traced(pid):
    """Or dead by now."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return re.search(r"^(TracerPid:\t[1-9]|State:\tZ)", file.read(), re.M) is not None


@contextlib.contextmanager
def attached(pid, trace, *args):
    """A child that runs is traced meanwhile; one that lives goes on."""
    with subprocess.Popen([*command(trace, *args), "-p", str(pid)]) as tracer:
        try:
            while not _is_traced(pid):
                assert tracer.poll() is None
            yield
        finally:
            # not asked to end: it would wait for the first of the threads that die, and that one for the others
            tracer.kill()


def count_calls(trace, calls=FILE_CALLS):
    """How often one thread has made each of them."""
    counts = {}
    with open(trace, encoding="utf-8", errors="replace") as file:
        for thread, call in re.findall(r"^(\d+) +(\w+)\(", file.read(), re.M):
            counts[(thread, call)] = counts.get((thread, call), 0) + 1
    return {call: max([n for (_, c), n in counts.items() if c == call], default=0) for call in calls}


def choose(counts, step):
    """Points (call, n): every @step-th, and the renames, where one state ends and the next begins; or all."""
    if os.environ.get("GGTPM_TEST_EVERY_CUT") == "1":
        step = 1
    points = [(call, n) for call, count in counts.items() for n in range(1, count + 1)]
    return [point for i, point in enumerate(points) if i % step == 0 or point[0] == "rename"]


def report(who, cut, counts):
    print(f"{who}: cut at {cut} of {sum(counts.values())} points: {counts}", file=sys.stderr)
