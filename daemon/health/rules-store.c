/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "rules-private.h"

#define DAY_S G_GINT64_CONSTANT (86400)
/* A certificate's last days are time to get the next one. */
#define FORESIGHT_S (30 * DAY_S)
#define NOT_LISTED  "the keys have not been listed"

typedef gboolean (*KeyIsBad) (const StoreKey *key, gint64 now);

static char *
list_keys (const StoreFacts *store, KeyIsBad is_bad, gint64 now)
{
  GString *names = g_string_new (NULL);

  for (guint i = 0; i < store->keys->len; i++)
    {
      const StoreKey *key = store->keys->pdata[i];

      if (is_bad (key, now))
        g_string_append_printf (names, "%s%s", names->len > 0 ? ", " : "", key->name);
    }
  return g_string_free (names, FALSE);
}

static gboolean
has_certificate (const StoreKey *key, gint64 now)
{
  return key->has_certificate;
}

/*
 * @is_concerned: whether the rule is about a key at all
 * @what: what is wrong with those that are bad; @without: why it does not apply where nobody is concerned
 */
static RuleVerdict
judge_keys (const HealthFacts *facts,
            gint64 now,
            KeyIsBad is_concerned,
            const char *without,
            KeyIsBad is_bad,
            const char *what,
            char **out_text)
{
  g_autofree char *concerned = NULL;
  g_autofree char *names = NULL;

  if (facts->store == NULL)
    return rules_say (RULE_UNKNOWN, out_text, NOT_LISTED);
  concerned = list_keys (facts->store, is_concerned, now);
  if (*concerned == '\0')
    return rules_say (RULE_NOT_APPLICABLE, out_text, "%s", without);
  names = list_keys (facts->store, is_bad, now);
  if (*names == '\0')
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text, "%s: %s", what, names);
}

/* ---- keys ---- */

RuleVerdict
rules_judge_key_unusable (const HealthFacts *facts, gint64 now, char **out_text)
{
  GHashTableIter iter;
  gpointer name = NULL;
  gpointer reason = NULL;

  if (facts->store == NULL)
    return rules_say (RULE_UNKNOWN, out_text, NOT_LISTED);
  if (facts->store->keys->len == 0)
    return rules_say (RULE_NOT_APPLICABLE, out_text, "there is no key");
  if (facts->unusable == NULL || g_hash_table_size (facts->unusable) == 0)
    return RULE_OK;
  g_hash_table_iter_init (&iter, facts->unusable);
  (void)!g_hash_table_iter_next (&iter, &name, &reason);
  return rules_say (RULE_ISSUE, out_text, "%u of %u keys could not be used the last time; %s: %s",
                    g_hash_table_size (facts->unusable), facts->store->keys->len,
                    (const char *)name, (const char *)reason);
}

void
rules_add_unusable_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_autofree const char **names =
      (const char **)g_hash_table_get_keys_as_array (facts->unusable, NULL);

  g_variant_dict_insert (evidence, "keys", "^as", names);
}

static gboolean
is_rsa (const StoreKey *key, gint64 now)
{
  return key->is_rsa;
}

static gboolean
is_roca (const StoreKey *key, gint64 now)
{
  return key->is_roca;
}

RuleVerdict
rules_judge_key_roca (const HealthFacts *facts, gint64 now, char **out_text)
{
  return judge_keys (facts, now, is_rsa, "there is no RSA key", is_roca,
                     "an RSA key can be factored (CVE-2017-15361)", out_text);
}

void
rules_add_roca_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_autofree char *names = list_keys (facts->store, is_roca, 0);

  g_variant_dict_insert (evidence, "keys", "s", names);
}

/* ---- certificates ---- */

static gboolean
is_expired (const StoreKey *key, gint64 now)
{
  return key->certificate_matches && now > key->not_after;
}

static gboolean
is_expiring (const StoreKey *key, gint64 now)
{
  return key->certificate_matches && now <= key->not_after && key->not_after - now < FORESIGHT_S;
}

static gboolean
is_early (const StoreKey *key, gint64 now)
{
  return key->certificate_matches && now < key->not_before;
}

static gboolean
is_mismatch (const StoreKey *key, gint64 now)
{
  return key->has_certificate && !key->certificate_matches;
}

static RuleVerdict
judge_certificates (const HealthFacts *facts,
                    gint64 now,
                    KeyIsBad is_bad,
                    const char *what,
                    char **out_text)
{
  return judge_keys (facts, now, has_certificate, "no key has a certificate", is_bad, what,
                     out_text);
}

RuleVerdict
rules_judge_cert_expiring (const HealthFacts *facts, gint64 now, char **out_text)
{
  return judge_certificates (facts, now, is_expiring, "a certificate ends within 30 days",
                             out_text);
}

RuleVerdict
rules_judge_cert_expired (const HealthFacts *facts, gint64 now, char **out_text)
{
  return judge_certificates (facts, now, is_expired, "a certificate has expired", out_text);
}

RuleVerdict
rules_judge_cert_mismatch (const HealthFacts *facts, gint64 now, char **out_text)
{
  return judge_certificates (facts, now, is_mismatch,
                             "a certificate is not for the key that it is stored with", out_text);
}

RuleVerdict
rules_judge_time_skew (const HealthFacts *facts, gint64 now, char **out_text)
{
  return judge_certificates (facts, now, is_early,
                             "a certificate is not valid yet: this machine's clock is behind, or "
                             "its issuer's ahead",
                             out_text);
}

/* End (or beginning) of each validity, by key. */
void
rules_add_validity_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  GVariantBuilder not_before = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{st}"));
  GVariantBuilder not_after = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{st}"));

  for (guint i = 0; i < facts->store->keys->len; i++)
    {
      const StoreKey *key = facts->store->keys->pdata[i];

      if (!key->certificate_matches)
        continue;
      g_variant_builder_add (&not_before, "{st}", key->name, (guint64)MAX (key->not_before, 0));
      g_variant_builder_add (&not_after, "{st}", key->name, (guint64)MAX (key->not_after, 0));
    }
  g_variant_dict_insert_value (evidence, "not-before", g_variant_builder_end (&not_before));
  g_variant_dict_insert_value (evidence, "not-after", g_variant_builder_end (&not_after));
}

void
rules_add_mismatch_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_autofree char *names = list_keys (facts->store, is_mismatch, 0);

  g_variant_dict_insert (evidence, "keys", "s", names);
}

/* ---- permissions ---- */

RuleVerdict
rules_judge_store_access (const HealthFacts *facts, gint64 now, char **out_text)
{
  if (!facts->have_access)
    return rules_say (RULE_UNKNOWN, out_text, "the key store has not been looked at");
  if (facts->access == STORE_ACCESS_NONE)
    return rules_say (RULE_NOT_APPLICABLE, out_text, "nothing has been provisioned");
  if (facts->access == STORE_ACCESS_OK)
    return RULE_OK;
  return rules_say (RULE_ISSUE, out_text, "%s", store_access_to_string (facts->access));
}

void
rules_add_access_evidence (const HealthFacts *facts, GVariantDict *evidence)
{
  g_variant_dict_insert (evidence, "fault", "s", store_access_to_string (facts->access));
}
