/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>
#include <json-c/json.h>

G_BEGIN_DECLS

/*
 * Journal: STATE_DIR/provision.json: what was begun, so that a provisioning cut off anywhere can be finished: intents
 * are on disk before what they announce. Written whole, atomically (common/atomic-file.h). No secrets in it.
 */
typedef struct
{
  char *state; /* `partial` or `ready` */
  char *token; /* what was asked for */
  char *key;
  char *algorithm;
  char *subject;
  char *key_id;           /* CKA_ID, hexadecimal; drawn before the key is made */
  guint32 primary_handle; /* 0: not begun; where the SRK is or was to be made persistent */
  char *primary_name;     /* its name, hexadecimal */
} Journal;

/* NULL without error where there is none. Errors: GGTPM_ERROR_STORE when it does not parse. */
Journal *journal_load (const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean journal_save (const Journal *journal,
                       const char *state_dir,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;
void journal_free (Journal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Journal, journal_free)

G_END_DECLS
