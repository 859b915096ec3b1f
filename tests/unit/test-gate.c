/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "bus/gate-table.h"
#include "dbus/names.h"
#include "ggtpm-generated.h"

static GDBusInterfaceInfo *const *
get_interfaces (void)
{
  static GDBusInterfaceInfo *interfaces[9];

  interfaces[0] = ggtpm_device_interface_info ();
  interfaces[1] = ggtpm_health_interface_info ();
  interfaces[2] = ggtpm_job_interface_info ();
  interfaces[3] = ggtpm_key_interface_info ();
  interfaces[4] = ggtpm_manager_interface_info ();
  interfaces[5] = ggtpm_provisioning_interface_info ();
  interfaces[6] = ggtpm_token_interface_info ();
  interfaces[7] = ggtpm_platform_interface_info ();
  interfaces[8] = NULL;
  return interfaces;
}

static void
test_every_method_is_in_the_table (void)
{
  guint n = 0;

  for (GDBusInterfaceInfo *const *interface = get_interfaces (); *interface != NULL; interface++)
    for (GDBusMethodInfo **method = (*interface)->methods; method && *method; method++, n++)
      {
        const GateRule *rule = gate_table_lookup ((*interface)->name, (*method)->name);

        if (rule == NULL)
          g_error ("%s.%s is not in the gate's table: nobody may call it", (*interface)->name,
                   (*method)->name);
        if (rule->action != NULL)
          g_assert_true (g_str_has_prefix (rule->action, "org.ggtpm1."));
      }
  g_assert_cmpuint (n, >=, 21);
}

/* A method that takes options changes something or costs chip time: those free of rights are named here, one by one. */
static void
test_what_everybody_may (void)
{
  static const char *const open[] = {
    "org.ggtpm1.Device.Refresh",       "org.ggtpm1.Device.ReadClock",
    "org.ggtpm1.Device.GetRandom",     "org.ggtpm1.Device.Hash",
    "org.ggtpm1.Device.GetProperties", "org.ggtpm1.Health.Check",
    "org.ggtpm1.Health.GetTestResult", "org.ggtpm1.Key.GetCertificate",
    "org.ggtpm1.Key.ExportPublicKey",  "org.ggtpm1.Key.Verify",
    "org.ggtpm1.Platform.ReadPcrs",    NULL
  };

  for (GDBusInterfaceInfo *const *interface = get_interfaces (); *interface != NULL; interface++)
    for (GDBusMethodInfo **method = (*interface)->methods; method && *method; method++)
      {
        g_autofree char *name = g_strconcat ((*interface)->name, ".", (*method)->name, NULL);
        const GateRule *rule = gate_table_lookup ((*interface)->name, (*method)->name);

        g_assert_nonnull (rule);
        g_assert_cmpint (rule->action == NULL, ==, g_strv_contains (open, name));
      }
}

static void
test_unknown_is_denied (void)
{
  g_assert_null (gate_table_lookup ("org.ggtpm1.Health", "Destroy"));
  g_assert_null (gate_table_lookup ("org.ggtpm1.Nothing", "Check"));
  g_assert_null (gate_table_lookup ("", ""));
}

static void
test_no_writable_property (void)
{
  for (GDBusInterfaceInfo *const *interface = get_interfaces (); *interface != NULL; interface++)
    for (GDBusPropertyInfo **property = (*interface)->properties; property && *property; property++)
      g_assert_cmpint ((*property)->flags, ==, G_DBUS_PROPERTY_INFO_FLAGS_READABLE);
}

/* Every method that needs rights takes options as its last argument. */
static void
test_options_come_last (void)
{
  for (GDBusInterfaceInfo *const *interface = get_interfaces (); *interface != NULL; interface++)
    for (GDBusMethodInfo **method = (*interface)->methods; method && *method; method++)
      {
        const GateRule *rule = gate_table_lookup ((*interface)->name, (*method)->name);
        guint n = 0;

        g_assert_nonnull (rule);
        if (rule->action == NULL)
          continue;
        while ((*method)->in_args[n] != NULL)
          n++;
        g_assert_cmpuint (n, >, 0);
        g_assert_cmpstr ((*method)->in_args[n - 1]->signature, ==, "a{sv}");
      }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gate/every-method", test_every_method_is_in_the_table);
  g_test_add_func ("/gate/everybody", test_what_everybody_may);
  g_test_add_func ("/gate/unknown", test_unknown_is_denied);
  g_test_add_func ("/gate/no-writable-property", test_no_writable_property);
  g_test_add_func ("/gate/options-last", test_options_come_last);
  return g_test_run ();
}
