/* The message by which a client says who it is. Its sender is a stranger. */
#include "wire/wire_internal.h"

enum { AUTH_DEPTH = 4, AUTH_VALUES = 64 };

/* Of an object; NULL with an error. */
static char *read_token(const struct doc *doc, uint32_t object, struct error *error)
{
    uint32_t type = doc_member(doc, object, "type"), token = doc_member(doc, object, "token");
    struct buffer text;
    char *taken = NULL;
    if (type == DOC_NONE || !span_equal(doc_text(doc, type), span_of("\"auth\""))) {
        error_set(error, ERROR_TOKEN_MISSING,
                  "the first message here must be {\"type\":\"auth\",\"token\":…}");
        return NULL;
    }
    if (token == DOC_NONE || doc->nodes[token].type != DOC_STRING) {
        error_set(error, ERROR_TOKEN_MISSING, "\"token\" must be a string");
        return NULL;
    }
    buffer_init(&text, doc_text(doc, token).length);
    if (!doc_decode_string(doc, token, &text) || !buffer_string(&text))
        error_set(error, ERROR_MEMORY, "out of memory for a token");
    else if (memchr(text.data, '\0', text.length))
        error_set(error, ERROR_TOKEN_FORMAT, "a token does not hold U+0000");
    else
        taken = buffer_take(&text, NULL);
    buffer_fini(&text);
    return taken;
}

char *wire_auth_read(struct span text, int *version, struct error *error)
{
    struct doc doc;
    struct error cause;
    uint32_t object;
    char *token = NULL;
    *version = 1;
    doc_init(&doc, SIZE_MAX, AUTH_VALUES);
    if (!doc_parse(&doc, text, AUTH_DEPTH, &object, &cause)) {
        error_set(error, cause.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_INVALID_MESSAGE,
                  "the message is not usable JSON");
    } else if (doc.nodes[object].type != DOC_OBJECT) {
        error_set(error, ERROR_INVALID_MESSAGE, "a message must be a JSON object");
    } else {
        *version = wire_message_is_v2(&doc, object) ? 2 : 1;
        token = read_token(&doc, object, error);
    }
    doc_fini(&doc);
    return token;
}
