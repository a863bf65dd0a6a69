/*
 * Who may read the log of changes, and how much of it (docs/protocol.md, section 13). Loop thread.
 *
 * The scope admin reads all of it. "Read of all" reads the changes alone: the scope read, and
 * nothing that is hidden from it, neither a view, nor a row, nor a field. What a view hides is
 * decided by the rules in force, so it is looked at for each answer.
 */
#ifndef HTTP_LOG_READER_H
#define HTTP_LOG_READER_H

#include "http/http_internal.h"

/* Whether the principal may still read it, by the rules in force; *all: every line. false with the
 * error, which names what is missing, and which the audit was told. */
bool http_log_reader(struct http *http, const struct principal *principal, bool *all,
                     struct error *error);

#endif
