/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What rules look at in one key of the token store. */
typedef struct
{
  char *name; /* `TOKEN/KEY`, their labels */
  gboolean is_rsa;
  gboolean is_imported; /* the chip says that it has not made it */
  gboolean is_roca;     /* CVE-2017-15361 */
  gboolean has_certificate;
  gboolean certificate_matches; /* it can be read and is this key's; only then: */
  gint64 not_before;            /* seconds since the epoch */
  gint64 not_after;
} StoreKey;

/* StoreFacts: what rules look at in the token store. */
typedef struct
{
  guint n_tokens;
  gboolean pins_are_generated; /* there are tokens, and all their PINs were drawn by us */
  GPtrArray *keys;             /* of StoreKey */
} StoreFacts;

/* @tokens: of TokenInfo. Parses certificates; does not block. */
StoreFacts *store_facts_new (GPtrArray *tokens);
/* An empty one, and a key for it; whose name @name is taken. */
StoreFacts *store_facts_new_empty (void);
StoreKey *store_facts_add_key (StoreFacts *facts, char *name);
void store_facts_free (StoreFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StoreFacts, store_facts_free)

/* NULL: there is none of that name. */
const StoreKey *store_facts_find_key (const StoreFacts *facts, const char *name);

G_END_DECLS
