#!/usr/bin/python3
# SPDX-FileCopyrightText: the ggtpmd authors
# SPDX-License-Identifier: BSD-2-Clause

"""The checks of this folder, each shown what it should complain about, and that it leaves the rest alone."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = '/* SPDX-FileCopyrightText: the ggtpmd authors */\n/* SPDX-License-Identifier: BSD-2-Clause */\n\n'
INTERFACE = '''<node>
  <!-- SPDX-FileCopyrightText: the ggtpmd authors -->
  <!-- SPDX-License-Identifier: BSD-2-Clause -->
  <!--
      org.ggtpm1.Thing:
      @since: 1
  -->
  <interface name="org.ggtpm1.Thing">
    <!--
        Do:
        @options: none
        @since: 1
    -->
    <method name="Do">
      <arg name="options" type="a{sv}" direction="in"/>
    </method>
  </interface>
</node>
'''
FILES = {
    'meson.build': "# SPDX-FileCopyrightText: the ggtpmd authors\n# SPDX-License-Identifier: BSD-2-Clause\n"
                   "sources = ['thing.c', 'gate-table.c']\n",
    'daemon/bus/gate-table.c': HEAD + '#include "gate-table.h"\n\nstatic const GateRule rules[] = {\n'
                         '  { "org.ggtpm1.Thing", "Do", GGTPM_ACTION_USE_KEY, GATE_PLAIN },\n};\n',
    'daemon/token/thing.h': HEAD + '#pragma once\n\nvoid thing_do (void);\n',
    'daemon/token/thing.c': HEAD + '#include "thing.h"\n\nvoid\nthing_do (void)\n{\n}\n',
    'dbus/org.ggtpm1.Thing.xml': INTERFACE,
    'dbus/org.ggtpm1.conf.in': '<!-- SPDX-FileCopyrightText: the ggtpmd authors -->\n'
                               '<!-- SPDX-License-Identifier: BSD-2-Clause -->\n'
                               '<allow send_interface="org.ggtpm1.Thing"/>\n',
    'docs/security.md': '<!-- SPDX-FileCopyrightText: the ggtpmd authors -->\n'
                        '<!-- SPDX-License-Identifier: BSD-2-Clause -->\n\n| `org.ggtpm1.use-key` | Thing.Do | yes |\n',
    'tools/thing': '#!/bin/sh\n# SPDX-FileCopyrightText: the ggtpmd authors\n'
                   '# SPDX-License-Identifier: BSD-2-Clause\ntrue\n',
    '.clang-format': 'BasedOnStyle: GNU\nSpaceBeforeParens: Always\n',
}

C = 'daemon/token/thing.c'
H = 'daemon/token/thing.h'
XML = 'dbus/org.ggtpm1.Thing.xml'
TOOL = 'tools/thing'

# check, file, what is put into it in the place of what, words of the complaint
FAULTS = [
    ('banned', C, '{\n', '{\n  goto end;\n', 'thing.c:9: goto'),
    ('banned', C, '{\n', '{\n  sprintf (a, "b");\n', 'sprintf'),
    ('banned', C, '{\n', '{\n  exit (1);\n', 'main() returns'),
    ('banned', C, '{\n', '{\n  /* TO' + 'DO */\n', 'thing.c:9: TO' + 'DO'),
    ('banned', TOOL, 'true\n', 'cat /wo' + 'rk/main\n', 'thing:4: /wo'),
    ('build', 'meson.build', "'thing.c'", '', 'in no meson.build'),
    ('dbus', XML, '        @options: none\n', '', 'argument options is not documented'),
    ('dbus', XML, '        @options: none\n        @since: 1\n', '        @options: none\n', 'Do has no @since'),
    ('dbus', XML, '        Do:\n', '        Dont:\n', 'Do has no documentation'),
    ('dbus', XML, 'type="a{sv}"', 'type="s"', 'does not end in'),
    ('dbus', XML, '  </interface>', '    <!--\n        P:\n        @since: 1\n    -->\n'
     '    <property name="P" type="s" access="readwrite"/>\n  </interface>', 'not writable'),
    ('dbus', 'dbus/org.ggtpm1.conf.in', 'Thing', 'Other', 'nobody may call org.ggtpm1.Thing'),
    ('dbus', 'docs/security.md', 'Thing.Do', 'Thing.Other', 'Thing.Do needs this action, too'),
    ('dbus', 'docs/security.md', 'Thing.Do', 'Thing.Do, Undo', 'Thing.Undo does not need this action'),
    ('dbus', 'docs/security.md', 'use-key', 'provision', 'org.ggtpm1.use-key is not in the table'),
    ('format', C, '{\n', '{\n    ;\n', 'clang-format would'),
    ('format', C, '{\n', '{ \n', 'white space at the end'),
    ('format', TOOL, 'true', 'true ' + 'x' * 120, 'thing:4: 125 characters'),
    ('format', 'docs/security.md', '| `', 'x' * 121 + '\n\n| `', 'security.md:4: 121 characters'),
    ('heads', C, 'BSD-2-Clause', 'MIT', 'no line'),
    ('heads', H, '#pragma once\n', '', 'no #pragma once'),
    ('includes', C, '#include "thing.h"\n', '#include "thing.h"\n\n#include "bus/gate-table.h"\n', 'may not include'),
    ('includes', C, '#include "thing.h"\n', '#include "thing.h"\n\n#include <systemd/sd-daemon.h>\n', 'no place here'),
    ('includes', C, '#include "thing.h"\n', '#include <glib.h>\n\n#include "thing.h"\n', 'own header comes first'),
    ('includes', C, '#include "thing.h"\n', '#include "thing.h"\n#include "none.h"\n', 'there is no none.h'),
    ('includes', H, '#pragma once\n', '#pragma once\n#include "other.h"\n', 'a circle'),
    ('names', H, 'thing_do (', 'do_thing (', 'do_thing: should begin with'),
    ('names', C, 'void\nthing', 'static void\nggtpm_thing (void)\n{\n}\n\nvoid\nthing', 'no project prefix'),
    ('scripts', TOOL, 'true', 'cd $1', 'SC2'),
    ('size', C, '{\n', '{\n' + '  ;\n' * 80, 'thing_do: 83 lines'),
    ('size', H, '#pragma once\n', '#pragma once\n' + '\n' * 400, 'at most 400'),
]


class Checks(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix='ggtpm-')
        self.addCleanup(directory.cleanup)
        self.tree = directory.name
        others = {
            'daemon/bus/gate-table.h': HEAD + '#pragma once\n',
            'daemon/token/other.h': HEAD + '#pragma once\n#include "thing.h"\n',
        }
        for path, text in (FILES | others).items():
            self.write(path, text)

    def write(self, path, text):
        path = os.path.join(self.tree, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, 0o755 if text.startswith('#!') else 0o644)

    def check(self, name):
        result = subprocess.run([sys.executable, os.path.join(HERE, f'check-{name}.py'), self.tree],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode == 77:
            self.skipTest(result.stdout)
        return result.returncode, result.stdout

    def test_good_tree(self):
        for name in sorted({fault[0] for fault in FAULTS}):
            with self.subTest(check=name):
                status, output = self.check(name)
                self.assertEqual(status, 0, output)

    def test_faults(self):
        for name, path, old, new, words in FAULTS:
            with self.subTest(check=name, words=words):
                self.assertIn(old, FILES[path])
                self.write(path, FILES[path].replace(old, new, 1))
                status, output = self.check(name)
                self.write(path, FILES[path])
                self.assertEqual(status, 1, output)
                self.assertIn(words, output)

    def test_empty_tree(self):
        with tempfile.TemporaryDirectory(prefix='ggtpm-') as self.tree:
            self.assertNotEqual(self.check('heads')[0], 0)


if __name__ == '__main__':
    unittest.main()
