/* The rows of `stele get`: as lines of JSON, by RFC 4180, or as a table. */
#include "base/utf8.h"
#include "cli/get.h"
#include "terminal/terminal.h"

#include <inttypes.h>
#include <locale.h>
#include <unistd.h>

static enum get_form form_of(const struct get_options *options, bool on_terminal)
{
    if (options->json || options->csv || options->table)
        return options->json ? GET_JSON : options->csv ? GET_CSV : GET_TABLE;
    return on_terminal || options->columns || options->times.count ? GET_TABLE : GET_JSON;
}

void get_print_init(struct get_print *print, const struct get_options *options)
{
    *print = (struct get_print){.options = options, .on_terminal = isatty(STDOUT_FILENO)};
    print->form = form_of(options, print->on_terminal);
    columns_init(&print->columns);
    buffer_init(&print->line, UINT32_MAX);
    buffer_init(&print->cell, UINT32_MAX);
    buffer_init(&print->key, UINT32_MAX);
    /* For the widths of characters: the terminal is taken to show UTF-8. */
    setlocale(LC_CTYPE, "C.UTF-8");
}

void get_print_fini(struct get_print *print)
{
    columns_fini(&print->columns);
    buffer_fini(&print->line);
    buffer_fini(&print->cell);
    buffer_fini(&print->key);
}

/* ---- rows of an answer ---- */

/* A row: its key decoded, in print->key. */
static bool read_row(struct get_print *print, const struct doc *doc, uint32_t row,
                     struct span *data)
{
    uint32_t key = doc_member(doc, row, "key"), value = doc_member(doc, row, "data");
    buffer_clear(&print->key);
    if (key == DOC_NONE || value == DOC_NONE || doc->nodes[value].type != DOC_OBJECT)
        return false;
    *data = doc_text(doc, value);
    return doc_decode_string(doc, key, &print->key);
}

static void put_line(struct get_print *print)
{
    fwrite(buffer_span(&print->line).data, 1, print->line.length, stdout);
}

/* ---- JSON ---- */

static bool print_json(struct get_print *print, const struct doc *doc, uint32_t row)
{
    struct span text = doc_text(doc, row);
    if (print->on_terminal)
        cell_escape(&print->line, text);
    else
        buffer_add_span(&print->line, text);
    return buffer_add_char(&print->line, '\n');
}

/* ---- CSV ---- */

static bool needs_quotes(struct span text)
{
    if (!text.length || text.data[0] == ' ' || text.data[text.length - 1] == ' ')
        return true;
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] && strchr(",\"\r\n", text.data[i]))
            return true;
    return false;
}

/* A text that is there; an empty one has quotes, which tell it from none. */
static void add_field(struct get_print *print, struct span text)
{
    struct buffer *out = &print->line;
    size_t from = out->length;
    if (print->on_terminal) {
        cell_fit(out, text);
        text = span_make(buffer_span(out).data + from, out->length - from);
    }
    bool quotes = needs_quotes(text);
    struct buffer quoted;
    buffer_init(&quoted, UINT32_MAX);
    buffer_add_string(&quoted, quotes ? "\"" : "");
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '"')
            buffer_add_char(&quoted, '"');
        buffer_add_char(&quoted, text.data[i]);
    }
    buffer_add_string(&quoted, quotes ? "\"" : "");
    out->length = from;
    buffer_add_span(out, buffer_span(&quoted));
    out->failed |= quoted.failed;
    buffer_fini(&quoted);
}

static void add_value(struct get_print *print, const struct column *column, struct span value)
{
    enum doc_kind kind = doc_kind_of(value);
    buffer_clear(&print->cell);
    if (kind == DOC_KIND_ABSENT || kind == DOC_KIND_NULL)
        return;
    if (!column->is_time || !local_time_print(&print->cell, value))
        column_add_text(&print->cell, value);
    print->line.failed |= print->cell.failed;
    add_field(print, buffer_span(&print->cell));
}

static bool print_csv(struct get_print *print, struct span data)
{
    for (size_t i = 0; i < print->columns.count; i++) {
        const struct column *column = print->columns.list[i];
        buffer_add_string(&print->line, i ? "," : "");
        if (!column->path_count)
            add_field(print, buffer_span(&print->key));
        else
            add_value(print, column, column_value(column, data));
    }
    return buffer_add_string(&print->line, "\r\n");
}

