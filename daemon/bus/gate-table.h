/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* GateTable: who may call what. What is not in it nobody may. */
typedef enum
{
  GATE_PLAIN,
  GATE_OWNER_TOO,  /* whoever made the object may without the action: Job.Cancel */
  GATE_ROOT_ALONE, /* without polkit root may, and the group of consumers may not: what gives out the auths of the chip,
                      or makes what is sealed to PCRs useless */
} GateExtra;

typedef struct
{
  const char *interface;
  const char *method;
  const char *action; /* polkit's; NULL: everybody may */
  GateExtra extra;
} GateRule;

/* NULL: nobody may. */
const GateRule *gate_table_lookup (const char *interface, const char *method);

G_END_DECLS
