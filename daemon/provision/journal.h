/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* In the state directory, and in a backup */
#define JOURNAL_FILE_NAME "provision.json"

/* What was asked for and how far it came: one key pair in one token. */
typedef struct
{
  char *token;
  char *key;
  char *algorithm;
  char *subject;
  char *extensions; /* plan_key_dup_extensions(); NULL: none */
  char *key_id;     /* CKA_ID, hexadecimal; drawn before the key is made */
  char *spki_sum; /* SHA-256 of the public key that @csr is for, hexadecimal; NULL: none made yet */
  char *csr;      /* PEM; NULL: none made yet */
  gboolean ready; /* FALSE: begun, to be completed by the next call */
} JournalEntry;

void journal_entry_free (JournalEntry *entry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (JournalEntry, journal_entry_free)

/*
 * Journal: STATE_DIR/provision.json: what was begun, so that a provisioning cut off anywhere can be finished: intents
 * are on disk before what they announce. Written whole, atomically (common/atomic-file.h). No secrets in it. One thread
 * at a time: the token lane's writes; readers see the old or the new file.
 */
typedef struct
{
  guint32 primary_handle; /* 0: none made; where the SRK is or was to be made persistent */
  char *primary_name;     /* its name, hexadecimal */
  gboolean primary_made;  /* it was not there before: it may go with the last token that needs it */
  char *removing;         /* token whose removal was begun and not finished; NULL: none */
  GPtrArray *entries;     /* of JournalEntry */
} Journal;

Journal *journal_new (void);
void journal_free (Journal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Journal, journal_free)

/* An empty one where there is none. Errors: GGTPM_ERROR_STORE when it cannot be read or does not parse. */
Journal *journal_load (const char *state_dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Errors: GGTPM_ERROR_STORE. */
gboolean journal_save (const Journal *journal,
                       const char *state_dir,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * The primary at @handle, before it is made persistent.
 * @name: hexadecimal
 * @is_new: it is to be made now; one of the same name that was made by us before is still ours
 */
void journal_set_primary (Journal *journal, guint32 handle, const char *name, gboolean is_new);

/* Borrowed; NULL if there is none. */
JournalEntry *journal_find (const Journal *journal, const char *token, const char *key);
/* The entry of @token and @key, made if there is none; borrowed. */
JournalEntry *journal_ensure (Journal *journal, const char *token, const char *key);
void journal_remove (Journal *journal, JournalEntry *entry);
/* All entries of @token. */
void journal_remove_token (Journal *journal, const char *token);

G_END_DECLS
