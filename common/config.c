/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config.h"

#include <string.h>

#include "build-config.h"
#include "common/key-file.h"
#include "dbus/error.h"
#include "dbus/names.h"

typedef enum
{
  VALUE_STRING,
  VALUE_UINT,
  VALUE_BOOLEAN,
  VALUE_MODE,
  VALUE_COMMANDS,
} ValueType;

/* Every key there is; the documentation of each is in config.h and ggtpmd.conf(5). */
static const struct
{
  const char *group;
  const char *key;
  ValueType type;
  gsize offset;
  guint min;
  guint max;
} keys[] = {
  { "Daemon", "Mode", VALUE_MODE, G_STRUCT_OFFSET (Config, mode), 0, 0 },
  { "Daemon", "Tcti", VALUE_STRING, G_STRUCT_OFFSET (Config, tcti), 0, 0 },
  { "Daemon", "StateDirectory", VALUE_STRING, G_STRUCT_OFFSET (Config, state_dir), 0, 0 },
  { "Daemon", "RuntimeDirectory", VALUE_STRING, G_STRUCT_OFFSET (Config, runtime_dir), 0, 0 },
  { "Broker", "TabrmdName", VALUE_STRING, G_STRUCT_OFFSET (Config, tabrmd_name), 0, 0 },
  { "Broker", "IdleEvictMs", VALUE_UINT, G_STRUCT_OFFSET (Config, idle_evict_ms), 0, 3600000 },
  { "Broker", "ReserveSlots", VALUE_UINT, G_STRUCT_OFFSET (Config, reserve_slots), 0, 2 },
  { "Broker", "MaxConnections", VALUE_UINT, G_STRUCT_OFFSET (Config, max_connections), 1, 65536 },
  { "Broker", "MaxConnectionsPerUid", VALUE_UINT, G_STRUCT_OFFSET (Config, max_connections_per_uid),
    1, 65536 },
  { "Broker", "MaxObjectsPerConnection", VALUE_UINT, G_STRUCT_OFFSET (Config, max_objects), 1,
    65536 },
  { "Broker", "MaxSessionsPerConnection", VALUE_UINT, G_STRUCT_OFFSET (Config, max_sessions), 1,
    64 },
  { "Broker", "MaxAbandonedSessions", VALUE_UINT, G_STRUCT_OFFSET (Config, max_abandoned_sessions),
    0, 64 },
  { "Broker", "MaxObjectsPerUid", VALUE_UINT, G_STRUCT_OFFSET (Config, max_objects_per_uid), 1,
    65536 },
  { "Broker", "MaxSessionsPerUid", VALUE_UINT, G_STRUCT_OFFSET (Config, max_sessions_per_uid), 1,
    64 },
  { "Broker", "OpenCommands", VALUE_COMMANDS, G_STRUCT_OFFSET (Config, open_commands), 0, 0 },
  { "Broker", "ChipTimeoutSec", VALUE_UINT, G_STRUCT_OFFSET (Config, chip_timeout_s), 1, 3600 },
  { "Token", "Helper", VALUE_STRING, G_STRUCT_OFFSET (Config, token_helper), 0, 0 },
  { "Token", "Pkcs11Module", VALUE_STRING, G_STRUCT_OFFSET (Config, pkcs11_module), 0, 0 },
  { "Token", "TctiModule", VALUE_STRING, G_STRUCT_OFFSET (Config, tcti_module), 0, 0 },
  { "Provision", "File", VALUE_STRING, G_STRUCT_OFFSET (Config, provision_conf), 0, 0 },
  { "Health", "PollIntervalSec", VALUE_UINT, G_STRUCT_OFFSET (Config, poll_interval_s), 0, 86400 },
  { "Health", "ResetLockout", VALUE_BOOLEAN, G_STRUCT_OFFSET (Config, reset_lockout), 0, 0 },
  { "Health", "SendShutdown", VALUE_BOOLEAN, G_STRUCT_OFFSET (Config, send_shutdown), 0, 0 },
  { "Health", "LockoutResetIntervalSec", VALUE_UINT,
    G_STRUCT_OFFSET (Config, lockout_reset_interval_s), 0, G_MAXINT32 },
  { "Health", "FlushLeaked", VALUE_BOOLEAN, G_STRUCT_OFFSET (Config, flush_leaked), 0, 0 },
  { "Health", "RunSelfTest", VALUE_BOOLEAN, G_STRUCT_OFFSET (Config, run_self_test), 0, 0 },
  { "Health", "LockoutMax", VALUE_UINT, G_STRUCT_OFFSET (Config, lockout_max), 0, G_MAXINT32 },
  { "Health", "LockoutIntervalSec", VALUE_UINT, G_STRUCT_OFFSET (Config, lockout_interval_s), 0,
    G_MAXINT32 },
  { "Health", "LockoutRecoverySec", VALUE_UINT, G_STRUCT_OFFSET (Config, lockout_recovery_s), 0,
    G_MAXINT32 },
};

