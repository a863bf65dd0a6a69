/* A hub without an engine, and subscriptions made by hand, for planted faults. */
#ifndef TESTS_PLANTED_HUB_H
#define TESTS_PLANTED_HUB_H

#include "delivery/hub_internal.h"

extern struct hub *hub;
extern struct topic *topic; /* of the subscription made last */
extern struct subscriber *subscriber;

/* A wake that does nothing. */
void never(void *argument);
void make_hub(void);
struct topic *get_topic(void);
/* As subscription_new makes it, but that nothing is asked of an engine. */
struct subscription *add(const char *key);
/* make_hub, and a live one of the whole view, or of one key. */
struct subscription *make(const char *key);
struct change *make_change(int64_t id);
/* What the subscription makes of that step of its reader. */
struct span pull(struct subscription *subscription, struct reader_step step);

#endif
