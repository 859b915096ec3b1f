/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-facts.h"

#include "common/certificate.h"
#include "token/token-info.h"

/* TPMA_OBJECT (TPM 2.0 Library Part 2, 8.3): the TPM has drawn the private part itself */
#define SENSITIVE_DATA_ORIGIN 0x20u

static void
key_free (gpointer data)
{
  StoreKey *key = data;

  g_free (key->name);
  g_free (key);
}

StoreFacts *
store_facts_new_empty (void)
{
  StoreFacts *facts = g_new0 (StoreFacts, 1);

  facts->keys = g_ptr_array_new_with_free_func (key_free);
  return facts;
}

void
store_facts_free (StoreFacts *facts)
{
  g_ptr_array_unref (facts->keys);
  g_free (facts);
}

StoreKey *
store_facts_add_key (StoreFacts *facts, char *name)
{
  StoreKey *key = g_new0 (StoreKey, 1);

  key->name = name;
  g_ptr_array_add (facts->keys, key);
  return key;
}

static void
add_key (StoreFacts *facts, const char *token, const TokenKey *info)
{
  StoreKey *key = store_facts_add_key (facts, g_strdup_printf ("%s/%s", token, info->label));
  g_autoptr (X509) certificate = NULL;
  const guint8 *der;
  gsize len = 0;

  key->is_rsa = g_str_has_prefix (info->algorithm, "rsa");
  key->is_imported = info->name != NULL && (info->attributes & SENSITIVE_DATA_ORIGIN) == 0;
  key->is_roca = info->is_roca;
  key->has_certificate = info->certificate != NULL;
  if (!key->has_certificate)
    return;
  der = g_bytes_get_data (info->certificate, &len);
  certificate = certificate_parse_der (der, len, NULL);
  key->certificate_matches = certificate != NULL && certificate_matches (certificate, info->spki);
  if (key->certificate_matches)
    certificate_get_validity (certificate, &key->not_before, &key->not_after);
}

StoreFacts *
store_facts_new (GPtrArray *tokens)
{
  StoreFacts *facts = store_facts_new_empty ();

  facts->n_tokens = tokens->len;
  facts->pins_are_generated = tokens->len > 0;
  for (guint i = 0; i < tokens->len; i++)
    {
      const TokenInfo *token = g_ptr_array_index (tokens, i);

      facts->pins_are_generated &= token->pins_generated;
      for (guint j = 0; j < token->keys->len; j++)
        add_key (facts, token->label, token->keys->pdata[j]);
    }
  return facts;
}

const StoreKey *
store_facts_find_key (const StoreFacts *facts, const char *name)
{
  for (guint i = 0; i < facts->keys->len; i++)
    {
      const StoreKey *key = g_ptr_array_index (facts->keys, i);

      if (g_str_equal (key->name, name))
        return key;
    }
  return NULL;
}
