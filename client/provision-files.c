/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "provision-files.h"

#include "client/config-place.h"
#include "client/files.h"
#include "client/output.h"
#include "client/pin.h"
#include "client/progress.h"
#include "common/atomic-file.h"
#include "common/certificate.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include <gio/gunixfdlist.h>

#include <errno.h>
#include <unistd.h>

#define FILE_MAX_BYTES (64 * 1024)

struct _ProvisionFiles
{
  Client *client;
  GVariant *keys;    /* aa{sv} */
  GVariant *configs; /* aa{sv} */
};

ProvisionReport *
provision_report_new (GVariant *result)
{
  ProvisionReport *report = g_new0 (ProvisionReport, 1);
  g_autofree const char **missing = NULL;

  report->missing = g_ptr_array_new_with_free_func (g_free);
  report->placed = g_ptr_array_new_with_free_func ((GDestroyNotify)g_variant_unref);
  report->waiting = g_ptr_array_new_with_free_func (g_free);
  report->problems = g_ptr_array_new_with_free_func (g_free);
  if (g_variant_lookup (result, "missing", "^a&s", &missing))
    for (gsize i = 0; missing[i] != NULL; i++)
      g_ptr_array_add (report->missing, g_strdup (missing[i]));
  return report;
}

void
provision_report_free (ProvisionReport *report)
{
  if (report == NULL)
    return;
  g_ptr_array_unref (report->missing);
  g_ptr_array_unref (report->placed);
  g_ptr_array_unref (report->waiting);
  g_ptr_array_unref (report->problems);
  g_free (report);
}

ProvisionFiles *
provision_files_new (Client *client, GVariant *result)
{
  ProvisionFiles *self = g_new0 (ProvisionFiles, 1);

  self->client = client;
  self->keys = g_variant_lookup_value (result, "keys", G_VARIANT_TYPE ("aa{sv}"));
  self->configs = g_variant_lookup_value (result, "configs", G_VARIANT_TYPE ("aa{sv}"));
  return self;
}

void
provision_files_free (ProvisionFiles *self)
{
  if (self == NULL)
    return;
  g_clear_pointer (&self->keys, g_variant_unref);
  g_clear_pointer (&self->configs, g_variant_unref);
  g_free (self);
}

static gsize
count (GVariant *list)
{
  return list != NULL ? g_variant_n_children (list) : 0;
}

/* NULL: there is none. */
static const char *
lookup (GVariant *dict, const char *name)
{
  const char *value = NULL;

  return g_variant_lookup (dict, name, "&s", &value) ? value : NULL;
}

static void
add_text (GPtrArray *texts, const char *a, const char *b, const char *c)
{
  g_ptr_array_add (texts, g_strjoin (" ", a, b, c, NULL));
}

/* @path: of what could not be done; NULL: @problem says it */
static void
note_problem (ProvisionFiles *self,
              ProvisionReport *report,
              const char *path,
              const GError *problem)
{
  g_ptr_array_add (report->problems, path != NULL ? g_strdup_printf ("'%s' is not installed: %s",
                                                                     path, problem->message)
                                                  : g_strdup (problem->message));
  client_note_failure (self->client, problem);
}

/* ---- certificate requests ---- */

static gboolean
is_same_text (const char *path, const char *text)
{
  g_autofree char *content = NULL;

  return g_file_get_contents (path, &content, NULL, NULL) && g_str_equal (content, text);
}

static gboolean
compare_request (GVariant *key, GPtrArray *missing, GError **error)
{
  const char *path = lookup (key, "csr-path");
  const char *csr = lookup (key, "csr");

  if (path == NULL)
    return TRUE;
  if (!files_check_target (path, FALSE, error))
    return FALSE;
  if (csr == NULL || !is_same_text (path, csr))
    add_text (missing, "the certificate request in", path, NULL);
  return TRUE;
}

