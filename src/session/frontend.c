#include "session/frontend.h"

#include "access/shares.h"
#include "net/net.h"

static const double common_pressure = 0.5, again_pressure = 0.25;

enum { CONNECTION_SMALLEST_US = 100 * 1000 /* buckets of durations from there up to 7 hours */ };

void frontend_init(struct frontend *frontend)
{
    buffer_init(&frontend->joined, UINT32_MAX);
    frontend->started_ms = (uint64_t)clock_wall_ms();
    frontend->counters.connection_duration.smallest_us = CONNECTION_SMALLEST_US;
}

void frontend_fini(struct frontend *frontend)
{
    memory_free(frontend->base_path);
    buffer_fini(&frontend->joined);
}

/* Whether the owner has fewer waiting bytes than others on the average. */
static bool has_less(const struct frontend *frontend, uint64_t owner)
{
    const struct shares *writes = &frontend->writes;
    size_t own = shares_amount(writes, owner);
    return !own || own < writes->total / writes->owners.count;
}

bool frontend_may_write(const struct frontend *frontend, uint64_t owner, bool again)
{
    double pressure = ingest_pressure(frontend->ingest);
    return (again ? pressure < again_pressure : pressure <= common_pressure) ||
           has_less(frontend, owner);
}

struct ingest_sender frontend_sender(const struct principal *principal)
{
    return (struct ingest_sender){.subject = principal->is_anonymous
                                                 ? span_make(NULL, 0)
                                                 : span_of(principal->identity->subject)};
}
