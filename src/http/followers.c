#include "http/followers.h"

#include "base/log.h"

#include <stdio.h>

enum { AWAY_MS = 60 * 1000 };

static bool is_there(const struct follower *follower, uint64_t now_ms)
{
    return follower->asked_ms && now_ms - follower->asked_ms <= AWAY_MS;
}

/* Its place, or that of the one that asked longest ago. */
static struct follower *find(struct followers *followers, const struct follower *wanted)
{
    struct follower *oldest = &followers->list[0];
    for (size_t i = 0; i < FOLLOWERS; i++) {
        struct follower *each = &followers->list[i];
        if (each->asked_ms && strcmp(each->address, wanted->address) == 0 &&
            strcmp(each->subject, wanted->subject) == 0)
            return each;
        if (each->asked_ms < oldest->asked_ms)
            oldest = each;
    }
    *oldest = *wanted;
    return oldest;
}

void followers_note(struct followers *followers, const struct principal *principal, int64_t change,
                    bool all, uint64_t now_ms)
{
    struct follower wanted = {.asked_ms = 0};
    snprintf(wanted.address, sizeof wanted.address, "%s", principal->address);
    snprintf(wanted.subject, sizeof wanted.subject, "%s", principal->identity->subject);
    struct follower *follower = find(followers, &wanted);
    if (!is_there(follower, now_ms))
        log_info("follow", "log-followed", log_text("client", principal->address),
                 log_text("subject", principal->identity->subject), log_number("change", change),
                 log_word("lines", all ? "all" : "changes"));
    follower->asked_ms = now_ms ? now_ms : 1;
}

size_t followers_count(const struct followers *followers, uint64_t now_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < FOLLOWERS; i++)
        count += is_there(&followers->list[i], now_ms);
    return count;
}
