/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "yaml-values.h"

#include "common/secret.h"
#include "dbus/error.h"

#include <string.h>
#include <yaml.h>

#define MAX_DEPTH 32

static void
free_value (gpointer data)
{
  YamlValue *value = data;

  secret_wipe (value->text, strlen (value->text));
  g_free (value->text);
  g_free (value);
}

static char *
join (const char *above, const char *name)
{
  return *above == '\0' ? g_strdup (name) : g_strconcat (above, "/", name, NULL);
}

typedef struct
{
  yaml_parser_t parser;
  GHashTable *values;
  guint depth;
} YamlReader;

static gboolean
next_event (YamlReader *reader, yaml_event_t *event, GError **error)
{
  if (yaml_parser_parse (&reader->parser, event))
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "no YAML: line %" G_GSIZE_FORMAT ": %s", reader->parser.problem_mark.line + 1,
               reader->parser.problem != NULL ? reader->parser.problem : "out of memory");
  return FALSE;
}

static gboolean read_mapping (YamlReader *reader, const char *name, GError **error);

/* What is in a sequence is nobody's business here. */
static gboolean
skip_sequence (YamlReader *reader, GError **error)
{
  guint depth = 1;

  while (depth > 0)
    {
      yaml_event_t event;

      if (!next_event (reader, &event, error))
        return FALSE;
      if (event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT)
        depth++;
      else if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT)
        depth--;
      yaml_event_delete (&event);
    }
  return TRUE;
}

static YamlValue *
new_value (const yaml_event_t *event, gboolean repeated)
{
  YamlValue *value = g_new0 (YamlValue, 1);
  yaml_scalar_style_t style = event->data.scalar.style;

  value->text = g_strndup ((const char *)event->data.scalar.value, event->data.scalar.length);
  value->start = event->start_mark.index;
  value->end = event->end_mark.index;
  value->replaceable = !repeated && event->start_mark.line == event->end_mark.line &&
                       event->data.scalar.anchor == NULL && event->data.scalar.tag == NULL &&
                       style != YAML_LITERAL_SCALAR_STYLE && style != YAML_FOLDED_SCALAR_STYLE;
  return value;
}

static gboolean
read_value (YamlReader *reader, const char *name, yaml_event_t *event, GError **error)
{
  if (event->type == YAML_SEQUENCE_START_EVENT)
    return skip_sequence (reader, error);
  if (event->type == YAML_MAPPING_START_EVENT)
    return read_mapping (reader, name, error);
  /* an alias is nobody's business either */
  if (event->type == YAML_SCALAR_EVENT)
    g_hash_table_insert (reader->values, g_strdup (name),
                         new_value (event, g_hash_table_contains (reader->values, name)));
  return TRUE;
}

static gboolean
read_mapping (YamlReader *reader, const char *name, GError **error)
{
  if (++reader->depth > MAX_DEPTH)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "no YAML: nested too deep");
      return FALSE;
    }
  for (;;)
    {
      g_autofree char *below = NULL;
      yaml_event_t event;
      gboolean done;

      if (!next_event (reader, &event, error))
        return FALSE;
      if (event.type == YAML_SCALAR_EVENT)
        below = join (name, (const char *)event.data.scalar.value);
      done = event.type == YAML_MAPPING_END_EVENT;
      yaml_event_delete (&event);
      if (done)
        break;
      if (below == NULL)
        {
          g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                               "no YAML that Greengrass reads: a key is not text");
          return FALSE;
        }
      if (!next_event (reader, &event, error))
        return FALSE;
      done = !read_value (reader, below, &event, error);
      yaml_event_delete (&event);
      if (done)
        return FALSE;
    }
  reader->depth--;
  return TRUE;
}

static gboolean
read_document (YamlReader *reader, GError **error)
{
  gboolean has_mapping = FALSE;

  for (;;)
    {
      yaml_event_t event;
      yaml_event_type_t type;

      if (!next_event (reader, &event, error))
        return FALSE;
      type = event.type;
      yaml_event_delete (&event);
      if (type == YAML_STREAM_END_EVENT && has_mapping)
        return TRUE;
      if (type == YAML_MAPPING_START_EVENT && !has_mapping)
        {
          has_mapping = TRUE;
          if (!read_mapping (reader, "", error))
            return FALSE;
        }
      else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
               type != YAML_DOCUMENT_END_EVENT)
        {
          g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                               "no YAML that Greengrass reads: it is not one mapping");
          return FALSE;
        }
    }
}

GHashTable *
yaml_values_read (const char *text, gsize len, GError **error)
{
  g_autoptr (GHashTable) values =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_value);
  YamlReader reader = { .values = values };
  gboolean done;

  if (!yaml_parser_initialize (&reader.parser))
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "cannot read YAML: no memory");
      return NULL;
    }
  yaml_parser_set_input_string (&reader.parser, (const unsigned char *)text, len);
  done = read_document (&reader, error);
  yaml_parser_delete (&reader.parser);
  return done ? g_steal_pointer (&values) : NULL;
}
