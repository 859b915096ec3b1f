/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * TestSwtpm: a private software TPM on unix sockets in a short directory of its own. It dies with the test, whatever
 * becomes of that. What goes wrong here fails the test.
 */
typedef struct _TestSwtpm TestSwtpm;

/* Exits with 77 (skip) where there is no swtpm. */
void test_swtpm_require (void);

/* A new TPM, running, started up (TPM2_Startup(CLEAR) done by swtpm). */
TestSwtpm *test_swtpm_new (void);
/* Kills it and removes its directory. */
void test_swtpm_free (TestSwtpm *swtpm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestSwtpm, test_swtpm_free)

/* Power cut: SIGKILL, no TPM2_Shutdown. The state stays. */
void test_swtpm_kill (TestSwtpm *swtpm);
/* Holds it in the middle of what it does, or lets it go on. */
void test_swtpm_hold (TestSwtpm *swtpm, gboolean hold);
/* Power on again after test_swtpm_kill(). */
void test_swtpm_start (TestSwtpm *swtpm);

/* 0700, for the test's own files too; removed with all that is in it. */
const char *test_swtpm_get_dir (TestSwtpm *swtpm);
/* The socket: raw TPM framing, one connection at a time. */
const char *test_swtpm_get_socket (TestSwtpm *swtpm);
/* `swtpm:path=...`, for --tcti and TPM2TOOLS_TCTI. */
const char *test_swtpm_get_tcti (TestSwtpm *swtpm);

/* A TpmConnect: @swtpm is a TestSwtpm. No resource manager between. */
int test_swtpm_connect (gpointer swtpm, GError **error);

/* Commands that have reached the chip since the last start; @command_code: TPM2_CC_*, or 0 for all. */
guint test_swtpm_count (TestSwtpm *swtpm, guint32 command_code);

G_END_DECLS
