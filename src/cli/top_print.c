/* The picture of a sample: figures, clients, windows; or all of it as JSON. */
#include "cli/top.h"
#include "terminal/terminal.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>

enum {
    SHORT = 16,
    COLUMNS = 12,
    HEADINGS = 3 /* lines besides rows: an empty one and two names */
};

typedef char cell_text[SHORT];

/* ---- numbers, in five places ---- */

static void print_scaled(cell_text out, double number, double base, const char *const units[5])
{
    int unit = 0;
    if (isnan(number) || number < 0) {
        snprintf(out, SHORT, "-");
        return;
    }
    for (; number >= base * 9.995 && unit < 4; unit++)
        number /= base;
    snprintf(out, SHORT, unit && number < 99.95 ? "%.1f%s" : "%.0f%s", number, units[unit]);
}

static void print_count(cell_text out, double number)
{
    static const char *const units[5] = {"", "k", "M", "G", "T"};
    print_scaled(out, number, 1000, units);
}

static void print_bytes(cell_text out, double number)
{
    static const char *const units[5] = {"B", "kB", "MB", "GB", "TB"};
    print_scaled(out, number, 1000, units);
}

/* Small rates have a place behind the point. */
static void print_rate(cell_text out, double number)
{
    if (number > 0 && number < 10)
        snprintf(out, SHORT, "%.1f", number);
    else
        print_count(out, number);
}

static void print_seconds(cell_text out, double seconds)
{
    if (isnan(seconds) || seconds < 0)
        snprintf(out, SHORT, "-");
    else if (seconds < 10)
        snprintf(out, SHORT, seconds > 0 ? "%.1fs" : "%.0fs", seconds);
    else if (seconds < 100)
        snprintf(out, SHORT, "%.0fs", seconds);
    else if (seconds < 6000)
        snprintf(out, SHORT, "%.0fm", seconds / 60);
    else if (seconds < 48.0 * 3600)
        snprintf(out, SHORT, "%.0fh", seconds / 3600);
    else
        snprintf(out, SHORT, "%.0fd", fmin(seconds / 86400, 99999));
}

/* ---- lines ---- */

struct picture {
    const struct top_sample *sample;
    size_t width, left; /* lines that there is room for */
    struct buffer line;
    struct buffer *out;
};

/* The line that was put together; nothing if there is no room. */
static void end_line(struct picture *picture)
{
    struct buffer *line = &picture->line, fit;
    if (picture->left) {
        buffer_init(&fit, UINT32_MAX);
        cell_fit(&fit, buffer_span(line));
        while (fit.length && fit.data[fit.length - 1] == ' ')
            fit.length--;
        if (cell_width(buffer_span(&fit)) > picture->width)
            cell_pad(picture->out, buffer_span(&fit), picture->width, false);
        else
            buffer_add_span(picture->out, buffer_span(&fit));
        buffer_add_char(picture->out, '\n');
        picture->out->failed |= fit.failed || line->failed;
        picture->left--;
        buffer_fini(&fit);
    }
    buffer_clear(line);
}

static double figure(const struct picture *picture, enum top_figure which)
{
    return picture->sample->figures[which];
}

static double rate(const struct picture *picture, enum top_figure which)
{
    return picture->sample->rates[which];
}

static void add_figure(struct picture *picture, const char *name, void (*print)(cell_text, double),
                       double number, const char *unit)
{
    cell_text text;
    print(text, number);
    buffer_printf(&picture->line, "%s%s %s%s", picture->line.length ? "   " : "", name, text, unit);
}

static void add_head(struct picture *picture, const char *note)
{
    const struct top_sample *sample = picture->sample;
    buffer_printf(&picture->line, "stele %s   %s", sample->version,
                  sample->healthy ? "healthy" : sample->status);
    add_figure(picture, "up", print_seconds, figure(picture, TOP_UPTIME), "");
    add_figure(picture, "cpu", print_count, rate(picture, TOP_CPU) * 100, "%");
    add_figure(picture, "memory", print_bytes, figure(picture, TOP_MEMORY), "");
    if (*note)
        buffer_printf(&picture->line, "   %s", note);
    end_line(picture);
}

