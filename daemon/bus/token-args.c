/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "token-args.h"

#include "bus/object-path.h"
#include "token/csr.h"

TokenArgs *
token_args_new (const Context *context, const char *token, GBytes *id)
{
  TokenArgs *args = g_new0 (TokenArgs, 1);

  args->tokens = context->tokens;
  args->token = g_strdup (token);
  args->id = id != NULL ? g_bytes_ref (id) : NULL;
  return args;
}

void
token_args_free (gpointer data)
{
  TokenArgs *args = data;

  g_clear_pointer (&args->job, job_unref);
  g_free (args->token);
  g_clear_pointer (&args->id, g_bytes_unref);
  g_clear_pointer (&args->pin, secret_free);
  g_clear_pointer (&args->new_pin, secret_free);
  g_free (args->label);
  g_free (args->algorithm);
  g_free (args->subject);
  extension_params_clear (&args->extensions);
  g_free (args->pem);
  g_clear_pointer (&args->data, g_bytes_unref);
  g_free (args->mechanism);
  g_free (args->hash);
  g_clear_pointer (&args->distrusted, helper_line_unref);
  g_free (args);
}

gboolean
token_args_parse_request (TokenArgs *args,
                          Operation *operation,
                          GVariant *options,
                          GUnixFDList *fds,
                          const Option *own,
                          GError **error)
{
  const Option table[] = {
    { "subject", "s", &args->subject },
    { "alt-names", "as", &args->extensions.alt_names },
    { "key-usage", "as", &args->extensions.key_usage },
    { "ext-key-usage", "as", &args->extensions.ext_key_usage },
    operation_pin_option (operation, "pin", &args->pin),
    own != NULL ? *own : (Option){ NULL, NULL, NULL },
    { NULL, NULL, NULL },
  };

  return options_parse (options, fds, table, error) &&
         (args->subject == NULL || csr_check_subject (args->subject, error)) &&
         extensions_check (&args->extensions, error);
}

/* ---- a new key ---- */

NewKey *
new_key_new (const char *token, TokenKey *key, char *csr)
{
  NewKey *new_key = g_new0 (NewKey, 1);

  new_key->token = g_strdup (token);
  new_key->key = key;
  new_key->csr = csr;
  return new_key;
}

void
new_key_free (gpointer data)
{
  NewKey *new_key = data;

  token_key_free (new_key->key);
  g_free (new_key->token);
  g_free (new_key->csr);
  g_free (new_key);
}

GVariant *
new_key_to_variant (gpointer data)
{
  const NewKey *new_key = data;
  g_autofree char *path = object_path_for_key (new_key->token, new_key->key->id);
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  g_variant_dict_insert (&dict, "key", "o", path);
  g_variant_dict_insert (&dict, "uri", "s", new_key->key->uri);
  if (new_key->csr != NULL)
    g_variant_dict_insert (&dict, "csr", "s", new_key->csr);
  return g_variant_dict_end (&dict);
}
