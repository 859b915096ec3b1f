/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "slots.h"

#include "room.h"
#include "session-contexts.h"

#define MAX_ATTEMPTS 64 /* more than any TPM has slots */

struct _Slots
{
  ChipCommands *chip;
  ObjectTable *objects;
  SessionTable *sessions;
  Eviction *object_eviction;
  Eviction *session_eviction;
  Room object_room;
  Room session_room;
  guint reserve;
  GHashTable *needs_room; /* codes of commands that take a slot while they run */
  guint64 command_number; /* pins of earlier commands do not hold */
};

Slots *
slots_new (ChipCommands *chip, ObjectTable *objects, SessionTable *sessions)
{
  Slots *slots = g_new0 (Slots, 1);

  slots->chip = chip;
  slots->objects = objects;
  slots->sessions = sessions;
  slots->object_eviction = eviction_new ();
  slots->session_eviction = eviction_new ();
  slots->needs_room = g_hash_table_new (NULL, NULL);
  slots->command_number = 1; /* a pin of 0 holds nothing */
  return slots;
}

void
slots_free (Slots *slots)
{
  g_hash_table_unref (slots->needs_room);
  eviction_free (slots->object_eviction);
  eviction_free (slots->session_eviction);
  g_free (slots);
}

void
slots_set_limits (Slots *slots, guint max_objects, guint max_sessions, guint reserve)
{
  slots->object_room = (Room){ .fixed = max_objects };
  slots->session_room = (Room){ .fixed = max_sessions };
  slots->reserve = reserve;
}

void
slots_set_minimum (Slots *slots, guint min_objects)
{
  slots->object_room.minimum = min_objects;
}

/* Objects */

static guint
count_objects (const Slots *slots)
{
  return object_table_get_loaded (slots->objects)->len;
}

Object *
slots_add_object (Slots *slots, gpointer owner, guint32 handle, gboolean sequence)
{
  Object *object = object_table_add (slots->objects, owner, handle, sequence);

  room_note (&slots->object_room, count_objects (slots));
  eviction_touch (slots->object_eviction, &object->use);
  return object;
}

TSS2_RC
slots_save_object (Slots *slots, Object *object)
{
  guint8 response[COMMAND_MAX_SIZE];
  const guint8 *blob;
  gsize size;
  TSS2_RC rc;

  if (object->context != NULL)
    return TSS2_RC_SUCCESS;
  rc = chip_commands_save_context (slots->chip, object->handle, response, &blob, &size);
  if (rc == TSS2_RC_SUCCESS)
    object_table_set_context (object, blob, size);
  return rc;
}

static TSS2_RC
put_out_object (Slots *slots, Object *object)
{
  TSS2_RC rc = TSS2_RC_SUCCESS;

  if (object->owner != NULL)
    rc = slots_save_object (slots, object);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  rc = chip_commands_flush (slots->chip, object->handle);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  if (object->owner == NULL)
    object_table_remove (slots->objects, object);
  else
    object_table_set_unloaded (slots->objects, object);
  return TSS2_RC_SUCCESS;
}

/* FALSE: no object can go. */
static gboolean
evict_object (Slots *slots)
{
  const GPtrArray *loaded = object_table_get_loaded (slots->objects);
  g_autofree EvictionEntry **entries = g_new (EvictionEntry *, loaded->len + 1);
  g_autoptr (GPtrArray) candidates = g_ptr_array_new ();

  for (guint i = 0; i < loaded->len; i++)
    {
      Object *object = g_ptr_array_index (loaded, i);

      if (object->owner == NULL && put_out_object (slots, object) == TSS2_RC_SUCCESS)
        return TRUE;
      if (object->owner == NULL || object->pin == slots->command_number)
        continue;
      entries[candidates->len] = &object->use;
      g_ptr_array_add (candidates, object);
    }
  while (candidates->len > 0 && !chip_commands_is_lost (slots->chip))
    {
      guint i = eviction_choose (slots->object_eviction, entries, candidates->len);

      if (put_out_object (slots, g_ptr_array_index (candidates, i)) == TSS2_RC_SUCCESS)
        return TRUE;
      /* This one the chip will not save: try another. */
      g_ptr_array_remove_index_fast (candidates, i);
      entries[i] = entries[candidates->len];
    }
  return FALSE;
}

/* Sessions */

static gboolean
evict_session (Slots *slots)
{
  g_autoptr (GPtrArray) sessions = session_table_list (slots->sessions);
  g_autofree EvictionEntry **entries = g_new (EvictionEntry *, sessions->len + 1);
  Session *session;
  guint n = 0;

  if (session_table_first_dead (slots->sessions) != NULL)
    return session_contexts_drop_abandoned (slots->chip, slots->sessions);
  for (guint i = 0; i < sessions->len; i++)
    {
      session = g_ptr_array_index (sessions, i);
      if (!session->loaded || session->pin == slots->command_number)
        continue;
      entries[n] = &session->use;
      sessions->pdata[n++] = session;
    }
  if (n == 0 || chip_commands_is_lost (slots->chip))
    return FALSE;
  session = g_ptr_array_index (sessions, eviction_choose (slots->session_eviction, entries, n));
  return session_contexts_save (slots->chip, slots->sessions, session) == TSS2_RC_SUCCESS;
}

/* Room */

