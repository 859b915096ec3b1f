/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * tpm-proxy UPSTREAM LISTEN RULES: between a TPM client and swtpm, both on unix sockets with raw TPM framing. Makes
 * swtpm look like another chip, and makes it fail. RULES is a file, looked at before each command; a line is one of
 *
 *   identity NAME           fixed properties of the chip NAME (see `identities`)
 *   timing NAME             what a real chip takes time for takes that time (see `timings`); swtpm's own is part of it
 *   property HEX HEX        a TPM_PT and its value
 *   vendor HEX HEX          a vendor property and its value, any bytes, as Infineon's chips answer it
 *   COMMAND ACTION [ARGUMENT] [COUNT]
 *
 * COMMAND is a TPM_CC in hexadecimal, or `any`. The first line that matches counts; with COUNT it does so that many
 * times, counted anew when the file changes. The ACTIONs:
 *
 *   rc HEX      answers with this response code; the chip does not see the command
 *   raw HEX     answers with these bytes, however many
 *   garbage -   answers with 64 bytes that mean nothing, the header too
 *   noise -     a proper header of success, and 32 bytes that mean nothing
 *   short N     the chip's answer, only its first N bytes, then end of file
 *   half N      the chip's answer, only its first N bytes, and never more
 *   size N      the chip's answer with N as the size in its header
 *   delay MS    the chip's answer, later
 *   note -      the chip's answer; a line in RULES.notes says what it was: the command, the type of the object that it
 *               has made or 0, both in hexadecimal, and the microseconds that it took
 *   stale -     the chip does the command; answers as to the one before, as a chip whose answers come out of order
 *   eof -       closes the connection; the chip does not see the command
 *   lost -      the chip does the command; then closes the connection
 *   hang -      never answers
 */

#include "common/write.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#define HEADER_SIZE   10
#define MAX_FRAME     8192
#define ENTRY_SIZE    8
#define LIST_OFFSET   19 /* of the first property: header, moreData, capability, count */
#define IFX           0x49465800u
#define N_NOISE       32
#define N_GARBAGE     64
#define CC_ANY        0u
#define BEYOND_FIXED  0x200u
#define REVISION_1_16 116u

typedef struct
{
  const char *name;
  const char *vendor_string;
  guint32 revision;
  guint32 day;
  guint32 year;
  guint32 firmware_1;
  guint32 firmware_2;
  gboolean tells_updates; /* has the vendor properties of SLB 9672 and 9673 */
} Identity;

/* Builds and dates that no public source gives (7.61; days of 7.40 and the 9672) are made up and of no meaning. */
static const Identity identities[] = {
  { "SLB9670-7.40", "SLB9670", REVISION_1_16, 15, 2016, 0x00070028, 0x00083200, FALSE },
  { "SLB9670-7.61", "SLB9670", REVISION_1_16, 15, 2016, 0x0007003d, 0x000c3500, FALSE },
  { "SLB9670-7.62", "SLB9670", REVISION_1_16, 15, 2016, 0x0007003e, 0x000c3600, FALSE },
  { "SLB9670-7.85", "SLB9670", 138, 8, 2018, 0x00070055, 0x0011cb02, FALSE },
  { "SLI9670-13.11", "SLI9670", 138, 8, 2018, 0x000d000b, 0x0011cb00, FALSE },
  { "SLM9670-13.11", "SLM9670", 138, 8, 2018, 0x000d000b, 0x0011cb00, FALSE },
  { "SLB9672-15.21", "SLB9672", 159, 8, 2020, 0x000f0015, 0x00402e00, TRUE },
  { "SLB9672-15.23", "SLB9672", 159, 8, 2020, 0x000f0017, 0x00450000, TRUE },
  { "SLB9673-27.13", "SLB9673", 159, 8, 2020, 0x001b000d, 0x00450000, TRUE },
};

/*
 * What is published of a chip: RSA means RSA-2048, ECC P-256. Commands that nothing is published of take swtpm's time,
 * so that a bench at the speed of a real chip is a lower bound.
 */
