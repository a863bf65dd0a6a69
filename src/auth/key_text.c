/* Public keys as people and other programs write them. */
#include "auth/auth_internal.h"

static struct span trim(struct span text)
{
    static const char space[] = " \t\r\n";
    while (text.length && strchr(space, text.data[text.length - 1]))
        text.length--;
    while (text.length && strchr(space, text.data[0]))
        text = span_make(text.data + 1, text.length - 1);
    return text;
}

static bool is_pem(struct span text)
{
    static const char start[] = "-----BEGIN ";
    return text.length >= strlen(start) && memcmp(text.data, start, strlen(start)) == 0;
}

/* ---- one key ---- */

static bool not_a_key(struct error *error)
{
    return error_set(error, ERROR_CONFIGURATION,
                     "this is no public key of Ed25519: give its 32 bytes as hex or base64, or a "
                     "PEM \"PUBLIC KEY\"");
}

static bool read_base64(struct span text, bool strict, unsigned char bytes[AUTH_KEY_BYTES],
                        bool *ran_out)
{
    struct buffer decoded;
    buffer_init(&decoded, AUTH_MAX_KEY_TEXT);
    bool good = base64_decode(text, strict, &decoded) && decoded.length == AUTH_KEY_BYTES;
    if (good)
        memcpy(bytes, decoded.data, AUTH_KEY_BYTES);
    *ran_out = decoded.failed;
    buffer_fini(&decoded);
    return good;
}

static bool read_key(struct span text, unsigned char bytes[AUTH_KEY_BYTES], struct error *error)
{
    bool ran_out = false;
    text = trim(text);
    if (text.length > AUTH_MAX_KEY_TEXT)
        return not_a_key(error);
    if (is_pem(text)) {
        enum crypto_answer answer = pem_read_public(text, bytes);
        if (answer == CRYPTO_BROKEN)
            return error_set(error, ERROR_MEMORY, "out of memory while reading a key");
        return answer == CRYPTO_GOOD || not_a_key(error);
    }
    if (hex_decode(text, bytes, AUTH_KEY_BYTES) || read_base64(text, false, bytes, &ran_out))
        return true;
    if (ran_out)
        return error_set(error, ERROR_MEMORY, "out of memory while reading a key");
    return not_a_key(error);
}

bool auth_keys_add(struct auth_keys *keys, struct span text, struct span id, int64_t ends_at,
                   struct error *error)
{
    unsigned char bytes[AUTH_KEY_BYTES];
    return read_key(text, bytes, error) && keys_add_bytes(keys, bytes, id, ends_at, error);
}

/* ---- the configuration's list ---- */

static bool add_object(struct auth_keys *keys, const struct tree *object, struct error *error)
{
    static const char *const known[] = {"key", "kid", "ends_at", NULL};
    struct members members = {object, ERROR_CONFIGURATION, error};
    int64_t ends_at = 0;
    if (!member_only(&members, known) || !member_end(&members, "ends_at", &ends_at))
        return false;
    const struct tree *key = member_find(&members, "key"), *id = member_find(&members, "kid");
    if (!key || tree_type(key) != TREE_STRING)
        return member_wrong(&members, "key", "a public key as a text");
    if (id && tree_type(id) != TREE_STRING)
        return member_wrong(&members, "kid", "a text");
    return auth_keys_add(keys, tree_string(key), id ? tree_string(id) : span_make(NULL, 0), ends_at,
                         error);
}

static bool add_item(struct auth_keys *keys, const struct tree *item, struct error *error)
{
    if (tree_type(item) == TREE_STRING)
        return auth_keys_add(keys, tree_string(item), span_make(NULL, 0), 0, error);
    if (tree_type(item) == TREE_OBJECT)
        return add_object(keys, item, error);
    return error_set(error, ERROR_CONFIGURATION, "a key is a text or an object with `key`");
}

bool auth_keys_add_list(struct auth_keys *keys, const struct tree *list, struct error *error)
{
    if (tree_type(list) != TREE_ARRAY)
        return error_set(error, ERROR_CONFIGURATION, "keys come as an array");
    for (size_t i = 0; i < tree_count(list); i++)
        if (!add_item(keys, tree_element(list, i), error))
            return error_prefix(error, "key %zu", i + 1);
    return true;
}