static const struct
{
  guint flag;
  const char *name;
} open_commands[] = {
  { CONFIG_OPEN_SHUTDOWN, "Shutdown" },
  { CONFIG_OPEN_CLEAR, "Clear" },
  { CONFIG_OPEN_CLEAR_CONTROL, "ClearControl" },
  { CONFIG_OPEN_HIERARCHY_CONTROL, "HierarchyControl" },
  { CONFIG_OPEN_PCR_ALLOCATE, "PCR_Allocate" },
  { CONFIG_OPEN_FIELD_UPGRADE, "FieldUpgrade" },
  { CONFIG_OPEN_LOCALITY, "Locality" },
};

static const char *const modes[] = {
  [CONFIG_MODE_REPLACE] = "replace",
  [CONFIG_MODE_ALONGSIDE] = "alongside",
  [CONFIG_MODE_AUTO] = "auto",
};

const char *
config_mode_to_string (ConfigMode mode)
{
  return modes[mode];
}

gboolean
config_mode_from_string (const char *text, ConfigMode *out_mode, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (modes); i++)
    if (g_str_equal (text, modes[i]))
      {
        *out_mode = (ConfigMode)i;
        return TRUE;
      }
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
               "\"%s\" is no mode: replace, alongside or auto", text);
  return FALSE;
}

Config *
config_new (void)
{
  Config *config = g_new0 (Config, 1);

  config->mode = CONFIG_MODE_REPLACE;
  config->tcti = g_strdup ("device:/dev/tpm0");
  config->state_dir = g_strdup ("/var/lib/ggtpm");
  config->runtime_dir = g_strdup (GGTPM_RUNTIME_DIR);
  config->tabrmd_name = g_strdup (GGTPM_TABRMD_BUS_NAME);
  config->token_helper = g_strdup (GGTPM_LIBEXECDIR "/ggtpm-token-helper");
  config->pkcs11_module = g_strdup (GGTPM_PKCS11_MODULE);
  config->tcti_module = g_strdup ("ggtpm");
  config->provision_conf = g_strdup (GGTPM_SYSCONFDIR "/provision.conf");
  config->idle_evict_ms = 100;
  config->max_connections = 1024;
  config->max_connections_per_uid = 256;
  config->max_objects = 28;
  config->max_sessions = 4;
  config->max_abandoned_sessions = 4;
  config->max_objects_per_uid = 512;
  config->max_sessions_per_uid = 32;
  config->chip_timeout_s = 300;
  config->poll_interval_s = 60;
  config->reset_lockout = TRUE;
  config->send_shutdown = TRUE;
  config->lockout_reset_interval_s = 3600;
  config->flush_leaked = TRUE;
  config->run_self_test = TRUE;
  return config;
}

static gboolean
parse_uint (GKeyFile *file, gsize i, guint *out, GError **error)
{
  guint64 value;
  g_autofree char *text = g_key_file_get_string (file, keys[i].group, keys[i].key, error);

  if (text == NULL ||
      !g_ascii_string_to_unsigned (g_strstrip (text), 10, keys[i].min, keys[i].max, &value, error))
    return FALSE;
  *out = (guint)value;
  return TRUE;
}

static gboolean
find_command (const char *name, guint *out_flag)
{
  for (gsize i = 0; i < G_N_ELEMENTS (open_commands); i++)
    if (g_str_equal (open_commands[i].name, name))
      {
        *out_flag = open_commands[i].flag;
        return TRUE;
      }
  return FALSE;
}

static gboolean
parse_commands (const char *text, guint *out, GError **error)
{
  g_auto (GStrv) names = g_strsplit_set (text, " \t", -1);
  guint flags = 0;

  for (gsize i = 0; names[i] != NULL; i++)
    {
      guint flag = 0;

      if (*names[i] != '\0' && !find_command (names[i], &flag))
        {
          g_set_error (
              error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
              "\"%s\" is none of Shutdown, Clear, ClearControl, HierarchyControl, PCR_Allocate, "
              "FieldUpgrade, Locality",
              names[i]);
          return FALSE;
        }
      flags |= flag;
    }
  *out = flags;
  return TRUE;
}

