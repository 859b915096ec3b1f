/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"
#include "token/tokens.h"

G_BEGIN_DECLS

/* Arguments of the operations with a token, or with a key in it. What a method does not have stays 0. */
typedef struct
{
  Tokens *tokens;
  Job *job;
  char *token;
  GBytes *id; /* of the key; of a new one where its method says */
  Secret *pin;
  Secret *new_pin;
  TokensPinChange change;
  char *label; /* of the key */
  char *algorithm;
  char *subject;
  ExtensionParams extensions;
  guint days;
  char *pem;
  gboolean force;
  gboolean dry_run;
  GBytes *data;
  char *mechanism;
  char *hash;
  gboolean is_digest;
  Signer *signer;         /* main thread */
  HelperLine *distrusted; /* that has failed; NULL: none */
} TokenArgs;

/* @id: of the key; NULL: the token alone */
TokenArgs *token_args_new (const Context *context, const char *token, GBytes *id);
void token_args_free (gpointer args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TokenArgs, token_args_free)

/*
 * Reads the options of @operation, which has @args and takes a PIN: what is in a certificate request.
 * @own: one more, of the method alone; NULL: none. Errors: those of options_parse(), csr_check_subject() and
 * extensions_check()
 */
gboolean token_args_parse_request (TokenArgs *args,
                                   Operation *operation,
                                   GVariant *options,
                                   GUnixFDList *fds,
                                   const Option *own,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What comes out of making a key. */
typedef struct
{
  char *token;
  TokenKey *key;
  char *csr; /* NULL: none was asked for */
} NewKey;

/* Takes @key and @csr. */
NewKey *new_key_new (const char *token, TokenKey *key, char *csr);
void new_key_free (gpointer new_key);
/* OperationResult: `key`, `uri` and, if there is one, `csr` */
GVariant *new_key_to_variant (gpointer new_key);

G_END_DECLS
