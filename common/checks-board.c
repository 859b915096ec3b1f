/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "common/checks-private.h"

#include <string.h>

/* The first that is there is the one that the firmware reads: the other is a note to say so since Debian 12. */
static const char *const config_files[] = { "/boot/firmware/config.txt", "/boot/config.txt", NULL };
static const char *const command_files[] = { "/boot/firmware/cmdline.txt", "/boot/cmdline.txt",
                                             NULL };

static gboolean
is_raspberry_pi (const Checks *checks)
{
  g_autofree char *model = checks_read (checks, "/proc/device-tree/model");

  if (model == NULL)
    model = checks_read (checks, "/sys/firmware/devicetree/base/model");
  return (model != NULL && strstr (model, "Raspberry Pi") != NULL) ||
         checks_find (checks, config_files) != NULL;
}

typedef enum
{
  SETTING_MISSING,
  SETTING_CONDITIONAL, /* in a section for some boards only */
  SETTING_THERE,
} Setting;

/* @key=@value in config.txt, whose values may be lists with commas and options behind them. */
static gboolean
sets (const char *line, const char *key, const char *value)
{
  gsize len = strlen (key);
  g_auto (GStrv) values = NULL;

  if (strncmp (line, key, len) != 0 || line[len] != '=')
    return FALSE;
  values = g_strsplit (line + len + 1, ",", -1);
  for (guint i = 0; values[i] != NULL; i++)
    if (g_str_equal (g_strstrip (values[i]), value))
      return TRUE;
  return FALSE;
}

static Setting
find_setting (const char *text, const char *key, const char *const *values)
{
  g_auto (GStrv) lines = g_strsplit (text != NULL ? text : "", "\n", -1);
  gboolean conditional = FALSE;
  Setting found = SETTING_MISSING;

  for (guint i = 0; lines[i] != NULL; i++)
    {
      const char *line = g_strstrip (lines[i]);

      if (line[0] == '[')
        conditional = !g_str_has_prefix (line, "[all]");
      for (guint n = 0; values[n] != NULL; n++)
        if (sets (line, key, values[n]))
          found = MAX (found, conditional ? SETTING_CONDITIONAL : SETTING_THERE);
    }
  return found;
}

/* In a file that the firmware does not read. */
static gboolean
is_in_wrong_file (const Checks *checks, const char *key, const char *const *values)
{
  g_autofree char *other = NULL;

  if (!checks_exists (checks, config_files[0]))
    return FALSE;
  other = checks_read (checks, config_files[1]);
  return find_setting (other, key, values) != SETTING_MISSING;
}

void
checks_board_overlay (Checks *checks)
{
  static const char *const overlays[] = { "tpm-slb9670", "tpm-slb9673", NULL };
  const char *path = checks_find (checks, config_files);
  gboolean has_tpm = checks_exists (checks, checks->sysfs);
  g_autofree char *text = path != NULL ? checks_read (checks, path) : NULL;
  g_autofree char *remedy = NULL;

  if (!is_raspberry_pi (checks))
    {
      checks_add (checks->results, "board.overlay", CHECK_NOT_APPLICABLE, NULL,
                  "this is no Raspberry Pi: no device tree overlay is needed in config.txt");
      return;
    }
  if (text == NULL)
    {
      checks_add (checks->results, "board.overlay", CHECK_UNKNOWN,
                  "see that the boot partition is mounted", "config.txt cannot be read");
      return;
    }

  remedy = g_strdup_printf ("add dtoverlay=tpm-slb9670 to %s, below [all], and restart", path);
  switch (find_setting (text, "dtoverlay", overlays))
    {
    case SETTING_THERE:
      checks_add (checks->results, "board.overlay", CHECK_OK, NULL, "%s has the TPM's overlay",
                  path);
      break;
    case SETTING_CONDITIONAL:
      checks_add (checks->results, "board.overlay", has_tpm ? CHECK_OK : CHECK_WARNING,
                  has_tpm ? NULL : remedy,
                  "%s has the TPM's overlay in a section that is for some boards only", path);
      break;
    case SETTING_MISSING:
    default:
      if (is_in_wrong_file (checks, "dtoverlay", overlays))
        checks_add (checks->results, "board.overlay", CHECK_FAULT, remedy,
                    "the TPM's overlay is in %s, which this firmware does not read",
                    config_files[1]);
      else
        checks_add (checks->results, "board.overlay", has_tpm ? CHECK_OK : CHECK_FAULT,
                    has_tpm ? NULL : remedy, "%s does not have the TPM's overlay%s", path,
                    has_tpm ? "; the TPM is there without it" : "");
      break;
    }
}

