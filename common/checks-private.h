/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "common/checks.h"
#include "common/config.h"
#include "common/secret.h"

G_BEGIN_DECLS

/* What the checks of one run share. */
typedef struct
{
  const ChecksTree *tree;
  const Config *config; /* the daemon's; the defaults where it cannot be read */
  GPtrArray *results;   /* of Check */
  const char *chip;     /* the configured chip's nodes: /dev/tpm0, */
  const char *resource; /* /dev/tpmrm0, */
  const char *sysfs;    /* and what the kernel says of it: /sys/class/tpm/tpm0 */
} Checks;

typedef void (*CheckFunction) (Checks *checks);

/* @path below the root. Free with g_free(). */
char *checks_path (const Checks *checks, const char *path);
gboolean checks_exists (const Checks *checks, const char *path);
/* A regular file's text; NULL if there is none or it may not be read. Free with g_free(). */
char *checks_read (const Checks *checks, const char *path);
/* Names in a directory, sorted; NULL if it cannot be listed. Free with g_strfreev(). */
char **checks_list (const Checks *checks, const char *path);
/* The first of @paths that exists; NULL if none does. */
const char *checks_find (const Checks *checks, const char *const *paths);
/* Whether a systemd unit is installed, and whether some target wants it. */
gboolean checks_has_unit (const Checks *checks, const char *unit);
gboolean checks_is_enabled (const Checks *checks, const char *unit);
/* Whether there is a Greengrass here, of whichever flavour. */
gboolean checks_has_greengrass (const Checks *checks);

/* checks-board.c */
void checks_board_overlay (Checks *checks);
void checks_board_spi (Checks *checks);
void checks_board_cgroups (Checks *checks);

/* checks-device.c */
void checks_device_driver (Checks *checks);
void checks_device_nodes (Checks *checks);
void checks_device_udev (Checks *checks);
void checks_device_owners (Checks *checks);

/* checks-software.c */
void checks_software_config (Checks *checks);
void checks_software_service (Checks *checks);
void checks_software_socket (Checks *checks);
void checks_software_abrmd (Checks *checks);
void checks_software_tcti (Checks *checks);
void checks_software_module (Checks *checks);
void checks_software_p11_kit (Checks *checks);
void checks_software_clock (Checks *checks);

/* checks-store.c */
void checks_store_access (Checks *checks);
void checks_store_others (Checks *checks);
void checks_store_pins (Checks *checks);
/* One of the PINs that examples have, or too short to be any good. */
gboolean checks_is_weak_pin (const Secret *pin);

/* checks-greengrass.c */
void checks_greengrass_config (Checks *checks);
void checks_greengrass_certificates (Checks *checks);
void checks_greengrass_service (Checks *checks);

G_END_DECLS
