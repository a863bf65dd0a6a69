/*
 * service: the reports of `stele serve` to the service manager. Without NOTIFY_SOCKET all of this
 * does nothing.
 *
 *   opening    EXTEND_TIMEOUT_USEC, while work is done (migrating, building views)
 *   serving    READY=1; WATCHDOG=1 in half the required interval, only while the loop answers
 *              and the writer gets on
 *   reloading  RELOADING=1, and READY=1 when it is over
 *   stopping   STOPPING=1; EXTEND_TIMEOUT_USEC as above
 */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include "api/api.h"

struct service;

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment.
 * NULL with an error if one is wrong, or out of memory. */
struct service *service_start(struct error *error);
/* Not from another thread than service_start. */
void service_end(struct service *service);

/* The store is ready; its state is checked until SERVICE_STOPPED. */
void service_ready(struct service *service, stele *store);

/* What else becomes of it. Any thread, but for the last. */
enum service_event {
    SERVICE_RELOADS,
    SERVICE_RELOADED, /* `problem`: why not; NULL: it went well */
    SERVICE_STOPS,
    SERVICE_STOPPED /* the store is not used from now on; waits for a check under way */
};
void service_note(struct service *service, enum service_event event, const char *problem);

#endif
