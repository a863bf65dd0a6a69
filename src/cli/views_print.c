/* The table of `stele views`. */
#include "cli/views.h"
#include "terminal/terminal.h"

#include <locale.h>

void view_list_init(struct view_list *list)
{
    *list = (struct view_list){.lines = NULL};
}

void view_list_fini(struct view_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        memory_free((void *)list->lines[i].id.data);
        memory_free((void *)list->lines[i].mode.data);
        memory_free((void *)list->lines[i].last.data);
    }
    memory_free(list->lines);
}

/* What a terminal would act on stays out. */
static struct span copy(struct span text)
{
    struct buffer fit;
    size_t length = 0;
    buffer_init(&fit, UINT32_MAX);
    cell_fit(&fit, text);
    buffer_add_char(&fit, '\0');
    char *bytes = buffer_take(&fit, &length);
    buffer_fini(&fit);
    return span_make(bytes, length ? length - 1 : 0);
}

bool view_list_add(struct view_list *list, const struct view_line *line, struct error *error)
{
    if (!array_reserve((void **)&list->lines, list->count, &list->capacity, sizeof *list->lines))
        return error_set(error, ERROR_MEMORY, "out of memory");
    struct view_line *added = &list->lines[list->count++];
    *added = (struct view_line){copy(line->id), copy(line->mode), copy(line->last), line->rows};
    return (added->id.data && added->mode.data && added->last.data) ||
           error_set(error, ERROR_MEMORY, "out of memory");
}

static void print_line(size_t width, const struct view_line *line, const char *rows)
{
    struct buffer out;
    buffer_init(&out, UINT32_MAX);
    cell_pad(&out, line->id, width, false);
    buffer_add_string(&out, "  ");
    cell_pad(&out, line->mode, 6, false);
    buffer_printf(&out, "  %12s  ", rows);
    buffer_add_span(&out, line->last);
    while (out.length && out.data[out.length - 1] == ' ')
        out.length--;
    printf("%.*s\n", (int)out.length, out.data ? out.data : "");
    buffer_fini(&out);
}

void view_list_print(const struct view_list *list, const char *last_heading)
{
    const struct view_line names = {span_of("view"), span_of("mode"), span_of(last_heading), 0};
    size_t width = names.id.length;
    setlocale(LC_CTYPE, "C.UTF-8"); /* for the widths of characters */
    for (size_t i = 0; i < list->count; i++) {
        size_t wanted = cell_width(list->lines[i].id);
        width = wanted > width ? wanted : width;
    }
    print_line(width, &names, "rows");
    for (size_t i = 0; i < list->count; i++) {
        char rows[32] = "-";
        if (list->lines[i].rows >= 0)
            snprintf(rows, sizeof rows, "%lld", (long long)list->lines[i].rows);
        print_line(width, &list->lines[i], rows);
    }
}
