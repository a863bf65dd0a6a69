#include "stderr_capture.h"
#include "test.h"

static FILE *file;
static int real_stderr;
static char text[1 << 20];

void stderr_capture(void)
{
    fflush(stderr);
    file = tmpfile();
    real_stderr = dup(STDERR_FILENO);
    assert_true(file && real_stderr >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
}

void stderr_release(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    fclose(file);
}

const char *stderr_captured(void)
{
    ssize_t length = pread(fileno(file), text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    lseek(fileno(file), 0, SEEK_SET);
    return text;
}