static void add_figures(struct picture *picture)
{
    double commits = rate(picture, TOP_COMMITS);
    add_figure(picture, "fed", print_rate, rate(picture, TOP_MUTATIONS), "/s");
    add_figure(picture, "frames", print_rate, rate(picture, TOP_FRAMES), "/s");
    add_figure(picture, "sent", print_bytes, rate(picture, TOP_SENT), "/s");
    add_figure(picture, "commits", print_rate, commits, "/s");
    if (commits > 0) {
        double ms = rate(picture, TOP_COMMIT_SECONDS) / commits * 1000;
        buffer_printf(&picture->line, " of %.1f ms", ms);
    }
    end_line(picture);
    add_figure(picture, "log", print_count, figure(picture, TOP_LOG_CHANGES), " changes");
    add_figure(picture, "of", print_bytes, figure(picture, TOP_LOG_BYTES), "");
    add_figure(picture, "wal", print_bytes, figure(picture, TOP_WAL), "");
    add_figure(picture, "database", print_bytes, figure(picture, TOP_DATABASE), "");
    add_figure(picture, "free", print_bytes, figure(picture, TOP_FREE), "");
    end_line(picture);
    add_figure(picture, "clients", print_count, figure(picture, TOP_CONNECTIONS), "");
    add_figure(picture, "subscriptions", print_count, figure(picture, TOP_SUBSCRIPTIONS), "");
    add_figure(picture, "slowest", print_count, figure(picture, TOP_SLOWEST), " behind");
    add_figure(picture, "windows", print_count, figure(picture, TOP_WINDOWS), "");
    add_figure(picture, "members", print_count, figure(picture, TOP_MEMBERS), "");
    end_line(picture);
}

/* ---- tables ---- */

struct column {
    const char *name;
    size_t width; /* 0: what the others leave */
    bool right;
};

static const struct column client_columns[] = {
    {"CLIENT", 6, true}, {"ADDRESS", 15, false}, {"SUBJECT", 0, false}, {"PROT", 6, false},
    {"SUBS", 4, true},   {"LAG", 6, true},       {"BEHIND", 6, true},   {"QUEUED", 6, true},
    {"SENT/S", 6, true}, {"AGE", 4, true},
};
static const struct column window_columns[] = {
    {"WINDOW", 6, true}, {"VIEW", 18, false},  {"QUERY", 0, false}, {"SUBS", 5, true},
    {"ROWS", 6, true},   {"READS/S", 7, true}, {"ROWS/S", 6, true}, {"MS/S", 6, true},
};
enum {
    CLIENT_COLUMNS = sizeof client_columns / sizeof *client_columns,
    WINDOW_COLUMNS = sizeof window_columns / sizeof *window_columns
};

static void add_row(struct picture *picture, const struct column *columns, size_t count,
                    const struct span *cells)
{
    size_t fixed = count - 1; /* the gaps */
    for (size_t i = 0; i < count; i++)
        fixed += columns[i].width;
    size_t rest = picture->width > fixed + 4 ? picture->width - fixed : 4;
    for (size_t i = 0; i < count; i++) {
        struct buffer fit;
        buffer_init(&fit, UINT32_MAX);
        cell_fit(&fit, cells[i]);
        buffer_add_string(&picture->line, i ? " " : "");
        cell_pad(&picture->line, buffer_span(&fit), columns[i].width ? columns[i].width : rest,
                 columns[i].right);
        picture->line.failed |= fit.failed;
        buffer_fini(&fit);
    }
    end_line(picture);
}

static void add_heading(struct picture *picture, const struct column *columns, size_t count)
{
    struct span names[COLUMNS];
    for (size_t i = 0; i < count; i++)
        names[i] = span_of(columns[i].name);
    end_line(picture);
    add_row(picture, columns, count, names);
}

static void add_client(struct picture *picture, const struct top_client *client)
{
    cell_text id, subscriptions, lag, seconds, queued, sent, age;
    snprintf(id, SHORT, "%llu", (unsigned long long)client->id);
    print_count(subscriptions, (double)client->subscriptions);
    print_count(lag, (double)client->behind);
    print_seconds(seconds, client->seconds);
    print_bytes(queued, client->queued);
    print_bytes(sent, client->sent_rate);
    print_seconds(age, fmax(0, (double)(picture->sample->time - client->since_ms) / 1000));
    const struct span cells[CLIENT_COLUMNS] = {span_of(id),
                                               span_of(client->address),
                                               span_of(client->subject),
                                               span_of(client->protocol),
                                               span_of(subscriptions),
                                               span_of(lag),
                                               span_of(seconds),
                                               span_of(queued),
                                               span_of(sent),
                                               span_of(age)};
    add_row(picture, client_columns, CLIENT_COLUMNS, cells);
}

