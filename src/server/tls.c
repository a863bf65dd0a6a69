#include "server/tls.h"

#include "auth/tls_stream.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

enum { FILE_LIMIT = 1024 * 1024, DAY_SECONDS = 86400, SOON_DAYS = 14, DESCRIPTION_LIMIT = 2048 };

/* ---- the files ---- */

static bool read_chain(const struct config *config, struct certificate **certificate,
                       struct error *error)
{
    const char *path = config->tls_certificate;
    struct buffer pem;
    buffer_init(&pem, FILE_LIMIT);
    if (file_read(config->folder, path, &pem, error))
        *certificate = certificate_new(buffer_span(&pem), error);
    buffer_fini(&pem);
    return *certificate || error_prefix(error, "setting \"tls_certificate\": file %s", path);
}

/* Not refused: the operator may know why, and a container often has no other rights to give. */
static void look_at_rights(int folder, const char *path)
{
    struct stat status;
    if (fstatat(folder, path, &status, 0) == 0 && (status.st_mode & S_IROTH))
        log_warning("tls", "key-readable", log_text("file", path),
                    log_text("effect", "everybody on this machine can read it; chmod o-r"));
}

static bool read_key(const struct config *config, struct certificate *certificate,
                     struct error *error)
{
    const char *path = config->tls_key;
    struct buffer pem;
    buffer_init(&pem, FILE_LIMIT);
    bool good = file_read(config->folder, path, &pem, error) &&
                certificate_add_key(certificate, buffer_span(&pem), error);
    if (pem.data)
        explicit_bzero(pem.data, pem.capacity);
    buffer_fini(&pem);
    if (good)
        look_at_rights(config->folder, path);
    return good || error_prefix(error, "setting \"tls_key\": file %s", path);
}

/* A pair that belongs together may still be one that no client takes: a key too short, a hash too
 * weak, a curve that nobody speaks. */
static bool try(struct certificate *certificate, const struct config *config, struct error *error)
{
    if (tls_try(certificate, error))
        return true;
    if (error->code != ERROR_MEMORY)
        error->code = ERROR_CONFIGURATION;
    return error_prefix(error,
                        "setting \"tls_certificate\": file %s: no client could connect with it; "
                        "use a key of Ed25519, P-256 or RSA with 2,048 bits, signed with SHA-256",
                        config->tls_certificate);
}

bool tls_read(const struct config *config, struct certificate **certificate, struct error *error)
{
    *certificate = NULL;
    if (!config->tls_certificate && !config->tls_key)
        return !config->health_tls ||
               error_set(error, ERROR_CONFIGURATION,
                         "setting \"health_tls\" needs a certificate: set \"tls_certificate\" and "
                         "\"tls_key\"");
    if (!config->tls_certificate || !config->tls_key)
        return error_set(error, ERROR_CONFIGURATION, "setting \"%s\" needs \"%s\" beside it",
                         config->tls_key ? "tls_key" : "tls_certificate",
                         config->tls_key ? "tls_certificate" : "tls_key");
    if (read_chain(config, certificate, error) && read_key(config, *certificate, error) &&
        try(*certificate, config, error))
        return true;
    certificate_free(*certificate);
    *certificate = NULL;
    return false;
}

/* ---- its time ---- */

static void print_time(char out[32], int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm utc;
    out[0] = '\0';
    if (gmtime_r(&time, &utc))
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static const char *remark(const struct certificate *certificate)
{
    int64_t now = clock_wall_ms() / 1000, end = certificate_validity(certificate).to;
    if (end <= now)
        return "expired; clients refuse it; put a new one in place and send SIGHUP";
    if (certificate_validity(certificate).from > now)
        return "not valid yet; clients refuse it; is the clock right?";
    if (end - now < (int64_t)SOON_DAYS * DAY_SECONDS)
        return "expires soon; put a new one in place and send SIGHUP";
    return NULL;
}

void tls_tell(const struct certificate *certificate)
{
    struct buffer who;
    char until[32];
    const char *remarkable = remark(certificate);
    buffer_init(&who, DESCRIPTION_LIMIT);
    certificate_describe(certificate, &who);
    const char *name = buffer_string(&who);
    print_time(until, certificate_validity(certificate).to);
    if (remarkable)
        log_warning("tls", "certificate", log_text("subject", name ? name : ""),
                    log_word("until", until), log_text("effect", remarkable));
    else
        log_info("tls", "certificate", log_text("subject", name ? name : ""),
                 log_word("until", until));
    buffer_fini(&who);
}

void tls_watch(const struct certificate *certificate, int64_t *next_ms)
{
    int64_t now = clock_wall_ms();
    if (now < *next_ms)
        return;
    if (*next_ms && remark(certificate))
        tls_tell(certificate);
    *next_ms = now + (int64_t)DAY_SECONDS * 1000;
}
