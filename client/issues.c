/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "issues.h"

#include "client/output.h"

#define ISSUE_FORMAT "(&s&s&s&st@a{sv})"

GVariant *
issues_describe (GVariant *issues)
{
  g_auto (GVariantBuilder) list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));
  gsize n_issues = issues != NULL ? g_variant_n_children (issues) : 0;

  for (gsize i = 0; i < n_issues; i++)
    {
      const char *id = NULL;
      const char *severity = NULL;
      const char *text = NULL;
      const char *remedy = NULL;
      guint64 since = 0;
      g_autoptr (GVariant) evidence = NULL;
      GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);

      g_variant_get_child (issues, i, ISSUE_FORMAT, &id, &severity, &text, &remedy, &since,
                           &evidence);
      output_add (&dict, "id", "s", id);
      output_add (&dict, "severity", "s", severity);
      output_add (&dict, "text", "s", text);
      output_add (&dict, "remedy", "s", remedy);
      output_add (&dict, "since", "t", since);
      g_variant_builder_add (&dict, "{sv}", "evidence", evidence);
      g_variant_builder_add_value (&list, g_variant_builder_end (&dict));
    }
  return g_variant_builder_end (&list);
}

static OutputColour
get_colour (const char *severity)
{
  if (g_str_equal (severity, "failed"))
    return OUTPUT_BAD;
  return g_str_equal (severity, "degraded") ? OUTPUT_WARNING : OUTPUT_PLAIN;
}

void
issues_print (GVariant *issues)
{
  gsize n_issues = issues != NULL ? g_variant_n_children (issues) : 0;

  for (gsize i = 0; i < n_issues; i++)
    {
      const char *id = NULL;
      const char *severity = NULL;
      const char *text = NULL;
      const char *remedy = NULL;
      guint64 since = 0;
      g_autoptr (GVariant) evidence = NULL;
      g_autofree char *coloured = NULL;
      g_autofree char *clean_text = NULL;
      g_autofree char *clean_remedy = NULL;
      g_autofree char *time = NULL;

      g_variant_get_child (issues, i, ISSUE_FORMAT, &id, &severity, &text, &remedy, &since,
                           &evidence);
      coloured = output_coloured (get_colour (severity), severity);
      clean_text = output_clean (text);
      clean_remedy = output_clean (remedy);
      time = output_time (since);
      output_text ("  %s: %s (%s, since %s)\n", coloured, clean_text, id, time);
      if (clean_remedy[0] != '\0')
        output_text ("    %s\n", clean_remedy);
    }
}

/* ---- rules ---- */

#define RULE_FORMAT "(&s&s&s&s&s)"

static const struct
{
  const char *verdict;
  const char *words;
  OutputColour colour;
} verdicts[] = {
  { "ok", "ok", OUTPUT_GOOD },
  { "issue", "issue", OUTPUT_BAD },
  { "unknown", "unknown", OUTPUT_PLAIN },
  { "not-applicable", "not applicable", OUTPUT_PLAIN },
};

GVariant *
issues_describe_rules (GVariant *rules)
{
  g_auto (GVariantBuilder) list = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("aa{sv}"));
  gsize n_rules = rules != NULL ? g_variant_n_children (rules) : 0;

  for (gsize i = 0; i < n_rules; i++)
    {
      GVariantBuilder dict = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
      const char *id, *verdict, *text, *remedy, *source;

      g_variant_get_child (rules, i, RULE_FORMAT, &id, &verdict, &text, &remedy, &source);
      output_add (&dict, "id", "s", id);
      output_add (&dict, "verdict", "s", verdict);
      output_add (&dict, "text", "s", text);
      output_add (&dict, "remedy", "s", remedy);
      output_add (&dict, "source", "s", source);
      g_variant_builder_add_value (&list, g_variant_builder_end (&dict));
    }
  return g_variant_builder_end (&list);
}

char *
issues_count_rules (GVariant *rules)
{
  gsize n_rules = rules != NULL ? g_variant_n_children (rules) : 0;
  GString *text = g_string_new (NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (verdicts); i++)
    {
      guint n = 0;

      for (gsize j = 0; j < n_rules; j++)
        {
          const char *verdict = NULL;

          g_variant_get_child (rules, j, RULE_FORMAT, NULL, &verdict, NULL, NULL, NULL);
          n += g_str_equal (verdict, verdicts[i].verdict) ? 1 : 0;
        }
      if (n > 0)
        g_string_append_printf (text, "%s%u %s", text->len > 0 ? ", " : "", n, verdicts[i].words);
    }
  return g_string_free (text, FALSE);
}

static void
print_rule (const char *id,
            const char *verdict,
            const char *text,
            const char *remedy,
            const char *source)
{
  g_autofree char *clean = output_clean (text);
  g_autofree char *clean_remedy = output_clean (remedy);
  g_autofree char *clean_source = output_clean (source);
  g_autofree char *padded = NULL;
  g_autofree char *coloured = NULL;
  gsize i;

  for (i = 0; i < G_N_ELEMENTS (verdicts) - 1; i++)
    if (g_str_equal (verdicts[i].verdict, verdict))
      break;
  padded = g_strdup_printf ("%-15s", verdicts[i].words);
  coloured = output_coloured (verdicts[i].colour, padded);
  if (clean[0] == '\0')
    output_text ("%s %s", coloured, id);
  else
    output_text ("%s %-24s %s", coloured, id, clean);
  if (g_str_equal (verdict, "issue") || g_str_equal (verdict, "unknown"))
    output_text (" -> %s (%s)", clean_remedy, clean_source);
  output_text ("\n");
}

void
issues_print_rules (GVariant *rules)
{
  gsize n_rules = rules != NULL ? g_variant_n_children (rules) : 0;

  for (gsize i = 0; i < n_rules; i++)
    {
      const char *id, *verdict, *text, *remedy, *source;

      g_variant_get_child (rules, i, RULE_FORMAT, &id, &verdict, &text, &remedy, &source);
      print_rule (id, verdict, text, remedy, source);
    }
}
