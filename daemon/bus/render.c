/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "render.h"

#include "common/sealed-file.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "dbus/names.h"
#include "token/protocol.h"
#include "token/store.h"

#include <string.h>
#include <unistd.h>

RenderArgs *
render_args_new (const Config *config, Tokens *tokens)
{
  RenderArgs *args = g_new0 (RenderArgs, 1);

  args->config = config;
  args->tokens = tokens;
  args->params = g_new0 (GreengrassParams, 1);
  return args;
}

void
render_args_free (gpointer data)
{
  RenderArgs *args = data;

  greengrass_params_free (args->params);
  g_free (args);
}

void
rendered_free (Rendered *rendered)
{
  if (rendered->fd >= 0)
    close (rendered->fd);
  g_free (rendered->path);
  g_free (rendered);
}

static gboolean
load_pin (const RenderArgs *args, GError **error)
{
  GreengrassParams *params = args->params;
  Store *store = tokens_get_store (args->tokens);
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Secret) pin = store_load_pin (store, params->token, STORE_PIN_USER, &local_error);

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (pin == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_AUTH_REQUIRED,
                   "the configuration needs the user PIN of the token '%s', which ggtpmd does not "
                   "have",
                   params->token);
      return FALSE;
    }
  params->pin = g_strdup (secret_peek (pin));
  return TRUE;
}

/* How consumers reach the chip. */
static char *
make_tcti (const Config *config)
{
  if (config->mode == CONFIG_MODE_ALONGSIDE)
    return g_strdup (config->tcti);
  if (g_str_equal (config->runtime_dir, GGTPM_RUNTIME_DIR))
    return g_strdup (config->tcti_module);
  return g_strdup_printf ("%s:path=%s/%s", config->tcti_module, config->runtime_dir,
                          GGTPM_SOCKET_NAME);
}

static gboolean
complete_params (const RenderArgs *args, GCancellable *cancellable, GError **error)
{
  GreengrassParams *params = args->params;
  g_autoptr (TokenInfo) token = NULL;
  TokenKey *key;

  params->pkcs11_module = g_strdup (args->config->pkcs11_module);
  params->store_dir = g_strdup (store_get_dir (tokens_get_store (args->tokens)));
  params->tcti = make_tcti (args->config);
  if (!greengrass_needs_key (args->flavour, params))
    return TRUE;
  if (params->token == NULL)
    params->token = g_strdup (RENDER_DEFAULT_TOKEN);
  if (params->key == NULL)
    params->key = g_strdup (RENDER_DEFAULT_KEY);
  token = tokens_find (args->tokens, params->token, cancellable, error);
  if (token == NULL)
    return FALSE;
  key = token_info_find_key (token, params->key);
  if (key == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "the token '%s' has no key '%s'",
                   params->token, params->key);
      return FALSE;
    }
  params->slot = token->slot;
  params->rsa = g_str_has_prefix (key->algorithm, "rsa");
  params->pin_source =
      store_get_pin_path (tokens_get_store (args->tokens), params->token, STORE_PIN_USER);
  return !greengrass_needs_pin (args->flavour) || load_pin (args, error);
}

gpointer
render_run (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  RenderArgs *args = data;
  Rendered *rendered;
  char *text;
  int fd;

  if (!complete_params (args, cancellable, error))
    return NULL;
  text = greengrass_render (args->flavour, args->params, error);
  if (text == NULL)
    return NULL;
  fd = sealed_file_new ("ggtpm-config", text, strlen (text), error);
  secret_wipe (text, strlen (text));
  g_free (text);
  if (fd < 0)
    return NULL;
  rendered = g_new0 (Rendered, 1);
  rendered->fd = fd;
  rendered->path = greengrass_make_default_path (args->flavour, args->params->unit);
  return rendered;
}
