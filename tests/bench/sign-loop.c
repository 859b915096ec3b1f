/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What a program of its own does that signs by PKCS#11, in its process: `sign-loop MODULE TOKEN KEY-LABEL`. The first
 * line of standard input is the PIN; for each number that follows it signs so many times and prints the seconds.
 */

#include <dlfcn.h>
#include <glib.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
check (CK_RV rv, const char *what)
{
  if (rv == CKR_OK)
    return;
  g_printerr ("%s: 0x%lx\n", what, rv);
  exit (1);
}

static CK_SLOT_ID
find_slot (CK_FUNCTION_LIST *functions, const char *token)
{
  CK_SLOT_ID slots[16];
  CK_ULONG n = G_N_ELEMENTS (slots);

  check (functions->C_GetSlotList (CK_TRUE, slots, &n), "C_GetSlotList");
  for (CK_ULONG i = 0; i < n; i++)
    {
      CK_TOKEN_INFO info;

      check (functions->C_GetTokenInfo (slots[i], &info), "C_GetTokenInfo");
      if (strncmp ((const char *)info.label, token, strlen (token)) == 0)
        return slots[i];
    }
  g_printerr ("no token %s\n", token);
  exit (1);
}

static CK_OBJECT_HANDLE
find_key (CK_FUNCTION_LIST *functions, CK_SESSION_HANDLE session, const char *label)
{
  CK_OBJECT_CLASS private = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE template[] = { { CKA_CLASS, &private, sizeof private },
                              { CKA_LABEL, (void *)label, strlen (label) } };
  CK_OBJECT_HANDLE key = 0;
  CK_ULONG n = 0;

  check (functions->C_FindObjectsInit (session, template, G_N_ELEMENTS (template)), "find");
  check (functions->C_FindObjects (session, &key, 1, &n), "C_FindObjects");
  functions->C_FindObjectsFinal (session);
  if (n == 1)
    return key;
  g_printerr ("no key %s\n", label);
  exit (1);
}

static double
sign (CK_FUNCTION_LIST *functions, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, int n)
{
  gint64 start = g_get_monotonic_time ();
  CK_MECHANISM mechanism = { CKM_ECDSA, NULL, 0 };
  guint8 digest[32] = { 1 };
  guint8 signature[256];

  for (int i = 0; i < n; i++)
    {
      CK_ULONG len = sizeof signature;

      check (functions->C_SignInit (session, &mechanism, key), "C_SignInit");
      check (functions->C_Sign (session, digest, sizeof digest, signature, &len), "C_Sign");
    }
  return (double)(g_get_monotonic_time () - start) / G_USEC_PER_SEC;
}

int
main (int argc, char **argv)
{
  CK_C_INITIALIZE_ARGS arguments = { .flags = CKF_OS_LOCKING_OK };
  CK_C_GetFunctionList get_functions = NULL;
  CK_FUNCTION_LIST *functions = NULL;
  CK_SESSION_HANDLE session = 0;
  CK_OBJECT_HANDLE key;
  char line[256];
  void *module;

  if (argc != 4 || fgets (line, sizeof line, stdin) == NULL)
    return 2;
  module = dlopen (argv[1], RTLD_NOW | RTLD_LOCAL);
  if (module != NULL)
    *(void **)&get_functions = dlsym (module, "C_GetFunctionList");
  if (get_functions == NULL)
    return 1;
  g_strchomp (line);
  check (get_functions (&functions), "C_GetFunctionList");
  check (functions->C_Initialize (&arguments), "C_Initialize");
  check (functions->C_OpenSession (find_slot (functions, argv[2]), CKF_SERIAL_SESSION, NULL, NULL,
                                   &session),
         "C_OpenSession");
  check (functions->C_Login (session, CKU_USER, (CK_UTF8CHAR *)line, strlen (line)), "C_Login");
  key = find_key (functions, session, argv[3]);
  while (fgets (line, sizeof line, stdin) != NULL)
    {
      guint64 n = 0;

      if (!g_ascii_string_to_unsigned (g_strchomp (line), 10, 1, 100000, &n, NULL))
        return 2;
      printf ("%f\n", sign (functions, session, key, (int)n));
      fflush (stdout);
    }
  return 0;
}
