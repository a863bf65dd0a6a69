/* The content type of a file, by its name's ending. Browsers go by it alone (nosniff). Pure. */
#ifndef HTTP_CONTENT_TYPE_H
#define HTTP_CONTENT_TYPE_H

/* Static; of an ending that is not known, the one of bytes. */
const char *http_content_type(const char *path);

#endif