static gboolean
parse_value (GKeyFile *file, gsize i, Config *config, GError **error)
{
  gpointer field = (guint8 *)config + keys[i].offset;
  g_autofree char *text = NULL;
  g_autoptr (GError) local_error = NULL;
  gboolean flag;

  switch (keys[i].type)
    {
    case VALUE_UINT:
      return parse_uint (file, i, field, error);
    case VALUE_BOOLEAN:
      flag = g_key_file_get_boolean (file, keys[i].group, keys[i].key, &local_error);
      if (local_error != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local_error));
          return FALSE;
        }
      *(gboolean *)field = flag;
      return TRUE;
    case VALUE_MODE:
      text = g_key_file_get_string (file, keys[i].group, keys[i].key, error);
      return text != NULL && config_mode_from_string (text, field, error);
    case VALUE_COMMANDS:
      text = g_key_file_get_string (file, keys[i].group, keys[i].key, error);
      return text != NULL && parse_commands (text, field, error);
    case VALUE_STRING:
    default:
      text = g_key_file_get_string (file, keys[i].group, keys[i].key, error);
      if (text == NULL)
        return FALSE;
      g_free (*(char **)field);
      /* An empty TabrmdName= means that there is none. */
      *(char **)field = *text != '\0' ? g_steal_pointer (&text) : NULL;
      return TRUE;
    }
}

static gssize
find_key (const char *group, const char *key)
{
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (g_str_equal (keys[i].group, group) && g_str_equal (keys[i].key, key))
      return (gssize)i;
  return -1;
}

static gboolean
apply_group (GKeyFile *file, const char *group, Config *config, GError **error)
{
  g_auto (GStrv) names = g_key_file_get_keys (file, group, NULL, NULL);

  for (gsize i = 0; names != NULL && names[i] != NULL; i++)
    {
      gssize index = find_key (group, names[i]);

      if (index < 0)
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "unknown key %s in [%s]",
                       names[i], group);
          return FALSE;
        }
      if (!parse_value (file, (gsize)index, config, error))
        {
          g_prefix_error (error, "%s in [%s]: ", names[i], group);
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
is_known_group (const char *group)
{
  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    if (g_str_equal (keys[i].group, group))
      return TRUE;
  return FALSE;
}

static gboolean
apply_file (GKeyFile *file, Config *config, GError **error)
{
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);

  for (gsize i = 0; groups[i] != NULL; i++)
    {
      if (!is_known_group (groups[i]))
        {
          g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "unknown group [%s]",
                       groups[i]);
          return FALSE;
        }
      if (!apply_group (file, groups[i], config, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
check_complete (const Config *config, GError **error)
{
  const char *const paths[] = { config->state_dir, config->runtime_dir, config->token_helper,
                                config->pkcs11_module };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++)
    if (paths[i] == NULL || !g_path_is_absolute (paths[i]))
      {
        g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                     "directories and modules are named by absolute paths, not \"%s\"",
                     paths[i] != NULL ? paths[i] : "");
        return FALSE;
      }
  if (config->tcti == NULL || config->tcti_module == NULL || config->provision_conf == NULL)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "Tcti, TctiModule and the provisioning File cannot be empty");
      return FALSE;
    }
  return TRUE;
}

Config *
config_load (const char *path, GError **error)
{
  g_autoptr (Config) config = config_new ();
  g_autoptr (GError) local_error = NULL;
  const char *name = path != NULL ? path : GGTPM_SYSCONFDIR "/ggtpmd.conf";
  g_autoptr (GKeyFile) file = key_file_load (name, &local_error);

  if (file == NULL)
    {
      if (path == NULL && g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return g_steal_pointer (&config);
      g_propagate_prefixed_error (error, g_steal_pointer (&local_error), "%s: ", name);
      return NULL;
    }
  if (!apply_file (file, config, error) || !check_complete (config, error))
    {
      g_prefix_error (error, "%s: ", name);
      return NULL;
    }
  return g_steal_pointer (&config);
}

void
config_free (Config *config)
{
  if (config == NULL)
    return;
  g_free (config->tcti);
  g_free (config->state_dir);
  g_free (config->runtime_dir);
  g_free (config->bus_address);
  g_free (config->tabrmd_name);
  g_free (config->token_helper);
  g_free (config->pkcs11_module);
  g_free (config->tcti_module);
  g_free (config->provision_conf);
  g_free (config);
}
