/* SPDX-FileCopyrightText: the ggtpmd authors */
/* SPDX-License-Identifier: BSD-2-Clause */

#pragma once

#include "provision/steps.h"

G_BEGIN_DECLS

/* ProvisioningResult: what Provision's job answers: what the steps found or made, and what the plan leaves to the
 * client. */
typedef struct _ProvisioningResult ProvisioningResult;

/* Takes both. */
ProvisioningResult *provisioning_result_new (Plan *plan, StepsResult *steps);
void provisioning_result_free (gpointer result);

/* An OperationResult (bus/operation.h). */
GVariant *provisioning_result_to_variant (gpointer result);

G_END_DECLS
