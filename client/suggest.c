/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "suggest.h"

#include <string.h>

/* Further away than this is no suggestion. */
#define MAX_DISTANCE 2

/* Characters to add, take away or replace (Levenshtein's distance). */
static guint
get_distance (const char *a, const char *b)
{
  gsize len = strlen (b);
  g_autofree guint *row = g_new (guint, len + 1);

  for (gsize j = 0; j <= len; j++)
    row[j] = (guint)j;
  for (gsize i = 1; a[i - 1] != '\0'; i++)
    {
      guint diagonal = row[0];

      row[0] = (guint)i;
      for (gsize j = 1; j <= len; j++)
        {
          guint above = row[j];
          guint replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);

          row[j] = MIN (MIN (row[j - 1], above) + 1, replaced);
          diagonal = above;
        }
    }
  return row[len];
}

const char *
suggest_nearest (const char *word, const char *const *candidates)
{
  const char *best = NULL;
  guint best_distance = MAX_DISTANCE + 1;

  for (gsize i = 0; candidates[i] != NULL; i++)
    {
      guint distance = get_distance (word, candidates[i]);

      /* A short word is near to everything. */
      if (distance < best_distance && distance < strlen (word) - strspn (word, "-"))
        {
          best = candidates[i];
          best_distance = distance;
        }
    }
  return best;
}
