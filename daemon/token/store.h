/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

#include "common/config.h"
#include "common/secret.h"
#include "token/primary.h"
#include "tpm/tpm.h"

G_BEGIN_DECLS

/*
 * Store: the tpm2-pkcs11 database below STATE_DIR/pkcs11 (directory 1770, database 0640, group ggtpm) and the PIN files
 * below STATE_DIR/pins. Every change goes through a StoreChange: a copy is changed, then renamed over the original; a
 * power cut leaves what was or what was asked for. One writer at a time: the token lane's thread.
 */
typedef struct _Store Store;
/* A change of it, see store_change_new(). */
typedef struct _StoreChange StoreChange;

/* Makes the directories where they are missing, and mends modes and groups; what belongs to another user is logged.
 * Removes what an interrupted change left. Errors: GGTPM_ERROR_STORE. */
Store *store_new (const Config *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void store_free (Store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Store, store_free)

/* Directory and database file; owned by @store. */
const char *store_get_dir (Store *store);
const char *store_get_database (Store *store);
/* Whether there is a database at all. */
gboolean store_exists (Store *store);
/* The same without a Store. Any thread. */
gboolean store_exists_below (const char *state_dir);

/* Whether the database has a token of that label; reads the file alone. Errors: GGTPM_ERROR_STORE. */
gboolean store_has_token (Store *store, const char *token, gboolean *out_found, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;

/* Handle of the primary that the token's keys are below, by the database; 0: not persistent, or not known. */
guint32 store_find_parent (Store *store, const char *token);

/* Before the library opens it, which neither waits for a writer nor says what is wrong: waits a few seconds for a lock,
 * and checks the structure. Errors: GGTPM_ERROR_STORE. */
gboolean store_check_database (Store *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A string that differs whenever the database has been changed by anybody: inode, mtime, size. Free with g_free(). */
char *store_get_stamp (Store *store);

/*
 * Before any login: whether the primary that the database names is the one in the chip (ReadPublic's name against
 * pobjects). Two TPM commands. Errors: GGTPM_ERROR_STORE with the remedy: TPM cleared, another chip, another SRK;
 * GGTPM_ERROR_LOCKED_OUT when the chip is in lockout: no login may be tried.
 */
gboolean store_check_chip (Store *store, Tpm *tpm, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether what store_check_chip() finds wrong may be no more than primaries that store_restore_primaries() makes again:
 * at least one is gone from its handle, and none is another. One TPM command for each. */
gboolean store_misses_primary (Store *store, Tpm *tpm);
/* Makes primaries that are not at their handles any more again, if this chip can: the same seed makes the same key.
 * Errors: as store_check_chip()'s where it cannot. */
gboolean store_restore_primaries (Store *store, Tpm *tpm, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* For the text of an error after a wrong PIN: `2 of 32 tries used`. One TPM command. Free with g_free(). */
char *store_describe_tries (Tpm *tpm);

typedef enum
{
  STORE_PIN_USER, /* pins/LABEL.user 0640 group ggtpm */
  STORE_PIN_SO,   /* pins/LABEL.so 0600 */
} StorePin;

/* Path of a PIN file, whether it exists or not; free with g_free(). The label is encoded as sd_bus_path_encode()
 * does. */
char *store_get_pin_path (Store *store, const char *token, StorePin kind);
/* NULL without error if there is none. */
Secret *store_load_pin (Store *store, const char *token, StorePin kind, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/*
 * store_load_pin() for a login. Errors: also GGTPM_ERROR_AUTH_FAILED: the chip has refused this PIN before, and neither
 * its file nor the token's seal object has changed since.
 */
Secret *store_load_login_pin (Store *store, const char *token, StorePin kind, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/* The chip has refused it; remembered as long as @store is there. Opens the database. */
void store_note_refused_pin (Store *store, const char *token, StorePin kind);
gboolean store_save_pin (Store *store,
                         const char *token,
                         StorePin kind,
                         const Secret *pin,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * That the PINs which @change has set, the user PIN (@user) and the SO PIN (@so), were drawn by us, from at least 128
 * random bits; before the commit. It is a matter of the token's seal: whoever sets another PIN, by whatever program,
 * ends it.
 */
gboolean store_note_drawn_pins (Store *store,
                                StoreChange *change,
                                const char *token,
                                gboolean user,
                                gboolean so,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether both PINs of the token are known to be such. Blocks, for small files. */
gboolean store_pins_are_drawn (Store *store, const char *token);

/* Whether the token has a PIN file. */
gboolean store_has_pins (Store *store, const char *token);
/* Both PIN files of a token; those that are not there are fine. */
gboolean
store_remove_pins (Store *store, const char *token, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * A new PIN and the store never disagree, whatever is cut where: store_stage_pin() puts it beside the old one, under a
 * name that has in it which state of the store it belongs to; then the change is committed; then store_settle()
 * puts in its place what belongs to the store as it is, and removes what does not. store_new() does that, too.
 * @pin: NULL: the PIN is not known: its file goes
 */
gboolean store_stage_pin (Store *store,
                          StoreChange *change,
                          const char *token,
                          StorePin kind,
                          const Secret *pin,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* For a change that the token is not in any more: store_settle() then removes its PIN files, or leaves them where
 * the change was not committed. */
gboolean
store_stage_no_pins (Store *store, const char *token, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * The same for a file of the state directory that belongs to what @change makes of the store: it is taken from the
 * staging directory, where it was written and synced. After the last change of the copy, whose stamp is in the name.
 */
gboolean
store_stage_file (StoreChange *change, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean store_settle (Store *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- changing it ---- */

/* Copies the database into a new directory in STATE_DIR/pkcs11.staging. Where there is none yet that directory stays
 * empty: helper_jobs_open() has the library make its tables. Errors: GGTPM_ERROR_STORE. */
StoreChange *store_change_new (Store *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Without a commit: removes the staging directory; the store is as it was. */
void store_change_free (StoreChange *change);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StoreChange, store_change_free)

/* The staging directory, for a HelperClient. */
const char *store_change_get_dir (StoreChange *change);
/* Removes what no token uses and what does not fit the chip: C_InitToken would take it for the new token. */
gboolean store_change_drop_stale_primaries (StoreChange *change,
                                            Tpm *tpm,
                                            GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether a primary is known. */
gboolean store_change_has_primary (StoreChange *change);
/* By SQLite, without a login: everything of that token, and the entry of the primary of that name (NULL: of none)
 * where no other token uses it.
 * @out_primary_used: whether one does */
gboolean store_change_remove_token (StoreChange *change,
                                    const char *token,
                                    GBytes *primary_name,
                                    gboolean *out_primary_used,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * The whole database with @extras (name -> GBytes; kept apart from it), as one file: a line with format, length and
 * SHA-256 of what follows, then SQLite's.
 */
GBytes *store_change_pack (StoreChange *change,
                           GHashTable *extras,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * Puts what store_change_pack() has made in the place of the copy; returns the extras, wiped when they are freed.
 * Errors: GGTPM_ERROR_INVALID_ARGS: it is something else, or damaged; GGTPM_ERROR_NOT_SUPPORTED: a schema newer than
 * @schema.
 */
GHashTable *store_change_unpack (StoreChange *change, GBytes *backup, int schema, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
/* Schema of the copy. */
gboolean store_change_get_schema (StoreChange *change,
                                  int *out_version,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Labels in the copy; free with g_strfreev(). */
char **store_change_list_tokens (StoreChange *change, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether all primaries that the copy's tokens use are in this chip; those that were evicted are made again, after
 * @intent was told. Errors: as store_check_chip()'s. */
gboolean store_change_check_chip (StoreChange *change,
                                  Tpm *tpm,
                                  PrimaryIntentFunc intent,
                                  gpointer user_data,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether the PIN of that kind is the same in the store and in the copy. */
gboolean store_change_keeps_pin (StoreChange *change, const char *token, StorePin kind);
/* Adds the pobjects row of a persistent primary; @esys_blob: Esys_TR_Serialize()'s. After helper_jobs_open() and before
 * helper_jobs_init_token() of the same helper: C_InitToken looks there for it. */
gboolean store_change_add_primary (StoreChange *change,
                                   const guint8 *esys_blob,
                                   gsize len,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Sets pss-sigs-good in the token's config. After the helper's last job; whoever opens the store later sees it. */
gboolean store_change_set_pss_sigs_good (StoreChange *change,
                                         const char *token,
                                         gboolean good,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
/*
 * The helper must have ended. Refuses (GGTPM_ERROR_BUSY) if the original has changed since store_change_new(); else
 * permissions, integrity check, fsync, rename, fsync.
 */
gboolean store_change_commit (StoreChange *change, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* store_get_stamp()'s of what was put in place, whatever others have done to it since; NULL before the commit. */
const char *store_change_get_stamp (StoreChange *change);

G_END_DECLS
