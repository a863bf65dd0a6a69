/* The keys in force, and what is said of them. */
#include "access/access_internal.h"

bool access_join_keys(struct access *access, const struct auth_keys *fetched, struct error *error)
{
    struct auth_keys *keys = auth_keys_new();
    bool good = keys && auth_keys_add_all(keys, access->rules->credentials.keys, error) &&
                (!fetched || auth_keys_add_all(keys, fetched, error));
    if (!keys)
        error_set(error, ERROR_MEMORY, "out of memory for keys");
    if (good) {
        auth_keys_release(access->keys);
        access->keys = auth_keys_retain(keys);
    }
    auth_keys_release(keys);
    return good;
}

bool access_same_keys(const struct auth_keys *a, const struct auth_keys *b)
{
    struct buffer first, second;
    buffer_init(&first, SIZE_MAX);
    buffer_init(&second, SIZE_MAX);
    bool same = auth_keys_print_jwks(a, &first) && auth_keys_print_jwks(b, &second) &&
                span_equal(buffer_span(&first), buffer_span(&second));
    buffer_fini(&first);
    buffer_fini(&second);
    return same;
}

void access_tell_keys(struct access *access, const char *source, const struct auth_keys *keys)
{
    struct buffer kids;
    buffer_init(&kids, 64 * 1024);
    for (size_t i = 0; auth_keys_at(keys, i); i++) {
        buffer_add_string(&kids, i ? " " : "");
        buffer_add_string(&kids, auth_keys_at(keys, i)->id);
    }
    const char *text = buffer_string(&kids);
    /* A URL may have something secret in its query. */
    char *shown = memory_copy_string(source, strcspn(source, "?"));
    audit_keys_changed(&access->audit, shown ? shown : "", keys, text ? text : "");
    memory_free(shown);
    buffer_fini(&kids);
}

void access_tell_rules(struct access *access, const struct access_rules *old)
{
    const struct auth_keys *keys = access->rules->credentials.keys;
    const struct auth_keys *before = old ? old->credentials.keys : NULL;
    bool same = before ? access_same_keys(before, keys) : auth_keys_count(keys) == 0;
    if (!same)
        access_tell_keys(access, "configuration", keys);
}
