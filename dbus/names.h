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

/* Options of Provisioning.RenderConfig: each is ggtpmctl's as well, but for the unit, which is an argument there */
#define GGTPM_RENDER_TOKEN             "token"
#define GGTPM_RENDER_KEY               "key"
#define GGTPM_RENDER_THING_NAME        "thing-name"
#define GGTPM_RENDER_THING_ARN         "thing-arn"
#define GGTPM_RENDER_REGION            "region"
#define GGTPM_RENDER_IOT_DATA_ENDPOINT "iot-data-endpoint"
#define GGTPM_RENDER_IOT_CRED_ENDPOINT "iot-cred-endpoint"
#define GGTPM_RENDER_ROLE_ALIAS        "role-alias"
#define GGTPM_RENDER_ROOT_CA_PATH      "root-ca-path"
#define GGTPM_RENDER_CERTIFICATE_PATH  "certificate-path"
#define GGTPM_RENDER_ROOT_PATH         "root-path"
#define GGTPM_RENDER_NUCLEUS_VERSION   "nucleus-version"
#define GGTPM_RENDER_HANDLE            "handle"
#define GGTPM_RENDER_OPTIONS                                                                       \
  GGTPM_RENDER_TOKEN, GGTPM_RENDER_KEY, GGTPM_RENDER_THING_NAME, GGTPM_RENDER_THING_ARN,           \
      GGTPM_RENDER_REGION, GGTPM_RENDER_IOT_DATA_ENDPOINT, GGTPM_RENDER_IOT_CRED_ENDPOINT,         \
      GGTPM_RENDER_ROLE_ALIAS, GGTPM_RENDER_ROOT_CA_PATH, GGTPM_RENDER_CERTIFICATE_PATH,           \
      GGTPM_RENDER_ROOT_PATH, GGTPM_RENDER_NUCLEUS_VERSION, GGTPM_RENDER_HANDLE
#define GGTPM_RENDER_UNIT "unit"

/* The stamp beside a configuration that we wrote: `.` NAME GGTPM_STAMP_SUFFIX; see daemon/greengrass/greengrass.h */
#define GGTPM_STAMP_SUFFIX ".ggtpmd"
