/* Text in cells of a terminal; widths are those of the locale's characters. Bytes that are no UTF-8
 * do not reach it either. */
#ifndef CLI_CELL_H
#define CLI_CELL_H

#include "base/base.h"

size_t cell_width(struct span text);
/* Append the text with blanks in place of what a terminal would act on, */
void cell_fit(struct buffer *out, struct span text);
/* ... or with another character. */
void cell_replace(struct buffer *out, struct span text, char other);
/* Append JSON with escapes in place of these: the same JSON. Ends of lines between its tokens stay.
 */
void cell_escape(struct buffer *out, struct span json);
/* Append it exactly `width` wide: cut, or filled on one side. */
void cell_pad(struct buffer *out, struct span text, size_t width, bool right);

#endif
