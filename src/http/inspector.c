#include "http/inspector.h"

#include "http/content_type.h"
#include "http/explain.h"
#include "http/http_internal.h"
#include "http/parts.h"
#include "http/reading.h"
#include "http/views.h"

static const char folder[] = "/inspector/", api[] = "/v1/", configuration[] = "/config";

static void refuse(struct net_connection *connection, enum error_code code, const char *message,
                   const char *headers)
{
    struct error error;
    error_set(&error, code, "%s", message);
    http_respond_error(connection, &error, headers);
}

/* ---- the files ---- */

/* The page runs its own scripts and asks its own address, and no other page may frame it. Text
 * never becomes markup or code in it, not by a mistake either (trusted types). */
#define POLICY                                                                                     \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "           \
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "                    \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"         \
    "Cross-Origin-Opener-Policy: same-origin\r\n"                                                  \
    "Referrer-Policy: no-referrer\r\n"                                                             \
    "Cache-Control: no-cache\r\n"

static bool is_known(struct net_connection *connection, const struct inspector_file *file)
{
    struct span known = net_header(connection, "if-none-match");
    return known.length && memmem(known.data, known.length, file->tag, strlen(file->tag));
}

/* A browser would keep the connections by which it got the files, several at a time: those of the
 * health address are few. */
static void respond_with_file(struct net_connection *connection, const struct inspector_file *file)
{
    char headers[1024];
    bool known = is_known(connection, file);
    net_stop_keeping(connection);
    snprintf(headers, sizeof headers, "ETag: %s\r\n" POLICY, file->tag);
    struct http_content content = {.status = known ? 304 : 200,
                                   .type = known ? NULL : http_content_type(file->name),
                                   .headers = headers,
                                   .body = span_make(file->bytes, known ? 0 : file->length)};
    http_respond(connection, &content);
}

/* The links of the page are relative to its folder, behind a proxy too. */
static void respond_with_folder(struct net_connection *connection)
{
    struct http_content content = {.status = 301,
                                   .type = "text/plain; charset=utf-8",
                                   .headers = "Location: ./inspector/\r\n" POLICY,
                                   .body = span_of("the inspector is at /inspector/\n")};
    http_respond(connection, &content);
}

static void answer_file(struct net_connection *connection, struct span path)
{
    struct span name = span_make(path.data + strlen(folder), path.length - strlen(folder));
    if (!name.length)
        name = span_of("index.html");
    for (size_t i = 0; i < inspector_file_count; i++)
        if (span_equal(name, span_of(inspector_files[i].name))) {
            respond_with_file(connection, &inspector_files[i]);
            return;
        }
    refuse(connection, ERROR_NOT_FOUND, "the inspector has no such file; it is at /inspector/",
           NULL);
}

/* ---- what it reads ---- */

static void answer_configuration(struct http *http, struct net_connection *connection)
{
    struct principal principal;
    struct error error;
    if (!access_enter(http->frontend->access, connection, PERMISSION_CONFIGURATION, &principal,
                      &error)) {
        http_respond_error(connection, &error, NULL);
        return;
    }
    principal_fini(&principal);
    if (!http->configuration) {
        refuse(connection, ERROR_MEMORY, "out of memory while printing the configuration", NULL);
        return;
    }
    struct http_content content = {.status = 200,
                                   .type = HTTP_JSON,
                                   .headers = "Cache-Control: no-store\r\n",
                                   .body = span_of(http->configuration)};
    http_respond(connection, &content);
}

/* The connections of the health address are few, and health checks need them. */
static bool check_brief(const struct http *http, const struct net_connection *connection,
                        struct span path, struct error *error)
{
    struct http_reading reading;
    struct error ignored;
    bool waits =
        http_reading_read(&reading, net_state(connection).request->query, true, &ignored) &&
        reading.wait;
    return (!waits && !http_views_streams(http, connection, path)) ||
           error_set(error, ERROR_INVALID_PARAMETER,
                     "the health port neither waits for changes nor streams them; use the main "
                     "port");
}

/* False: none of its paths. */
static bool answer_read(struct http *http, struct net_connection *connection, struct span path)
{
    struct error error;
    if (access_guard_reads(http->frontend->access, connection, http->health_address, &error) &&
        check_brief(http, connection, path, &error)) {
        if (!span_equal(path, span_of(configuration)))
            return http_views_part.request(http, connection, path) ||
                   http_history_part.request(http, connection, path) ||
                   http_about_request(&http_explain, http, connection, path) ||
                   http_producers_part.request(http, connection, path);
        answer_configuration(http, connection);
    } else {
        http_respond_error(connection, &error, NULL);
    }
    return true;
}

static bool answer_request(struct http *http, struct net_connection *connection, struct span path)
{
    enum http_method method = net_state(connection).request->method;
    bool is_get = method == HTTP_GET || method == HTTP_HEAD;
    bool is_root = span_equal(path, span_of("/")) || span_equal(path, span_of("/inspector"));
    bool is_file = span_starts_with(path, folder);
    bool is_api = span_starts_with(path, api);
    if (is_api && is_get) {
        counter_add(&http->frontend->counters.http_requests, 1);
        return answer_read(http, connection, path);
    }
    if (!is_root && !is_file && !span_equal(path, span_of(configuration)))
        return false;
    if (!is_get)
        refuse(connection, ERROR_METHOD_NOT_ALLOWED, "the inspector is read by GET or HEAD",
               "Allow: GET, HEAD\r\n");
    else if (is_root)
        respond_with_folder(connection);
    else if (is_file)
        answer_file(connection, path);
    else
        answer_read(http, connection, path);
    return true;
}

const struct http_part http_inspector_part = {.request = answer_request};