static gboolean
place_request (GVariant *key, gboolean *out_changed, GError **error)
{
  const char *path = lookup (key, "csr-path");
  const char *csr = lookup (key, "csr");
  g_autoptr (GError) local_error = NULL;

  if (!files_check_target (path, FALSE, error))
    return FALSE;
  *out_changed = !is_same_text (path, csr);
  if (*out_changed)
    return files_write (path, csr, strlen (csr), error);
  if (atomic_file_forget (path, &local_error))
    return TRUE;
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, local_error->message);
  return FALSE;
}

/* ---- certificates ---- */

/* In the form that certificates of the daemon have; NULL with @error. */
static char *
read_certificate (const char *path, GError **error)
{
  g_autoptr (GBytes) content = NULL;
  g_autofree char *text = NULL;
  g_autoptr (X509) certificate = NULL;

  /* the open of a pipe without a writer would not return */
  if (g_file_test (path, G_FILE_TEST_EXISTS) &&
      !g_file_test (path, G_FILE_TEST_IS_REGULAR | G_FILE_TEST_IS_DIR))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_FAILED, "'%s' is not a regular file", path);
      return NULL;
    }
  content = files_read (path, FILE_MAX_BYTES, error);
  if (content == NULL)
    return NULL;
  text = g_strndup (g_bytes_get_data (content, NULL), g_bytes_get_size (content));
  certificate = certificate_parse_pem (text, error);
  return certificate != NULL ? certificate_to_pem (certificate) : NULL;
}

static GgtpmKey *
find_key (ProvisionFiles *self, GVariant *key, GError **error)
{
  const char *path = NULL;

  if (!g_variant_lookup (key, "key", "&o", &path))
    return NULL;
  return ggtpm_key_proxy_new_sync (self->client->connection, G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START,
                                   GGTPM_BUS_NAME, path, NULL, error);
}

/* Whether the token has @pem for it. Without an answer it has not: installing it is what tells why. */
static gboolean
has_certificate (ProvisionFiles *self, GgtpmKey *proxy, const char *pem)
{
  g_autofree char *installed = NULL;
  g_autoptr (X509) certificate = NULL;
  g_autofree char *installed_pem = NULL;

  if (!ggtpm_key_call_get_certificate_sync (proxy, client_get_flags (self->client),
                                            client_get_timeout_ms (self->client), &installed, NULL,
                                            NULL))
    return FALSE;
  certificate = certificate_parse_pem (installed, NULL);
  installed_pem = certificate != NULL ? certificate_to_pem (certificate) : NULL;
  return g_strcmp0 (installed_pem, pem) == 0;
}

typedef struct
{
  GgtpmKey *proxy;
  const char *pem;
} Installation;

/* PinCall */
static gboolean
call_install (Client *client,
              GVariant *arguments,
              GUnixFDList *descriptors,
              gpointer user_data,
              GError **error)
{
  Installation *installation = user_data;

  return ggtpm_key_call_install_certificate_sync (
      installation->proxy, installation->pem, arguments, client_get_flags (client),
      client_get_timeout_ms (client), descriptors, NULL, NULL, error);
}

/* Whether the daemon would take it. */
static gboolean
check_certificate (ProvisionFiles *self, GgtpmKey *proxy, const char *pem, GError **error)
{
  Installation installation = { proxy, pem };
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  if (proxy == NULL)
    {
      g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                           "the certificate is for another key: its own is still to be made");
      return FALSE;
    }
  output_add (&dict, "dry-run", "b", TRUE);
  if (call_install (self->client, g_variant_builder_end (&dict), NULL, &installation, error))
    return TRUE;
  client_convert_error (error);
  return FALSE;
}

