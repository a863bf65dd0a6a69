#include "terminal/terminal.h"

#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TEXT_BYTES = 40, MINUTE = 60, HOUR = 3600 };

/* From here on a number is one of milliseconds: as seconds it would be of the year 5138. */
static const double first_ms = 1e11;
/* 0001-01-01 and 10000-01-01. */
static const double first_time = -62135596800.0, behind_last = 253402300800.0;

struct moment {
    time_t seconds;
    int ms;
};

static bool set_moment(struct moment *moment, double seconds)
{
    double ms = floor(seconds * 1000 + 0.5);
    if (!(seconds >= first_time && seconds < behind_last))
        return false;
    moment->seconds = (time_t)floor(ms / 1000);
    moment->ms = (int)(ms - (double)moment->seconds * 1000);
    return true;
}

static bool read_number(const char *text, struct moment *moment)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    return set_moment(moment, fabs(number) >= first_ms ? number / 1000 : number);
}

/* ---- ISO 8601 ---- */

static bool read_digits(const char **at, int count, int least, int most, int *number)
{
    *number = 0;
    for (int i = 0; i < count; i++, ++*at) {
        if (**at < '0' || **at > '9')
            return false;
        *number = *number * 10 + (**at - '0');
    }
    return *number >= least && *number <= most;
}

static bool skip(const char **at, char c)
{
    bool there = **at == c;
    *at += there;
    return there;
}

/* "Z", or "+01:00" with or without the colon and what is behind it. */
static bool read_zone(const char **at, int *seconds)
{
    int hours, minutes = 0, sign = **at == '-' ? -1 : 1;
    *seconds = 0;
    if (skip(at, 'Z') || skip(at, 'z'))
        return true;
    if ((!skip(at, '+') && !skip(at, '-')) || !read_digits(at, 2, 0, 23, &hours))
        return false;
    skip(at, ':');
    if (**at && !read_digits(at, 2, 0, 59, &minutes))
        return false;
    *seconds = sign * (hours * HOUR + minutes * MINUTE);
    return true;
}

static bool read_date(const char **at, struct tm *parts)
{
    bool good = read_digits(at, 4, 1, 9999, &parts->tm_year) && skip(at, '-') &&
                read_digits(at, 2, 1, 12, &parts->tm_mon) && skip(at, '-') &&
                read_digits(at, 2, 1, 31, &parts->tm_mday);
    parts->tm_year -= 1900;
    parts->tm_mon--;
    return good;
}

static bool read_clock(const char **at, struct tm *parts, double *fraction)
{
    double unit = 0.1;
    *fraction = 0;
    if (!read_digits(at, 2, 0, 23, &parts->tm_hour) || !skip(at, ':') ||
        !read_digits(at, 2, 0, 59, &parts->tm_min))
        return false;
    if (!skip(at, ':'))
        return true;
    if (!read_digits(at, 2, 0, 60, &parts->tm_sec))
        return false;
    if (skip(at, '.') || skip(at, ','))
        while (**at >= '0' && **at <= '9') {
            *fraction += unit * (*(*at)++ - '0');
            unit /= 10;
        }
    return true;
}

/* A time without a zone is nobody's: it stays as it is. */
static bool read_text(const char *text, struct moment *moment)
{
    struct tm parts = {0};
    double fraction;
    int zone;
    if (!read_date(&text, &parts))
        return false;
    int day = parts.tm_mday;
    if ((!skip(&text, 'T') && !skip(&text, 't') && !skip(&text, ' ')) ||
        !read_clock(&text, &parts, &fraction) || !read_zone(&text, &zone) || *text)
        return false;
    time_t seconds = timegm(&parts);
    return parts.tm_mday == day && /* of 31 February it makes another day */
           set_moment(moment, (double)seconds - zone + fraction);
}

/* ---- the value ---- */

bool local_time_print(struct buffer *out, struct span value)
{
    char text[TEXT_BYTES];
    struct moment moment;
    struct tm parts;
    bool is_string = value.length && value.data[0] == '"';
    struct span bare = is_string ? doc_bare(value) : value;
    if (!bare.length || bare.length >= sizeof text || memchr(bare.data, '\0', bare.length))
        return false;
    memcpy(text, bare.data, bare.length);
    text[bare.length] = '\0';
    if ((!read_number(text, &moment) && (!is_string || !read_text(text, &moment))) ||
        !localtime_r(&moment.seconds, &parts))
        return false;
    size_t length = strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    if (moment.ms)
        length += (size_t)snprintf(text + length, sizeof text - length, ".%03d", moment.ms);
    return buffer_add(out, text, length);
}
