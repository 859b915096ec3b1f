/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token/tokens.h"

G_BEGIN_DECLS

/* What tokens.c, tokens-keys.c, tokens-pins.c and tokens-sign.c share. */

#define TOKENS_MAX_LABEL 32

/* So long a login of the signer is taken to last: well within PROTOCOL_IDLE_CLOSE_S. */
#define LOGIN_LIFETIME_US (45 * G_USEC_PER_SEC)

struct _Tokens
{
  const Config *config;
  Store *store;
  HelperClient *signer; /* warm, on the store itself */
  char *signer_stamp;   /* of the database that it has read */
  GPtrArray *infos;     /* what it has read; NULL: not asked yet */
  json_object *listing; /* of a helper, whose helper_jobs_list() it is; NULL: none yet */
  char *listing_stamp;  /* of the database that it is of */
  /* Token whose stored PIN the signer has accepted, and when it was last used; NULL: none */
  char *logged_in;
  gint64 last_used;
  GMutex refusal_lock;
  char *rsa_refusal; /* under it; NULL: RSA keys are made */
};

/* A change and the helper that makes it. */
typedef struct
{
  StoreChange *change;
  HelperClient *client;
  /* Objects were removed: libtpm2_pkcs11 1.9 does not list in the same process what was added after that. */
  gboolean listing_is_wrong;
} Writer;

void writer_free (Writer *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Writer, writer_free)
Writer *writer_new (Tokens *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Ends the helper, puts the change in place; the signer is dropped with it, and all that was borrowed of it. */
gboolean writer_commit (Writer *writer, Tokens *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Owned by @self; started anew when the database is not the one that it has read. */
HelperClient *tokens_get_signer (Tokens *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void tokens_drop_signer (Tokens *self);
void tokens_forget_login (Tokens *self);

/* From what the signer has read; borrowed, until the signer is used again. Errors: GGTPM_ERROR_NOT_FOUND. */
TokenInfo *tokens_find_info (Tokens *self,
                             const char *token,
                             GCancellable *cancellable,
                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
TokenKey *tokens_find_key (Tokens *self,
                           const char *token,
                           GBytes *id,
                           GCancellable *cancellable,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A copy of @given, or store_load_login_pin()'s. Errors: also GGTPM_ERROR_AUTH_REQUIRED. */
Secret *tokens_get_pin (Tokens *self,
                        const char *token,
                        StorePin kind,
                        const Secret *given,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* tokens_get_pin() and what stands before any login: the token is there, the chip is its chip and takes
 * authorisations. */
Secret *tokens_prepare_login (Tokens *self,
                              Tpm *tpm,
                              const char *token,
                              StorePin kind,
                              const Secret *given,
                              GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A wrong PIN: how near to lockout it has brought the chip. A stored one is not tried again. */
void tokens_explain_login_error (Tokens *self,
                                 Tpm *tpm,
                                 const char *token,
                                 StorePin kind,
                                 const Secret *given,
                                 GError **error);

G_END_DECLS
