/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "bus/operation.h"

G_BEGIN_DECLS

/*
 * Catalog: keeps the objects of tokens and keys like the store, whoever changes it: lists on demand, and when the
 * database file changes. Main thread.
 */
typedef struct _Catalog Catalog;

/* @provisioning_state: as org.ggtpm1.Provisioning.State; after every listing */
typedef void (*CatalogListed) (const char *provisioning_state, gpointer user_data);

/* @context outlives it. */
Catalog *catalog_new (const Context *context, CatalogListed listed, gpointer user_data);
void catalog_free (Catalog *catalog);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Catalog, catalog_free)

/* Lists the tokens and then calls @done (may be NULL), also when that failed, which is logged. A listing under way does
 * not count: it may have begun before what the caller wants to see. Has the signature of Context.refresh. */
void catalog_refresh (gpointer catalog, GSourceFunc done, gpointer user_data);

G_END_DECLS
