/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "directory.h"

#include <sys/random.h>

/* TPMA_LOCALITY: 5 to 31 do not exist. */
#define MAX_PLAIN_LOCALITY    4
#define MIN_EXTENDED_LOCALITY 32

struct _Directory
{
  GMutex lock;
  GHashTable *by_id; /* guint64 in the entry to DirectoryEntry, with a reference */
  GHashTable *per_uid;
  guint n_public;
  guint max_connections;
  guint max_per_uid;
  gboolean open_locality;
  gint can_set_locality; /* atomic */
};

Directory *
directory_new (guint max_connections, guint max_per_uid, gboolean open_locality)
{
  Directory *directory = g_new0 (Directory, 1);

  g_mutex_init (&directory->lock);
  directory->by_id = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL,
                                            (GDestroyNotify)directory_entry_unref);
  directory->per_uid = g_hash_table_new (NULL, NULL);
  directory->max_connections = max_connections;
  directory->max_per_uid = max_per_uid;
  directory->open_locality = open_locality;
  return directory;
}

void
directory_free (Directory *directory)
{
  g_hash_table_unref (directory->by_id);
  g_hash_table_unref (directory->per_uid);
  g_mutex_clear (&directory->lock);
  g_free (directory);
}

static guint
count_uid (const Directory *directory, uid_t uid)
{
  return GPOINTER_TO_UINT (g_hash_table_lookup (directory->per_uid, GUINT_TO_POINTER (uid)));
}

static void
set_uid_count (Directory *directory, uid_t uid, guint n)
{
  if (n == 0)
    g_hash_table_remove (directory->per_uid, GUINT_TO_POINTER (uid));
  else
    g_hash_table_insert (directory->per_uid, GUINT_TO_POINTER (uid), GUINT_TO_POINTER (n));
}

static gboolean
check_limits (const Directory *directory, const BrokerPeer *peer, GError **error)
{
  if (directory->n_public >= directory->max_connections)
    {
      g_set_error (
          error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES,
          "%u connections are open, as many as MaxConnections= allows: close some, or raise it",
          directory->n_public);
      return FALSE;
    }
  if (peer->uid != 0 && count_uid (directory, peer->uid) >= directory->max_per_uid)
    {
      g_set_error (
          error, G_IO_ERROR, G_IO_ERROR_TOO_MANY_OPEN_FILES,
          "user %u has %u connections open, as many as MaxConnectionsPerUid= allows: close some, or raise it",
          (guint)peer->uid, directory->max_per_uid);
      return FALSE;
    }
  return TRUE;
}

static guint64
new_id (const Directory *directory)
{
  guint64 id = 0;

  do
    if (getrandom (&id, sizeof id, 0) != sizeof id)
      id = (guint64)g_random_int () << 32 | g_random_int ();
  while (id == 0 || g_hash_table_contains (directory->by_id, &id));
  return id;
}

DirectoryEntry *
directory_admit (Directory *directory, PeerKind kind, const BrokerPeer *peer, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&directory->lock);
  DirectoryEntry *entry;

  g_assert (locker != NULL);
  if (kind == PEER_PUBLIC && !check_limits (directory, peer, error))
    return NULL;
  entry = g_new0 (DirectoryEntry, 1);
  g_atomic_ref_count_init (&entry->refs);
  g_atomic_ref_count_inc (&entry->refs);
  entry->id = new_id (directory);
  entry->kind = kind;
  entry->peer = *peer;
  g_hash_table_insert (directory->by_id, &entry->id, entry);
  if (kind == PEER_PUBLIC)
    {
      directory->n_public++;
      set_uid_count (directory, peer->uid, count_uid (directory, peer->uid) + 1);
    }
  return entry;
}

void
directory_leave (Directory *directory, DirectoryEntry *entry)
{
  g_mutex_lock (&directory->lock);
  if (entry->kind == PEER_PUBLIC)
    {
      directory->n_public--;
      set_uid_count (directory, entry->peer.uid, count_uid (directory, entry->peer.uid) - 1);
    }
  g_hash_table_remove (directory->by_id, &entry->id);
  g_mutex_unlock (&directory->lock);
  directory_entry_unref (entry);
}

DirectoryEntry *
directory_lookup (Directory *directory, guint64 id, const BrokerPeer *peer)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&directory->lock);
  DirectoryEntry *entry = g_hash_table_lookup (directory->by_id, &id);

  g_assert (locker != NULL);
  if (entry == NULL || entry->peer.uid != peer->uid || entry->peer.pid != peer->pid)
    return NULL;
  g_atomic_ref_count_inc (&entry->refs);
  return entry;
}

void
directory_entry_unref (DirectoryEntry *entry)
{
  if (g_atomic_ref_count_dec (&entry->refs))
    g_free (entry);
}

gboolean
directory_entry_is_privileged (const DirectoryEntry *entry)
{
  return entry->kind != PEER_PUBLIC || entry->peer.uid == 0;
}

void
directory_set_ability (Directory *directory, gboolean can_set_locality)
{
  g_atomic_int_set (&directory->can_set_locality, can_set_locality);
}

TSS2_RC
directory_check_locality (Directory *directory, const DirectoryEntry *entry, guint8 locality)
{
  if (locality > 0 && !directory->open_locality && !directory_entry_is_privileged (entry))
    return TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_NOT_PERMITTED;
  if (!g_atomic_int_get (&directory->can_set_locality))
    return TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_NOT_IMPLEMENTED;
  if (locality > MAX_PLAIN_LOCALITY && locality < MIN_EXTENDED_LOCALITY)
    return TSS2_RESMGR_RC_LAYER | TSS2_BASE_RC_BAD_VALUE;
  return TSS2_RC_SUCCESS;
}
