/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "command-line.h"

void
command_line_clear (CommandLine *line)
{
  g_free (line->config);
  g_free (line->tcti);
  g_free (line->mode);
  g_free (line->state_dir);
  g_free (line->runtime_dir);
  g_free (line->bus_address);
  g_free (line->tabrmd_name);
}

gboolean
command_line_parse (CommandLine *line, int *argc, char ***argv, GError **error)
{
  const GOptionEntry entries[] = {
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &line->config, "Configuration", "FILE" },
    { "tcti", 0, 0, G_OPTION_ARG_STRING, &line->tcti, "How to reach the TPM", "CONF" },
    { "mode", 0, 0, G_OPTION_ARG_STRING, &line->mode, "replace, alongside or auto", "MODE" },
    { "state-dir", 0, 0, G_OPTION_ARG_FILENAME, &line->state_dir, "Tokens and PINs", "DIR" },
    { "runtime-dir", 0, 0, G_OPTION_ARG_FILENAME, &line->runtime_dir, "Sockets", "DIR" },
    { "bus-address", 0, 0, G_OPTION_ARG_STRING, &line->bus_address,
      "Another bus than the system bus", "ADDR" },
    { "tabrmd-name", 0, 0, G_OPTION_ARG_STRING, &line->tabrmd_name,
      "Another bus name than com.intel.tss2.Tabrmd", "NAME" },
    { "no-tabrmd", 0, 0, G_OPTION_ARG_NONE, &line->no_tabrmd, "Do not stand in for tpm2-abrmd",
      NULL },
    { "verbose", 0, 0, G_OPTION_ARG_NONE, &line->verbose, "Log more", NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &line->version, "Print the version", NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL }
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("- TPM broker, health and keys");

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, argc, argv, error))
    return FALSE;
  if (*argc == 1)
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "unexpected argument '%s'",
               (*argv)[1]);
  return FALSE;
}

static void
override (char **value, char **option)
{
  if (*option == NULL)
    return;
  g_free (*value);
  *value = g_steal_pointer (option);
}

Config *
command_line_load_config (CommandLine *line, GError **error)
{
  g_autoptr (Config) config = config_load (line->config, error);

  if (config == NULL ||
      (line->mode != NULL && !config_mode_from_string (line->mode, &config->mode, error)))
    return NULL;
  override (&config->tcti, &line->tcti);
  override (&config->state_dir, &line->state_dir);
  override (&config->runtime_dir, &line->runtime_dir);
  override (&config->bus_address, &line->bus_address);
  override (&config->tabrmd_name, &line->tabrmd_name);
  if (line->no_tabrmd)
    g_clear_pointer (&config->tabrmd_name, g_free);
  return g_steal_pointer (&config);
}
