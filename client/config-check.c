/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "config-check.h"

#include "client/config-file.h"
#include "client/config-patch.h"
#include "client/config-place.h"
#include "client/output.h"
#include "common/sealed-file.h"
#include "common/secret.h"
#include "dbus/error.h"
#include "dbus/names.h"

#include "build-config.h"

#include <gio/gunixfdlist.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RENEW      "ggtpmctl config write --all"
#define MAX_GROUPS 64

/* Who nucleus lite runs as; the others are root. */
#define LITE_USER "ggcore"

typedef struct
{
  Client *client;
  const char *path;
  const char *flavour;
  GVariant *arguments;
  GPtrArray *findings;
} Check;

void
config_finding_free (ConfigFinding *finding)
{
  g_free (finding->check);
  g_free (finding->verdict);
  g_free (finding->text);
  g_free (finding->remedy);
  g_free (finding);
}

gboolean
config_check_has_fault (GPtrArray *findings)
{
  for (guint i = 0; i < findings->len; i++)
    {
      const ConfigFinding *finding = g_ptr_array_index (findings, i);

      if (g_str_equal (finding->verdict, "fault"))
        return TRUE;
    }
  return FALSE;
}

static void
add (Check *check, const char *id, const char *verdict, const char *remedy, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

static gboolean
is_told (const Check *check, const char *id, const char *text)
{
  for (guint i = 0; i < check->findings->len; i++)
    {
      const ConfigFinding *finding = g_ptr_array_index (check->findings, i);

      if (g_str_equal (finding->check, id) && g_str_equal (finding->text, text))
        return TRUE;
    }
  return FALSE;
}

/* Once: several URIs of a file may name the same things. */
static void
add (Check *check, const char *id, const char *verdict, const char *remedy, const char *format, ...)
{
  g_autofree char *text = NULL;
  ConfigFinding *finding;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  if (is_told (check, id, text))
    return;
  finding = g_new0 (ConfigFinding, 1);
  finding->text = g_steal_pointer (&text);
  finding->check = g_strdup (id);
  finding->verdict = g_strdup (verdict);
  finding->remedy = g_strdup (remedy);
  g_ptr_array_add (check->findings, finding);
}

/* ---- is it what the daemon would write now ---- */

/* In such a file only what the token decides is kept current. */
static void
check_edited (Check *check, const char *fresh, const char *text, gsize len)
{
  g_autoptr (GError) local_error = NULL;
  g_autofree char *patched =
      config_patch_apply (check->flavour, fresh, NULL, text, len, NULL, &local_error);

  if (patched == NULL)
    add (check, "current", "unknown",
         "compare it with ggtpmctl config write --print; config write --force replaces it",
         "it was edited since ggtpmctl wrote it, and is not renewed: %s", local_error->message);
  else if (g_str_equal (patched, text))
    add (check, "current", "ok", "",
         "it was edited since ggtpmctl wrote it; what the token decides is current");
  else
    add (check, "current", "fault", RENEW, "it was edited, and is out of date");
  if (patched != NULL)
    secret_wipe (patched, strlen (patched));
}

static void
check_current (Check *check, const char *text, gsize len)
{
  ConfigFileOwner owner = CONFIG_FILE_NOBODY;
  g_autoptr (GError) local_error = NULL;
  g_autofree char *fresh = NULL;
  g_autofree char *default_path = NULL;
  gsize fresh_len = 0;
  gboolean equal;

  if (!config_file_get_owner (check->path, &owner, &local_error) ||
      !config_place_render (check->client, check->flavour, check->arguments, &fresh, &fresh_len,
                            &default_path, &local_error))
    {
      add (check, "current", "fault", "", "it cannot be renewed: %s", local_error->message);
      return;
    }
  equal = fresh_len == len && memcmp (fresh, text, len) == 0;
  if (equal)
    add (check, "current", "ok", "", "it is what ggtpmd would write now");
  else if (owner == CONFIG_FILE_EDITED && config_patch_supports (check->flavour))
    check_edited (check, fresh, text, len);
  else if (owner == CONFIG_FILE_US)
    add (check, "current", "fault", RENEW, "it is out of date");
  else
    add (check, "current", "unknown",
         "compare it with ggtpmctl config write --print; config write --force replaces it",
         owner == CONFIG_FILE_EDITED ? "it was edited since ggtpmctl wrote it, and is not renewed"
                                     : "it was not written by ggtpmctl, and is not renewed");
  secret_wipe (fresh, fresh_len);
}

/* ---- who can read what it names ---- */

typedef struct
{
  uid_t uid;
  gid_t groups[MAX_GROUPS];
  int n_groups;
} Reader;

/* The consumer's user with its groups, and those that our drop-in gives. */
static gboolean
get_reader (const Check *check, Reader *out_reader)
{
  const char *name = g_str_equal (check->flavour, "lite") ? LITE_USER : "root";
  const struct passwd *user = getpwnam (name);
  const struct group *group = getgrnam (GGTPM_GROUP);
  int n_groups = MAX_GROUPS - 1;

  if (user == NULL || getgrouplist (name, user->pw_gid, out_reader->groups, &n_groups) < 0)
    return FALSE;
  out_reader->uid = user->pw_uid;
  out_reader->n_groups = n_groups;
  if (group != NULL)
    out_reader->groups[out_reader->n_groups++] = group->gr_gid;
  return TRUE;
}

static gboolean
has_group (const Reader *reader, gid_t gid)
{
  for (int i = 0; i < reader->n_groups; i++)
    if (reader->groups[i] == gid)
      return TRUE;
  return FALSE;
}

/* @wanted: 04 or 01, of the bits for others */
static gboolean
is_allowed (const Reader *reader, const struct stat *status, mode_t wanted)
{
  if (reader->uid == 0)
    return TRUE;
  if (status->st_uid == reader->uid)
    return (status->st_mode & (wanted << 6)) != 0;
  if (has_group (reader, status->st_gid))
    return (status->st_mode & (wanted << 3)) != 0;
  return (status->st_mode & wanted) != 0;
}

/* The first of the directories above @path, or @path, that @reader has no way through; NULL: it can read it. */
static char *
find_barrier (const Reader *reader, const char *path)
{
  g_autofree char *above = g_strdup (path);
  g_autofree char *barrier = NULL;
  struct stat status = { 0 };

  if (stat (path, &status) == 0 && !is_allowed (reader, &status, 04))
    barrier = g_strdup (path);
  while (!g_str_equal (above, "/"))
    {
      g_autofree char *dir = g_path_get_dirname (above);

      if (stat (dir, &status) == 0 && !is_allowed (reader, &status, 01))
        {
          g_free (barrier);
          barrier = g_strdup (dir);
        }
      g_free (above);
      above = g_steal_pointer (&dir);
    }
  return g_steal_pointer (&barrier);
}

static void
check_file (Check *check, const char *name, const char *path)
{
  Reader reader = { 0 };
  g_autofree char *barrier = NULL;
  struct stat status = { 0 };

  if (!g_path_is_absolute (path))
    {
      add (check, "file", "fault", RENEW, "%s: '%s' is no absolute path", name, path);
      return;
    }
  if (stat (path, &status) != 0)
    {
      add (check, "file", errno == EACCES ? "unknown" : "fault",
           errno == EACCES ? "run this as root" : "put it there", "%s: %s: %s", name, path,
           g_strerror (errno));
      return;
    }
  if (!get_reader (check, &reader))
    {
      add (check, "access", "unknown", "",
           "%s: there is no user " LITE_USER ", which is to read %s", name, path);
      return;
    }
  barrier = find_barrier (&reader, path);
  if (barrier != NULL)
    add (check, "access", "fault", "let the user or the group " GGTPM_GROUP " in",
         "%s: %s is there, and %s lets user %u not in", name, path, barrier, (guint)reader.uid);
  else
    add (check, "file", "ok", "", "%s: %s can be read", name, path);
}

/* ---- what is about systemd and p11-kit alone ---- */

static void
check_unit (Check *check)
{
  static const char *const dirs[] = { "/etc/systemd/system", "/run/systemd/system",
                                      "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                                      "/lib/systemd/system" };
  const char *unit = NULL;

  if (!g_variant_lookup (check->arguments, GGTPM_RENDER_UNIT, "&s", &unit))
    return;
  for (gsize i = 0; i < G_N_ELEMENTS (dirs); i++)
    {
      g_autofree char *path = g_build_filename (dirs[i], unit, NULL);

      if (g_file_test (path, G_FILE_TEST_EXISTS))
        {
          add (check, "unit", "ok", "", "%s is installed", unit);
          return;
        }
    }
  add (check, "unit", "unknown", "", "%s is not installed", unit);
}

static void
check_p11_kit (Check *check)
{
  g_autofree char *program = g_find_program_in_path ("p11-kit");

  if (program != NULL)
    add (check, "file", "ok", "", "p11-kit is %s", program);
  else
    add (check, "file", "fault", "apt install p11-kit", "p11-kit is not installed");
}

/* ---- all of it ---- */

static gboolean
call_check (Check *check,
            const char *text,
            gsize len,
            GVariant **out_findings,
            GVariant **out_files,
            GError **error)
{
  GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_autoptr (GUnixFDList) descriptors = g_unix_fd_list_new ();
  g_autoptr (GVariant) arguments = NULL;
  const char *token = NULL;
  int fd = sealed_file_new ("config", text, len, error);
  int index = fd >= 0 ? g_unix_fd_list_append (descriptors, fd, error) : -1;

  if (fd >= 0)
    close (fd);
  if (index < 0)
    return FALSE;
  output_add (&dict, "config", "h", index);
  if (g_variant_lookup (check->arguments, GGTPM_RENDER_TOKEN, "&s", &token))
    output_add (&dict, GGTPM_RENDER_TOKEN, "s", token);
  arguments = g_variant_ref_sink (g_variant_builder_end (&dict));
  if (ggtpm_provisioning_call_check_config_sync (check->client->provisioning, check->flavour,
                                                 arguments, client_get_flags (check->client),
                                                 client_get_timeout_ms (check->client), descriptors,
                                                 out_findings, out_files, NULL, NULL, error))
    return TRUE;
  client_convert_error (error);
  return FALSE;
}

static gboolean
check_content (Check *check, const char *text, gsize len, GError **error)
{
  g_autoptr (GVariant) findings = NULL;
  g_autoptr (GVariant) files = NULL;
  GVariantIter iter;
  const char *words[4];

  if (!call_check (check, text, len, &findings, &files, error))
    return FALSE;
  g_variant_iter_init (&iter, findings);
  while (g_variant_iter_loop (&iter, "(&s&s&s&s)", &words[0], &words[1], &words[2], &words[3]))
    add (check, words[0], words[1], words[3], "%s", words[2]);
  g_variant_iter_init (&iter, files);
  while (g_variant_iter_loop (&iter, "(&s&s)", &words[0], &words[1]))
    check_file (check, words[0], words[1]);
  return TRUE;
}

GPtrArray *
config_check_run (Client *client, GVariant *config, GError **error)
{
  g_autoptr (GPtrArray) findings =
      g_ptr_array_new_with_free_func ((GDestroyNotify)config_finding_free);
  g_autoptr (GVariant) arguments = config_place_get_arguments (config);
  g_autoptr (GError) local_error = NULL;
  g_autofree char *text = NULL;
  Check check = { .client = client, .arguments = arguments, .findings = findings };
  gboolean done;
  gsize len = 0;

  config_place_read (config, &check.path, &check.flavour);
  if (g_file_test (check.path, G_FILE_TEST_EXISTS) &&
      !g_file_test (check.path, G_FILE_TEST_IS_REGULAR))
    {
      add (&check, "current", "fault", "move it away; " RENEW, "it is not a regular file");
      return g_steal_pointer (&findings);
    }
  if (!g_file_get_contents (check.path, &text, &len, &local_error))
    {
      if (g_error_matches (local_error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        add (&check, "current", "fault", RENEW "; ggtpmctl config remove, if it is not wanted",
             "it is not there");
      else
        add (&check, "current", "unknown", "run this as root", "%s", local_error->message);
      return g_steal_pointer (&findings);
    }
  check_current (&check, text, len);
  done = check_content (&check, text, len, error);
  secret_wipe (text, len);
  if (!done)
    return NULL;
  if (g_str_equal (check.flavour, "drop-in"))
    check_unit (&check);
  if (g_str_equal (check.flavour, "p11-kit"))
    check_p11_kit (&check);
  return g_steal_pointer (&findings);
}
