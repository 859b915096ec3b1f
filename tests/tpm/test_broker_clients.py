# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""Programs that are not ours, over both front ends: tpm2-tools by the socket's TCTI and by libtss2-tcti-tabrmd; and
what the interface of tpm2-abrmd answers in each case."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import private_bus  # noqa: E402
import swtpm  # noqa: E402
import tpm_client  # noqa: E402

import gi  # noqa: E402
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

NAME = "com.intel.tss2.Tabrmd"
PATH = "/com/intel/tss2/Tabrmd/Tcti"
INTERFACE = "com.intel.tss2.TctiTabrmd"
DAEMON, NOBODY = 1, 65534  # the bus wants to know its users
ABRMD = "/usr/sbin/tpm2-abrmd"
MODULE = os.environ["GGTPM_TCTI_MODULE"]


class ClientsCase(unittest.TestCase):
    config = ""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.dir = tempfile.mkdtemp(prefix="gt-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir)
        self.bus = self.stack.enter_context(private_bus.PrivateBus())
        self.tpm = self.stack.enter_context(swtpm.Swtpm())
        self.on_bus()
        self.start_broker()
        self.connection = Gio.DBusConnection.new_for_address_sync(
            self.bus.address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self.addCleanup(self.connection.close_sync, None)
        deadline = time.monotonic() + 20
        while not self.has_owner():
            self.assertLess(time.monotonic(), deadline, "the name is not owned")
            time.sleep(0.01)

    def start_broker(self):
        """The resource manager that owns the name."""
        self.broker = self.stack.enter_context(
            tpm_client.Broker(self.tpm, "--tabrmd-name", NAME, env=self.bus.env(), config=self.config,
                              tcti=self.tcti()))

    def on_bus(self):
        """What else a case needs on the bus."""

    def tcti(self):
        """How the broker reaches the chip; None: by its own TCTI."""

    def has_owner(self):
        return self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                         "NameHasOwner", GLib.Variant("(s)", (NAME,)), None, 0, -1, None).unpack()[0]

    def call(self, method, signature=None, *args):
        parameters = GLib.Variant(signature, args) if signature else None
        return self.connection.call_with_unix_fd_list_sync(NAME, PATH, INTERFACE, method, parameters, None,
                                                           Gio.DBusCallFlags.NONE, 10000, None, None)

    def create(self):
        reply, fds = self.call("CreateConnection")
        self.assertEqual(reply.get_type_string(), "(t)")
        self.assertEqual(fds.get_length(), 1)

        return reply.unpack()[0], tpm_client.Client(socket.socket(fileno=fds.get(0)))

    def refused(self, *call):
        with self.assertRaises(GLib.Error) as caught:
            self.call(*call)
        return Gio.DBusError.get_remote_error(caught.exception)

    def tctis(self):
        return {"socket": f"{MODULE}:path={self.broker.path}", "tabrmd": "tabrmd:bus_type=system"}


class Tools(ClientsCase):
    def run_tool(self, line, data=None):
        args = line.split()
        done = subprocess.run(args, cwd=self.dir, input=data, capture_output=True, timeout=60, check=False,
                              env=os.environ | self.bus.env() | {"TPM2TOOLS_TCTI": self.current})
        self.assertEqual(done.returncode, 0, (line, done.stderr.decode()))
        return done.stdout

    def flow(self):
        tool = self.run_tool
        self.assertEqual(len(tool("tpm2_getrandom 16")), 16)
        tool("tpm2_createprimary -Q -C o -G ecc -c primary.ctx")
        tool("tpm2_create -Q -C primary.ctx -G ecc -u key.pub -r key.priv")
        tool("tpm2_load -Q -C primary.ctx -u key.pub -r key.priv -c key.ctx")
        with open(os.path.join(self.dir, "message"), "wb") as file:
            file.write(b"message")
        tool("tpm2_sign -Q -c key.ctx -g sha256 -o signature message")
        tool("tpm2_verifysignature -Q -c key.ctx -g sha256 -s signature -m message")
        tool("tpm2_nvdefine -Q 0x1500001 -s 8 -a ownerread|ownerwrite")
        tool("tpm2_nvwrite -Q 0x1500001 -C o -i -", b"12345678")
        self.assertEqual(tool("tpm2_nvread 0x1500001 -C o -s 8"), b"12345678")
        tool("tpm2_nvundefine -Q 0x1500001 -C o")

    def policy_flow(self):
        """One policy session over several tools: it is saved by each and loaded by the next."""
        tool = self.run_tool
        tool("tpm2_startauthsession -S trial.ctx")
        tool("tpm2_policypassword -Q -S trial.ctx -L policy")
        tool("tpm2_flushcontext trial.ctx")
        tool("tpm2_create -Q -C primary.ctx -G ecc -u p.pub -r p.priv -L policy -p secret")
        tool("tpm2_load -Q -C primary.ctx -u p.pub -r p.priv -c p.ctx")
        tool("tpm2_startauthsession --policy-session -S session.ctx")
        tool("tpm2_policypassword -Q -S session.ctx")
        tool("tpm2_policyrestart -Q -S session.ctx")
        tool("tpm2_policypassword -Q -S session.ctx")
        tool("tpm2_sign -Q -c p.ctx -p session:session.ctx+secret -g sha256 -o signature2 message")
        tool("tpm2_flushcontext session.ctx")

    def test_both(self):
        for name, tcti in self.tctis().items():
            with self.subTest(name):
                self.current = tcti
                self.flow()
                self.policy_flow()
                self.assertEqual(self.run_tool("tpm2_getcap handles-transient"), b"")
                self.assertEqual(self.run_tool("tpm2_getcap handles-loaded-session"), b"")

    def test_across(self):
        """What one front end has saved the other can load."""
        tctis = self.tctis()
        self.current = tctis["socket"]
        self.run_tool("tpm2_createprimary -Q -C o -G ecc -c primary.ctx")
        self.run_tool("tpm2_startauthsession --policy-session -S session.ctx")
        self.current = tctis["tabrmd"]
        self.run_tool("tpm2_readpublic -Q -c primary.ctx")
        self.run_tool("tpm2_policypassword -Q -S session.ctx")
        self.run_tool("tpm2_flushcontext session.ctx")


class Tabrmd(ClientsCase):
    config = "[Broker]\nMaxConnections=4\n"

    def test_connection(self):
        identity, client = self.create()
        self.assertNotEqual(identity, 0)
        with client:
            client.sign(client.create_primary())

    def test_errors(self):
        identity, client = self.create()
        with client:
            self.assertEqual(self.refused("SetLocality", "(ty)", identity, 1), NAME + ".Error.NotImplemented")
            self.assertEqual(self.refused("SetLocality", "(ty)", identity ^ 1, 1), NAME + ".Error.NotPermitted")
            self.assertEqual(self.refused("Cancel", "(t)", identity ^ 1), NAME + ".Error.NotPermitted")

    def test_cancel_nothing(self):
        """Nothing waits: neither before the first command nor after an answer, read or not; as tpm2-abrmd says it."""
        identity, client = self.create()
        with client:
            self.assertEqual(self.refused("Cancel", "(t)", identity), NAME + ".Error.NotImplemented")
            client.send(tpm_client.get_random())
            # it is answered when there is something to read
            self.assertEqual(len(client.socket.recv(1, socket.MSG_PEEK)), 1)
            self.assertEqual(self.refused("Cancel", "(t)", identity), NAME + ".Error.NotImplemented")
            self.assertEqual(client.receive()[0], 0)
            self.assertEqual(self.refused("Cancel", "(t)", identity), NAME + ".Error.NotImplemented")

    def test_too_many(self):
        clients = [self.create()[1] for _ in range(4)]
        self.assertEqual(self.refused("CreateConnection"), NAME + ".Error.General")
        for client in clients:
            with client:
                self.assertEqual(client.ask(tpm_client.get_random())[0], 0)

    def test_other_process(self):
        """An id is good for the process that has it, and for no other."""
        identity, client = self.create()
        with client:
            done = subprocess.run(
                ["gdbus", "call", "--address", self.bus.address, "--dest", NAME, "--object-path", PATH,
                 "--method", INTERFACE + ".Cancel", str(identity)], capture_output=True, text=True, check=False)
        self.assertIn("NotPermitted", done.stderr)

    def test_cancel_queued(self):
        busy_id, busy = self.create()
        waiting_id, waiting = self.create()
        with busy, waiting:
            self.tpm.process.send_signal(signal.SIGSTOP)
            try:
                busy.send(tpm_client.get_random())
                # two rounds of the broker's loop, as in test_broker.py: by then it is in the chip
                for _ in range(2):
                    with self.broker.connect() as probe:
                        probe.control(tpm_client.CONTROL_GET_ID)
                self.assertEqual(self.refused("Cancel", "(t)", busy_id), NAME + ".Error.NotImplemented")
                waiting.send(tpm_client.get_random())
                self.assertEqual(self.call("Cancel", "(t)", waiting_id)[0].unpack(), (0,))
                self.assertEqual(waiting.receive()[0], 0x909)
            finally:
                self.tpm.process.send_signal(signal.SIGCONT)
            self.assertEqual(busy.receive()[0], 0)


# As another user: a connection, and what that user is told of localities; both go back over standard output.
OTHER_USER = """
import array, socket, sys
import gi
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
    | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
def call(method, parameters):
    return bus.call_with_unix_fd_list_sync(*sys.argv[2:5], method, parameters, None, 0, 10000, None, None)
try:
    reply, fds = call("CreateConnection", None)
except GLib.Error as error:
    print(Gio.DBusError.get_remote_error(error))
    sys.exit()
try:
    call("SetLocality", GLib.Variant("(ty)", (reply.unpack()[0], 1)))
    told = "nothing"
except GLib.Error as error:
    told = Gio.DBusError.get_remote_error(error)
socket.socket(fileno=1).sendmsg([told.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                                   array.array("i", [fds.get(0)]))])
"""


class TabrmdUsers(ClientsCase):
    config = "[Broker]\nMaxObjectsPerUid=30\nMaxSessionsPerUid=6\nMaxConnectionsPerUid=3\n"

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        super().setUp()

    def tcti(self):
        return self.tpm.tcti

    def on_bus(self):
        os.chmod(self.bus.dir, 0o711)

    def create_as(self, uid):
        """(client, what it is told); (None, the error's name)"""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                subprocess.run(["/usr/bin/python3", "-c", OTHER_USER, self.bus.address, NAME, PATH, INTERFACE],
                               stdout=theirs, user=uid, group=uid, extra_groups=[], check=True, timeout=60)
            told, fds, _, _ = socket.recv_fds(ours, 256, 1)
        told = told.decode().strip()
        if not fds:
            return None, told
        client = tpm_client.Client(socket.socket(fileno=fds[0]))
        self.addCleanup(client.close)
        return client, told

    def test_privileges(self):
        client, told = self.create_as(NOBODY)
        self.assertEqual(told, NAME + ".Error.NotPermitted")
        before = self.tpm.count()
        clear = tpm_client.frame(tpm_client.CC_CLEAR, tpm_client.RH_LOCKOUT.to_bytes(4, "big") + tpm_client.PASSWORD,
                                 tpm_client.ST_SESSIONS)
        self.assertEqual(client.ask(clear)[0], 0xb000c)
        self.assertEqual(client.ask(tpm_client.frame(tpm_client.CC_SHUTDOWN, b"\0\0"))[0], 0xb000c)
        self.assertEqual(client.ask(tpm_client.frame(tpm_client.CC_STARTUP, b"\0\0"))[0], 0x100)
        self.assertEqual(self.tpm.count(), before)

    def test_quotas(self):
        """Those of a user, over both front ends together; another has as much again."""
        os.chmod(self.broker.path, 0o666)
        first = self.create_as(NOBODY)[0]
        second = self.stack.enter_context(tpm_client.connect_as(self.broker.path, NOBODY, NOBODY))
        start = tpm_client.frame(tpm_client.CC_HASH_SEQUENCE_START, b"\0\0\0\x0b")
        self.assertEqual([client.ask(start)[0] for client in [first] * 20 + [second] * 11], [0] * 30 + [0xb0902])
        session = tpm_client.start_session(kind=1)
        self.assertEqual([client.ask(session)[0] for client in [first] * 4 + [second] * 3], [0] * 6 + [0xb0903])
        other = self.create_as(DAEMON)[0]
        self.assertEqual((other.ask(start)[0], other.ask(session)[0]), (0, 0))
        third = self.create_as(NOBODY)[0]
        self.assertEqual((third.ask(start)[0], third.ask(session)[0]), (0xb0902, 0xb0903))
        self.assertEqual(self.create_as(NOBODY), (None, NAME + ".Error.General"))


class TabrmdCancel(ClientsCase):
    """Of a command that is in a chip that can."""

    def tcti(self):
        self.faults = tpm_client.TestTcti(self.tpm)
        return self.faults.conf

    def test_cancel(self):
        identity, busy = self.create()
        with busy:
            self.faults.rules("17b hold - 1")
            busy.send(tpm_client.get_random())
            self.faults.wait_log("hold 17b")
            self.assertEqual(self.refused("Cancel", "(t)", identity ^ 1), NAME + ".Error.NotPermitted")
            self.assertEqual(self.faults.log("cancel"), [])
            self.assertEqual(self.call("Cancel", "(t)", identity)[0].unpack(), (0,))
            self.assertEqual(busy.receive()[0], 0x909)
            self.assertEqual(self.faults.log("cancel"), ["cancel"])
            self.assertEqual(self.call("Cancel", "(t)", identity)[0].unpack(), (0,))
            self.assertEqual(busy.ask(tpm_client.get_random())[0], 0)


class TabrmdLocality(ClientsCase):
    def tcti(self):
        return self.tpm.tcti

    def test_set_locality(self):
        identity, client = self.create()
        self.addCleanup(client.close)
        self.assertEqual(self.call("SetLocality", "(ty)", identity, 2)[0].unpack(), (0,))


class Alongside(ClientsCase):
    """Above another resource manager, ours or tpm2-abrmd: its limits, its clients and its chip are left alone."""

    config = "[Broker]\nIdleEvictMs=3600000\n"

    def start_above(self):
        above = tpm_client.Broker(self.tpm, "--mode", "alongside", env=self.bus.env(), tcti="tabrmd:bus_type=system",
                                  config=self.config)
        self.stack.callback(above.stop)
        above.wait_state(above.READY)
        return above

    def test_above(self):
        with self.create()[1] as neighbour:
            theirs, session = neighbour.create_primary(), neighbour.start_session(kind=1)
            n_startups = self.tpm.count(tpm_client.CC_STARTUP)
            above = self.start_above()
            self.assertFalse(os.path.exists(above.path))
            with tpm_client.connect(above.internal) as client:
                # more than it allows to one connection
                keys = [client.create_primary(unique=b"%d" % i) for i in range(32)]
                self.assertEqual(client.handles(tpm_client.TRANSIENT_FIRST), keys)
                for key in keys[::4] + keys[-1:]:
                    client.sign(key)
                self.assertEqual([client.ask(tpm_client.start_session())[0] for _ in range(5)], [0] * 4 + [0xb0903])
                # whatever it is told not to touch
                neighbour.sign(theirs)
                neighbour.do(tpm_client.frame(tpm_client.CC_POLICY_RESTART, session.to_bytes(4, "big")))
            self.assertEqual(above.stop(), 0)
            self.assertEqual(self.tpm.count(tpm_client.CC_SHUTDOWN), 0)
            self.assertEqual(self.tpm.count(tpm_client.CC_STARTUP), n_startups)
            neighbour.sign(theirs)
            neighbour.do(tpm_client.frame(tpm_client.CC_POLICY_RESTART, session.to_bytes(4, "big")))
            self.assertEqual(neighbour.handles(tpm_client.TRANSIENT_FIRST), [theirs])

    def test_manager_goes(self):
        """And comes back: so do we, with nothing of before."""
        above = self.start_above()
        with tpm_client.connect(above.internal) as client:
            key = client.create_primary()
            self.broker.stop()
            self.assertEqual(client.ask(tpm_client.sign(key))[0] & 0xff0000, 0xa0000)
            above.wait_state(above.UNAVAILABLE)
            self.start_broker()
            above.wait_state(above.READY, since=2)
            self.assertEqual(client.ask(tpm_client.sign(key))[0], 0x910)
            client.sign(client.create_primary())


if os.path.exists(ABRMD):
    class AlongsideAbrmd(Alongside):
        def start_broker(self):
            self.abrmd = subprocess.Popen([ABRMD, "--allow-root", "--tcti=" + self.tpm.tcti],
                                          env=os.environ | self.bus.env(), stderr=subprocess.DEVNULL)
            self.addCleanup(self.abrmd.wait)
            self.addCleanup(self.abrmd.kill)
            self.broker = self

        def stop(self):
            self.abrmd.kill()
            self.abrmd.wait()


# Two: the real logind refuses a service that asks for both in one.
LOCKS = ["shutdown", "sleep"]


class Sleep(ClientsCase):
    """Before the system sleeps everything is saved; its sleep is held for so long."""

    config = "[Broker]\nIdleEvictMs=3600000\n"

    def on_bus(self):
        self.logind = subprocess.Popen(["/usr/bin/python3", "-m", "dbusmock", "--system", "-t", "logind"],
                                       env=os.environ | self.bus.env(), stdout=subprocess.DEVNULL)
        self.addCleanup(self.logind.wait)
        self.addCleanup(self.logind.kill)

    def call_logind(self, interface, method, parameters=None):
        return self.connection.call_sync("org.freedesktop.login1", "/org/freedesktop/login1", interface, method,
                                         parameters, None, 0, 10000, None)

    def locks(self):
        reply = self.call_logind("org.freedesktop.login1.Manager", "ListInhibitors").unpack()[0]
        return sorted(entry[0] for entry in reply if entry[1] == "ggtpmd" and entry[3] == "delay")

    def wait_locks(self, locks):
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(GLib.Error):
                if self.locks() == locks:
                    return
            self.assertLess(time.monotonic(), deadline, locks)
            time.sleep(0.01)

    def prepare(self, signal, about_to):
        self.call_logind("org.freedesktop.DBus.Mock", "EmitSignal", GLib.Variant(
            "(sssav)", ("org.freedesktop.login1.Manager", signal, "b", [GLib.Variant("b", about_to)])))

    def test_sleep(self):
        self.wait_locks(LOCKS)
        with self.broker.connect() as client:
            key = client.create_primary()
            session = client.start_session(kind=1)
            self.assertEqual(self.tpm.count(tpm_client.CC_CONTEXT_SAVE), 0)
            self.prepare("PrepareForSleep", True)
            self.wait_locks([])
            self.assertEqual(self.tpm.count(tpm_client.CC_CONTEXT_SAVE), 2)
            self.assertEqual(self.tpm.count(tpm_client.CC_FLUSH_CONTEXT), 1)
            self.prepare("PrepareForSleep", False)
            self.wait_locks(LOCKS)
            client.sign(key)
            self.assertEqual(client.flush(session), 0)
            self.assertEqual(self.tpm.count(tpm_client.CC_SHUTDOWN), 0)

    def test_power_off(self):
        self.wait_locks(LOCKS)
        with self.broker.connect() as client:
            key = client.create_primary()
            self.prepare("PrepareForShutdown", True)
            self.wait_locks([])
            self.assertEqual(self.tpm.count(tpm_client.CC_SHUTDOWN), 1)
            client.sign(key)  # somebody's last words: the chip is told again
            self.wait_shutdowns(2)
            self.prepare("PrepareForShutdown", False)
            self.wait_locks(LOCKS)
            client.sign(key)
        self.assertEqual(self.broker.stop(), 0)
        self.assertEqual(self.tpm.count(tpm_client.CC_SHUTDOWN), 3)

    def wait_shutdowns(self, n):
        deadline = time.monotonic() + 20
        while self.tpm.count(tpm_client.CC_SHUTDOWN) < n:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


class NoShutdown(Sleep):
    """As the configuration wants it."""

    config = Sleep.config + "[Health]\nSendShutdown=false\n"

    def test_power_off(self):
        self.wait_locks(LOCKS)
        self.prepare("PrepareForShutdown", True)
        self.wait_locks([])
        self.assertEqual(self.broker.stop(), 0)
        self.assertEqual(self.tpm.count(tpm_client.CC_SHUTDOWN), 0)


if __name__ == "__main__":
    if not swtpm.available() or not private_bus.available() or shutil.which("tpm2_sign") is None:
        sys.exit(77)
    unittest.main()
