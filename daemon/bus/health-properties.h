/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "ggtpm-generated.h"
#include "health/monitor.h"

G_BEGIN_DECLS

/* The properties of org.ggtpm1.Health, from what the monitor knows. */

/* Those of which a change is told. */
void health_properties_show (GgtpmHealth *skeleton, Monitor *monitor);
/* The others, which each reading of the chip changes. */
void health_properties_show_reading (GgtpmHealth *skeleton, Monitor *monitor);

G_END_DECLS
