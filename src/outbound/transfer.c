/* One outgoing request: what libcurl is told, and what becomes of its answer. */
#include "outbound/outbound_internal.h"

enum { HEADER_LIMIT = 64 * 1024, TOKEN_LIMIT = 16 * 1024 };

/* ---- its life ---- */

static char *copy(const char *text)
{
    return memory_copy_string(text, strlen(text));
}

struct outbound_transfer *outbound_transfer_new(const struct outbound_request *request)
{
    struct outbound_transfer *it = memory_new(sizeof *it);
    if (!it)
        return NULL;
    link_init(&it->in_running);
    buffer_init(&it->answer.body, request->max_bytes);
    it->url = copy(request->url);
    it->content_type = request->content_type ? copy(request->content_type) : NULL;
    it->token = request->token ? copy(request->token) : NULL;
    it->method = request->method ? copy(request->method) : NULL;
    it->posts = request->body.data != NULL;
    it->body = it->posts ? memory_copy_string(request->body.data, request->body.length) : NULL;
    it->body_length = request->body.length;
    it->connect_ms = request->connect_ms;
    it->total_ms = request->total_ms;
    it->done = request->done;
    it->argument = request->argument;
    if (it->url && (it->content_type || !request->content_type) && (it->token || !request->token) &&
        (it->method || !request->method) && (it->body || !it->posts))
        return it;
    outbound_transfer_free(it);
    return NULL;
}

void outbound_transfer_free(struct outbound_transfer *transfer)
{
    memory_free(transfer->url);
    memory_free(transfer->content_type);
    memory_free(transfer->token);
    memory_free(transfer->method);
    memory_free(transfer->body);
    buffer_fini(&transfer->answer.body);
    memory_free(transfer);
}

struct span outbound_shown_url(const char *url)
{
    return span_make(url, strcspn(url, "?#"));
}

/* ---- the answer ---- */

static size_t on_body(char *bytes, size_t one, size_t length, void *argument)
{
    struct outbound_transfer *it = argument;
    return buffer_add(&it->answer.body, bytes, one * length) ? length : 0;
}

/* They are not kept, but libcurl would go on reading headers for as long as there are any. */
static size_t on_header(char *bytes, size_t one, size_t length, void *argument)
{
    struct outbound_transfer *it = argument;
    (void)bytes;
    it->header_bytes += one * length;
    return it->header_bytes <= HEADER_LIMIT ? length : 0;
}

static void take_answer(struct outbound_transfer *it)
{
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(it->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(it->easy, CURLINFO_RETRY_AFTER, &retry_after);
    it->answer.status = (int)status;
    it->answer.retry_after = retry_after;
}

static void fail(struct outbound_transfer *it, CURLcode code)
{
    struct span url = outbound_shown_url(it->url);
    struct error *error = &it->answer.error;
    int shown = (int)url.length;
    if (code == CURLE_OUT_OF_MEMORY)
        error_set(error, ERROR_MEMORY, "out of memory for a request to %.*s", shown, url.data);
    else if (code == CURLE_WRITE_ERROR && it->answer.body.failed)
        error_set(error, ERROR_TOO_LARGE, "%.*s answers more than %zu bytes", shown, url.data,
                  it->answer.body.limit);
    else if (code == CURLE_WRITE_ERROR)
        error_set(error, ERROR_TOO_LARGE, "%.*s answers more than %d bytes of headers", shown,
                  url.data, HEADER_LIMIT);
    else
        error_set(error, ERROR_NETWORK, "%.*s: %s", shown, url.data,
                  it->reason[0] ? it->reason : curl_easy_strerror(code));
}

void outbound_transfer_result(struct outbound_transfer *transfer, CURLcode code)
{
    if (code == CURLE_OK)
        take_answer(transfer);
    else
        fail(transfer, code);
}

/* ---- the request ---- */

static bool add_header(struct outbound_transfer *it, const char *name, const char *value)
{
    struct buffer line;
    buffer_init(&line, TOKEN_LIMIT);
    buffer_printf(&line, "%s%s", name, value);
    const char *text = buffer_string(&line);
    struct curl_slist *longer = text ? curl_slist_append(it->headers, text) : NULL;
    if (longer)
        it->headers = longer;
    buffer_fini(&line);
    return longer != NULL;
}

/* Without "Expect:" libcurl would wait a second for leave to send a large body. */
static bool add_headers(struct outbound_transfer *it)
{
    return add_header(it, "Expect:", "") &&
           (!it->token || add_header(it, "Authorization: Bearer ", it->token)) &&
           (!it->content_type || add_header(it, "Content-Type: ", it->content_type));
}

static bool configure_safety(CURL *easy, const char *ca_file)
{
    /* NOSIGNAL: time-outs without SIGALRM. QUICK_EXIT: a name that is being looked up is not waited
     * for at a stop. An empty proxy is none, whatever the environment names. */
    return !curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) &&
           !curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) &&
           !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
           !curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) &&
           !curl_easy_setopt(easy, CURLOPT_PROXY, "") &&
           !curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
           !curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) &&
           !curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) &&
           !curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           (!ca_file || !curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file));
}

static bool configure(struct outbound_transfer *it, const char *ca_file)
{
    CURL *easy = it->easy;
    return configure_safety(easy, ca_file) && add_headers(it) &&
           !curl_easy_setopt(easy, CURLOPT_PRIVATE, it) &&
           !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, it->reason) &&
           !curl_easy_setopt(easy, CURLOPT_URL, it->url) &&
           !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           !curl_easy_setopt(easy, CURLOPT_USERAGENT, "stele/" STELE_VERSION) &&
           !curl_easy_setopt(easy, CURLOPT_HTTPHEADER, it->headers) &&
           !curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)it->connect_ms) &&
           !curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)it->total_ms) &&
           !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) &&
           !curl_easy_setopt(easy, CURLOPT_WRITEDATA, it) &&
           !curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, it->method) &&
           !curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) &&
           !curl_easy_setopt(easy, CURLOPT_HEADERDATA, it) &&
           (!it->posts ||
            (!curl_easy_setopt(easy, CURLOPT_POST, 1L) &&
             !curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)it->body_length) &&
             !curl_easy_setopt(easy, CURLOPT_POSTFIELDS, it->body)));
}

bool outbound_transfer_begin(struct outbound_transfer *transfer, CURLM *multi, const char *ca_file)
{
    transfer->easy = curl_easy_init();
    if (transfer->easy && configure(transfer, ca_file) &&
        curl_multi_add_handle(multi, transfer->easy) == CURLM_OK)
        return true;
    struct span url = outbound_shown_url(transfer->url);
    error_set(&transfer->answer.error, ERROR_MEMORY, "cannot begin a request to %.*s",
              (int)url.length, url.data);
    outbound_transfer_end(transfer, multi);
    return false;
}

void outbound_transfer_end(struct outbound_transfer *transfer, CURLM *multi)
{
    if (transfer->easy) {
        curl_multi_remove_handle(multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    curl_slist_free_all(transfer->headers);
    transfer->easy = NULL;
    transfer->headers = NULL;
}
