/*
 * Connecting again is ours: libnats would try one address after the other before it returns, and
 * each may take NATS_ASK_MS.
 */
#include "follow/connection_nats.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    TRY_MS = 500,   /* for the first answer on a connection; */
    PATIENT = 4,    /* ... at each fourth one as long as for others */
    PING_MS = 2000, /* a broker that does not answer two of these is gone */
    PINGS = 2
};

bool nats_is_connected(const struct nats_place *place)
{
    return place->connection &&
           natsConnection_Status(place->connection) == NATS_CONN_STATUS_CONNECTED;
}

static char *copy(const char *text)
{
    return text ? memory_copy_string(text, strlen(text)) : NULL;
}

static bool is_readable(const char *path, const char *setting, struct error *error)
{
    return !path || access(path, R_OK) == 0 ||
           error_set(error, ERROR_CONFIGURATION, "setting \"log.%s\": cannot read %.200s: %s",
                     setting, path, strerror(errno));
}

bool nats_place_init(struct nats_place *place, const struct follow_options *options,
                     struct error *error)
{
    const char *credentials = options->credentials_file, *ca = options->ca_file;
    *place = (struct nats_place){.nats = copy(options->nats),
                                 .stream = copy(options->stream),
                                 .credentials_file = copy(credentials),
                                 .ca_file = copy(ca),
                                 /* not all nodes begin at the same broker */
                                 .attempts = clock_monotonic_us()};
    if (!is_readable(credentials, "credentials_file", error) || !is_readable(ca, "ca_file", error))
        return false;
    return (place->nats && place->stream && !place->credentials_file == !credentials &&
            !place->ca_file == !ca) ||
           error_set(error, ERROR_MEMORY, "out of memory while opening the log");
}

void nats_disconnect(struct nats_place *place)
{
    jsCtx_Destroy(place->context);
    natsConnection_Destroy(place->connection);
    place->context = NULL;
    place->connection = NULL;
}

void nats_place_fini(struct nats_place *place)
{
    nats_disconnect(place);
    memory_free(place->nats);
    memory_free(place->stream);
    memory_free(place->credentials_file);
    memory_free(place->ca_file);
}

bool nats_failed(const struct nats_place *place, const char *what, natsStatus status,
                 struct error *error)
{
    return error_set(error, ERROR_NETWORK, "%s the log at %.200s: %s", what, place->nats,
                     natsStatus_GetText(status));
}

/* The one of the addresses whose turn it is, in a copy. */
static char *find_address(const struct nats_place *place)
{
    static const char marks[] = ", ";
    size_t count = 0, turn, length = 0;
    const char *at;
    for (at = place->nats; *(at += strspn(at, marks)); at += strcspn(at, marks))
        count++;
    turn = count ? (size_t)(place->attempts % count) : 0;
    for (at = place->nats; *(at += strspn(at, marks)); at += length) {
        length = strcspn(at, marks);
        if (turn-- == 0)
            break;
    }
    return memory_copy_string(at, length);
}

/* Certificates are verified, and so is the name in the address, which libnats does not everywhere
 * by itself. */
static natsStatus set_tls(const struct nats_place *place, const char *address, natsOptions *options)
{
    static const char scheme[] = "tls://";
    if (strncmp(address, scheme, sizeof scheme - 1) != 0)
        return NATS_OK;
    const char *host = address + sizeof scheme - 1, *port = strrchr(host, ':');
    char *name = memory_copy_string(host, port ? (size_t)(port - host) : strlen(host));
    natsStatus status = name ? natsOptions_SetSecure(options, true) : NATS_NO_MEMORY;
    if (status == NATS_OK)
        status = natsOptions_SetExpectedHostname(options, name);
    memory_free(name);
    if (status == NATS_OK && place->ca_file)
        status = natsOptions_LoadCATrustedCertificates(options, place->ca_file);
    return status;
}

static natsStatus set_options(const struct nats_place *place, natsOptions *options)
{
    char *address = find_address(place);
    natsStatus status = address ? natsOptions_SetURL(options, address) : NATS_NO_MEMORY;
    if (status == NATS_OK)
        status = set_tls(place, address, options);
    memory_free(address);
    if (status == NATS_OK && place->credentials_file)
        status = natsOptions_SetUserCredentialsFromFiles(options, place->credentials_file, NULL);
    if (status == NATS_OK)
        status = natsOptions_SetName(options, "stele");
    if (status == NATS_OK)
        status = natsOptions_SetTimeout(options, NATS_ASK_MS);
    if (status == NATS_OK)
        status = natsOptions_SetAllowReconnect(options, false);
    if (status == NATS_OK)
        status = natsOptions_SetWriteDeadline(options, NATS_ASK_MS);
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(options, PING_MS);
    return status == NATS_OK ? natsOptions_SetMaxPingsOut(options, PINGS) : status;
}

bool nats_connect(struct nats_place *place, struct error *error)
{
    if (nats_is_connected(place))
        return true;
    nats_disconnect(place);
    natsOptions *options = NULL;
    jsOptions wait;
    jsOptions_Init(&wait);
    wait.Wait = NATS_ASK_MS;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = set_options(place, options);
    place->attempts++;
    place->answered = false;
    if (status == NATS_OK)
        status = natsConnection_Connect(&place->connection, options);
    if (status == NATS_OK)
        status = natsConnection_JetStream(&place->context, place->connection, &wait);
    natsOptions_Destroy(options);
    if (status == NATS_OK)
        return true;
    nats_disconnect(place);
    return nats_failed(place, "cannot connect to", status, error);
}

/* While nobody leads the stream, a question is lost. So it is asked again soon, and whoever has
 * just begun to lead is heard of soon; a broker that is slow is given its time now and then. */
static void set_wait(const struct nats_place *place, jsOptions *wait)
{
    bool patient = place->answered || place->attempts % PATIENT == 0;
    jsOptions_Init(wait);
    wait->Wait = patient ? NATS_ASK_MS : TRY_MS;
}

jsStreamInfo *nats_ask(struct nats_place *place, struct error *error)
{
    jsStreamInfo *info = NULL;
    jsErrCode code = 0;
    jsOptions wait;
    set_wait(place, &wait);
    natsStatus status = js_GetStreamInfo(&info, place->context, place->stream, &wait, &code);
    place->answered = place->answered || status == NATS_OK;
    if (status == NATS_OK)
        return info;
    if (status == NATS_NOT_FOUND || code == JSStreamNotFoundErr)
        error_set(error, ERROR_CONFIGURATION,
                  "setting \"log.stream\": there is no stream '%.100s' at %.200s; make it, or name "
                  "the right one",
                  place->stream, place->nats);
    else
        nats_failed(place, "cannot ask", status, error);
    return NULL;
}
