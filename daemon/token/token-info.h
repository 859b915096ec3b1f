/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token/helper-client.h"
#include "token/store.h"

G_BEGIN_DECLS

/*
 * What is known of a token and its keys without a login.
 */
typedef struct
{
  char *label;
  GBytes *id;
  char *algorithm;
  char *curve;         /* public_key_get_curve()'s */
  GBytes *spki;        /* SubjectPublicKeyInfo, DER */
  char *uri;           /* of the private key */
  GBytes *certificate; /* DER; NULL: none */
  GBytes *name;        /* TPM2B_NAME without its size; NULL: not known */
  guint32 attributes;  /* TPMA_OBJECT; 0 where @name is NULL */
  gboolean is_roca;    /* CVE-2017-15361 */
  guint32 parent;      /* handle of its primary; 0: not known */
  gint64
      created; /* beginning of the day in seconds since the epoch, by CKA_START_DATE; 0: not known */
} TokenKey;

typedef struct
{
  char *label;
  guint64 slot;
  char *manufacturer;
  char *model;
  char *serial;
  char *uri;
  gboolean pin_stored;
  gboolean pins_generated; /* both, by us */
  GPtrArray *keys;         /* of TokenKey */
} TokenInfo;

void token_key_free (TokenKey *key);
void token_info_free (TokenInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TokenKey, token_key_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TokenInfo, token_info_free)

/* Of TokenInfo, ordered by slot, from the helper's answer to `list`; @store: for pin_stored. */
GPtrArray *
token_info_parse_list (json_object *tokens, Store *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Borrowed from @info; NULL if there is none. */
TokenKey *token_info_find_key (const TokenInfo *info, const char *label);
TokenKey *token_info_find_key_by_id (const TokenInfo *info, GBytes *id);

G_END_DECLS
