/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "slots.h"

#include <string.h>

#define MAX_ROOM_RETRIES 64 /* more than any TPM has slots */

/* How many of a kind the chip holds: learned from its refusals. */
typedef struct
{
  guint fixed;   /* what a resource manager below allows; 0: no such thing */
  guint learned; /* it was full at this number; 0: not known */
  guint peak;    /* and this many it has held */
  guint minimum;
} Room;

struct _Slots
{
  SlotsChip chip;
  SessionTable *sessions;
  Eviction *object_eviction;
  Eviction *session_eviction;
  GPtrArray *loaded; /* Object, in the chip */
  Room objects;
  Room session_room;
  guint reserve;
  GHashTable *needs_room; /* codes of commands that take a slot while they run */
  guint64 command_number; /* pins of earlier commands do not hold */
  gboolean lost;
};

Slots *
slots_new (const SlotsChip *chip, SessionTable *sessions)
{
  Slots *slots = g_new0 (Slots, 1);

  slots->chip = *chip;
  slots->sessions = sessions;
  slots->object_eviction = eviction_new ();
  slots->session_eviction = eviction_new ();
  slots->loaded = g_ptr_array_new ();
  slots->needs_room = g_hash_table_new (NULL, NULL);
  slots->command_number = 1; /* a pin of 0 holds nothing */
  return slots;
}

static void
object_free (Object *object)
{
  g_clear_pointer (&object->context, g_bytes_unref);
  g_free (object);
}

void
slots_free (Slots *slots)
{
  for (guint i = 0; i < slots->loaded->len; i++)
    object_free (g_ptr_array_index (slots->loaded, i));
  g_ptr_array_unref (slots->loaded);
  g_hash_table_unref (slots->needs_room);
  eviction_free (slots->object_eviction);
  eviction_free (slots->session_eviction);
  g_free (slots);
}

gboolean
slots_is_lost (const Slots *slots)
{
  return slots->lost;
}

void
slots_reset_lost (Slots *slots)
{
  slots->lost = FALSE;
}

void
slots_set_limits (Slots *slots, guint max_objects, guint max_sessions, guint reserve)
{
  slots->objects = (Room){ .fixed = max_objects };
  slots->session_room = (Room){ .fixed = max_sessions };
  slots->reserve = reserve;
}

void
slots_set_minimum (Slots *slots, guint min_objects)
{
  slots->objects.minimum = min_objects;
}

static TSS2_RC
transact (Slots *slots,
          const guint8 *command,
          gsize size,
          guint8 locality,
          guint8 *response,
          gsize *out_size)
{
  TSS2_RC rc;

  if (slots->lost)
    return TSS2_TCTI_RC_NO_CONNECTION;
  rc = slots->chip.transact (slots->chip.data, command, size, locality, response, out_size);
  if (rc != TSS2_RC_SUCCESS)
    slots->lost = TRUE;
  return rc;
}

TSS2_RC
slots_transact (Slots *slots, const guint8 *command, gsize size, guint8 *response, gsize *out_size)
{
  return transact (slots, command, size, 0, response, out_size);
}

/* The TCTI's error, or the response's code. */
static TSS2_RC
transact_simple (Slots *slots, const guint8 *command, gsize size, guint8 *response, gsize *out_size)
{
  TSS2_RC rc = transact (slots, command, size, 0, response, out_size);

  return rc != TSS2_RC_SUCCESS ? rc : command_response_get_rc (response);
}

/* Objects */

Object *
slots_add_object (Slots *slots, gpointer owner, guint32 handle, gboolean sequence)
{
  Object *object = g_new0 (Object, 1);

  object->owner = owner;
  object->handle = handle;
  object->sequence = sequence;
  if (handle != 0)
    g_ptr_array_add (slots->loaded, object);
  slots->objects.peak = MAX (slots->objects.peak, slots->loaded->len);
  eviction_touch (slots->object_eviction, &object->use);
  return object;
}

void
slots_mark_unloaded (Slots *slots, Object *object)
{
  object->handle = 0;
  g_ptr_array_remove_fast (slots->loaded, object);
}

void
slots_drop_object (Slots *slots, Object *object)
{
  if (object->handle != 0)
    slots_mark_unloaded (slots, object);
  object_free (object);
}

void
slots_orphan_object (Slots *slots, Object *object)
{
  object->owner = NULL;
  if (object->handle == 0)
    object_free (object);
}

void
slots_set_context (Object *object, const guint8 *blob, gsize size)
{
  g_clear_pointer (&object->context, g_bytes_unref);
  object->context = g_bytes_new (blob, size);
}

guint
slots_n_loaded_objects (const Slots *slots)
{
  return slots->loaded->len;
}

