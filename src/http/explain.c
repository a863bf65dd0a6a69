#include "http/explain.h"

static bool ask(struct hub *hub, const struct hub_read *read, void *own, struct error *error)
{
    (void)own;
    if (read->wanted->key)
        return hub_explain(hub, read, error);
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "'key' is missing: the row that is to be explained");
}

const struct http_about http_explain = {.path = "/v1/explain",
                                        .what = "an explanation",
                                        .missing = "the view to explain a row of, with 'key'",
                                        .uses = "view, key, take, skip, filter, where or sort",
                                        .ask = ask};
