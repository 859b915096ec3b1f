/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "eviction-traces.h"

#define LENGTH 3000

static void
add (GArray *trace, guint thing)
{
  const TraceStep step = { .things = { thing }, .n_things = 1 };

  g_array_append_val (trace, step);
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

/* @n clients by turns, two keys each. */
static void
make_shifts (GArray *trace, GRand *rand, guint n)
{
  for (guint i = 0; i < LENGTH; i++)
    add (trace, i / (40 / n) % n * 2 + i % 2);
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
  { "two clients in shifts", make_shifts, 2 },
  { "five clients in shifts", make_shifts, 5 },
  { "logins, 1 key", make_login, 1 },
  { "logins, 3 keys", make_login, 3 },
  { "passers-by", make_passers_by, 2 },
  { "phases", make_phases, 4 },
};

guint
traces_count_made (void)
{
  return G_N_ELEMENTS (traces);
}

GArray *
traces_make (guint i, const char **name)
{
  GArray *trace = g_array_new (FALSE, FALSE, sizeof (TraceStep));
  GRand *rand = g_rand_new_with_seed (1);

  traces[i].make (trace, rand, traces[i].n);
  g_rand_free (rand);
  *name = traces[i].name;
  return trace;
}

/* One line: a command's things, or `-N`. */
static gboolean
parse_step (const char *line, TraceStep *step)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);

  *step = (TraceStep){ .is_flush = line[0] == '-' };
  for (guint i = 0; words[i] != NULL; i++)
    {
      guint64 thing;

      if (i == G_N_ELEMENTS (step->things) ||
          !g_ascii_string_to_unsigned (words[i] + (step->is_flush ? 1 : 0), 10, 1, TRACE_THING_MAX,
                                       &thing, NULL))
        return FALSE;
      step->things[step->n_things++] = (guint)thing;
    }
  return step->n_things > 0;
}

GArray *
traces_read (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  g_autoptr (GArray) trace = g_array_new (FALSE, FALSE, sizeof (TraceStep));

  if (!g_file_get_contents (path, &text, NULL, error))
    return NULL;
  lines = g_strsplit (g_strchomp (text), "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      TraceStep step;

      if (lines[i][0] == '#')
        continue;
      if (!parse_step (lines[i], &step))
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                       "%s:%u: not the numbers of a command's objects", path, i + 1);
          return NULL;
        }
      g_array_append_val (trace, step);
    }
  return g_steal_pointer (&trace);
}
