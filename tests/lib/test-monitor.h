/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "health/monitor.h"
#include "test-proxy.h"

G_BEGIN_DECLS

/*
 * TestMonitor: health/monitor.c on a software TPM of its own behind a proxy, without a broker: a fixture for
 * g_test_add(). swtpm locks up at TEST_MONITOR_MAX_AUTH_FAIL. What goes wrong here fails the test.
 */
#define TEST_MONITOR_MAX_AUTH_FAIL 3

typedef struct
{
  TestSwtpm *swtpm;
  TestProxy *proxy;
  Config config;
  Worker *worker;
  Monitor *monitor;
  Tpm *tpm; /* somebody else's */
  guint n_ready;
  guint n_changed;
  GString *states; /* as "state-changed" told them */
  GString *issues; /* as "issue-raised" and "issue-cleared" told them */
  guint n_healed;
  GString *healed; /* as "healed" told them */
  Tally *tally;
} TestMonitor;

void test_monitor_set_up (TestMonitor *fixture, gconstpointer data);
void test_monitor_tear_down (TestMonitor *fixture, gconstpointer data);
/* The daemon's end and its next start: what was told so far is forgotten. */
void test_monitor_stop (TestMonitor *fixture);
void test_monitor_start (TestMonitor *fixture);

/* Iterates until @number is at least @least. */
void test_monitor_wait_for (const guint *number, guint least);

/* The broker has the chip; returns when the daemon would let clients in. */
void test_monitor_chip_comes_up (TestMonitor *fixture, gboolean tpm_was_reset);
/* As well, with a healing that was needed and did not come about, which is told. */
void test_monitor_chip_comes_up_unhealed (TestMonitor *fixture, const char *warning);
/* For monitor_set_device(): counts. */
gboolean test_monitor_on_ready (gpointer fixture);

typedef struct
{
  guint done;
  GError *error;
} Answer;

/* For monitor_check_async() with an Answer. */
void test_monitor_check_done (GObject *source, GAsyncResult *result, gpointer answer);
/* The error is the caller's; NULL: none. */
GError *test_monitor_check (TestMonitor *fixture);
GError *test_monitor_reset (TestMonitor *fixture);
/* There is none. */
void test_monitor_check_well (TestMonitor *fixture);

/* @ids: with a space between, in their order */
void test_monitor_assert_issues (TestMonitor *fixture, HealthState state, const char *ids);
/* Commands with that TPM_CC that the chip has seen; 0: all. */
guint test_monitor_count (TestMonitor *fixture, guint32 command);
const VariableProperties *test_monitor_get_variable (TestMonitor *fixture);

/* What others do to the chip. A DA-protected key with the auth `right`, used once with @auth. */
ESYS_CONTEXT *test_monitor_get_esys (TestMonitor *fixture);
TSS2_RC test_monitor_use_key (TestMonitor *fixture, const char *auth);
void test_monitor_fail_auth (TestMonitor *fixture, guint times);
void test_monitor_set_lockout_auth (TestMonitor *fixture, const char *new_auth);
/* One wrong lockout auth: from now on the lockout hierarchy is locked, and GetCapability does not show it. */
void test_monitor_lock_lockout_hierarchy (TestMonitor *fixture);
void test_monitor_cut_power (TestMonitor *fixture);

G_END_DECLS
