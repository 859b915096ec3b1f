/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "error.h"

#define ERROR_PREFIX "org.ggtpm1.Error."

static const GDBusErrorEntry entries[] = {
  { GGTPM_ERROR_FAILED, ERROR_PREFIX "Failed" },
  { GGTPM_ERROR_INVALID_ARGS, ERROR_PREFIX "InvalidArgs" },
  { GGTPM_ERROR_NOT_AUTHORIZED, ERROR_PREFIX "NotAuthorized" },
  { GGTPM_ERROR_AUTH_REQUIRED, ERROR_PREFIX "AuthRequired" },
  { GGTPM_ERROR_AUTH_FAILED, ERROR_PREFIX "AuthFailed" },
  { GGTPM_ERROR_LOCKED_OUT, ERROR_PREFIX "LockedOut" },
  { GGTPM_ERROR_NOT_FOUND, ERROR_PREFIX "NotFound" },
  { GGTPM_ERROR_EXISTS, ERROR_PREFIX "Exists" },
  { GGTPM_ERROR_NOT_PROVISIONED, ERROR_PREFIX "NotProvisioned" },
  { GGTPM_ERROR_NOT_SUPPORTED, ERROR_PREFIX "NotSupported" },
  { GGTPM_ERROR_BUSY, ERROR_PREFIX "Busy" },
  { GGTPM_ERROR_NO_RESOURCES, ERROR_PREFIX "NoResources" },
  { GGTPM_ERROR_CANCELLED, ERROR_PREFIX "Cancelled" },
  { GGTPM_ERROR_TIMEOUT, ERROR_PREFIX "Timeout" },
  { GGTPM_ERROR_UNAVAILABLE, ERROR_PREFIX "Unavailable" },
  { GGTPM_ERROR_TPM_FAILURE, ERROR_PREFIX "TpmFailure" },
  { GGTPM_ERROR_STORE, ERROR_PREFIX "Store" },
};

G_STATIC_ASSERT (G_N_ELEMENTS (entries) == GGTPM_N_ERRORS);

static const struct
{
  GIOErrorEnum io;
  GgtpmError ours;
} io_errors[] = {
  { G_IO_ERROR_CANCELLED, GGTPM_ERROR_CANCELLED },
  { G_IO_ERROR_NOT_FOUND, GGTPM_ERROR_NOT_FOUND },
  { G_IO_ERROR_EXISTS, GGTPM_ERROR_EXISTS },
  { G_IO_ERROR_TIMED_OUT, GGTPM_ERROR_TIMEOUT },
  { G_IO_ERROR_BUSY, GGTPM_ERROR_BUSY },
  { G_IO_ERROR_NO_SPACE, GGTPM_ERROR_STORE },
  { G_IO_ERROR_READ_ONLY, GGTPM_ERROR_STORE },
  { G_IO_ERROR_PERMISSION_DENIED, GGTPM_ERROR_NOT_AUTHORIZED },
  { G_IO_ERROR_NOT_SUPPORTED, GGTPM_ERROR_NOT_SUPPORTED },
  { G_IO_ERROR_INVALID_ARGUMENT, GGTPM_ERROR_INVALID_ARGS },
};

GQuark
ggtpm_error_quark (void)
{
  static gsize quark = 0;

  g_dbus_error_register_error_domain ("ggtpm-error-quark", &quark, entries, G_N_ELEMENTS (entries));
  return (GQuark)quark;
}

const char *
ggtpm_error_nick (GgtpmError code)
{
  for (gsize i = 0; i < G_N_ELEMENTS (entries); i++)
    if (entries[i].error_code == (gint)code)
      return entries[i].dbus_error_name + strlen (ERROR_PREFIX);
  return "Failed";
}

void
ggtpm_error_convert (GError **error)
{
  GgtpmError code = GGTPM_ERROR_FAILED;

  g_return_if_fail (error != NULL && *error != NULL);

  if ((*error)->domain == GGTPM_ERROR)
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (io_errors); i++)
    if (g_error_matches (*error, G_IO_ERROR, (gint)io_errors[i].io))
      code = io_errors[i].ours;
  (*error)->domain = GGTPM_ERROR;
  (*error)->code = (gint)code;
}

static int
exit_code_of_bus_error (const GError *error)
{
  switch (error->code)
    {
    case G_DBUS_ERROR_SERVICE_UNKNOWN:
    case G_DBUS_ERROR_NAME_HAS_NO_OWNER:
    case G_DBUS_ERROR_NO_REPLY:
    case G_DBUS_ERROR_NO_SERVER:
    case G_DBUS_ERROR_SPAWN_SERVICE_NOT_FOUND:
      return 6;
    case G_DBUS_ERROR_ACCESS_DENIED:
    case G_DBUS_ERROR_AUTH_FAILED:
      return 4;
    case G_DBUS_ERROR_UNKNOWN_OBJECT:
      return 3;
    default:
      return 1;
    }
}

int
ggtpm_error_exit_code (const GError *error)
{
  if (error->domain == G_DBUS_ERROR)
    return exit_code_of_bus_error (error);
  if (error->domain == G_OPTION_ERROR)
    return 2;
  if (error->domain != GGTPM_ERROR)
    return 1;

  switch ((GgtpmError)error->code)
    {
    case GGTPM_ERROR_INVALID_ARGS:
      return 2;
    case GGTPM_ERROR_NOT_FOUND:
    case GGTPM_ERROR_NOT_PROVISIONED:
      return 3;
    case GGTPM_ERROR_NOT_AUTHORIZED:
    case GGTPM_ERROR_AUTH_REQUIRED:
    case GGTPM_ERROR_AUTH_FAILED:
      return 4;
    case GGTPM_ERROR_BUSY:
    case GGTPM_ERROR_LOCKED_OUT:
    case GGTPM_ERROR_NO_RESOURCES:
      return 5;
    case GGTPM_ERROR_UNAVAILABLE:
    case GGTPM_ERROR_TPM_FAILURE:
    case GGTPM_ERROR_TIMEOUT:
      return 6;
    case GGTPM_ERROR_FAILED:
    case GGTPM_ERROR_EXISTS:
    case GGTPM_ERROR_NOT_SUPPORTED:
    case GGTPM_ERROR_CANCELLED:
    case GGTPM_ERROR_STORE:
    case GGTPM_N_ERRORS:
    default:
      return 1;
    }
}
