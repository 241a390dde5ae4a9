/* The address of the vault's copy of the ops section; see base/ops.h. */

#include "base/ops.h"

const char *g_vault_ops;
