/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "advisories.h"
#include "baseline.h"
#include "common/config.h"
#include "common/store-access.h"
#include "lockout.h"
#include "platform-facts.h"
#include "power.h"
#include "reading.h"
#include "store-facts.h"
#include "tpm/properties.h"
#include "trend.h"

G_BEGIN_DECLS

typedef enum
{
  HEALTH_DEVICE_UNKNOWN, /* not opened yet */
  HEALTH_DEVICE_OK,
  HEALTH_DEVICE_MISSING,
  HEALTH_DEVICE_BUSY,
  HEALTH_DEVICE_IO, /* also: no permission, answers garbage */
} HealthDevice;

/* What the dictionary-attack parameters should be, by the configuration; 0: any. */
typedef struct
{
  guint max;
  guint interval_s;
  guint recovery_s;
} LockoutPolicy;

/*
 * HealthFacts: all that rules look at. What was not read is marked so: unknown is never taken for good. Where a `have_`
 * is FALSE the values beside it are zeros or the last known.
 */
typedef struct
{
  HealthDevice device;
  gboolean is_alongside; /* another resource manager has the device */
  char *device_reason;
  gboolean have_fixed;
  FixedProperties fixed;
  gboolean have_variable;
  VariableProperties variable;
  gboolean have_test_result;
  TPM2_RC test_result;  /* 0x101 also when the chip answered any command with it */
  gint64 testing_since; /* seconds since the epoch: first seen at 0x90a; 0: it is not */
  gboolean have_last_shutdown;
  gboolean last_shutdown_orderly; /* startup_clear.orderly as first read after a TPM reset */
  gboolean have_run;
  PowerRecord power;
  TrendRecord trend;
  gboolean went_back;          /* the chip's reset counter, against what was recorded */
  LockoutRecord lockout;       /* what the chip has refused us */
  gboolean lockout_auth_known; /* it is set, and by us */
  LockoutPolicy policy;
  GPtrArray *advisories;   /* of Advisory; NULL: none */
  GArray *latencies;       /* of HealthLatency, ordered by TPM_CC; NULL: none */
  LatencyTotals totals;    /* of the commands that the broker has sent */
  PlatformFacts *platform; /* NULL: not read */
  StoreFacts *store;       /* NULL: not listed */
  GHashTable *unusable;    /* `TOKEN/KEY` to why it cannot be used, both char *; NULL: none */
  gboolean have_access;
  StoreAccess access;
} HealthFacts;

/* Zeroed. Reads the advisories, and what is remembered in @config's state directory; what cannot be read is logged. */
void health_facts_init (HealthFacts *facts, const Config *config);
void health_facts_clear (HealthFacts *facts);

/* @reason: why it cannot be used, for people; NULL: it can */
void health_facts_set_device (HealthFacts *facts, HealthDevice device, const char *reason);
/* What is not known to be so now is not known. What the chip is (fixed) stays: the values are those last read. */
void health_facts_forget (HealthFacts *facts);
/* @tpm_was_reset: it is the first reading since; @now: seconds since the epoch */
void
health_facts_take (HealthFacts *facts, const Reading *reading, gboolean tpm_was_reset, gint64 now);

/* As monitor_set_platform() and monitor_set_store(). */
void health_facts_set_platform (HealthFacts *facts, PlatformFacts *platform);
void health_facts_set_store (HealthFacts *facts, StoreFacts *store, StoreAccess access);
/* As monitor_note_key_use(). Returns whether anything is otherwise now. */
gboolean health_facts_note_key_use (HealthFacts *facts, const char *name, const GError *error);

G_END_DECLS
