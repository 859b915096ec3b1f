/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "properties.h"

G_BEGIN_DECLS

#define VENDOR_INFINEON 0x49465800u

/* Firmware version in its vendor's notation: facts and vectors in vendor.c. Free with g_free(). */
char *vendor_format_firmware (guint32 manufacturer_id, guint32 firmware_1, guint32 firmware_2);

/* Product name for people: `OPTIGA TPM SLM 9670`; the vendor string where it is not known. Free with g_free(). */
char *vendor_get_model (const FixedProperties *fixed);

/* Whether it is a program and no chip: swtpm and the simulators of IBM and Microsoft. */
gboolean vendor_is_software (const FixedProperties *fixed);

G_END_DECLS