void
checks_board_spi (Checks *checks)
{
  static const char *const on[] = { "spi=on", NULL };
  static const char *const on_alone[] = { "spi", NULL };
  const char *path = checks_find (checks, config_files);
  g_autofree char *text = path != NULL ? checks_read (checks, path) : NULL;
  g_auto (GStrv) masters = checks_list (checks, "/sys/class/spi_master");
  gboolean enabled = FALSE;

  if (masters != NULL && masters[0] != NULL)
    {
      checks_add (checks->results, "board.spi", CHECK_OK, NULL, "SPI is enabled: %s", masters[0]);
      return;
    }
  if (!is_raspberry_pi (checks))
    {
      checks_add (checks->results, "board.spi", CHECK_NOT_APPLICABLE, NULL,
                  "there is no SPI controller, and this is no Raspberry Pi");
      return;
    }
  enabled = find_setting (text, "dtparam", on) == SETTING_THERE ||
            find_setting (text, "dtparam", on_alone) == SETTING_THERE;
  if (enabled)
    checks_add (checks->results, "board.spi", CHECK_FAULT,
                "restart; if that does not help, update the kernel (apt full-upgrade)",
                "SPI is switched on in %s, and the kernel has no SPI controller", path);
  else
    checks_add (checks->results, "board.spi", CHECK_FAULT,
                "switch it on with `raspi-config nonint do_spi 0` (dtparam=spi=on) and restart",
                "SPI is off");
}

/* 1: the kernel accounts for memory, 0: it does not, -1: not known. */
static int
get_memory_cgroup (const Checks *checks)
{
  g_autofree char *unified = checks_read (checks, "/sys/fs/cgroup/cgroup.controllers");
  g_autofree char *table = checks_read (checks, "/proc/cgroups");
  g_auto (GStrv) lines = NULL;

  if (unified != NULL)
    {
      g_auto (GStrv) names = g_strsplit_set (unified, " \n", -1);

      if (g_strv_contains ((const char *const *)names, "memory"))
        return 1;
    }
  if (table == NULL)
    return unified != NULL ? 0 : -1;
  lines = g_strsplit (table, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (g_str_has_prefix (lines[i], "memory\t"))
      return g_str_has_suffix (g_strchomp (lines[i]), "\t1") ? 1 : 0;
  return 0;
}

void
checks_board_cgroups (Checks *checks)
{
  int memory = get_memory_cgroup (checks);
  const char *path = checks_find (checks, command_files);
  g_autofree char *remedy =
      g_strdup_printf ("add cgroup_enable=memory cgroup_memory=1 to the one line of %s and restart",
                       path != NULL ? path : "the kernel's command line");

  if (memory == 1)
    checks_add (checks->results, "kernel.cgroups", CHECK_OK, NULL, "memory cgroups are on");
  else if (memory < 0)
    checks_add (checks->results, "kernel.cgroups", CHECK_UNKNOWN, NULL,
                "the kernel does not say which cgroups it has");
  else if (checks_has_greengrass (checks))
    checks_add (checks->results, "kernel.cgroups", CHECK_FAULT, remedy,
                "memory cgroups are off, and Greengrass needs them");
  else
    checks_add (checks->results, "kernel.cgroups", CHECK_WARNING, remedy,
                "memory cgroups are off: Greengrass would need them");
}
