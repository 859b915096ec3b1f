/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm/abilities.h"

G_BEGIN_DECLS

/* PCRs that firmware and boot loader extend (TCG PC Client Platform Firmware Profile, 3.3.4) */
#define PLATFORM_FACTS_PCRS 8u

/* PlatformFacts: what rules look at in the chip's place in its machine; read when the chip is opened. */
typedef struct
{
  gboolean has_sha256;  /* that bank is allocated */
  char *update_mode;    /* `normal`, `update`, `recovery`; empty: the chip does not tell */
  gboolean is_measured; /* the firmware has left a log of what it has measured; only then: */
  gboolean have_pcrs;
  guint32 empty_pcrs; /* bit n: PCR n of the SHA-256 bank is as a reset has left it */
  gboolean have_replay;
  guint32 mismatches; /* bit n: PCR n is not what the log says; 0: all are */
  char *log_error; /* why there is no replay; NULL: there is one, or the PCRs could not be read */
} PlatformFacts;

/*
 * @event_log: path of the firmware's log for this chip; NULL: none can be. Blocks, for a file of the kernel. No TPM
 * command where there is no log, one where there is. Errors: rc_check()'s.
 */
PlatformFacts *platform_facts_read (Tpm *tpm,
                                    const Abilities *abilities,
                                    const char *event_log,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
void platform_facts_free (PlatformFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (PlatformFacts, platform_facts_free)

G_END_DECLS