/* So that the next command that takes a slot need not be refused first. */
static void
make_object_room (Slots *slots)
{
  while (count_objects (slots) >= room_get_limit (&slots->object_room, slots->reserve))
    if (!evict_object (slots))
      return;
}

static void
make_session_room (Slots *slots)
{
  room_note (&slots->session_room, session_table_n_loaded (slots->sessions));
  while (session_table_n_loaded (slots->sessions) >= room_get_limit (&slots->session_room, 0))
    if (!evict_session (slots))
      return;
}

/* What was done already to have a command taken. */
typedef struct
{
  guint n;
  gboolean closed_gap;
} Attempts;

static gboolean
close_gap (Slots *slots, Attempts *attempts)
{
  if (attempts->closed_gap)
    return session_contexts_drop_stray (slots->chip, slots->sessions);
  attempts->closed_gap = TRUE;
  return session_contexts_close_gap (slots->chip, slots->sessions);
}

/*
 * After the chip's answer @rc.
 * @code: of the command, if it is one that adds nothing to the chip; else 0
 * Returns whether it was refused and it makes sense to try again.
 */
static gboolean
make_room_after (Slots *slots, TSS2_RC rc, guint32 code, Attempts *attempts)
{
  if (++attempts->n >= MAX_ATTEMPTS)
    return FALSE;
  switch (rc)
    {
    case TPM2_RC_OBJECT_MEMORY:
    case TPM2_RC_OBJECT_HANDLES:
      if (code != 0)
        g_hash_table_add (slots->needs_room, GUINT_TO_POINTER (code));
      else
        room_learn (&slots->object_room, count_objects (slots));
      return evict_object (slots);
    case TPM2_RC_SESSION_MEMORY:
      room_learn (&slots->session_room, session_table_n_loaded (slots->sessions));
      return evict_session (slots);
    case TPM2_RC_SESSION_HANDLES:
      return session_contexts_drop_abandoned (slots->chip, slots->sessions) ||
             session_contexts_drop_stray (slots->chip, slots->sessions);
    case TPM2_RC_MEMORY:
      return evict_object (slots) || evict_session (slots);
    case TPM2_RC_CONTEXT_GAP:
      return close_gap (slots, attempts);
    default:
      return FALSE;
    }
}

void
slots_begin (Slots *slots)
{
  slots->command_number++;
}

void
slots_pin (Slots *slots, guint64 *pin)
{
  *pin = slots->command_number;
}

TSS2_RC
slots_load_object (Slots *slots, Object *object)
{
  eviction_touch (slots->object_eviction, &object->use);
  if (object->handle == 0)
    {
      Attempts attempts = { 0 };
      guint32 handle = 0;
      TSS2_RC rc;

      make_object_room (slots);
      do
        rc = chip_commands_load_context (slots->chip, object->context, &handle);
      while (make_room_after (slots, rc, 0, &attempts));
      if (rc != TSS2_RC_SUCCESS)
        return rc;
      object_table_set_loaded (slots->objects, object, handle);
      room_note (&slots->object_room, count_objects (slots));
    }
  /* The use that follows will change it. */
  if (object->sequence)
    g_clear_pointer (&object->context, g_bytes_unref);
  return TSS2_RC_SUCCESS;
}

TSS2_RC
slots_load_session (Slots *slots, Session *session)
{
  Attempts attempts = { 0 };
  TSS2_RC rc;

  eviction_touch (slots->session_eviction, &session->use);
  if (session->loaded)
    return TSS2_RC_SUCCESS;
  make_session_room (slots);
  do
    rc = session_contexts_load (slots->chip, slots->sessions, session);
  while (make_room_after (slots, rc, 0, &attempts));
  return rc;
}

TSS2_RC
slots_forward (Slots *slots,
               const Command *command,
               guint8 locality,
               gboolean adds_object,
               gboolean adds_session,
               guint8 *response,
               gsize *out_size)
{
  guint32 code = adds_object || adds_session ? 0 : command->code;
  Attempts attempts = { 0 };
  TSS2_RC rc;

  if (adds_object || g_hash_table_contains (slots->needs_room, GUINT_TO_POINTER (command->code)))
    make_object_room (slots);
  if (adds_session)
    make_session_room (slots);
  do
    {
      rc = chip_commands_transact (slots->chip, command->data, command->size, locality, response,
                                   out_size);
      if (rc != TSS2_RC_SUCCESS)
        return rc;
    }
  while (make_room_after (slots, command_response_get_rc (response), code, &attempts));
  /* Making room may have been what lost the chip; the client's command was not carried out. */
  return chip_commands_is_lost (slots->chip) ? TSS2_TCTI_RC_IO_ERROR : TSS2_RC_SUCCESS;
}

gboolean
slots_evict_one (Slots *slots)
{
  return !chip_commands_is_lost (slots->chip) && (evict_object (slots) || evict_session (slots));
}

gboolean
slots_sweep_one (Slots *slots)
{
  Object *object = object_table_first_orphan (slots->objects);

  if (chip_commands_is_lost (slots->chip))
    return FALSE;
  if (object != NULL)
    return put_out_object (slots, object) == TSS2_RC_SUCCESS;
  return session_table_first_dead (slots->sessions) != NULL &&
         session_contexts_drop_abandoned (slots->chip, slots->sessions);
}

void
slots_relax (Slots *slots)
{
  room_relax (&slots->object_room);
  room_relax (&slots->session_room);
}
