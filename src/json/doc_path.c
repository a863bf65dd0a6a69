/*
 * Dotted paths, compared as the clients compare them: the path of a member is its name at the top,
 * and below that "<path of the parent>.<name>", but just the name while the parent's path is
 * empty (a client takes an empty path for none). A name may itself hold dots, so a text can be the
 * path of several places; that is how the clients see it, too.
 */
#include "json/doc_internal.h"

/* Length of the joined text. */
static size_t path_length(const struct doc_path *path)
{
    size_t above = path->parent ? path_length(path->parent) : 0;
    return above ? above + 1 + path->name.length : path->name.length;
}

/* From the innermost name backwards; `length` is the path's own, already known to be the text's. */
bool doc_path_equal(const struct doc_path *path, struct span text)
{
    if (path_length(path) != text.length)
        return false;
    size_t left = text.length;
    for (; path; path = path->parent) {
        size_t length = path->name.length;
        if (left < length || memcmp(text.data + left - length, path->name.data, length) != 0)
            return false;
        left -= length;
        if (left == 0)
            return true; /* what is above has an empty path, or the lengths would differ */
        if (text.data[--left] != '.')
            return false;
    }
    return false;
}

bool doc_path_leads_to(const struct doc_path *path, struct span text)
{
    size_t length = path_length(path);
    if (length == 0)
        return true;
    return length < text.length && text.data[length] == '.' &&
           doc_path_equal(path, span_make(text.data, length));
}

bool doc_path_shown(struct span path, const struct span *paths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = paths[i].length;
        /* An empty path names the member "" and all below it, whose paths do not tell. Saying yes
         * too often does no harm: a path to an array that is not there matches nothing. */
        if (length == 0)
            return true;
        size_t common = length < path.length ? length : path.length;
        if (memcmp(paths[i].data, path.data, common) == 0 &&
            (length == path.length || (length < path.length ? path : paths[i]).data[common] == '.'))
            return true;
    }
    return false;
}
