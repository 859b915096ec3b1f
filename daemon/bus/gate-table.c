/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "gate-table.h"

#include "dbus/names.h"

static const GateRule rules[] = {
  { "org.ggtpm1.Device", "Refresh", NULL, GATE_PLAIN },
  { "org.ggtpm1.Device", "ReadClock", NULL, GATE_PLAIN },
  { "org.ggtpm1.Device", "GetRandom", NULL, GATE_PLAIN },
  { "org.ggtpm1.Device", "Hash", NULL, GATE_PLAIN },
  { "org.ggtpm1.Device", "GetProperties", NULL, GATE_PLAIN },
  { "org.ggtpm1.Health", "Check", NULL, GATE_PLAIN },
  { "org.ggtpm1.Health", "SelfTest", GGTPM_ACTION_SELF_TEST, GATE_PLAIN },
  { "org.ggtpm1.Health", "GetTestResult", NULL, GATE_PLAIN },
  { "org.ggtpm1.Health", "ResetLockout", GGTPM_ACTION_RESET_LOCKOUT, GATE_PLAIN },
  { "org.ggtpm1.Ownership", "Take", GGTPM_ACTION_OWN, GATE_ROOT_ALONE },
  { "org.ggtpm1.Ownership", "Release", GGTPM_ACTION_OWN, GATE_ROOT_ALONE },
  { "org.ggtpm1.Ownership", "Export", GGTPM_ACTION_OWN, GATE_ROOT_ALONE },
  { "org.ggtpm1.Platform", "ReadPcrs", NULL, GATE_PLAIN },
  { "org.ggtpm1.Platform", "ExtendPcr", GGTPM_ACTION_PCR, GATE_ROOT_ALONE },
  { "org.ggtpm1.Platform", "ResetPcr", GGTPM_ACTION_PCR, GATE_ROOT_ALONE },
  { "org.ggtpm1.Platform", "AllocatePcrs", GGTPM_ACTION_PCR, GATE_ROOT_ALONE },
  { "org.ggtpm1.Provisioning", "Provision", GGTPM_ACTION_PROVISION, GATE_PLAIN },
  { "org.ggtpm1.Provisioning", "RenderConfig", GGTPM_ACTION_WRITE_CONFIG, GATE_PLAIN },
  { "org.ggtpm1.Provisioning", "Backup", GGTPM_ACTION_OWN, GATE_ROOT_ALONE },
  { "org.ggtpm1.Provisioning", "Restore", GGTPM_ACTION_OWN, GATE_ROOT_ALONE },
  { "org.ggtpm1.Provisioning", "RemoveToken", GGTPM_ACTION_PROVISION, GATE_PLAIN },
  { "org.ggtpm1.Provisioning", "CheckConfig", GGTPM_ACTION_WRITE_CONFIG, GATE_PLAIN },
  { "org.ggtpm1.Provisioning", "RememberConfig", GGTPM_ACTION_WRITE_CONFIG, GATE_PLAIN },
  { "org.ggtpm1.Provisioning", "ForgetConfig", GGTPM_ACTION_WRITE_CONFIG, GATE_PLAIN },
  { "org.ggtpm1.Provisioning", "CreateHandleKey", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Provisioning", "RemoveHandleKey", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Token", "CreateKey", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Token", "Verify", GGTPM_ACTION_USE_KEY, GATE_PLAIN },
  { "org.ggtpm1.Token", "ChangePin", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Token", "UnblockPin", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Token", "ChangeSoPin", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Key", "CreateCsr", GGTPM_ACTION_USE_KEY, GATE_PLAIN },
  { "org.ggtpm1.Key", "Sign", GGTPM_ACTION_USE_KEY, GATE_PLAIN },
  { "org.ggtpm1.Key", "InstallCertificate", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Key", "GetCertificate", NULL, GATE_PLAIN },
  { "org.ggtpm1.Key", "ExportPublicKey", NULL, GATE_PLAIN },
  { "org.ggtpm1.Key", "Verify", NULL, GATE_PLAIN },
  { "org.ggtpm1.Key", "Decrypt", GGTPM_ACTION_USE_KEY, GATE_PLAIN },
  { "org.ggtpm1.Key", "CreateSelfSigned", GGTPM_ACTION_USE_KEY, GATE_PLAIN },
  { "org.ggtpm1.Key", "Rotate", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Key", "Delete", GGTPM_ACTION_MANAGE_KEYS, GATE_PLAIN },
  { "org.ggtpm1.Job", "Cancel", GGTPM_ACTION_CANCEL_JOB, GATE_OWNER_TOO },
};

const GateRule *
gate_table_lookup (const char *interface, const char *method)
{
  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++)
    if (g_str_equal (rules[i].interface, interface) && g_str_equal (rules[i].method, method))
      return &rules[i];
  return NULL;
}
