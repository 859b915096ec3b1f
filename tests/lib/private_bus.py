# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""A bus that lets everybody do everything, for tests and benches of what goes over it and not of who may."""

import os
import shutil
import subprocess
import tempfile

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


def available():
    return shutil.which("dbus-daemon") is not None


class PrivateBus:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="gd-", dir="/tmp")
        config = os.path.join(self.dir, "bus.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(socket=os.path.join(self.dir, "bus")))
        self.process = subprocess.Popen(["dbus-daemon", "--config-file=" + config, "--nofork", "--nopidfile",
                                         "--print-address=1"], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def env(self):
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.address, "DBUS_SESSION_BUS_ADDRESS": self.address}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)
