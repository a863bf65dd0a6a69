/* Text in cells of a terminal. Valid UTF-8; widths are those of the locale's characters. */
#ifndef CLI_CELL_H
#define CLI_CELL_H

#include "base/base.h"

size_t cell_width(struct span text);
/* Append the text without characters that a terminal would act on. */
void cell_fit(struct buffer *out, struct span text);
/* Append JSON with escapes in place of these: the same JSON. */
void cell_escape(struct buffer *out, struct span json);
/* Append it exactly `width` wide: cut, or filled on one side. */
void cell_pad(struct buffer *out, struct span text, size_t width, bool right);

#endif