static void print_csv_names(struct get_print *print)
{
    for (size_t i = 0; i < print->columns.count; i++) {
        buffer_add_string(&print->line, i ? "," : "");
        buffer_clear(&print->cell);
        column_add_name(&print->cell, print->columns.list[i]);
        print->line.failed |= print->cell.failed;
        add_field(print, buffer_span(&print->cell));
    }
    buffer_add_string(&print->line, "\r\n");
}

/* ---- a table ---- */

static void end_line(struct buffer *out)
{
    while (out->length && out->data[out->length - 1] == ' ')
        out->length--;
    buffer_add_char(out, '\n');
}

/* A cell of a later page may be wider than those that were measured: only a terminal cuts it. */
static void add_cell(struct get_print *print, size_t index, struct span text)
{
    const struct column *column = print->columns.list[index];
    size_t width = cell_width(text);
    if (width > COLUMN_WIDEST)
        width = COLUMN_WIDEST;
    if (width < column->width || print->on_terminal)
        width = column->width;
    for (int gap = 0; index && gap < COLUMN_GAP; gap++)
        buffer_add_char(&print->line, ' ');
    cell_pad(&print->line, text, width, !column->text && column->path_count);
}

static bool print_line(struct get_print *print, struct span data)
{
    for (size_t i = 0; i < print->shown; i++) {
        bool number;
        add_cell(print, i,
                 column_cell(print->columns.list[i], buffer_span(&print->key), data, &print->cell,
                             &number));
        print->line.failed |= print->cell.failed;
    }
    end_line(&print->line);
    return !print->line.failed;
}

static void measure(struct get_print *print, const struct doc *doc, uint32_t rows)
{
    struct span data;
    for (size_t i = 0; i < print->columns.count; i++) {
        struct column *column = print->columns.list[i];
        column->width = cell_width(buffer_span(&column->heading));
        for (uint32_t row = rows + 1; row < doc->nodes[rows].end; row = doc->nodes[row].end) {
            bool number;
            if (!read_row(print, doc, row, &data))
                continue; /* it is refused when it is printed */
            size_t width = cell_width(
                column_cell(column, buffer_span(&print->key), data, &print->cell, &number));
            column->width = width > column->width ? width : column->width;
            column->text |= !number;
        }
        if (column->width > COLUMN_WIDEST)
            column->width = COLUMN_WIDEST;
    }
}

/* On a terminal, columns from the left for which there is room. */
static void fit(struct get_print *print)
{
    size_t width, height, used = 0;
    print->shown = print->columns.count;
    if (!print->on_terminal)
        return;
    screen_size(&width, &height);
    for (print->shown = 0; print->shown < print->columns.count; print->shown++) {
        struct column *column = print->columns.list[print->shown];
        used += column->width + (print->shown ? COLUMN_GAP : 0);
        if (used > width && print->shown)
            return;
        if (used > width)
            column->width = width;
    }
}

static void print_table_names(struct get_print *print)
{
    fit(print);
    for (size_t i = 0; i < print->shown; i++)
        add_cell(print, i, buffer_span(&print->columns.list[i]->heading));
    end_line(&print->line);
}

/* ---- the columns ---- */

static void choose_columns(struct get_print *print, const struct doc *doc, uint32_t rows)
{
    const struct get_options *options = print->options;
    const struct column_choice choice = get_columns(options);
    struct columns *columns = &print->columns;
    struct span data;
    columns_add(columns, NULL, 0);
    columns_add_wanted(columns, options->columns ? options->columns : "");
    columns_set_times(columns, &choice);
    for (uint32_t row = rows + 1; !options->columns && row < doc->nodes[rows].end;
         row = doc->nodes[row].end)
        if (read_row(print, doc, row, &data))
            columns_add_members(columns, data, print->form == GET_CSV);
}

static void begin(struct get_print *print, const struct doc *doc, uint32_t rows)
{
    print->begun = true;
    if (print->form == GET_JSON)
        return;
    choose_columns(print, doc, rows);
    if (print->form == GET_TABLE)
        measure(print, doc, rows);
    buffer_clear(&print->line);
    (print->form == GET_CSV ? print_csv_names : print_table_names)(print);
    put_line(print);
}

