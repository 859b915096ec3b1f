/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * libtss2-tcti-test.so: a TCTI for the loader, `PATH.so:path=SOCKET,rules=FILE`, over a software TPM's socket with raw
 * TPM framing. Can set localities (0 to 4) and cancel, has no poll handles, and fails as it is told. FILE is looked at
 * before each call; a line is
 *
 *   WHAT CALL ARGUMENT [COUNT]
 *
 * WHAT is a TPM_CC in hexadecimal or `any`. The first line that matches counts; with COUNT it does so that many times,
 * counted anew when the file changes and when the TCTI is opened again. The CALLs:
 *
 *   pass -        to the chip and back
 *   transmit RC   sending fails with this code; the chip does not see the command
 *   receive RC    the chip does the command, receiving fails
 *   hold -        no answer until the command is cancelled, and then TPM_RC_CANCELED; the chip does not see it
 *   init RC, locality RC, cancel RC   the call of that name fails; WHAT is `any`
 *   stall -       cancelling does not return while the rule stands; WHAT is `any`
 *
 * What happened is appended to FILE.log: `hold 17b`, `stall`, `cancel`, `locality 2`, `init MILLISECONDS`.
 */

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tpm2_types.h>

#define MAGIC        0x7463746974657374ULL
#define HEADER_SIZE  10
#define MAX_FRAME    8192
#define MAX_LOCALITY 4
#define CC_ANY       0u

const TSS2_TCTI_INFO *Tss2_Tcti_Info (void);

typedef struct
{
  guint32 what;
  char *call;
  guint32 rc;
  guint64 left;
} Rule;

/* The broker may cancel while another thread of it receives. */
typedef struct
{
  TSS2_TCTI_CONTEXT_COMMON_V2 common;
  GMutex mutex;
  GCond cond;
  char *path;
  char *rules_path;
  char *text; /* of the rules below */
  GArray *rules;
  GSocketConnection *connection;
  gboolean busy;  /* between transmit and receive */
  gboolean ready; /* the answer is there, or the code in its place */
  TSS2_RC rc;
  guint8 answer[MAX_FRAME];
  gsize size;
} TctiTest;

static guint32
get_be32 (const guint8 *bytes)
{
  guint32 value;

  memcpy (&value, bytes, sizeof value);
  return GUINT32_FROM_BE (value);
}

static void
rule_clear (gpointer data)
{
  g_free (((Rule *)data)->call);
}

static void
load_rules (TctiTest *tcti)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (tcti->rules_path, &text, NULL, NULL))
    text = g_strdup ("");
  if (g_strcmp0 (text, tcti->text) == 0)
    return;
  g_free (tcti->text);
  tcti->text = g_steal_pointer (&text);
  g_array_set_size (tcti->rules, 0);
  lines = g_strsplit (tcti->text, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    {
      g_auto (GStrv) words = g_strsplit (*line, " ", -1);
      guint n = g_strv_length (words);
      Rule rule = { 0 };

      if (n < 3)
        continue;
      rule.what = (guint32)g_ascii_strtoull (words[0], NULL, 16);
      if (g_str_equal (words[0], "any"))
        rule.what = CC_ANY;
      rule.call = g_strdup (words[1]);
      rule.rc = (guint32)g_ascii_strtoull (words[2], NULL, 16);
      rule.left = n > 3 ? g_ascii_strtoull (words[3], NULL, 10) : G_MAXUINT64;
      g_array_append_val (tcti->rules, rule);
    }
}

static gboolean
is_of_commands (const char *call)
{
  const char *const calls[] = { "pass", "transmit", "receive", "hold", NULL };

  return g_strv_contains (calls, call);
}

/* @call: NULL: any of those that commands can have. NULL: no rule. */
static const Rule *
find_rule (TctiTest *tcti, guint32 what, const char *call)
{
  load_rules (tcti);
  for (guint i = 0; i < tcti->rules->len; i++)
    {
      Rule *rule = &g_array_index (tcti->rules, Rule, i);

      if (rule->left == 0 || (rule->what != CC_ANY && rule->what != what))
        continue;
      if (call != NULL ? !g_str_equal (rule->call, call) : !is_of_commands (rule->call))
        continue;
      rule->left--;
      return rule;
    }
  return NULL;
}