/* @out_missing: whether it is to be installed. Errors: why it cannot be. */
static gboolean
compare_certificate (ProvisionFiles *self, GVariant *key, gboolean *out_missing, GError **error)
{
  g_autofree char *pem = read_certificate (lookup (key, "certificate-path"), error);
  g_autoptr (GgtpmKey) proxy = pem != NULL ? find_key (self, key, NULL) : NULL;

  if (pem == NULL)
    return FALSE;
  *out_missing = proxy == NULL || !has_certificate (self, proxy, pem);
  return !*out_missing || check_certificate (self, proxy, pem, error);
}

static gboolean
place_certificate (ProvisionFiles *self,
                   GVariant *key,
                   const Options *options,
                   gboolean *out_changed,
                   GError **error)
{
  g_autofree char *pem = read_certificate (lookup (key, "certificate-path"), error);
  g_autoptr (GgtpmKey) proxy = pem != NULL ? find_key (self, key, error) : NULL;
  Installation installation = { proxy, pem };

  if (proxy == NULL)
    return FALSE;
  *out_changed = !has_certificate (self, proxy, pem);
  if (!*out_changed)
    return TRUE;
  progress_tell (self->client, "installing the certificate");
  return pin_call (self->client, options, options->token,
                   g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0), call_install,
                   &installation, error);
}

/* Whether the key's certificate comes in a file, and has. */
static gboolean
has_come (GVariant *key, ProvisionReport *report)
{
  const char *path = lookup (key, "certificate-path");

  if (path == NULL)
    return FALSE;
  /* one that cannot be looked at may be there */
  if (access (path, F_OK) == 0 || errno != ENOENT)
    return TRUE;
  g_ptr_array_add (report->waiting, g_strdup (path));
  return FALSE;
}

/* ---- configurations ---- */

static ConfigPlace
get_place (GVariant *config)
{
  ConfigPlace place = { .path = lookup (config, "path"), .group = lookup (config, "group") };

  g_variant_lookup (config, "mkdir", "b", &place.mkdir);
  return place;
}

static void
add_config (GPtrArray *missing, const char *flavour, const char *path, GPtrArray *changes)
{
  g_autofree char *values = NULL;

  g_ptr_array_add (changes, NULL);
  values = g_strjoinv (", ", (char **)changes->pdata);
  g_ptr_array_add (missing, g_strdup_printf ("the Greengrass configuration %s %s%s%s%s", flavour,
                                             path, *values != '\0' ? " (" : "", values,
                                             *values != '\0' ? ")" : ""));
}

/* @is_provisioned: the key is there; before that nothing can be rendered */
static gboolean
compare_config (ProvisionFiles *self,
                GVariant *config,
                gboolean is_provisioned,
                GPtrArray *missing,
                GError **error)
{
  const ConfigPlace place = get_place (config);
  const char *flavour = lookup (config, "flavour");
  g_autoptr (GVariant) arguments =
      g_variant_lookup_value (config, "options", G_VARIANT_TYPE_VARDICT);
  g_autofree char *text = NULL;
  g_autofree char *default_path = NULL;
  g_autoptr (GPtrArray) changes = g_ptr_array_new_with_free_func (g_free);
  gboolean current = FALSE;
  gboolean done;
  gsize len = 0;

  if (!files_check_target (place.path, place.mkdir, error) || !config_place_check (&place, error) ||
      (is_provisioned &&
       !config_place_render (self->client, flavour, arguments, &text, &len, &default_path, error)))
    return FALSE;
  done = config_place_compare (&place, flavour, arguments, text, len, changes, &current, error);
  if (text != NULL)
    secret_wipe (text, len);
  if (done && !current)
    add_config (missing, flavour, place.path, changes);
  return done;
}

static gboolean
place_config (ProvisionFiles *self, GVariant *config, gboolean *out_changed, GError **error)
{
  const ConfigPlace place = get_place (config);
  g_autoptr (GVariant) arguments =
      g_variant_lookup_value (config, "options", G_VARIANT_TYPE_VARDICT);
  const char *flavour = lookup (config, "flavour");
  g_autofree char *step = g_strconcat ("looking at the Greengrass configuration ", flavour, NULL);
  g_autofree char *path = NULL;

  progress_tell (self->client, step);
  return config_place_put (self->client, flavour, arguments, &place, &path, out_changed, error);
}

