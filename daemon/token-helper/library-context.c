/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * One library context of OpenSSL for all that asks for one of its own. tpm2-tss 3.2 makes a new one, with a provider
 * and its tables of algorithms, for every hash and every HMAC (esys_crypto_ossl.c), and drops it afterwards: three
 * quarters of the time of a signature. These two functions are found before those of libcrypto by everything that is
 * loaded here, because the program exports them. This one has no configuration and no other provider than a new one
 * would have.
 */

#include <dlfcn.h>
#include <openssl/crypto.h>

OSSL_LIB_CTX *
OSSL_LIB_CTX_new (void)
{
  static OSSL_LIB_CTX *shared = NULL; /* the helper has one thread */
  OSSL_LIB_CTX *(*make) (void) = NULL;

  if (shared == NULL)
    {
      *(void **)&make = dlsym (RTLD_NEXT, "OSSL_LIB_CTX_new");
      shared = make != NULL ? make () : NULL;
    }
  return shared;
}

/* Kept for the next one. */
void
OSSL_LIB_CTX_free (OSSL_LIB_CTX *context)
{
}
