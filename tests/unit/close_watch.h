/*
 * Finds whoever closes a descriptor that is not theirs any more.
 *
 * A program that is linked with this has its own `close`, which comes before the C library's for
 * every library in the process. While it watches, it behaves as the most unlucky other thread
 * would: the moment a number is free, a file of ours has it. A second close of it, which nobody
 * else would notice on most days, hits that file and is counted, every time.
 */
#ifndef TESTS_CLOSE_WATCH_H
#define TESTS_CLOSE_WATCH_H

#include <stddef.h>

void close_watch_begin(void);
/* How many closes since then were of descriptors that their callers did not own. */
size_t close_watch_end(void);

#endif
