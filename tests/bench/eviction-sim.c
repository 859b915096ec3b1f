/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "broker/eviction.h"

#include <stdio.h>
#include <string.h>

/*
 * The eviction policy on traces, beside "least recently used" and the optimum (Belady: out goes what is needed last),
 * counted in TPM commands: a use is one, loading is one, flushing one, the first save of a thing one. --json for
 * machines. A trace of one's own, one number a line: --trace FILE.
 */

#define SLOTS  3
#define LENGTH 3000
#define NEVER  G_MAXUINT

typedef guint (*ChooseFunc) (gpointer data, const GArray *loaded);

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
} World;

static guint
choose_ours (gpointer data, const GArray *loaded)
{
  World *world = data;
  EvictionEntry *entries[SLOTS];

  for (guint i = 0; i < loaded->len; i++)
    entries[i] = &world->things[g_array_index (loaded, guint, i)].entry;
  return eviction_choose (world->eviction, entries, loaded->len);
}

static guint
choose_lru (gpointer data, const GArray *loaded)
{
  World *world = data;
  guint best = 0;

  for (guint i = 1; i < loaded->len; i++)
    if (world->things[g_array_index (loaded, guint, i)].entry.last_use <
        world->things[g_array_index (loaded, guint, best)].entry.last_use)
      best = i;
  return best;
}

static guint
choose_optimum (gpointer data, const GArray *loaded)
{
  World *world = data;
  guint best = 0;

  for (guint i = 1; i < loaded->len; i++)
    {
      const Thing *thing = &world->things[g_array_index (loaded, guint, i)];
      const Thing *other = &world->things[g_array_index (loaded, guint, best)];

      if (thing->next > other->next ||
          (thing->next == other->next && thing->saved && !other->saved))
        best = i;
    }
  return best;
}

static guint
max_of (const GArray *trace)
{
  guint max = 0;

  for (guint i = 0; i < trace->len; i++)
    max = MAX (max, g_array_index (trace, guint, i));
  return max;
}

/* For each use, when the same thing is used next. */
static guint *
find_next_uses (const GArray *trace, guint n_things)
{
  guint *next = g_new (guint, trace->len);
  g_autofree guint *last = g_new (guint, n_things);

  for (guint i = 0; i < n_things; i++)
    last[i] = NEVER;
  for (guint i = trace->len; i > 0; i--)
    {
      guint thing = g_array_index (trace, guint, i - 1);

      next[i - 1] = last[thing];
      last[thing] = i - 1;
    }
  return next;
}

static guint
bring_in (World *world, GArray *loaded, guint i, ChooseFunc choose)
{
  guint cost = world->things[i].known ? 1 : 0;

  if (loaded->len == SLOTS)
    {
      guint out = choose (world, loaded);
      Thing *thing = &world->things[g_array_index (loaded, guint, out)];

      cost += thing->saved ? 1 : 2;
      thing->saved = TRUE;
      g_array_remove_index_fast (loaded, out);
    }
  g_array_append_val (loaded, i);
  return cost;
}

static gboolean
contains (const GArray *loaded, guint thing)
{
  for (guint i = 0; i < loaded->len; i++)
    if (g_array_index (loaded, guint, i) == thing)
      return TRUE;
  return FALSE;
}

/* TPM commands for the whole trace. */
static guint
run (const GArray *trace, ChooseFunc choose)
{
  guint n_things = max_of (trace) + 1;
  g_autoptr (Eviction) eviction = eviction_new ();
  g_autofree Thing *things = g_new0 (Thing, n_things);
  g_autofree guint *next = find_next_uses (trace, n_things);
  g_autoptr (GArray) loaded = g_array_new (FALSE, FALSE, sizeof (guint));
  World world = { .eviction = eviction, .things = things };
  guint cost = 0;

  for (guint i = 0; i < trace->len; i++)
    {
      guint thing = g_array_index (trace, guint, i);

      eviction_touch (eviction, &things[thing].entry);
      cost += 1;
      if (!contains (loaded, thing))
        cost += bring_in (&world, loaded, thing, choose);
      things[thing].known = TRUE;
      things[thing].next = next[i];
    }
  return cost;
}

/* Traces */

static void
add (GArray *trace, guint thing)
{
  g_array_append_val (trace, thing);
}

static void
make_ring (GArray *trace, GRand *rand, guint n)
{
  for (guint i = 0; i < LENGTH; i++)
    add (trace, i % n);
}

/* Popularity falls as 1/rank. */
static void
make_zipf (GArray *trace, GRand *rand, guint n)
{
  double sum = 0;

  for (guint i = 1; i <= n; i++)
    sum += 1.0 / i;
  for (guint i = 0; i < LENGTH; i++)
    {
      double left = g_rand_double_range (rand, 0, sum);
      guint rank = 1;

      while (rank < n && left > 1.0 / rank)
        left -= 1.0 / rank++;
      add (trace, rank - 1);
    }
}

