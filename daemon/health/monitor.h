/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "common/config.h"
#include "common/tally.h"
#include "health/healing.h"
#include "health/rules.h"
#include "tpm/properties.h"
#include "tpm/worker.h"

G_BEGIN_DECLS

/*
 * Monitor: knows the chip and how it is. Polls through @worker; owns the last snapshot; tells whoever connects to its
 * signals. Main thread only.
 *
 * Signals: "checked" () after the chip was read; "changed" () after each poll, fault or news; "issue-cleared"
 * (const char *id) and "issue-raised" (HealthIssue *issue) for each issue that is gone or new, also when it is of
 * another severity than it was; "state-changed" (HealthState old, HealthState new); "healed" (const char
 * *action, GVariant *details) after each step of healing, see HealingAction.
 */
#define TYPE_MONITOR (monitor_get_type ())
G_DECLARE_FINAL_TYPE (Monitor, monitor, , MONITOR, GObject)

/* @latency: of the chip's commands; NULL: not measured. @tally: what has befallen the chip, by the broker; NULL: not
 * counted. All four must outlive it. */
Monitor *monitor_new (const Config *config, Worker *worker, Latency *latency, Tally *tally);

/*
 * What the broker says of the device (daemon/main.c connects the two): a fault becomes an issue at once; on
 * HEALTH_DEVICE_OK the chip is read and, if @tpm_was_reset, the lockout counter is healed by the rules of
 * docs/security.md before @ready is called. @ready is called in every case, once, also if the chip could not be read.
 */
void monitor_set_device (Monitor *monitor,
                         HealthDevice device,
                         const char *reason,
                         gboolean tpm_was_reset,
                         GSourceFunc ready,
                         gpointer user_data);

/* Reads the chip now; coalesced with a poll under way. */
void monitor_check_async (Monitor *monitor,
                          GCancellable *cancellable,
                          GAsyncReadyCallback callback,
                          gpointer user_data);
gboolean monitor_check_finish (GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What else the rules look at. @platform, @store: taken */
void monitor_set_platform (Monitor *monitor, PlatformFacts *platform);
void monitor_set_store (Monitor *monitor, StoreFacts *store, StoreAccess access);
/*
 * After each use of a key: whether it worked. Only what says something of the key counts: a wrong PIN does not.
 * @name: `TOKEN/KEY`, their labels; @error: NULL: it did
 */
void monitor_note_key_use (Monitor *monitor, const char *name, const GError *error);

/* Health.ResetLockout: on a person's demand, by the same rules. */
void monitor_reset_lockout_async (Monitor *monitor,
                                  GCancellable *cancellable,
                                  GAsyncReadyCallback callback,
                                  gpointer user_data);
gboolean monitor_reset_lockout_finish (GAsyncResult *result,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The last values; owned by the monitor, valid until the main loop runs again. */
const HealthFacts *monitor_get_facts (Monitor *monitor);
HealthState monitor_get_state (Monitor *monitor);
/* How often that was done since the start. */
guint monitor_count_healings (Monitor *monitor, HealingAction action);
/* Of HealthIssue; ordered by severity, then id. */
GPtrArray *monitor_get_issues (Monitor *monitor);
/* rules_judge() of the facts as they are; the caller's. */
GPtrArray *monitor_judge (Monitor *monitor);
/* Seconds since the epoch; 0: never. */
gint64 monitor_get_last_check (Monitor *monitor);

G_END_DECLS
