/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "cmd.h"

#include "client/capability.h"
#include "client/eltt2.h"
#include "client/issues.h"
#include "client/objects.h"
#include "client/output.h"
#include "dbus/error.h"

#define ISSUES "Issues"
#define RULES  "Rules"

/* Properties that a plain number does not show well. */
typedef enum
{
  FORMAT_PLAIN,
  FORMAT_HEX,
  FORMAT_TIME,
  FORMAT_SECONDS,
  FORMAT_HUNDREDTHS,
  FORMAT_DATE,
  FORMAT_KNOWN, /* all ones: the chip does not tell */
} Format;

static const struct
{
  const char *name;
  Format format;
} formats[] = {
  { "FirmwareRaw", FORMAT_HEX },         { "LastCheck", FORMAT_TIME },
  { "LockoutInterval", FORMAT_SECONDS }, { "LockoutRecovery", FORMAT_SECONDS },
  { "ManufacturerId", FORMAT_HEX },      { "Revision", FORMAT_HUNDREDTHS },
  { "SelfTestResult", FORMAT_HEX },      { "SpecDate", FORMAT_DATE },
  { "UpdatesRemaining", FORMAT_KNOWN },
};

static Format
get_format (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (formats); i++)
    if (g_str_equal (formats[i].name, name))
      return formats[i].format;
  return FORMAT_PLAIN;
}

static char *
format_number (guint64 number, Format format)
{
  switch (format)
    {
    case FORMAT_HEX:
      return g_strdup_printf ("0x%08" G_GINT64_MODIFIER "x", number);
    case FORMAT_TIME:
      return output_time (number);
    case FORMAT_SECONDS:
      return g_strdup_printf ("%" G_GUINT64_FORMAT " s", number);
    case FORMAT_HUNDREDTHS:
      return g_strdup_printf ("%" G_GUINT64_FORMAT ".%02" G_GUINT64_FORMAT, number / 100,
                              number % 100);
    case FORMAT_KNOWN:
      return number == G_MAXUINT32 ? g_strdup ("") : g_strdup_printf ("%" G_GUINT64_FORMAT, number);
    case FORMAT_PLAIN:
    case FORMAT_DATE:
    default:
      return g_strdup_printf ("%" G_GUINT64_FORMAT, number);
    }
}

static char *
format_pair (GVariant *value, Format format)
{
  guint32 first = 0;
  guint32 second = 0;
  g_autofree char *one = NULL;
  g_autofree char *two = NULL;

  g_variant_get (value, "(uu)", &first, &second);
  if (format == FORMAT_DATE)
    return g_strdup_printf ("year %u, day %u", first, second);
  one = format_number (first, format);
  two = format_number (second, format);
  return g_strdup_printf ("%s %s", one, two);
}

static char *
format_value (const char *name, GVariant *value)
{
  Format format = get_format (name);

  if (value == NULL)
    return g_strdup ("");
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    return g_variant_dup_string (value, NULL);
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    return g_strdup (g_variant_get_boolean (value) ? "yes" : "no");
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
    return format_number (g_variant_get_uint32 (value), format);
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_UINT64))
    return format_number (g_variant_get_uint64 (value), format);
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING_ARRAY))
    {
      g_autofree const char **list = g_variant_get_strv (value, NULL);

      return g_strjoinv (", ", (char **)list);
    }
  if (g_variant_is_of_type (value, G_VARIANT_TYPE ("(uu)")))
    return format_pair (value, format);
  return g_variant_print (value, FALSE);
}

/* `LockoutMax` as `lockout_max`. */
static char *
make_member_name (const char *property)
{
  GString *name = g_string_new (NULL);

  for (const char *at = property; *at != '\0'; at++)
    {
      if (g_ascii_isupper (*at) && at != property)
        g_string_append_c (name, '_');
      g_string_append_c (name, g_ascii_tolower (*at));
    }
  return g_string_free (name, FALSE);
}

/* What is no plain value. */
static gboolean
is_list (const char *name)
{
  return g_str_equal (name, ISSUES) || g_str_equal (name, RULES);
}

static GVariant *
describe_value (const char *name, GVariant *value)
{
  if (g_str_equal (name, ISSUES))
    return issues_describe (value);
  return g_str_equal (name, RULES) ? issues_describe_rules (value) : value;
}

static GVariant *
describe (GDBusProxy *proxy, GDBusInterfaceInfo *interface)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  for (gsize i = 0; interface->properties[i] != NULL; i++)
    {
      const char *name = interface->properties[i]->name;
      g_autoptr (GVariant) value = g_dbus_proxy_get_cached_property (proxy, name);
      g_autofree char *member = make_member_name (name);

      if (value == NULL)
        continue;
      g_variant_builder_add (&dict, "{sv}", member, describe_value (name, value));
    }
  return g_variant_builder_end (&dict);
}

static void
print (const char *title, GDBusProxy *proxy, GDBusInterfaceInfo *interface)
{
  g_autoptr (OutputTable) table = output_table_new (2, NULL);
  g_autofree char *heading = output_coloured (OUTPUT_BOLD, title);
  g_autofree char *text = NULL;

  for (gsize i = 0; interface->properties[i] != NULL; i++)
    {
      const char *name = interface->properties[i]->name;
      g_autoptr (GVariant) value = g_dbus_proxy_get_cached_property (proxy, name);
      g_autofree char *indented = g_strdup_printf ("  %s", name);
      g_autofree char *formatted = format_value (name, value);

      if (!is_list (name))
        output_table_add (table, indented, formatted);
    }
  text = output_table_to_string (table);
  output_text ("%s\n%s", heading, text);
}

