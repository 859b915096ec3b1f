/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "objects.h"

#include "client/output.h"
#include "dbus/error.h"
#include "dbus/names.h"

#define MAX_NAMED 8 /* of what there is, where something is not there */

/* A property that the daemon does not have reads as NULL. */
static const char *
get_text (const char *text)
{
  return text != NULL ? text : "";
}

/* The interface @name of every object that has it. */
static GPtrArray *
list_interfaces (Client *client, const char *name)
{
  GPtrArray *found = g_ptr_array_new_with_free_func (g_object_unref);
  GList *objects = g_dbus_object_manager_get_objects (client->objects);

  for (GList *at = objects; at != NULL; at = at->next)
    {
      GDBusInterface *interface = g_dbus_object_get_interface (at->data, name);

      if (interface != NULL)
        g_ptr_array_add (found, interface);
    }
  g_list_free_full (objects, g_object_unref);
  return found;
}

static gpointer
get_device_interface (Client *client, const char *name)
{
  g_autoptr (GDBusInterface) interface =
      g_dbus_object_manager_get_interface (client->objects, GGTPM_DEVICE_PATH, name);

  /* The object manager keeps it. */
  return interface;
}

GgtpmDevice *
objects_get_device (Client *client)
{
  return get_device_interface (client, "org.ggtpm1.Device");
}

GgtpmHealth *
objects_get_health (Client *client)
{
  return get_device_interface (client, "org.ggtpm1.Health");
}

GgtpmPlatform *
objects_get_platform (Client *client)
{
  return get_device_interface (client, "org.ggtpm1.Platform");
}

GgtpmOwnership *
objects_get_ownership (Client *client, GError **error)
{
  GgtpmOwnership *ownership = get_device_interface (client, "org.ggtpm1.Ownership");

  if (ownership == NULL)
    g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
                         "this ggtpmd does not take ownership of a TPM");
  return ownership;
}

char *
objects_get_token_label (Client *client, const char *path)
{
  g_autoptr (GDBusInterface) interface = NULL;

  if (path != NULL && g_variant_is_object_path (path))
    interface = g_dbus_object_manager_get_interface (client->objects, path, "org.ggtpm1.Token");
  if (interface == NULL)
    return g_strdup (get_text (path));
  return g_strdup (get_text (ggtpm_token_get_label (GGTPM_TOKEN (interface))));
}

char *
objects_get_key_id (GgtpmKey *key)
{
  GString *text = g_string_new (NULL);
  GVariant *id = ggtpm_key_get_id (key);
  const guint8 *bytes = NULL;
  gsize len = 0;

  if (id != NULL)
    bytes = g_variant_get_fixed_array (id, &len, 1);
  for (gsize i = 0; i < len; i++)
    g_string_append_printf (text, "%02x", bytes[i]);
  return g_string_free (text, FALSE);
}

static int
compare_tokens (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (ggtpm_token_get_label (*(GgtpmToken *const *)a),
                    ggtpm_token_get_label (*(GgtpmToken *const *)b));
}

static int
compare_keys (gconstpointer a, gconstpointer b)
{
  GgtpmKey *one = *(GgtpmKey *const *)a;
  GgtpmKey *two = *(GgtpmKey *const *)b;
  int order = g_strcmp0 (ggtpm_key_get_token (one), ggtpm_key_get_token (two));

  if (order == 0)
    order = g_strcmp0 (ggtpm_key_get_label (one), ggtpm_key_get_label (two));
  if (order == 0)
    order = g_strcmp0 (g_dbus_proxy_get_object_path (G_DBUS_PROXY (one)),
                       g_dbus_proxy_get_object_path (G_DBUS_PROXY (two)));
  return order;
}

GPtrArray *
objects_list_tokens (Client *client)
{
  GPtrArray *tokens = list_interfaces (client, "org.ggtpm1.Token");

  g_ptr_array_sort (tokens, compare_tokens);
  return tokens;
}

GPtrArray *
objects_list_keys (Client *client, const char *token)
{
  GPtrArray *keys = list_interfaces (client, "org.ggtpm1.Key");

  for (guint i = keys->len; i > 0; i--)
    {
      GgtpmKey *key = g_ptr_array_index (keys, i - 1);
      g_autofree char *label = objects_get_token_label (client, ggtpm_key_get_token (key));

      if (token != NULL && !g_str_equal (label, token))
        g_ptr_array_remove_index (keys, i - 1);
    }
  g_ptr_array_sort (keys, compare_keys);
  return keys;
}

GPtrArray *
objects_list_jobs (Client *client)
{
  GPtrArray *jobs = list_interfaces (client, "org.ggtpm1.Job");

  for (guint i = jobs->len; i > 0; i--)
    {
      const char *state = ggtpm_job_get_state (g_ptr_array_index (jobs, i - 1));

      if (g_strcmp0 (state, "queued") != 0 && g_strcmp0 (state, "running") != 0)
        g_ptr_array_remove_index (jobs, i - 1);
    }
  return jobs;
}

