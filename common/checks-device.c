/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/checks-private.h"

#include "build-config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define WORLD 0007
#define PLUG                                                                                       \
  "see that the board sits on pin 1 of the header, that SPI is on and that the overlay is in "     \
  "config.txt; then restart and look at `dmesg | grep -i tpm`"
#define NO_BOARD                                                                                   \
  "switch the TPM on in the machine's firmware, or put a board in; `dmesg | grep -i tpm` tells "   \
  "what the kernel saw"

/* The name at the end of a link; NULL if there is none. */
static char *
read_link_name (const Checks *checks, const char *path)
{
  g_autofree char *full = checks_path (checks, path);
  g_autofree char *target = g_file_read_link (full, NULL);

  return target != NULL ? g_path_get_basename (target) : NULL;
}

/* A TPM that the device tree names, whether or not a driver took it. Free with g_free(). */
static char *
find_spi_device (const Checks *checks)
{
  g_auto (GStrv) names = checks_list (checks, "/sys/bus/spi/devices");

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autofree char *path = g_strdup_printf ("/sys/bus/spi/devices/%s/modalias", names[i]);
      g_autofree char *alias = checks_read (checks, path);

      if (alias != NULL && (strstr (alias, "slb9") != NULL || strstr (alias, "tpm") != NULL))
        return g_strdup (names[i]);
    }
  return NULL;
}

static void
add_missing (Checks *checks)
{
  g_autofree char *device = find_spi_device (checks);
  gboolean is_board = checks_exists (checks, "/boot/firmware/config.txt") ||
                      checks_exists (checks, "/boot/config.txt");
  g_auto (GStrv) others = checks_list (checks, "/sys/class/tpm");

  /* one that was taken away and came back, or a second chip */
  if (others != NULL && others[0] != NULL)
    {
      g_autofree char *remedy = g_strdup_printf (
          "write Tcti=device:/dev/%s into ggtpmd.conf, and restart ggtpmd", others[0]);

      checks_add (checks->results, "device.driver", CHECK_FAULT, remedy,
                  "the kernel has %s, and no %s", others[0], checks->chip + strlen ("/dev/"));
      return;
    }
  if (device != NULL)
    checks_add (checks->results, "device.driver", CHECK_FAULT,
                "load it with `modprobe tpm_tis_spi`; if it is loaded, the chip does not answer: "
                "see that the board is plugged in",
                "the device tree names a TPM at %s, and no driver has taken it", device);
  else
    checks_add (checks->results, "device.driver", CHECK_FAULT, is_board ? PLUG : NO_BOARD,
                "the kernel knows of no TPM");
}

void
checks_device_driver (Checks *checks)
{
  g_autofree char *version_path = g_build_filename (checks->sysfs, "tpm_version_major", NULL);
  g_autofree char *driver_path = g_build_filename (checks->sysfs, "device", "driver", NULL);
  g_autofree char *version = checks_read (checks, version_path);
  g_autofree char *driver = read_link_name (checks, driver_path);

  if (!checks_exists (checks, checks->sysfs))
    add_missing (checks);
  else if (version != NULL && version[0] == '1')
    checks_add (checks->results, "device.driver", CHECK_FAULT, "put in a TPM 2.0",
                "this is a TPM 1.2");
  else
    checks_add (checks->results, "device.driver", CHECK_OK, NULL, "the kernel has a TPM%s%s%s",
                version != NULL ? " 2.0" : "", driver != NULL ? ", driver " : "",
                driver != NULL ? driver : "");
}

static void
check_node (Checks *checks, const char *node)
{
  g_autofree char *path = checks_path (checks, node);
  g_autofree char *remedy = g_strdup_printf (
      "make it belong to %s: install the udev rule, then `udevadm control --reload; udevadm "
      "trigger -s tpm`",
      GGTPM_USER);
  struct stat status = { 0 };
  guint mode = 0;

  if (stat (path, &status) != 0)
    {
      gboolean missing = errno == ENOENT || errno == ENOTDIR;

      if (missing && g_str_equal (node, checks->resource))
        checks_add (checks->results, "device.node", CHECK_NOT_APPLICABLE, NULL,
                    "there is no %s, which ggtpmd does not need", node);
      else
        checks_add (checks->results, "device.node", missing ? CHECK_FAULT : CHECK_UNKNOWN,
                    missing ? "see device.driver" : NULL, "%s: %s", node, g_strerror (errno));
      return;
    }

  mode = status.st_mode & 07777;
  if ((mode & WORLD) != 0)
    checks_add (checks->results, "device.node", CHECK_FAULT, remedy,
                "%s is open to every user (mode %04o)", node, mode);
  else if (checks->tree->chip_user == (uid_t)-1)
    checks_add (checks->results, "device.node", CHECK_FAULT,
                "run systemd-sysusers, or install the package tpm-udev",
                "there is no user %s to own %s", GGTPM_USER, node);
  else if (g_str_equal (node, checks->chip) &&
           (status.st_uid != checks->tree->chip_user || (mode & 0600) != 0600))
    checks_add (checks->results, "device.node", CHECK_FAULT, remedy,
                "%s is not %s's to use (uid %u, mode %04o)", node, GGTPM_USER, (guint)status.st_uid,
                mode);
  else
    checks_add (checks->results, "device.node", CHECK_OK, NULL, "%s has mode %04o", node, mode);
}

void
checks_device_nodes (Checks *checks)
{
  check_node (checks, checks->chip);
  check_node (checks, checks->resource);
}

