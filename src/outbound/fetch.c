#include "outbound/fetch.h"

#include "outbound/outbound_internal.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

enum { POLL_MS = 100, TOKEN_LIMIT = 16 * 1024 };

struct fetch {
    CURLM *multi;
    char *ca_file;
    char reason[CURL_ERROR_SIZE];
};

/* A request under way. */
struct taking {
    const struct fetch_request *request;
    struct fetch_answer *answer;
    CURL *easy;
    size_t problem_length;
    bool refused; /* `take` was false */
};

/* ---- shared with outbound.c ---- */

/* Once for the process, for ever: libcurl may be in use by the host program, too. */
static void set_up_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void outbound_set_up(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_library);
}

bool outbound_configure(CURL *easy, const char *ca_file)
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

/* ---- the answer ---- */

static void note_head(struct taking *taking)
{
    struct fetch_answer *answer = taking->answer;
    long status = 0;
    curl_off_t length = -1;
    if (answer->status)
        return;
    curl_easy_getinfo(taking->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(taking->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    answer->status = (int)status;
    answer->length = length;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *argument)
{
    struct taking *taking = argument;
    size_t count = one * length;
    note_head(taking);
    if (taking->answer->status == 200) {
        taking->refused =
            !taking->request->take(taking->request->argument, span_make(bytes, count));
        return taking->refused ? 0 : count;
    }
    size_t left = FETCH_PROBLEM - 1 - taking->problem_length;
    size_t kept = count < left ? count : left;
    memcpy(taking->answer->problem + taking->problem_length, bytes, kept);
    taking->problem_length += kept;
    return count;
}

/* "Name: value" of one line. */
static void take_header(const char *line, size_t length, const char *name, char out[FETCH_HEADER])
{
    size_t start = strlen(name);
    if (length < start || strncasecmp(line, name, start) != 0)
        return;
    while (start < length && line[start] == ' ')
        start++;
    while (length > start && (unsigned char)line[length - 1] <= ' ')
        length--;
    snprintf(out, FETCH_HEADER, "%.*s", (int)(length - start), line + start);
}

static size_t on_header(char *line, size_t one, size_t length, void *argument)
{
    struct taking *taking = argument;
    take_header(line, one * length, "stele-cursor:", taking->answer->cursor);
    take_header(line, one * length, "stele-sha-256:", taking->answer->sha256);
    return one * length;
}

/* ---- a request ---- */

static struct curl_slist *headers_of(const struct fetch_request *request)
{
    struct buffer line;
    struct curl_slist *headers = NULL;
    if (!request->token || !*request->token)
        return NULL;
    buffer_init(&line, TOKEN_LIMIT);
    buffer_printf(&line, "Authorization: Bearer %s", request->token);
    if (buffer_string(&line))
        headers = curl_slist_append(NULL, buffer_string(&line));
    buffer_fini(&line);
    return headers;
}

static bool configure(struct fetch *fetch, struct taking *taking, struct curl_slist *headers)
{
    const struct fetch_request *request = taking->request;
    CURL *easy = taking->easy;
    return outbound_configure(easy, fetch->ca_file) &&
           !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->reason) &&
           !curl_easy_setopt(easy, CURLOPT_URL, request->url) &&
           !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           !curl_easy_setopt(easy, CURLOPT_USERAGENT, "stele/" STELE_VERSION) &&
           !curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) &&
           !curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms) &&
           !curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L) &&
           !curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)request->silent_s) &&
           !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) &&
           !curl_easy_setopt(easy, CURLOPT_WRITEDATA, taking) &&
           !curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) &&
           !curl_easy_setopt(easy, CURLOPT_HEADERDATA, taking);
}

/* Until it is done; CURLE_ABORTED_BY_CALLBACK: it is not wanted any more. */
static CURLcode perform(struct fetch *fetch, const struct fetch_request *request)
{
    int running = 1, left;
    CURLMsg *message;
    for (;;) {
        curl_multi_perform(fetch->multi, &running);
        message = curl_multi_info_read(fetch->multi, &left);
        if (message)
            return message->data.result;
        if (!running || (request->give_up && atomic_load(request->give_up)))
            return CURLE_ABORTED_BY_CALLBACK;
        curl_multi_poll(fetch->multi, NULL, 0, POLL_MS, NULL);
    }
}

static bool judge(const struct fetch *fetch, struct taking *taking, CURLcode code,
                  struct error *error)
{
    const char *url = taking->request->url;
    int shown = (int)strcspn(url, "?#");
    note_head(taking);
    *error = (struct error){.code = ERROR_NONE};
    if (taking->refused || code == CURLE_ABORTED_BY_CALLBACK)
        return error_set(error, ERROR_SHUTTING_DOWN, "given up");
    if (code == CURLE_OUT_OF_MEMORY)
        return error_set(error, ERROR_MEMORY, "out of memory for a request");
    if (code != CURLE_OK)
        return error_set(error, ERROR_NETWORK, "%.*s: %s", shown, url,
                         fetch->reason[0] ? fetch->reason : curl_easy_strerror(code));
    return taking->answer->status == 200;
}

bool fetch_get(struct fetch *fetch, const struct fetch_request *request,
               struct fetch_answer *answer, struct error *error)
{
    *answer = (struct fetch_answer){.length = -1};
    struct taking taking = {.request = request, .answer = answer, .easy = curl_easy_init()};
    struct curl_slist *headers = headers_of(request);
    bool has_token = request->token && *request->token, done = false;
    fetch->reason[0] = '\0';
    if (taking.easy && (headers || !has_token) && configure(fetch, &taking, headers) &&
        curl_multi_add_handle(fetch->multi, taking.easy) == CURLM_OK) {
        done = judge(fetch, &taking, perform(fetch, request), error);
        curl_multi_remove_handle(fetch->multi, taking.easy);
    } else {
        error_set(error, ERROR_MEMORY, "out of memory for a request");
    }
    curl_easy_cleanup(taking.easy);
    curl_slist_free_all(headers);
    return done;
}

/* ---- its life ---- */

struct fetch *fetch_open(const char *ca_file, struct error *error)
{
    outbound_set_up();
    struct fetch *fetch = memory_new(sizeof *fetch);
    if (fetch) {
        fetch->multi = curl_multi_init();
        fetch->ca_file = ca_file ? memory_copy_string(ca_file, strlen(ca_file)) : NULL;
    }
    if (fetch && fetch->multi && !fetch->ca_file == !ca_file)
        return fetch;
    fetch_close(fetch);
    error_set(error, ERROR_MEMORY, "out of memory for requests");
    return NULL;
}

void fetch_close(struct fetch *fetch)
{
    if (!fetch)
        return;
    if (fetch->multi)
        curl_multi_cleanup(fetch->multi);
    memory_free(fetch->ca_file);
    memory_free(fetch);
}
