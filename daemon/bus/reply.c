/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "reply.h"

#include "dbus/error.h"

/* What a caller did wrong is no news for the journal, which anybody could fill. What is wrong with chip or PIN is. */
static GLogLevelFlags
get_level (const GError *error)
{
  switch ((GgtpmError)error->code)
    {
    case GGTPM_ERROR_FAILED:
    case GGTPM_ERROR_TPM_FAILURE:
    case GGTPM_ERROR_STORE:
    case GGTPM_ERROR_TIMEOUT:
      return G_LOG_LEVEL_WARNING;
    case GGTPM_ERROR_AUTH_FAILED:
    case GGTPM_ERROR_LOCKED_OUT:
    case GGTPM_ERROR_NO_RESOURCES:
      return G_LOG_LEVEL_MESSAGE;
    case GGTPM_ERROR_INVALID_ARGS:
    case GGTPM_ERROR_NOT_AUTHORIZED:
    case GGTPM_ERROR_AUTH_REQUIRED:
    case GGTPM_ERROR_NOT_FOUND:
    case GGTPM_ERROR_EXISTS:
    case GGTPM_ERROR_NOT_PROVISIONED:
    case GGTPM_ERROR_NOT_SUPPORTED:
    case GGTPM_ERROR_BUSY:
    case GGTPM_ERROR_CANCELLED:
    case GGTPM_ERROR_UNAVAILABLE:
    case GGTPM_N_ERRORS:
    default:
      return G_LOG_LEVEL_INFO;
    }
}

void
reply_log_error (const char *what, GError *error)
{
  ggtpm_error_convert (&error);
  g_log (G_LOG_DOMAIN, get_level (error), "%s: %s: %s", what,
         ggtpm_error_nick ((GgtpmError)error->code), error->message);
}

void
reply_error (GDBusMethodInvocation *invocation, GError *error)
{
  g_autofree char *what =
      g_strdup_printf ("%s.%s for %s", g_dbus_method_invocation_get_interface_name (invocation),
                       g_dbus_method_invocation_get_method_name (invocation),
                       g_dbus_method_invocation_get_sender (invocation));

  reply_log_error (what, error);
  g_dbus_method_invocation_take_error (invocation, error);
}
