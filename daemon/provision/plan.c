/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "plan.h"

#include "dbus/error.h"
#include "dbus/names.h"
#include "token/csr.h"
#include "token/protocol.h"
#include "token/tokens.h"

#include <string.h>

/* Every key of provision.conf. */
static const struct
{
  const char *group;
  const char *key;
  gsize offset;
} keys[] = {
  { "Token", "Label", G_STRUCT_OFFSET (Plan, token) },
  { "Key", "Label", G_STRUCT_OFFSET (Plan, key) },
  { "Key", "Algorithm", G_STRUCT_OFFSET (Plan, algorithm) },
  { "Key", "Subject", G_STRUCT_OFFSET (Plan, subject) },
};

Plan *
plan_new (void)
{
  Plan *plan = g_new0 (Plan, 1);

  plan->token = g_strdup ("greengrass");
  plan->key = g_strdup ("greenkey");
  plan->algorithm = g_strdup (PROTOCOL_ALGORITHM_ECC_P256);
  plan->exclusive = TRUE;
  return plan;
}

void
plan_free (Plan *plan)
{
  if (plan == NULL)
    return;
  g_free (plan->token);
  g_free (plan->key);
  g_free (plan->algorithm);
  g_free (plan->subject);
  secret_free (plan->pin);
  secret_free (plan->so_pin);
  g_free (plan);
}

/* RFC 4514, 2.4: what would end the value. Labels have no blanks around them. */
static char *
escape_value (const char *value)
{
  GString *escaped = g_string_new (NULL);

  for (const char *c = value; *c != '\0'; c++)
    {
      if (strchr (",+\"\\<>;", *c) != NULL || (*c == '#' && c == value))
        g_string_append_c (escaped, '\\');
      g_string_append_c (escaped, *c);
    }
  return g_string_free (escaped, FALSE);
}

char *
plan_dup_subject (const Plan *plan)
{
  g_autofree char *escaped = NULL;

  if (plan->subject != NULL)
    return g_strdup (plan->subject);
  escaped = escape_value (plan->key);
  return g_strconcat ("CN=", escaped, NULL);
}

/* ---- provision.conf ---- */

static char **
find_field (Plan *plan, const char *group, const char *key, GError **error)
{
  gboolean group_known = FALSE;

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++)
    {
      if (!g_str_equal (keys[i].group, group))
        continue;
      group_known = TRUE;
      if (key != NULL && g_str_equal (keys[i].key, key))
        return &G_STRUCT_MEMBER (char *, plan, keys[i].offset);
    }
  if (!group_known)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "unknown group [%s]", group);
  else if (key != NULL)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "unknown key %s in [%s]", key,
                 group);
  return NULL;
}

static gboolean
apply_value (GKeyFile *file, const char *group, const char *key, Plan *plan, GError **error)
{
  char **field = find_field (plan, group, key, error);
  g_autofree char *value = NULL;

  if (field == NULL)
    return FALSE;
  value = g_key_file_get_value (file, group, key, error);
  if (value == NULL)
    return FALSE;
  g_strstrip (value);
  if (*value == '\0' || !g_utf8_validate (value, -1, NULL))
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "%s in [%s] is %s", key, group,
                   *value == '\0' ? "empty" : "not UTF-8");
      return FALSE;
    }
  g_free (*field);
  *field = g_steal_pointer (&value);
  return TRUE;
}

static gboolean
apply_group (GKeyFile *file, const char *group, Plan *plan, GError **error)
{
  g_auto (GStrv) names = g_key_file_get_keys (file, group, NULL, NULL);
  g_autoptr (GError) unknown_group = NULL;

  /* An empty group is looked at too. */
  find_field (plan, group, NULL, &unknown_group);
  if (unknown_group != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&unknown_group));
      return FALSE;
    }
  for (gsize i = 0; names != NULL && names[i] != NULL; i++)
    if (!apply_value (file, group, names[i], plan, error))
      return FALSE;
  return TRUE;
}

static gboolean
apply_file (GKeyFile *file, Plan *plan, GError **error)
{
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);

  for (gsize i = 0; groups[i] != NULL; i++)
    if (!apply_group (file, groups[i], plan, error))
      return FALSE;
  return plan_check (plan, error);
}

Plan *
plan_load (const char *path, GError **error)
{
  g_autoptr (Plan) plan = plan_new ();
  g_autoptr (GKeyFile) file = g_key_file_new ();

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, error) ||
      !apply_file (file, plan, error))
    {
      g_prefix_error (error, "%s: ", path);
      return NULL;
    }
  return g_steal_pointer (&plan);
}

gboolean
plan_read (Plan *plan, const char *text, gsize len, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local_error = NULL;

  if (g_key_file_load_from_data (file, text, len, G_KEY_FILE_NONE, &local_error))
    return apply_file (file, plan, error);
  g_set_error_literal (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, local_error->message);
  return FALSE;
}

/* ---- check ---- */

static gboolean
check_pin (const Secret *pin, const char *what, GError **error)
{
  gsize len;

  if (pin == NULL)
    return TRUE;
  len = secret_get_length (pin);
  if (len == 0 || len > GGTPM_PIN_MAX_BYTES)
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                 "the %s has %" G_GSIZE_FORMAT " bytes: 1 to %d are possible", what, len,
                 GGTPM_PIN_MAX_BYTES);
  else if (!g_utf8_validate_len (secret_peek (pin), len, NULL))
    g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS, "the %s is not UTF-8", what);
  else
    return TRUE;
  return FALSE;
}

gboolean
plan_check (const Plan *plan, GError **error)
{
  g_autofree char *subject = NULL;

  if (!tokens_check_label (plan->token, "token", error) ||
      !tokens_check_label (plan->key, "key", error) ||
      !tokens_check_algorithm (plan->algorithm, error))
    return FALSE;
  subject = plan_dup_subject (plan);
  return csr_check_subject (subject, error) && check_pin (plan->pin, "PIN", error) &&
         check_pin (plan->so_pin, "SO PIN", error);
}
