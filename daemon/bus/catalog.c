/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "catalog.h"

#include "bus/object-path.h"
#include "bus/reply.h"
#include "bus/token-object.h"
#include "provision/steps.h"
#include "token/store.h"

/* Another tool changes the database many times in a row. */
#define SETTLE_MS 200

struct _Catalog
{
  const Context *context;
  CatalogListed listed;
  gpointer user_data;
  GHashTable *tokens; /* path -> TokenObject */
  GFileMonitor *monitor;
  char *database; /* its base name */
  char *stamp;    /* of the database as listed last; NULL: never */
  guint settle_id;
  gboolean listing;
  gboolean again; /* something has changed since that began */
  gboolean forced;
};

/* ---- on the token lane ---- */

typedef struct
{
  const Config *config;
  Tokens *tokens;
  char *stamp; /* list only if the database's differs; NULL: always */
} ListArgs;

typedef struct
{
  GPtrArray *tokens; /* NULL: as before */
  StoreAccess access;
  char *stamp;
  const char *provisioning_state;
} Listing;

static void
list_args_free (gpointer data)
{
  ListArgs *args = data;

  g_free (args->stamp);
  g_free (args);
}

static void
listing_free (gpointer data)
{
  Listing *listing = data;

  g_clear_pointer (&listing->tokens, g_ptr_array_unref);
  g_free (listing->stamp);
  g_free (listing);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Listing, listing_free)

static Listing *
list (const Config *config,
      Tokens *tokens,
      const char *known_stamp,
      GCancellable *cancellable,
      GError **error)
{
  g_autoptr (Listing) listing = g_new0 (Listing, 1);

  /* read before the listing: what is changed meanwhile is seen the next time */
  listing->stamp = store_get_stamp (tokens_get_store (tokens));
  listing->provisioning_state = steps_get_state (config);
  if (known_stamp != NULL && g_strcmp0 (known_stamp, listing->stamp) == 0)
    return g_steal_pointer (&listing);
  listing->access = store_access_read (config->state_dir);
  listing->tokens = tokens_list (tokens, cancellable, error);
  return listing->tokens != NULL ? g_steal_pointer (&listing) : NULL;
}

static gpointer
op_list (Tpm *tpm, gpointer data, GCancellable *cancellable, GError **error)
{
  ListArgs *args = data;

  return list (args->config, args->tokens, args->stamp, cancellable, error);
}

gpointer
catalog_list (const Config *config, Tokens *tokens)
{
  return list (config, tokens, NULL, NULL, NULL);
}

void
catalog_list_free (gpointer data)
{
  listing_free (data);
}

/* ---- on the main thread ---- */

static void
show_tokens (Catalog *catalog, GPtrArray *tokens)
{
  g_autoptr (GHashTable) before = g_steal_pointer (&catalog->tokens);

  catalog->tokens =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)token_object_free);
  for (guint i = 0; i < tokens->len; i++)
    {
      const TokenInfo *token = g_ptr_array_index (tokens, i);
      g_autofree char *path = object_path_for_token (token->label);
      g_autofree char *known_path = NULL;
      TokenObject *known = NULL;

      if (g_hash_table_steal_extended (before, path, (gpointer *)&known_path, (gpointer *)&known))
        token_object_update (known, token);
      else
        known = token_object_new (catalog->context, token);
      g_hash_table_insert (catalog->tokens, g_steal_pointer (&path), known);
    }
}

/* For ggtpm-config.path: configurations may have to be renewed. In /run, which is memory. */
static void
tell_change (const Catalog *catalog)
{
  g_autofree char *path =
      g_build_filename (catalog->context->config->runtime_dir, "store-changed", NULL);
  g_autoptr (GError) local_error = NULL;

  if (!g_file_set_contents_full (path, "", 0, G_FILE_SET_CONTENTS_NONE, 0644, &local_error))
    g_warning ("configurations are not renewed by themselves: %s", local_error->message);
}

