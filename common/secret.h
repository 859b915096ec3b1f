/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Secret: bytes that must not stay in memory, in a log or in a core dump: a PIN, an auth. In pages of its own, which
 * are locked where the limit allows and wiped when it is freed. Has a NUL after its last byte, so that a PIN can be
 * handed on as a string. Not shared between threads.
 */
typedef struct _Secret Secret;

Secret *secret_new (const void *data, gsize len);
/* As secret_new(), then wipes @data. */
Secret *secret_new_take (void *data, gsize len);
/* @n_bytes of kernel randomness (getrandom()), xored with @mix (may be NULL; the TPM's randomness), as lower-case
 * hexadecimal: twice as many characters. */
Secret *secret_new_random_hex (gsize n_bytes, const guint8 *mix, gsize mix_len);
/*
 * A PIN of SECRET_PIN_LENGTH characters out of `a` to `z` and `2` to `7`, five bits in each, drawn as above. Not
 * longer: pkcs11-provider reads 31 characters of a `pin-source` and libp11 takes 32 out of a URI, both without a word
 * about the rest. tpm2-pkcs11 makes an auth of 128 bits from a PIN, however long that is.
 */
#define SECRET_PIN_LENGTH 30
Secret *secret_new_random_pin (const guint8 *mix, gsize mix_len);
Secret *secret_copy (const Secret *secret);
void secret_free (Secret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Secret, secret_free)

const char *secret_peek (const Secret *secret);
gsize secret_get_length (const Secret *secret);

/*
 * Reads a PIN from a pipe, socket or memfd, without blocking the main loop: to end of file or the first newline.
 * Refuses more than @max_bytes, an empty one, a NUL inside, and a peer that takes longer than 10 s.
 * @fd: borrowed; duplicated. Errors: GGTPM_ERROR_INVALID_ARGS, GGTPM_ERROR_TIMEOUT, G_IO_ERROR_CANCELLED.
 */
void secret_read_fd_async (int fd,
                           gsize max_bytes,
                           GCancellable *cancellable,
                           GAsyncReadyCallback callback,
                           gpointer user_data);
Secret *secret_read_fd_finish (GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @len bytes from where @fd is, read straight into it. Any thread; blocks. NULL: there are fewer. */
Secret *secret_read (int fd, gsize len) G_GNUC_WARN_UNUSED_RESULT;

/* Reads a small secret file, without its last newline. Any thread; blocks. */
Secret *secret_read_file (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Writes @secret to @path: temporary file beside it, mode, group, fsync, rename, fsync of the directory. After a power
 * cut there is the old file, the new one or none, never half. Any thread; blocks.
 * @gid: (gid_t) -1: leave
 */
gboolean secret_write_file (const Secret *secret,
                            const char *path,
                            mode_t mode,
                            gid_t gid,
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* No core dump of this process, and its memory is nobody's to read but root's. Called once, at the start. FALSE with
 * errno. */
gboolean secret_forbid_dumps (void) G_GNUC_WARN_UNUSED_RESULT;

/* Overwrites @len bytes so that the compiler cannot leave it out. */
void secret_wipe (void *data, gsize len);

/* For processes that have secrets: no core dump, nobody looks in, no new privileges, an end when the parent ends. FALSE
 * with errno. */
gboolean secret_protect_process (void) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
