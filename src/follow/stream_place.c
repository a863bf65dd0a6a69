/*
 * The places of messages. The broker sends two forms of the subject:
 *
 *   $JS.ACK.STREAM.CONSUMER.deliveries.sequence.delivery.time.pending
 *   $JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.deliveries.sequence.delivery.time.pending[.random…]
 */
#include "follow/stream.h"

#include "base/typed.h"

enum { SHORT_NAMES = 9, LONG_NAMES = 11, SHORT_FIRST = 5, LONG_FIRST = 7, MOST_NAMES = 16 };

/* The names between dots; 0: too many. */
static size_t split(struct span subject, struct span names[MOST_NAMES])
{
    size_t count = 0;
    const char *at = subject.data, *end = subject.data + subject.length;
    for (;;) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        if (count == MOST_NAMES)
            return 0;
        names[count++] = span_make(at, (size_t)((dot ? dot : end) - at));
        if (!dot)
            return count;
        at = dot + 1;
    }
}

bool stream_place_read(const char *subject, struct stream_place *place)
{
    struct span names[MOST_NAMES];
    int64_t time;
    size_t count = subject ? split(span_of(subject), names) : 0;
    if (count < SHORT_NAMES || !span_equal(names[0], span_of("$JS")) ||
        !span_equal(names[1], span_of("ACK")))
        return false;
    const struct span *number = names + (count >= LONG_NAMES ? LONG_FIRST : SHORT_FIRST);
    if (count == LONG_NAMES - 1 || !typed_number(number[0], &place->sequence) ||
        !typed_number(number[1], &place->delivery) || !typed_number(number[2], &time) ||
        !typed_number(number[3], &place->pending))
        return false;
    place->at = time / (1000 * 1000);
    return place->sequence > 0 && place->delivery > 0 && time >= 0 && place->pending >= 0;
}