typedef struct
{
  const char *name;
  guint32 rsa_create_us;
  guint32 rsa_private_us;
  guint32 rsa_public_us; /* also verifying */
  guint32 ecc_create_us;
  guint32 ecc_sign_us;
  guint32 ecc_verify_us;
  guint32 ecdh_us;
  guint32 random_us; /* for a byte */
  guint32 hash_us;   /* the same */
} Timing;

static const Timing timings[] = {
  /* wolfTPM's README: firmware 7.85, SPI at 43 MHz; 14.033 KB/s of random numbers, 136.763 KB/s of SHA-256 */
  { "SLB9670", 2196230, 163207, 8893, 231350, 68865, 113539, 232144, 70, 7 },
};

typedef enum
{
  ACTION_NONE,
  ACTION_RC,
  ACTION_RAW,
  ACTION_GARBAGE,
  ACTION_NOISE,
  ACTION_SHORT,
  ACTION_HALF,
  ACTION_SIZE,
  ACTION_DELAY,
  ACTION_NOTE,
  ACTION_STALE,
  ACTION_EOF,
  ACTION_LOST,
  ACTION_HANG,
  N_ACTIONS
} Action;

static const char *const action_names[] = {
  NULL,   "rc",    "raw",  "garbage", "noise", "short", "half",
  "size", "delay", "note", "stale",   "eof",   "lost",  "hang",
};

G_STATIC_ASSERT (G_N_ELEMENTS (action_names) == N_ACTIONS);

typedef struct
{
  guint32 command;
  Action action;
  char *argument;
  guint64 left;
} Rule;

typedef struct
{
  const char *upstream;
  const char *rules_path;
  GMutex mutex;
  char *text; /* of the rules below */
  GArray *rules;
  GHashTable *properties; /* TPM_PT to value */
  GHashTable *vendor;     /* vendor property to value in hexadecimal */
  gboolean crosses_groups;
  const Timing *timing; /* NULL: swtpm's own */
  GByteArray *last;     /* answer; NULL: none yet */
} Proxy;

static guint32
get_be32 (const guint8 *bytes)
{
  guint32 value;

  memcpy (&value, bytes, sizeof (value));
  return GUINT32_FROM_BE (value);
}

static void
put_be32 (guint8 *bytes, guint32 value)
{
  value = GUINT32_TO_BE (value);
  memcpy (bytes, &value, sizeof (value));
}

static void
rule_clear (gpointer data)
{
  g_free (((Rule *)data)->argument);
}

static void
set_property (Proxy *proxy, guint32 property, guint32 value)
{
  g_hash_table_insert (proxy->properties, GUINT_TO_POINTER (property), GUINT_TO_POINTER (value));
}

/* Also made up, but of the lengths that Infineon's update tool reads. */
static void
set_vendor_properties (Proxy *proxy)
{
  static const struct
  {
    guint32 number;
    const char *value;
  } rows[] = {
    { 0x80000003, "0040" }, { 0x80000004, "0010" },     { 0x80000006, "00010000" },
    { 0x80000007, "00" },   { 0x80000008, "00000005" }, { 0x8000000a, "000f001500402e00" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    g_hash_table_insert (proxy->vendor, GUINT_TO_POINTER (rows[i].number),
                         g_strdup (rows[i].value));
}

static void
set_identity (Proxy *proxy, const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (identities); i++)
    {
      const Identity *identity = &identities[i];
      guint8 text[16] = { 0 };

      if (!g_str_equal (identity->name, name))
        continue;
      memcpy (text, identity->vendor_string, strlen (identity->vendor_string));
      for (guint j = 0; j < 4; j++)
        set_property (proxy, TPM2_PT_VENDOR_STRING_1 + j, get_be32 (text + 4 * j));
      set_property (proxy, TPM2_PT_MANUFACTURER, IFX);
      /* swtpm's 3 tries are no chip's */
      set_property (proxy, TPM2_PT_MAX_AUTH_FAIL, 32);
      set_property (proxy, TPM2_PT_VENDOR_TPM_TYPE, 0);
      set_property (proxy, TPM2_PT_REVISION, identity->revision);
      set_property (proxy, TPM2_PT_DAY_OF_YEAR, identity->day);
      set_property (proxy, TPM2_PT_YEAR, identity->year);
      set_property (proxy, TPM2_PT_FIRMWARE_VERSION_1, identity->firmware_1);
      set_property (proxy, TPM2_PT_FIRMWARE_VERSION_2, identity->firmware_2);
      if (identity->tells_updates)
        set_vendor_properties (proxy);
      proxy->crosses_groups = identity->revision == REVISION_1_16;
      return;
    }
  g_printerr ("tpm-proxy: no identity `%s`\n", name);
  exit (1);
}

static void
set_timing (Proxy *proxy, const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (timings); i++)
    if (g_str_equal (timings[i].name, name))
      {
        proxy->timing = &timings[i];
        return;
      }
  g_printerr ("tpm-proxy: no timing `%s`\n", name);
  exit (1);
}