/* Takes @listing. */
static void
show (Catalog *catalog, Listing *listing)
{
  if (g_strcmp0 (catalog->stamp, listing->stamp) != 0)
    tell_change (catalog);
  if (listing->tokens != NULL)
    {
      show_tokens (catalog, listing->tokens);
      monitor_set_store (catalog->context->monitor, store_facts_new (listing->tokens),
                         listing->access);
    }
  g_free (catalog->stamp);
  catalog->stamp = g_steal_pointer (&listing->stamp);
  catalog->listed (listing->provisioning_state, catalog->user_data);
  listing_free (listing);
}

static void begin_listing (Catalog *catalog, gboolean forced);

static void
list_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Catalog *catalog = user_data;
  GError *error = NULL;
  Listing *listing = worker_run_finish (result, &error);

  catalog->listing = FALSE;
  if (listing != NULL)
    show (catalog, listing);
  else
    {
      reply_log_error ("listing the tokens", error);
      g_error_free (error);
      catalog->listed (NULL, catalog->user_data);
    }
  if (catalog->again)
    begin_listing (catalog, catalog->forced);
}

static void
begin_listing (Catalog *catalog, gboolean forced)
{
  ListArgs *args = g_new0 (ListArgs, 1);

  args->config = catalog->context->config;
  args->tokens = catalog->context->tokens;
  args->stamp = forced ? NULL : g_strdup (catalog->stamp);
  catalog->listing = TRUE;
  catalog->again = FALSE;
  catalog->forced = FALSE;
  worker_run_async (catalog->context->lane, op_list, args, list_args_free, listing_free, NULL,
                    list_done, catalog);
}

void
catalog_refresh (Catalog *catalog)
{
  if (!catalog->listing)
    begin_listing (catalog, TRUE);
  else
    catalog->again = catalog->forced = TRUE;
}

void
catalog_show (gpointer catalog, gpointer listing)
{
  if (listing != NULL)
    show (catalog, listing);
  else
    catalog_refresh (catalog);
}

/* ---- changes by others ---- */

static gboolean
on_settled (gpointer user_data)
{
  Catalog *catalog = user_data;

  catalog->settle_id = 0;
  if (catalog->listing)
    catalog->again = TRUE;
  else
    begin_listing (catalog, FALSE);
  return G_SOURCE_REMOVE;
}

static void
on_store_changed (GFileMonitor *monitor,
                  GFile *file,
                  GFile *other_file,
                  GFileMonitorEvent event,
                  gpointer user_data)
{
  Catalog *catalog = user_data;
  g_autofree char *name = g_file_get_basename (file);
  g_autofree char *other_name = other_file != NULL ? g_file_get_basename (other_file) : NULL;

  if (g_strcmp0 (name, catalog->database) != 0 && g_strcmp0 (other_name, catalog->database) != 0)
    return;
  /* not put off again by every event: somebody might never end */
  if (catalog->settle_id == 0)
    catalog->settle_id = g_timeout_add (SETTLE_MS, on_settled, catalog);
}

static void
watch_store (Catalog *catalog)
{
  Store *store = tokens_get_store (catalog->context->tokens);
  g_autoptr (GFile) dir = g_file_new_for_path (store_get_dir (store));
  g_autoptr (GError) local_error = NULL;

  catalog->database = g_path_get_basename (store_get_database (store));
  catalog->monitor = g_file_monitor_directory (dir, G_FILE_MONITOR_WATCH_MOVES, NULL, &local_error);
  if (catalog->monitor == NULL)
    g_warning ("cannot watch %s, tokens made by other programs appear late: %s",
               store_get_dir (store), local_error->message);
  else
    g_signal_connect (catalog->monitor, "changed", G_CALLBACK (on_store_changed), catalog);
}

Catalog *
catalog_new (const Context *context, CatalogListed listed, gpointer user_data)
{
  Catalog *catalog = g_new0 (Catalog, 1);

  catalog->context = context;
  catalog->listed = listed;
  catalog->user_data = user_data;
  catalog->tokens =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify)token_object_free);
  watch_store (catalog);
  return catalog;
}

void
catalog_free (Catalog *catalog)
{
  g_clear_handle_id (&catalog->settle_id, g_source_remove);
  g_clear_object (&catalog->monitor);
  g_hash_table_unref (catalog->tokens);
  g_free (catalog->database);
  g_free (catalog->stamp);
  g_free (catalog);
}
