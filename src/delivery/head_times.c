#include "delivery/head_times.h"

#include "base/invariant.h"

static const struct head_time *at(const struct head_times *times, uint64_t number)
{
    return &times->list[number % HEAD_TIMES];
}

void head_times_note(struct head_times *times, struct head_time head)
{
    INVARIANT(times->newest.change <= head.change);
    head.before = times->newest.change;
    times->newest = head;
    if (times->next > times->first &&
        head.us - at(times, times->next - 1)->us < HEAD_TIMES_EVERY_US)
        return;
    if (times->next - times->first == HEAD_TIMES)
        times->first++;
    times->list[times->next++ % HEAD_TIMES] = head;
}

/* The first note of a head behind this change; times->next: there is none. */
static uint64_t find_behind(const struct head_times *times, int64_t change)
{
    uint64_t low = times->first, high = times->next;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (at(times, middle)->change > change)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The oldest note says what was there already, not since when. Commits without a note came soon
 * behind the note before them, however long before the next one. */
double head_times_since(const struct head_times *times, int64_t change, uint64_t now_us)
{
    uint64_t behind = find_behind(times, change);
    if (change >= times->newest.change)
        return 0;
    if (behind == times->first)
        return -1;
    const struct head_time *found = behind < times->next ? at(times, behind) : &times->newest;
    uint64_t us = found->us, soon = at(times, behind - 1)->us + HEAD_TIMES_EVERY_US;
    if (change < found->before && soon < us)
        us = soon;
    return (double)(now_us - us) / 1e6;
}

int64_t head_times_slot(const struct head_times *times, int64_t change)
{
    uint64_t behind = find_behind(times, change);
    if (change >= times->newest.change)
        return times->newest.slot;
    return behind == times->first ? -1 : at(times, behind - 1)->slot;
}