/* ---- JWKS ---- */

static bool text_is(const struct tree *object, const char *name, const char *text)
{
    const struct tree *value = tree_member(object, name);
    return value && tree_type(value) == TREE_STRING &&
           span_equal(tree_string(value), span_of(text));
}

static bool absent_or(const struct tree *object, const char *name, const char *text)
{
    return !tree_member(object, name) || text_is(object, name, text);
}

/* Some issuers leave `crv` out; a key of another curve has another length or another use. */
static bool is_ours(const struct tree *key)
{
    return tree_type(key) == TREE_OBJECT && text_is(key, "kty", "OKP") &&
           absent_or(key, "crv", "Ed25519") && absent_or(key, "use", "sig") &&
           (absent_or(key, "alg", "EdDSA") || text_is(key, "alg", "Ed25519"));
}

static bool add_jwk(struct auth_keys *keys, const struct tree *key, struct error *error)
{
    unsigned char bytes[AUTH_KEY_BYTES];
    bool ran_out = false;
    struct members members = {key, ERROR_CONFIGURATION, error};
    const struct tree *x = member_find(&members, "x"), *id = member_find(&members, "kid");
    if (id && tree_type(id) != TREE_STRING)
        return member_wrong(&members, "kid", "a text");
    if (!x || tree_type(x) != TREE_STRING || !read_base64(tree_string(x), true, bytes, &ran_out))
        return ran_out ? error_set(error, ERROR_MEMORY, "out of memory while reading keys")
                       : member_wrong(&members, "x", "32 bytes as base64url");
    return keys_add_bytes(keys, bytes, id ? tree_string(id) : span_make(NULL, 0), 0, error);
}

static bool add_set(struct auth_keys *keys, const struct tree *set, struct error *error)
{
    const struct tree *list = tree_type(set) == TREE_OBJECT ? tree_member(set, "keys") : NULL;
    if (!list || tree_type(list) != TREE_ARRAY)
        return error_set(error, ERROR_CONFIGURATION, "a JWKS is an object with an array of `keys`");
    for (size_t i = 0; i < tree_count(list); i++) {
        const struct tree *key = tree_element(list, i);
        if (is_ours(key) && !add_jwk(keys, key, error))
            return error_prefix(error, "key %zu", i + 1);
    }
    return true;
}

bool auth_keys_add_jwks(struct auth_keys *keys, struct span json, struct error *error)
{
    if (json.length > AUTH_MAX_JWKS_BYTES)
        return error_set(error, ERROR_CONFIGURATION, "a JWKS of more than %d bytes is not read",
                         AUTH_MAX_JWKS_BYTES);
    struct error cause;
    struct tree *set = tree_parse(json, &cause);
    /* The cause would quote the text, in which somebody may have put a private key. */
    if (!set)
        return cause.code == ERROR_MEMORY
                   ? error_set(error, ERROR_MEMORY, "out of memory while reading keys")
                   : error_set(error, ERROR_CONFIGURATION, "the JWKS is not valid JSON");
    bool done = add_set(keys, set, error);
    tree_free(set);
    return done;
}

bool auth_print_public(const unsigned char bytes[AUTH_KEY_BYTES], struct buffer *out)
{
    return base64_encode(span_make((const char *)bytes, AUTH_KEY_BYTES), out);
}

bool auth_keys_print_jwks(const struct auth_keys *keys, struct buffer *out)
{
    buffer_add_string(out, "{\"keys\":[");
    for (size_t i = 0; i < auth_keys_count(keys); i++) {
        const struct auth_key *key = auth_keys_at(keys, i);
        buffer_add_string(out, i ? "," : "");
        buffer_add_string(out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"sig\","
                               "\"alg\":\"EdDSA\",\"kid\":");
        doc_escape(out, span_of(key->id));
        buffer_add_string(out, ",\"x\":\"");
        auth_print_public(key->bytes, out);
        buffer_add_string(out, "\"}");
    }
    return buffer_add_string(out, "]}");
}