/* Zeros and empty strings of a chip that was never read are no information. */
static gboolean
check_readable (Client *client, GgtpmDevice *device, GgtpmHealth *health, GError **error)
{
  const char *family = device != NULL ? ggtpm_device_get_family (device) : NULL;
  const char *reason = ggtpm_manager_get_state_reason (client->manager);

  if (health != NULL && family != NULL && family[0] != '\0')
    return TRUE;
  g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_UNAVAILABLE, "the TPM could not be read yet%s%s",
               reason != NULL && reason[0] != '\0' ? ": " : "", reason != NULL ? reason : "");
  return FALSE;
}

/* ---- what TPM2_GetCapability tells ---- */

static GVariant *
get_properties (Client *client, GgtpmDevice *device, const char *group, GError **error)
{
  GVariant *lines = NULL;

  if (ggtpm_device_call_get_properties_sync (device, group, client_get_flags (client),
                                             client_get_timeout_ms (client), &lines, NULL, error))
    return lines;
  client_convert_error (error);
  return NULL;
}

static void
print_lines (const char *group, GVariant *lines)
{
  g_autoptr (OutputTable) table = output_table_new (4, NULL);
  g_autofree char *text = NULL;

  for (gsize i = 0; i < g_variant_n_children (lines); i++)
    {
      guint32 number = 0;
      guint32 value = 0;
      const char *name = NULL;
      g_autofree char *first = NULL;
      g_autofree char *second = NULL;
      g_autofree char *meaning = NULL;

      g_variant_get_child (lines, i, "(uu&s)", &number, &value, &name);
      first = g_strdup_printf ("0x%08x", number);
      second = g_strdup_printf ("0x%08x", value);
      meaning = capability_explain (group, number, value);
      output_table_add (table, first, name, second, meaning);
    }
  text = output_table_to_string (table);
  output_text ("%s", text[0] != '\0' ? text : "None.\n");
}

static GVariant *
describe_lines (const char *group, GVariant *lines)
{
  GVariantBuilder list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));

  for (gsize i = 0; i < g_variant_n_children (lines); i++)
    {
      GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
      guint32 number = 0;
      guint32 value = 0;
      const char *name = NULL;
      g_autofree char *meaning = NULL;

      g_variant_get_child (lines, i, "(uu&s)", &number, &value, &name);
      meaning = capability_explain (group, number, value);
      output_add (&dict, "number", "u", number);
      output_add (&dict, "name", "s", name);
      output_add (&dict, "value", "u", value);
      output_add (&dict, "meaning", "s", meaning);
      g_variant_builder_add_value (&list, g_variant_builder_end (&dict));
    }
  return g_variant_builder_end (&list);
}

static gboolean
show_group (Client *client, GgtpmDevice *device, const char *group, GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GVariant) lines = get_properties (client, device, group, error);

  if (lines == NULL)
    return FALSE;
  if (!client->json)
    {
      print_lines (group, lines);
      return TRUE;
    }
  output_add (&dict, "group", "s", group);
  g_variant_builder_add (&dict, "{sv}", "lines", describe_lines (group, lines));
  output_json (g_variant_builder_end (&dict));
  return TRUE;
}

static gboolean
show_eltt2 (Client *client, GgtpmDevice *device, GError **error)
{
  g_autoptr (GVariant) fixed = get_properties (client, device, "fixed", error);
  g_autoptr (GVariant) variable = NULL;
  g_autofree char *text = NULL;

  if (fixed == NULL)
    return FALSE;
  variable = get_properties (client, device, "variable", error);
  if (variable == NULL)
    return FALSE;
  text = eltt2_format (fixed, variable);
  output_text ("%s", text);
  return TRUE;
}

static gboolean
check_options (Client *client, const Options *options, GError **error)
{
  if (options->variable + options->eltt2 + (options->capability != NULL) > 1)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "of --variable, --capability and --eltt2 only one can be given");
  else if (options->eltt2 && client->json)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "--eltt2 is a text: JSON has the same with --capability fixed or variable");
  else
    return TRUE;
  return FALSE;
}

static gboolean
show_all (Client *client, GgtpmDevice *device, GgtpmHealth *health)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (client->json)
    {
      g_variant_builder_add (&dict, "{sv}", "device",
                             describe (G_DBUS_PROXY (device), ggtpm_device_interface_info ()));
      g_variant_builder_add (&dict, "{sv}", "health",
                             describe (G_DBUS_PROXY (health), ggtpm_health_interface_info ()));
      output_json (g_variant_builder_end (&dict));
      return TRUE;
    }
  print ("Device", G_DBUS_PROXY (device), ggtpm_device_interface_info ());
  print ("Health", G_DBUS_PROXY (health), ggtpm_health_interface_info ());
  issues_print (ggtpm_health_get_issues (health));
  return TRUE;
}

gboolean
cmd_info (Client *client, const Options *options, GError **error)
{
  GgtpmDevice *device = NULL;
  GgtpmHealth *health = NULL;

  if (!check_options (client, options, error) || !client_connect (client, TRUE, error))
    return FALSE;
  device = objects_get_device (client);
  health = objects_get_health (client);
  if (!check_readable (client, device, health, error))
    return FALSE;
  if (options->eltt2)
    return show_eltt2 (client, device, error);
  if (options->variable || options->capability != NULL)
    return show_group (client, device, options->variable ? "variable" : options->capability, error);
  return show_all (client, device, health);
}
