/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "token-helper/request.h"

G_BEGIN_DECLS

/* The job `list` (token/protocol.h). */
gboolean list_job_run (Request *request, json_object *answer, GError **error);

G_END_DECLS
