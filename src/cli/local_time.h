/* Values that tell a time, as people read it. */
#ifndef CLI_LOCAL_TIME_H
#define CLI_LOCAL_TIME_H

#include "base/base.h"

/*
 * Append a value (canonical text) as a time of the local time zone, "2018-02-06 17:30:00": seconds
 * or milliseconds since 1970, or a text such as "2018-02-06T18:00:00Z". False: it tells none, and
 * nothing was appended.
 */
bool local_time_print(struct buffer *out, struct span value);

#endif
