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
