/* Shared by the files of this folder. Never included from outside. */
#ifndef OUTBOUND_OUTBOUND_INTERNAL_H
#define OUTBOUND_OUTBOUND_INTERNAL_H

#include "outbound/outbound.h"

#include <curl/curl.h>

/* fetch.c: set up libcurl, once for the process / a request's bounds, as outbound.h has them. */
void outbound_set_up(void);
bool outbound_configure(CURL *easy, const char *ca_file);

#endif