const GPtrArray *
slots_get_loaded_objects (const Slots *slots)
{
  return slots->loaded;
}

/* TPM2_ContextSave; the blob is a part of @response. */
static TSS2_RC
save_context (Slots *slots,
              guint32 handle,
              guint8 *response,
              const guint8 **out_blob,
              gsize *out_blob_size)
{
  guint8 command[COMMAND_HEADER_SIZE + 4];
  gsize size;
  TSS2_RC rc;

  command_put_handle_only (command, TPM2_CC_ContextSave, handle);
  rc = transact_simple (slots, command, sizeof command, response, &size);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  *out_blob = response + COMMAND_HEADER_SIZE;
  *out_blob_size = size - COMMAND_HEADER_SIZE;
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
load_context (Slots *slots, GBytes *context, guint32 *out_handle)
{
  guint8 command[COMMAND_MAX_SIZE];
  guint8 response[COMMAND_MAX_SIZE];
  gsize blob_size, size;
  const guint8 *blob = g_bytes_get_data (context, &blob_size);
  TSS2_RC rc;

  put_be16 (command, TPM2_ST_NO_SESSIONS);
  put_be32 (command + 2, (guint32)(COMMAND_HEADER_SIZE + blob_size));
  put_be32 (command + 6, TPM2_CC_ContextLoad);
  memcpy (command + COMMAND_HEADER_SIZE, blob, blob_size);
  rc = transact_simple (slots, command, COMMAND_HEADER_SIZE + blob_size, response, &size);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  if (size < COMMAND_HEADER_SIZE + 4)
    return TSS2_TCTI_RC_MALFORMED_RESPONSE;
  *out_handle = get_be32 (response + COMMAND_HEADER_SIZE);
  return TSS2_RC_SUCCESS;
}

/* TPM2_FlushContext's TPM_RC_HANDLE, whatever parameter it names. */
static gboolean
is_no_such_handle (TSS2_RC rc)
{
  return (rc & ~(TSS2_RC)(TPM2_RC_P | TPM2_RC_N_MASK)) == TPM2_RC_HANDLE;
}

TSS2_RC
slots_flush (Slots *slots, guint32 handle)
{
  guint8 command[COMMAND_HEADER_SIZE + 4];
  guint8 response[COMMAND_MAX_SIZE];
  gsize size;
  TSS2_RC rc;

  command_put_handle_only (command, TPM2_CC_FlushContext, handle);
  rc = transact_simple (slots, command, sizeof command, response, &size);
  /* Not there is what was wanted. */
  return is_no_such_handle (rc) ? TSS2_RC_SUCCESS : rc;
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
  rc = save_context (slots, object->handle, response, &blob, &size);
  if (rc == TSS2_RC_SUCCESS)
    slots_set_context (object, blob, size);
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
  rc = slots_flush (slots, object->handle);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  slots_mark_unloaded (slots, object);
  if (object->owner == NULL)
    object_free (object);
  return TSS2_RC_SUCCESS;
}

/* FALSE: no object can go. */
static gboolean
evict_object (Slots *slots)
{
  g_autofree EvictionEntry **entries = g_new (EvictionEntry *, slots->loaded->len + 1);
  g_autoptr (GPtrArray) candidates = g_ptr_array_new ();

  for (guint i = 0; i < slots->loaded->len; i++)
    {
      Object *object = g_ptr_array_index (slots->loaded, i);

      if (object->owner == NULL && put_out_object (slots, object) == TSS2_RC_SUCCESS)
        return TRUE;
      if (object->owner == NULL || object->pin == slots->command_number)
        continue;
      entries[candidates->len] = &object->use;
      g_ptr_array_add (candidates, object);
    }
  while (candidates->len > 0 && !slots->lost)
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

/* In and out again: what was the oldest in the chip's count is the newest. */
static TSS2_RC
renew_context (Slots *slots, Session *session)
{
  guint8 response[COMMAND_MAX_SIZE];
  const guint8 *blob;
  guint32 handle;
  gsize size;
  TSS2_RC rc = load_context (slots, session->context, &handle);

  if (rc != TSS2_RC_SUCCESS)
    return rc;
  session_table_set_loaded (slots->sessions, session);
  rc = save_context (slots, handle, response, &blob, &size);
  if (rc == TSS2_RC_SUCCESS)
    session_table_set_saved (slots->sessions, session, blob, size);
  return rc;
}

/* Brings the chip's count of session contexts forward: each saved session, the oldest first, in and out again. */
static TSS2_RC
regap (Slots *slots)
{
  g_autoptr (GPtrArray) sessions = session_table_list (slots->sessions);
  TSS2_RC rc = TPM2_RC_CONTEXT_GAP;
  guint64 done = 0;

  for (;;)
    {
      Session *oldest = NULL;

      for (guint i = 0; i < sessions->len; i++)
        {
          Session *session = g_ptr_array_index (sessions, i);

          if (!session->loaded && session->save_order > done &&
              (oldest == NULL || session->save_order < oldest->save_order))
            oldest = session;
        }
      if (oldest == NULL || slots->lost)
        return rc;
      done = oldest->save_order;
      g_ptr_array_remove_fast (sessions, oldest);
      rc = renew_context (slots, oldest);
      if (rc != TSS2_RC_SUCCESS)
        return rc;
    }
}

/* The last resort: nothing of ours can go, or is in the way. */
static gboolean
drop_stray (Slots *slots)
{
  guint32 handle = session_table_take_stray (slots->sessions);

  if (handle == 0 || slots->lost || slots_flush (slots, handle) != TSS2_RC_SUCCESS)
    return FALSE;
  g_info (
      "flushed session 0x%08x, which was in the TPM before ggtpmd: there was no room for another",
      handle);
  return TRUE;
}

TSS2_RC
slots_save_session (Slots *slots, Session *session)
{
  guint8 response[COMMAND_MAX_SIZE];
  const guint8 *blob;
  gsize size;
  TSS2_RC rc = save_context (slots, session->handle, response, &blob, &size);

  if (rc == TPM2_RC_CONTEXT_GAP && regap (slots) == TSS2_RC_SUCCESS)
    rc = save_context (slots, session->handle, response, &blob, &size);
  while (rc == TPM2_RC_CONTEXT_GAP && drop_stray (slots))
    rc = save_context (slots, session->handle, response, &blob, &size);
  if (rc == TSS2_RC_SUCCESS)
    session_table_set_saved (slots->sessions, session, blob, size);
  return rc;
}

/* Gives up a session that nobody is connected to: one that nobody can claim, else the oldest. */
static gboolean
drop_abandoned (Slots *slots)
{
  Session *session = session_table_first_dead (slots->sessions);

  if (session == NULL)
    session = session_table_oldest_abandoned (slots->sessions);
  if (session == NULL || slots->lost || slots_flush (slots, session->handle) != TSS2_RC_SUCCESS)
    return FALSE;
  session_table_remove (slots->sessions, session);
  return TRUE;
}

static gboolean
evict_session (Slots *slots)
{
  g_autoptr (GPtrArray) sessions = session_table_list (slots->sessions);
  g_autofree EvictionEntry **entries = g_new (EvictionEntry *, sessions->len + 1);
  guint n = 0;

  if (session_table_first_dead (slots->sessions) != NULL)
    return drop_abandoned (slots);
  for (guint i = 0; i < sessions->len; i++)
    {
      Session *session = g_ptr_array_index (sessions, i);

      if (!session->loaded || session->pin == slots->command_number)
        continue;
      entries[n] = &session->use;
      sessions->pdata[n++] = session;
    }
  if (n == 0 || slots->lost)
    return FALSE;
  return slots_save_session (
             slots, g_ptr_array_index (sessions, eviction_choose (slots->session_eviction, entries,
                                                                  n))) == TSS2_RC_SUCCESS;
}

/* Room */

static guint
room_limit (const Room *room, guint reserve)
{
  guint limit = room->fixed != 0 ? room->fixed : room->learned;

  if (reserve > 0 && limit == 0)
    limit = MAX (room->minimum, room->peak);
  if (limit == 0)
    return G_MAXUINT;
  return limit > reserve ? limit - reserve : 1;
}

/* So that the next command that takes @n slots need not be refused first. */
static void
make_object_room (Slots *slots, guint n)
{
  while (slots->loaded->len + n > room_limit (&slots->objects, slots->reserve))
    if (!evict_object (slots))
      return;
}

static void
make_session_room (Slots *slots, guint n)
{
  slots->session_room.peak =
      MAX (slots->session_room.peak, session_table_n_loaded (slots->sessions));
  while (session_table_n_loaded (slots->sessions) + n > room_limit (&slots->session_room, 0))
    if (!evict_session (slots))
      return;
}

static void
learn (Room *room, guint n_loaded)
{
  if (n_loaded > 0)
    room->learned = n_loaded;
}

/*
 * After the chip's refusal @rc.
 * @code: of the refused command, if it is one that adds nothing to the chip; else 0
 * Returns whether it makes sense to try again.
 */
static gboolean
make_room_after (Slots *slots, TSS2_RC rc, guint32 code)
{
  switch (rc)
    {
    case TPM2_RC_OBJECT_MEMORY:
    case TPM2_RC_OBJECT_HANDLES:
      if (code != 0)
        g_hash_table_add (slots->needs_room, GUINT_TO_POINTER (code));
      else
        learn (&slots->objects, slots->loaded->len);
      return evict_object (slots);
    case TPM2_RC_SESSION_MEMORY:
      learn (&slots->session_room, session_table_n_loaded (slots->sessions));
      return evict_session (slots);
    case TPM2_RC_SESSION_HANDLES:
      return drop_abandoned (slots) || drop_stray (slots);
    case TPM2_RC_MEMORY:
      return evict_object (slots) || evict_session (slots);
    case TPM2_RC_CONTEXT_GAP:
      return drop_stray (slots); /* the caller has brought ours forward */
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
  TSS2_RC rc = TSS2_RC_SUCCESS;

  eviction_touch (slots->object_eviction, &object->use);
  if (object->handle == 0)
    {
      guint32 handle = 0;

      make_object_room (slots, 1);
      for (guint i = 0; i < MAX_ROOM_RETRIES; i++)
        {
          rc = load_context (slots, object->context, &handle);
          if (rc == TSS2_RC_SUCCESS || !make_room_after (slots, rc, 0))
            break;
        }
      if (rc != TSS2_RC_SUCCESS)
        return rc;
      object->handle = handle;
      g_ptr_array_add (slots->loaded, object);
      slots->objects.peak = MAX (slots->objects.peak, slots->loaded->len);
    }
  /* The use that follows will change it. */
  if (object->sequence)
    g_clear_pointer (&object->context, g_bytes_unref);
  return TSS2_RC_SUCCESS;
}

TSS2_RC
slots_load_session (Slots *slots, Session *session)
{
  TSS2_RC rc = TSS2_RC_SUCCESS;
  gboolean regapped = FALSE;
  guint32 handle;

  eviction_touch (slots->session_eviction, &session->use);
  if (session->loaded)
    return TSS2_RC_SUCCESS;
  make_session_room (slots, 1);
  for (guint i = 0; i < MAX_ROOM_RETRIES && !session->loaded; i++)
    {
      rc = load_context (slots, session->context, &handle);
      if (rc == TSS2_RC_SUCCESS)
        session_table_set_loaded (slots->sessions, session);
      else if (rc == TPM2_RC_CONTEXT_GAP && !regapped)
        {
          regapped = TRUE;
          if (regap (slots) != TSS2_RC_SUCCESS && !drop_stray (slots))
            break;
        }
      else if (!make_room_after (slots, rc, 0))
        break;
    }
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
  gboolean regapped = FALSE;
  guint32 code = adds_object || adds_session ? 0 : command->code;
  TSS2_RC rc = TSS2_RC_SUCCESS;

  if (adds_object || g_hash_table_contains (slots->needs_room, GUINT_TO_POINTER (command->code)))
    make_object_room (slots, 1);
  if (adds_session)
    make_session_room (slots, 1);
  for (guint i = 0; i < MAX_ROOM_RETRIES; i++)
    {
      TSS2_RC answer;

      rc = transact (slots, command->data, command->size, locality, response, out_size);
      if (rc != TSS2_RC_SUCCESS)
        return rc;
      answer = command_response_get_rc (response);
      if (answer == TPM2_RC_CONTEXT_GAP && !regapped)
        {
          regapped = TRUE;
          if (regap (slots) != TSS2_RC_SUCCESS && !drop_stray (slots))
            break;
        }
      else if (!make_room_after (slots, answer, code))
        break;
    }
  /* Making room may have been what lost the chip; the client's command was not carried out. */
  return slots->lost ? TSS2_TCTI_RC_IO_ERROR : TSS2_RC_SUCCESS;
}

gboolean
slots_evict_one (Slots *slots)
{
  return !slots->lost && (evict_object (slots) || evict_session (slots));
}

gboolean
slots_sweep_one (Slots *slots)
{
  for (guint i = 0; i < slots->loaded->len && !slots->lost; i++)
    {
      Object *object = g_ptr_array_index (slots->loaded, i);

      if (object->owner == NULL)
        return put_out_object (slots, object) == TSS2_RC_SUCCESS;
    }
  return session_table_first_dead (slots->sessions) != NULL && drop_abandoned (slots);
}

static void
relax (Room *room)
{
  if (room->learned != 0)
    room->learned = MAX (room->learned, room->peak);
}

void
slots_relax (Slots *slots)
{
  relax (&slots->objects);
  relax (&slots->session_room);
}

void
slots_forget_all (Slots *slots)
{
  for (guint i = 0; i < slots->loaded->len; i++)
    {
      Object *object = g_ptr_array_index (slots->loaded, i);

      object->handle = 0;
      if (object->owner == NULL)
        object_free (object);
    }
  g_ptr_array_set_size (slots->loaded, 0);
  session_table_clear (slots->sessions);
}