/* ---- all of it ---- */

/* @problem, taken: of one file. Once the daemon's part is done it keeps nothing else from being done. */
static gboolean
go_on (ProvisionFiles *self,
       ProvisionReport *report,
       gboolean is_provisioned,
       GError *problem,
       GError **error)
{
  g_autoptr (GError) local_error = problem;

  if (is_provisioned)
    note_problem (self, report, NULL, problem);
  else
    g_propagate_error (error, g_steal_pointer (&local_error));
  return is_provisioned;
}

static void
compare_coming (ProvisionFiles *self, GVariant *key, ProvisionReport *report)
{
  const char *path = lookup (key, "certificate-path");
  g_autoptr (GError) local_error = NULL;
  gboolean missing = FALSE;

  if (!has_come (key, report))
    return;
  if (!compare_certificate (self, key, &missing, &local_error))
    note_problem (self, report, path, local_error);
  else if (missing)
    add_text (report->missing, "the certificate of", path, "in the token");
}

gboolean
provision_files_compare (ProvisionFiles *self, ProvisionReport *report, GError **error)
{
  gboolean is_provisioned = report->missing->len == 0;

  for (gsize i = 0; i < count (self->keys); i++)
    {
      g_autoptr (GVariant) key = g_variant_get_child_value (self->keys, i);
      GError *problem = NULL;

      if (!compare_request (key, report->missing, &problem) &&
          !go_on (self, report, is_provisioned, problem, error))
        return FALSE;
      compare_coming (self, key, report);
    }
  for (gsize i = 0; i < count (self->configs); i++)
    {
      g_autoptr (GVariant) config = g_variant_get_child_value (self->configs, i);
      GError *problem = NULL;

      if (!compare_config (self, config, is_provisioned, report->missing, &problem) &&
          !go_on (self, report, is_provisioned, problem, error))
        return FALSE;
    }
  return TRUE;
}

static void
add_placed (GPtrArray *placed, const char *what, const char *path, gboolean changed)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

  output_add (&dict, "what", "s", what);
  files_describe (&dict, "path", path);
  output_add (&dict, "changed", "b", changed);
  g_ptr_array_add (placed, g_variant_ref_sink (g_variant_builder_end (&dict)));
}

static void
place_of_key (ProvisionFiles *self, GVariant *key, const Options *options, ProvisionReport *report)
{
  const char *request = lookup (key, "csr-path");
  const char *certificate = lookup (key, "certificate-path");
  g_autoptr (GError) request_error = NULL;
  g_autoptr (GError) certificate_error = NULL;
  gboolean changed = FALSE;

  if (request != NULL && place_request (key, &changed, &request_error))
    add_placed (report->placed, "csr", request, changed);
  else if (request != NULL)
    note_problem (self, report, NULL, request_error);
  if (!has_come (key, report))
    return;
  if (place_certificate (self, key, options, &changed, &certificate_error))
    add_placed (report->placed, "certificate", certificate, changed);
  else
    note_problem (self, report, certificate, certificate_error);
}

void
provision_files_place (ProvisionFiles *self, const Options *options, ProvisionReport *report)
{
  for (gsize i = 0; i < count (self->keys); i++)
    {
      g_autoptr (GVariant) key = g_variant_get_child_value (self->keys, i);

      place_of_key (self, key, options, report);
    }
  for (gsize i = 0; i < count (self->configs); i++)
    {
      g_autoptr (GVariant) config = g_variant_get_child_value (self->configs, i);
      g_autoptr (GError) local_error = NULL;
      gboolean changed = FALSE;

      if (place_config (self, config, &changed, &local_error))
        add_placed (report->placed, lookup (config, "flavour"), lookup (config, "path"), changed);
      else
        note_problem (self, report, NULL, local_error);
    }
}
