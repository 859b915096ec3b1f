/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "checks.h"

#include "common/checks-private.h"

#include "build-config.h"

#include <pwd.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

#define CERTIFICATE_WARNING_S (30 * 24 * 60 * 60)

/* In the order in which a chip comes to be used. */
static const CheckFunction functions[] = {
  checks_board_overlay,
  checks_board_spi,
  checks_device_driver,
  checks_device_nodes,
  checks_device_udev,
  checks_device_owners,
  checks_software_config,
  checks_software_service,
  checks_software_socket,
  checks_software_abrmd,
  checks_software_tcti,
  checks_software_module,
  checks_software_p11_kit,
  checks_store_access,
  checks_store_others,
  checks_store_pins,
  checks_software_clock,
  checks_greengrass_config,
  checks_greengrass_certificates,
  checks_greengrass_service,
  checks_board_cgroups,
};

static const char *const greengrass_files[] = {
  "/greengrass/config/config.json",
  "/greengrass/v2/config/config.yaml",
  "/greengrass/v2/config/effectiveConfig.yaml",
  "/etc/greengrass/config.yaml",
  NULL,
};

const char *
check_verdict_to_string (CheckVerdict verdict)
{
  static const char *const names[] = {
    [CHECK_OK] = "ok",           [CHECK_NOT_APPLICABLE] = "not applicable",
    [CHECK_UNKNOWN] = "unknown", [CHECK_WARNING] = "warning",
    [CHECK_FAULT] = "fault",
  };

  return names[verdict];
}

const char *const *
checks_get_greengrass_files (void)
{
  return greengrass_files;
}

static void
check_free (gpointer data)
{
  Check *check = data;

  g_free (check->id);
  g_free (check->text);
  g_free (check->remedy);
  g_free (check);
}

GPtrArray *
checks_new (void)
{
  return g_ptr_array_new_with_free_func (check_free);
}

void
checks_add (GPtrArray *checks,
            const char *id,
            CheckVerdict verdict,
            const char *remedy,
            const char *format,
            ...)
{
  Check *check = g_new0 (Check, 1);
  va_list arguments;

  va_start (arguments, format);
  check->id = g_strdup (id);
  check->verdict = verdict;
  check->text = g_strdup_vprintf (format, arguments);
  check->remedy = g_strdup (remedy != NULL ? remedy : "");
  va_end (arguments);
  g_ptr_array_add (checks, check);
}

CheckVerdict
checks_get_worst (GPtrArray *checks)
{
  CheckVerdict worst = CHECK_OK;

  for (guint i = 0; i < checks->len; i++)
    worst = MAX (worst, ((Check *)g_ptr_array_index (checks, i))->verdict);
  return worst;
}

static char *
format_day (gint64 seconds)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (seconds);

  return time != NULL ? g_date_time_format (time, "%Y-%m-%d") : g_strdup ("another age");
}

void
checks_add_validity (GPtrArray *checks,
                     const char *id,
                     const char *what,
                     gint64 not_before,
                     gint64 not_after,
                     gint64 now)
{
  g_autofree char *begin = format_day (not_before);
  g_autofree char *end = format_day (not_after);

  if (not_before > now)
    checks_add (checks, id, CHECK_FAULT,
                "set the clock (timedatectl); if it is right, ask the authority",
                "%s is not valid before %s", what, begin);
  else if (not_after < now)
    checks_add (checks, id, CHECK_FAULT,
                "request another one: ggtpmctl key csr, then key install-cert",
                "%s has been invalid since %s, if the clock is right", what, end);
  else if (not_after - now < CERTIFICATE_WARNING_S)
    checks_add (checks, id, CHECK_WARNING,
                "request another one: ggtpmctl key csr, then key install-cert",
                "%s is valid until %s only", what, end);
  else
    checks_add (checks, id, CHECK_OK, NULL, "%s is valid until %s", what, end);
}

/* Helpers of the checks */

char *
checks_path (const Checks *checks, const char *path)
{
  return g_strconcat (checks->tree->root, path, NULL);
}

gboolean
checks_exists (const Checks *checks, const char *path)
{
  g_autofree char *full = checks_path (checks, path);

  return g_file_test (full, G_FILE_TEST_EXISTS);
}

char *
checks_read (const Checks *checks, const char *path)
{
  g_autofree char *full = checks_path (checks, path);
  char *text = NULL;

  if (!g_file_test (full, G_FILE_TEST_IS_REGULAR) || !g_file_get_contents (full, &text, NULL, NULL))
    return NULL;
  return text;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(const char *const *)a, *(const char *const *)b);
}

