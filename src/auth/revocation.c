/* The revoked jti, as the loop looks them up. */
#include "auth/auth_internal.h"

struct auth_revocation {
    char *token_id;
    int64_t expires_at; /* the end of its token; 0: never */
    int64_t revoked_at;
};

static struct span id_of(const void *value)
{
    return span_of(((const struct auth_revocation *)value)->token_id);
}

struct auth_revocations *auth_revocations_new(void)
{
    struct auth_revocations *revocations = memory_new(sizeof *revocations);
    if (revocations)
        map_init(&revocations->map, id_of);
    return revocations;
}

static void free_one(struct auth_revocation *revocation)
{
    memory_free(revocation->token_id);
    memory_free(revocation);
}

void auth_revocations_free(struct auth_revocations *revocations)
{
    size_t position = 0;
    struct auth_revocation *each;
    if (!revocations)
        return;
    while ((each = map_next(&revocations->map, &position)))
        free_one(each);
    map_fini(&revocations->map);
    memory_free(revocations);
}

bool auth_revocations_add(struct auth_revocations *revocations, struct span token_id,
                          int64_t expires_at, int64_t revoked_at)
{
    struct auth_revocation *known = map_get(&revocations->map, token_id);
    if (known) {
        if (known->expires_at && (!expires_at || expires_at > known->expires_at))
            known->expires_at = expires_at;
        return true;
    }
    struct auth_revocation *made = memory_new(sizeof *made);
    if (!made)
        return false;
    *made = (struct auth_revocation){.token_id = memory_copy_string(token_id.data, token_id.length),
                                     .expires_at = expires_at,
                                     .revoked_at = revoked_at};
    if (made->token_id && map_add(&revocations->map, made))
        return true;
    free_one(made);
    return false;
}

bool auth_revocations_trim(struct auth_revocations *revocations, int64_t now)
{
    size_t position = 0, before = revocations->map.count;
    struct auth_revocation *each;
    while ((each = map_next(&revocations->map, &position))) {
        if (!each->expires_at || now < each->expires_at)
            continue;
        map_remove(&revocations->map, id_of(each));
        free_one(each);
    }
    return revocations->map.count < before;
}

bool auth_is_revoked(const struct auth_revocations *revocations, struct span token_id)
{
    return map_get(&revocations->map, token_id) != NULL;
}
