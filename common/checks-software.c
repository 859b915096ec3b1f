/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/checks-private.h"

#include "build-config.h"
#include "dbus/names.h"

#include <string.h>
#include <sys/stat.h>

#define TCTI_NAME "libtss2-tcti-ggtpm.so.0"
/* A clock before this one has not been set: 2025. */
#define CLOCK_MIN 1735689600

void
checks_software_config (Checks *checks)
{
  g_autofree char *path = checks_path (checks, GGTPM_SYSCONFDIR "/ggtpmd.conf");
  g_autoptr (GError) error = NULL;
  g_autoptr (Config) config = NULL;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    {
      checks_add (checks->results, "daemon.config", CHECK_OK, NULL,
                  "there is no %s: the defaults are in force", GGTPM_SYSCONFDIR "/ggtpmd.conf");
      return;
    }
  config = config_load (path, &error);
  if (config != NULL)
    checks_add (checks->results, "daemon.config", CHECK_OK, NULL, "%s is sound, mode %s",
                GGTPM_SYSCONFDIR "/ggtpmd.conf", config_mode_to_string (config->mode));
  else if (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_ACCES))
    checks_add (checks->results, "daemon.config", CHECK_UNKNOWN, "run this as root", "%s",
                error->message);
  else
    checks_add (checks->results, "daemon.config", CHECK_FAULT,
                "mend it as ggtpmd.conf(5) says, then `systemctl restart ggtpmd`", "%s",
                error->message);
}

static gboolean
is_masked (const Checks *checks, const char *unit)
{
  g_autofree char *path = g_strdup_printf ("%s/etc/systemd/system/%s", checks->tree->root, unit);
  g_autofree char *target = g_file_read_link (path, NULL);

  return g_strcmp0 (target, "/dev/null") == 0;
}

void
checks_software_service (Checks *checks)
{
  if (is_masked (checks, "ggtpmd.service"))
    checks_add (checks->results, "daemon.service", CHECK_FAULT, "systemctl unmask ggtpmd",
                "ggtpmd.service is masked");
  else if (!checks_has_unit (checks, "ggtpmd.service"))
    checks_add (checks->results, "daemon.service", CHECK_FAULT,
                "install ggtpmd, then `systemctl daemon-reload`",
                "ggtpmd.service is not installed where systemd looks");
  else if (!checks_is_enabled (checks, "ggtpmd.service") &&
           !checks_is_enabled (checks, "ggtpmd.socket"))
    checks_add (checks->results, "daemon.service", CHECK_WARNING,
                "systemctl enable --now ggtpmd.socket ggtpmd.service",
                "ggtpmd.service is installed and starts at no boot");
  else
    checks_add (checks->results, "daemon.service", CHECK_OK, NULL,
                "ggtpmd.service is installed and enabled");
}

void
checks_software_socket (Checks *checks)
{
  g_autofree char *socket = g_build_filename (checks->config->runtime_dir, GGTPM_SOCKET_NAME, NULL);
  g_autofree char *path = checks_path (checks, socket);
  struct stat status = { 0 };

  if (checks->config->mode == CONFIG_MODE_ALONGSIDE)
    checks_add (checks->results, "frontend.socket", CHECK_NOT_APPLICABLE, NULL,
                "in mode alongside ggtpmd serves no other program");
  else if (stat (path, &status) != 0)
    checks_add (checks->results, "frontend.socket", CHECK_FAULT, "systemctl start ggtpmd.socket",
                "programs with the TCTI ggtpm have no socket: %s is missing", socket);
  else if ((status.st_mode & 0006) != 0)
    checks_add (checks->results, "frontend.socket", CHECK_FAULT,
                "SocketMode=0660 in ggtpmd.socket, then `systemctl restart ggtpmd.socket`",
                "every user may send commands to the chip by %s (mode %04o)", socket,
                (guint)status.st_mode & 07777);
  else
    checks_add (checks->results, "frontend.socket", CHECK_OK, NULL, "%s has mode %04o", socket,
                (guint)status.st_mode & 07777);
}

void
checks_software_abrmd (Checks *checks)
{
  const char *unit = "tpm2-abrmd.service";

  if (!checks_has_unit (checks, unit) || is_masked (checks, unit))
    checks_add (checks->results, "daemon.abrmd", CHECK_OK, NULL, "tpm2-abrmd is not in the way");
  else if (checks->config->mode != CONFIG_MODE_REPLACE)
    checks_add (checks->results, "daemon.abrmd", CHECK_OK, NULL,
                "tpm2-abrmd is installed, and ggtpmd's mode is %s",
                config_mode_to_string (checks->config->mode));
  else if (checks_is_enabled (checks, unit))
    checks_add (checks->results, "daemon.abrmd", CHECK_FAULT,
                "systemctl disable --now tpm2-abrmd (ggtpmd serves its clients), or set "
                "Mode=alongside in ggtpmd.conf",
                "tpm2-abrmd is enabled and wants the chip for itself, as ggtpmd does");
  else
    checks_add (checks->results, "daemon.abrmd", CHECK_WARNING, "systemctl mask tpm2-abrmd",
                "tpm2-abrmd is installed: a call on the bus may start it in ggtpmd's place");
}