static bool is_column(const struct columns *columns, size_t index, struct span name)
{
    const struct column *column = index < columns->count ? columns->list[index] : NULL;
    return column && column->path_count == 1 && span_equal(column->path[0], name);
}

/* Whether each member that has a place in this form has a column. Mostly they come in the order of
 * the columns. */
static void count_cut(struct get_print *print, const struct doc *doc, uint32_t row)
{
    uint32_t data = doc_member(doc, row, "data"), end = doc->nodes[data].end;
    size_t next = 1;
    for (uint32_t member = data + 1; member < end; member = doc->nodes[member].end) {
        enum doc_type type = doc->nodes[member].type;
        struct span name = doc_key(doc, member);
        bool shown = print->form == GET_CSV || (type != DOC_ARRAY && type != DOC_OBJECT);
        if (is_column(&print->columns, next, name)) {
            next++;
        } else if (shown && !span_equal(name, span_of("_seq")) &&
                   !columns_have(&print->columns, &name, 1)) {
            size_t most = sizeof print->cut_member - 1;
            size_t length = name.length <= most ? name.length : utf8_whole(name.data, most);
            snprintf(print->cut_member, sizeof print->cut_member, "%.*s", (int)length, name.data);
            print->cut_rows++;
            return;
        }
    }
}

/* ---- the whole ---- */

static bool print_row(struct get_print *print, const struct doc *doc, uint32_t row,
                      struct error *error)
{
    struct span data;
    if (!read_row(print, doc, row, &data))
        return error_set(error, ERROR_NETWORK, "the server answered with a row that is none");
    if (print->form != GET_JSON && !print->options->columns)
        count_cut(print, doc, row);
    buffer_clear(&print->line);
    bool done = print->form == GET_JSON  ? print_json(print, doc, row)
                : print->form == GET_CSV ? print_csv(print, data)
                                         : print_line(print, data);
    if (!done || print->columns.failed)
        return error_set(error, ERROR_MEMORY, "out of memory for a row");
    put_line(print);
    return true;
}

bool get_print_rows(struct get_print *print, const struct doc *doc, uint32_t rows,
                    struct error *error)
{
    uint32_t end = doc->nodes[rows].end;
    if (!print->begun)
        begin(print, doc, rows);
    for (uint32_t row = rows + 1; row < end && !ferror(stdout); row = doc->nodes[row].end)
        if (!print_row(print, doc, row, error))
            return false;
    return true;
}

bool get_print_end(struct get_print *print, struct error *error)
{
    size_t hidden = print->form == GET_TABLE ? print->columns.count - print->shown : 0;
    if (hidden) {
        fflush(stdout);
        fprintf(stderr, "stele get: no room for %zu column%s; --columns PATH,PATH chooses\n",
                hidden, hidden == 1 ? "" : "s");
    }
    if (!print->cut_rows)
        return true;
    struct buffer name;
    buffer_init(&name, 2 * sizeof print->cut_member);
    cell_fit(&name, span_of(print->cut_member));
    const char *text = buffer_string(&name);
    if (print->columns.count >= COLUMNS_MOST)
        error_set(error, ERROR_TOO_LARGE,
                  "%" PRId64 " rows have members without a column, such as '%s': there are at most "
                  "%d columns; --columns PATH,PATH chooses them, --json has all",
                  print->cut_rows, text ? text : "", COLUMNS_MOST);
    else
        error_set(error, ERROR_TOO_LARGE,
                  "%" PRId64
                  " rows have members that the first page had not, such as '%s': they have "
                  "no column; name the columns (--columns PATH,PATH)",
                  print->cut_rows, text ? text : "");
    buffer_fini(&name);
    return false;
}

bool get_lacks_row(const struct get_options *options, struct error *error)
{
    bool asks = options->where || options->filters.count;
    return error_set(error, ERROR_NOT_FOUND, "there is no row '%.200s' in view '%.100s'%s%s",
                     options->key, options->operands.items[0],
                     options->as_of ? " at that position" : "",
                     asks ? " of which the query holds" : "");
}
