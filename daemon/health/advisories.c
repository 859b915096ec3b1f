/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "advisories.h"

#include "advisories-resource.h"
#include "dbus/error.h"

#include <string.h>

#define RESOURCE   "/org/ggtpm1/advisories.conf"
#define ID_CHARS   G_CSET_a_2_z G_CSET_DIGITS "._-"
#define SIZE_MAX_B (1024 * 1024)

static void
advisory_free (gpointer data)
{
  Advisory *advisory = data;

  g_free (advisory->id);
  g_free (advisory->manufacturer);
  g_clear_pointer (&advisory->affected, g_array_unref);
  g_clear_pointer (&advisory->unknown, g_array_unref);
  g_free (advisory->severity);
  g_free (advisory->severity_with_rsa);
  g_free (advisory->text);
  g_free (advisory->remedy);
  g_free (advisory->source);
  g_free (advisory);
}

static gboolean
complain (GError **error, const char *format, const char *what)
{
  g_autofree char *printable = g_strescape (what, NULL);

  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s: %s", format, printable);
  return FALSE;
}

/* MAJOR.MINOR */
static gboolean
parse_version (const char *text, guint32 *out)
{
  g_auto (GStrv) parts = g_strsplit (text, ".", 3);
  guint64 major, minor;

  if (g_strv_length (parts) != 2 ||
      !g_ascii_string_to_unsigned (parts[0], 10, 0, G_MAXUINT16, &major, NULL) ||
      !g_ascii_string_to_unsigned (parts[1], 10, 0, G_MAXUINT16, &minor, NULL))
    return FALSE;
  *out = (guint32)(major << 16 | minor);
  return TRUE;
}

static gboolean
parse_ranges (const char *text, GArray **out, GError **error)
{
  g_auto (GStrv) words = g_strsplit_set (text, " \t", -1);
  g_autoptr (GArray) ranges = g_array_new (FALSE, FALSE, sizeof (AdvisoryRange));

  for (guint i = 0; words[i] != NULL; i++)
    {
      g_auto (GStrv) ends = g_strsplit (words[i], "-", 3);
      guint n = g_strv_length (ends);
      AdvisoryRange range;

      if (n == 0)
        continue;
      if (n > 2 || !parse_version (ends[0], &range.first) ||
          !parse_version (ends[n - 1], &range.last) || range.first > range.last)
        return complain (error, "not a range of firmware", words[i]);
      g_array_append_val (ranges, range);
    }
  *out = g_steal_pointer (&ranges);
  return TRUE;
}

static gboolean
set_text (char **field, const char *value, GError **error)
{
  if (*value == '\0')
    return complain (error, "nothing where a text must be", value);
  if (!g_utf8_validate (value, -1, NULL))
    return complain (error, "not UTF-8", value);
  *field = g_strdup (value);
  return TRUE;
}

static gboolean
set_severity (char **field, const char *value, GError **error)
{
  if (!g_str_equal (value, "info") && !g_str_equal (value, "degraded") &&
      !g_str_equal (value, "failed"))
    return complain (error, "not a severity (info, degraded, failed)", value);
  *field = g_strdup (value);
  return TRUE;
}

static gboolean
set_refusal (Advisory *advisory, const char *value, GError **error)
{
  if (advisory->has_refusal)
    return complain (error, "a second time", "RefuseRsaKeys");
  if (!g_str_equal (value, "yes") && !g_str_equal (value, "no"))
    return complain (error, "neither yes nor no", value);
  advisory->has_refusal = TRUE;
  advisory->refuses_rsa = g_str_equal (value, "yes");
  return TRUE;
}

static gboolean
set_value (Advisory *advisory, const char *key, const char *value, GError **error)
{
  struct
  {
    const char *key;
    char **text;
    GArray **ranges;
  } fields[] = {
    { "Manufacturer", &advisory->manufacturer, NULL },
    { "Severity", &advisory->severity, NULL },
    { "SeverityWithRsaKey", &advisory->severity_with_rsa, NULL },
    { "Text", &advisory->text, NULL },
    { "Remedy", &advisory->remedy, NULL },
    { "Source", &advisory->source, NULL },
    { "Affected", NULL, &advisory->affected },
    { "Unknown", NULL, &advisory->unknown },
  };

  if (g_str_equal (key, "RefuseRsaKeys"))
    return set_refusal (advisory, value, error);
  for (gsize i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      if (!g_str_equal (fields[i].key, key))
        continue;
      if (fields[i].text != NULL ? *fields[i].text != NULL : *fields[i].ranges != NULL)
        return complain (error, "a second time", key);
      if (fields[i].ranges != NULL)
        return parse_ranges (value, fields[i].ranges, error);
      if (g_str_has_prefix (key, "Severity"))
        return set_severity (fields[i].text, value, error);
      return set_text (fields[i].text, value, error);
    }
  return complain (error, "an unknown key", key);
}

static gboolean
check_complete (const Advisory *advisory, GError **error)
{
  if (advisory->manufacturer == NULL || advisory->severity == NULL || advisory->text == NULL ||
      advisory->remedy == NULL || advisory->source == NULL || advisory->affected == NULL)
    return complain (error, "Manufacturer, Affected, Severity, Text, Remedy or Source is missing",
                     advisory->id);
  return TRUE;
}

