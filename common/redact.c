/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "redact.h"

#include <string.h>

/* Shorter ones are parts of everything else. */
#define SECRET_MIN 4

/* What is in front of a PIN stays, the PIN is the group `pin`. */
static const char pin_pattern[] =
    "(?<before>pin-value=|[\"']?\\b(?:SlotUserPin|userPin|user-pin|so-pin|pin)[\"']?[ \\t]*[:=]"
    "[ \\t]*[\"']?|--(?:userpin|sopin|pin)[= ][\"']?)(?<pin>[^\\s\"',;&}]+)";

static const char key_pattern[] =
    "-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\\z)";

static GRegex *
compile (const char *pattern)
{
  return g_regex_new (pattern, G_REGEX_CASELESS | G_REGEX_DOTALL, 0, NULL);
}

GPtrArray *
redact_find (const char *text)
{
  g_autoptr (GRegex) regex = compile (pin_pattern);
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autoptr (GMatchInfo) match = NULL;
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify)secret_free);

  g_regex_match (regex, valid, 0, &match);
  while (g_match_info_matches (match))
    {
      char *pin = g_match_info_fetch_named (match, "pin");

      g_ptr_array_add (found, secret_new_take (pin, strlen (pin)));
      g_free (pin);
      g_match_info_next (match, NULL);
    }
  secret_wipe (valid, strlen (valid));
  return found;
}

static char *
replace (const char *pattern, const char *text, const char *by)
{
  g_autoptr (GRegex) regex = compile (pattern);

  return g_regex_replace (regex, text, -1, 0, by, 0, NULL);
}

char *
redact_text (const char *text, GPtrArray *secrets)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  g_autofree char *without_keys = replace (key_pattern, valid, REDACT_MARK);
  char *clean = replace (pin_pattern, without_keys, "\\g<before>" REDACT_MARK);

  for (guint i = 0; secrets != NULL && i < secrets->len; i++)
    {
      const Secret *secret = g_ptr_array_index (secrets, i);
      g_auto (GStrv) parts = NULL;

      if (secret_get_length (secret) < SECRET_MIN)
        continue;
      parts = g_strsplit (clean, secret_peek (secret), -1);
      g_free (clean);
      clean = g_strjoinv (REDACT_MARK, parts);
    }
  return clean;
}
