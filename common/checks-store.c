/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/checks-private.h"
#include "common/secret.h"
#include "common/store-access.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT_STORE "/root" HOME_STORE
#define HOME_STORE "/.tpm2_pkcs11"
#define WORLD      0007

/* Returns whether there is something; otherwise @checks has been told. */
static gboolean
stat_or_tell (Checks *checks, const char *id, const char *name, struct stat *status)
{
  g_autofree char *path = checks_path (checks, name);

  if (lstat (path, status) == 0)
    return TRUE;
  if (errno == ENOENT || errno == ENOTDIR)
    checks_add (checks->results, id, CHECK_NOT_APPLICABLE, NULL,
                "there is no %s: nothing has been provisioned yet", name);
  else
    checks_add (checks->results, id, CHECK_UNKNOWN, "run this as root", "%s: %s", name,
                g_strerror (errno));
  return FALSE;
}

static void
add_access (Checks *checks,
            const char *id,
            const char *path,
            StoreAccess access,
            mode_t mode,
            const char *remedy)
{
  if (access == STORE_ACCESS_OK)
    checks_add (checks->results, id, CHECK_OK, NULL, "%s has mode %04o", path, mode & 07777);
  else
    checks_add (checks->results, id, CHECK_FAULT, remedy, "%s: %s (mode %04o)", path,
                store_access_to_string (access), mode & 07777);
}

void
checks_store_access (Checks *checks)
{
  g_autofree char *dir = g_build_filename (checks->config->state_dir, STORE_DIRECTORY_NAME, NULL);
  g_autofree char *database = g_build_filename (dir, STORE_DATABASE_NAME, NULL);
  g_autofree char *remedy_dir = g_strdup_printf ("chmod 1770 %s", dir);
  g_autofree char *remedy_database = g_strdup_printf ("chmod 0640 %s", database);
  struct stat status = { 0 };

  if (!stat_or_tell (checks, "store.access", dir, &status))
    return;
  add_access (checks, "store.access", dir, store_access_judge_directory (status.st_mode),
              status.st_mode, remedy_dir);
  if (!stat_or_tell (checks, "store.database", database, &status))
    return;
  add_access (checks, "store.database", database, store_access_judge_database (status.st_mode),
              status.st_mode, remedy_database);
}

static void
check_other (Checks *checks, const char *dir)
{
  g_autofree char *database = g_build_filename (dir, STORE_DATABASE_NAME, NULL);
  g_autofree char *path = checks_path (checks, database);
  g_autofree char *path_dir = checks_path (checks, dir);
  g_autofree char *remedy = g_strdup_printf ("chmod -R o= %s", dir);
  struct stat status = { 0 };
  struct stat status_dir = { 0 };

  if (lstat (path, &status) != 0 || stat (path_dir, &status_dir) != 0)
    return;
  if ((status_dir.st_mode & 0002) != 0 ||
      ((status_dir.st_mode & 0001) != 0 && (status.st_mode & 0006) != 0))
    checks_add (checks->results, "store.other", CHECK_FAULT, remedy,
                "the key store in %s is open to every user (directory %04o, database %04o)", dir,
                (guint)status_dir.st_mode & 07777, (guint)status.st_mode & 07777);
  else
    checks_add (checks->results, "store.other", CHECK_WARNING,
                "see which one a program means by its TPM2_PKCS11_STORE",
                "there is another key store in %s, which ggtpmd does not see", dir);
}

void
checks_store_others (Checks *checks)
{
  static const char *const dirs[] = { "/opt/tpm2-pkcs11", "/etc/tpm2_pkcs11",
                                      "/var/lib/tpm2_pkcs11", ROOT_STORE };
  g_auto (GStrv) homes = checks_list (checks, "/home");
  guint n_before = checks->results->len;

  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    check_other (checks, dirs[i]);
  for (guint i = 0; homes != NULL && homes[i] != NULL; i++)
    {
      g_autofree char *dir = g_build_filename ("/home", homes[i], ".tpm2_pkcs11", NULL);

      check_other (checks, dir);
    }
  if (checks->results->len == n_before)
    checks_add (checks->results, "store.other", CHECK_OK, NULL,
                "no key store of another program was found");
}

/* Returns whether its access is as it should be; otherwise @checks has been told. */
static gboolean
check_pin_access (Checks *checks, const char *name, gboolean is_so, const struct stat *status)
{
  guint mode = status->st_mode & 07777;
  g_autofree char *remedy =
      g_strdup_printf ("chmod %s %s, then set another PIN", is_so ? "0600" : "0640", name);

  if (store_access_judge_pin (status->st_mode, is_so) == STORE_ACCESS_OK)
    return TRUE;
  checks_add (checks->results, "store.pin", CHECK_FAULT, remedy,
              "%s, which has a PIN in it, %s (mode %04o)", name,
              !S_ISREG (status->st_mode) ? "is no regular file"
              : (mode & WORLD) != 0      ? "is open to every user"
                                         : "is open to its group",
              mode);
  return FALSE;
}

void
checks_store_pins (Checks *checks)
{
  g_autofree char *dir = g_build_filename (checks->config->state_dir, STORE_PINS_NAME, NULL);
  g_auto (GStrv) names = NULL;
  struct stat status = { 0 };

  if (!stat_or_tell (checks, "store.pin", dir, &status))
    return;
  names = checks_list (checks, dir);
  if (names == NULL && !checks->tree->is_root)
    checks_add (checks->results, "store.pin", CHECK_UNKNOWN, "run this as root",
                "%s may not be listed by this user", dir);
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autofree char *name = g_build_filename (dir, names[i], NULL);
      gboolean is_so = g_str_has_suffix (names[i], STORE_SO_PIN_SUFFIX);
      gboolean sound = FALSE;
      gboolean weak = FALSE;

      if (!stat_or_tell (checks, "store.pin", name, &status))
        continue;
      sound = check_pin_access (checks, name, is_so, &status);
      if (S_ISREG (status.st_mode) && checks->tree->is_root)
        {
          g_autofree char *path = checks_path (checks, name);
          g_autoptr (Secret) pin = secret_read_file (path, NULL);

          weak = pin != NULL && checks_is_weak_pin (pin);
        }
      if (weak)
        checks_add (checks->results, "store.pin", CHECK_FAULT,
                    "set another PIN; one that ggtpmd makes is best",
                    "the PIN in %s is one that everybody tries first", name);
      else if (sound)
        checks_add (checks->results, "store.pin", CHECK_OK, NULL, "%s has mode %04o", name,
                    (guint)status.st_mode & 07777);
    }
  if (names != NULL && names[0] == NULL)
    checks_add (checks->results, "store.pin", CHECK_NOT_APPLICABLE, NULL,
                "ggtpmd keeps no PIN in %s", dir);
}

gboolean
checks_is_weak_pin (const Secret *pin)
{
  static const char *const known[] = { "12345678",  "123456789", "1234567890",
                                       "password",  "changeme",  "greengrass",
                                       "myuserpin", "mysopin",   "userpin" };
  const char *text = secret_peek (pin);

  if (secret_get_length (pin) <= 6 ||
      strspn (text, (const char[]){ text[0], '\0' }) == strlen (text))
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    if (g_ascii_strcasecmp (text, known[i]) == 0)
      return TRUE;
  return FALSE;
}