static void add_window(struct picture *picture, const struct top_window *window)
{
    cell_text id, members, rows, refreshes, reads, ms;
    struct buffer query;
    snprintf(id, SHORT, "%llu", (unsigned long long)window->id);
    print_count(members, (double)window->members);
    print_count(rows, (double)window->rows);
    print_rate(refreshes, window->refresh_rate);
    print_rate(reads, window->read_rate);
    print_rate(ms, window->ms_rate);
    buffer_init(&query, UINT32_MAX);
    if (window->take >= 0)
        buffer_printf(&query, "%lld%s", (long long)window->take,
                      window->query.length ? " of " : "");
    buffer_add_span(&query, window->query.data ? window->query : span_of(""));
    const struct span cells[WINDOW_COLUMNS] = {
        span_of(id),   span_of(window->view), buffer_span(&query), span_of(members),
        span_of(rows), span_of(refreshes),    span_of(reads),      span_of(ms)};
    add_row(picture, window_columns, WINDOW_COLUMNS, cells);
    picture->line.failed |= query.failed;
    buffer_fini(&query);
}

/* Windows get what clients leave, and at most half of the room where these would fill it. */
static void add_tables(struct picture *picture)
{
    const struct top_sample *sample = picture->sample;
    size_t room = picture->left, needed = sample->window_count + HEADINGS;
    size_t for_windows = !sample->window_count ? 0 : needed < room / 2 ? needed : room / 2;
    size_t shown = room > for_windows + 2 ? room - for_windows - 2 : 0;
    add_heading(picture, client_columns, CLIENT_COLUMNS);
    for (size_t i = 0; i < sample->client_count && i < shown; i++)
        add_client(picture, &sample->clients[i]);
    if (!sample->window_count)
        return;
    add_heading(picture, window_columns, WINDOW_COLUMNS);
    for (size_t i = 0; i < sample->window_count && picture->left; i++)
        add_window(picture, &sample->windows[i]);
}

bool top_print(const struct top_sample *sample, const char *note, size_t width, size_t height,
               struct buffer *out)
{
    struct picture picture = {.sample = sample, .width = width, .left = height, .out = out};
    buffer_init(&picture.line, UINT32_MAX);
    add_head(&picture, note);
    add_figures(&picture);
    add_tables(&picture);
    buffer_fini(&picture.line);
    return !out->failed;
}

/* ---- JSON ---- */

static const char *const names[] = {
#define X(name, metric, counts) metric,
    TOP_FIGURES(X)
#undef X
};

static void print_numbers(struct buffer *out, const double *numbers)
{
    bool any = false;
    for (size_t i = 0; i < TOP_FIGURE_COUNT; i++) {
        if (isnan(numbers[i]))
            continue;
        buffer_printf(out, "%s\"%s\":%.*f", any ? "," : "", names[i],
                      numbers[i] == floor(numbers[i]) ? 0 : 3, numbers[i]);
        any = true;
    }
}

bool top_print_json(const struct top_sample *sample, size_t most, struct buffer *out)
{
    buffer_printf(out, "{\"time\":%lld,\"healthy\":%s,\"status\":", (long long)sample->time,
                  sample->healthy ? "true" : "false");
    doc_escape(out, span_of(sample->status));
    buffer_add_string(out, ",\"version\":");
    doc_escape(out, span_of(sample->version));
    buffer_add_string(out, ",\"figures\":{");
    print_numbers(out, sample->figures);
    buffer_add_string(out, "},\"rates\":{");
    print_numbers(out, sample->rates);
    buffer_add_string(out, "},\"clients\":[");
    for (size_t i = 0; i < sample->client_count && i < most; i++) {
        buffer_add_string(out, i ? "," : "");
        out->failed |= !tree_print(sample->clients[i].node, out);
    }
    buffer_add_string(out, "],\"windows\":[");
    for (size_t i = 0; i < sample->window_count && i < most; i++) {
        buffer_add_string(out, i ? "," : "");
        out->failed |= !tree_print(sample->windows[i].node, out);
    }
    return buffer_add_string(out, "]}\n");
}
