/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

/* Names that daemon and clients share. */

#define GGTPM_BUS_NAME    "org.ggtpm1"
#define GGTPM_API_VERSION 1

/* org.ggtpm1.Manager, org.ggtpm1.Provisioning, ObjectManager */
#define GGTPM_ROOT_PATH "/org/ggtpm1"
/* org.ggtpm1.Device, org.ggtpm1.Health, org.ggtpm1.Ownership, org.ggtpm1.Platform */
#define GGTPM_DEVICE_PATH GGTPM_ROOT_PATH "/tpm0"
#define GGTPM_TOKEN_PATH  GGTPM_ROOT_PATH "/token"
#define GGTPM_JOB_PATH    GGTPM_ROOT_PATH "/job"

/* polkit actions; which method needs which: daemon/bus/gate-table.c */
#define GGTPM_ACTION_PROVISION     "org.ggtpm1.provision"
#define GGTPM_ACTION_MANAGE_KEYS   "org.ggtpm1.manage-keys"
#define GGTPM_ACTION_USE_KEY       "org.ggtpm1.use-key"
#define GGTPM_ACTION_WRITE_CONFIG  "org.ggtpm1.write-config"
#define GGTPM_ACTION_RESET_LOCKOUT "org.ggtpm1.reset-lockout"
#define GGTPM_ACTION_SELF_TEST     "org.ggtpm1.self-test"
#define GGTPM_ACTION_PCR           "org.ggtpm1.pcr"
#define GGTPM_ACTION_OWN           "org.ggtpm1.own"
#define GGTPM_ACTION_CANCEL_JOB    "org.ggtpm1.cancel-job"

/* The drop-in front end, see dbus/com.intel.tss2.TctiTabrmd.xml */
#define GGTPM_TABRMD_BUS_NAME "com.intel.tss2.Tabrmd"
#define GGTPM_TABRMD_PATH     "/com/intel/tss2/Tabrmd/Tcti"

/* Labels of tokens and keys, PINs */
#define GGTPM_LABEL_MAX_BYTES 32
#define GGTPM_PIN_MAX_BYTES   128
#define GGTPM_SIGN_MAX_BYTES  (64 * 1024)

/* Of one call of Device.GetRandom, Device.Hash */
#define GGTPM_RANDOM_MAX_BYTES 4096
#define GGTPM_HASH_MAX_BYTES   (64 * 1024)

/* Where the sockets are, unless ggtpmd was told otherwise, and their names */
#define GGTPM_RUNTIME_DIR          "/run/ggtpm"
#define GGTPM_SOCKET_NAME          "tpm.sock"
#define GGTPM_INTERNAL_SOCKET_NAME "internal.sock"

/* The stamp beside a configuration that we wrote: `.` NAME GGTPM_STAMP_SUFFIX; see daemon/greengrass/greengrass.h */
#define GGTPM_STAMP_SUFFIX ".ggtpmd"
