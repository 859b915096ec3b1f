/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "pin-readers.h"

#include "dbus/error.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* linux/posix_acl.h and posix_acl_xattr.h: little-endian, in this order, and named ones by id. */
#define ACL_ATTRIBUTE "system.posix_acl_access"
#define ACL_VERSION   2
#define ACL_NO_ID     G_MAXUINT32
#define ACL_READ      4
#define ACL_WRITE     2
#define ACL_MAX_BYTES 4096

enum
{
  ACL_USER_OBJ = 0x01,
  ACL_USER = 0x02,
  ACL_GROUP_OBJ = 0x04,
  ACL_GROUP = 0x08,
  ACL_MASK = 0x10,
  ACL_OTHER = 0x20,
};

static gboolean
set_errno (const char *what, const char *path, GError **error)
{
  int saved_errno = errno;

  g_set_error (
      error, GGTPM_ERROR, GGTPM_ERROR_STORE, "%s of %s: %s%s", what, path, g_strerror (saved_errno),
      saved_errno == ENOTSUP ? "; leave out PinReaders, and put who needs the PIN into the "
                               "file's group"
                             : "");
  return FALSE;
}

/* ---- the list that should be ---- */

static gboolean
find_id (const char *reader, guint *out_tag, guint32 *out_id, GError **error)
{
  const struct passwd *user = NULL;
  const struct group *group = NULL;

  if (g_str_has_prefix (reader, PIN_READERS_USER))
    user = getpwnam (reader + strlen (PIN_READERS_USER));
  else if (g_str_has_prefix (reader, PIN_READERS_GROUP))
    group = getgrnam (reader + strlen (PIN_READERS_GROUP));
  if (user == NULL && group == NULL)
    {
      g_set_error (error, GGTPM_ERROR, GGTPM_ERROR_INVALID_ARGS,
                   "reader of the PIN '%s': there is none of that name", reader);
      return FALSE;
    }
  *out_tag = user != NULL ? ACL_USER : ACL_GROUP;
  *out_id = user != NULL ? user->pw_uid : group->gr_gid;
  return TRUE;
}

gboolean
pin_readers_check (char **readers, GError **error)
{
  guint tag = 0;
  guint32 id = 0;

  for (; *readers != NULL; readers++)
    if (!find_id (*readers, &tag, &id, error))
      return FALSE;
  return TRUE;
}

static void
append_entry (GByteArray *list, guint tag, guint permissions, guint32 id)
{
  guint16 head[] = { GUINT16_TO_LE ((guint16)tag), GUINT16_TO_LE ((guint16)permissions) };
  guint32 tail = GUINT32_TO_LE (id);

  g_byte_array_append (list, (const guint8 *)head, sizeof head);
  g_byte_array_append (list, (const guint8 *)&tail, sizeof tail);
}

static int
compare_ids (gconstpointer a, gconstpointer b)
{
  guint32 first = *(const guint32 *)a;
  guint32 second = *(const guint32 *)b;

  return (first > second) - (first < second);
}

/* Named entries of one kind, each once. */
static void
append_named (GByteArray *list, guint tag, GArray *ids)
{
  g_array_sort (ids, compare_ids);
  for (guint i = 0; i < ids->len; i++)
    if (i == 0 || g_array_index (ids, guint32, i) != g_array_index (ids, guint32, i - 1))
      append_entry (list, tag, ACL_READ, g_array_index (ids, guint32, i));
}

/* As the attribute's value; empty where the mode says it all. @file_group: the file's; @out_group: whether it reads */
static GBytes *
make_list (char **readers, gid_t file_group, gboolean *out_group, GError **error)
{
  g_autoptr (GArray) users = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GArray) groups = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_autoptr (GByteArray) list = g_byte_array_new ();
  guint32 version = GUINT32_TO_LE (ACL_VERSION);
  gboolean group_reads = FALSE;

  for (; *readers != NULL; readers++)
    {
      guint tag = 0;
      guint32 id = 0;

      if (!find_id (*readers, &tag, &id, error))
        return NULL;
      if (tag == ACL_GROUP && id == file_group)
        group_reads = TRUE;
      else
        g_array_append_val (tag == ACL_USER ? users : groups, id);
    }
  *out_group = group_reads;
  if (users->len + groups->len == 0)
    return g_bytes_new (NULL, 0);
  g_byte_array_append (list, (const guint8 *)&version, sizeof version);
  append_entry (list, ACL_USER_OBJ, ACL_READ | ACL_WRITE, ACL_NO_ID);
  append_named (list, ACL_USER, users);
  append_entry (list, ACL_GROUP_OBJ, group_reads ? ACL_READ : 0, ACL_NO_ID);
  append_named (list, ACL_GROUP, groups);
  append_entry (list, ACL_MASK, ACL_READ, ACL_NO_ID);
  append_entry (list, ACL_OTHER, 0, ACL_NO_ID);
  return g_byte_array_free_to_bytes (g_steal_pointer (&list));
}

/* ---- the list that is ---- */

/* Empty where there is none. */
static GBytes *
read_list (const char *path)
{
  guint8 value[ACL_MAX_BYTES];
  ssize_t len = getxattr (path, ACL_ATTRIBUTE, value, sizeof value);

  return g_bytes_new (value, len > 0 ? (gsize)len : 0);
}

static gboolean
write_list (const char *path, GBytes *list, GError **error)
{
  gsize len = 0;
  const guint8 *value = g_bytes_get_data (list, &len);

  if (len > 0 ? setxattr (path, ACL_ATTRIBUTE, value, len, 0) == 0
              : removexattr (path, ACL_ATTRIBUTE) == 0 || errno == ENODATA || errno == ENOTSUP)
    return TRUE;
  return set_errno ("the access control list", path, error);
}

static mode_t
get_mode (GBytes *list, gboolean group_reads)
{
  return g_bytes_get_size (list) > 0 || group_reads ? 0640 : 0600;
}

gboolean
pin_readers_differ (const char *path, char **readers, gboolean *out_differ, GError **error)
{
  struct stat status = { 0 };
  gboolean group_reads = FALSE;
  g_autoptr (GBytes) wanted = NULL;
  g_autoptr (GBytes) present = NULL;

  if (stat (path, &status) < 0)
    return set_errno ("the readers", path, error);
  wanted = make_list (readers, status.st_gid, &group_reads, error);
  if (wanted == NULL)
    return FALSE;
  present = read_list (path);
  *out_differ = !g_bytes_equal (present, wanted) ||
                (status.st_mode & 07777) != get_mode (wanted, group_reads);
  return TRUE;
}

gboolean
pin_readers_set (const char *path, char **readers, GError **error)
{
  struct stat status = { 0 };
  gboolean group_reads = FALSE;
  g_autoptr (GBytes) wanted = NULL;

  if (stat (path, &status) < 0)
    return set_errno ("the readers", path, error);
  wanted = make_list (readers, status.st_gid, &group_reads, error);
  if (wanted == NULL || !write_list (path, wanted, error))
    return FALSE;
  /* With a list the group's bits are its mask, which it has set. */
  if (g_bytes_get_size (wanted) == 0 && chmod (path, get_mode (wanted, group_reads)) < 0)
    return set_errno ("the mode", path, error);
  return TRUE;
}

gboolean
pin_readers_copy (const char *from, const char *to, GError **error)
{
  g_autoptr (GBytes) list = read_list (from);

  return g_bytes_get_size (list) == 0 || write_list (to, list, error);
}
