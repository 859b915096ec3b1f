/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "render.h"

#include "common/secret.h"
#include "dbus/error.h"
#include "token/protocol.h"
#include "token/store.h"

#include <glib/gstdio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_TOKEN "greengrass"
#define DEFAULT_KEY   "greenkey"

RenderArgs *
render_args_new (const Config *config, Tokens *tokens)
{
  RenderArgs *args = g_new0 (RenderArgs, 1);

  args->config = config;
  args->tokens = tokens;
  args->params = g_new0 (GreengrassParams, 1);
  args->params->token = g_strdup (DEFAULT_TOKEN);
  args->params->key = g_strdup (DEFAULT_KEY);
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

static gboolean
complete_params (const RenderArgs *args, GCancellable *cancellable, GError **error)
{
  GreengrassParams *params = args->params;
  g_autoptr (TokenInfo) token = tokens_find (args->tokens, params->token, cancellable, error);
  TokenKey *key;

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
  params->pkcs11_module = g_strdup (args->config->pkcs11_module);
  params->pin_source =
      store_get_pin_path (tokens_get_store (args->tokens), params->token, STORE_PIN_USER);
  return !greengrass_needs_pin (args->flavour) || load_pin (args, error);
}

static gboolean
write_all (int fd, const char *text, GError **error)
{
  gsize len = strlen (text);

  while (len > 0)
    {
      gssize n = write (fd, text, len);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        {
          g_set_error (error, G_IO_ERROR, (gint)g_io_error_from_errno (errno),
                       "writing the configuration: %s", g_strerror (errno));
          return FALSE;
        }
      text += n;
      len -= (gsize)n;
    }
  return TRUE;
}

/* The reader can neither change it nor have it changed under its eyes. */
static int
make_memfd (const char *text, GError **error)
{
  int fd = memfd_create ("ggtpm-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

  if (fd < 0)
    {
      g_set_error (error, G_IO_ERROR, (gint)g_io_error_from_errno (errno),
                   "making a memory file: %s", g_strerror (errno));
      return -1;
    }
  if (!write_all (fd, text, error))
    {
      close (fd);
      return -1;
    }
  if (lseek (fd, 0, SEEK_SET) != 0 ||
      fcntl (fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    {
      g_set_error (error, G_IO_ERROR, (gint)g_io_error_from_errno (errno),
                   "sealing the configuration: %s", g_strerror (errno));
      close (fd);
      return -1;
    }
  return fd;
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
  fd = make_memfd (text, error);
  secret_wipe (text, strlen (text));
  g_free (text);
  if (fd < 0)
    return NULL;
  rendered = g_new0 (Rendered, 1);
  rendered->fd = fd;
  rendered->path = greengrass_get_default_path (args->flavour);
  return rendered;
}
