#include "net_fixture.h"
#include "test.h"

enum { LINE_LIMIT = 64 * 1024 };

size_t net_fixture_each(const char *file, void (*check)(const struct tree *vector))
{
    static char line[LINE_LIMIT];
    char path[512];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/tests/vectors/%s", STELE_SOURCE_DIR, file);
    FILE *lines = fopen(path, "rb");
    assert_non_null(lines);
    for (; fgets(line, sizeof line, lines); count++) {
        struct error error = {0};
        struct tree *vector = tree_parse(span_of(line), &error);
        if (!vector)
            fail_msg("%s, line %zu: %s", file, count + 1, error.message);
        check(vector);
        tree_free(vector);
    }
    fclose(lines);
    return count;
}

struct span net_fixture_text(const struct tree *vector, const char *name)
{
    struct span text = tree_string(tree_member(vector, name));
    return text.data ? text : span_of("");
}

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void net_fixture_add_hex(struct buffer *out, struct span digits)
{
    for (size_t at = 0; at + 1 < digits.length; at += digits.data[at] == ' ' ? 1 : 2) {
        if (digits.data[at] == ' ')
            continue;
        char byte = (char)(digit(digits.data[at]) << 4 | digit(digits.data[at + 1]));
        assert_true(buffer_add(out, &byte, 1));
    }
}
