/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "tpm.h"

G_BEGIN_DECLS

#define ABILITIES_UPDATES_UNKNOWN G_MAXUINT32

/* Abilities: what a chip can, of what is worth a property on the bus. */
typedef struct
{
  char **algorithms; /* as tpm2-tools writes them; `0x0033` for one without a name */
  char **curves;
  char **pcr_banks; /* that are allocated */
  guint32 max_command;
  guint32 max_response;
  const char
      *update_mode; /* static: `normal`, `update`, `recovery`; empty: the chip does not tell */
  guint32 updates_remaining;
} Abilities;

void abilities_free (Abilities *abilities);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Abilities, abilities_free)

/* Some five TPM commands, some ten more for a chip of Infineon. Errors: capabilities_read()'s. */
Abilities *abilities_read (Tpm *tpm, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The words for OPERATION_MODE of an SLB 9672 or 9673. */
const char *abilities_describe_mode (guint32 mode);

G_END_DECLS
