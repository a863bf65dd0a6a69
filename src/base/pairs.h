/*
 * Lists of the form "name=value,name=value", with both parts percent-encoded as needed, as the
 * variables of OpenTelemetry have them. White space around a part does not count.
 */
#ifndef BASE_PAIRS_H
#define BASE_PAIRS_H

#include "base/error.h"
#include "base/span.h"

/* Visit each pair, decoded; the spans are borrowed during the call. False when a visit is, which
 * then has set the error, or with ERROR_CONFIGURATION, whose text shows nothing of the list. */
bool pairs_each(struct span list,
                bool (*visit)(void *argument, struct span name, struct span value,
                              struct error *error),
                void *argument, struct error *error);

#endif
