/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker/eviction.h"
#include "eviction-traces.h"

#include <math.h>
#include <stdio.h>

/*
 * eviction-sim [--json] [TRACE...]: the eviction policy on made-up and on recorded traces, beside "least recently
 * used" and the optimum (Belady: out goes what is needed last), counted in TPM commands: a use is one, loading is one,
 * flushing one, the first save of a thing one. Its client's own flush is one if the thing is loaded, and none if not.
 */

#define SLOTS 3
#define NEVER G_MAXUINT

typedef struct
{
  EvictionEntry entry;
  guint next; /* when it is used again */
  gboolean known;
  gboolean saved;
} Thing;

typedef struct
{
  Eviction *eviction;
  Thing *things;
  GArray *loaded; /* of guint */
} World;

/* @candidates: of guint. Returns the index of the one that goes. */
typedef guint (*ChooseFunc) (World *world, const GArray *candidates);

static Thing *
get_thing (World *world, const GArray *which, guint i)
{
  return &world->things[g_array_index (which, guint, i)];
}

static guint
choose_ours (World *world, const GArray *candidates)
{
  EvictionEntry *entries[SLOTS];

  for (guint i = 0; i < candidates->len; i++)
    entries[i] = &get_thing (world, candidates, i)->entry;
  return eviction_choose (world->eviction, entries, candidates->len);
}

static guint
choose_lru (World *world, const GArray *candidates)
{
  guint best = 0;

  for (guint i = 1; i < candidates->len; i++)
    if (get_thing (world, candidates, i)->entry.last_use <
        get_thing (world, candidates, best)->entry.last_use)
      best = i;
  return best;
}

static guint
choose_optimum (World *world, const GArray *candidates)
{
  guint best = 0;

  for (guint i = 1; i < candidates->len; i++)
    {
      const Thing *thing = get_thing (world, candidates, i);
      const Thing *other = get_thing (world, candidates, best);

      if (thing->next > other->next ||
          (thing->next == other->next && thing->saved && !other->saved))
        best = i;
    }
  return best;
}

/* For each thing of each step, in their order, when the same thing is used next. */
static GArray *
find_next_uses (const GArray *trace)
{
  g_autofree guint *last = g_new (guint, TRACE_THING_MAX + 1);
  GArray *next = g_array_new (FALSE, FALSE, sizeof (TraceStep));

  for (guint i = 0; i <= TRACE_THING_MAX; i++)
    last[i] = NEVER;
  g_array_set_size (next, trace->len);
  for (guint i = trace->len; i > 0; i--)
    {
      const TraceStep *step = &g_array_index (trace, TraceStep, i - 1);

      for (guint j = 0; j < step->n_things; j++)
        {
          g_array_index (next, TraceStep, i - 1).things[j] = last[step->things[j]];
          if (!step->is_flush)
            last[step->things[j]] = i - 1;
        }
    }
  return next;
}

static gboolean
find (const GArray *loaded, guint thing, guint *index)
{
  for (guint i = 0; i < loaded->len; i++)
    if (g_array_index (loaded, guint, i) == thing)
      {
        *index = i;
        return TRUE;
      }
  return FALSE;
}

static gboolean
names (const TraceStep *step, guint thing)
{
  for (guint i = 0; i < step->n_things; i++)
    if (step->things[i] == thing)
      return TRUE;
  return FALSE;
}

/* Makes room without touching what the command itself needs. */
static guint
make_room (World *world, const TraceStep *step, ChooseFunc choose)
{
  g_autoptr (GArray) candidates = g_array_new (FALSE, FALSE, sizeof (guint));
  guint out;
  guint index;
  Thing *thing;
  guint cost;

  for (guint i = 0; i < world->loaded->len; i++)
    if (!names (step, g_array_index (world->loaded, guint, i)))
      g_array_append_val (candidates, g_array_index (world->loaded, guint, i));
  out = g_array_index (candidates, guint, choose (world, candidates));
  thing = &world->things[out];
  cost = thing->saved ? 1 : 2;
  thing->saved = TRUE;
  if (find (world->loaded, out, &index))
    g_array_remove_index_fast (world->loaded, index);
  return cost;
}