static Action
parse_action (const char *name)
{
  for (gint action = ACTION_NONE + 1; action < N_ACTIONS; action++)
    if (g_str_equal (action_names[action], name))
      return (Action)action;
  g_printerr ("tpm-proxy: no action `%s`\n", name);
  exit (1);
}

static void
parse_line (Proxy *proxy, const char *line)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  guint n = g_strv_length (words);
  Rule rule = { 0 };

  if (n == 0 || *words[0] == '\0' || *words[0] == '#')
    return;
  if (g_str_equal (words[0], "identity") && n == 2)
    {
      set_identity (proxy, words[1]);
      return;
    }
  if (g_str_equal (words[0], "timing") && n == 2)
    {
      set_timing (proxy, words[1]);
      return;
    }
  if (g_str_equal (words[0], "property") && n == 3)
    {
      set_property (proxy, (guint32)g_ascii_strtoull (words[1], NULL, 16),
                    (guint32)g_ascii_strtoull (words[2], NULL, 16));
      return;
    }
  if (g_str_equal (words[0], "vendor") && n == 3)
    {
      g_hash_table_insert (proxy->vendor,
                           GUINT_TO_POINTER ((guint32)g_ascii_strtoull (words[1], NULL, 16)),
                           g_strdup (words[2]));
      return;
    }
  if (n < 2 || n > 4)
    {
      g_printerr ("tpm-proxy: not a rule: `%s`\n", line);
      exit (1);
    }
  rule.command =
      g_str_equal (words[0], "any") ? CC_ANY : (guint32)g_ascii_strtoull (words[0], NULL, 16);
  rule.action = parse_action (words[1]);
  rule.argument = g_strdup (n > 2 ? words[2] : "");
  rule.left = n > 3 ? g_ascii_strtoull (words[3], NULL, 10) : G_MAXUINT64;
  g_array_append_val (proxy->rules, rule);
}

/* With the mutex. */
static void
load_rules (Proxy *proxy)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (proxy->rules_path, &text, NULL, NULL))
    text = g_strdup ("");
  if (g_strcmp0 (text, proxy->text) == 0)
    return;
  g_free (proxy->text);
  proxy->text = g_strdup (text);
  g_array_set_size (proxy->rules, 0);
  g_hash_table_remove_all (proxy->properties);
  g_hash_table_remove_all (proxy->vendor);
  proxy->crosses_groups = FALSE;
  proxy->timing = NULL;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    parse_line (proxy, *line);
}

/* What to do with a command. @out_argument: free with g_free() */
static Action
find_action (Proxy *proxy, guint32 command, char **out_argument)
{
  Action action = ACTION_NONE;

  g_mutex_lock (&proxy->mutex);
  load_rules (proxy);
  for (guint i = 0; i < proxy->rules->len && action == ACTION_NONE; i++)
    {
      Rule *rule = &g_array_index (proxy->rules, Rule, i);

      if (rule->left == 0 || (rule->command != CC_ANY && rule->command != command))
        continue;
      rule->left--;
      action = rule->action;
      *out_argument = g_strdup (rule->argument);
    }
  g_mutex_unlock (&proxy->mutex);
  return action;
}

