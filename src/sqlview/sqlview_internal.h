/* Shared by the files of this folder. Calls go down this list. */
#ifndef SQLVIEW_SQLVIEW_INTERNAL_H
#define SQLVIEW_SQLVIEW_INTERNAL_H

#include "sqlview/upkeep.h"

enum { SQL_LIMIT = 4 << 20, LIST_LIMIT = 256 << 20 }; /* bytes of one SQL view; of a list of all */

/* make.c: drop the SQL view of this name, if it is there. */
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
/* text.c: the number of a view's name among the three of its export, or -1; the name of one; and
 * its body. */
enum { SQL_VIEW_STANDARD = 3 };
int sql_view_standard(struct span id);
extern const char *const sql_view_standard_names[]; /* by kind */
void sql_view_standard_text(struct buffer *sql, int kind, uint32_t export_id);

#endif
