#include "base/invariant.h"

#include "base/log.h"

#include <stdlib.h>

void invariant_broken(const char *condition, const char *function, int line)
{
    log_error("server", "invariant-broken", "invariant=\"%s\" in=\"%s\" line=%d", condition,
              function, line);
    abort();
}
