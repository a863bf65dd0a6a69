/* Names and strings as SQL writes them. */
#include "sqlview/sqlview_internal.h"

void sql_add_identifier(struct buffer *sql, struct span name)
{
    buffer_add_char(sql, '"');
    for (size_t i = 0; i < name.length; i++) {
        buffer_add(sql, name.data[i] == '"' ? "\"\"" : &name.data[i], name.data[i] == '"' ? 2 : 1);
    }
    buffer_add_char(sql, '"');
}

/* A string as bytes where it holds a NUL, which SQL text cannot. */
void sql_add_literal(struct buffer *sql, struct span text)
{
    if (text.length && memchr(text.data, 0, text.length)) {
        buffer_add_string(sql, "CAST(X'");
        for (size_t i = 0; i < text.length; i++) {
            buffer_printf(sql, "%02x", (unsigned char)text.data[i]);
        }
        buffer_add_string(sql, "' AS TEXT)");
        return;
    }
    buffer_add_char(sql, '\'');
    for (size_t i = 0; i < text.length; i++) {
        buffer_add(sql, text.data[i] == '\'' ? "''" : &text.data[i], text.data[i] == '\'' ? 2 : 1);
    }
    buffer_add_char(sql, '\'');
}
