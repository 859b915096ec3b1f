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

/* @provisioning_state: as org.ggtpm1.Provisioning.State; NULL: the tokens could not be listed. After every listing. */
typedef void (*CatalogListed) (const char *provisioning_state, gpointer user_data);

/* @context outlives it. */
Catalog *catalog_new (const Context *context, CatalogListed listed, gpointer user_data);
void catalog_free (Catalog *catalog);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Catalog, catalog_free)

/* Lists the tokens; also when a listing is under way: that may have begun before what the caller wants to see. */
void catalog_refresh (Catalog *catalog);

/* For Context: see there. */
gpointer catalog_list (const Config *config, Tokens *tokens);
void catalog_list_free (gpointer list);
void catalog_show (gpointer catalog, gpointer list);

G_END_DECLS
