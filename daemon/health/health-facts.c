/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "health-facts.h"

#include "build-config.h"
#include "dbus/error.h"

void
health_facts_init (HealthFacts *facts, const Config *config)
{
  static const char *const advisories[] = { GGTPM_SYSCONFDIR "/advisories.conf",
                                            GGTPM_DATADIR "/advisories.conf", NULL };
  g_autoptr (GError) error = NULL;

  facts->advisories = advisories_load (advisories);
  facts->unusable = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  facts->is_alongside = config->mode == CONFIG_MODE_ALONGSIDE;
  facts->policy = (LockoutPolicy){ config->lockout_max, config->lockout_interval_s,
                                   config->lockout_recovery_s };
  if (!lockout_record_load (config->state_dir, &facts->lockout, &error))
    g_warning ("what is known of refused lockout resets cannot be read: %s", error->message);
  g_clear_error (&error);
  if (!power_record_load (config->state_dir, &facts->power, &error))
    g_warning ("what is known of power cuts cannot be read: %s", error->message);
  g_clear_error (&error);
  if (!trend_record_load (config->state_dir, &facts->trend, &error))
    g_warning ("what is known of the lockout counter cannot be read: %s", error->message);
}

void
health_facts_clear (HealthFacts *facts)
{
  g_clear_pointer (&facts->advisories, g_ptr_array_unref);
  g_clear_pointer (&facts->latencies, g_array_unref);
  g_clear_pointer (&facts->device_reason, g_free);
  g_clear_pointer (&facts->platform, platform_facts_free);
  g_clear_pointer (&facts->store, store_facts_free);
  g_clear_pointer (&facts->unusable, g_hash_table_unref);
}

void
health_facts_set_device (HealthFacts *facts, HealthDevice device, const char *reason)
{
  /* @reason may be the one that was there. */
  char *copy = g_strdup (reason);

  g_free (facts->device_reason);
  facts->device_reason = copy;
  facts->device = device;
}

void
health_facts_forget (HealthFacts *facts)
{
  facts->have_variable = FALSE;
  facts->have_test_result = FALSE;
  facts->testing_since = 0;
}

void
health_facts_take (HealthFacts *facts, const Reading *reading, gboolean tpm_was_reset, gint64 now)
{
  health_facts_set_device (facts, HEALTH_DEVICE_OK, NULL);
  if (reading->have_fixed)
    {
      facts->have_fixed = TRUE;
      facts->fixed = reading->fixed;
    }
  facts->have_variable = reading->have_variable;
  facts->trend = reading->trend;
  if (reading->have_variable)
    {
      facts->variable = reading->variable;
      facts->lockout_auth_known = reading->lockout_auth_known;
    }
  if (reading->have_variable && (tpm_was_reset || !facts->have_last_shutdown))
    {
      facts->have_last_shutdown = TRUE;
      facts->last_shutdown_orderly =
          (reading->variable.startup_clear & TPMA_STARTUP_CLEAR_ORDERLY) != 0;
    }
  if (reading->have_run)
    {
      facts->have_run = TRUE;
      facts->power = reading->power;
      facts->went_back = reading->went_back;
    }
  g_clear_pointer (&facts->latencies, g_array_unref);
  facts->latencies = reading->latencies != NULL ? g_array_ref (reading->latencies) : NULL;
  facts->totals = reading->totals;
  facts->have_test_result = TRUE;
  facts->test_result = reading->test_result;
  facts->have_access = TRUE;
  facts->access = reading->access;
  if (reading->test_result != TPM2_RC_TESTING)
    facts->testing_since = 0;
  else if (facts->testing_since == 0)
    facts->testing_since = now;
}

void
health_facts_set_platform (HealthFacts *facts, PlatformFacts *platform)
{
  g_clear_pointer (&facts->platform, platform_facts_free);
  facts->platform = platform;
}

static gboolean
is_gone (gpointer name, gpointer reason, gpointer store)
{
  return store_facts_find_key (store, name) == NULL;
}

void
health_facts_set_store (HealthFacts *facts, StoreFacts *store, StoreAccess access)
{
  g_clear_pointer (&facts->store, store_facts_free);
  facts->store = store;
  facts->have_access = TRUE;
  facts->access = access;
  g_hash_table_foreach_remove (facts->unusable, is_gone, store);
}

/* Who calls with a wrong PIN, in vain, or while the chip is busy says nothing of the key. */
static gboolean
is_of_key (const GError *error)
{
  return g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_STORE) ||
         g_error_matches (error, GGTPM_ERROR, GGTPM_ERROR_TPM_FAILURE);
}

gboolean
health_facts_note_key_use (HealthFacts *facts, const char *name, const GError *error)
{
  if (error == NULL)
    return g_hash_table_remove (facts->unusable, name);
  if (!is_of_key (error) || g_hash_table_contains (facts->unusable, name))
    return FALSE;
  g_hash_table_insert (facts->unusable, g_strdup (name), g_strdup (error->message));
  return TRUE;
}