/* Nothing is found while the daemon cannot look: that is another error than nothing being there. */
/* @name: NULL: any would do */
static gpointer
fail_not_found (Client *client,
                const char *what,
                const char *name,
                const char *there,
                GError **error)
{
  const char *state = ggtpm_manager_get_state (client->manager);
  g_autofree char *clean = name != NULL ? output_clean (name) : NULL;
  g_autofree char *wanted =
      name != NULL ? g_strdup_printf ("%s '%s'", what, clean) : g_strdup (what);

  if (there[0] == '\0' && g_strcmp0 (state, "ready") != 0)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE,
                 "no %s is known, since the TPM is not ready (%s): %s", wanted, get_text (state),
                 get_text (ggtpm_manager_get_state_reason (client->manager)));
  else
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_FOUND, "no %s%s%s", wanted,
                 there[0] != '\0' ? "; there is "
                 : name != NULL   ? "; there is none: `ggtpmctl provision` makes one"
                                  : " yet: `ggtpmctl provision` makes one",
                 there);
  return NULL;
}

/* The rest of a list of @len, instead of its @i-th; FALSE: it is to be named. */
static gboolean
append_rest (GString *text, guint i, guint len, const char *verb)
{
  if (i < MAX_NAMED)
    return FALSE;
  g_string_append_printf (text, " and %u more, see `ggtpmctl %s`", len - i, verb);
  return TRUE;
}

static char *
join_token_labels (GPtrArray *tokens)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < tokens->len && !append_rest (text, i, tokens->len, "token list"); i++)
    {
      const char *label = ggtpm_token_get_label (g_ptr_array_index (tokens, i));
      g_autofree char *clean = output_clean (label);

      g_string_append_printf (text, "%s%s", i > 0 ? ", " : "", clean);
    }
  return g_string_free (text, FALSE);
}

GgtpmToken *
objects_find_token (Client *client, const char *label, GError **error)
{
  g_autoptr (GPtrArray) tokens = objects_list_tokens (client);
  g_autofree char *labels = join_token_labels (tokens);

  if (label == NULL && tokens->len == 1)
    return g_object_ref (g_ptr_array_index (tokens, 0));
  if (label == NULL && tokens->len > 1)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "there are several tokens, name one with --token: %s", labels);
      return NULL;
    }
  for (guint i = 0; i < tokens->len; i++)
    if (g_strcmp0 (ggtpm_token_get_label (g_ptr_array_index (tokens, i)), label) == 0)
      return g_object_ref (g_ptr_array_index (tokens, i));
  return fail_not_found (client, "token", label, labels, error);
}

/* `TOKEN/LABEL (id HEX)`, separated by commas. */
static char *
join_keys (Client *client, GPtrArray *keys)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < keys->len && !append_rest (text, i, keys->len, "key list"); i++)
    {
      GgtpmKey *key = g_ptr_array_index (keys, i);
      g_autofree char *token = objects_get_token_label (client, ggtpm_key_get_token (key));
      g_autofree char *clean_token = output_clean (token);
      g_autofree char *label = output_clean (ggtpm_key_get_label (key));
      g_autofree char *id = objects_get_key_id (key);

      g_string_append_printf (text, "%s%s/%s (id %s)", i > 0 ? ", " : "", clean_token, label, id);
    }
  return g_string_free (text, FALSE);
}

static gboolean
matches_key (Client *client, GgtpmKey *key, const char *selector)
{
  const char *label = get_text (ggtpm_key_get_label (key));
  g_autofree char *id = objects_get_key_id (key);
  g_autofree char *token = objects_get_token_label (client, ggtpm_key_get_token (key));
  gsize token_len = strlen (token);

  if (g_str_equal (selector, label) || (id[0] != '\0' && g_ascii_strcasecmp (selector, id) == 0))
    return TRUE;
  if (!g_str_has_prefix (selector, token) || selector[token_len] != '/')
    return FALSE;
  selector += token_len + 1;
  return g_str_equal (selector, label) || (id[0] != '\0' && g_ascii_strcasecmp (selector, id) == 0);
}

GgtpmKey *
objects_find_key (Client *client, const char *selector, const char *token, GError **error)
{
  g_autoptr (GPtrArray) keys = NULL;
  g_autoptr (GPtrArray) found = g_ptr_array_new ();
  g_autofree char *names = NULL;

  if (token != NULL)
    {
      g_autoptr (GgtpmToken) object = objects_find_token (client, token, error);

      if (object == NULL)
        return NULL;
    }

  keys = objects_list_keys (client, token);
  for (guint i = 0; i < keys->len; i++)
    if (matches_key (client, g_ptr_array_index (keys, i), selector))
      g_ptr_array_add (found, g_ptr_array_index (keys, i));

  if (found->len == 1)
    return g_object_ref (g_ptr_array_index (found, 0));
  names = join_keys (client, found->len > 0 ? found : keys);
  if (found->len == 0)
    return fail_not_found (client, "key", selector, names, error);

  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "'%s' is more than one key, name it as TOKEN/LABEL or TOKEN/ID: %s", selector,
               names);
  return NULL;
}
