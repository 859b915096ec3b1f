/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "store-private.h"

#include "common/atomic-file.h"
#include "common/label.h"
#include "token/store-database.h"

#include <string.h>

/* A file for each token, a line in it for each PIN that we have drawn: store_database_sum_seal()'s, which tells nothing
 * of the PIN. */
#define FILE_MODE 0600

char *
store_get_drawn_path (Store *self, const char *token)
{
  g_autofree char *encoded = label_encode (token);

  return g_build_filename (self->drawn, encoded, NULL);
}

/* None where there is no file, or one that cannot be read: then nothing is known. */
static char **
list_sums (Store *self, const char *token)
{
  g_autofree char *path = store_get_drawn_path (self, token);
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

/* Those of the token in @database that were noted before; what a change that was given up has left goes by that. */
static void
append_known (sqlite3 *database, const char *token, char **sums, GString *text)
{
  for (StorePin kind = STORE_PIN_USER; kind <= STORE_PIN_SO; kind++)
    {
      g_autofree char *sum = store_database_sum_seal (database, token, kind == STORE_PIN_SO, NULL);

      if (contains (sums, sum) && strstr (text->str, sum) == NULL)
        g_string_append_printf (text, "%s\n", sum);
    }
}

static gboolean
append_drawn (sqlite3 *database, const char *token, StorePin kind, GString *text, GError **error)
{
  g_autofree char *sum = store_database_sum_seal (database, token, kind == STORE_PIN_SO, error);

  if (sum == NULL)
    return FALSE;
  g_string_append_printf (text, "%s\n", sum);
  return TRUE;
}

gboolean
store_note_drawn_pins (Store *self,
                       StoreChange *change,
                       const char *token,
                       gboolean user,
                       gboolean so,
                       GError **error)
{
  g_autofree char *path = store_get_drawn_path (self, token);
  g_autofree char *copy =
      g_build_filename (store_change_get_dir (change), STORE_DATABASE_NAME, NULL);
  g_autoptr (sqlite3) changed = NULL;
  g_autoptr (sqlite3) current = NULL;
  g_auto (GStrv) sums = NULL;
  g_autoptr (GString) text = g_string_new (NULL);

  if (!user && !so)
    return TRUE;
  changed = store_database_open (copy, error);
  if (changed == NULL || (user && !append_drawn (changed, token, STORE_PIN_USER, text, error)) ||
      (so && !append_drawn (changed, token, STORE_PIN_SO, text, error)))
    return FALSE;
  sums = list_sums (self, token);
  append_known (changed, token, sums, text);
  /* The change may not be committed: then the store is as it was. */
  current = store_exists (self) ? store_database_open (self->database, NULL) : NULL;
  if (current != NULL)
    append_known (current, token, sums, text);
  return atomic_file_write (path, text->str, text->len, FILE_MODE, (gid_t)-1, error) ||
         store_convert_error (error);
}

gboolean
store_pins_are_drawn (Store *self, const char *token)
{
  g_auto (GStrv) sums = list_sums (self, token);
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
