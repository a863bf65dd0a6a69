/* The events of a row's history on standard output: as lines of JSON, or for people. */
#ifndef CLI_HISTORY_PRINT_H
#define CLI_HISTORY_PRINT_H

#include "view/view.h"
#include "json/json.h"

struct history_print {
    bool as_json;
    bool begun; /* the head of the table was printed */
};

/* Print a list of events. *count grows by their number; no more than `most` of all are printed. */
void history_print_list(struct history_print *print, const struct doc *doc, uint32_t events,
                        int64_t most, int64_t *count);
/* The same of JSON objects with commas between them. */
bool history_print_events(struct history_print *print, struct span events, int64_t most,
                          int64_t *count, struct error *error);

/* Print the row of a key as it was at a position, as the view shows it (NULL: as it is); absent: it
 * was not there. */
bool history_print_row(struct history_print *print, const struct view *view, struct span key,
                       struct span row, int64_t at, struct error *error);

/* Print one of several rows, with its key, as a line of JSON. */
bool history_print_keyed(const struct view *view, struct span key, struct span row,
                         struct error *error);

#endif
