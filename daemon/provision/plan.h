/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/config.h"
#include "common/secret.h"

G_BEGIN_DECLS

/* What should be: from /etc/ggtpm/provision.conf or the options of Provisioning.Provision, completed with defaults. */
typedef struct
{
  char *token;     /* [Token] Label=; default greengrass */
  char *key;       /* [Key] Label=; default greenkey */
  char *algorithm; /* [Key] Algorithm=; default ecc-p256 */
  char *subject;   /* [Key] Subject=; NULL: CN= and the key's label */
  gboolean
      exclusive; /* a token that is there and not ours is an error; default; else it is completed */
  Secret *pin;   /* NULL: stored or generated */
  Secret *so_pin;   /* NULL: stored or generated */
  gboolean dry_run; /* only find out what is missing */
} Plan;

/* With every default. */
Plan *plan_new (void);
/* A GKeyFile, values as they are written (no escapes); an unknown group or key is an error that names it.
 * Errors: GGTPM_ERROR_INVALID_ARGS, G_FILE_ERROR. */
Plan *plan_load (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same from @text, into @plan; what it does not say stays as it is. Errors: GGTPM_ERROR_INVALID_ARGS. */
gboolean
plan_read (Plan *plan, const char *text, gsize len, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Labels, algorithm, subject, PINs. Errors: GGTPM_ERROR_INVALID_ARGS; NOT_SUPPORTED for the algorithm. */
gboolean plan_check (const Plan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The subject in RFC 4514 notation, with its default. Free with g_free(). */
char *plan_dup_subject (const Plan *plan);
void plan_free (Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Plan, plan_free)

G_END_DECLS
