/* The rules of limits: from the configuration, and small questions about them. */
#include "access/limits.h"

#include <limits.h>
#include <stdio.h>

enum { SECOND = 1000 };

/* ---- rules ---- */

static struct rate make_rate(const struct config_rate *given)
{
    return (struct rate){
        .most = given->most, .burst = given->burst, .window_ms = given->seconds * SECOND};
}

/* Nobody but this machine's own users can come in, and it was left as it is. */
static bool is_private(const struct config *config)
{
    struct error error;
    return config->auth.mode == CONFIG_AUTH_NONE && !config->trusted_proxies &&
           config_check_exposure(config, &error) && config_rates_untouched(config);
}

static bool windows_hold(const struct config *config)
{
    bool hold = config->rate_limiting == CONFIG_RATES_ON ||
                (config->rate_limiting == CONFIG_RATES_AUTO && !is_private(config));
    if (!hold)
        log_info(
            "limits", "rate-windows-off",
            log_text("reason", config->rate_limiting == CONFIG_RATES_OFF
                                   ? "rate_limiting is off"
                                   : "only this machine can connect, and without authentication"));
    return hold;
}

bool limits_make_rules(struct limit_rules *rules, const struct config *config, struct error *error)
{
    *rules = (struct limit_rules){
        .handshakes = make_rate(&config->rate_handshakes_per_ip),
        .subject_connections = make_rate(&config->rate_connections_per_subject),
        .metering_connections = make_rate(&config->rate_connections_per_metering_key),
        .subscribes = make_rate(&config->rate_subscriptions_per_connection),
        .messages = make_rate(&config->rate_messages_per_connection),
        .snapshots = make_rate(&config->rate_snapshots_per_connection),
        .connections = config->max_connections,
        .connections_per_ip = config->max_connections_per_ip,
        .connections_per_origin = config->max_connections_per_origin,
        .connections_per_metering_key = config->max_connections_per_metering_key,
        .standard = {.max_connections = config->max_connections_per_subject,
                     .max_subscriptions = config->max_subscriptions,
                     .max_snapshot_rows = config->max_snapshot_rows,
                     .max_messages_per_minute = config->max_messages_per_minute,
                     .max_bytes_per_minute = config->max_bytes_per_minute},
        .minute_ms = config->limit_window_seconds * SECOND,
    };
    const char *header = config->proxy_header;
    rules->proxy_form = strcasecmp(header, "Forwarded") == 0 ? FORWARDED_ELEMENTS : FORWARDED_LIST;
    rules->windows_on = windows_hold(config);
    if (!networks_parse(&rules->trusted, config->trusted_proxies, error))
        return error_prefix(error, "setting \"trusted_proxies\"");
    rules->proxy_header = memory_copy_string(header, strlen(header));
    if (rules->proxy_header)
        return true;
    networks_fini(&rules->trusted);
    return error_set(error, ERROR_MEMORY, "out of memory while reading the limits");
}

void limits_free_rules(struct limit_rules *rules)
{
    networks_fini(&rules->trusted);
    memory_free(rules->proxy_header);
}

/* ---- small questions ---- */

int64_t limits_choose(int64_t own, int64_t standard)
{
    if (own != AUTH_NOT_SET)
        return own;
    return standard > 0 ? standard : LIMITS_NONE;
}

int64_t limits_snapshot_rows(const struct limits *limits, const struct auth_identity *identity)
{
    return limits_choose(identity ? identity->limits.max_snapshot_rows : AUTH_NOT_SET,
                         limits->rules.standard.max_snapshot_rows);
}

bool limits_wait(struct error *error, int64_t wait_ms)
{
    int64_t seconds = wait_ms / SECOND + (wait_ms % SECOND != 0);
    error->retry_after = seconds < 1 ? 1 : seconds < INT_MAX ? (int)seconds : INT_MAX;
    return false;
}

const char *limits_rate_text(const struct rate *rate, char room[LIMITS_RATE_TEXT])
{
    int length =
        snprintf(room, LIMITS_RATE_TEXT, "in %lld seconds", (long long)rate->window_ms / SECOND);
    if (rate->burst)
        snprintf(room + length, LIMITS_RATE_TEXT - (size_t)length, " and a burst of %lld",
                 (long long)rate->burst);
    return room;
}
