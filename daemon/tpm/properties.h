/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm.h"

G_BEGIN_DECLS

/*
 * Fixed properties of a TPM (TPM 2.0 Library Part 2, 6.13, group PT_FIXED). Texts are without padding, and printable
 * ASCII whatever the chip sent. A property that the chip does not have is zero.
 */
typedef struct
{
  char family[5];
  guint32 level;
  guint32 revision;
  guint32 year;
  guint32 day_of_year;
  guint32 manufacturer_id;
  char manufacturer[5];
  char vendor_string[17];
  guint32 tpm_type;
  guint32 firmware_1;
  guint32 firmware_2;
  TPMA_MEMORY memory;
} FixedProperties;

/* Variable properties (group PT_VAR). */
typedef struct
{
  TPMA_PERMANENT permanent;
  TPMA_STARTUP_CLEAR startup_clear;
  guint32 lockout_counter;
  guint32 max_auth_fail;
  guint32 lockout_interval;
  guint32 lockout_recovery;
  /* What is used and what is left; PROPERTY_UNKNOWN: the chip does not say. */
  guint32 nv_indices;
  guint32 persistent;
  guint32 persistent_available;
  guint32 transient_available; /* objects; with what the broker can put out */
  guint32 loaded_available;    /* sessions in the chip; as well */
  guint32 active_available;    /* sessions, saved ones too */
  guint32 nv_counters_available;
} VariableProperties;

#define PROPERTY_UNKNOWN G_MAXUINT32

/* One TPM command, more where the chip answers in parts. Errors: rc_check()'s; TPM_FAILURE for nonsense. */
gboolean
properties_read_fixed (Tpm *tpm, FixedProperties *out, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* As properties_read_fixed(). A chip that leaves out one of them answers nonsense: they are mandatory. */
gboolean properties_read_variable (Tpm *tpm,
                                   VariableProperties *out,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
