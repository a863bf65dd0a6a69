#include "bench/report.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS_MOST = 64 };

struct report_row {
    struct report_case name;
    const char *measure, *unit;
    size_t count;
    double values[ROUNDS_MOST];
};

void report_init(struct report *report)
{
    *report = (struct report){0};
}

void report_fini(struct report *report)
{
    memory_free(report->rows);
    report->rows = NULL;
}

struct report_case report_case(const char *scenario, const char *format, ...)
{
    struct report_case name = {.scenario = scenario};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name.text, sizeof name.text, format, arguments);
    va_end(arguments);
    return name;
}

/* ---- numbers ---- */

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double samples_quantile(double *samples, size_t count, double share)
{
    if (!count)
        return 0;
    qsort(samples, count, sizeof *samples, compare);
    size_t place = (size_t)(share * (double)count);
    return samples[place < count ? place : count - 1];
}

const char *number_text(double value, char text[32])
{
    int decimals = value >= 100 || value == floor(value) ? 0 : value >= 10 ? 1 : 2;
    char plain[32];
    int length = snprintf(plain, sizeof plain, "%.*f", decimals, value);
    const char *point = strchr(plain, '.');
    int whole = point ? (int)(point - plain) : length, out = 0;
    for (int i = 0; i < length && out < 30; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0 && plain[i - 1] != '-')
            text[out++] = ',';
        text[out++] = plain[i];
    }
    text[out] = 0;
    return text;
}

/* ---- samples ---- */

static struct report_row *find_row(struct report *report, const struct report_case *name,
                                   const char *measure, const char *unit)
{
    for (size_t i = 0; i < report->count; i++) {
        struct report_row *row = &report->rows[i];
        if (strcmp(row->name.scenario, name->scenario) == 0 &&
            strcmp(row->name.text, name->text) == 0 && strcmp(row->measure, measure) == 0)
            return row;
    }
    if (report->count == report->capacity) {
        size_t capacity = report->capacity ? 2 * report->capacity : 64;
        struct report_row *grown = memory_resize(report->rows, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        report->rows = grown;
        report->capacity = capacity;
    }
    struct report_row *row = &report->rows[report->count++];
    *row = (struct report_row){.name = *name, .measure = measure, .unit = unit};
    return row;
}

void report_sample(struct report *report, const struct report_case *name, const char *measure,
                   const char *unit, double value)
{
    char text[32];
    struct report_row *row = find_row(report, name, measure, unit);
    if (!row || row->count == ROUNDS_MOST)
        return;
    row->values[row->count++] = value;
    fprintf(stderr, "%-10s  %-44s  %s: %s %s\n", name->scenario, name->text, measure,
            number_text(value, text), unit);
}

void report_failure(struct report *report, const char *scenario, const struct error *error)
{
    report->failures++;
    fprintf(stderr, "%-10s  FAILED: %s\n", scenario, error->message);
}

/* Copy and sort, so that the rounds stay in their order. */
static void sort_row(const struct report_row *row, double sorted[ROUNDS_MOST])
{
    memcpy(sorted, row->values, row->count * sizeof *sorted);
    qsort(sorted, row->count, sizeof *sorted, compare);
}

static double median_of(const double *sorted, size_t count)
{
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* ---- the table ---- */

static void print_row(const struct report_row *row, FILE *out)
{
    double sorted[ROUNDS_MOST];
    char median[32], lowest[32], highest[32];
    sort_row(row, sorted);
    fprintf(out, "%-10s  %-44s  %-26s  %11s %-13s", row->name.scenario, row->name.text,
            row->measure, number_text(median_of(sorted, row->count), median), row->unit);
    if (row->count > 1)
        fprintf(out, "  %s to %s", number_text(sorted[0], lowest),
                number_text(sorted[row->count - 1], highest));
    fputc('\n', out);
}

void report_print_table(const struct report *report, FILE *out)
{
    const struct machine *machine = &report->machine;
    char memory[32];
    fprintf(out, "\n%ld cores, %s; %s GB; %s; files on %s; %s\n", machine->cores,
            machine->processor, number_text(machine->memory_bytes / 1e9, memory), machine->kernel,
            machine->filesystem, machine->server);
    fprintf(out, "Medians; behind them the lowest and the highest round.\n\n");
    for (size_t i = 0; i < report->count; i++)
        print_row(&report->rows[i], out);
    if (report->failures)
        fprintf(out, "\n%zu could not be measured, see above.\n", report->failures);
}

/* ---- JSON ---- */

static void print_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at < ' ')
            fprintf(out, "\\u%04x", *at);
        else
            fprintf(out, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
    }
    fputc('"', out);
}

static void print_field(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\":", name);
    print_string(out, text);
    fputc(',', out);
}

static void print_json_row(const struct report_row *row, FILE *out)
{
    double sorted[ROUNDS_MOST];
    sort_row(row, sorted);
    fputs("  {", out);
    print_field(out, "scenario", row->name.scenario);
    print_field(out, "case", row->name.text);
    print_field(out, "measure", row->measure);
    print_field(out, "unit", row->unit);
    fprintf(out, "\"median\":%.10g,\"lowest\":%.10g,\"highest\":%.10g,\"rounds\":[",
            median_of(sorted, row->count), sorted[0], sorted[row->count - 1]);
    for (size_t i = 0; i < row->count; i++)
        fprintf(out, "%s%.10g", i ? "," : "", row->values[i]);
    fputs("]}", out);
}

bool report_print_json(const struct report *report, FILE *out)
{
    const struct machine *machine = &report->machine;
    fputs("{\n", out);
    if (report->date)
        print_field(out, "date", report->date);
    fprintf(out, "\"machine\":{\"cores\":%ld,\"memory_bytes\":%.0f,", machine->cores,
            machine->memory_bytes);
    print_field(out, "processor", machine->processor);
    print_field(out, "kernel", machine->kernel);
    print_field(out, "filesystem", machine->filesystem);
    fputs("\"server\":", out);
    print_string(out, machine->server);
    fprintf(out, "},\n\"failures\":%zu,\n\"results\":[\n", report->failures);
    for (size_t i = 0; i < report->count; i++) {
        print_json_row(&report->rows[i], out);
        fputs(i + 1 < report->count ? ",\n" : "\n", out);
    }
    fputs("]}\n", out);
    return fflush(out) == 0 && !ferror(out);
}
