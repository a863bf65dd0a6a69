/* A program that was built without libnats says so when it is configured with a log. */
#include "follow/follow.h"
#include "test.h"

TEST(it_says_how_it_was_built)
{
    const struct follow_options options = {.nats = "nats://127.0.0.1:1", .stream = "s"};
    struct error error = {.code = ERROR_NONE};
    assert_null(follow_open(&options, &error));
    assert_int_equal(error.code, ERROR_CONFIGURATION);
    assert_non_null(strstr(error.message, "built without log mode"));
    follow_halt(NULL);
    follow_stop(NULL);
    follow_free(NULL);
}