char **
checks_list (const Checks *checks, const char *path)
{
  g_autofree char *full = checks_path (checks, path);
  g_autoptr (GDir) dir = g_dir_open (full, 0, NULL);
  GPtrArray *names = NULL;
  const char *name = NULL;

  if (dir == NULL)
    return NULL;
  names = g_ptr_array_new ();
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  return (char **)g_ptr_array_free (names, FALSE);
}

const char *
checks_find (const Checks *checks, const char *const *paths)
{
  for (guint i = 0; paths[i] != NULL; i++)
    if (checks_exists (checks, paths[i]))
      return paths[i];
  return NULL;
}

gboolean
checks_has_unit (const Checks *checks, const char *unit)
{
  static const char *const dirs[] = { "/etc/systemd/system", "/run/systemd/system",
                                      "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                                      "/lib/systemd/system" };

  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_autofree char *path = g_build_filename (dirs[i], unit, NULL);

      if (checks_exists (checks, path))
        return TRUE;
    }
  return FALSE;
}

gboolean
checks_is_enabled (const Checks *checks, const char *unit)
{
  g_auto (GStrv) names = checks_list (checks, "/etc/systemd/system");

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autofree char *path =
          g_strdup_printf ("%s/etc/systemd/system/%s/%s", checks->tree->root, names[i], unit);

      /* links into the real root dangle in a tree */
      if ((g_str_has_suffix (names[i], ".wants") || g_str_has_suffix (names[i], ".requires")) &&
          (g_file_test (path, G_FILE_TEST_EXISTS) || g_file_test (path, G_FILE_TEST_IS_SYMLINK)))
        return TRUE;
    }
  return FALSE;
}

gboolean
checks_has_greengrass (const Checks *checks)
{
  static const char *const others[] = { "/greengrass", "/etc/greengrass", NULL };

  return checks_find (checks, others) != NULL || checks_has_unit (checks, "greengrass.service");
}

/* A run */

ChecksTree
checks_tree_new (void)
{
  struct timex clock = { .modes = 0 };
  const struct passwd *user = getpwnam (GGTPM_USER);
  int state = adjtimex (&clock);

  return (ChecksTree){
    .root = "",
    .now = g_get_real_time () / G_USEC_PER_SEC,
    .clock_synchronised = state < 0 ? -1 : state != TIME_ERROR,
    .chip_user = user != NULL ? user->pw_uid : (uid_t)-1,
    .is_root = geteuid () == 0,
  };
}

/* The daemon's configuration or, where checks_software_config() has to complain, the defaults. */
static Config *
load_config (const ChecksTree *tree)
{
  g_autofree char *path = g_strconcat (tree->root, GGTPM_SYSCONFDIR, "/ggtpmd.conf", NULL);
  Config *config = config_load (path, NULL);

  if (config != NULL && config->state_dir != NULL && config->runtime_dir != NULL &&
      config->pkcs11_module != NULL)
    return config;
  config_free (config);
  return config_new ();
}

/* `1` of device:/dev/tpm1 and device:/dev/tpmrm1. Another TCTI names no node: then the first chip's counts. */
static const char *
get_chip_number (const Config *config)
{
  const char *const prefixes[] = { "device:/dev/tpmrm", "device:/dev/tpm" };

  for (gsize i = 0; i < G_N_ELEMENTS (prefixes); i++)
    if (g_str_has_prefix (config->tcti, prefixes[i]))
      return config->tcti + strlen (prefixes[i]);
  return "0";
}

GPtrArray *
checks_run (const ChecksTree *tree)
{
  g_autoptr (Config) config = load_config (tree);
  g_autoptr (GPtrArray) results = checks_new ();
  const char *number = get_chip_number (config);
  g_autofree char *chip = g_strconcat ("/dev/tpm", number, NULL);
  g_autofree char *resource = g_strconcat ("/dev/tpmrm", number, NULL);
  g_autofree char *sysfs = g_strconcat ("/sys/class/tpm/tpm", number, NULL);
  Checks checks = { .tree = tree,
                    .config = config,
                    .results = results,
                    .chip = chip,
                    .resource = resource,
                    .sysfs = sysfs };

  for (gsize i = 0; i < G_N_ELEMENTS (functions); i++)
    functions[i](&checks);
  return g_steal_pointer (&results);
}
