/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/doctor.h"
#include "client/files.h"
#include "client/output.h"
#include "client/report.h"

#include "build-config.h"

#include <string.h>

#define JOURNALCTL "/usr/bin/journalctl"

static void
add_head (GString *text)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format (now, "%Y-%m-%dT%H:%M:%SZ");
  g_autofree char *body = g_strdup_printf (
      "ggtpmctl %s, %s\nPINs and private keys are replaced by (removed).\n", PACKAGE_VERSION, time);

  report_add_section (text, "ggtpmctl report", body);
}

static void
append_properties (GString *text, GDBusProxy *proxy)
{
  g_auto (GStrv) names = g_dbus_proxy_get_cached_property_names (proxy);

  g_string_append_printf (text, "%s %s\n", g_dbus_proxy_get_object_path (proxy),
                          g_dbus_proxy_get_interface_name (proxy));
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    {
      g_autoptr (GVariant) value = g_dbus_proxy_get_cached_property (proxy, names[i]);
      g_autofree char *printed = g_variant_print (value, FALSE);

      g_string_append_printf (text, "  %s: %s\n", names[i], printed);
    }
}

/* Every object with every property: there is no secret among them. */
static void
add_objects (GString *text, Client *client)
{
  g_autoptr (GString) body = g_string_new (NULL);
  GList *objects = NULL;

  if (client->objects == NULL)
    {
      report_add_section (text, "ggtpmd", "(does not run)");
      return;
    }
  objects = g_dbus_object_manager_get_objects (client->objects);
  for (GList *at = objects; at != NULL; at = at->next)
    {
      GList *interfaces = g_dbus_object_get_interfaces (at->data);

      for (GList *interface = interfaces; interface != NULL; interface = interface->next)
        append_properties (body, G_DBUS_PROXY (interface->data));
      g_list_free_full (interfaces, g_object_unref);
    }
  g_list_free_full (objects, g_object_unref);
  report_add_section (text, "ggtpmd", body->str);
}

static void
add_journal (GString *text, const char *title, const char *const *argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) journal = NULL;
  g_autoptr (GBytes) output = NULL;
  g_autofree char *body = NULL;

  if (!g_file_test (JOURNALCTL, G_FILE_TEST_IS_EXECUTABLE))
    return;
  journal = g_subprocess_newv (
      argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error);
  if (journal == NULL || !g_subprocess_communicate (journal, NULL, NULL, &output, NULL, &error))
    {
      report_add_section (text, title, error->message);
      return;
    }
  if (output != NULL)
    body = g_utf8_make_valid (
        g_bytes_get_data (output, NULL) != NULL ? g_bytes_get_data (output, NULL) : "",
        (gssize)g_bytes_get_size (output));
  report_add_section (text, title, body);
}

gboolean
cmd_report (Client *client, const Options *options, GError **error)
{
  static const char *const units[] = { JOURNALCTL,
                                       "--no-pager",
                                       "--output=short-iso",
                                       "--lines=300",
                                       "--unit=ggtpmd.service",
                                       "--unit=ggtpm-provision.service",
                                       "--unit=greengrass.service",
                                       NULL };
  static const char *const kernel[] = { JOURNALCTL,    "--no-pager", "--output=short-iso",
                                        "--lines=100", "--dmesg",    "--grep=tpm|spi",
                                        NULL };
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GPtrArray) checks = doctor_run (client);
  g_autoptr (GPtrArray) pins = report_find_pins ("");
  g_autofree char *doctor = doctor_to_string (checks, FALSE);
  g_autofree char *report = NULL;
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  gboolean to_file = files_is_path (options->out);

  add_head (text);
  report_add_section (text, "ggtpmctl doctor", doctor);
  add_objects (text, client);
  report_add_files (text, "");
  add_journal (text, "journal of the services", units);
  add_journal (text, "journal of the kernel", kernel);
  report = report_finish (text, pins);

  if (to_file && !files_write (options->out, report, strlen (report), error))
    return FALSE;
  if (client->json)
    {
      if (to_file)
        files_describe (&dict, "out", options->out);
      else
        output_add (&dict, "report", "s", report);
      output_json (g_variant_builder_end (&dict));
    }
  else if (!to_file)
    output_text ("%s", report);
  return TRUE;
}