static guint
use (World *world, const TraceStep *step, ChooseFunc choose)
{
  guint cost = 1;
  guint index;

  for (guint i = 0; i < step->n_things; i++)
    eviction_touch (world->eviction, &world->things[step->things[i]].entry);
  for (guint i = 0; i < step->n_things; i++)
    {
      Thing *thing = &world->things[step->things[i]];

      if (find (world->loaded, step->things[i], &index))
        continue;
      cost += thing->known ? 1 : 0;
      if (world->loaded->len == SLOTS)
        cost += make_room (world, step, choose);
      g_array_append_val (world->loaded, step->things[i]);
      thing->known = TRUE;
    }
  return cost;
}

static guint
flush (World *world, guint thing)
{
  guint index;

  if (!find (world->loaded, thing, &index))
    return 0;
  g_array_remove_index_fast (world->loaded, index);
  return 1;
}

/* TPM commands for each step of the trace. */
static double
run (const GArray *trace, ChooseFunc choose)
{
  g_autoptr (Eviction) eviction = eviction_new ();
  g_autofree Thing *things = g_new0 (Thing, TRACE_THING_MAX + 1);
  g_autoptr (GArray) loaded = g_array_new (FALSE, FALSE, sizeof (guint));
  g_autoptr (GArray) next = find_next_uses (trace);
  World world = { eviction, things, loaded };
  guint cost = 0;

  for (guint i = 0; i < trace->len; i++)
    {
      const TraceStep *step = &g_array_index (trace, TraceStep, i);

      cost += step->is_flush ? flush (&world, step->things[0]) : use (&world, step, choose);
      for (guint j = 0; j < step->n_things; j++)
        things[step->things[j]].next = g_array_index (next, TraceStep, i).things[j];
    }
  return (double)cost / trace->len;
}

/* Ratios to the optimum, over all traces. */
typedef struct
{
  double log_sum;
  double worst;
} Ratios;

static void
ratios_add (Ratios *ratios, double ratio)
{
  ratios->log_sum += log (ratio);
  ratios->worst = MAX (ratios->worst, ratio);
}

typedef struct
{
  gboolean json;
  guint n;
  Ratios ours;
  Ratios lru;
} Table;

static void
add_row (Table *table, const char *name, const GArray *trace)
{
  double optimum = run (trace, choose_optimum);
  double ours = run (trace, choose_ours);
  double lru = run (trace, choose_lru);

  ratios_add (&table->ours, ours / optimum);
  ratios_add (&table->lru, lru / optimum);
  if (table->json)
    printf ("%s  {\"trace\": \"%s\", \"optimum\": %.3f, \"ours\": %.3f, \"lru\": %.3f}",
            table->n > 0 ? ",\n" : "", name, optimum, ours, lru);
  else
    printf ("%-24s %8.2f %8.2f %8.2f\n", name, optimum, ours, lru);
  table->n++;
}

static gboolean
add_all (Table *table, char **paths, GError **error)
{
  for (guint i = 0; i < traces_count_made (); i++)
    {
      const char *name;
      g_autoptr (GArray) trace = traces_make (i, &name);

      add_row (table, name, trace);
    }
  for (guint i = 0; paths != NULL && paths[i] != NULL; i++)
    {
      g_autofree char *name = g_path_get_basename (paths[i]);
      g_autoptr (GArray) trace = traces_read (paths[i], error);

      if (trace == NULL)
        return FALSE;
      add_row (table, name, trace);
    }
  return TRUE;
}

static void
print_ratios (const Table *table)
{
  if (table->json)
    return;
  printf ("%-24s %8s %8.3f %8.3f\n", "mean ratio to optimum", "",
          exp (table->ours.log_sum / table->n), exp (table->lru.log_sum / table->n));
  printf ("%-24s %8s %8.3f %8.3f\n", "worst ratio", "", table->ours.worst, table->lru.worst);
}

int
main (int argc, char **argv)
{
  Table table = { 0 };
  g_auto (GStrv) paths = NULL;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &table.json, "For machines", NULL },
    { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &paths, NULL, "[TRACE...]" },
    { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (g_option_context_parse (context, &argc, &argv, &error))
    {
      if (table.json)
        printf ("[\n");
      else
        printf ("%-24s %8s %8s %8s   TPM commands per use, %d slots\n", "trace", "optimum", "ours",
                "LRU", SLOTS);
      if (add_all (&table, paths, &error))
        print_ratios (&table);
      if (table.json)
        printf ("\n]\n");
    }
  if (error == NULL)
    return 0;
  fprintf (stderr, "eviction-sim: %s\n", error->message);
  return 2;
}
