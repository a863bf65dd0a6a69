/* A rate as one text, MOST+BURST/TIME, or "off". */
#include "config/config_internal.h"

/* The rows of its numbers follow its own. */
enum { ROW_MOST = 1, ROW_BURST, ROW_SECONDS };

const struct config_rate *setting_rate(const struct config *config, const struct setting *setting)
{
    return (const struct config_rate *)((const char *)config + setting->offset);
}

static bool read_part(const struct setting *row, struct span text, int64_t unit, int64_t *part)
{
    if (!typed_number(text, part) || *part < 0 || *part > row->most)
        return false;
    *part *= unit;
    return *part >= row->least && *part <= row->most;
}

static int64_t unit_of(char letter)
{
    return letter == 's' ? 1 : letter == 'm' ? 60 : letter == 'h' ? 3600 : 0;
}

/* The text before the first `mark`, and what is behind it; false: there is none. */
static bool split(struct span text, char mark, struct span *before, struct span *behind)
{
    const char *at = text.length ? memchr(text.data, mark, text.length) : NULL;
    *before = at ? span_make(text.data, (size_t)(at - text.data)) : text;
    *behind = at ? span_make(at + 1, text.length - before->length - 1) : span_make("", 0);
    return at;
}

static bool read_rate(const struct setting *setting, struct span text, struct config_rate *rate)
{
    struct span count, time, most, burst;
    if (span_equal(text, span_of("off")))
        text = span_of("0");
    if (!split(text, '/', &count, &time))
        return read_part(setting + ROW_MOST, text, 1, &rate->most);
    rate->burst = 0;
    int64_t unit = time.length ? unit_of(time.data[time.length - 1]) : 0;
    bool has_burst = split(count, '+', &most, &burst);
    return unit && read_part(setting + ROW_MOST, most, 1, &rate->most) &&
           (!has_burst || read_part(setting + ROW_BURST, burst, 1, &rate->burst)) &&
           read_part(setting + ROW_SECONDS, span_make(time.data, time.length - 1), unit,
                     &rate->seconds);
}

bool setting_set_rate(struct config *config, const struct setting *setting, struct span text,
                      struct error *error)
{
    struct config_rate rate = *setting_rate(config, setting);
    if (!read_rate(setting, text, &rate))
        return setting_refuse(setting, text, error);
    memcpy((char *)config + setting->offset, &rate, sizeof rate);
    return true;
}

void rate_print(struct buffer *out, struct config_rate rate)
{
    if (rate.most == 0) {
        buffer_add_string(out, "off");
        return;
    }
    buffer_printf(out, "%lld", (long long)rate.most);
    if (rate.burst)
        buffer_printf(out, "+%lld", (long long)rate.burst);
    buffer_printf(out, "/%llds", (long long)rate.seconds);
}

struct config_rate setting_standard_rate(const struct setting *setting)
{
    return (struct config_rate){.most = setting[ROW_MOST].number,
                                .burst = setting[ROW_BURST].number,
                                .seconds = setting[ROW_SECONDS].number};
}

bool config_rates_untouched(const struct config *config)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (config_settings[i].older &&
            setting_number(config, &config_settings[i]) != config_settings[i].number)
            return false;
    return true;
}
