/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "report.h"

#include "common/checks.h"
#include "common/config.h"
#include "common/redact.h"

#include "build-config.h"

#include <string.h>

/* Of one file: a support case needs no more. */
#define FILE_MAX ((gsize)64 * 1024)

static const char *const files[] = {
  GGTPM_SYSCONFDIR "/ggtpmd.conf",
  GGTPM_SYSCONFDIR "/provision.conf",
  "/etc/os-release",
  "/proc/version",
  "/proc/cmdline",
  "/boot/firmware/config.txt",
  "/boot/config.txt",
  "/etc/pkcs11/modules/tpm2_pkcs11.module",
  "/usr/share/p11-kit/modules/tpm2_pkcs11.module",
  "/etc/systemd/system/greengrass.service",
};

void
report_add_section (GString *text, const char *title, const char *body)
{
  g_string_append_printf (text, "==== %s\n", title);
  if (body != NULL)
    g_string_append (text, body);
  if (text->str[text->len - 1] != '\n')
    g_string_append_c (text, '\n');
  g_string_append_c (text, '\n');
}

static void
add_file (GString *text, const char *root, const char *name)
{
  g_autofree char *path = g_strconcat (root, name, NULL);
  g_autofree char *body = NULL;
  g_autoptr (GError) error = NULL;
  gsize len = 0;

  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return;
  if (!g_file_test (path, G_FILE_TEST_IS_REGULAR))
    report_add_section (text, name, "(no regular file)");
  else if (!g_file_get_contents (path, &body, &len, &error))
    report_add_section (text, name, error->message);
  else
    {
      body[MIN (len, FILE_MAX)] = '\0';
      report_add_section (text, name, body);
      secret_wipe (body, len);
    }
}

void
report_add_files (GString *text, const char *root)
{
  const char *const *greengrass = checks_get_greengrass_files ();

  for (gsize i = 0; i < G_N_ELEMENTS (files); i++)
    add_file (text, root, files[i]);
  for (guint i = 0; greengrass[i] != NULL; i++)
    add_file (text, root, greengrass[i]);
}

GPtrArray *
report_find_pins (const char *root)
{
  GPtrArray *pins = g_ptr_array_new_with_free_func ((GDestroyNotify)secret_free);
  g_autofree char *conf = g_strconcat (root, GGTPM_SYSCONFDIR, "/ggtpmd.conf", NULL);
  g_autoptr (Config) config = config_load (conf, NULL);
  g_autofree char *path = NULL;
  g_autoptr (GDir) dir = NULL;
  const char *name = NULL;

  if (config == NULL)
    config = config_new ();
  path = g_strconcat (root, config->state_dir != NULL ? config->state_dir : "", "/pins", NULL);
  dir = g_dir_open (path, 0, NULL);
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      Secret *pin =
          g_file_test (file, G_FILE_TEST_IS_REGULAR) ? secret_read_file (file, NULL) : NULL;

      if (pin != NULL)
        g_ptr_array_add (pins, pin);
    }
  return pins;
}

char *
report_finish (GString *text, GPtrArray *pins)
{
  g_autoptr (GPtrArray) found = redact_find (text->str);
  g_autofree char *once = redact_text (text->str, pins);

  secret_wipe (text->str, text->len);
  /* A PIN of one file may stand in another where it does not look like one. */
  return redact_text (once, found);
}
