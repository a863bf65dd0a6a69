/* Shared by the files of this folder. Calls go down this list. */
#ifndef SQLVIEW_SQLVIEW_INTERNAL_H
#define SQLVIEW_SQLVIEW_INTERNAL_H

#include "sqlview/upkeep.h"

enum { SQL_LIMIT = 4 << 20, LIST_LIMIT = 256 << 20 }; /* bytes of one SQL view; of a list of all */

/* make.c: note that the SQL view of this id is due in the transaction, by its row in sql_view as
 * it is then; false when out of memory. / Drop the SQL view of this name, if it is there. */
bool sql_view_is_due(struct sql_views *views, struct span id);
bool sql_view_drop(struct sql_views *views, struct span name, struct error *error);

/* rows.c: lists of the table, gathered before any change: texts, each ended by a NUL. */
enum sql_view_list {
    SQL_VIEW_ROW,     /* name and body of the view `id` */
    SQL_VIEW_OTHERS,  /* id, name and body of those whose ids differ from this one by case alone */
    SQL_VIEW_ALL,     /* id, name, body and the number of its export; "": there is none */
    SQL_VIEW_STRAY,   /* name */
    SQL_VIEW_UNEQUAL, /* id, name and body of those whose SQL view differs */
};
bool sql_view_gather(struct sql_views *views, enum sql_view_list which, struct span id,
                     struct buffer *list, struct error *error);
/* The next text of such a list; moves *at. */
struct span sql_view_next(const struct buffer *list, size_t *at);

/* text.c: the number of a view's name among the three of its export, or -1; the name of one; and
 * its body. */
enum { SQL_VIEW_STANDARD = 3 };
int sql_view_standard(struct span id);
const char *sql_view_standard_name(int kind);
void sql_view_standard_text(struct buffer *sql, int kind, uint32_t export_id);

#endif
