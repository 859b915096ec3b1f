/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "broker-types.h"

#include <gio/gio.h>
#include <tss2/tss2_common.h>

G_BEGIN_DECLS

/* Directory: who is connected, and how many may be. Any thread. */
typedef struct _Directory Directory;

typedef enum
{
  PEER_PUBLIC,   /* a client */
  PEER_INTERNAL, /* the token helper */
  PEER_OWN,      /* the daemon */
} PeerKind;

/* Shared by the broker thread and the callers of broker_cancel() and broker_set_locality(). */
typedef struct
{
  gatomicrefcount refs;
  guint64 id;
  PeerKind kind;
  BrokerPeer peer;
  gint locality; /* atomic; of the commands to come */
} DirectoryEntry;

/* @open_locality: everybody may set localities above 0. */
Directory *directory_new (guint max_connections, guint max_per_uid, gboolean open_locality);
void directory_free (Directory *directory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Directory, directory_free)

/* NULL: too many, G_IO_ERROR_TOO_MANY_OPEN_FILES. */
DirectoryEntry *directory_admit (Directory *directory,
                                 PeerKind kind,
                                 const BrokerPeer *peer,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Also drops the caller's reference. */
void directory_leave (Directory *directory, DirectoryEntry *entry);

/* A reference, or NULL: no such connection, or it is not @peer's. */
DirectoryEntry *directory_lookup (Directory *directory, guint64 id, const BrokerPeer *peer);
void directory_entry_unref (DirectoryEntry *entry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DirectoryEntry, directory_entry_unref)

/* Whether the chip's TCTI can set localities, as far as the chip is open. */
void directory_set_ability (Directory *directory, gboolean can_set_locality);
/* 0, 0xb000c (localities above 0 are for root), 0xb0002 (the TCTI cannot). */
TSS2_RC
directory_check_locality (Directory *directory, const DirectoryEntry *entry, guint8 locality);

/* Whether it may do what concerns everybody: root and we. */
gboolean directory_entry_is_privileged (const DirectoryEntry *entry);

G_END_DECLS
