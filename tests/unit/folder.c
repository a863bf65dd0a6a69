#include "folder.h"
#include "test.h"

char test_folder[FOLDER_PATH];

void folder_make(char path[FOLDER_PATH])
{
    snprintf(path, FOLDER_PATH, "/tmp/stele-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

void folder_remove(const char *path)
{
    char command[FOLDER_PATH + 16];
    snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
}

void test_folder_make(void)
{
    folder_make(test_folder);
}

void test_folder_remove(void)
{
    folder_remove(test_folder);
}

const char *test_file(const char *name, const char *text)
{
    static char path[FOLDER_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", test_folder, name);
    if (text) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
        fclose(file);
    }
    return path;
}
