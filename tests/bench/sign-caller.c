/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a program of its own does that has the daemon sign: `sign-caller ADDRESS KEY-PATH [METHOD]`, with sd-bus: one
 * connection, no threads. For each number on standard input it calls Key.Sign so many times, one after the other, and
 * prints the seconds. With METHOD it calls this method of org.ggtpm1.Key, without arguments: what the bus itself costs.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

static double
get_time (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int
add_digest (sd_bus_message *message)
{
  static const unsigned char digest[32] = { 1 };
  int r = sd_bus_message_append_array (message, 'y', digest, sizeof digest);

  return r < 0 ? r : sd_bus_message_append (message, "a{sv}", 1, "input", "s", "digest");
}

/* An answer counts, be it an error's: the daemon has been there and back. */
static int
call (sd_bus *bus, const char *path, const char *method)
{
  sd_bus_message *message = NULL;
  sd_bus_message *reply = NULL;
  sd_bus_error error = SD_BUS_ERROR_NULL;
  int is_signing = method == NULL;
  int r;

  r = sd_bus_message_new_method_call (bus, &message, "org.ggtpm1", path, "org.ggtpm1.Key",
                                      is_signing ? "Sign" : method);
  if (r >= 0 && is_signing)
    r = add_digest (message);
  if (r >= 0)
    r = sd_bus_call (bus, message, 0, &error, &reply);
  if (r < 0 && is_signing)
    fprintf (stderr, "Sign: %s\n", error.message != NULL ? error.message : strerror (-r));
  sd_bus_error_free (&error);
  sd_bus_message_unref (reply);
  sd_bus_message_unref (message);
  return is_signing ? r : 0;
}

int
main (int argc, char **argv)
{
  sd_bus *bus = NULL;
  char line[32];

  if (argc < 3 || sd_bus_new (&bus) < 0 || sd_bus_set_address (bus, argv[1]) < 0 ||
      sd_bus_set_bus_client (bus, 1) < 0 || sd_bus_start (bus) < 0)
    return 2;
  while (fgets (line, sizeof line, stdin) != NULL)
    {
      double start = get_time ();

      for (long n = strtol (line, NULL, 10); n > 0; n--)
        if (call (bus, argv[2], argc > 3 ? argv[3] : NULL) < 0)
          return 1;
      printf ("%f\n", get_time () - start);
      fflush (stdout);
    }
  sd_bus_unref (bus);
  return 0;
}
