/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Config: the daemon's configuration: /etc/ggtpm/ggtpmd.conf (a GKeyFile; group and key of each value in brackets),
 * then the command line over it. A missing file is the defaults; an unknown group or key, or a value that does not
 * parse, is an error that names file, group and key. Read-only after main() has made it; freed with config_free().
 */
typedef enum
{
  CONFIG_MODE_REPLACE,   /* open the chip itself, serve everybody */
  CONFIG_MODE_ALONGSIDE, /* another resource manager is below */
  CONFIG_MODE_AUTO,
} ConfigMode;

/* What concerns everybody that uses the chip, and so is for root and the daemon unless it is opened to all. */
typedef enum
{
  CONFIG_OPEN_SHUTDOWN = 1 << 0,
  CONFIG_OPEN_CLEAR = 1 << 1,
  CONFIG_OPEN_CLEAR_CONTROL = 1 << 2,
  CONFIG_OPEN_HIERARCHY_CONTROL = 1 << 3,
  CONFIG_OPEN_PCR_ALLOCATE = 1 << 4,
  CONFIG_OPEN_FIELD_UPGRADE = 1 << 5,
  CONFIG_OPEN_LOCALITY = 1 << 6,
} ConfigOpenFlags;

typedef struct
{
  ConfigMode mode;   /* [Daemon] Mode=replace|alongside|auto; default replace */
  char *tcti;        /* [Daemon] Tcti=; TCTI configuration; default device:/dev/tpm0 */
  char *state_dir;   /* [Daemon] StateDirectory=; default /var/lib/ggtpm */
  char *runtime_dir; /* [Daemon] RuntimeDirectory=; default /run/ggtpm */
  char *bus_address; /* --bus-address only; NULL: the system bus */
  char *
      tabrmd_name; /* [Broker] TabrmdName=; default com.intel.tss2.Tabrmd; NULL: no such front end */
  char *token_helper;  /* [Token] Helper=; default LIBEXECDIR/ggtpm-token-helper */
  char *pkcs11_module; /* [Token] Pkcs11Module=; default libtpm2_pkcs11.so as found at build time */
  char *
      tcti_module; /* [Token] TctiModule=; what the helper's TSS loads: default `ggtpm` (libtss2-tcti-ggtpm.so.0) */
  char *provision_conf; /* [Provision] File=; default /etc/ggtpm/provision.conf */

  guint idle_evict_ms;   /* [Broker] IdleEvictMs=; default 100 */
  guint reserve_slots;   /* [Broker] ReserveSlots=; default 0 */
  guint max_connections; /* [Broker] MaxConnections=; in all; default 1024 */
  guint
      max_connections_per_uid; /* [Broker] MaxConnectionsPerUid=; root and ourselves exempt; default 256 */
  guint max_objects;           /* [Broker] MaxObjectsPerConnection=; default 28 */
  guint max_sessions;          /* [Broker] MaxSessionsPerConnection=; default 4 */
  guint max_abandoned_sessions; /* [Broker] MaxAbandonedSessions=; default 4 */
  guint
      max_objects_per_uid; /* [Broker] MaxObjectsPerUid=; root and ourselves exempt; default 512 */
  guint max_sessions_per_uid; /* [Broker] MaxSessionsPerUid=; as well; default 32 */
  guint
      open_commands; /* [Broker] OpenCommands=; ConfigOpenFlags: names, with spaces between; default none */
  guint chip_timeout_s; /* [Broker] ChipTimeoutSec=; longest wait for one answer; default 300 */

  guint poll_interval_s; /* [Health] PollIntervalSec=; 0: no polling; default 60 */
  gboolean
      reset_lockout; /* [Health] ResetLockout=; the healing of docs/security.md; default true */
  gboolean
      send_shutdown; /* [Health] SendShutdown=; before the power goes, mode replace; default true */
  guint
      lockout_reset_interval_s; /* [Health] LockoutResetIntervalSec=; the least between two healings while we run; 0:
                                     only at start; default 3600 */
  gboolean
      flush_leaked; /* [Health] FlushLeaked=; what is in the chip and nobody's, mode replace; default true */
  gboolean
      run_self_test; /* [Health] RunSelfTest=; when it does not end, or has failed; default true */
  guint lockout_max; /* [Health] LockoutMax=; what MAX_AUTH_FAIL should be; 0: any; default 0 */
  guint lockout_interval_s; /* [Health] LockoutIntervalSec=; LOCKOUT_INTERVAL, the same */
  guint lockout_recovery_s; /* [Health] LockoutRecoverySec=; LOCKOUT_RECOVERY, the same */
} Config;

/*
 * @path: the file; NULL: /etc/ggtpm/ggtpmd.conf, which may be absent
 * Errors: GGTPM_ERROR_INVALID_ARGS, or G_FILE_ERROR where a named file cannot be read.
 */
Config *config_load (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The defaults. */
Config *config_new (void);
void config_free (Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Config, config_free)

/* `replace` and so on; parsing is case-sensitive. */
const char *config_mode_to_string (ConfigMode mode);
gboolean config_mode_from_string (const char *text,
                                  ConfigMode *out_mode,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