/* A whole frame; NULL: end of file or not a frame. */
/* A socket of the path @text; -1 with errno. */
static int
make_socket (const char *text, int (*use) (int fd, const struct sockaddr *address, socklen_t len))
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_strlcpy (address.sun_path, text, sizeof address.sun_path);
  if (fd >= 0 && use (fd, (const struct sockaddr *)&address, sizeof address) < 0)
    {
      close (fd);
      return -1;
    }
  return fd;
}

static gboolean
read_all (int fd, guint8 *data, gsize len)
{
  /* Linux waits for a byte where none is asked for. */
  return len == 0 || recv (fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static GByteArray *
read_frame (int fd)
{
  g_autoptr (GByteArray) frame = g_byte_array_new ();
  guint32 size;

  g_byte_array_set_size (frame, HEADER_SIZE);
  if (!read_all (fd, frame->data, HEADER_SIZE))
    return NULL;
  size = get_be32 (frame->data + 2);
  if (size < HEADER_SIZE || size > MAX_FRAME)
    return NULL;
  g_byte_array_set_size (frame, size);
  if (!read_all (fd, frame->data + HEADER_SIZE, size - HEADER_SIZE))
    return NULL;
  return g_steal_pointer (&frame);
}

/* One connection for each command, so that swtpm may come and go. */
static GByteArray *
ask_chip (Proxy *proxy, const GByteArray *command)
{
  int fd = make_socket (proxy->upstream, connect);
  GByteArray *answer = NULL;

  if (fd < 0)
    return NULL;
  if (write_all (fd, command->data, command->len))
    answer = read_frame (fd);
  close (fd);
  return answer;
}

static gboolean
is_properties_answer (const GByteArray *command, const GByteArray *answer)
{
  return command->len >= HEADER_SIZE + 12 && answer->len >= LIST_OFFSET &&
         command->data[1] == 0x01 && get_be32 (command->data + 6) == TPM2_CC_GetCapability &&
         get_be32 (command->data + 10) == TPM2_CAP_TPM_PROPERTIES &&
         get_be32 (answer->data + 6) == TPM2_RC_SUCCESS;
}

/* As chips of revision 1.16 do: what was asked for beyond the fixed group is there. */
static void
append_next_group (Proxy *proxy, const GByteArray *command, GByteArray *answer)
{
  g_autoptr (GByteArray) next_command = g_byte_array_new ();
  g_autoptr (GByteArray) next = NULL;
  guint32 count = get_be32 (answer->data + LIST_OFFSET - 4);
  guint32 wanted = get_be32 (command->data + 18);

  if (get_be32 (command->data + 14) >= BEYOND_FIXED || count >= wanted)
    return;
  g_byte_array_append (next_command, command->data, command->len);
  put_be32 (next_command->data + 14, BEYOND_FIXED);
  put_be32 (next_command->data + 18, wanted - count);
  next = ask_chip (proxy, next_command);
  if (next == NULL || !is_properties_answer (next_command, next))
    return;
  g_byte_array_append (answer, next->data + LIST_OFFSET, next->len - LIST_OFFSET);
  put_be32 (answer->data + LIST_OFFSET - 4, count + get_be32 (next->data + LIST_OFFSET - 4));
  put_be32 (answer->data + 2, answer->len);
}

static void
rewrite (Proxy *proxy, const GByteArray *command, GByteArray *answer)
{
  if (!is_properties_answer (command, answer))
    return;
  g_mutex_lock (&proxy->mutex);
  if (proxy->crosses_groups)
    append_next_group (proxy, command, answer);
  for (guint i = LIST_OFFSET; i + ENTRY_SIZE <= answer->len; i += ENTRY_SIZE)
    {
      gpointer value;

      if (g_hash_table_lookup_extended (
              proxy->properties, GUINT_TO_POINTER (get_be32 (answer->data + i)), NULL, &value))
        put_be32 (answer->data + i + 4, GPOINTER_TO_UINT (value));
    }
  g_mutex_unlock (&proxy->mutex);
}

/* ---- the time that a chip takes ---- */

static guint16
get_be16 (const GByteArray *frame, gsize offset)
{
  if (offset + 2 > frame->len)
    return 0;
  return (guint16)(frame->data[offset] << 8 | frame->data[offset + 1]);
}

/* Of the first parameter. @n_handles: of the answer */
static gsize
find_parameters (const GByteArray *answer, guint n_handles)
{
  gboolean has_sessions = get_be16 (answer, 0) == TPM2_ST_SESSIONS;

  return HEADER_SIZE + 4 * n_handles + (has_sessions ? 4 : 0);
}

/* Of the object that was made; 0: none was. */
static guint16
get_made_type (const GByteArray *command, const GByteArray *answer)
{
  gsize offset;

  switch (get_be32 (command->data + 6))
    {
    case TPM2_CC_Create:
      offset = find_parameters (answer, 0);
      break;
    case TPM2_CC_CreateLoaded:
      offset = find_parameters (answer, 1);
      break;
    case TPM2_CC_CreatePrimary:
      return get_be16 (answer, find_parameters (answer, 1) + 2);
    default:
      return 0;
    }
  /* After the private part. */
  return get_be16 (answer, offset + 2 + get_be16 (answer, offset) + 2);
}

static guint32
get_creation_us (const Timing *timing, guint16 type)
{
  if (type == TPM2_ALG_RSA)
    return timing->rsa_create_us;
  return type == TPM2_ALG_ECC ? timing->ecc_create_us : 0;
}

static gboolean
is_rsa_scheme (guint16 scheme)
{
  return scheme == TPM2_ALG_RSASSA || scheme == TPM2_ALG_RSAPSS;
}

/* The signature to verify is the last of the command; an RSA one has all the length of its key. */
static guint32
get_verification_us (const Timing *timing, const GByteArray *command)
{
  return command->len > 256 ? timing->rsa_public_us : timing->ecc_verify_us;
}

static guint32
get_command_us (const Timing *timing, const GByteArray *command, const GByteArray *answer)
{
  gsize first = find_parameters (answer, 0);

  switch (get_be32 (command->data + 6))
    {
    case TPM2_CC_Create:
    case TPM2_CC_CreatePrimary:
    case TPM2_CC_CreateLoaded:
      return get_creation_us (timing, get_made_type (command, answer));
    case TPM2_CC_Sign:
      return is_rsa_scheme (get_be16 (answer, first)) ? timing->rsa_private_us
                                                      : timing->ecc_sign_us;
    case TPM2_CC_RSA_Decrypt:
      return timing->rsa_private_us;
    case TPM2_CC_RSA_Encrypt:
      return timing->rsa_public_us;
    case TPM2_CC_VerifySignature:
      return get_verification_us (timing, command);
    case TPM2_CC_ECDH_KeyGen:
    case TPM2_CC_ECDH_ZGen:
      return timing->ecdh_us;
    case TPM2_CC_GetRandom:
      return timing->random_us * get_be16 (answer, first);
    case TPM2_CC_Hash:
    case TPM2_CC_SequenceUpdate:
    case TPM2_CC_SequenceComplete:
      return timing->hash_us * command->len;
    default:
      return 0;
    }
}

/* What swtpm has taken since @start is part of it. */
static void
take_time (Proxy *proxy, const GByteArray *command, const GByteArray *answer, gint64 start)
{
  const Timing *timing;
  gint64 left;

  g_mutex_lock (&proxy->mutex);
  timing = proxy->timing;
  g_mutex_unlock (&proxy->mutex);
  if (timing == NULL || get_be32 (answer->data + 6) != TPM2_RC_SUCCESS)
    return;
  left = start + get_command_us (timing, command, answer) - g_get_monotonic_time ();
  if (left > 0)
    g_usleep ((gulong)left);
}

static GByteArray *
copy_bytes (const GByteArray *bytes)
{
  GByteArray *copy = g_byte_array_new ();

  return g_byte_array_append (copy, bytes->data, bytes->len);
}

/* Keeps @answer for the next time, and returns the one before; takes @answer. */
static GByteArray *
swap_last (Proxy *proxy, GByteArray *answer, gboolean is_wanted)
{
  GByteArray *before;

  g_mutex_lock (&proxy->mutex);
  before = g_steal_pointer (&proxy->last);
  proxy->last = copy_bytes (answer);
  g_mutex_unlock (&proxy->mutex);
  if (is_wanted && before != NULL)
    {
      g_byte_array_unref (answer);
      return before;
    }
  g_clear_pointer (&before, g_byte_array_unref);
  return answer;
}

static GByteArray *
new_answer (guint32 rc, guint n_body)
{
  GByteArray *answer = g_byte_array_new ();

  g_byte_array_set_size (answer, HEADER_SIZE + n_body);
  answer->data[0] = 0x80;
  answer->data[1] = 0x01;
  put_be32 (answer->data + 2, answer->len);
  put_be32 (answer->data + 6, rc);
  for (guint i = 0; i < n_body; i++)
    answer->data[HEADER_SIZE + i] = (guint8)(0xf1 + 37 * i);
  return answer;
}

static GByteArray *
parse_hex (const char *text)
{
  GByteArray *bytes = g_byte_array_new ();

  for (; g_ascii_isxdigit (text[0]) && g_ascii_isxdigit (text[1]); text += 2)
    {
      guint8 byte = (guint8)(g_ascii_xdigit_value (text[0]) << 4 | g_ascii_xdigit_value (text[1]));

      g_byte_array_append (bytes, &byte, 1);
    }
  return bytes;
}

/* moreData, capability, and a list of one TPM2B. NULL: not that question, or not that chip. */
static GByteArray *
answer_vendor (Proxy *proxy, const GByteArray *command)
{
  g_autoptr (GByteArray) value = NULL;
  GByteArray *answer;
  const char *hex = NULL;

  if (command->len < HEADER_SIZE + 12 || get_be32 (command->data + 6) != TPM2_CC_GetCapability ||
      get_be32 (command->data + 10) != TPM2_CAP_VENDOR_PROPERTY)
    return NULL;
  g_mutex_lock (&proxy->mutex);
  hex = g_hash_table_lookup (proxy->vendor, GUINT_TO_POINTER (get_be32 (command->data + 14)));
  if (hex != NULL)
    value = parse_hex (hex);
  g_mutex_unlock (&proxy->mutex);
  if (value == NULL)
    return NULL;
  answer = new_answer (TPM2_RC_SUCCESS, LIST_OFFSET - HEADER_SIZE + 2);
  answer->data[HEADER_SIZE] = TPM2_NO;
  put_be32 (answer->data + HEADER_SIZE + 1, TPM2_CAP_VENDOR_PROPERTY);
  put_be32 (answer->data + HEADER_SIZE + 5, 1);
  answer->data[LIST_OFFSET] = (guint8)(value->len >> 8);
  answer->data[LIST_OFFSET + 1] = (guint8)value->len;
  g_byte_array_append (answer, value->data, value->len);
  put_be32 (answer->data + 2, answer->len);
  return answer;
}

static GByteArray *
make_garbage (void)
{
  GByteArray *answer = new_answer (0, N_GARBAGE - HEADER_SIZE);

  for (guint i = 0; i < HEADER_SIZE; i++)
    answer->data[i] = (guint8)(0xe7 - 29 * i);
  return answer;
}

/* The answer without the chip; NULL: none. */
static GByteArray *
answer_alone (Action action, const char *argument)
{
  switch ((gint)action)
    {
    case ACTION_RC:
      return new_answer ((guint32)g_ascii_strtoull (argument, NULL, 16), 0);
    case ACTION_RAW:
      return parse_hex (argument);
    case ACTION_NOISE:
      return new_answer (TPM2_RC_SUCCESS, N_NOISE);
    case ACTION_GARBAGE:
      return make_garbage ();
    case ACTION_HANG:
      for (;;)
        pause ();
    default:
      return NULL;
    }
}

static gboolean
needs_chip (Action action)
{
  return action == ACTION_NONE || action == ACTION_SHORT || action == ACTION_HALF ||
         action == ACTION_SIZE || action == ACTION_DELAY || action == ACTION_NOTE ||
         action == ACTION_STALE || action == ACTION_LOST;
}

static void
note (Proxy *proxy, const GByteArray *command, const GByteArray *answer, gint64 start)
{
  g_autofree char *path = g_strconcat (proxy->rules_path, ".notes", NULL);
  FILE *notes = fopen (path, "a");

  g_assert (notes != NULL);
  fprintf (notes, "%x %x %" G_GINT64_FORMAT "\n", get_be32 (command->data + 6),
           get_made_type (command, answer), g_get_monotonic_time () - start);
  fclose (notes);
}

/* @out_action: what was done */
static GByteArray *
answer_command (Proxy *proxy, const GByteArray *command, Action *out_action)
{
  g_autofree char *argument = NULL;
  Action action = find_action (proxy, get_be32 (command->data + 6), &argument);
  g_autoptr (GByteArray) answer = NULL;
  gint64 start = g_get_monotonic_time ();
  guint number;

  *out_action = action;
  if (!needs_chip (action))
    return answer_alone (action, argument);
  answer = answer_vendor (proxy, command);
  if (answer == NULL)
    answer = ask_chip (proxy, command);
  if (answer == NULL || action == ACTION_LOST)
    return NULL;
  rewrite (proxy, command, answer);
  take_time (proxy, command, answer, start);
  answer = swap_last (proxy, g_steal_pointer (&answer), action == ACTION_STALE);
  number = argument != NULL ? (guint)g_ascii_strtoull (argument, NULL, 10) : 0;
  if (action == ACTION_SHORT || action == ACTION_HALF)
    g_byte_array_set_size (answer, MIN (answer->len, number));
  else if (action == ACTION_SIZE)
    put_be32 (answer->data + 2, number);
  else if (action == ACTION_DELAY)
    g_usleep (number * 1000ul);
  else if (action == ACTION_NOTE)
    note (proxy, command, answer, start);
  return g_steal_pointer (&answer);
}

typedef struct
{
  Proxy *proxy;
  int fd;
} Connection;

static gpointer
serve (gpointer data)
{
  g_autofree Connection *connection = data;
  Action action = ACTION_NONE;
  gboolean ends = FALSE;

  while (!ends)
    {
      g_autoptr (GByteArray) command = read_frame (connection->fd);
      g_autoptr (GByteArray) answer = NULL;

      if (command != NULL)
        answer = answer_command (connection->proxy, command, &action);
      if (answer == NULL || !write_all (connection->fd, answer->data, answer->len))
        ends = TRUE;
      while (action == ACTION_HALF)
        pause ();
      ends |= action == ACTION_SHORT;
    }
  close (connection->fd);
  return NULL;
}

int
main (int argc, char **argv)
{
  Proxy proxy = { 0 };
  int listener;

  if (argc != 4)
    {
      g_printerr ("usage: tpm-proxy UPSTREAM LISTEN RULES\n");
      return 2;
    }
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  signal (SIGPIPE, SIG_IGN);
  proxy.upstream = argv[1];
  proxy.rules_path = argv[3];
  proxy.rules = g_array_new (FALSE, FALSE, sizeof (Rule));
  g_array_set_clear_func (proxy.rules, rule_clear);
  proxy.properties = g_hash_table_new (NULL, NULL);
  proxy.vendor = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  g_mutex_init (&proxy.mutex);

  listener = make_socket (argv[2], bind);
  if (listener < 0 || listen (listener, SOMAXCONN) < 0)
    {
      g_printerr ("tpm-proxy: %s: %s\n", argv[2], g_strerror (errno));
      return 1;
    }
  for (;;)
    {
      Connection connection = { &proxy, accept4 (listener, NULL, NULL, SOCK_CLOEXEC) };

      if (connection.fd >= 0)
        g_thread_unref (
            g_thread_new ("connection", serve, g_memdup2 (&connection, sizeof connection)));
    }
}
