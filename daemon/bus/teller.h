/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Teller: what an object tells of its properties: PropertiesChanged at most once in TELLER_INTERVAL_MS for each of its
 * interfaces, all that has changed since the last one together; what is again as it was then is not told. Who reads a
 * property gets its latest value at any time. No timer runs while nothing changes. Main thread.
 */
#define TELLER_INTERVAL_MS 1000

/* For the class_init of a class of GDBusInterfaceSkeletons, below the generated one: its instances get a teller. */
void teller_install (gpointer klass);

/* After each telling, also where nothing was left to tell: for signals that come behind the properties. NULL: none */
typedef void (*TellerTold) (gpointer user_data);
void teller_set_told (gpointer skeleton, TellerTold told, gpointer user_data);

/* What has changed so far is told at once: for the last word of an object. */
void teller_flush (gpointer skeleton);

G_END_DECLS
