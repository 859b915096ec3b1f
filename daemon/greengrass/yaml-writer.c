/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "yaml-writer.h"

#include "common/secret.h"
#include "dbus/error.h"

#include <string.h>
#include <yaml.h>

/* Ten times the longest that there is. Fixed, so that no copy with a PIN is left behind by growing. */
#define BUFFER_SIZE (64 * 1024)

struct _YamlWriter
{
  yaml_emitter_t emitter;
  char *comment;
  guchar *buffer;
  gsize length;
  guint depth;
  gboolean failed;
};

/* Consumes @event whether it is written or not, as yaml_emitter_emit() does. */
static void
emit (YamlWriter *self, yaml_event_t *event)
{
  if (self->failed)
    yaml_event_delete (event);
  else if (!yaml_emitter_emit (&self->emitter, event))
    self->failed = TRUE;
}

static void
emit_scalar (YamlWriter *self, const char *value, yaml_scalar_style_t style)
{
  yaml_event_t event;

  if (yaml_scalar_event_initialize (&event, NULL, NULL, (const yaml_char_t *)value,
                                    (int)strlen (value), TRUE, TRUE, style))
    emit (self, &event);
  else
    self->failed = TRUE;
}

static void
emit_mapping_start (YamlWriter *self)
{
  yaml_event_t event;

  if (yaml_mapping_start_event_initialize (&event, NULL, NULL, TRUE, YAML_BLOCK_MAPPING_STYLE))
    emit (self, &event);
  else
    self->failed = TRUE;
  self->depth++;
}

static void
emit_mapping_end (YamlWriter *self)
{
  yaml_event_t event;

  if (yaml_mapping_end_event_initialize (&event))
    emit (self, &event);
  else
    self->failed = TRUE;
  self->depth--;
}

static void
emit_stream_start (YamlWriter *self)
{
  yaml_event_t event;

  if (yaml_stream_start_event_initialize (&event, YAML_UTF8_ENCODING))
    emit (self, &event);
  else
    self->failed = TRUE;
  if (yaml_document_start_event_initialize (&event, NULL, NULL, NULL, FALSE))
    emit (self, &event);
  else
    self->failed = TRUE;
}

static void
emit_stream_end (YamlWriter *self)
{
  yaml_event_t event;

  if (yaml_document_end_event_initialize (&event, TRUE))
    emit (self, &event);
  else
    self->failed = TRUE;
  if (yaml_stream_end_event_initialize (&event))
    emit (self, &event);
  else
    self->failed = TRUE;
}

YamlWriter *
yaml_writer_new (const char *comment)
{
  YamlWriter *self = g_new0 (YamlWriter, 1);

  self->comment = g_strdup (comment);
  self->buffer = g_malloc0 (BUFFER_SIZE);
  if (!yaml_emitter_initialize (&self->emitter))
    {
      self->failed = TRUE;
      return self;
    }
  yaml_emitter_set_output_string (&self->emitter, self->buffer, BUFFER_SIZE, &self->length);
  yaml_emitter_set_unicode (&self->emitter, TRUE);
  /* No folding: some readers of these files know only simple YAML. */
  yaml_emitter_set_width (&self->emitter, -1);
  emit_stream_start (self);
  emit_mapping_start (self);
  return self;
}

void
yaml_writer_free (YamlWriter *self)
{
  if (self == NULL)
    return;
  if (self->emitter.buffer.start != NULL)
    secret_wipe (self->emitter.buffer.start,
                 (gsize)(self->emitter.buffer.end - self->emitter.buffer.start));
  yaml_emitter_delete (&self->emitter);
  secret_wipe (self->buffer, BUFFER_SIZE);
  g_free (self->buffer);
  g_free (self->comment);
  g_free (self);
}

void
yaml_writer_begin (YamlWriter *self, const char *key)
{
  emit_scalar (self, key, YAML_PLAIN_SCALAR_STYLE);
  emit_mapping_start (self);
}

void
yaml_writer_end (YamlWriter *self)
{
  g_return_if_fail (self->depth > 1);
  emit_mapping_end (self);
}

void
yaml_writer_add_string (YamlWriter *self, const char *key, const char *value)
{
  emit_scalar (self, key, YAML_PLAIN_SCALAR_STYLE);
  emit_scalar (self, value, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

void
yaml_writer_add_number (YamlWriter *self, const char *key, guint64 value)
{
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, value);

  emit_scalar (self, key, YAML_PLAIN_SCALAR_STYLE);
  emit_scalar (self, text, YAML_PLAIN_SCALAR_STYLE);
}

char *
yaml_writer_finish (YamlWriter *self, GError **error)
{
  gsize comment_length = strlen (self->comment);
  char *text = NULL;

  g_return_val_if_fail (self->depth == 1, NULL);

  emit_mapping_end (self);
  emit_stream_end (self);
  if (self->failed)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "cannot write YAML: %s",
                   self->emitter.problem != NULL ? self->emitter.problem : "out of memory");
      return NULL;
    }
  text = g_malloc (comment_length + self->length + 1);
  memcpy (text, self->comment, comment_length);
  memcpy (text + comment_length, self->buffer, self->length);
  text[comment_length + self->length] = '\0';
  return text;
}
