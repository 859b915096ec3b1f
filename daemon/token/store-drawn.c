/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-private.h"

#include "common/atomic-file.h"
#include "token/store-database.h"

#include <string.h>

/* A line each: store_database_sum_seal()'s of a PIN that we have drawn. The sum tells nothing of the PIN. */
#define FILE_NAME "drawn"
#define FILE_MODE 0600

static char *
get_path (Store *self)
{
  return g_build_filename (self->pins, FILE_NAME, NULL);
}

/* None where there is no file, or one that cannot be read: then nothing is known. */
static char **
list_sums (Store *self)
{
  g_autofree char *path = get_path (self);
  g_autofree char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return g_new0 (char *, 1);
  return g_strsplit (text, "\n", -1);
}

static gboolean
contains (char **sums, const char *sum)
{
  return sum != NULL && *sum != '\0' && g_strv_contains ((const char *const *)sums, sum);
}

/* Those of the store as it is: what a change that was given up has left goes. */
static gboolean
append_current (Store *self, char **sums, GString *text, GError **error)
{
  g_autoptr (sqlite3) database = NULL;
  g_auto (GStrv) labels = NULL;

  if (!store_exists (self))
    return TRUE;
  database = store_database_open (self->database, error);
  labels = database != NULL ? store_database_list_tokens (database, error) : NULL;
  if (labels == NULL)
    return FALSE;
  for (char **label = labels; *label != NULL; label++)
    for (StorePin kind = STORE_PIN_USER; kind <= STORE_PIN_SO; kind++)
      {
        g_autofree char *sum =
            store_database_sum_seal (database, *label, kind == STORE_PIN_SO, NULL);

        if (contains (sums, sum))
          g_string_append_printf (text, "%s\n", sum);
      }
  return TRUE;
}

/* Those of this change that were noted before. */
static gboolean
append_changed (StoreChange *change,
                const char *token,
                StorePin kind,
                char **sums,
                GString *text,
                GError **error)
{
  g_autofree char *path =
      g_build_filename (store_change_get_dir (change), STORE_DATABASE_NAME, NULL);
  g_autoptr (sqlite3) database = store_database_open (path, error);
  g_autofree char *sum = NULL;
  g_autofree char *other = NULL;

  if (database == NULL)
    return FALSE;
  sum = store_database_sum_seal (database, token, kind == STORE_PIN_SO, error);
  if (sum == NULL)
    return FALSE;
  other = store_database_sum_seal (database, token, kind != STORE_PIN_SO, NULL);
  g_string_append_printf (text, "%s\n", sum);
  if (contains (sums, other))
    g_string_append_printf (text, "%s\n", other);
  return TRUE;
}

gboolean
store_note_drawn_pin (Store *self,
                      StoreChange *change,
                      const char *token,
                      StorePin kind,
                      GError **error)
{
  g_autofree char *path = get_path (self);
  g_auto (GStrv) sums = list_sums (self);
  g_autoptr (GString) text = g_string_new (NULL);

  if (!append_current (self, sums, text, error) ||
      !append_changed (change, token, kind, sums, text, error))
    return FALSE;
  return atomic_file_write (path, text->str, text->len, FILE_MODE, (gid_t)-1, error) ||
         store_convert_error (error);
}

gboolean
store_pins_are_drawn (Store *self, const char *token)
{
  g_auto (GStrv) sums = list_sums (self);
  g_autoptr (sqlite3) database = NULL;
  g_autofree char *user = NULL;
  g_autofree char *so = NULL;

  if (*sums == NULL)
    return FALSE;
  database = store_database_open (self->database, NULL);
  if (database == NULL)
    return FALSE;
  user = store_database_sum_seal (database, token, FALSE, NULL);
  so = store_database_sum_seal (database, token, TRUE, NULL);
  return contains (sums, user) && contains (sums, so);
}
