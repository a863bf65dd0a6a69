#include "base/invariant.h"

#include "base/log.h"

#include <stdlib.h>

void invariant_broken(const char *condition, const char *function, int line)
{
    log_error("server", "invariant-broken", log_text("invariant", condition),
              log_text("in", function), log_number("line", line));
    abort();
}
