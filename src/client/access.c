#include "client/access.h"

#include "auth/certificate.h"

#include <ctype.h>
#include <fcntl.h>

enum {
    DEFAULT_PORT = 8877,
    SECURE_PORT = 443, /* where the proxy is, as every other client takes it */
    AUTHORITIES_LIMIT = 4 * 1024 * 1024
};

/* ---- the URL ---- */

static bool bad_url(struct error *error, const char *url, const char *why)
{
    return error_set(error, ERROR_INVALID_PARAMETER,
                     "\"%.200s\" %s; expected ws://HOST:PORT or wss://HOST:PORT", url, why);
}

static bool parse_port(struct client_target *target, const char *digits, size_t length)
{
    target->port = 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)digits[i]) || target->port > 65535)
            return false;
        target->port = target->port * 10 + (digits[i] - '0');
    }
    return target->port > 0 && target->port <= 65535;
}

/* Past "ws://" and its like; NULL for anything else. */
static const char *parse_scheme(struct client_target *target, const char *url)
{
    static const struct {
        const char *text;
        bool secure;
    } schemes[] = {{"ws://", false}, {"wss://", true}, {"http://", false}, {"https://", true}};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i].text);
        if (strncmp(url, schemes[i].text, length) == 0) {
            target->secure = schemes[i].secure;
            target->port = target->secure ? SECURE_PORT : DEFAULT_PORT;
            return url + length;
        }
    }
    return NULL;
}

bool client_target_parse(struct client_target *target, const char *url, const char *otherwise,
                         struct error *error)
{
    *target = (struct client_target){0};
    const char *host = parse_scheme(target, url);
    if (!host)
        return bad_url(error, url, "is not a ws:// URL");
    const char *path = strchr(host, '/');
    size_t length = path ? (size_t)(path - host) : strlen(host);
    size_t name;
    if (host[0] == '[') { /* an IPv6 address has colons of its own */
        const char *bracket = memchr(host, ']', length);
        name = bracket ? (size_t)(bracket - host) + 1 : 0;
    } else {
        const char *colon = memchr(host, ':', length);
        name = colon ? (size_t)(colon - host) : length;
    }
    if (name == 0 || name >= sizeof(target->host))
        return bad_url(error, url, "names no host");
    if (name < length &&
        (host[name] != ':' || !parse_port(target, host + name + 1, length - name - 1)))
        return bad_url(error, url, "has no usable port");
    bool bracketed = host[0] == '[';
    /* Libwebsockets cuts what it compares the certificate with at the first colon. */
    if (bracketed && target->secure)
        return bad_url(error, url, "has an IPv6 address, which cannot be checked; use a name");
    memcpy(target->host, host + bracketed, bracketed ? name - 2 : name);
    bool given = path && path[1] != '\0';
    if (strlen(given ? path : otherwise) >= sizeof(target->path))
        return bad_url(error, url, "is too long");
    strcpy(target->path, given ? path : otherwise);
    return true;
}

/* ---- the token ---- */

/* It must be fit for a header: no line of its own, nothing that is not visible. */
bool client_token_read(const struct client_access *access, struct buffer *token,
                       struct error *error)
{
    const char *source = access->token_file ? access->token_file : "STELE_TOKEN";
    buffer_clear(token);
    if (access->token_file && !file_read(AT_FDCWD, access->token_file, token, error))
        return error_prefix(error, "token file %s", source);
    if (!access->token_file && access->token)
        buffer_add_string(token, access->token);
    while (token->length && isspace((unsigned char)token->data[token->length - 1]))
        token->length--;
    for (size_t i = 0; i < token->length; i++)
        if (token->data[i] <= ' ' || token->data[i] > '~')
            return error_set(error, ERROR_CONFIGURATION, "%s holds more than one token", source);
    if (token->failed || (access->token_file && !token->length))
        return error_set(error, ERROR_CONFIGURATION, "%s holds no token of 1 to %d bytes", source,
                         (int)CLIENT_TOKEN_LIMIT);
    return true;
}

/* ---- the authorities ---- */

bool client_check_authorities(const char *path, struct error *error)
{
    struct buffer pem;
    struct certificate *authorities = NULL;
    buffer_init(&pem, AUTHORITIES_LIMIT);
    if (file_read(AT_FDCWD, path, &pem, error))
        authorities = certificate_new(buffer_span(&pem), error);
    buffer_fini(&pem);
    certificate_free(authorities);
    return authorities || error_prefix(error, "file %s", path);
}