static TSS2_RC
find_rc (TctiTest *tcti, const char *call)
{
  const Rule *rule = find_rule (tcti, CC_ANY, call);

  return rule != NULL ? rule->rc : TSS2_RC_SUCCESS;
}

static void G_GNUC_PRINTF (2, 3) say (const TctiTest *tcti, const char *format, ...)
{
  g_autofree char *path = g_strconcat (tcti->rules_path, ".log", NULL);
  FILE *file = fopen (path, "ae");
  va_list args;

  if (file == NULL)
    return;
  va_start (args, format);
  vfprintf (file, format, args);
  va_end (args);
  fputc ('\n', file);
  fclose (file);
}

static void
set_ready (TctiTest *tcti, TSS2_RC rc)
{
  tcti->rc = rc;
  tcti->ready = TRUE;
  g_cond_signal (&tcti->cond);
}

static TSS2_RC
ask_chip (TctiTest *tcti, gsize size, const guint8 *command)
{
  GOutputStream *out = g_io_stream_get_output_stream (G_IO_STREAM (tcti->connection));
  GInputStream *in = g_io_stream_get_input_stream (G_IO_STREAM (tcti->connection));
  gsize n = 0;

  if (!g_output_stream_write_all (out, command, size, NULL, NULL, NULL) ||
      !g_input_stream_read_all (in, tcti->answer, HEADER_SIZE, &n, NULL, NULL) || n != HEADER_SIZE)
    return TSS2_TCTI_RC_IO_ERROR;
  tcti->size = get_be32 (tcti->answer + 2);
  if (tcti->size < HEADER_SIZE || tcti->size > MAX_FRAME)
    return TSS2_TCTI_RC_MALFORMED_RESPONSE;
  if (!g_input_stream_read_all (in, tcti->answer + HEADER_SIZE, tcti->size - HEADER_SIZE, &n, NULL,
                                NULL) ||
      n != tcti->size - HEADER_SIZE)
    return TSS2_TCTI_RC_IO_ERROR;
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
transmit_locked (TctiTest *tcti, gsize size, const guint8 *command)
{
  guint32 code = size >= HEADER_SIZE ? get_be32 (command + 6) : CC_ANY;
  const Rule *rule;
  const char *call;
  TSS2_RC rc;

  if (tcti->busy)
    return TSS2_TCTI_RC_BAD_SEQUENCE;
  rule = find_rule (tcti, code, NULL);
  call = rule != NULL ? rule->call : "pass";
  if (g_str_equal (call, "transmit"))
    return rule->rc;
  tcti->busy = TRUE;
  tcti->ready = FALSE;
  if (g_str_equal (call, "hold"))
    {
      say (tcti, "hold %x", code);
      return TSS2_RC_SUCCESS;
    }
  rc = ask_chip (tcti, size, command);
  set_ready (tcti, g_str_equal (call, "receive") ? rule->rc : rc);
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
on_transmit (TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
  TctiTest *tcti = (TctiTest *)context;
  TSS2_RC rc;

  g_mutex_lock (&tcti->mutex);
  rc = transmit_locked (tcti, size, command);
  g_mutex_unlock (&tcti->mutex);
  return rc;
}

static TSS2_RC
receive_locked (TctiTest *tcti, size_t *size, uint8_t *response, int32_t timeout)
{
  if (!tcti->busy)
    return TSS2_TCTI_RC_BAD_SEQUENCE;
  while (!tcti->ready && timeout == TSS2_TCTI_TIMEOUT_BLOCK)
    g_cond_wait (&tcti->cond, &tcti->mutex);
  if (!tcti->ready)
    return TSS2_TCTI_RC_TRY_AGAIN;
  if (tcti->rc == TSS2_RC_SUCCESS && *size < tcti->size)
    return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
  tcti->busy = FALSE;
  if (tcti->rc != TSS2_RC_SUCCESS)
    return tcti->rc;
  memcpy (response, tcti->answer, tcti->size);
  *size = tcti->size;
  return TSS2_RC_SUCCESS;
}

static TSS2_RC
on_receive (TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
  TctiTest *tcti = (TctiTest *)context;
  TSS2_RC rc;

  g_mutex_lock (&tcti->mutex);
  rc = receive_locked (tcti, size, response, timeout);
  g_mutex_unlock (&tcti->mutex);
  return rc;
}

static TSS2_RC
cancel_locked (TctiTest *tcti)
{
  const guint8 cancelled[HEADER_SIZE] = { 0x80, 1, 0, 0, 0, HEADER_SIZE, 0, 0, 9, 9 };
  TSS2_RC rc;

  if (!tcti->busy)
    return TSS2_TCTI_RC_BAD_SEQUENCE;
  rc = find_rc (tcti, "cancel");
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  say (tcti, "cancel");
  if (tcti->ready)
    return TSS2_RC_SUCCESS;
  memcpy (tcti->answer, cancelled, sizeof cancelled);
  tcti->size = sizeof cancelled;
  set_ready (tcti, TSS2_RC_SUCCESS);
  return TSS2_RC_SUCCESS;
}

static gboolean
stalls (TctiTest *tcti)
{
  gboolean found;

  g_mutex_lock (&tcti->mutex);
  found = find_rule (tcti, CC_ANY, "stall") != NULL;
  g_mutex_unlock (&tcti->mutex);
  return found;
}

static TSS2_RC
on_cancel (TSS2_TCTI_CONTEXT *context)
{
  TctiTest *tcti = (TctiTest *)context;
  TSS2_RC rc;

  if (stalls (tcti))
    say (tcti, "stall");
  while (stalls (tcti))
    g_usleep (1000);
  g_mutex_lock (&tcti->mutex);
  rc = cancel_locked (tcti);
  g_mutex_unlock (&tcti->mutex);
  return rc;
}

static TSS2_RC
on_set_locality (TSS2_TCTI_CONTEXT *context, uint8_t locality)
{
  TctiTest *tcti = (TctiTest *)context;
  TSS2_RC rc = tcti->busy ? TSS2_TCTI_RC_BAD_SEQUENCE : find_rc (tcti, "locality");

  if (rc != TSS2_RC_SUCCESS)
    return rc;
  say (tcti, "locality %u", locality);
  return locality <= MAX_LOCALITY ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_BAD_VALUE;
}

static void
on_finalize (TSS2_TCTI_CONTEXT *context)
{
  TctiTest *tcti = (TctiTest *)context;

  g_clear_object (&tcti->connection);
  g_array_unref (tcti->rules);
  g_free (tcti->text);
  g_free (tcti->path);
  g_free (tcti->rules_path);
  g_cond_clear (&tcti->cond);
  g_mutex_clear (&tcti->mutex);
}

static char *
get_option (const char *config, const char *name)
{
  const char *found = strstr (config, name);

  return found != NULL ? g_strndup (found + strlen (name), strcspn (found + strlen (name), ","))
                       : g_strdup ("");
}

static TSS2_RC
open_chip (TctiTest *tcti)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (tcti->path);
  TSS2_RC rc = find_rc (tcti, "init");

  say (tcti, "init %" G_GINT64_FORMAT, g_get_monotonic_time () / 1000);
  if (rc != TSS2_RC_SUCCESS)
    return rc;
  tcti->connection = g_socket_client_connect (client, G_SOCKET_CONNECTABLE (address), NULL, NULL);
  return tcti->connection != NULL ? TSS2_RC_SUCCESS : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC
init (TSS2_TCTI_CONTEXT *context, size_t *size, const char *config)
{
  TctiTest *tcti = (TctiTest *)context;
  TSS2_RC rc;

  *size = sizeof (TctiTest);
  if (tcti == NULL)
    return TSS2_RC_SUCCESS;
  *tcti = (TctiTest){
    .common.v1 = {
      .magic = MAGIC,
      .version = 2,
      .transmit = on_transmit,
      .receive = on_receive,
      .finalize = on_finalize,
      .cancel = on_cancel,
      .setLocality = on_set_locality,
    },
  };
  g_mutex_init (&tcti->mutex);
  g_cond_init (&tcti->cond);
  tcti->path = get_option (config, "path=");
  tcti->rules_path = get_option (config, "rules=");
  tcti->rules = g_array_new (FALSE, FALSE, sizeof (Rule));
  g_array_set_clear_func (tcti->rules, rule_clear);
  rc = open_chip (tcti);
  if (rc != TSS2_RC_SUCCESS)
    on_finalize (context);
  return rc;
}

static const TSS2_TCTI_INFO info = {
  .version = 2,
  .name = "tcti-test",
  .description = "a software TPM that fails as it is told",
  .config_help = "path=SOCKET,rules=FILE",
  .init = init,
};

const TSS2_TCTI_INFO *
Tss2_Tcti_Info (void)
{
  return &info;
}
