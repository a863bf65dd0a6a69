#include "http/log_reader.h"

static bool lacks(struct error *error, const char *what, const char *name)
{
    return error_set(error, ERROR_SCOPE_MISSING,
                     "the log needs the scope 'admin', or 'read' of all that there is: %s%.128s",
                     what, name);
}

/* ---- what the token may see ---- */

static bool is_star(const char *pattern)
{
    return *pattern && !pattern[strspn(pattern, "*")];
}

static bool sees_all_views(const struct auth_identity *identity, struct error *error)
{
    for (size_t i = 0; i < identity->views.count; i++)
        if (is_star(identity->views.items[i]))
            return true;
    return !identity->has_views || lacks(error, "the token is limited to some views", "");
}

/* A limit of rows is one of what is read at a time, and the log is all of them. */
static bool has_no_limit(const struct limits *limits, const struct auth_identity *identity,
                         struct error *error)
{
    return limits_snapshot_rows(limits, identity) <= 0 ||
           lacks(error, "the rows of an answer to the token are limited (max_snapshot_rows)", "");
}

/* ---- what anybody may see ---- */

/* Whether all of an export is in the view: every row, and every field of it. */
static bool shows_all(const struct view *view, const char *export)
{
    return strcmp(view->export_name, export) == 0 && view->mode == VIEW_LIST && !view->stage &&
           !view->path_count && !view->key_count;
}

static bool is_shown(const struct view_set *views, const char *export)
{
    const struct view *view;
    for (size_t i = 0; (view = view_set_at(views, i)); i++)
        if (shows_all(view, export))
            return true;
    return false;
}

/* No token sees the rows of all scopes: it would have to list them. Exports that the configuration
 * names no more need no look: no change from before another list of exports is told (log-gap). */
static bool hides_nothing(const struct view_set *views, struct error *error)
{
    const struct view_export *export;
    for (size_t i = 0; (export = view_set_export_at(views, i)); i++) {
        if (export->scope)
            return lacks(error, "'row_scopes' decide who sees which rows of ", export->name);
        if (!is_shown(views, export->name))
            return lacks(error, "no list shows all fields of all rows of ", export->name);
    }
    return true;
}

/* ---- the question ---- */

static bool may_read(struct http *http, const struct auth_identity *identity, bool *all,
                     struct error *error)
{
    const struct view_set *views = hub_state(http->frontend->hub).views;
    *all = access_permits(http->frontend->access, identity, PERMISSION_LOG);
    return *all || (sees_all_views(identity, error) &&
                    has_no_limit(access_shown(http->frontend->access)->limits, identity, error) &&
                    hides_nothing(views, error));
}

bool http_log_reader(struct http *http, const struct principal *principal, bool *all,
                     struct error *error)
{
    struct access *access = http->frontend->access;
    struct audit_client client = {.principal = principal, .kind = "http"};
    struct auth_identity *identity = access_hold(access, principal, PERMISSION_CHANGES, error);
    if (!identity)
        return false;
    bool may = may_read(http, identity, all, error);
    auth_identity_release(identity);
    if (!may)
        audit_write(access_shown(access)->audit, AUDIT_DENIED,
                    &(struct audit_details){.client = &client, .error = error});
    return may;
}
