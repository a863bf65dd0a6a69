/* Sets of public keys. */
#include "auth/auth_internal.h"

struct auth_keys {
    _Atomic uint32_t references;
    size_t count;
    struct auth_key keys[AUTH_MAX_KEYS];
};

struct auth_keys *auth_keys_new(void)
{
    struct auth_keys *keys = memory_new(sizeof *keys);
    if (keys)
        atomic_init(&keys->references, 1);
    return keys;
}

struct auth_keys *auth_keys_retain(struct auth_keys *keys)
{
    atomic_fetch_add_explicit(&keys->references, 1, memory_order_relaxed);
    return keys;
}

void auth_keys_release(struct auth_keys *keys)
{
    if (!keys || atomic_fetch_sub_explicit(&keys->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < keys->count; i++)
        memory_free(keys->keys[i].id);
    memory_free(keys);
}

size_t auth_keys_count(const struct auth_keys *keys)
{
    return keys->count;
}

const struct auth_key *auth_keys_at(const struct auth_keys *keys, size_t index)
{
    return index < keys->count ? &keys->keys[index] : NULL;
}

const struct auth_key *keys_find(const struct auth_keys *keys, struct span id)
{
    for (size_t i = 0; i < keys->count; i++)
        if (span_equal(span_of(keys->keys[i].id), id))
            return &keys->keys[i];
    return NULL;
}

bool key_is_current(const struct auth_key *key, int64_t now)
{
    return key->ends_at == 0 || now < key->ends_at;
}

void auth_key_id(const unsigned char bytes[AUTH_KEY_BYTES], char id[AUTH_KEY_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < AUTH_KEY_ID_SIZE - 1; i++)
        id[i] = digits[(i % 2 ? bytes[i / 2] : bytes[i / 2] >> 4) & 15];
    id[AUTH_KEY_ID_SIZE - 1] = '\0';
}

/* ---- adding ---- */

/*
 * The encodings of the points of small order, but for the sign bit, which is the top bit of the
 * last byte. Under such a key (one of nothing but zeros, for example) anybody can make signatures.
 */
static bool is_weak(const unsigned char bytes[AUTH_KEY_BYTES])
{
    static const char *const weak[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    unsigned char one[AUTH_KEY_BYTES];
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        hex_decode(span_of(weak[i]), one, sizeof one);
        one[AUTH_KEY_BYTES - 1] |= bytes[AUTH_KEY_BYTES - 1] & 0x80;
        if (memcmp(one, bytes, sizeof one) == 0)
            return true;
    }
    return false;
}

static bool check_id(const struct auth_keys *keys, struct span id, struct error *error)
{
    if (id.length == 0 || id.length > AUTH_MAX_KEY_ID || memchr(id.data, 0, id.length))
        return error_set(error, ERROR_CONFIGURATION, "a kid has 1 to %d bytes and no NUL",
                         AUTH_MAX_KEY_ID);
    if (keys_find(keys, id))
        return error_set(error, ERROR_CONFIGURATION, "there are two keys with the kid \"%.*s\"",
                         (int)id.length, id.data);
    return true;
}

bool keys_add_bytes(struct auth_keys *keys, const unsigned char bytes[AUTH_KEY_BYTES],
                    struct span id, int64_t ends_at, struct error *error)
{
    char own[AUTH_KEY_ID_SIZE];
    auth_key_id(bytes, own);
    if (!id.data)
        id = span_of(own);
    if (is_weak(bytes))
        return error_set(error, ERROR_CONFIGURATION,
                         "the public key %s… is one for which anybody can sign", own);
    if (keys->count == AUTH_MAX_KEYS)
        return error_set(error, ERROR_CONFIGURATION, "there are more than %d keys", AUTH_MAX_KEYS);
    if (!check_id(keys, id, error))
        return false;
    struct auth_key *key = &keys->keys[keys->count];
    *key = (struct auth_key){.id = memory_copy_string(id.data, id.length), .ends_at = ends_at};
    if (!key->id)
        return error_set(error, ERROR_MEMORY, "out of memory while reading keys");
    memcpy(key->bytes, bytes, sizeof key->bytes);
    keys->count++;
    return true;
}

bool auth_keys_add_all(struct auth_keys *keys, const struct auth_keys *others, struct error *error)
{
    for (size_t i = 0; i < others->count; i++) {
        const struct auth_key *other = &others->keys[i];
        const struct auth_key *known = keys_find(keys, span_of(other->id));
        if (known && memcmp(known->bytes, other->bytes, sizeof known->bytes) == 0)
            continue;
        if (!keys_add_bytes(keys, other->bytes, span_of(other->id), other->ends_at, error))
            return false;
    }
    return true;
}