/* Two clients by turns, each with a ring of its own. */
static void
make_two (GArray *trace, GRand *rand, guint n)
{
  for (guint i = 0; i < LENGTH / 2; i++)
    {
      add (trace, i % 2);
      add (trace, 2 + i % n);
    }
}

/* Two clients in bursts, two keys each. */
static void
make_bursts (GArray *trace, GRand *rand, guint n)
{
  while (trace->len < LENGTH)
    {
      guint client = (guint)g_rand_int_range (rand, 0, 2);

      for (gint i = g_rand_int_range (rand, 5, 40); i > 0; i--)
        add (trace, client * n + (guint)g_rand_int_range (rand, 0, (gint32)n));
    }
}

/* A PKCS#11 token: the primary, an object made for the login, a key used a few times; from login to login. */
static void
make_login (GArray *trace, GRand *rand, guint n_keys)
{
  for (guint i = 0; i < LENGTH / 6; i++)
    {
      guint key = (guint)g_rand_int_range (rand, 0, (gint32)n_keys);

      add (trace, 0);
      add (trace, 1 + n_keys + i);
      add (trace, 0);
      for (gint j = g_rand_int_range (rand, 1, 5); j > 0; j--)
        add (trace, 1 + key);
    }
}

/* Two keys that work, and others that come by once. */
static void
make_passers_by (GArray *trace, GRand *rand, guint n)
{
  guint next = n;

  while (trace->len < LENGTH)
    {
      for (guint i = 0; i < 5; i++)
        add (trace, i % n);
      for (gint i = g_rand_int_range (rand, 1, 6); i > 0; i--)
        add (trace, next++);
    }
}

/* Every now and then other keys. */
static void
make_phases (GArray *trace, GRand *rand, guint n)
{
  for (guint i = 0; i < LENGTH; i++)
    add (trace, i / 300 * 3 + (guint)g_rand_int_range (rand, 0, (gint32)n));
}

static const struct
{
  const char *name;
  void (*make) (GArray *trace, GRand *rand, guint n);
  guint n;
} traces[] = {
  { "ring of 5", make_ring, 5 },
  { "ring of 8", make_ring, 8 },
  { "ring of 20", make_ring, 20 },
  { "Zipf, 8 keys", make_zipf, 8 },
  { "Zipf, 20 keys", make_zipf, 20 },
  { "two clients by turns", make_two, 3 },
  { "two clients in bursts", make_bursts, 2 },
  { "logins, 1 key", make_login, 1 },
  { "logins, 3 keys", make_login, 3 },
  { "passers-by", make_passers_by, 2 },
  { "phases", make_phases, 4 },
};

static void
print_row (const char *name, const GArray *trace, gboolean json, gboolean last)
{
  double n = trace->len;
  double optimum = run (trace, choose_optimum) / n;
  double ours = run (trace, choose_ours) / n;
  double lru = run (trace, choose_lru) / n;

  if (json)
    printf ("  {\"trace\": \"%s\", \"optimum\": %.3f, \"ours\": %.3f, \"lru\": %.3f}%s\n", name,
            optimum, ours, lru, last ? "" : ",");
  else
    printf ("%-24s %8.2f %8.2f %8.2f\n", name, optimum, ours, lru);
}

static GArray *
read_trace (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  GArray *trace;

  if (!g_file_get_contents (path, &text, NULL, error))
    return NULL;
  trace = g_array_new (FALSE, FALSE, sizeof (guint));
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (lines[i][0] != '\0')
      add (trace, (guint)g_ascii_strtoull (lines[i], NULL, 10) % 100000);
  return trace;
}

static void
run_all (gboolean json)
{
  for (guint i = 0; i < G_N_ELEMENTS (traces); i++)
    {
      g_autoptr (GArray) trace = g_array_new (FALSE, FALSE, sizeof (guint));
      GRand *rand = g_rand_new_with_seed (1);

      traces[i].make (trace, rand, traces[i].n);
      print_row (traces[i].name, trace, json, i + 1 == G_N_ELEMENTS (traces));
      g_rand_free (rand);
    }
}

int
main (int argc, char **argv)
{
  gboolean json = FALSE;
  g_autofree char *path = NULL;
  const GOptionEntry entries[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "For machines", NULL },
    { "trace", 0, 0, G_OPTION_ARG_FILENAME, &path, "A trace: one number a line", "FILE" },
    { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) own = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (g_option_context_parse (context, &argc, &argv, &error) && path != NULL)
    own = read_trace (path, &error);
  if (error != NULL)
    {
      fprintf (stderr, "%s\n", error->message);
      return 2;
    }
  if (json)
    printf ("[\n");
  else
    printf ("%-24s %8s %8s %8s   TPM commands per use, %d slots\n", "trace", "optimum", "ours",
            "LRU", SLOTS);
  if (own != NULL && own->len > 0)
    print_row (path, own, json, TRUE);
  else
    run_all (json);
  if (json)
    printf ("]\n");
  return 0;
}
