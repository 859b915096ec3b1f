/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "event-log.h"

#include "dbus/error.h"

#include <string.h>

#define EV_NO_ACTION     3u
#define ALG_SHA256       0x000bu
#define SHA1_SIZE        20
#define SIGNATURE_SIZE   16
#define SIGNATURE        "Spec ID Event03" /* with its NUL: 16 bytes */
#define STARTUP_LOCALITY "StartupLocality" /* the same */
#define PLATFORM_SIZE    8 /* class, version of the specification, size of an UINTN */
#define MAX_ALGORITHMS   8

/* What is left of the log. All numbers are little-endian. */
typedef struct
{
  const guint8 *data;
  gsize len;
  gboolean is_short; /* something did not fit: everything after it is zero */
} Reader;

typedef struct
{
  guint n;
  struct
  {
    guint16 id;
    guint16 size;
  } rows[MAX_ALGORITHMS];
} Algorithms;

static const guint8 *
take (Reader *reader, gsize len)
{
  static const guint8 nothing[SIGNATURE_SIZE + 1];
  const guint8 *data = reader->data;

  if (reader->is_short || len > reader->len)
    {
      reader->is_short = TRUE;
      return nothing;
    }
  reader->data += len;
  reader->len -= len;
  return data;
}

static guint32
take_number (Reader *reader, gsize size)
{
  const guint8 *data = take (reader, size);
  guint32 number = 0;

  for (gsize i = size; i > 0; i--)
    number = number << 8 | data[i - 1];
  return number;
}

static guint16
find_size (const Algorithms *algorithms, guint16 id)
{
  for (guint i = 0; i < algorithms->n; i++)
    if (algorithms->rows[i].id == id)
      return algorithms->rows[i].size;
  return 0;
}

/* The first event, which is of the old form, says of which digests the others are made. */
static gboolean
take_header (Reader *reader, Algorithms *algorithms)
{
  Reader event = { 0 };
  guint32 type, n;

  take_number (reader, 4);
  type = take_number (reader, 4);
  take (reader, SHA1_SIZE);
  event.len = take_number (reader, 4);
  event.data = take (reader, event.len);
  if (reader->is_short || type != EV_NO_ACTION || event.len < SIGNATURE_SIZE ||
      memcmp (take (&event, SIGNATURE_SIZE), SIGNATURE, SIGNATURE_SIZE) != 0)
    return FALSE;
  take (&event, PLATFORM_SIZE);
  n = take_number (&event, 4);
  if (n == 0 || n > MAX_ALGORITHMS)
    return FALSE;
  for (algorithms->n = 0; algorithms->n < n; algorithms->n++)
    {
      algorithms->rows[algorithms->n].id = (guint16)take_number (&event, 2);
      algorithms->rows[algorithms->n].size = (guint16)take_number (&event, 2);
    }
  return !event.is_short;
}

static void
extend (guint8 *value, const guint8 *digest)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize len = EVENT_LOG_DIGEST_SIZE;

  g_checksum_update (sum, value, EVENT_LOG_DIGEST_SIZE);
  g_checksum_update (sum, digest, EVENT_LOG_DIGEST_SIZE);
  g_checksum_get_digest (sum, value, &len);
}

/* TPM2_Startup at another locality than 0 leaves that in PCR 0 (PC Client Platform TPM Profile, 4.6). */
static void
take_no_action (guint32 pcr, Reader event, EventLogReplay *replay)
{
  if (pcr != 0 || event.len <= SIGNATURE_SIZE ||
      memcmp (take (&event, SIGNATURE_SIZE), STARTUP_LOCALITY, SIGNATURE_SIZE) != 0)
    return;
  memset (replay->values[0], 0, EVENT_LOG_DIGEST_SIZE);
  replay->values[0][EVENT_LOG_DIGEST_SIZE - 1] = *take (&event, 1);
}

static gboolean
take_event (Reader *reader, const Algorithms *algorithms, EventLogReplay *replay)
{
  guint32 pcr = take_number (reader, 4);
  guint32 type = take_number (reader, 4);
  guint32 n_digests = take_number (reader, 4);
  const guint8 *sha256 = NULL;
  Reader event = { 0 };

  if (n_digests > MAX_ALGORITHMS)
    return FALSE;
  for (guint32 i = 0; i < n_digests; i++)
    {
      guint16 id = (guint16)take_number (reader, 2);
      guint16 size = find_size (algorithms, id);
      const guint8 *digest = take (reader, size);

      if (size == 0)
        return FALSE;
      if (id == ALG_SHA256)
        sha256 = digest;
    }
  event.len = take_number (reader, 4);
  event.data = take (reader, event.len);
  if (reader->is_short)
    return FALSE;
  if (type == EV_NO_ACTION)
    take_no_action (pcr, event, replay);
  else if (pcr < EVENT_LOG_PCRS && sha256 != NULL)
    {
      extend (replay->values[pcr], sha256);
      replay->extended |= 1u << pcr;
    }
  return TRUE;
}

gboolean
event_log_replay (const guint8 *log, gsize len, EventLogReplay *out, GError **error)
{
  Reader reader = { log, len, FALSE };
  Algorithms algorithms = { 0 };
  EventLogReplay replay = { 0 };

  if (!take_header (&reader, &algorithms) || find_size (&algorithms, ALG_SHA256) == 0)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_NOT_SUPPORTED,
                   "the log of the firmware's measurements has no SHA-256 digests");
      return FALSE;
    }
  if (find_size (&algorithms, ALG_SHA256) != EVENT_LOG_DIGEST_SIZE)
    reader.is_short = TRUE;
  while (reader.len > 0 && !reader.is_short)
    if (!take_event (&reader, &algorithms, &replay))
      reader.is_short = TRUE;
  if (reader.is_short)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "the log of the firmware's measurements is damaged, %" G_GSIZE_FORMAT
                   " bytes before its end",
                   reader.len);
      return FALSE;
    }
  *out = replay;
  return TRUE;
}