/* The directories below which the loader looks, with the multiarch ones. Free with g_free(). */
static char *
find_library (const Checks *checks, const char *name)
{
  static const char *const dirs[] = { GGTPM_LIBDIR, "/usr/local/lib", "/usr/lib", "/lib",
                                      "/usr/lib64" };

  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_autofree char *path = g_build_filename (dirs[i], name, NULL);
      g_auto (GStrv) below = NULL;

      if (checks_exists (checks, path))
        return g_steal_pointer (&path);
      below = checks_list (checks, dirs[i]);
      for (guint n = 0; below != NULL && below[n] != NULL; n++)
        {
          g_autofree char *deep = g_build_filename (dirs[i], below[n], name, NULL);

          if (strstr (below[n], "-linux-") != NULL && checks_exists (checks, deep))
            return g_steal_pointer (&deep);
        }
    }
  return NULL;
}

/* FALSE also where there is no cache to say so. */
static gboolean
is_missing_in_cache (const Checks *checks, const char *name)
{
  g_autofree char *path = checks_path (checks, "/etc/ld.so.cache");
  g_autofree char *cache = NULL;
  gsize len = 0;

  return g_file_get_contents (path, &cache, &len, NULL) &&
         memmem (cache, len, name, strlen (name)) == NULL;
}

void
checks_software_tcti (Checks *checks)
{
  g_autofree char *path = find_library (checks, TCTI_NAME);

  if (path == NULL)
    checks_add (checks->results, "tcti.module", CHECK_FAULT, "install it with ggtpmd",
                "%s, by which other programs reach the chip, is missing", TCTI_NAME);
  else if (is_missing_in_cache (checks, TCTI_NAME))
    checks_add (checks->results, "tcti.module", CHECK_FAULT, "run ldconfig",
                "the loader does not know of %s", path);
  else
    checks_add (checks->results, "tcti.module", CHECK_OK, NULL, "the TCTI module is %s", path);
}

void
checks_software_module (Checks *checks)
{
  const char *path = checks->config->pkcs11_module;

  if (checks_exists (checks, path))
    checks_add (checks->results, "pkcs11.module", CHECK_OK, NULL, "tpm2-pkcs11 is %s", path);
  else
    checks_add (checks->results, "pkcs11.module", CHECK_FAULT,
                "install libtpm2-pkcs11-1, or name it by Pkcs11Module= in ggtpmd.conf",
                "tpm2-pkcs11, which keeps the keys, is not at %s", path);
}

typedef enum
{
  KIT_MISSING,
  KIT_IN_PROCESS,
  KIT_REMOTE,
} Kit;

static Kit
read_kit_dir (const Checks *checks, const char *dir, char **out_path)
{
  g_auto (GStrv) names = checks_list (checks, dir);
  Kit found = KIT_MISSING;

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autofree char *path = g_build_filename (dir, names[i], NULL);
      g_autofree char *text =
          g_str_has_suffix (names[i], ".module") ? checks_read (checks, path) : NULL;

      if (text == NULL || strstr (text, "tpm2_pkcs11") == NULL)
        continue;
      found = g_regex_match_simple ("^\\s*remote\\s*:", text, G_REGEX_MULTILINE, 0)
                  ? KIT_REMOTE
                  : KIT_IN_PROCESS;
      g_free (*out_path);
      *out_path = g_steal_pointer (&path);
    }
  return found;
}

void
checks_software_p11_kit (Checks *checks)
{
  g_autofree char *path = NULL;
  Kit kit = read_kit_dir (checks, "/etc/pkcs11/modules", &path);

  if (kit == KIT_MISSING)
    kit = read_kit_dir (checks, "/usr/share/p11-kit/modules", &path);
  if (kit == KIT_REMOTE)
    checks_add (checks->results, "pkcs11.p11-kit", CHECK_OK, NULL,
                "p11-kit runs tpm2-pkcs11 in a process of its own (%s)", path);
  else if (kit == KIT_IN_PROCESS)
    checks_add (checks->results, "pkcs11.p11-kit", CHECK_WARNING,
                "use a line `remote: |p11-kit remote MODULE` in a file of the same name in "
                "/etc/pkcs11/modules",
                "%s loads tpm2-pkcs11 into each program, where OpenSSL's engine fails with it",
                path);
  else
    checks_add (checks->results, "pkcs11.p11-kit", CHECK_WARNING,
                "make /etc/pkcs11/modules/tpm2_pkcs11.module with a line `remote: |p11-kit remote "
                "MODULE`",
                "p11-kit does not know of tpm2-pkcs11: p11tool, OpenSSL and curl do not see the "
                "keys");
}

void
checks_software_clock (Checks *checks)
{
  const char *remedy = "timedatectl set-ntp true, or set it by `timedatectl set-time`";

  if (checks->tree->now < CLOCK_MIN)
    checks_add (checks->results, "system.clock", CHECK_FAULT, remedy,
                "the clock was never set: no certificate can be verified");
  else if (checks->tree->clock_synchronised < 0)
    checks_add (checks->results, "system.clock", CHECK_UNKNOWN, NULL,
                "the kernel does not say whether the clock is synchronised");
  else if (checks->tree->clock_synchronised == 0)
    checks_add (checks->results, "system.clock", CHECK_WARNING, remedy,
                "the clock is not synchronised: certificates may seem expired or not valid yet");
  else
    checks_add (checks->results, "system.clock", CHECK_OK, NULL, "the clock is synchronised");
}