static gboolean
begin_advisory (GPtrArray *advisories, const char *line, GError **error)
{
  gsize len = strlen (line);
  g_autofree char *id = len > 2 ? g_strndup (line + 1, len - 2) : g_strdup ("");
  Advisory *advisory;

  if (line[len - 1] != ']' || *id == '\0' || strspn (id, ID_CHARS) != strlen (id))
    return complain (error, "not an id in brackets", line);
  for (guint i = 0; i < advisories->len; i++)
    if (g_str_equal (((Advisory *)advisories->pdata[i])->id, id))
      return complain (error, "a second time", id);
  advisory = g_new0 (Advisory, 1);
  advisory->id = g_steal_pointer (&id);
  g_ptr_array_add (advisories, advisory);
  return TRUE;
}

static gboolean
parse_line (GPtrArray *advisories, char *line, GError **error)
{
  Advisory *last = advisories->len > 0 ? advisories->pdata[advisories->len - 1] : NULL;
  char *value;

  g_strstrip (line);
  if (*line == '\0' || *line == '#')
    return TRUE;
  if (*line == '[')
    return (last == NULL || check_complete (last, error)) &&
           begin_advisory (advisories, line, error);
  value = strchr (line, '=');
  if (value == NULL)
    return complain (error, "neither KEY=VALUE nor [ID]", line);
  *value++ = '\0';
  if (last == NULL)
    return complain (error, "before the first [ID]", line);
  return set_value (last, g_strchomp (line), g_strchug (value), error);
}

GPtrArray *
advisories_parse (const char *name, const char *text, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autoptr (GPtrArray) advisories = g_ptr_array_new_with_free_func (advisory_free);

  for (guint i = 0; lines[i] != NULL; i++)
    if (!parse_line (advisories, lines[i], error))
      {
        g_prefix_error (error, "%s:%u: ", name, i + 1);
        return NULL;
      }
  if (advisories->len > 0 && !check_complete (advisories->pdata[advisories->len - 1], error))
    {
      g_prefix_error (error, "%s:%u: ", name, g_strv_length (lines));
      return NULL;
    }
  return g_steal_pointer (&advisories);
}

static GPtrArray *
load_built_in (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) data = g_resource_lookup_data (advisories_get_resource (), RESOURCE,
                                                    G_RESOURCE_LOOKUP_FLAGS_NONE, &error);
  g_autofree char *text = NULL;
  GPtrArray *advisories;
  gsize size;
  const char *bytes;

  g_assert_no_error (error);
  bytes = g_bytes_get_data (data, &size);
  text = g_strndup (bytes, size);
  advisories = advisories_parse (RESOURCE, text, &error);
  g_assert_no_error (error);
  return advisories;
}

static GPtrArray *
load_file (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize len;

  if (!g_file_get_contents (path, &text, &len, error))
    return NULL;
  if (len > SIZE_MAX_B || strlen (text) != len)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s:1: not a text", path);
      return NULL;
    }
  return advisories_parse (path, text, error);
}

GPtrArray *
advisories_load (const char *const *paths)
{
  for (; *paths != NULL; paths++)
    {
      g_autoptr (GError) error = NULL;
      GPtrArray *advisories = load_file (*paths, &error);

      if (advisories != NULL)
        return advisories;
      if (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        continue;
      g_warning ("%s; the built-in firmware advisories are used", error->message);
      return load_built_in ();
    }
  return load_built_in ();
}

static gboolean
is_within (GArray *ranges, guint32 version)
{
  for (guint i = 0; ranges != NULL && i < ranges->len; i++)
    {
      const AdvisoryRange *range = &g_array_index (ranges, AdvisoryRange, i);

      if (version >= range->first && version <= range->last)
        return TRUE;
    }
  return FALSE;
}

AdvisoryVerdict
advisory_judge (const Advisory *advisory, gboolean have_fixed, const FixedProperties *fixed)
{
  if (!have_fixed)
    return ADVISORY_UNKNOWN;
  if (!g_str_equal (advisory->manufacturer, fixed->manufacturer))
    return ADVISORY_NOT_APPLICABLE;
  if (is_within (advisory->affected, fixed->firmware_1))
    return ADVISORY_AFFECTED;
  return is_within (advisory->unknown, fixed->firmware_1) ? ADVISORY_UNKNOWN
                                                          : ADVISORY_NOT_AFFECTED;
}

char *
advisories_explain_refusal (GPtrArray *advisories,
                            gboolean have_fixed,
                            const FixedProperties *fixed)
{
  for (guint i = 0; advisories != NULL && i < advisories->len; i++)
    {
      const Advisory *advisory = advisories->pdata[i];

      if (advisory->refuses_rsa &&
          advisory_judge (advisory, have_fixed, fixed) == ADVISORY_AFFECTED)
        return g_strdup_printf ("%s (issue %s). %s", advisory->text, advisory->id,
                                advisory->remedy);
    }
  return NULL;
}