/* Rules of others that open the chip to everybody. Free with g_free(). */
static char *
find_open_rule (const Checks *checks, const char *dir)
{
  g_auto (GStrv) names = checks_list (checks, dir);

  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autofree char *path = g_build_filename (dir, names[i], NULL);
      g_autofree char *text = checks_read (checks, path);

      if (text != NULL && g_str_has_suffix (names[i], ".rules") &&
          g_regex_match_simple ("^[^#\\n]*tpm[^\\n]*MODE:?=\"0?[0-7][0-7][1-7]\"", text,
                                G_REGEX_MULTILINE, 0))
        return g_steal_pointer (&path);
    }
  return NULL;
}

void
checks_device_udev (Checks *checks)
{
  static const char *const dirs[] = { "/etc/udev/rules.d", "/run/udev/rules.d",
                                      "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d",
                                      "/lib/udev/rules.d" };
  gboolean found = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_autofree char *ours = g_build_filename (dirs[i], "70-ggtpmd.rules", NULL);
      g_autofree char *open = find_open_rule (checks, dirs[i]);

      /* the first directory wins; an empty file there is a mask */
      if (!found && checks_exists (checks, ours))
        {
          g_autofree char *text = checks_read (checks, ours);

          found = TRUE;
          if (text == NULL || text[0] == '\0')
            checks_add (checks->results, "device.udev", CHECK_WARNING, "remove that file",
                        "%s masks the udev rule", ours);
          else
            checks_add (checks->results, "device.udev", CHECK_OK, NULL, "the udev rule is %s",
                        ours);
        }
      if (open != NULL)
        checks_add (checks->results, "device.udev", CHECK_FAULT,
                    "take the mode out of it, then `udevadm control --reload; udevadm trigger -s "
                    "tpm`",
                    "%s opens the TPM to every user", open);
    }
  if (!found)
    checks_add (checks->results, "device.udev", CHECK_WARNING,
                "install ggtpmd's 70-ggtpmd.rules, then `udevadm control --reload`",
                "the udev rule that starts ggtpmd with the TPM is missing");
}

/* Which node a process has open; NULL: none. *out_hidden is set if that could not be seen. */
static const char *
find_open_node (const Checks *checks, const char *pid, gboolean *out_hidden)
{
  g_autofree char *dir = g_strdup_printf ("/proc/%s/fd", pid);
  g_auto (GStrv) names = checks_list (checks, dir);

  if (names == NULL && checks_exists (checks, dir))
    *out_hidden = TRUE;
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autofree char *path = g_strdup_printf ("%s%s/%s", checks->tree->root, dir, names[i]);
      g_autofree char *target = g_file_read_link (path, NULL);

      if (g_strcmp0 (target, checks->chip) == 0)
        return checks->chip;
      if (g_strcmp0 (target, checks->resource) == 0)
        return checks->resource;
    }
  return NULL;
}

/* Returns whether the process has the chip's node. */
static gboolean
add_owner (Checks *checks, const char *pid, const char *node)
{
  g_autofree char *path = g_strdup_printf ("/proc/%s/comm", pid);
  g_autofree char *name = checks_read (checks, path);
  g_autofree char *clean = g_utf8_make_valid (name != NULL ? g_strchomp (name) : "?", -1);
  gboolean is_chip = g_str_equal (node, checks->chip);

  if (g_str_equal (clean, "ggtpmd"))
    checks_add (checks->results, "device.owner", CHECK_OK, NULL, "ggtpmd (pid %s) has %s", pid,
                node);
  else if (is_chip && checks->config->mode == CONFIG_MODE_REPLACE)
    checks_add (checks->results, "device.owner", CHECK_FAULT,
                "stop it, and let it use ggtpmd (TCTI ggtpm); or set Mode=alongside in ggtpmd.conf",
                "%s (pid %s) has %s, which ggtpmd needs for itself", clean, pid, node);
  else if (is_chip)
    checks_add (checks->results, "device.owner", CHECK_OK, NULL, "%s (pid %s) has %s", clean, pid,
                node);
  else
    checks_add (checks->results, "device.owner", CHECK_WARNING, "let it use ggtpmd (TCTI ggtpm)",
                "%s (pid %s) uses %s beside ggtpmd, and takes slots of the chip", clean, pid, node);
  return is_chip;
}

void
checks_device_owners (Checks *checks)
{
  g_auto (GStrv) pids = checks_list (checks, "/proc");
  gboolean hidden = FALSE;
  gboolean owned = FALSE;

  if (!checks_exists (checks, checks->chip) && !checks_exists (checks, checks->resource))
    {
      checks_add (checks->results, "device.owner", CHECK_NOT_APPLICABLE, NULL,
                  "there is no TPM that anybody could hold");
      return;
    }
  for (guint i = 0; pids != NULL && pids[i] != NULL; i++)
    {
      const char *node = NULL;

      if (g_ascii_isdigit (pids[i][0]))
        node = find_open_node (checks, pids[i], &hidden);
      if (node != NULL)
        owned = add_owner (checks, pids[i], node) || owned;
    }
  if (owned)
    return;
  if (hidden)
    checks_add (checks->results, "device.owner", CHECK_UNKNOWN, "run this as root",
                "who has %s open cannot be seen by this user", checks->chip);
  else
    checks_add (checks->results, "device.owner", CHECK_OK, NULL, "nobody has %s open",
                checks->chip);
}
