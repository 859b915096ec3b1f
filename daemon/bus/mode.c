/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "mode.h"

#include "dbus/names.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CALL_TIMEOUT_MS   3000
#define BUSY_INTERVAL_MS  200
#define ABRMD_UNIT        "tpm2-abrmd.service"
#define SYSTEMD_BUS_NAME  "org.freedesktop.systemd1"
#define SYSTEMD_PATH      "/org/freedesktop/systemd1"
#define SYSTEMD_INTERFACE "org.freedesktop.systemd1.Manager"

/* NULL where the other side is not there or does not say. */
static GVariant *
call (GDBusConnection *connection,
      const char *name,
      const char *path,
      const char *interface,
      const char *method,
      GVariant *args,
      const char *reply_type)
{
  return g_dbus_connection_call_sync (connection, name, path, interface, method, args,
                                      G_VARIANT_TYPE (reply_type), G_DBUS_CALL_FLAGS_NO_AUTO_START,
                                      CALL_TIMEOUT_MS, NULL, NULL);
}

static gboolean
is_name_owned (GDBusConnection *connection)
{
  g_autoptr (GVariant) reply =
      call (connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
            "NameHasOwner", g_variant_new ("(s)", GGTPM_TABRMD_BUS_NAME), "(b)");
  gboolean owned = FALSE;

  if (reply != NULL)
    g_variant_get (reply, "(b)", &owned);
  return owned;
}

static gboolean
is_unit_enabled (GDBusConnection *connection)
{
  g_autoptr (GVariant) reply = call (connection, SYSTEMD_BUS_NAME, SYSTEMD_PATH, SYSTEMD_INTERFACE,
                                     "GetUnitFileState", g_variant_new ("(s)", ABRMD_UNIT), "(s)");
  const char *state = "";

  if (reply != NULL)
    g_variant_get (reply, "(&s)", &state);
  return g_str_has_prefix (state, "enabled");
}

static gboolean
is_unit_active (GDBusConnection *connection)
{
  const char *const units[] = { ABRMD_UNIT, NULL };
  g_autoptr (GVariant) reply =
      call (connection, SYSTEMD_BUS_NAME, SYSTEMD_PATH, SYSTEMD_INTERFACE, "ListUnitsByNames",
            g_variant_new ("(^as)", units), "(a(ssssssouso))");
  g_autoptr (GVariant) list = NULL;
  g_autoptr (GVariant) unit = NULL;
  const char *state;

  if (reply == NULL)
    return FALSE;
  list = g_variant_get_child_value (reply, 0);
  if (g_variant_n_children (list) == 0)
    return FALSE;
  unit = g_variant_get_child_value (list, 0);
  g_variant_get_child (unit, 3, "&s", &state);
  return g_str_equal (state, "active") || g_str_equal (state, "activating");
}

static gboolean
is_device_busy (const char *tcti)
{
  const char *node = g_str_has_prefix (tcti, "device:") ? tcti + strlen ("device:") : NULL;
  gint64 deadline = g_get_monotonic_time () + MODE_BUSY_S * G_USEC_PER_SEC;

  while (node != NULL)
    {
      int fd = open (node, O_RDWR | O_CLOEXEC | O_NONBLOCK);

      if (fd >= 0)
        close (fd);
      if (fd >= 0 || errno != EBUSY)
        return FALSE;
      if (g_get_monotonic_time () >= deadline)
        return TRUE;
      /* no event tells that somebody else has closed it */
      g_poll (NULL, 0, BUSY_INTERVAL_MS);
    }
  return FALSE;
}

static char *
decide_auto (Config *config, GDBusConnection *connection)
{
  config->mode = CONFIG_MODE_ALONGSIDE;
  if (is_name_owned (connection))
    return g_strdup ("mode alongside: another process owns " GGTPM_TABRMD_BUS_NAME);
  if (is_unit_active (connection))
    return g_strdup ("mode alongside: " ABRMD_UNIT " is active");
  if (is_unit_enabled (connection))
    return g_strdup ("mode alongside: " ABRMD_UNIT " is enabled");
  if (is_device_busy (config->tcti))
    return g_strdup_printf ("mode alongside: another process holds %s", config->tcti);
  config->mode = CONFIG_MODE_REPLACE;
  return g_strdup ("mode replace: there is no other resource manager");
}

char *
mode_decide (Config *config, GDBusConnection *connection)
{
  char *reason = NULL;

  if (config->mode == CONFIG_MODE_AUTO)
    reason = decide_auto (config, connection);
  if (config->mode == CONFIG_MODE_ALONGSIDE && g_str_equal (config->tcti, "device:/dev/tpm0"))
    {
      g_free (config->tcti);
      config->tcti = g_strdup (is_name_owned (connection) || is_unit_enabled (connection)
                                   ? "tabrmd"
                                   : "device:/dev/tpmrm0");
    }
  return reason;
}
