/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/config-check.h"
#include "client/config-place.h"
#include "client/objects.h"
#include "client/output.h"
#include "client/pin.h"
#include "client/progress.h"

/* Where a configuration does not say: the daemon's default. */
#define DEFAULT_TOKEN "greengrass"

typedef struct
{
  GgtpmToken *token;
  GVariant *result; /* out: the job's */
} VerifyCall;

/* What is shown, from both sources: `verdict`, `where`, `check`, `text`, `remedy`. */
typedef struct
{
  GVariantBuilder rows; /* aa{sv} */
  OutputTable *table;
  gboolean good;
} Report;

static void
add (Report *report,
     const char *where,
     const char *check,
     const char *verdict,
     const char *text,
     const char *remedy)
{
  GVariantBuilder row = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *arrow = *remedy != '\0' ? g_strconcat ("-> ", remedy, NULL) : NULL;

  report->good = report->good && !g_str_equal (verdict, "fault");
  output_table_add (report->table, verdict, where, check, text, arrow);
  output_add (&row, "where", "s", where);
  output_add (&row, "check", "s", check);
  output_add (&row, "verdict", "s", verdict);
  output_add (&row, "text", "s", text);
  output_add (&row, "remedy", "s", remedy);
  g_variant_builder_add (&report->rows, "a{sv}", &row);
}

static gboolean
call_verify (Client *client,
             GVariant *arguments,
             GUnixFDList *descriptors,
             gpointer user_data,
             GError **error)
{
  VerifyCall *call = user_data;
  g_autofree char *job = NULL;

  if (!ggtpm_token_call_verify_sync (call->token, arguments, client_get_flags (client),
                                     client_get_timeout_ms (client), descriptors, &job, NULL, NULL,
                                     error))
    return FALSE;
  call->result = progress_wait (client, job, "`ggtpmctl token verify` does it again", error);
  return call->result != NULL;
}

static void
add_keys (Report *report, GVariant *result)
{
  g_autoptr (GVariantIter) iter = NULL;
  const char *words[5];

  if (!g_variant_lookup (result, "checks", "a(sssss)", &iter))
    return;
  while (g_variant_iter_loop (iter, "(&s&s&s&s&s)", &words[0], &words[1], &words[2], &words[3],
                              &words[4]))
    add (report, words[0], words[1], words[2], words[3], words[4]);
}

/* Those of this token, and those that are about the whole store. */
static gboolean
concerns (GVariant *config, const char *label)
{
  g_autoptr (GVariant) arguments = config_place_get_arguments (config);
  const char *token = DEFAULT_TOKEN;
  const char *path;
  const char *flavour;

  config_place_read (config, &path, &flavour);
  if (g_str_equal (flavour, "drop-in") || g_str_equal (flavour, "p11-kit"))
    return TRUE;
  g_variant_lookup (arguments, "token", "&s", &token);
  return g_str_equal (token, label);
}

static gboolean
add_configs (Client *client, const char *label, Report *report, GError **error)
{
  g_autoptr (GVariant) configs = ggtpm_provisioning_dup_configs (client->provisioning);

  for (gsize i = 0; configs != NULL && i < g_variant_n_children (configs); i++)
    {
      g_autoptr (GVariant) config = g_variant_get_child_value (configs, i);
      g_autoptr (GPtrArray) findings = NULL;
      const char *path;
      const char *flavour;

      if (!concerns (config, label))
        continue;
      findings = config_check_run (client, config, error);
      if (findings == NULL)
        return FALSE;
      config_place_read (config, &path, &flavour);
      for (guint j = 0; j < findings->len; j++)
        {
          const ConfigFinding *finding = g_ptr_array_index (findings, j);

          add (report, path, finding->check, finding->verdict, finding->text, finding->remedy);
        }
    }
  return TRUE;
}

static void
print (Client *client, const char *label, Report *report)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autofree char *rows = output_table_to_string (report->table);

  output_add (&dict, "token", "s", label);
  output_add (&dict, "good", "b", report->good);
  output_add (&dict, "checks", "aa{sv}", &report->rows);
  if (client->json)
    output_json (g_variant_builder_end (&dict));
  else
    {
      output_text ("%s", rows);
      g_variant_builder_clear (&dict);
    }
  if (!report->good)
    client->exit_code = 1;
}

gboolean
cmd_token_verify (Client *client, const Options *options, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GVariant) arguments = NULL;
  g_autoptr (GgtpmToken) token = NULL;
  g_autoptr (GVariant) result = NULL;
  g_autoptr (OutputTable) table = output_table_new (5, NULL);
  VerifyCall call = { NULL, NULL };
  Report report = { .table = table, .good = TRUE };
  const char *label;

  if (options->key != NULL)
    output_add (&dict, "key", "s", options->key);
  arguments = g_variant_ref_sink (g_variant_builder_end (&dict));
  if (client_connect (client, TRUE, error))
    token = objects_find_token (client, options->arguments[0], error);
  if (token == NULL)
    return FALSE;
  label = ggtpm_token_get_label (token);
  call.token = token;
  if (!pin_call (client, options, label, arguments, call_verify, &call, error))
    return FALSE;
  result = call.result;
  g_variant_builder_init (&report.rows, G_VARIANT_TYPE ("aa{sv}"));
  add_keys (&report, result);
  if (!add_configs (client, label, &report, error))
    {
      g_variant_builder_clear (&report.rows);
      return FALSE;
    }
  print (client, label, &report);
  return TRUE;
}
