/*
 * The web pages that may reach this server through a browser on its machine. A page of any site can
 * have the browser ask 127.0.0.1. A site can also let a name of its own point there, which makes
 * the answers its own (DNS rebinding). If nobody needs a token, only the browser's own words tell
 * such a request from a program's: the Origin, and the Host that the page asked for.
 */
#include "access/access_internal.h"
#include "access/client_address.h"

#include <strings.h>

/* ---- names of hosts ---- */

/* A Host, or the part of an origin behind its "://", without its port and without a final dot.
 * Borrowed. */
static struct span host_name(struct span host)
{
    const char *bracket = host.length ? memrchr(host.data, ']', host.length) : NULL;
    const char *colon = host.length ? memrchr(host.data, ':', host.length) : NULL;
    if (colon && (!bracket || colon > bracket))
        host.length = (size_t)(colon - host.data);
    if (host.length > 1 && host.data[host.length - 1] == '.')
        host.length--;
    return host;
}

/* Whether it is this machine's own, 127.0.0.0/8 or ::1. */
static bool address_is_loopback(const struct address *address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff}, one[16] = {[15] = 1};
    return memcmp(address->bytes, one, sizeof one) == 0 ||
           (memcmp(address->bytes, mapped, sizeof mapped) == 0 && address->bytes[12] == 127);
}

/* Whether a name or numeric address is this machine's own: localhost, a name that ends with
 * ".localhost", or a loopback address. */
static bool host_is_loopback(struct span name)
{
    struct span local = span_of("localhost");
    struct address address;
    if (name.length > local.length && name.data[name.length - local.length - 1] == '.')
        name = span_make(name.data + name.length - local.length, local.length);
    return (name.length == local.length && strncasecmp(name.data, local.data, local.length) == 0) ||
           (address_parse(&address, name) && address_is_loopback(&address));
}

/* ---- the checks ---- */

/* Whom a listener serves is told by its address: this machine alone, or others. */
static bool is_local(const char *listening)
{
    return *listening && host_is_loopback(host_name(span_of(listening)));
}

static bool check_host(const struct access_rules *rules, struct span host, bool guarded,
                       struct error *error)
{
    struct span name = host_name(host);
    if (!host.data || host_names_have(rules->hosts, name) ||
        (guarded ? host_is_loopback(name) : !rules->hosts))
        return true;
    return error_set(error, ERROR_HOST,
                     "the request asks for host '%.*s', which is not this server's name; if it is, "
                     "list it in allowed_hosts",
                     (int)(name.length < 128 ? name.length : 128), name.data);
}

bool access_is_local_origin(struct span origin)
{
    const char *mark = origin.length ? memmem(origin.data, origin.length, "://", 3) : NULL;
    if (!mark)
        return false;
    size_t scheme = (size_t)(mark + 3 - origin.data);
    return host_is_loopback(host_name(span_make(mark + 3, origin.length - scheme)));
}

/* Listed ones are looked at by access_enter. */
static bool check_origin(const struct access_rules *rules, struct span origin, struct error *error)
{
    if (!origin.data || rules->origin_count || access_is_local_origin(origin))
        return true;
    return error_set(error, ERROR_ORIGIN_MISMATCH,
                     "pages of '%.*s' may not use a server without authentication on this machine; "
                     "list the origin in allowed_origins, or configure auth",
                     (int)(origin.length < 128 ? origin.length : 128), origin.data);
}

static void tell(struct access *access, const struct net_connection *connection,
                 const struct error *error)
{
    char room[ACCESS_ORIGIN_BYTES];
    struct principal stranger = {.identity = NULL};
    struct error ignored;
    struct span origin;
    client_address(&access->shown.limits->rules, connection, stranger.address);
    bool has_origin = access_read_origin(connection, room, &origin, &ignored) && origin.data;
    struct audit_client client = {&stranger, has_origin ? room : NULL, "http"};
    audit_write(&access->audit, AUDIT_DENIED,
                &(struct audit_details){.client = &client, .error = error});
}

bool access_guard(struct access *access, const struct net_connection *connection,
                  const char *listening, struct error *error)
{
    const struct access_rules *rules = access->rules;
    bool guarded = rules->auth.mode == CONFIG_AUTH_NONE && is_local(listening);
    if (check_host(rules, net_header(connection, "host"), guarded, error) &&
        (!guarded || check_origin(rules, net_header(connection, "origin"), error)))
        return true;
    tell(access, connection, error);
    return false;
}

/* A proxy on this machine may stand between: it can lead others to this port that do not reach the
 * main one. */
static bool came_by_proxy(const struct access *access, const struct net_connection *connection)
{
    static const char *const names[] = {
        "forwarded", "via",         "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
        "x-real-ip", "x-client-ip", "true-client-ip",  "cf-connecting-ip"};
    const char *own = access->shown.limits->rules.proxy_header;
    /* nginx speaks HTTP/1.0 to a server behind it, unless it is told otherwise. */
    bool found =
        net_state(connection).request->minor == 0 || (own && net_header(connection, own).data);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        found = found || net_header(connection, names[i]).data;
    return found;
}

bool access_guard_reads(struct access *access, const struct net_connection *connection,
                        const char *listening, struct error *error)
{
    bool needs_token = access->rules->auth.mode != CONFIG_AUTH_NONE;
    if (needs_token || (is_local(listening) && !came_by_proxy(access, connection)))
        return true;
    error_set(
        error, ERROR_SCOPE_MISSING,
        "without authentication a health port that others reach, or a proxy, gives neither "
        "rows, clients nor the configuration; have it listen on loopback and ask it there, or "
        "configure auth");
    tell(access, connection, error);
    return false;
}
