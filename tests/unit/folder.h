/* Folders under /tmp, which go with all that is in them. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

enum { FOLDER_PATH = 64 };

void folder_make(char path[FOLDER_PATH]);
void folder_remove(const char *path);

/* The one of a program: TEST_ALL(test_folder_make, test_folder_remove). */
extern char test_folder[FOLDER_PATH];
void test_folder_make(void);
void test_folder_remove(void);
/* The path of a file in it with that text; NULL: none is written. Good until the next call. */
const char *test_file(const char *name, const char *text);

#endif
